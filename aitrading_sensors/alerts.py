"""Sensors that tell operators: a run failed, a champion changed."""

import json
from collections.abc import Mapping

import dagster as dg

from aitrading_sensors.champions import champions_of
from aitrading_sensors.publishing import publish_alert
from aitrading_sensors.reasons import first_reason
from realtime.settings import Settings

RUN_FAILED = "run_failed"
CHAMPION_CHANGED = "champion_changed"


def failure_alert() -> dg.SensorDefinition:
    """Return the sensor that publishes ``ops.alert.critical`` for every failed run."""

    @dg.run_failure_sensor(  # pyright: ignore[reportUnknownMemberType]
        name="run_failure_alert",
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A run failed: a critical alert on NATS.",
    )
    def run_failure_alert(
        context: dg.RunFailureSensorContext, settings: dg.ResourceParam[Settings]
    ) -> None:
        run = context.dagster_run
        failures = context.get_step_failure_events()
        steps = [event.step_key or "" for event in failures]
        reason = first_reason(failures) or context.failure_event.message or "no reason given"
        publish_alert(
            settings,
            "critical",
            RUN_FAILED,
            f"job {run.job_name} failed in {', '.join(steps) or 'its start'}: {reason};"
            f" look at run {run.run_id} in Dagster, mend it and launch the job again",
            {"run_id": run.run_id, "job": run.job_name, "steps": ",".join(steps)},
        )
        context.log.info("told operators of run %s", run.run_id)

    return run_failure_alert


def promotion_alert(keys: Mapping[str, dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor that notices a champion that changed, whoever changed it.

    A promotion or rollback from the command line has no run: it is noted on the asset, and said to
    operators with ``ops.alert.info``.

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
            found[champion.symbol] = state
            if known.get(champion.symbol) == state:
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
