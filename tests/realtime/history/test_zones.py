"""The clock of a feed is found from where its weeks close, or asked for; never assumed."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.calendar import wall_to_utc_ns
from realtime.history import errors
from realtime.history.quality import Checks
from realtime.history.read import Imported, read_any, read_bars
from realtime.history.zones import CANDIDATES, Clock, closed_windows, repeated_hours

Weeks = Callable[..., pl.DataFrame]
HOUR_NS = 3600 * 10**9


def histdata(frame: pl.DataFrame, path: Path) -> Path:
    """Write bars as HistData does."""
    price = pl.col("bid").map_elements(lambda p: f"{p:.5f}", pl.String)
    frame.select(
        pl.col("wall").dt.strftime("%Y%m%d %H%M%S"),
        *[price.alias(name) for name in "ohlc"],
        pl.lit("0").alias("v"),
    ).write_csv(path, separator=";", include_header=False)
    return path


def assert_utc(imported: Imported, frame: pl.DataFrame) -> None:
    expected = frame["utc"].dt.replace_time_zone(None).cast(pl.Datetime("ns")).cast(pl.Int64)
    np.testing.assert_array_equal(imported.rows["open_ns"], expected.to_numpy())


@pytest.mark.parametrize(
    ("zone", "shift_hours", "name"),
    [
        ("UTC", 0, "UTC"),
        ("America/New_York", 7, "New_York+7"),
        ("Europe/Athens", 0, "EET"),
        ("America/New_York", 0, "New_York"),
        ("Etc/GMT+5", 0, "UTC-5"),
        ("Europe/London", -5, "London-5"),
        ("Europe/London", 0, "London"),
        ("Etc/GMT-3", 0, "UTC+3"),
    ],
)
def test_a_year_of_bars_shows_its_clock(
    weeks: Weeks, tmp_path: Path, zone: str, shift_hours: int, name: str
) -> None:
    frame = weeks("2018-01-02", "2018-12-20", zone=zone, shift_hours=shift_hours)
    imported = read_bars(histdata(frame, tmp_path / "EURUSD.csv"), "EURUSD")
    assert imported.report.format == "histdata_bars"
    assert (imported.report.zone, imported.report.zone_how) == (name, "detected")
    assert imported.report.zone_confidence > 0.95
    assert_utc(imported, frame)


def test_the_weeks_between_the_clock_changes_decide_between_new_york_and_athens(
    weeks: Weeks, tmp_path: Path
) -> None:
    for zone, shift, name, other in (
        ("America/New_York", 7, "New_York+7", "EET"),
        ("Europe/Athens", 0, "EET", "New_York+7"),
    ):
        frame = weeks("2019-02-20", "2019-04-20", zone=zone, shift_hours=shift)
        report = read_bars(histdata(frame, tmp_path / "EURUSD.csv")).report
        assert report.zone == name
        assert f"3 weeks speak for it against {other}, 0 the other way" in report.zone_evidence


def test_clocks_that_give_the_same_utc_need_not_be_told_apart(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2019-05-01", "2019-07-20", zone="Europe/Athens")
    report = read_bars(histdata(frame, tmp_path / "EURUSD.csv")).report
    assert report.zone == "New_York+7"
    assert any("EET" in line and "same UTC" in line for line in report.zone_evidence)


def test_a_single_week_is_no_evidence(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2019-05-06", "2019-05-14")
    with pytest.raises(errors.ZoneUndecided, match=r"1 closed weeks.*Give zone="):
        read_bars(histdata(frame, tmp_path / "EURUSD.csv"))


def test_four_hour_bars_do_not_show_their_clock(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2018-01-02", "2018-12-20", every="4h")
    with pytest.raises(errors.ZoneUndecided, match="longer than an hour"):
        read_bars(histdata(frame, tmp_path / "EURUSD.csv"), timeframe="H4")


def test_a_market_that_never_closes_does_not_show_its_clock(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "wall": pl.datetime_range(
                pl.datetime(2024, 1, 1), pl.datetime(2024, 3, 1), "1h", eager=True
            )
        }
    ).with_columns(bid=pl.lit(40_000.5))
    with pytest.raises(errors.ZoneUndecided, match="trades at weekends"):
        read_bars(histdata(frame, tmp_path / "BTCUSD.csv"), "BTCUSD")


def test_a_feed_that_changed_its_clock_gets_one_a_period(weeks: Weeks, tmp_path: Path) -> None:
    one = weeks("2017-10-02", "2018-06-30", zone="Europe/Berlin")
    two = weeks("2018-06-30", "2019-03-20", zone="Europe/Athens")
    frame = pl.concat([one, two])
    path = histdata(frame, tmp_path / "EURUSD.csv")
    imported = read_bars(path)
    assert imported.report.zone == "Europe/Berlin until 2018-07-01, EET"
    assert any("changed its clock" in line for line in imported.report.zone_evidence)
    assert_utc(imported, frame)
    assert_utc(read_bars(path, zone=imported.report.zone), frame)


def test_holidays_are_no_change_of_clock(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2018-01-02", "2018-12-20", zone="America/New_York", shift_hours=7)
    week = pl.col("utc").dt.week()
    short = (week % 9 < 2) & (pl.col("utc").dt.weekday() == 5) & (pl.col("utc").dt.hour() > 18)
    report = read_bars(histdata(frame.filter(~short), tmp_path / "EURUSD.csv")).report
    assert report.zone == "New_York+7"
    assert 0.7 < report.zone_confidence < 0.85


def test_a_clock_that_changes_every_few_weeks_is_not_guessed(weeks: Weeks, tmp_path: Path) -> None:
    parts = [
        weeks(first, last, zone=zone)
        for first, last, zone in (
            ("2018-05-05", "2018-06-02", "Europe/Athens"),
            ("2018-06-02", "2018-06-30", "Europe/Berlin"),
            ("2018-06-30", "2018-07-28", "Europe/Athens"),
            ("2018-07-28", "2018-08-25", "Europe/Berlin"),
        )
    ]
    with pytest.raises(errors.ZoneUndecided, match="about equally well"):
        read_bars(histdata(pl.concat(parts), tmp_path / "EURUSD.csv"))


def test_eras_are_refused_if_not_written_right(weeks: Weeks, tmp_path: Path) -> None:
    path = histdata(weeks("2018-05-05", "2018-06-02"), tmp_path / "EURUSD.csv")
    for zone in (
        "EET, UTC",
        "EET until 2018-13-01, UTC",
        "EET until soon, UTC",
        "X until 2018-01-01, UTC",
    ):
        with pytest.raises(errors.ZoneUnknown):
            read_bars(path, zone=zone)


def test_a_wrong_zone_is_refused_and_the_right_one_is_named(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2018-01-02", "2018-12-20", zone="America/New_York", shift_hours=7)
    path = histdata(frame, tmp_path / "EURUSD.csv")
    with pytest.raises(errors.ZoneContradicted, match=r"given is UTC.*Give zone='New_York\+7'"):
        read_bars(path, zone="UTC")
    forced = read_bars(path, zone="UTC", check_zone=False)
    assert forced.report.quarantined["weekend"] > 50
    assert_utc(read_bars(path, zone="New_York+7"), frame)


def test_a_label_of_utc_that_the_weeks_contradict_is_refused(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2018-01-02", "2018-06-20", zone="America/New_York", shift_hours=7, every="15m")
    path = tmp_path / "EURUSD.parquet"
    labelled = frame.select(
        time=pl.col("wall").dt.replace_time_zone("UTC"), bid="bid", ask=pl.col("bid") + 1e-4
    )
    labelled.write_parquet(path)
    with pytest.raises(errors.ZoneContradicted, match="stated is UTC"):
        read_any(path)
    imported = read_any(path, zone="New_York+7")  # what is given wins over the label
    expected = frame["utc"].dt.replace_time_zone(None).cast(pl.Datetime("ns")).cast(pl.Int64)
    np.testing.assert_array_equal(imported.rows["time_ns"], expected.to_numpy())


def test_the_repeated_hour_is_told_apart_by_the_order_of_rows(tmp_path: Path) -> None:
    utc = pl.datetime_range(
        pl.datetime(2024, 11, 3, 3), pl.datetime(2024, 11, 3, 9), "1m", eager=True
    )
    frame = pl.DataFrame({"utc": utc.dt.replace_time_zone("UTC")}).with_columns(
        time=pl.col("utc").dt.convert_time_zone("America/New_York").dt.replace_time_zone(None),
        bid=pl.lit(60_000.0),
        ask=pl.lit(60_001.0),
    )
    path = tmp_path / "BTCUSD.csv"
    frame.select("time", "bid", "ask").write_csv(path)
    for block in (200, 1 << 20):  # whatever the blocks are cut to
        imported = read_any(path, zone="New_York", block_bytes=block)
        assert imported.report.repaired == {"ambiguous_hour": 120}
        expected = utc.cast(pl.Datetime("ns")).cast(pl.Int64).to_numpy()
        np.testing.assert_array_equal(imported.rows["time_ns"], expected)


def test_second_pass_begins_where_the_clock_jumps_back() -> None:
    wall = np.array([0, 30, 59, 0, 30, 59, 60], np.int64) * 60 * 10**9
    ambiguous = np.array([1, 1, 1, 1, 1, 1, 0], np.bool_)
    second, running = repeated_hours(wall, ambiguous, -1, second=False)
    assert second.tolist() == [False, False, False, True, True, True, False]
    assert not running
    second, running = repeated_hours(wall[4:6], ambiguous[4:6], int(wall[3]), second=True)
    assert second.tolist() == [True, True]
    assert running


@given(
    st.lists(st.integers(0, 3 * 365 * 24 * 60), min_size=1, max_size=50),
    st.sampled_from(CANDIDATES),
    st.integers(1, 49),
)
def test_a_clock_gives_the_same_utc_however_the_rows_are_cut(
    minutes: list[int], zone: str, cut: int
) -> None:
    wall = np.sort(np.array(minutes, np.int64)) * 60 * 10**9 + 1_500_000_000 * 10**9
    usable = np.ones(len(wall), np.bool_)
    whole, _, _ = Clock(zone).to_utc(wall, usable)
    clock = Clock(zone)
    parts = [clock.to_utc(part, usable[: len(part)])[0] for part in (wall[:cut], wall[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    np.testing.assert_array_equal(whole, wall_to_utc_ns(wall, zone)[0])


def test_weekends_follow_new_york_through_the_clock_changes() -> None:
    march = int(np.datetime64("2024-03-08T12", "ns").astype(np.int64))
    windows = closed_windows(march, march)
    hours = {
        tuple(str(edge.astype("M8[h]")) for edge in window.view("M8[ns]")) for window in windows
    }
    # The clocks change inside this weekend: it closes at 22:00 UTC and opens at 21:00 UTC.
    assert ("2024-03-08T22", "2024-03-10T21") in hours


def test_a_daily_bar_lasts_as_long_as_its_day(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    days = ["2024-03-07", "2024-03-08", "2024-03-11", "2024-03-12", "2024-11-01"]
    path.write_text("\n".join(["date,open,high,low,close", *[f"{d},1,2,1,2" for d in days]]))
    rows = read_bars(path, zone="New_York+7", checks=Checks(spike_fraction=0)).rows
    assert ((rows["end_ns"] - rows["open_ns"]) // HOUR_NS).tolist() == [24, 24, 24, 24, 24]
    berlin = read_bars(path, zone="Europe/Berlin", checks=Checks(market="always")).rows
    assert int(berlin["open_ns"][0]) % (24 * HOUR_NS) == 23 * HOUR_NS
