import shutil
from dataclasses import replace

import numpy as np
import pytest

from aitrading_assets.made_ticks import made_of
from aitrading_sensors.inbox import ImportIndex, inbox_files
from ml.backtest.demo import demo_file
from realtime.declarations import SettingsError
from realtime.history.lake import Lake, Month
from tests.aitrading_assets.conftest import checks_of, events_of, last_words, let_settle

MARCH = Month(2017, 3)


@pytest.fixture
def lake(settings):
    return Lake(settings.paths.lake)


def tick_file(folder, *, crossed=0, rows=3_000, name="EURUSD_ticks.csv"):
    """Ticks of a Monday in March, some of them crossed."""
    folder.mkdir(parents=True, exist_ok=True)
    generator = np.random.default_rng(5)
    bids = 1.06 + np.cumsum(generator.integers(-2, 3, rows)) * 1e-5
    lines = ["<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"]
    for k, bid in enumerate(bids):
        is_crossed = crossed and k % (rows // crossed) == 1
        ask = bid + (-0.0001 if is_crossed else 0.0001)
        seconds = 8 * 3600 + k * 5
        clock = f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}.000"
        lines.append(f"2017.03.06\t{clock}\t{bid:.5f}\t{ask:.5f}\t\t\t6")
    path = folder / name
    path.write_text("\r\n".join(lines) + "\r\n")
    (folder / "import.toml").write_text('zone = "UTC"\n')
    return path


def test_a_file_of_the_inbox_is_in_the_lake_afterwards(runs, settings, lake):
    folder = settings.paths.var / "inbox" / "EURUSD"
    folder.mkdir(parents=True)
    shutil.copy(demo_file(), folder / "hours.csv")
    (folder / "import.toml").write_text("ask_bars = true\n")
    result = runs.launch("ingest")
    assert result.success
    assert lake.months("bars_h1", "EURUSD") == [Month(2017, month) for month in range(1, 13)]
    *months, whole = events_of(result, "imported_bars")
    assert {event.partition for event in months} == {
        f"2017-{month:02d}|EURUSD" for month in range(1, 13)
    }
    assert whole.metadata["rows_kept"].value == 6225
    assert "detected" in whole.metadata["quality"].value
    assert runs.instance.get_dynamic_partitions("symbols") == ["EURUSD"]


def test_bars_of_the_ask_become_bars_of_the_bid(runs, settings, lake):
    assert runs.ingest_demo().success
    bars = lake.read_month("bars_h1", "EURUSD", MARCH)
    assert np.allclose(bars["spread_mean"], 2e-5)
    text = demo_file().read_text().splitlines()
    asked = {line.split(",")[0]: line.split(",")[4] for line in text[1:]}
    first = float(asked["01.03.2017 00:00:00.000"])
    at = np.searchsorted(bars["open_ns"], np.datetime64("2017-03-01T00:00", "ns").astype(int))
    assert bars["close"][at] == pytest.approx(first - 2e-5, abs=1e-9)


def test_a_file_is_read_once_and_again_when_it_has_changed(runs, settings):
    path = tick_file(settings.paths.var / "inbox" / "EURUSD")

    def new():
        return [file.path for file in ImportIndex(settings).new_of(inbox_files(settings))]

    assert new() == [path.resolve()]
    first = runs.launch("ingest")
    assert events_of(first, "imported_ticks")[-1].metadata["files_new"].value == 1
    assert new() == []
    again = runs.launch("ingest")
    assert events_of(again, "imported_ticks")[-1].metadata["files_new"].value == 0
    assert len(events_of(again, "imported_ticks")) == 1
    tick_file(settings.paths.var / "inbox" / "EURUSD", rows=3_010)
    assert new() == [path.resolve()]
    changed = events_of(runs.launch("ingest"), "imported_ticks")[-1].metadata
    assert (changed["files_new"].value, changed["rows_added"].value) == (1, 10)


def test_too_many_crossed_quotes_stop_the_file_and_stay_until_it_is_mended(runs, settings):
    path = tick_file(settings.paths.var / "inbox" / "EURUSD", crossed=300)
    for _ in range(2):  # the second run reads nothing, and still says so
        result = runs.launch("ingest")
        assert not checks_of(result)[("imported_ticks", "few_rows_quarantined")]
        assert not result.success
    (path.parent / "import.toml").write_text('zone = "UTC"\nmax_quarantined_fraction = 0.2\n')
    assert checks_of(runs.launch("ingest"))[("imported_ticks", "few_rows_quarantined")]


def test_real_ticks_replace_those_made_of_bars_and_never_mix_with_them(runs, settings, lake):
    assert runs.ingest_demo().success
    assert runs.build((2017, 2), (2017, 3)).success
    assert made_of(lake.sources("ticks", "EURUSD", MARCH)) == "bars_h1"
    tick_file(settings.paths.var / "inbox" / "EURUSD")
    assert runs.launch("ingest").success
    assert made_of(lake.sources("ticks", "EURUSD", MARCH)) == ""
    assert len(lake.read_month("ticks", "EURUSD", MARCH)) == 3_000
    result = runs.build((2017, 2), (2017, 3))
    assert len(lake.read_month("ticks", "EURUSD", MARCH)) == 3_000
    assert made_of(lake.sources("ticks", "EURUSD", Month(2017, 2))) == "bars_h1"
    assert checks_of(result)[("ticks", "quotes_are_sound")]


def test_an_unknown_option_is_refused_by_name(settings):
    folder = settings.paths.var / "inbox" / "EURUSD"
    folder.mkdir(parents=True)
    (folder / "import.toml").write_text("ask_bar = true\n")
    with pytest.raises(SettingsError, match=r"ask_bar.*did you mean ask_bars"):
        inbox_files(settings)


