"""Ticks of bars: as many as there were, open first, close last, never beyond the extremes."""

from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.calendar import calendar_named
from realtime.history.bar_ticks import MODES, BarsUnusable, Mode, bar_ticks, merge_ticks
from realtime.history.read import read_bars
from realtime.kernels.bars import TIME_BAR, time_bars_fold
from realtime.kernels.layout import BAR, TICK
from realtime.kernels.pieces import PIECE_STATE

MS_NS = 1_000_000
MINUTE_NS = 60_000 * MS_NS
#: Monday 6 January 2014, 00:00 UTC.
START_NS = 1_388_966_400_000 * MS_NS
POINT = 1e-5


def bars_of(rows, *, point=POINT, timeframe_ns=MINUTE_NS, spread=12):
    """BAR records of (open, high, low, close, ticks) in points; intervals follow one another."""
    bars = np.zeros(len(rows), BAR)
    bars["open_ns"] = START_NS + np.arange(len(rows)) * timeframe_ns
    bars["end_ns"] = bars["open_ns"] + timeframe_ns
    scale = round(1 / point)
    for place, name in enumerate(("open", "high", "low", "close")):
        bars[name] = np.array([row[place] for row in rows]) / scale
    bars["ticks"] = [row[4] for row in rows]
    bars["spread_mean"] = bars["spread_max"] = spread / scale
    return bars


@st.composite
def rows(draw, least_ticks=0):
    """A consistent bar around 1000 points, which may lack shadows, or any movement at all."""
    opened, closed = draw(st.integers(900, 1000)), draw(st.integers(900, 1000))
    high = max(opened, closed) + draw(st.sampled_from([0, 0, 1, 2, 9, 60]))
    low = min(opened, closed) - draw(st.sampled_from([0, 0, 1, 3, 7, 80]))
    counts = st.one_of(st.integers(least_ticks, 16), st.integers(17, 400))
    return opened, high, low, closed, draw(counts)


def in_points(values, point=POINT):
    return np.rint(values / point).astype(int)


@pytest.mark.parametrize("mode", MODES)
@given(drawn=st.lists(rows(), min_size=1, max_size=25))
@settings(max_examples=150)
def test_every_bar_keeps_its_shape(mode, drawn):
    bars = bars_of(drawn)
    ticks = bar_ticks(bars, point=POINT, mode=mode)
    counts = np.where(bars["ticks"] > 0, bars["ticks"], 4)
    if mode == "ohlc":
        counts = np.minimum(counts, 4)
    assert len(ticks) == counts.sum()
    ends = np.cumsum(counts)
    for bar, count, end in zip(bars, counts.tolist(), ends.tolist(), strict=True):
        part = ticks[end - count : end]
        bids = part["bid"]
        assert bids[-1] == bar["close"]
        assert count == 1 or bids[0] == bar["open"]
        assert bids.min() >= bar["low"]
        assert bids.max() <= bar["high"]
        if count >= 4:
            assert bids.min() == bar["low"]
            assert bids.max() == bar["high"]
        assert (in_points(part["ask"] - bids) == 12).all()
        times = part["time_ns"]
        assert (times % MS_NS == 0).all()
        assert (np.diff(times) >= 0).all()
        assert times[0] == bar["open_ns"]
        assert count == 1 or times[-1] == bar["end_ns"] - MS_NS
    assert bar_ticks(bars, point=POINT, mode=mode).tobytes() == ticks.tobytes()
    assert np.isnan(ticks["last"]).all()
    assert (ticks["volume"] == 0.0).all()
    assert ticks["seq"].tolist() == list(range(1, len(ticks) + 1))


@pytest.mark.parametrize("mode", MODES)
@given(drawn=st.lists(rows(least_ticks=4), min_size=1, max_size=40))
@settings(max_examples=40)
def test_the_kernels_rebuild_the_bars(mode, drawn):
    bars = bars_of(drawn)
    ticks = bar_ticks(bars, point=POINT, mode=mode)
    days = calendar_named("fx").days(START_NS, START_NS + 7 * 1440 * MINUTE_NS)
    out = np.zeros(len(ticks) + 1, BAR)
    state = np.zeros(1, TIME_BAR)[0]
    count = time_bars_fold(
        state, np.zeros(1, PIECE_STATE)[0], ticks, days, 0, len(days), MINUTE_NS, out
    )
    assert count == len(bars) - 1
    out[count] = state["bar"]
    names = ["open_ns", "end_ns", "open", "high", "low", "close"]
    if mode == "every":
        names.append("ticks")
    for name in names:
        assert out[name][: len(bars)].tolist() == bars[name].tolist(), name
    assert out["spread_max"][: len(bars)] == pytest.approx(bars["spread_max"])


