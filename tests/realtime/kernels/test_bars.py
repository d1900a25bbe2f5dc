"""Time bars: equal to polars, to MetaTrader's own, and to themselves however they are built."""

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.calendar import calendar_named, wall_to_utc_ns
from realtime.kernels.bars import (
    NO_DAY,
    NO_ROOM,
    REFUSED,
    TIME_BAR,
    TIMEFRAMES_NS,
    bars_merge_fold,
    bars_merge_step,
    time_bar_add_step,
    time_bar_close_step,
    time_bars_fold,
    time_bars_step,
)
from realtime.kernels.days import bar_anchor_ns, day_row_fold, day_row_step
from realtime.kernels.layout import BAR, DAY, TICK
from realtime.kernels.pieces import PIECE_STATE, tick_piece_step
from tests.realtime.kernels.tick_streams import (
    DAY_NS,
    HOUR_NS,
    at,
    days_of,
    every_kind_of_bar,
    random_ticks,
    real_ticks,
    record,
    same_bits,
    time_bars,
    without_compiler,
)

MINUTE_NS = TIMEFRAMES_NS["M1"]
OHLC = ["open", "high", "low", "close"]
EXACT = ["open_ns", "end_ns", *OHLC, "ticks", "imbalance"]


def tick(time, bid, ask, volume=0.0):
    row = record(TICK)
    row["time_ns"] = at(time) if isinstance(time, str) else time
    row["bid"], row["ask"], row["volume"] = bid, ask, volume
    return row


def piece_of(time, bid=1.1, spread=0.0001):
    piece = record(BAR)
    assert tick_piece_step(record(PIECE_STATE), tick(time, bid, bid + spread), piece) == 0
    return piece


def bar(open_ns, end_ns, prices=(1.1, 1.2, 1.0, 1.15), ticks=10, **more):
    row = record(BAR)
    row["open_ns"], row["end_ns"] = open_ns, end_ns
    for name, price in zip(OHLC, prices, strict=True):
        row[name] = price
    row["ticks"] = row["volume"] = ticks
    for name, value in more.items():
        row[name] = value
    return row


def merged(bars, timeframe, days):
    state = record(TIME_BAR)
    out = np.zeros(bars.size + 2, BAR)
    count = bars_merge_fold(state, bars, days, 0, days.size, TIMEFRAMES_NS[timeframe], out)
    assert count >= 0
    count += time_bar_close_step(state, int(state["bar"]["end_ns"]), out[count])
    return out[:count].copy()


def polars_bars(ticks, every, offset):
    mid = 0.5 * (ticks["bid"] + ticks["ask"])
    move = np.diff(mid, prepend=mid[0])
    frame = pl.DataFrame(
        {
            "open_ns": pl.from_epoch(pl.Series(ticks["time_ns"]), time_unit="ns"),
            "bid": ticks["bid"],
            "spread": ticks["ask"] - ticks["bid"],
            "sign": np.sign(move).astype(np.int64),
            "square": np.log1p(move / np.concatenate([mid[:1], mid[:-1]])) ** 2,
        }
    )
    return frame.group_by_dynamic("open_ns", every=every, offset=offset).agg(
        open=pl.col("bid").first(),
        high=pl.col("bid").max(),
        low=pl.col("bid").min(),
        close=pl.col("bid").last(),
        ticks=pl.len(),
        imbalance=pl.col("sign").sum(),
        spread_mean=pl.col("spread").mean(),
        spread_max=pl.col("spread").max(),
        realised_variance=pl.col("square").sum(),
    )


