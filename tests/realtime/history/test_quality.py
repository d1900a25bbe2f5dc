"""Every row is kept, quarantined or dropped as a repeat; true jumps are never taken for spikes."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.history import reasons
from realtime.history.order import backwards
from realtime.history.quality import Checker, Checks
from realtime.history.raw import NO_TIME, Raw, concatenate, raw, take
from realtime.history.read import read_any, read_bars, read_ticks
from realtime.history.report import Report
from realtime.history.spikes import spikes
from realtime.history.tally import Tally

Weeks = Callable[..., pl.DataFrame]
MONDAY_NS = int(np.datetime64("2024-01-08T10", "ns").astype(np.int64))
SECOND_NS = 10**9


def longest_run(values: list[int]) -> int:
    """Length of a longest non-decreasing subsequence, by the definition."""
    best = [1] * len(values)
    for i, value in enumerate(values):
        for j in range(i):
            if values[j] <= value:
                best[i] = max(best[i], best[j] + 1)
    return max(best, default=0)


@given(st.lists(st.integers(0, 30), max_size=40), st.integers(-1, 15))
def test_the_fewest_rows_are_taken_out_to_restore_order(times: list[int], floor: int) -> None:
    array = np.array(times, np.int64)
    out = backwards(array, floor)
    kept = array[~out]
    assert (np.diff(kept) >= 0).all()
    assert (kept >= floor).all()
    assert len(kept) == longest_run([time for time in times if time >= floor])


@given(st.integers(3, 200), st.integers(1, 3), st.floats(0.01, 5.0), st.booleans())
def test_a_print_that_comes_back_is_a_spike(at: int, length: int, jump: float, up: bool) -> None:
    prices = 1.1 + 0.00001 * np.sin(np.arange(300.0) * 1.7)
    prices[at : at + length] *= 1 + jump if up else 1 / (1 + jump)
    marked = spikes(prices, np.empty(0), 0.002, 50.0)
    assert np.flatnonzero(marked).tolist() == list(range(at, at + length))


@given(st.integers(3, 250), st.floats(0.01, 5.0), st.booleans())
def test_a_jump_that_stays_is_never_a_spike(at: int, jump: float, up: bool) -> None:
    prices = 1.1 + 0.00001 * np.sin(np.arange(300.0) * 1.7)
    prices[at:] *= 1 + jump if up else 1 / (1 + jump)
    assert not spikes(prices, np.empty(0), 0.002, 50.0).any()


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=60), st.integers(1, 59))
def test_spikes_are_the_same_with_the_rows_before_given_as_context(
    prices: list[float], cut: int
) -> None:
    array = np.array([1.0, *prices])
    whole = spikes(array, np.empty(0), 0.1, 3.0)
    kept = array[:cut][~whole[:cut]]
    if whole[max(0, cut - 3) : cut].any() or len(kept) < cut:
        return  # what is cut off inside a spike is judged with it
    np.testing.assert_array_equal(spikes(array[cut:], kept, 0.1, 3.0), whole[cut:])


def test_volatile_rows_are_no_spikes() -> None:
    generator = np.random.default_rng(7)
    prices = 100 * np.exp(np.cumsum(generator.normal(0, 0.004, 5000)))
    assert not spikes(prices, np.empty(0), 0.002, 50.0).any()


def rows_of(values: list[tuple[int, float, float]]) -> Raw:
    table = np.array(values, np.float64).reshape(-1, 3)
    time = MONDAY_NS + table[:, 0].astype(np.int64) * SECOND_NS
    row = np.arange(1, len(table) + 1)
    return raw(row, time, {"bid": table[:, 1].copy(), "ask": table[:, 2].copy()})


PRICE = st.one_of(
    st.floats(1.0, 1.2), st.sampled_from([0.0, -1.0, float("nan"), float("inf"), 50.0, 1.1])
)
ROW = st.tuples(st.integers(-50, 4000), PRICE, PRICE)


def run(rows: Raw, cuts: list[int]) -> tuple[Raw, Tally]:
    tally = Tally("made up")
    checker = Checker("ticks", "fx", Checks(), 0, 1e-5, tally)
    edges = [0, *sorted(cut for cut in cuts if cut < len(rows)), len(rows)]
    kept = [
        checker.push(take(rows, slice(start, stop)), final=stop == len(rows))
        for start, stop in pairwise(edges)
    ]
    return concatenate(kept), tally


@settings(max_examples=150)
@given(st.lists(ROW, max_size=80), st.lists(st.integers(0, 80), max_size=4, unique=True))
def test_no_row_is_lost_and_cutting_into_chunks_changes_nothing(
    values: list[tuple[int, float, float]], cuts: list[int]
) -> None:
    rows = rows_of(values)
    whole, tally = run(rows, [])
    dropped = sum(tally.counts(reasons.DUPLICATE, reasons.DUPLICATE).values())
    quarantine = tally.quarantine()
    assert tally.read == len(rows)
    assert tally.kept + quarantine.height + dropped == len(rows)
    assert (np.diff(whole.time_ns) >= 0).all()
    assert (whole.columns["bid"] > 0).all()
    assert (whole.columns["ask"] >= whole.columns["bid"]).all()
    assert len({*whole.row.tolist(), *quarantine["row"].to_list()}) == len(rows) - dropped
    parts, tally_of_parts = run(rows, cuts)
    np.testing.assert_array_equal(parts.row, whole.row)
    assert tally_of_parts.quarantine().equals(quarantine)


def test_a_late_outlier_at_the_end_of_a_chunk_does_not_condemn_the_next(tmp_path: Path) -> None:
    lines = [f"{1_704_700_800 + i},1.10000,1.10010" for i in range(5000)]
    lines[1499] = "1704999999,1.10000,1.10010"
    path = tmp_path / "EURUSD.csv"
    path.write_text("\n".join(["time,bid,ask", *lines]))
    imported = read_any(path, block_bytes=len("1704700800,1.10000,1.10010\n") * 1500)
    assert dict(imported.report.quarantined) == {"backwards": 1}
    assert imported.quarantine["row"].to_list() == [1501]


def test_files_in_the_wrong_order_are_sorted_and_it_is_said(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2024-01-02", "2024-03-01").select(
        time="utc", bid="bid", ask=(pl.col("bid") + 1e-4).round(5)
    )
    path = tmp_path / "EURUSD.parquet"
    pl.concat([frame[500:], frame[:500]]).write_parquet(path)
    imported = read_ticks(path)
    assert imported.report.rows_kept == frame.height
    assert imported.report.repaired == {"sorted": frame.height}
    assert (np.diff(imported.rows["time_ns"]) > 0).all()
    frame.reverse().write_parquet(path)
    backward = read_ticks(path)
    np.testing.assert_array_equal(backward.rows["time_ns"], imported.rows["time_ns"])
    np.testing.assert_array_equal(backward.rows["bid"], imported.rows["bid"])


def test_blank_mt5_prices_are_filled_forward_across_blocks(tmp_path: Path) -> None:
    header = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>"
    lines = ["2024.01.08\t10:00:00.000\t1.10000\t1.10010\t\t\t6"]
    lines += [
        f"2024.01.08\t10:{i // 60:02d}:{i % 60:02d}.000\t\t{1.1001 + i / 1e5:.5f}\t\t\t4"
        for i in range(1, 600)
    ]
    path = tmp_path / "EURUSD.csv"
    path.write_text("\r\n".join([header, *lines]) + "\r\n")
    for block_bytes in (300, 1 << 20):
        imported = read_any(path, zone="UTC", block_bytes=block_bytes)
        assert (imported.rows["bid"] == 1.1).all()
        assert imported.report.repaired == {"filled_forward": 599}
        assert imported.rows["ask"][-1] == 1.1001 + 0.00599
        assert np.isnan(imported.rows["last"]).all()
        assert imported.rows["flags"].tolist() == [6] + [4] * 599
        assert imported.rows["seq"].tolist() == list(range(600))


def test_arrays_of_the_metatrader_package_are_read() -> None:
    rates = np.zeros(
        50,
        [
            *(("time", "<i8"), ("open", "<f8"), ("high", "<f8"), ("low", "<f8"), ("close", "<f8")),
            *(("tick_volume", "<u8"), ("spread", "<i4"), ("real_volume", "<u8")),
        ],
    )
    rates["time"] = 1_704_708_000 + 60 * np.arange(50)
    rates["open"] = rates["low"] = rates["close"] = 1.10001
    rates["high"], rates["tick_volume"], rates["spread"] = 1.1002, 7, 12
    bars = read_bars(rates, "EURUSD", zone="New_York+7")
    assert bars.report.format == "mt5_rates"
    assert bars.rows["open_ns"][0] == (1_704_708_000 - 2 * 3600) * SECOND_NS
    assert bars.rows["spread_mean"][0] == pytest.approx(0.00012)
    assert bars.rows["volume"][0] == bars.rows["ticks"][0] == 7
    ticks = np.zeros(
        50,
        [
            *(("time", "<i8"), ("bid", "<f8"), ("ask", "<f8"), ("last", "<f8"), ("volume", "<u8")),
            *(("time_msc", "<i8"), ("flags", "<u4"), ("volume_real", "<f8")),
        ],
    )
    ticks["time_msc"] = 1_704_708_000_123 + 1000 * np.arange(50)
    ticks["bid"], ticks["ask"], ticks["flags"] = 1.1, 1.1001, 134
    ticks["bid"][20] = 0.0  # an empty book
    imported = read_ticks(ticks, "EURUSD", zone="UTC")
    assert imported.rows["time_ns"][0] == 1_704_708_000_123_000_000
    assert dict(imported.report.quarantined) == {"non_positive": 1}
    assert imported.rows["flags"][0] == 134
    assert np.isnan(imported.rows["last"]).all()


def test_a_price_without_bid_and_ask_stands_for_both_and_it_is_said(tmp_path: Path) -> None:
    path = tmp_path / "BTCUSD.csv"
    path.write_text("timestamp,price,qty\n1704708000000,45000.5,0.1\n1704708001000,45001.5,0.2\n")
    imported = read_any(path)
    assert imported.rows["bid"].tolist() == imported.rows["ask"].tolist() == [45000.5, 45001.5]
    assert imported.rows["volume"].tolist() == [0.1, 0.2]
    assert any("stands for both" in note for note in imported.report.notes)


def test_a_spread_is_assumed_only_where_asked_and_only_where_there_is_none(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    rows = [f"2024-01-08 10:{i:02d}:00,1.1,1.2,1.0,1.1" for i in range(9)]
    path.write_text("\n".join(["time,open,high,low,close", *rows]))
    absent = read_bars(path, zone="UTC")
    assert np.isnan(absent.rows["spread_mean"]).all()
    assert any("no spreads in the source" in note for note in absent.report.notes)
    assumed = read_bars(path, zone="UTC", assumed_spread=0.0001)
    assert (assumed.rows["spread_mean"] == 0.0001).all()
    assert any("0.0001 is assumed" in note for note in assumed.report.notes)
    path.write_text("\n".join(["time,open,high,low,close,spread", *[f"{row},3" for row in rows]]))
    given = read_bars(path, zone="UTC", assumed_spread=7.0, point=1e-5)
    assert given.rows["spread_mean"].tolist() == pytest.approx([3e-5] * 9)


def test_gaps_leave_out_the_weekend(weeks: Weeks, tmp_path: Path) -> None:
    frame = weeks("2024-01-07", "2024-02-01", every="1m").filter(
        (pl.col("utc") < pl.datetime(2024, 1, 17, 9, time_zone="UTC"))
        | (pl.col("utc") >= pl.datetime(2024, 1, 17, 12, time_zone="UTC"))
    )
    path = tmp_path / "EURUSD.parquet"
    frame.select(time="utc", bid="bid", ask=pl.col("bid") + 1e-4).write_parquet(path)
    report = read_ticks(path).report
    assert report.gap_count == 1
    assert report.gaps[0].open_seconds == 3 * 3600 + 60
    assert "2024-01-17 08:59:00.000 to 2024-01-17 12:00:00.000" in report.to_text()


def test_a_report_can_be_kept_as_json(tmp_path: Path) -> None:
    import json

    path = tmp_path / "BTCUSD.csv"
    path.write_text("timestamp,price\n1704708000000,45000.5\n1704708001000,-1\n")
    report: Report = read_any(path).report
    values: dict[str, Any] = json.loads(report.to_json())
    assert values["rows_quarantined"] == 1
    assert values["quarantined"] == {"non_positive": 1}
    assert values["examples"]["non_positive"] == ["row 3: 1704708001000,-1"]


def test_every_reason_has_a_name_a_meaning_and_a_remedy() -> None:
    names = [reason.name for reason in reasons.REASONS.values()]
    assert len(set(names)) == len(names)
    assert all(len(reason.meaning) > 5 for reason in reasons.REASONS.values())
    assert all(len(reasons.REASONS[code].remedy) > 5 for code in reasons.QUARANTINED)
    assert NO_TIME < 0
