"""What starts what."""

import os
import shutil
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import pytest

from aitrading_assets.definitions import definitions_of
from aitrading_assets.jobs import jobs_of
from aitrading_assets.partitions import SYMBOLS
from aitrading_sensors.chain import (
    ORIGIN_TAG,
    REFRESH_TAG,
    build_after_ingest,
    new_data,
    nightly,
    retrain_after_build,
)
from ml.backtest.demo import demo_file

INGEST, BUILD, RETRAIN, _ = jobs_of(("EURUSD",))
START, END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


@pytest.fixture
def inbox(settings):
    folder = settings.paths.var / "inbox" / "EURUSD"
    folder.mkdir(parents=True)
    return folder


def drop(folder, name="hours.csv", age_s=60):
    """Put the demo's file into the inbox, as if it had been there for a while."""
    path = folder / name
    shutil.copy(demo_file(), path)
    stamp = path.stat().st_mtime - age_s
    os.utime(path, (stamp, stamp))
    (folder / "import.toml").write_text("ask_bars = true\n")
    return path


def look(settings, instance) -> Any:
    with dg.build_sensor_context(instance=instance, resources={"settings": settings}) as context:
        return new_data(INGEST)(context)


def test_an_empty_inbox_starts_nothing(settings, instance):
    assert isinstance(look(settings, instance), dg.SkipReason)


def test_a_new_file_starts_one_import_and_a_changed_one_another(settings, instance, inbox, runs):
    drop(inbox)
    first = look(settings, instance)
    assert isinstance(first, dg.RunRequest)
    assert look(settings, instance).run_key == first.run_key  # until it is imported: the same run
    assert runs.launch("ingest").success
    assert isinstance(look(settings, instance), dg.SkipReason)
    drop(inbox, age_s=30)
    assert look(settings, instance).run_key != first.run_key


def test_a_file_that_is_still_being_written_is_left_alone(settings, instance, inbox):
    drop(inbox, age_s=0)
    assert "still be" in look(settings, instance).skip_message


def after(sensor, settings, instance, result) -> Any:
    event = next(
        each for each in result.all_events if each.event_type == dg.DagsterEventType.RUN_SUCCESS
    )
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_event=event,
        dagster_instance=instance,
        dagster_run=instance.get_run_by_id(result.run_id),
        resources={"settings": settings},
    )
    return sensor(context)


def building(settings, instance, result) -> Any:
    return after(build_after_ingest(INGEST, BUILD, str(SYMBOLS.name)), settings, instance, result)


def test_an_import_starts_the_features_of_the_months_that_it_changed(
    settings, instance, inbox, runs
):
    drop(inbox)
    request = building(settings, instance, runs.launch("ingest"))
    assert (request.tags[START], request.tags[END]) == ("2017-01|EURUSD", "2017-12|EURUSD")
    built = runs.launch("build_features", tags=dict(request.tags))
    assert built.success
    trained = after(retrain_after_build(BUILD, RETRAIN), settings, instance, built)
    assert trained.tags[ORIGIN_TAG] == built.run_id


def test_an_import_that_changed_nothing_starts_nothing_except_at_night(
    settings, instance, inbox, runs
):
    drop(inbox)
    assert runs.launch("ingest").success
    assert isinstance(building(settings, instance, runs.launch("ingest")), dg.SkipReason)
    night = runs.launch("ingest", tags={REFRESH_TAG: "all"})
    assert building(settings, instance, night).tags[START] == "2017-01|EURUSD"


def test_an_import_into_an_empty_lake_starts_nothing(settings, instance, runs):
    night = runs.launch("ingest", tags={REFRESH_TAG: "all"})
    assert building(settings, instance, night).skip_message == "the lake is empty"


def test_features_that_were_built_by_hand_do_not_start_a_training(settings, instance, runs):
    result = runs.launch("ingest")  # any run without the tag of the chain
    found = after(retrain_after_build(BUILD, RETRAIN), settings, instance, result)
    assert isinstance(found, dg.SkipReason)


def test_the_schedule_ticks_after_new_york_has_closed_on_every_trading_day(settings):
    schedule = nightly(INGEST)
    noon = datetime(2026, 7, 3, 12, tzinfo=UTC)  # a Friday in summer
    ticks = dg.build_schedule_context(scheduled_execution_time=noon)
    requests: Any = schedule.evaluate_tick(ticks).run_requests
    [request] = requests
    assert request.tags[REFRESH_TAG] == "all"
    assert schedule.execution_timezone == "America/New_York"
    repository = definitions_of(settings).get_repository_def()
    assert repository.get_schedule_def("nightly").cron_schedule == "30 17 * * 1-5"