def test_a_file_whose_clock_is_not_known_says_where_to_write_it(runs, settings):
    path = tick_file(settings.paths.var / "inbox" / "EURUSD")
    (path.parent / "import.toml").unlink()
    assert "into import.toml beside it" in last_words(runs.launch("ingest"))


def test_what_is_still_being_downloaded_is_not_looked_at(settings):
    folder = settings.paths.var / "inbox" / "EURUSD"
    tick_file(folder, name="a.csv.part")
    tick_file(folder, name=".hidden.csv")
    assert inbox_files(settings) == []


def test_a_missing_file_is_one_clear_line(runs):
    result = runs.ingest(files={"EURUSD": "/nowhere/ticks.csv"})
    assert not result.success
    words = last_words(result)
    assert "/nowhere/ticks.csv: cannot be read" in words
    assert "give an existing file of EURUSD" in words


def bar_rows(folder, name, rows=400, last=None):
    """The first hours of the demo; the last of them with another close."""
    head, *lines = demo_file().read_text().splitlines()
    lines = lines[:rows]
    if last is not None:
        fields = lines[-1].split(",")
        lines[-1] = ",".join([*fields[:4], last, *fields[5:]])
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "import.toml").write_text('ask_bars = true\nzone = "UTC"\n')
    path = folder / name
    path.write_text("\n".join([head, *lines]) + "\n")
    return path


def test_a_bad_file_stops_no_other_and_fails_the_run_at_its_end(runs, settings, lake, instance):
    box = settings.paths.var / "inbox"
    bar_rows(box / "EURUSD", "good.csv")
    for name in ("a.csv", "b.csv"):
        bar_rows(box / "AUDUSD", name).write_text("this is no market data\n")
    result = runs.launch("ingest")
    assert not result.success
    words = last_words(result)
    assert "2 files could not be imported" in words
    assert "a.csv" in words
    assert "b.csv" in words
    assert lake.symbols("bars_h1") == ["EURUSD"]
    assert {event.partition for event in events_of(result, "imported_bars")} > {"2017-01|EURUSD"}
    assert instance.get_dynamic_partitions("symbols") == ["EURUSD"]


def test_a_misspelt_folder_is_refused_by_name_and_never_becomes_a_symbol(runs, settings, instance):
    """It became one, and failed the features of all the others for ever."""
    box = settings.paths.var / "inbox"
    bar_rows(box / "EURUSD", "a.csv")
    bar_rows(box / "EURUSDD", "a.csv")
    words = last_words(runs.launch("ingest"))
    assert "EURUSDD/a.csv" in words
    assert "did you mean EURUSD" in words
    assert instance.get_dynamic_partitions("symbols") == ["EURUSD"]
    assert runs.build((2017, 1), (2017, 1)).success


def test_a_traded_symbol_without_data_stops_no_other(runs, settings, instance):
    runs.settings = replace(settings, trade=("XAUUSD", "EURUSD"))
    bar_rows(settings.paths.var / "inbox" / "EURUSD", "a.csv")
    assert runs.launch("ingest").success
    assert instance.get_dynamic_partitions("symbols") == ["EURUSD"]
    instance.add_dynamic_partitions("symbols", ["XAUUSD"])  # as an older version did
    assert runs.build((2017, 1), (2017, 1), ("EURUSD", "XAUUSD")).success


def test_a_deleted_file_stops_nothing_any_longer(runs, settings):
    """Its entry stayed, and with it the failed check."""
    path = tick_file(settings.paths.var / "inbox" / "EURUSD", crossed=300)
    assert not runs.launch("ingest").success
    path.unlink()
    tick_file(settings.paths.var / "inbox" / "EURUSD", name="EURUSD_mended.csv")
    result = runs.launch("ingest")
    assert result.success
    assert checks_of(result)[("imported_ticks", "few_rows_quarantined")]


def test_a_newer_export_has_the_last_word_and_a_warning_tells_of_it(runs, settings, lake):
    folder = settings.paths.var / "inbox" / "EURUSD"
    bar_rows(folder, "a.csv", rows=200, last="1.05")  # still forming
    assert checks_of(runs.launch("ingest"))[("imported_bars", "imports_agree")]
    bar_rows(folder, "a.csv", rows=300)
    result = runs.launch("ingest")
    assert checks_of(result)[("imported_bars", "imports_agree")]  # as it goes with every export
    close = lake.read_month("bars_h1", "EURUSD", Month(2017, 1))["close"][199]
    row = demo_file().read_text().splitlines()[200].split(",")
    assert close == pytest.approx(float(row[4]) - 2e-5)
    lines = (folder / "a.csv").read_text().splitlines()
    fields = lines[150].split(",")
    lines[150] = ",".join([*fields[:4], fields[3], *fields[5:]])
    (folder / "a.csv").write_text("\n".join(lines) + "\n")
    result = runs.launch("ingest")
    assert result.success
    assert not checks_of(result)[("imported_bars", "imports_agree")]
    assert events_of(result, "imported_bars")[-1].metadata["rows_replaced"].value == 1


def test_the_job_itself_leaves_a_file_alone_that_is_being_written(runs, settings, monkeypatch):
    """Only the sensor knew that rule; the job listed the inbox anew."""
    folder = settings.paths.var / "inbox" / "EURUSD"
    bar_rows(folder, "whole.csv")
    let_settle(settings)
    bar_rows(folder, "growing.csv")
    monkeypatch.setattr("tests.aitrading_assets.conftest.let_settle", lambda _settings: None)
    monkeypatch.setattr("aitrading_assets.ingestion.time.sleep", lambda _seconds: None)
    told = events_of(runs.launch("ingest"), "imported_bars")[-1].metadata
    assert (told["files_new"].value, told["files_still_being_written"].value) == (1, 1)
