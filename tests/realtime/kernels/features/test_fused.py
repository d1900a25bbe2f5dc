"""Fused features: one kernel for a choice, live and history at once."""

import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.calendar import calendar_named
from realtime.kernels.bars import TIMEFRAMES_NS
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import BAR, DAY, QUOTE, TICK
from tests.realtime.kernels.features.folds import random_bars, without_compiler
from tests.realtime.kernels.features.fused_runs import (
    EVERY,
    MIXED,
    day_rows,
    fold,
    live,
    some_ticks,
)
from tests.realtime.kernels.tick_streams import (
    at,
    days_of,
    random_ticks,
    real_ticks,
    same_bits,
    time_bars,
)

# --- one implementation, live and in history ---------------------------------------------------


def test_steps_equal_the_fold_bit_for_bit_on_made_ticks():
    ticks = some_ticks()
    check_steps_equal_fold(EVERY, ticks)
    check_steps_equal_fold(MIXED, ticks)


def test_steps_equal_the_fold_bit_for_bit_on_half_a_million_real_ticks(shared_data):
    check_steps_equal_fold(EVERY, real_ticks(shared_data))


def check_steps_equal_fold(names, ticks):
    fused = FeatureSet(features=names).compile()
    days = days_of(ticks["time_ns"])
    rows, state, done = day_rows(ticks, days), fused.state(), 0
    for times_ns, expected in fused.history(ticks, days, clock="tick", chunk=4_096):
        part = slice(done, done + len(times_ns))
        got, finished = live(fused, state, ticks[part], days, rows[part])
        assert same_bits(got, expected)
        assert (finished & 1).all()
        assert (times_ns == ticks["time_ns"][part]).all()
        done += len(times_ns)
    assert done == len(ticks)


def check_prefixes(ticks):
    """Fold truncated histories, in other chunks, against the whole: checksums of all rows."""
    fused = FeatureSet(features=MIXED).compile()
    days = days_of(ticks["time_ns"])
    cuts = np.linspace(0, len(ticks), 22).astype(int)[1:-1] + 1
    sums, done, checksum = {}, 0, 0
    quotes, state = np.zeros(1, QUOTE), fused.state()
    for cut in cuts:
        part = ticks[done:cut]
        for _, rows in fused.history(part, days, clock="tick", state=state, quotes=quotes):
            checksum = zlib.crc32(rows.tobytes(), checksum)
        sums[cut] = checksum
        done = cut
    for cut in cuts:
        checksum = 0
        for _, rows in fused.history(ticks[:cut], days, clock="tick", chunk=9_973):
            checksum = zlib.crc32(rows.tobytes(), checksum)
        assert checksum == sums[cut]


def test_a_truncated_history_is_a_prefix_of_the_whole_on_made_ticks():
    check_prefixes(some_ticks())


def test_a_truncated_history_is_a_prefix_of_the_whole_on_real_ticks(shared_data):
    check_prefixes(real_ticks(shared_data))


@settings(max_examples=15)
@given(chunk=st.integers(1, 700), clock=st.sampled_from(["tick", "m1", "h1", "d1"]))
def test_chunks_of_any_size_give_the_same_bits(chunk, clock):
    ticks = some_ticks(1_500)
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    whole, parts = fold(fused, ticks, days, clock), fold(fused, ticks, days, clock, chunk)
    assert same_bits(parts[0], whole[0])
    assert same_bits(parts[1], whole[1])


def test_a_state_saved_as_bytes_goes_on_where_it_stopped():
    ticks = some_ticks(2_000)
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    rows = day_rows(ticks, days)
    state = fused.state()
    live(fused, state, ticks[:1_000], days, rows[:1_000])
    saved = np.frombuffer(bytearray(state.tobytes()), fused.state_dtype)
    expected, _ = live(fused, state, ticks[1_000:], days, rows[1_000:])
    got, _ = live(fused, saved, ticks[1_000:], days, rows[1_000:])
    assert same_bits(got, expected)


def mixed_rows(ticks):
    """All rows of the mixed set, live; for a process without the compiler too."""
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    return live(fused, fused.state(), ticks, days, day_rows(ticks, days))[0]


