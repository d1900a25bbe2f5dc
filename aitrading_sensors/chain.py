"""What starts what: new files are imported, then features are built, then models are trained.

    inbox --new_data--> ingest --build_after_ingest--> build_features
          --retrain_after_build--> retrain

The nightly schedule starts the same chain and asks for all of it, new data or not, so that what
failed by day (a server was away) is made up for by night.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import dagster as dg

from aitrading_sensors.ended import FAILURE, SUCCESS, ended_since, place_of
from aitrading_sensors.inbox import ImportIndex, look_into
from realtime.clock import WallClock
from realtime.history.lake import Lake, Month, month_of
from realtime.settings import Settings

Job = Any  # a job, resolved or not: Dagster takes both
Reach = Callable[[Settings, str], int]  # of a symbol's labels, ns

REFRESH_TAG = "aitrading/refresh"  # "all": go on even if there was nothing new
ORIGIN_TAG = "aitrading/after"  # the run that this one follows
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_DAY_NS = 86_400_000_000_000
_IMPORTS = (dg.AssetKey("imported_ticks"), dg.AssetKey("imported_bars"))


def new_data(ingest: Job) -> dg.SensorDefinition:
    """Return the sensor that imports files of the inbox as they come."""

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType]
        name="new_data",
        job=ingest,
        minimum_interval_seconds=10,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="A new or changed file in the inbox: import it.",
    )
    def new_data_sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.RunRequest | dg.SkipReason:
        inbox, now_ns = look_into(settings), WallClock().now_ns()
        index = ImportIndex(settings)
        new = index.new_of(inbox.settled(now_ns))
        waiting = index.new_of(inbox.unsettled(now_ns))
        refused = sorted(str(error) for error in inbox.refused)
        if not new and not refused:
            if waiting:
                return dg.SkipReason(f"{len(waiting)} new files may still be being written")
            return dg.SkipReason("nothing new in the inbox")
        context.log.info("new: %s", ", ".join(str(file.path) for file in new))
        # What cannot be understood is asked for once too: the run fails, and says why.
        return dg.RunRequest(
            run_key=" ".join(sorted(file.version for file in new) + refused),
            tags={"aitrading/files": str(len(new))},
        )

    return new_data_sensor


def nightly(ingest: Job) -> dg.ScheduleDefinition:
    """Return the schedule that goes through everything once a night, after New York has closed."""
    return dg.ScheduleDefinition(
        name="nightly",
        job=ingest,
        cron_schedule="30 17 * * 1-5",
        execution_timezone="America/New_York",
        tags={REFRESH_TAG: "all"},
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description="Half an hour after the day's rollover: import, build, train, promote.",
    )


def build_after_ingest(
    ingest: Job, build_features: Job, symbols_name: str, reach: Reach | None = None
) -> dg.SensorDefinition:
    """Return the sensor that builds features from the first month that an import changed.

    A little earlier, in fact: what became of the price after the last decisions of the month before
    is known only now. An import that failed has brought the files that are not to blame, so it is
    followed as well; symbols of which too much was kept out are left alone.

    Args:
        ingest: job watched.
        build_features: job started.
        symbols_name: of the dynamic partitions of symbols.
        reach: for how long before a change labels depend on it; None = a day.
    """

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType]
        name="build_after_ingest",
        job=build_features,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="An import brought rows: build features of the months from there on.",
    )
    def build_after_ingest_sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult:
        kinds = (SUCCESS, FAILURE)
        place, requests, reasons = place_of(context, kinds), list[dg.RunRequest](), list[str]()
        for ended in ended_since(context.instance, place, kinds, ingest.name):
            found = _builds(context.instance, settings, ended.run, symbols_name, reach)
            if isinstance(found, str):
                reasons.append(found)
            else:
                requests += found
            place = ended.place
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=str(place))
        return dg.SensorResult(skip_reason="; ".join(reasons) or None, cursor=str(place))

    return build_after_ingest_sensor


def _builds(
    instance: dg.DagsterInstance,
    settings: Settings,
    run: dg.DagsterRun,
    symbols_name: str,
    reach: Reach | None,
) -> list[dg.RunRequest] | str:
    """Return what has to be built after an import, or why nothing has."""
    lake, index = Lake(settings.paths.lake), ImportIndex(settings)
    symbols = instance.get_dynamic_partitions(symbols_name)
    months = {name: set(_months(lake, name)) for name in symbols}
    stored = sorted({month for each in months.values() for month in each})
    if not stored:
        return "the lake is empty"
    first = stored[0]
    if run.tags.get(REFRESH_TAG) != "all":
        changed = sorted(_written(instance, run.run_id))
        if not changed:
            return "the import changed nothing"
        longest_ns = max([_DAY_NS, *(reach(settings, name) for name in symbols if reach)])
        first = max(str(month_of(_start_ns(changed[0]) - longest_ns)), stored[0])
    dirty = index.too_dirty()
    fit = [name for name in symbols if months[name] and name not in dirty]
    groups = _neighbours(symbols, fit)
    if not groups:
        return f"too many rows of {', '.join(dirty)} were kept out"
    return [
        dg.RunRequest(
            run_key=f"after-{run.run_id}" if len(groups) == 1 else f"after-{run.run_id}-{group[0]}",
            tags={
                _RANGE[0]: f"{first}|{group[0]}",
                _RANGE[1]: f"{stored[-1]}|{group[-1]}",
                ORIGIN_TAG: run.run_id,
            },
        )
        for group in groups
    ]


def _neighbours(symbols: Sequence[str], fit: Sequence[str]) -> list[list[str]]:
    """Return the symbols that are fit, those that are neighbours together: a run covers a range."""
    groups: list[list[str]] = []
    last = ""
    for name in symbols:
        if name in fit:
            if last in fit:
                groups[-1].append(name)
            else:
                groups.append([name])
        last = name
    return groups


def _start_ns(month: str) -> int:
    year, number = month.split("-")
    return Month(int(year), int(number)).start_ns


def _months(lake: Lake, symbol: str) -> Iterable[str]:
    for kind in lake.kinds():
        yield from map(str, lake.months(kind, symbol))


def _written(instance: dg.DagsterInstance, run_id: str) -> set[str]:
    """Return the months that an import changed."""
    kinds = {dg.DagsterEventType.ASSET_MATERIALIZATION}
    found: set[str] = set()
    for record in instance.get_records_for_run(run_id, of_type=kinds).records:
        event = record.event_log_entry.dagster_event
        if event is not None and event.asset_key in _IMPORTS and event.partition is not None:
            found.add(str(event.partition).split("|", maxsplit=1)[0])
    return found


def retrain_after_build(build_features: Job, retrain: Job) -> dg.SensorDefinition:
    """Return the sensor that trains when features were built by the chain."""

    @dg.sensor(  # pyright: ignore[reportUnknownMemberType]
        name="retrain_after_build",
        job=retrain,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Features were built from new data: train on them.",
    )
    def retrain_after_build_sensor(
        context: dg.SensorEvaluationContext,
    ) -> dg.SensorResult:
        place, requests = place_of(context, [SUCCESS]), list[dg.RunRequest]()
        for ended in ended_since(context.instance, place, [SUCCESS], build_features.name):
            if ORIGIN_TAG in ended.run.tags:
                run_id = ended.run.run_id
                tags = {ORIGIN_TAG: run_id}
                requests.append(dg.RunRequest(run_key=f"after-{run_id}", tags=tags))
            place = ended.place
        if requests:
            return dg.SensorResult(run_requests=requests, cursor=str(place))
        reason = "nothing was built by the chain: what is built by hand is trained by hand"
        return dg.SensorResult(skip_reason=reason, cursor=str(place))

    return retrain_after_build_sensor