# May 2014 is summer time in New York: 17:00 there is 21:00 UTC, and the week starts on Saturday
# evening, 27 hours before polars' Monday.
@pytest.mark.parametrize(
    ("timeframe", "every", "offset"),
    [
        ("M1", "1m", "0m"),
        ("M5", "5m", "0m"),
        ("H1", "1h", "0m"),
        ("H4", "4h", "1h"),
        ("D1", "1d", "21h"),
        ("W1", "1w", "-27h"),
    ],
)
def test_bars_of_real_ticks_equal_those_of_polars(shared_data, timeframe, every, offset):
    ticks = real_ticks(shared_data)
    twin = polars_bars(ticks, every, offset)
    ours = time_bars(ticks, timeframe)

    assert ours.size == len(twin)
    np.testing.assert_array_equal(ours["open_ns"], twin["open_ns"].dt.epoch("ns").to_numpy())
    for name in [*OHLC, "ticks", "imbalance", "spread_max"]:
        np.testing.assert_array_equal(ours[name], twin[name].to_numpy(), err_msg=name)
    # A week is a plain sum over 250,000 ticks, which polars rounds in another order.
    precision = 1e-11 if timeframe == "W1" else 1e-12
    np.testing.assert_allclose(ours["spread_mean"], twin["spread_mean"].to_numpy(), rtol=precision)
    twin_variance = twin["realised_variance"].to_numpy()
    np.testing.assert_allclose(ours["realised_variance"], twin_variance, rtol=1e-9)
    np.testing.assert_array_equal(ours["volume"], ours["ticks"])
    assert np.all(ours["end_ns"] - ours["open_ns"] == TIMEFRAMES_NS[timeframe])


@pytest.mark.parametrize("timeframe", ["M5", "M15", "H1", "H4", "D1", "W1"])
def test_higher_bars_from_m1_bars_equal_those_from_ticks(shared_data, timeframe):
    ticks = real_ticks(shared_data)
    days = days_of(ticks["time_ns"])
    direct = time_bars(ticks, timeframe, days=days)
    climbed = merged(time_bars(ticks, "M1", days=days), timeframe, days)

    assert climbed.size == direct.size
    for name in [*EXACT, "spread_max", "volume"]:
        np.testing.assert_array_equal(climbed[name], direct[name], err_msg=name)
    # A week sums 200,000 ticks in another order.
    for name in ("spread_mean", "realised_variance"):
        np.testing.assert_allclose(climbed[name], direct[name], rtol=1e-11, err_msg=name)


def mt5_export(shared_data, timeframe):
    table = pl.read_csv(
        shared_data / "raw" / "mt5_export" / f"XAUUSD_{timeframe}.csv", separator="\t"
    )
    wall = table.select(
        pl.concat_str("<DATE>", "<TIME>", separator=" ")
        .str.to_datetime("%Y.%m.%d %H:%M:%S")
        .dt.epoch("ns")
    ).to_series()
    # This broker's clock follows European daylight saving: its day starts an hour early from 10 to
    # 28 March 2025.
    utc_ns, ambiguous, missing = wall_to_utc_ns(wall.to_numpy(), "Europe/Athens")
    assert not ambiguous.any()
    assert not missing.any()
    bars = np.zeros(len(table), BAR)
    bars["open_ns"] = utc_ns
    bars["end_ns"] = utc_ns + TIMEFRAMES_NS[timeframe]
    for name in OHLC:
        bars[name] = table[f"<{name.upper()}>"].to_numpy()
    bars["ticks"] = bars["volume"] = table["<TICKVOL>"].to_numpy()
    return bars


@pytest.mark.parametrize(("low", "high"), [("M5", "M15"), ("M5", "H1"), ("M15", "H1")])
def test_merged_bars_equal_metatraders_own(shared_data, low, high):
    lower, higher = mt5_export(shared_data, low), mt5_export(shared_data, high)
    ours = merged(lower, high, days_of(lower["open_ns"], "metals"))

    assert ours.size == higher.size > 4_800
    np.testing.assert_array_equal(ours["open_ns"], higher["open_ns"])
    for name in [*OHLC, "ticks"]:
        np.testing.assert_array_equal(ours[name], higher[name], err_msg=name)


def anchors(ticks, timeframe_ns, days):
    rows = np.zeros(ticks.size, np.int64)
    day_row_fold(days, 0, days.size, np.ascontiguousarray(ticks["time_ns"]), rows)
    found, of = np.unique(rows, return_inverse=True)
    starts = [bar_anchor_ns(days, int(row), 0, timeframe_ns) for row in found]
    return np.array(starts)[of].tolist()


def three_calls(ticks, timeframe_ns, days):
    """As live: close, make a piece, add."""
    state, pieces, piece, out = (record(each) for each in (TIME_BAR, PIECE_STATE, BAR, BAR))
    bars = []
    starts = anchors(ticks, timeframe_ns, days)
    times = ticks["time_ns"].tolist()
    for each, time_ns, start_ns in zip(ticks, times, starts, strict=True):
        if time_bar_close_step(state, time_ns, out):
            bars.append(out.copy())
        if tick_piece_step(pieces, each, piece) == REFUSED:
            continue
        if time_bar_add_step(state, piece, start_ns, timeframe_ns, out) == 1:
            bars.append(out.copy())
    return np.array(bars, BAR)