def every_row(ticks):
    """The same of every feature on the tick clock."""
    fused, days = FeatureSet(features=EVERY).compile(), days_of(ticks["time_ns"])
    return fold(fused, ticks, days, "tick")[1]


PLAIN = """
import sys
import numpy as np
from tests.realtime.kernels.features import test_fused as here
np.save(sys.argv[1], here.{rows_of}(here.some_ticks({count})))
"""


@pytest.mark.parametrize(("rows_of", "count"), [(mixed_rows, 1_000), (every_row, 250)])
def test_plain_python_gives_the_same_bits(rows_of, count, tmp_path):
    script = PLAIN.format(rows_of=rows_of.__name__, count=count)
    plain = without_compiler(script, tmp_path / "plain.npy")
    assert same_bits(plain, rows_of(some_ticks(count)))


# --- clocks and bars ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["m1", "m5", "h1", "h4"])
def test_bars_made_of_ticks_give_what_those_bars_give_when_fed(name):
    ticks = random_ticks(12_000, seed=8, mean_gap_ns=40_000_000_000)
    days = days_of(ticks["time_ns"])
    chosen = tuple(
        f"{name}_{each}"
        for each in ("rsi_3", "atr_2", "obv", "minutes_to_rollover", "day_of_week_sin", "spread")
    )
    from_ticks = fold(FeatureSet(features=chosen).compile(), ticks, days, name)[1]
    bars = time_bars(ticks, name.upper(), days=days)
    fed = FeatureSet(features=chosen, feed=name).compile()
    times_ns, from_bars = fold(fed, bars, days, name)
    assert len(from_ticks) > 10
    assert same_bits(from_ticks, from_bars[: len(from_ticks)])
    assert (times_ns == bars["end_ns"]).all()


def test_higher_bars_can_be_built_from_lower_ones():
    ticks = random_ticks(12_000, seed=9)
    days = days_of(ticks["time_ns"])
    chosen = ("h1_rsi_3", "m5_obv", "h1_rolling_max_5")
    minutes = time_bars(ticks, "M1", days=days)
    built = fold(FeatureSet(features=chosen, feed="m1").compile(), minutes, days, "h1")[1]
    hours = time_bars(ticks, "H1", days=days)
    direct = FeatureSet(features=("h1_rsi_3", "h1_rolling_max_5"), feed="h1").compile()
    expected = fold(direct, hours, days, "h1")[1]
    assert len(built) > 10
    assert same_bits(built[:, [0, 2]].copy(), expected[: len(built)])


def test_a_row_says_when_it_was_known_and_not_when_its_bar_ended():
    ticks = some_ticks()
    fused = FeatureSet(features=("m5_rsi_14",)).compile()
    days = days_of(ticks["time_ns"])
    times_ns, _ = fold(fused, ticks, days, "m5")
    bars = time_bars(ticks, "M5", days=days, flush=False)
    first_after = np.searchsorted(ticks["time_ns"], bars["end_ns"])
    assert (times_ns == ticks["time_ns"][first_after]).all()


def test_every_column_is_nan_exactly_until_its_warm_up():
    bars = random_bars(700, seed=1)
    days = days_of(bars["open_ns"], "crypto")
    chosen = FeatureSet(features=tuple(n.replace("tick_", "m1_", 1) for n in EVERY), feed="m1")
    _, rows = fold(chosen.compile(), bars, days, "m1")
    for column, name in enumerate(chosen.columns):
        warm_up = chosen.warm_up[name]
        assert np.isnan(rows[:warm_up, column]).all(), name
        assert np.isfinite(rows[warm_up:, column]).all(), name


def test_values_are_held_between_bars():
    ticks = some_ticks()
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    rows, finished = live(fused, fused.state(), ticks, days, day_rows(ticks, days))
    column = fused.columns.index("m5_rsi_14")
    changed = np.flatnonzero(rows[1:, column] != rows[:-1, column]) + 1
    changed = changed[~np.isnan(rows[changed, column])]
    assert len(changed) > 20
    assert (finished[changed] & fused.clock_bits["m5"] != 0).all()


