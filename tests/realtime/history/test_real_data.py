"""Every real file is read whole, and different files of one market agree with each other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from realtime.history import errors
from realtime.history.dukascopy import dukascopy_source
from realtime.history.read import Imported, read_any, read_bars, read_ticks

HOUR_NS = 3600 * 10**9
MOVED = "Europe/Berlin until 2014-11-23, EET"
# Rows as documented beside the data; format, clock, how it was found, and what was kept out.
EXPECTED = {
    "raw/mt5_export/XAUUSD_M5.csv": (58_230, "mt5_bars", "EET", "detected", {}),
    "raw/mt5_export/XAUUSD_M15.csv": (19_418, "mt5_bars", "EET", "detected", {}),
    "raw/mt5_export/XAUUSD_H1.csv": (4_858, "mt5_bars", "EET", "detected", {}),
    "raw/mt5_csv/EURUSD_15M.csv": (24_424, "mt5_csv", "EET", "detected", {}),
    "raw/dukascopy_bi5": (136_741, "dukascopy_ticks", "UTC", "stated", {}),
    "bars/EURUSD_H1_oanda_2007-2018.parquet": (74_439, "parquet", "UTC", "stated", {}),
    "bars/XAUUSD_H1_oanda_2006-2019.parquet": (76_499, "parquet", "UTC", "stated", {}),
    "bars/EURUSD_M1_bid_2017H1.parquet": (186_348, "parquet", "UTC", "stated", {}),
    "bars/GBPUSD_H1_eet_2012-2022.parquet": (57_600, "parquet", MOVED, "detected", {}),
    "bars/EURJPY_H1_eet_2012-2022.parquet": (57_600, "parquet", MOVED, "detected", {}),
    "ticks/EURUSD_oanda_2014-05.parquet": (532_903, "parquet", "UTC", "stated", {}),
    "ticks/XAUUSD_oanda_2014-05.parquet": (2_022_969, "parquet", "UTC", "stated", {}),
    "ticks/EURUSD_fxcm_2014-05_dirty.parquet": (
        *(1_144_807, "parquet", "UTC", "stated"),
        {"crossed": 116_871, "weekend": 1_002},
    ),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_a_real_file_is_recognised_and_every_row_is_accounted_for(
    shared_data: Path, name: str
) -> None:
    rows, kind, zone, how, quarantined = EXPECTED[name]
    imported = read_any(shared_data / name)
    report = imported.report
    assert (report.rows_read, report.format) == (rows, kind)
    assert (report.zone, report.zone_how) == (zone, how)
    assert dict(report.quarantined) == quarantined
    lost = rows - report.rows_kept - report.rows_quarantined - sum(report.dropped.values())
    assert lost == 0
    assert len(imported.rows) == report.rows_kept
    assert imported.quarantine.height == report.rows_quarantined
    time = imported.rows["time_ns" if report.kind == "ticks" else "open_ns"]
    assert (np.diff(time) >= (0 if report.kind == "ticks" else 1)).all()


def test_a_feed_too_ragged_to_tell_its_clock_is_refused_with_the_likeliest_one(
    shared_data: Path,
) -> None:
    path = shared_data / "bars/USDJPY_H1_eet_2012-2022.parquet"
    with pytest.raises(errors.ZoneUndecided, match=f"the likeliest is '{MOVED}'"):
        read_bars(path)
    report = read_bars(path, zone=MOVED).report
    assert report.rows_read == 57_600
    assert report.rows_kept + report.rows_quarantined == 57_600


def test_the_package_csv_needs_its_zone_and_loses_its_float_noise(shared_data: Path) -> None:
    path = shared_data / "raw/mt5_python/EURUSD_M1.csv"
    with pytest.raises(errors.ZoneUndecided, match="server clock"):
        read_bars(path)
    imported = read_bars(path, zone="New_York+7")
    assert (imported.report.format, imported.timeframe) == ("mt5_python", "M1")
    assert imported.report.rows_kept == 500
    assert imported.report.repaired == {"float_noise": 149}
    assert imported.rows["close"][3] == 1.14454  # the file says 1.1445400000000001
    assert imported.rows["spread_mean"][0] == pytest.approx(8e-5)
    assert imported.rows["ticks"][0] == 20


@pytest.mark.parametrize(("symbol", "rows"), [("BTCUSD", 694), ("ETHUSD", 536)])
def test_the_json_ticks_need_their_zone(shared_data: Path, symbol: str, rows: int) -> None:
    (path,) = (shared_data / "raw/mt5_ticks_json").glob(f"{symbol}_*.json")
    with pytest.raises(errors.ZoneUndecided, match=r"\+1\.00 hours"):
        read_ticks(path)
    imported = read_ticks(path, zone="New_York+7")
    assert (imported.symbol, imported.report.rows_kept) == (symbol, rows)
    assert set(np.unique(imported.rows["flags"])) <= {2, 4, 6}


def test_bars_of_one_feed_agree_across_timeframes(shared_data: Path) -> None:
    folder = shared_data / "raw/mt5_export"
    m5, m15, h1 = (read_bars(folder / f"XAUUSD_{tf}.csv").rows for tf in ("M5", "M15", "H1"))
    for fine, coarse, minutes in ((m5, m15, 15), (m5, h1, 60), (m15, h1, 60)):
        bucket = fine["open_ns"] // (minutes * 60 * 10**9)
        start = np.flatnonzero(np.diff(bucket, prepend=bucket[0] - 1))
        opens = bucket[start] * minutes * 60 * 10**9
        high = np.maximum.reduceat(fine["high"], start)
        low = np.minimum.reduceat(fine["low"], start)
        _, mine, theirs = np.intersect1d(opens, coarse["open_ns"], return_indices=True)
        assert len(mine) > 0.99 * len(coarse)
        assert (high[mine] == coarse["high"][theirs]).mean() > 0.999
        assert (low[mine] == coarse["low"][theirs]).mean() > 0.999
        assert (fine["open"][start][mine] == coarse["open"][theirs]).mean() > 0.999


def test_dukascopy_ticks_make_the_bars_of_dukascopy(shared_data: Path) -> None:
    folder = shared_data / "raw/dukascopy_bi5"
    ticks = read_ticks(folder).rows
    bars = read_bars(folder).rows
    minute = ticks["time_ns"] // (60 * 10**9)
    start = np.flatnonzero(np.diff(minute, prepend=minute[0] - 1))
    assert len(bars) == len(start) == 1440
    np.testing.assert_array_equal(minute[start] * 60 * 10**9, bars["open_ns"])
    np.testing.assert_array_equal(ticks["bid"][start], bars["open"])
    np.testing.assert_array_equal(np.maximum.reduceat(ticks["bid"], start), bars["high"])
    np.testing.assert_array_equal(np.minimum.reduceat(ticks["bid"], start), bars["low"])
    np.testing.assert_array_equal(ticks["bid"][np.append(start[1:], len(ticks)) - 1], bars["close"])


def test_one_hour_of_dukascopy_is_the_hour_that_its_path_says(shared_data: Path) -> None:
    path = shared_data / "raw/dukascopy_bi5/EURUSD/2019/01/04/13h_ticks.bi5"
    times = read_ticks(path).rows["time_ns"]
    hour = int(np.datetime64("2019-02-04T13", "ns").astype(np.int64))
    assert (times // HOUR_NS == hour // HOUR_NS).all()
    assert dukascopy_source(path).symbol == "EURUSD"


def _mid_at(ticks: np.ndarray, times: np.ndarray) -> np.ndarray:
    at = np.searchsorted(ticks["time_ns"], times, side="right") - 1
    return (ticks["bid"][at] + ticks["ask"][at]) / 2


def test_the_cleaned_dirty_ticks_follow_the_clean_ones(shared_data: Path) -> None:
    dirty = read_ticks(shared_data / "ticks/EURUSD_fxcm_2014-05_dirty.parquet")
    clean = read_ticks(shared_data / "ticks/EURUSD_oanda_2014-05.parquet")
    assert (dirty.rows["ask"] >= dirty.rows["bid"]).all()
    assert dirty.report.noted["zero_spread"] == 142_460
    sampled = clean.rows["time_ns"][5000::50]
    sampled = sampled[(sampled > dirty.rows["time_ns"][0]) & (sampled < dirty.rows["time_ns"][-1])]
    apart = np.abs(_mid_at(dirty.rows, sampled) - _mid_at(clean.rows, sampled))
    assert np.median(apart) < 0.3e-4
    assert np.quantile(apart, 0.999) < 3e-4


def _hours(imported: Imported, name: str) -> pl.DataFrame:
    return pl.DataFrame({"t": imported.rows["open_ns"], name: imported.rows["close"]})


def test_broker_time_bars_fall_on_the_same_hours_as_utc_bars_in_every_month(
    shared_data: Path,
) -> None:
    """The feed moved from Berlin to Athens time in November 2014: both are found by themselves."""
    euro_yen = read_bars(shared_data / "bars/EURJPY_H1_eet_2012-2022.parquet")
    yen = read_bars(shared_data / "bars/USDJPY_H1_eet_2012-2022.parquet", zone=MOVED)
    euro = read_bars(shared_data / "bars/EURUSD_H1_oanda_2007-2018.parquet")
    # EURJPY / USDJPY is EURUSD, hour by hour: one hour off and the changes no longer agree.
    joined = _hours(euro_yen, "eurjpy").join(_hours(yen, "usdjpy"), on="t")
    joined = joined.join(_hours(euro, "eurusd"), on="t").sort("t")
    implied = (joined["eurjpy"] / joined["usdjpy"]).log().diff().to_numpy()[1:]
    stated = joined["eurusd"].log().diff().to_numpy()[1:]
    month = joined["t"].cast(pl.Datetime("ns")).dt.strftime("%Y-%m").to_numpy()[1:]
    months = np.unique(month)
    assert len(months) == 74
    for this in months:
        here = month == this
        assert np.corrcoef(implied[here], stated[here])[0, 1] > 0.6
    assert np.corrcoef(implied, stated)[0, 1] > 0.97


def test_utc_m1_bars_agree_with_utc_h1_bars_of_another_source(shared_data: Path) -> None:
    minutes = read_bars(shared_data / "bars/EURUSD_M1_bid_2017H1.parquet")
    hours = read_bars(shared_data / "bars/EURUSD_H1_oanda_2007-2018.parquet")
    rows = minutes.rows
    last = np.flatnonzero(np.diff(rows["open_ns"] // HOUR_NS, append=0))
    fine = pl.DataFrame({"t": rows["open_ns"][last] // HOUR_NS * HOUR_NS, "m": rows["close"][last]})
    joined = fine.join(_hours(hours, "h"), on="t")
    assert joined.height > 2_900
    assert np.quantile(np.abs((joined["m"] - joined["h"]).to_numpy()), 0.99) < 3e-4