def one_call(ticks, timeframe_ns, days):
    state, pieces, out = (record(each) for each in (TIME_BAR, PIECE_STATE, BAR))
    bars = []
    for each, start_ns in zip(ticks, anchors(ticks, timeframe_ns, days), strict=True):
        if time_bars_step(state, pieces, each, start_ns, timeframe_ns, out) == 1:
            bars.append(out.copy())
    return np.array(bars, BAR)


@pytest.mark.parametrize(("steps", "count"), [(three_calls, None), (one_call, 100_000)])
def test_steps_equal_the_fold_to_the_bit_on_real_ticks(shared_data, steps, count):
    ticks = real_ticks(shared_data)[:count]
    days = days_of(ticks["time_ns"])
    stepped = steps(ticks, MINUTE_NS, days)
    assert same_bits(stepped, time_bars(ticks, "M1", days=days, flush=False))


@pytest.mark.parametrize("steps", [three_calls, one_call])
@pytest.mark.parametrize("timeframe", ["M1", "M5", "H4", "D1", "W1"])
def test_steps_equal_the_fold_to_the_bit_on_random_ticks(steps, timeframe):
    ticks = random_ticks(4_000, 1, mean_gap_ns=120_000_000_000)
    ticks["bid"][[7, 500, 501]] = np.nan  # refused
    ticks["time_ns"][1000] -= DAY_NS  # stale
    days = days_of(ticks["time_ns"])
    stepped = steps(ticks, TIMEFRAMES_NS[timeframe], days)
    assert stepped.size > 0
    assert same_bits(stepped, time_bars(ticks, timeframe, days=days, flush=False))


def test_merge_steps_equal_the_fold_to_the_bit():
    ticks = random_ticks(5_000, 2)
    days = days_of(ticks["time_ns"])
    lower = time_bars(ticks, "M1", days=days)
    state, out, row, count = record(TIME_BAR), np.zeros(lower.size + 2, BAR), -1, 0
    for each in lower:
        row = day_row_step(days, row, 0, days.size, int(each["open_ns"]))
        anchor_ns = bar_anchor_ns(days, row, 0, 5 * MINUTE_NS)
        count += bars_merge_step(state, each, anchor_ns, 5 * MINUTE_NS, out, count)
    folded = np.zeros(lower.size + 2, BAR)
    done = bars_merge_fold(record(TIME_BAR), lower, days, 0, days.size, 5 * MINUTE_NS, folded)
    assert done == count > 100
    assert same_bits(out, folded)


@pytest.mark.parametrize("timeframe", ["M1", "H1"])
def test_a_truncated_history_gives_a_prefix_of_the_bars(timeframe):
    ticks = random_ticks(6_000, 3)
    days = days_of(ticks["time_ns"])
    whole = time_bars(ticks, timeframe, days=days, flush=False)
    for cut in np.linspace(1, ticks.size - 1, 20).astype(int):
        part = time_bars(ticks[:cut], timeframe, days=days, flush=False)
        assert same_bits(part, whole[: part.size])


def test_chunks_of_any_size_give_the_same_bars():
    ticks = random_ticks(3_000, 4)
    whole = time_bars(ticks, "M1")
    for chunks in (2, 3, 7, 100, 3_000):
        assert same_bits(time_bars(ticks, "M1", chunks=chunks), whole)


def test_plain_python_gives_the_bits_of_the_compiler(tmp_path):
    ticks = random_ticks(3_000, 5)
    assert same_bits(every_kind_of_bar(ticks), without_compiler(every_kind_of_bar, ticks, tmp_path))


def test_plain_python_gives_the_bits_of_the_compiler_on_real_ticks(shared_data, tmp_path):
    ticks = real_ticks(shared_data)[100_000:103_000]
    assert same_bits(every_kind_of_bar(ticks), without_compiler(every_kind_of_bar, ticks, tmp_path))


