"""What starts what: new files are imported, then features are built, then models are trained.

    inbox --new_data--> ingest --build_after_ingest--> build_features
          --retrain_after_build--> retrain

The nightly schedule starts the same chain and asks for all of it, new data or not, so that what
failed by day (a server was away) is made up for by night.
"""

from collections.abc import Iterable
from typing import Any

import dagster as dg

from aitrading_sensors.inbox import ImportIndex, inbox_files
from realtime.clock import WallClock
from realtime.history.lake import Lake
from realtime.settings import Settings

Job = Any  # a job, resolved or not: Dagster takes both

REFRESH_TAG = "aitrading/refresh"  # "all": go on even if there was nothing new
ORIGIN_TAG = "aitrading/after"  # the run that this one follows
_RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_SETTLED_NS = 5_000_000_000  # a file that changed less than this ago may still be being written
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
        new = ImportIndex(settings).new_of(inbox_files(settings))
        if not new:
            return dg.SkipReason("nothing new in the inbox")
        newest_ns = max(file.modified_ns for file in new)
        if WallClock().now_ns() - newest_ns < _SETTLED_NS:
            return dg.SkipReason(f"{len(new)} new files, one may still be being written")
        context.log.info("new: %s", ", ".join(str(file.path) for file in new))
        return dg.RunRequest(
            run_key=" ".join(sorted(file.version for file in new)),
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


def build_after_ingest(ingest: Job, build_features: Job, symbols_name: str) -> dg.SensorDefinition:
    """Return the sensor that builds features from the first month that an import changed.

    Args:
        ingest: job watched.
        build_features: job started.
        symbols_name: of the dynamic partitions of symbols.
    """

    @dg.run_status_sensor(  # pyright: ignore[reportUnknownMemberType]
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="build_after_ingest",
        monitored_jobs=[ingest],
        request_job=build_features,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="An import brought rows: build features of the months from there on.",
    )
    def build_after_ingest_sensor(
        context: dg.RunStatusSensorContext, settings: dg.ResourceParam[Settings]
    ) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        lake = Lake(settings.paths.lake)
        symbols = context.instance.get_dynamic_partitions(symbols_name)
        stored = sorted({month for name in symbols for month in _months(lake, name)})
        if not stored:
            return dg.SkipReason("the lake is empty")
        first = stored[0]
        if run.tags.get(REFRESH_TAG) != "all":
            changed = sorted(_written(context.instance, run.run_id))
            if not changed:
                return dg.SkipReason("the import changed nothing")
            first = changed[0]
        return dg.RunRequest(
            run_key=f"after-{run.run_id}",
            tags={
                _RANGE[0]: f"{first}|{symbols[0]}",
                _RANGE[1]: f"{stored[-1]}|{symbols[-1]}",
                ORIGIN_TAG: run.run_id,
            },
        )

    return build_after_ingest_sensor


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

    @dg.run_status_sensor(  # pyright: ignore[reportUnknownMemberType]
        run_status=dg.DagsterRunStatus.SUCCESS,
        name="retrain_after_build",
        monitored_jobs=[build_features],
        request_job=retrain,
        minimum_interval_seconds=5,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Features were built from new data: train on them.",
    )
    def retrain_after_build_sensor(
        context: dg.RunStatusSensorContext,
    ) -> dg.RunRequest | dg.SkipReason:
        run = context.dagster_run
        if ORIGIN_TAG not in run.tags:
            return dg.SkipReason("built by hand: train by hand")
        return dg.RunRequest(run_key=f"after-{run.run_id}", tags={ORIGIN_TAG: run.run_id})

    return retrain_after_build_sensor
