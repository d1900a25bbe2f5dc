"""Sensors that tell operators: a run failed, a champion changed."""

import json
from collections.abc import Mapping

import dagster as dg

from aitrading_sensors.champions import champions_of
from aitrading_sensors.ended import FAILURE, Ended, ended_since, place_of
from aitrading_sensors.publishing import publish_alert
from aitrading_sensors.reasons import first_reason
from realtime.bundle import BundleError
from realtime.champion import Champion
from realtime.connection import ConnectionRefused
from realtime.settings import Settings

RUN_FAILED = "run_failed"
CHAMPION_CHANGED = "champion_changed"
_BEHIND = " (alias behind)"


def failure_alert() -> dg.SensorDefinition:
    """Return the sensor that publishes ``ops.alert.critical`` for every failed run."""

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType]
        name="run_failure_alert",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A run failed: a critical alert on NATS, as soon as NATS takes it.",
    )
    def run_failure_alert(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        begun = told = place_of(context, [FAILURE])
        for failed in ended_since(context.instance, begun, [FAILURE]):
            try:
                _tell(context.instance, settings, failed)
            except ConnectionRefused as error:
                if told == begun:
                    raise  # the tick fails, and the next one begins here again
                context.log.warning("the rest is told later: %s", error)
                break
            told = failed.place
            context.log.info("told operators of run %s", failed.run.run_id)
        return dg.SensorResult(cursor=str(told))

    return run_failure_alert


def _tell(instance: dg.DagsterInstance, settings: Settings, failed: Ended) -> None:
    """Publish the alert of a failed run.

    Raises:
        ConnectionRefused: the server does not take it.
    """
    run = failed.run
    kinds = {dg.DagsterEventType.STEP_FAILURE}
    records = instance.get_records_for_run(run.run_id, of_type=kinds).records
    events = [record.event_log_entry.dagster_event for record in records]
    failures = [event for event in events if event is not None]
    steps = [event.step_key or "" for event in failures]
    reason = first_reason(failures) or failed.message or "no reason given"
    publish_alert(
        settings,
        "critical",
        RUN_FAILED,
        f"job {run.job_name} failed in {', '.join(steps) or 'its start'}: {reason};"
        f" look at run {run.run_id} in Dagster, mend it and launch the job again",
        {"run_id": run.run_id, "job": run.job_name, "steps": ",".join(steps)},
    )


def promotion_alert(keys: Mapping[str, dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor that notices a champion that changed, whoever changed it.

    A promotion or rollback from the command line has no run: it is noted on the asset, and said to
    operators with ``ops.alert.info``. MLflow's alias is made to follow; while it cannot, that is
    tried again at every look.

    Args:
        keys: of the asset ``promotion``, by symbol.
    """

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType]
        name="promotion_alert",
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A champion changed: an alert on NATS, an observation of its asset.",
    )
    def promotion_alert_sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        known: dict[str, str] = json.loads(context.cursor or "{}")
        notes: list[dg.AssetObservation] = []
        found: dict[str, str] = {}
        for champion in champions_of(settings, keys):
            state = f"{champion.bundle_id} {champion.stage} {champion.promoted_ns}"
            before = known.get(champion.symbol)
            found[champion.symbol] = state
            if before == state:
                continue
            if not _aligned(context, settings, champion):
                found[champion.symbol] = state + _BEHIND
            if before == state + _BEHIND:  # operators know; only the alias is still to follow
                continue
            told = {
                "symbol": champion.symbol,
                "bundle": champion.bundle_id,
                "stage": champion.stage,
                "by": champion.by,
            }
            text = (
                f"{champion.bundle_id} is the champion of {champion.symbol}"
                f" ({champion.stage}), by {champion.by}"
            )
            publish_alert(settings, "info", CHAMPION_CHANGED, text, told)
            notes.append(dg.AssetObservation(keys[champion.symbol], metadata=told))
        return dg.SensorResult(asset_events=notes, cursor=json.dumps(found, sort_keys=True))

    return promotion_alert_sensor


def _aligned(context: dg.SensorEvaluationContext, settings: Settings, champion: Champion) -> bool:
    """Let MLflow's alias follow a champion; False if that is to be tried again."""
    from ml.aliases import align  # noqa: PLC0415 (only when a champion changed)
    from ml.errors import RegistryRefused  # noqa: PLC0415 (see above)

    try:
        moved = align(settings, champion)
    except BundleError as error:  # its bytes will not get better
        context.log.warning("MLflow's alias does not follow: %s", error)
        return True
    except (RegistryRefused, ConnectionRefused) as error:
        context.log.warning("MLflow's alias does not follow yet: %s", error)
        return False
    if moved:
        context.log.info("%s: %s", champion.symbol, moved)
    return True