def test_a_worked_example():
    days = calendar_named("fx").days(at("2024-01-03"), at("2024-01-04"))
    ticks = np.array(
        [
            tick("2024-01-03 10:00:01", 1.1000, 1.1002),
            tick("2024-01-03 10:00:02", 1.1004, 1.1005, volume=3.0),
            tick("2024-01-03 10:00:59.999", 1.0999, 1.1001),
            tick("2024-01-03 10:03:00", 1.1003, 1.1004),
        ],
        TICK,
    )
    first, second = time_bars(ticks, "M1", days=days)

    assert first["open_ns"] == at("2024-01-03 10:00")
    assert first["end_ns"] == at("2024-01-03 10:01")
    assert [first[name] for name in OHLC] == [1.1000, 1.1004, 1.0999, 1.0999]
    assert first["spread_mean"] == pytest.approx((0.0002 + 0.0001 + 0.0002) / 3)
    assert first["spread_max"] == pytest.approx(0.0002)
    assert (first["ticks"], first["volume"], first["imbalance"]) == (3, 5.0, 0)
    expected = np.log(1.10045 / 1.1001) ** 2 + np.log(1.1 / 1.10045) ** 2
    assert first["realised_variance"] == pytest.approx(expected, rel=1e-9)
    # No bar for 10:01 and 10:02; the return over the gap belongs to the tick that ends it.
    assert second["open_ns"] == at("2024-01-03 10:03")
    assert second["realised_variance"] == pytest.approx(np.log(1.10035 / 1.1) ** 2, rel=1e-9)
    assert second["imbalance"] == 1


def test_a_large_move_has_its_logarithm():
    ticks = np.array([tick("2024-01-03 10:00:01", 1.0, 1.0), tick("2024-01-03 10:00:02", 2.0, 2.0)])
    (only,) = time_bars(ticks, "M1")
    assert only["realised_variance"] == pytest.approx(np.log(2.0) ** 2, rel=1e-15)


def test_the_forming_bar_is_complete_after_every_tick():
    ticks = random_ticks(300, 6)
    days = days_of(ticks["time_ns"])
    for count in range(1, ticks.size):
        state = record(TIME_BAR)
        arguments = days, 0, days.size, MINUTE_NS, np.zeros(count + 1, BAR)
        time_bars_fold(state, record(PIECE_STATE), ticks[:count], *arguments)
        assert state["weight"] > 0
        assert same_bits(state["bar"], time_bars(ticks[:count], "M1", days=days)[-1])


def test_the_clock_alone_closes_a_bar():
    state, out = record(TIME_BAR), record(BAR)
    time_ns = at("2024-01-03 10:00:30")
    assert time_bar_add_step(state, piece_of(time_ns), 0, MINUTE_NS, out) == 0
    assert time_bar_close_step(state, at("2024-01-03 10:01:00") - 1, out) == 0
    assert time_bar_close_step(state, at("2024-01-03 10:01:00"), out) == 1
    assert out["open"] == 1.1
    assert time_bar_close_step(state, at("2024-01-03 12:00:00"), out) == 0


def test_a_finished_lower_bar_finishes_the_higher_one_at_once():
    state, out = record(TIME_BAR), record(BAR)
    start = at("2024-01-03 10:00")
    for k in range(4):
        lower = bar(start + k * MINUTE_NS, start + (k + 1) * MINUTE_NS)
        assert time_bar_add_step(state, lower, 0, 5 * MINUTE_NS, out) == 0
    last = bar(start + 4 * MINUTE_NS, start + 5 * MINUTE_NS, prices=(1.0, 1.0, 0.9, 0.95))
    assert time_bar_add_step(state, last, 0, 5 * MINUTE_NS, out) == 1
    assert [out[name] for name in OHLC] == [1.1, 1.2, 0.9, 0.95]
    assert out["ticks"] == 50
    assert state["weight"] == 0


def test_a_piece_beyond_the_forming_bar_finishes_it_even_if_nobody_closed_it():
    state, out = record(TIME_BAR), record(BAR)
    start = at("2024-01-03 10:00")
    time_bar_add_step(state, piece_of(start, bid=1.1), 0, MINUTE_NS, out)
    assert time_bar_add_step(state, piece_of(start + MINUTE_NS, bid=1.2), 0, MINUTE_NS, out) == 1
    assert out["close"] == 1.1
    assert state["bar"]["open"] == 1.2
    assert state["bar"]["open_ns"] == start + MINUTE_NS


