"""Bars by activity: equal to a plain loop over the book's formulas, and to themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels.bars import NO_ROOM
from realtime.kernels.event_bars import (
    BY_IMBALANCE,
    BY_TICKS,
    BY_VALUE,
    BY_VOLUME,
    EVENT_BAR,
    event_bars_fold,
    event_bars_step,
    event_pieces_fold,
    event_pieces_step,
    imbalance_bar_step,
    tick_bar_step,
    value_bar_step,
    volume_bar_step,
)
from realtime.kernels.layout import BAR, TICK
from realtime.kernels.pieces import PIECE_STATE, REFUSED
from tests.realtime.kernels.tick_streams import (
    EVENT_KINDS,
    event_bars,
    event_params,
    random_ticks,
    real_ticks,
    record,
    same_bits,
    time_bars,
)

KINDS = pytest.mark.parametrize("kind", list(EVENT_KINDS))


def piece(time_ns, close=1.0, volume=1.0, imbalance=0, ticks=1):
    row = record(BAR)
    row["open_ns"] = row["end_ns"] = time_ns
    for name in ("open", "high", "low", "close"):
        row[name] = close
    row["volume"], row["imbalance"], row["ticks"] = volume, imbalance, ticks
    return row


def volume_of(ticks):
    return np.where(ticks["volume"] > 0, ticks["volume"], 1.0)


def bar_ends(ticks, params):
    """Index of the last tick of every bar, by the formulas of the docstrings and no kernel."""
    kind, threshold = params["kind"], params["threshold"]
    mid = 0.5 * (ticks["bid"] + ticks["ask"])
    volume = volume_of(ticks)
    value = volume * ticks["bid"]
    ends, start, sign = [], 0, 0
    filled = theta = 0.0
    expected_ticks, expected_imbalance = params["initial_ticks"], None
    for i in range(ticks.size):
        count = i - start + 1
        if i > 0 and mid[i] != mid[i - 1]:
            sign = 1 if mid[i] > mid[i - 1] else -1
        theta += sign * value[i]
        filled += {BY_TICKS: 1.0, BY_VOLUME: volume[i], BY_VALUE: value[i]}.get(int(kind), 0.0)
        if kind != BY_IMBALANCE:
            full = filled >= threshold
        elif expected_imbalance is None:
            full = count >= expected_ticks
        else:
            full = abs(theta) >= expected_ticks * abs(expected_imbalance)
        if kind == BY_IMBALANCE:
            full = (full and count >= params["min_ticks"]) or count >= params["max_ticks"]
        if not full:
            continue
        ends.append(i)
        if kind == BY_IMBALANCE:
            alpha, newest = params["alpha"], theta / count
            old = newest if expected_imbalance is None else expected_imbalance
            expected_imbalance = old + alpha * (newest - old)
            expected_ticks = expected_ticks + alpha * (count - expected_ticks)
        start, filled, theta = i + 1, 0.0, 0.0
    return ends


@KINDS
def test_bars_equal_a_plain_loop_over_the_formulas(kind):
    ticks = random_ticks(5_000, 11)
    bars = event_bars(ticks, EVENT_KINDS[kind])
    ends = bar_ends(ticks, EVENT_KINDS[kind])
    starts = [0, *(end + 1 for end in ends[:-1])]

    assert len(ends) == bars.size > 20
    for bar, first, last in zip(bars, starts, ends, strict=True):
        part = ticks[first : last + 1]
        assert bar["open_ns"] == part["time_ns"][0]
        assert bar["end_ns"] == part["time_ns"][-1]
        assert [bar[name] for name in ("open", "high", "low", "close")] == [
            part["bid"][0],
            part["bid"].max(),
            part["bid"].min(),
            part["bid"][-1],
        ]
        assert bar["ticks"] == part.size
        assert bar["volume"] == volume_of(part).sum()
        assert bar["spread_mean"] == pytest.approx((part["ask"] - part["bid"]).mean(), rel=1e-12)


@KINDS
def test_bars_of_real_ticks_equal_a_plain_loop(shared_data, kind):
    ticks = real_ticks(shared_data)[:50_000]
    bars = event_bars(ticks, EVENT_KINDS[kind])
    ends = bar_ends(ticks, EVENT_KINDS[kind])
    np.testing.assert_array_equal(bars["end_ns"], ticks["time_ns"][ends])
    np.testing.assert_array_equal(np.cumsum(bars["ticks"]), np.array(ends) + 1)


@KINDS
def test_steps_equal_the_fold_to_the_bit_on_real_ticks(shared_data, kind):
    ticks = real_ticks(shared_data)[:100_000]
    assert same_bits(stepped(ticks, EVENT_KINDS[kind]), event_bars(ticks, EVENT_KINDS[kind]))


@KINDS
def test_steps_equal_the_fold_to_the_bit_on_random_ticks(kind):
    ticks = random_ticks(3_000, 12)
    ticks["ask"][[5, 800]] = np.nan  # refused
    ticks["time_ns"][1000] -= 10**15  # stale
    bars = event_bars(ticks, EVENT_KINDS[kind])
    assert same_bits(stepped(ticks, EVENT_KINDS[kind]), bars)


def stepped(ticks, params):
    state, pieces, out = record(EVENT_BAR), record(PIECE_STATE), record(BAR)
    bars = [out.copy() for each in ticks if event_bars_step(state, pieces, each, params, out) == 1]
    return np.array(bars, BAR)


@KINDS
def test_a_truncated_history_gives_a_prefix_of_the_bars(kind):
    ticks = random_ticks(4_000, 13)
    whole = event_bars(ticks, EVENT_KINDS[kind])
    for cut in np.linspace(1, ticks.size - 1, 20).astype(int):
        part = event_bars(ticks[:cut], EVENT_KINDS[kind])
        assert same_bits(part, whole[: part.size])


@KINDS
def test_chunks_of_any_size_give_the_same_bars(kind):
    ticks = random_ticks(2_000, 14)
    whole = event_bars(ticks, EVENT_KINDS[kind])
    for chunks in (2, 7, 100):
        assert same_bits(event_bars(ticks, EVENT_KINDS[kind], chunks=chunks), whole)


@KINDS
def test_finished_bars_are_pieces_too(kind):
    lower = time_bars(random_ticks(4_000, 15), "M1")
    params = EVENT_KINDS[kind]
    out = np.zeros(lower.size, BAR)
    count = event_pieces_fold(record(EVENT_BAR), lower, params, out)
    state, one = record(EVENT_BAR), record(BAR)
    bars = [one.copy() for each in lower if event_pieces_step(state, each, params, one) == 1]
    assert count > 3
    assert same_bits(out[:count], np.array(bars, BAR))
    used = lower[lower["end_ns"] <= out["end_ns"][count - 1]]
    assert out["ticks"][:count].sum() == used["ticks"].sum()
    assert out["open_ns"][0] == lower["open_ns"][0]
    assert out["volume"][:count].sum() == used["volume"].sum()


def test_a_volume_bar_closes_with_the_piece_that_reaches_the_threshold():
    state, out, params = record(EVENT_BAR), record(BAR), event_params(BY_VOLUME, 10.0)
    assert volume_bar_step(state, piece(1, volume=4.0), params, out) == 0
    assert volume_bar_step(state, piece(2, volume=5.0), params, out) == 0
    assert volume_bar_step(state, piece(3, volume=4.0), params, out) == 1
    assert (out["open_ns"], out["end_ns"], out["volume"]) == (1, 3, 13.0)
    # The three lots too many are not carried over.
    assert volume_bar_step(state, piece(4, volume=9.0), params, out) == 0
    assert volume_bar_step(state, piece(5, volume=1.0), params, out) == 1


def test_a_value_bar_counts_price_times_volume():
    state, out, params = record(EVENT_BAR), record(BAR), event_params(BY_VALUE, 100.0)
    assert value_bar_step(state, piece(1, close=25.0, volume=2.0), params, out) == 0
    assert value_bar_step(state, piece(2, close=24.0, volume=2.0), params, out) == 0
    assert value_bar_step(state, piece(3, close=2.0, volume=1.0), params, out) == 1


def test_a_tick_bar_counts_the_ticks_of_lower_bars():
    state, out, params = record(EVENT_BAR), record(BAR), event_params(BY_TICKS, 10)
    assert tick_bar_step(state, piece(1, ticks=9), params, out) == 0
    assert tick_bar_step(state, piece(2), params, out) == 1
    assert out["ticks"] == 10


def test_imbalance_bars_follow_the_worked_example():
    """First bar: 4 ticks up, up, down, flat (down again), so theta = 1 + 1 - 1 - 1... by value."""
    state, out = record(EVENT_BAR), record(BAR)
    params = event_params(BY_IMBALANCE, initial_ticks=4, min_ticks=1, max_ticks=0, alpha=0.5)
    signs = [1, 1, 1, 0]
    steps = [
        imbalance_bar_step(state, piece(k, close=2.0, imbalance=b), params, out)
        for k, b in enumerate(signs)
    ]
    assert steps == [0, 0, 0, 1]
    # The last tick did not move: it counts as bought, like the one before. theta = 4 * 2.
    assert state["filled"] == 8.0
    assert state["expected_imbalance"] == 2.0
    assert state["expected_ticks"] == 4.0
    # From here |theta| >= 4 * 2 closes: four sold ticks of value 2, or one of value 8.
    assert imbalance_bar_step(state, piece(5, close=2.0, imbalance=-1), params, out) == 0
    assert imbalance_bar_step(state, piece(6, close=6.0, imbalance=-1), params, out) == 1
    assert state["expected_ticks"] == 0.5 * 4 + 0.5 * 2
    assert state["expected_imbalance"] == 0.5 * 2.0 + 0.5 * (-8.0 / 2)


def test_imbalance_bars_stay_between_their_bounds():
    ticks = random_ticks(20_000, 16)
    params = event_params(BY_IMBALANCE, initial_ticks=20, min_ticks=10, max_ticks=50, alpha=0.5)
    bars = event_bars(ticks, params)
    assert bars["ticks"].min() >= 10
    assert bars["ticks"].max() == 50


@KINDS
def test_an_unsound_or_old_piece_is_refused_and_changes_nothing(kind):
    state, out, params = record(EVENT_BAR), record(BAR), EVENT_KINDS[kind]
    event_pieces_step(state, piece(1_000), params, out)
    before = state.tobytes()
    backwards = piece(2_000)
    backwards["end_ns"] = 1_500
    bad = [piece(2_000, close=np.nan), piece(2_000, close=-1.0), piece(999), backwards]
    for each in bad:
        assert event_pieces_step(state, each, params, out) == REFUSED
        assert state.tobytes() == before
    broken = np.zeros(1, TICK)[0]
    assert event_bars_step(state, record(PIECE_STATE), broken, params, out) == REFUSED
    assert state.tobytes() == before


@pytest.mark.parametrize("volume", [np.nan, 0.0, -3.0, np.inf])
def test_a_piece_without_a_usable_volume_counts_its_ticks(volume):
    state, out, params = record(EVENT_BAR), record(BAR), event_params(BY_VOLUME, 10.0)
    assert volume_bar_step(state, piece(1, volume=volume, ticks=9), params, out) == 0
    assert state["filled"] == 9.0
    assert volume_bar_step(state, piece(2, volume=volume), params, out) == 1


def test_a_full_output_is_said():
    ticks = random_ticks(200, 17)
    state, pieces, out = record(EVENT_BAR), record(PIECE_STATE), np.zeros(2, BAR)
    assert event_bars_fold(state, pieces, ticks, event_params(BY_TICKS, 10), out) == NO_ROOM
    lower = time_bars(ticks, "M1")
    assert event_pieces_fold(record(EVENT_BAR), lower, event_params(BY_TICKS, 1), out) == NO_ROOM


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 400),
    kind=st.sampled_from(list(EVENT_KINDS)),
)
def test_bars_and_the_forming_one_hold_every_tick(seed, count, kind):
    ticks = random_ticks(count, seed)
    state, pieces, out = record(EVENT_BAR), record(PIECE_STATE), np.zeros(count, BAR)
    done = event_bars_fold(state, pieces, ticks, EVENT_KINDS[kind], out)
    forming = state["forming"]
    bars = list(out[:done]) + ([forming["bar"]] if forming["weight"] > 0 else [])

    assert sum(each["ticks"] for each in bars) == count
    assert bars[0]["open"] == ticks["bid"][0]
    assert bars[-1]["close"] == ticks["bid"][-1]
    assert max(each["high"] for each in bars) == ticks["bid"].max()
    assert min(each["low"] for each in bars) == ticks["bid"].min()
    assert sum(each["volume"] for each in bars) == volume_of(ticks).sum()
    mid = 0.5 * (ticks["bid"] + ticks["ask"])
    assert sum(each["imbalance"] for each in bars) == np.sign(np.diff(mid)).sum()
