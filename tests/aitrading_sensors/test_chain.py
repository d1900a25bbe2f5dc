"""What starts what."""

import os
import shutil
from datetime import UTC, datetime
from typing import Any

import dagster as dg
import numpy as np
import pytest

from aitrading_assets.bars import bars_kind, build_bars
from aitrading_assets.definitions import definitions_of
from aitrading_assets.feed import feed_of
from aitrading_assets.jobs import jobs_of
from aitrading_assets.labels import label_symbol, stored_labels
from aitrading_assets.partitions import SYMBOLS
from aitrading_assets.specifications import symbols_known
from aitrading_sensors.chain import (
    ORIGIN_TAG,
    REFRESH_TAG,
    build_after_ingest,
    new_data,
    nightly,
    retrain_after_build,
)
from aitrading_sensors.ended import FAILURE, SUCCESS
from ml.backtest.demo import demo_file
from realtime.history.lake import Lake
from tests.aitrading_assets.conftest import last_words, let_settle

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
    """What a sensor answers that has seen everything before the end of this run."""
    ends = [
        record.storage_id
        for kind in (SUCCESS, FAILURE)
        for record in instance.fetch_run_status_changes(kind, limit=100).records
        if record.event_log_entry.run_id == result.run_id
    ]
    with dg.build_sensor_context(
        instance=instance, cursor=str(ends[0] - 1), resources={"settings": settings}
    ) as context:
        answer = sensor(context)
    assert int(answer.cursor) == ends[0]
    return answer.run_requests[0] if answer.run_requests else answer.skip_reason


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
    found = after(retrain_after_build(INGEST, RETRAIN), settings, instance, result)
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


def part(path, first="01.01.2017", last="31.12.2017"):
    """Write the hours of the demo from a day on, before another one."""
    head, *rows = demo_file().read_text().splitlines()

    def day(text):
        return datetime.strptime(text[:10], "%d.%m.%Y").replace(tzinfo=UTC)

    kept = [row for row in rows if day(first) <= day(row) < day(last)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([head, *kept]) + "\n")
    (path.parent / "import.toml").write_text('ask_bars = true\nzone = "UTC"\n')
    return path


def test_labels_and_bars_of_the_month_before_are_written_when_their_outcome_is_known(
    settings, instance, inbox, runs
):
    """The last day's labels of every month were lost until the next night."""
    part(inbox / "a.csv", last="01.05.2017")
    first = building(settings, instance, runs.launch("ingest"))
    assert runs.launch("build_features", tags=dict(first.tags)).success
    part(inbox / "b.csv", first="01.05.2017", last="01.06.2017")
    after_may = building(settings, instance, runs.launch("ingest"))
    assert after_may.tags[START] == "2017-04|EURUSD"
    assert runs.launch("build_features", tags=dict(after_may.tags)).success
    lake, config = Lake(settings.paths.lake), runs.recipes.of("EURUSD")
    whole = label_symbol(lake, feed_of(settings, config), config)
    stored = stored_labels(lake, config)
    assert stored is not None
    assert stored.equals(whole)
    symbol = symbols_known(settings, ["EURUSD"])[0]
    months = lake.months(bars_kind("h1"), "EURUSD")
    bars = [lake.read_month(bars_kind("h1"), "EURUSD", month) for month in months]
    assert np.concatenate(bars).tobytes() == build_bars(lake, symbol, "h1").tobytes()


def test_an_import_that_failed_is_followed_for_the_files_that_are_not_to_blame(
    settings, instance, inbox, runs
):
    part(inbox / "good.csv", last="01.03.2017")
    part(inbox.parent / "AUDUSD" / "bad.csv").write_text("this is no market data\n")
    result = runs.launch("ingest")
    assert not result.success
    request = building(settings, instance, result)
    assert (request.tags[START], request.tags[END]) == ("2017-01|EURUSD", "2017-02|EURUSD")


def test_symbols_of_which_too_much_was_kept_out_are_not_built(settings, instance, inbox, runs):
    for symbol in ("AUDUSD", "EURUSD", "GBPUSD"):
        part(inbox.parent / symbol / "a.csv", last="01.03.2017")
    path = inbox / "a.csv"
    lines = path.read_text().splitlines()
    lines[10:200] = [line.replace(line.split(",")[2], "-1") for line in lines[10:200]]
    path.write_text("\n".join(lines) + "\n")
    result = runs.launch("ingest")
    assert not result.success
    known = instance.get_dynamic_partitions(str(SYMBOLS.name))
    assert known == ["EURUSD", "AUDUSD", "GBPUSD"]
    request = building(settings, instance, result)
    assert (request.tags[START], request.tags[END]) == ("2017-01|AUDUSD", "2017-02|GBPUSD")
    path.unlink()
    part(inbox / "clean.csv", last="01.03.2017")
    mended = runs.launch("ingest")
    assert mended.success
    assert building(settings, instance, mended).tags[START] == "2017-01|EURUSD"


def test_a_file_that_is_being_written_holds_no_other_back(settings, instance, inbox):
    old = drop(inbox)
    part(inbox.parent / "GBPUSD" / "growing.csv")
    request = look(settings, instance)
    assert isinstance(request, dg.RunRequest)
    assert request.tags["aitrading/files"] == "1"
    assert old.exists()


def test_options_that_cannot_be_understood_hold_no_other_symbol_back(
    settings, instance, inbox, runs
):
    drop(inbox)
    part(inbox.parent / "AUDUSD" / "a.csv")
    (inbox.parent / "AUDUSD" / "import.toml").write_text("ask_bar = true\n")
    let_settle(settings)
    assert isinstance(look(settings, instance), dg.RunRequest)
    result = runs.launch("ingest")
    assert "did you mean ask_bars" in last_words(result)
    assert Lake(settings.paths.lake).symbols("bars_h1") == ["EURUSD"]


def test_a_sensor_that_could_not_do_its_work_begins_again_at_the_same_run(
    settings, instance, inbox, runs
):
    """The run was passed over: what it had brought was not built until the next night."""
    sensor = build_after_ingest(INGEST, BUILD, str(SYMBOLS.name))
    drop(inbox)
    result = runs.launch("ingest")
    index = settings.paths.lake / "imports" / "files.json"
    whole = index.read_text()
    index.write_text("half a fi")
    with (
        dg.build_sensor_context(
            instance=instance, cursor="0", resources={"settings": settings}
        ) as context,
        pytest.raises(ValueError, match="Expecting value"),
    ):
        sensor(context)
    assert context.cursor == "0"
    index.write_text(whole)
    assert building(settings, instance, result).tags[START] == "2017-01|EURUSD"


def test_a_new_sensor_begins_with_what_ends_from_now_on(settings, instance, inbox, runs):
    drop(inbox)
    assert runs.launch("ingest").success
    sensor = build_after_ingest(INGEST, BUILD, str(SYMBOLS.name))
    for cursor in (None, '{"record_id": 3}'):  # new, or of an older version
        with dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"settings": settings}
        ) as context:
            answer: Any = sensor(context)
        assert not answer.run_requests
        assert int(answer.cursor) > 0