@pytest.mark.parametrize("length", [23, 24, 25])
def test_no_bar_reaches_into_the_next_trading_day(length):
    """A day of 23 or 25 hours is not a whole number of H4 bars: the last one is cut."""
    days = np.zeros(3, DAY)
    days["start_ns"] = np.array([0, length, length + 24]) * HOUR_NS
    days["end_ns"] = np.array([length, length + 24, length + 48]) * HOUR_NS
    ticks = np.zeros(48 * 4, TICK)
    ticks["time_ns"] = np.arange(ticks.size) * HOUR_NS // 4
    ticks["bid"] = ticks["ask"] = 1.0
    bars = time_bars(ticks, "H4", days=days)
    assert np.all(bars["open_ns"][1:] >= bars["end_ns"][:-1])
    assert length * HOUR_NS in bars["open_ns"]
    assert bars["ticks"].sum() == ticks.size
    lower = time_bars(ticks, "M15", days=days)
    for name in EXACT:
        np.testing.assert_array_equal(merged(lower, "H4", days)[name], bars[name])


def test_daily_bars_turn_at_five_in_new_york_in_summer_and_winter():
    days = calendar_named("fx").days(at("2024-03-01"), at("2024-03-20"))
    ticks = np.zeros(24 * 20, TICK)
    ticks["time_ns"] = at("2024-03-01") + np.arange(ticks.size) * HOUR_NS
    ticks["bid"] = ticks["ask"] = 1.0
    hours = time_bars(ticks, "D1", days=days)["open_ns"] % DAY_NS // HOUR_NS
    # Clocks changed on Sunday the 10th: Saturday evening is the last winter rollover.
    assert set(hours[1:9]) == {22}
    assert set(hours[10:]) == {21}
    quarters = time_bars(ticks, "H4", days=days)
    assert set(quarters["open_ns"][-30:] % DAY_NS // HOUR_NS) == {1, 5, 9, 13, 17, 21}


# --- what must not corrupt -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        (np.nan, 1.1),
        (1.1, np.nan),
        (0.0, 1.1),
        (-1.0, 1.1),
        (1.1, 1.0999),
        (np.inf, np.inf),
        (1.1, np.inf),
        (-np.inf, 1.1),
    ],
)
def test_a_broken_quote_is_refused_and_changes_nothing(bid, ask):
    pieces, piece, state, out = (record(each) for each in (PIECE_STATE, BAR, TIME_BAR, BAR))
    good = tick("2024-01-03 10:00:00", 1.1, 1.1001)
    assert time_bars_step(state, pieces, good, 0, MINUTE_NS, out) == 0
    tick_piece_step(pieces, good, piece)
    before = pieces.tobytes(), piece.tobytes(), state.tobytes()
    broken = tick("2024-01-03 10:00:01", bid, ask)
    assert tick_piece_step(pieces, broken, piece) == REFUSED
    assert time_bars_step(state, pieces, broken, 0, MINUTE_NS, out) == REFUSED
    assert (pieces.tobytes(), piece.tobytes(), state.tobytes()) == before


def test_a_tick_older_than_the_forming_bar_is_refused_and_changes_nothing():
    state, out = record(TIME_BAR), record(BAR)
    time_bar_add_step(state, piece_of("2024-01-03 10:00:30"), 0, MINUTE_NS, out)
    before = state.tobytes()
    stale = piece_of(at("2024-01-03 10:00:00") - 1)
    assert time_bar_add_step(state, stale, 0, MINUTE_NS, out) == REFUSED
    assert state.tobytes() == before


def test_a_late_tick_never_reopens_a_finished_bar():
    state, out = record(TIME_BAR), record(BAR)
    time_bar_add_step(state, piece_of("2024-01-03 10:00:30"), 0, MINUTE_NS, out)
    assert time_bar_close_step(state, at("2024-01-03 10:01:00"), out) == 1
    before = state.tobytes()
    late = piece_of("2024-01-03 10:00:59")
    assert time_bar_add_step(state, late, 0, MINUTE_NS, out) == REFUSED
    assert state.tobytes() == before