def path(opened, high, low, close, count, mode: Mode = "every", before=None):
    """Bids of one bar, in points."""
    bars = bars_of([(opened, high, low, close, count)])
    ticks = bar_ticks(bars, point=POINT, mode=mode, before=before)
    return in_points(ticks["bid"]).tolist()


def test_a_rising_bar_falls_first_and_a_falling_one_rises_first():
    assert path(110, 130, 105, 125, 9, "ohlc") == [110, 105, 130, 125]
    assert path(125, 130, 105, 110, 9, "ohlc") == [125, 130, 105, 110]


def test_a_bar_that_ends_where_it_began_goes_against_the_one_before():
    rising, falling = bars_of([(100, 110, 95, 105, 4), (105, 110, 95, 100, 4)])
    doji = (100, 110, 90, 100, 4)
    assert path(*doji, before=rising) == [100, 110, 90, 100]
    assert path(*doji, before=falling) == [100, 90, 110, 100]
    assert path(*doji) == [100, 90, 110, 100]
    twice = bars_of([(90, 110, 80, 100, 4), doji, doji])
    bids = in_points(bar_ticks(twice, point=POINT)["bid"]).reshape(3, 4)
    assert bids[1].tolist() == [100, 110, 90, 100]
    assert bids[2].tolist() == [100, 90, 110, 100]


def test_bars_of_few_ticks_say_what_they_can():
    assert path(110, 130, 105, 125, 1) == [125]
    assert path(110, 130, 105, 125, 2) == [110, 125]
    assert path(110, 130, 105, 125, 3) == [110, 105, 125]
    assert path(110, 130, 110, 125, 3) == [110, 130, 125]
    assert path(110, 125, 110, 125, 3) == [110, 117, 125]
    assert path(125, 130, 105, 110, 3) == [125, 130, 110]


def test_shadows_and_range_are_waves_with_pullbacks_of_one_point():
    bids = path(120, 160, 100, 150, 12)
    assert bids[0] == 120
    assert bids[3] == 100
    assert bids[8] == 160
    assert bids[-1] == 150
    steps = np.diff(bids)
    assert steps[:3].tolist() == [-10, 1, -11]
    assert steps[3:8].tolist() == [20, -1, 20, -1, 22]


def test_the_rest_lies_in_a_line_or_alternates_over_a_point():
    far = path(100, 1000, 100, 1000, 200)
    assert max(abs(np.diff(far))) <= 10
    near = path(100, 102, 100, 102, 50)
    assert set(near) == {100, 101, 102}
    assert max(abs(np.diff(near))) <= 1
    assert path(100, 100, 100, 100, 7) == [100] * 7


def test_a_bar_that_counted_no_ticks_becomes_four():
    assert path(110, 130, 105, 125, 0) == [110, 105, 130, 125]


def test_blocks_do_not_show(monkeypatch):
    random = np.random.default_rng(5)
    drawn = []
    for _ in range(300):
        opened, closed = random.integers(500, 560, 2).tolist()
        wide = random.integers(0, 9, 2).tolist()
        high, low = max(opened, closed) + wide[0], min(opened, closed) - wide[1]
        drawn.append((opened, high, low, closed, int(random.integers(0, 60))))
    bars = bars_of(drawn)
    whole = bar_ticks(bars, point=POINT, mode="every")
    monkeypatch.setattr("realtime.history.bar_ticks._BLOCK_TICKS", 37)
    assert bar_ticks(bars, point=POINT, mode="every").tobytes() == whole.tobytes()
    parts = [
        bar_ticks(bars[:100], point=POINT, mode="every"),
        bar_ticks(bars[100:], point=POINT, mode="every", before=bars[99]),
    ]
    joined = np.concatenate(parts)
    for name in ("time_ns", "bid", "ask"):
        assert joined[name].tobytes() == whole[name].tobytes()


def test_flags_say_what_changed():
    bars = bars_of([(100, 101, 99, 100, 4), (100, 100, 100, 100, 2)])
    bars["spread_mean"][1] = 15 * POINT
    ticks = bar_ticks(bars, point=POINT)
    assert in_points(ticks["bid"]).tolist() == [100, 99, 101, 100, 100, 100]
    assert ticks["flags"].tolist() == [6, 6, 6, 6, 4, 6]


def test_prices_are_the_doubles_of_their_decimals():
    bars = bars_of([(138_001, 138_029, 137_993, 138_017, 40)])
    for name in ("bid", "ask"):
        for price in bar_ticks(bars, point=POINT, mode="every")[name].tolist():
            assert price == float(f"{price:.5f}")