def test_the_clock_alone_finishes_bars_with_the_values_that_the_next_tick_would_give():
    ticks = some_ticks(1_000)
    days = days_of(ticks["time_ns"])
    rows = day_rows(ticks, days)
    fused = FeatureSet(features=("m1_rsi_14", "m5_obv", "m1_minutes_to_rollover")).compile()
    by_tick, by_clock, quotes = fused.state(), fused.state(), np.zeros(1, QUOTE)
    expected, _ = live(fused, by_tick, ticks, days, rows)
    early = np.zeros(3)
    for i in range(1, len(ticks)):
        live(fused, by_clock, ticks[i - 1 : i], days, rows[i - 1 : i])
        finished = fused.close_step(by_clock[0], ticks[i]["time_ns"], quotes, early)
        assert same_bits(early, expected[i]), i
        assert finished in (0, 2, 2 + fused.clock_bits["m5"], fused.clock_bits["m5"])


def test_the_last_bar_of_a_trading_day_belongs_to_it():
    # Rollover is at 21:00 UTC in New York's summer; the first tick after it closes the bar.
    ticks = random_ticks(3, seed=0)
    ticks["time_ns"] = [at("2024-07-02 20:50"), at("2024-07-02 20:58"), at("2024-07-02 21:10")]
    days = calendar_named("fx").days(at("2024-07-01"), at("2024-07-05"))
    chosen = ("h1_minutes_to_rollover", "tick_minutes_to_rollover", "h1_day_of_week_sin")
    fused = FeatureSet(features=chosen).compile()
    out, finished = live(fused, fused.state(), ticks, days, day_rows(ticks, days))
    assert np.isnan(out[1, 0])
    assert finished[2] == 1 + fused.clock_bits["h1"]
    tuesday = np.sin(2 * np.pi / 7)
    assert out[2] == pytest.approx([0.0, 24 * 60 - 10, tuesday])


def test_a_bar_cut_short_by_a_long_day_belongs_to_that_day():
    # A day of 25 hours leaves an H4 bar of one hour, which the next day's first tick ends.
    start = at("2024-01-01 22:00")
    days = np.zeros(2, DAY)
    days["start_ns"] = start, start + 25 * TIMEFRAMES_NS["H1"]
    days["end_ns"] = days["start_ns"][1], start + 49 * TIMEFRAMES_NS["H1"]
    days["day_of_week"] = 1, 2
    ticks = random_ticks(3, seed=0)
    ticks["time_ns"] = start + np.array([23, 24.5, 25.5]) * TIMEFRAMES_NS["H1"]
    fused = FeatureSet(features=("h4_day_of_week_sin", "tick_day_of_week_sin")).compile()
    out, finished = live(fused, fused.state(), ticks, days, [0, 0, 1])
    assert list(finished & fused.clock_bits["h4"] != 0) == [False, True, True]
    assert out[2] == pytest.approx(np.sin(2 * np.pi * np.array([1, 2]) / 7))


# --- refusals ----------------------------------------------------------------------------------


def broken(field, value):
    def breaks(tick):
        tick[field] = value

    return breaks


@pytest.mark.parametrize(
    "breaks",
    [
        broken("bid", np.nan),
        broken("ask", np.nan),
        broken("bid", np.inf),
        broken("ask", np.inf),
        broken("bid", 0.0),
        broken("bid", -1.0),
        broken("bid", 1e300),
        broken("ask", 0.5),  # crossed
        broken("time_ns", 1),
    ],
)
def test_a_broken_tick_changes_nothing(breaks):
    ticks = some_ticks(300)
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    rows, state = day_rows(ticks, days), fused.state()
    out, _ = live(fused, state, ticks[:200], days, rows[:200])
    before, bad = state.tobytes(), ticks[200:201].copy()
    breaks(bad)
    got, finished = live(fused, state, bad, days, rows[200:201])
    assert finished[0] == 0
    assert state.tobytes() == before
    assert same_bits(got[0], out[-1])