@pytest.mark.parametrize(
    "prices",
    [
        (np.nan, 1.2, 1.0, 1.1),
        (1.1, np.nan, 1.0, 1.1),
        (1.1, 1.2, np.nan, 1.1),
        (1.1, 1.2, 1.0, np.nan),
        (1.1, np.inf, 1.0, 1.1),
        (1.1, 1.2, 0.0, 1.1),
        (1.3, 1.2, 1.0, 1.1),
        (1.1, 1.2, 1.0, 0.9),
        (1.1, 1.0, 1.2, 1.1),
    ],
)
def test_an_unsound_lower_bar_is_refused_and_changes_nothing(prices):
    state, out = record(TIME_BAR), record(BAR)
    start = at("2024-01-03 10:00")
    broken = bar(start + MINUTE_NS, start + 2 * MINUTE_NS, prices=prices)
    assert time_bar_add_step(state, broken, 0, 5 * MINUTE_NS, out) == REFUSED
    assert state.tobytes() == record(TIME_BAR).tobytes()
    time_bar_add_step(state, bar(start, start + MINUTE_NS), 0, 5 * MINUTE_NS, out)
    before = state.tobytes()
    assert time_bar_add_step(state, broken, 0, 5 * MINUTE_NS, out) == REFUSED
    assert state.tobytes() == before


def test_a_bar_longer_than_the_timeframe_is_refused():
    state, out, start = record(TIME_BAR), record(BAR), at("2024-01-03 10:00")
    assert time_bar_add_step(state, bar(start, start + HOUR_NS), 0, MINUTE_NS, out) == REFUSED
    assert time_bar_add_step(state, bar(start, start - 1), 0, MINUTE_NS, out) == REFUSED


def test_a_statistic_missing_from_one_piece_is_missing_from_the_bar():
    start = at("2024-01-03 10:00")
    whole = bar(start, start + MINUTE_NS, spread_mean=0.1, spread_max=0.2)
    for missing_first in (True, False):
        state, out = record(TIME_BAR), record(BAR)
        times = [(start, start + MINUTE_NS), (start + MINUTE_NS, start + 2 * MINUTE_NS)]
        pair = [bar(*times[0]), bar(*times[1], spread_mean=0.1, spread_max=0.2)]
        if not missing_first:
            pair = [whole, bar(*times[1])]
        for name in ("spread_mean", "spread_max", "realised_variance"):
            pair[0 if missing_first else 1][name] = np.nan
        for each in pair:
            assert time_bar_add_step(state, each, 0, 5 * MINUTE_NS, out) == 0
        assert np.isnan(state["bar"]["spread_mean"])
        assert np.isnan(state["bar"]["spread_max"])
        assert np.isnan(state["bar"]["realised_variance"])
        # The next bar starts afresh.
        later = bar(start + HOUR_NS, start + HOUR_NS + MINUTE_NS, spread_mean=0.3, spread_max=0.4)
        assert time_bar_add_step(state, later, 0, 5 * MINUTE_NS, out) == 1
        assert (state["bar"]["spread_mean"], state["bar"]["spread_max"]) == (0.3, 0.4)


def test_bars_without_a_tick_count_still_have_a_mean_spread():
    state, out, start = record(TIME_BAR), record(BAR), at("2024-01-03 10:00")
    for k, spread in enumerate((0.1, 0.3)):
        times = start + k * MINUTE_NS, start + (k + 1) * MINUTE_NS
        time_bar_add_step(state, bar(*times, ticks=0, spread_mean=spread), 0, 5 * MINUTE_NS, out)
    assert state["bar"]["spread_mean"] == pytest.approx(0.2)
    assert state["bar"]["ticks"] == 0


def test_a_tick_outside_the_calendar_is_said_and_not_dropped():
    ticks = random_ticks(10, 7)
    days = calendar_named("fx").days(at("2020-01-01"), at("2020-02-01"))
    arguments = days, 0, days.size, MINUTE_NS, np.zeros(20, BAR)
    assert time_bars_fold(record(TIME_BAR), record(PIECE_STATE), ticks, *arguments) == NO_DAY
    lower = np.array([bar(int(ticks["time_ns"][0]), int(ticks["time_ns"][0]) + MINUTE_NS)], BAR)
    assert bars_merge_fold(record(TIME_BAR), lower, *arguments) == NO_DAY