@pytest.mark.parametrize("point", [1.0, 0.5, 0.25, 0.01, 0.001])
def test_other_grids(point):
    bars = np.zeros(1, BAR)
    bars["end_ns"] = MINUTE_NS
    for name, value in (("open", 5000), ("high", 5010), ("low", 4990), ("close", 5005)):
        bars[name] = value * point
    bars["spread_mean"] = 2 * point
    bars["ticks"] = 30
    ticks = bar_ticks(bars, point=point, mode="every")
    assert ticks["bid"].max() == bars["high"][0]
    assert ticks["bid"].min() == bars["low"][0]
    assert np.rint(ticks["bid"] / point) * point == pytest.approx(ticks["bid"])
    assert ticks["ask"] - ticks["bid"] == pytest.approx(2 * point)


def test_a_spread_is_assumed_where_there_is_none_and_never_vanishes():
    bars = bars_of([(100, 101, 99, 100, 4)] * 3)
    bars["spread_mean"] = [np.nan, 0.0, 0.2 * POINT]
    with pytest.raises(BarsUnusable, match="row 1: no spread"):
        bar_ticks(bars, point=POINT)
    ticks = bar_ticks(bars, point=POINT, assumed_spread_points=7.0)
    spreads = in_points(ticks["ask"] - ticks["bid"]).reshape(3, 4)
    assert spreads[:, 0].tolist() == [7, 7, 1]


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("open", 1.000005, "row 2: open .* whole number of points"),
        ("low", float("nan"), "row 2: low nan"),
        ("high", -1.0, "row 2: high -1.0"),
        ("close", float("inf"), "row 2: close inf"),
        ("high", 0.9, "row 2: open or close lie outside"),
        ("end_ns", START_NS + MINUTE_NS, "row 2: it lasts less than a millisecond"),
        ("open_ns", START_NS + MINUTE_NS + 5, "row 2: it does not begin and end on a ms"),
        ("open_ns", START_NS, "row 2: it begins before the end"),
    ],
)
def test_bars_that_cannot_be_are_refused_by_row(name, value, words):
    bars = bars_of([(100_000, 100_001, 99_999, 100_000, 4)] * 3)
    bars[name][1] = value
    with pytest.raises(BarsUnusable, match=words):
        bar_ticks(bars, point=POINT)


def test_impossible_wishes_are_refused():
    bars = bars_of([(100, 101, 99, 100, 4)])
    with pytest.raises(BarsUnusable, match="no such way"):
        bar_ticks(bars, point=POINT, mode=cast("Mode", "some"))
    for point in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(BarsUnusable, match="size of a point"):
            bar_ticks(bars, point=point)


def test_no_bars_are_no_ticks():
    assert len(bar_ticks(np.zeros(0, BAR), point=POINT)) == 0


@given(data=st.data())
@settings(max_examples=40)
def test_symbols_are_merged_by_time_then_in_their_order(data):
    streams = []
    for _ in range(data.draw(st.integers(1, 4))):
        times = sorted(data.draw(st.lists(st.integers(0, 20), max_size=12)))
        ticks = np.zeros(len(times), TICK)
        ticks["time_ns"] = times
        ticks["bid"] = np.arange(len(times))
        streams.append(ticks)
    merged = merge_ticks(streams)
    keys = [(row["time_ns"], row["symbol"], row["seq"]) for row in merged]
    assert keys == sorted(keys)
    for symbol, stream in enumerate(streams):
        mine = merged[merged["symbol"] == symbol]
        assert mine["bid"].tolist() == stream["bid"].tolist()
        assert mine["seq"].tolist() == list(range(1, len(stream) + 1))


def test_real_minutes_become_ticks_that_are_those_minutes(shared_data):
    path = shared_data / "bars" / "EURUSD_M1_bid_2017H1.parquet"
    bars = read_bars(path, "EURUSD", zone="UTC").rows[:20_000]
    bars["ticks"] = 5 + np.arange(len(bars)) % 60
    ticks = bar_ticks(bars, point=POINT, mode="every", assumed_spread_points=3.0)
    starts = np.cumsum(bars["ticks"]) - bars["ticks"]
    assert (ticks["bid"][starts] == bars["open"]).all()
    assert (np.maximum.reduceat(ticks["bid"], starts) == bars["high"]).all()
    assert (np.minimum.reduceat(ticks["bid"], starts) == bars["low"]).all()
    assert (ticks["bid"][np.append(starts[1:], len(ticks)) - 1] == bars["close"]).all()