def test_a_tick_outside_of_the_calendar_is_refused():
    ticks = some_ticks(2)
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    out, finished = live(fused, fused.state(), ticks[:1], days, [-1])
    assert finished[0] == 0
    assert np.isnan(out).all()
    with pytest.raises(FeatureError, match="calendar"):
        fold(fused, ticks, days[:1][days[:1]["end_ns"] < 0], "tick")


def test_a_bar_that_overlaps_the_last_one_is_refused():
    bars = random_bars(10, seed=2)
    days = days_of(bars["open_ns"], "crypto")
    fused = FeatureSet(features=("m1_obv",), feed="m1").compile()
    twice = np.concatenate([bars[:5], bars[4:5], bars[5:]])
    assert same_bits(fold(fused, twice, days, "m1")[1], fold(fused, bars, days, "m1")[1])


@pytest.mark.parametrize("field", ["open", "high", "low", "close"])
def test_a_broken_bar_is_left_out(field):
    bars = random_bars(50, seed=2)
    days = days_of(bars["open_ns"], "crypto")
    fused = FeatureSet(features=("m1_rsi_3", "m1_cci_5"), feed="m1").compile()
    expected = fold(fused, np.delete(bars, 20), days, "m1")[1]
    for value in (np.nan, np.inf, -1.0, 0.0):
        bad = bars.copy()
        bad[field][20] = value
        assert same_bits(fold(fused, bad, days, "m1")[1], expected)


def test_history_refuses_other_records_and_clocks_without_features():
    fused = FeatureSet(features=("m5_rsi_14",)).compile()
    days = calendar_named("fx").days(at("2024-07-01"), at("2024-07-05"))
    with pytest.raises(FeatureError, match="only on m5"):
        fold(fused, np.zeros(1, TICK), days, "m1")
    with pytest.raises(FeatureError, match="tick features take records"):
        fold(fused, np.zeros(1, BAR), days, "m5")


def test_a_fold_without_room_says_so():
    ticks = some_ticks(10)
    fused, days = FeatureSet(features=("tick_obv",)).compile(), days_of(ticks["time_ns"])
    out, times_ns = np.zeros((5, 1)), np.zeros(5, np.int64)
    quotes = np.zeros(1, QUOTE)
    arguments = (0, days, 0, len(days), quotes, 1, out, times_ns)
    assert fused.fold(fused.state(), ticks, *arguments) == -3
    assert fused.fold(fused.state(), ticks[:5], *arguments) == 5


# --- several symbols ---------------------------------------------------------------------------


def two_symbols(count=3_000):
    ticks = random_ticks(count, seed=4)
    other = np.random.default_rng(4).random(count) < 0.5
    ticks["symbol"] = other
    ticks["bid"][other] += 0.2
    ticks["ask"][other] += 0.2
    return ticks


def test_only_ticks_of_the_own_symbol_step_the_features():
    ticks = two_symbols()
    fused, days = FeatureSet(features=MIXED).compile(), days_of(ticks["time_ns"])
    alone = ticks[ticks["symbol"] == 0]
    parts = list(fused.history(ticks, days, clock="tick", symbol=0))
    assert same_bits(parts[0][1].copy(), fold(fused, alone, days, "tick")[1])


def test_other_symbols_are_seen_through_their_latest_quotes():
    ticks = two_symbols()
    days = days_of(ticks["time_ns"])
    chosen = FeatureSet(features=("tick_cross_ratio_3_1_300",), symbols=("EURUSD", "GBPUSD"))
    _, rows = next(iter(chosen.compile().history(ticks, days, clock="tick", symbol=0)))
    mids = (ticks["bid"] + ticks["ask"]) / 2
    own = np.flatnonzero(ticks["symbol"] == 0)
    others = np.flatnonzero(ticks["symbol"] == 1)
    latest = np.searchsorted(others, own) - 1
    expected = np.where(latest >= 0, mids[own] / mids[others[latest]], np.nan)
    assert rows[:, 0] == pytest.approx(expected, rel=1e-12, nan_ok=True)
    assert np.isfinite(expected).sum() > 1_000