def test_a_full_output_is_said_and_n_plus_one_is_enough():
    days = calendar_named("fx").days(at("2024-01-03"), at("2024-01-04"))
    ticks = np.array([tick(at("2024-01-03") + k * MINUTE_NS, 1.0, 1.0) for k in range(5)], TICK)

    def fold(room):
        state, pieces = record(TIME_BAR), record(PIECE_STATE)
        first = tick(at("2024-01-03") - MINUTE_NS, 1.0, 1.0)
        time_bars_step(state, pieces, first, int(days["start_ns"][0]), MINUTE_NS, record(BAR))
        arguments = days, 0, days.size, MINUTE_NS, np.zeros(room, BAR)
        return time_bars_fold(state, pieces, ticks, *arguments)

    assert fold(6) == 5
    assert fold(3) == NO_ROOM
    lower = time_bars(ticks, "M1", days=days)
    state, out = record(TIME_BAR), np.zeros(3, BAR)
    assert bars_merge_fold(state, lower, days, 0, days.size, MINUTE_NS, out) == NO_ROOM


# --- properties ----------------------------------------------------------------------------------

STREAM = st.lists(
    st.tuples(
        st.integers(0, 10 * MINUTE_NS),  # time since the tick before
        st.integers(90_000, 110_000),  # bid in points
        st.integers(-2, 30),  # spread in points: some are crossed
        st.sampled_from([0.0, 1.0, 2.5, float("nan")]),
    ),
    min_size=1,
    max_size=120,
)
STREAM_DAYS = calendar_named("fx").days(at("2024-03-08"), at("2024-03-12"))


def stream_ticks(rows):
    ticks = np.zeros(len(rows), TICK)
    ticks["time_ns"] = at("2024-03-08 20:30") + np.cumsum([row[0] for row in rows])
    ticks["bid"] = [row[1] * 1e-5 for row in rows]
    ticks["ask"] = ticks["bid"] + [row[2] * 1e-5 for row in rows]
    ticks["volume"] = [row[3] for row in rows]
    return ticks


@given(rows=STREAM, timeframe=st.sampled_from(["M1", "M5", "H1", "H4", "D1", "W1"]))
def test_nothing_is_lost_and_nothing_invented(rows, timeframe):
    ticks = stream_ticks(rows)
    bars = time_bars(ticks, timeframe, days=STREAM_DAYS)
    sound = ticks[ticks["ask"] >= ticks["bid"]]

    assert bars["ticks"].sum() == sound.size
    if sound.size == 0:
        assert bars.size == 0
        return
    volume = np.where(sound["volume"] > 0, sound["volume"], 1.0)
    assert bars["volume"].sum() == pytest.approx(volume.sum())
    assert bars["open"][0] == sound["bid"][0]
    assert bars["close"][-1] == sound["bid"][-1]
    assert bars["high"].max() == sound["bid"].max()
    assert bars["low"].min() == sound["bid"].min()
    mid = 0.5 * (sound["bid"] + sound["ask"])
    assert bars["imbalance"].sum() == np.sign(np.diff(mid)).sum()
    total = (np.diff(np.log(mid)) ** 2).sum()
    assert bars["realised_variance"].sum() == pytest.approx(total, rel=1e-6, abs=1e-18)
    spread = sound["ask"] - sound["bid"]
    assert (bars["spread_mean"] * bars["ticks"]).sum() == pytest.approx(spread.sum(), abs=1e-12)
    assert bars["spread_max"].max() == spread.max()
    assert np.all(bars["spread_mean"] <= bars["spread_max"] * (1 + 1e-12))
    assert np.all(bars["ticks"] > 0)
    assert np.all(bars["low"] <= np.minimum(bars["open"], bars["close"]))
    assert np.all(bars["high"] >= np.maximum(bars["open"], bars["close"]))
    assert np.all(np.diff(bars["open_ns"]) > 0)
    assert np.all(bars["open_ns"][1:] >= bars["end_ns"][:-1])


@given(rows=STREAM, timeframe=st.sampled_from(["M5", "M15", "H4", "D1"]))
def test_climbing_from_m1_equals_building_from_ticks(rows, timeframe):
    ticks = stream_ticks(rows)
    direct = time_bars(ticks, timeframe, days=STREAM_DAYS)
    climbed = merged(time_bars(ticks, "M1", days=STREAM_DAYS), timeframe, STREAM_DAYS)
    for name in EXACT:
        np.testing.assert_array_equal(climbed[name], direct[name], err_msg=name)