def test_a_set_finds_its_symbols_on_any_desk():
    ticks = two_symbols()
    days = days_of(ticks["time_ns"])
    chosen = FeatureSet(features=("tick_cross_ratio_3_1_300",), symbols=("EURUSD", "GBPUSD"))
    _, expected = next(iter(chosen.compile().history(ticks, days, clock="tick", symbol=0)))
    moved = ticks.copy()
    moved["symbol"] = np.where(ticks["symbol"] == 0, 5, 2)
    fused = chosen.compile(rows=(5, 2))
    _, got = next(iter(fused.history(moved, days, clock="tick", symbol=5)))
    assert same_bits(got.copy(), expected.copy())
    with pytest.raises(FeatureError, match="2 symbols need as many rows, got 1"):
        chosen.compile(rows=(5,))


def test_a_broken_quote_of_another_symbol_is_not_taken():
    ticks = two_symbols()
    days = days_of(ticks["time_ns"])
    chosen = FeatureSet(features=("tick_cross_ratio_3_1_300",), symbols=("EURUSD", "GBPUSD"))
    bad = np.flatnonzero(ticks["symbol"] == 1)[10:20]
    without = np.delete(ticks, bad)
    ticks["ask"][bad] = np.nan
    _, got = next(iter(chosen.compile().history(ticks, days, clock="tick")))
    _, expected = next(iter(chosen.compile().history(without, days, clock="tick")))
    assert same_bits(got.copy(), expected.copy())


# --- drift -------------------------------------------------------------------------------------


def walk(rng, count, level, start_ns):
    """Bars of a random walk that returns to 1.1, with calm and wild stretches."""
    bars = np.zeros(count, BAR)
    size = 1e-4 if rng.random() < 0.9 else 2e-3
    steps = rng.normal(0, size, count)
    log_close = level + np.cumsum(steps)
    close = np.exp(log_close)
    width = np.exp(np.abs(steps[::-1]))
    bars["open_ns"] = start_ns + np.arange(count) * TIMEFRAMES_NS["M1"]
    bars["end_ns"] = bars["open_ns"] + TIMEFRAMES_NS["M1"]
    bars["close"], bars["open"] = close, close * np.exp(0.3 * steps)
    bars["high"] = np.maximum(bars["open"], close) * width
    bars["low"] = np.minimum(bars["open"], close) / width
    bars["spread_mean"] = bars["spread_max"] = 1e-5 * width
    bars["volume"] = bars["ticks"] = rng.integers(1, 500, count)
    bars["imbalance"] = bars["ticks"] // 2 - rng.integers(0, 200, count) * (bars["ticks"] > 400)
    bars["realised_variance"] = steps * steps
    return bars, 0.7 * (log_close[-1] - np.log(1.1)) + np.log(1.1)


def test_ten_million_steps_leave_every_feature_as_its_last_window_gives_it():
    # A fresh state that sees only the end: enough bars for the longest window and for every
    # exponential mean to forget its start (0.93 to the 4,000th power).
    chosen = FeatureSet(
        features=tuple(name.replace("tick_", "m1_", 1) for name in EVERY if name != "tick_obv"),
        feed="m1",
    )
    fused, rng, chunk = chosen.compile(), np.random.default_rng(0), 20_000
    days = calendar_named("crypto").days(at("2000-01-01"), at("2020-01-01"))
    state, level, start_ns = fused.state(), np.log(1.1), at("2000-01-02")
    bars, last = np.zeros(0, BAR), np.zeros(0)
    for _ in range(10_000_000 // chunk):
        bars, level = walk(rng, chunk, level, start_ns)
        start_ns = int(bars["end_ns"][-1])
        for _, rows in fused.history(bars, days, clock="m1", state=state):
            last = rows[-1].copy()
    _, expected = fold(fused, bars[-4_000:], days, "m1")
    for name, got, fresh in zip(fused.columns, last, expected[-1], strict=True):
        assert got == pytest.approx(fresh, rel=1e-9, abs=1e-15), name
    assert state[0]["last_ns"] - at("2000-01-02") == 10_000_000 * TIMEFRAMES_NS["M1"]
