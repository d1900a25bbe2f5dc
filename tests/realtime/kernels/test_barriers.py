"""Triple barriers: worked examples, an oracle in plain Python, and one call a tick = the fold."""

import json

import numpy as np
import pytest

from realtime.kernels.barriers import (
    BARRIERS,
    DOWN,
    HORIZON,
    OPEN,
    UP,
    barriers_fold,
    barriers_step,
)
from realtime.kernels.jit import kernel
from realtime.kernels.layout import TICK
from tests.realtime.kernels.tick_streams import random_ticks, real_ticks, same_bits

SECOND_NS = 1_000_000_000


@pytest.fixture(scope="module")
def real(shared_data):
    return real_ticks(shared_data)


@pytest.fixture(scope="module")
def golden(shared_data):
    path = shared_data.parent / "reference" / "research_golden.json"
    return json.loads(path.read_text(encoding="utf-8"))["triple_barrier_close"]


@kernel
def barriers_at(states, k, ticks, i):
    return barriers_step(states[k], ticks[i])


def ticks_of(mids, spread=0.0):
    ticks = np.zeros(len(mids), TICK)
    ticks["time_ns"] = np.arange(len(mids))
    ticks["bid"] = np.asarray(mids) - 0.5 * spread
    ticks["ask"] = np.asarray(mids) + 0.5 * spread
    return ticks


def decisions(horizons_ns, gain=0.02, loss=0.02, executable=0):
    states = np.zeros(len(horizons_ns), BARRIERS)
    states["gain_fraction"] = gain
    states["loss_fraction"] = loss
    states["horizon_ns"] = horizons_ns
    states["executable"] = executable
    return states


def outcome_of(mids, *, horizon_ns=1_000, spread=0.0, **more):
    states = decisions([horizon_ns], **more)
    left = barriers_fold(states, ticks_of(mids, spread), np.zeros(1, np.int64))
    assert left == (states["outcome"][0] == OPEN)
    return states[0]


def test_the_worked_example_of_the_book_comes_out(golden):
    starts = np.array(golden["events"], np.int64)
    fraction = golden["pt=sl"]
    states = decisions(starts + golden["vertical"], fraction, fraction)
    assert barriers_fold(states, ticks_of(golden["close"]), starts) == 0
    assert states["end_ns"].tolist() == golden["t1"]
    np.testing.assert_allclose(states["return_fraction"], golden["ret"], atol=5e-7)
    signs = np.where(states["outcome"] == HORIZON, 0, states["outcome"])
    assert signs.tolist() == golden["bin_zero_at_vertical"]


def test_the_barrier_that_is_touched_first_wins():
    assert outcome_of([100, 101, 102.1, 97])["outcome"] == UP
    assert outcome_of([100, 101, 97.9, 103])["outcome"] == DOWN


def test_barriers_of_unequal_width_are_each_measured_by_their_own_fraction():
    state = outcome_of([100, 98.9, 102.9], gain=0.03, loss=0.01)
    assert (state["outcome"], state["end_ns"]) == (DOWN, 1)
    state = outcome_of([100, 99.1, 102.9, 103.1], gain=0.03, loss=0.01)
    assert (state["outcome"], state["end_ns"]) == (UP, 3)


def test_the_entry_itself_touches_nothing():
    assert outcome_of([100], gain=0.0, loss=0.0)["outcome"] == OPEN


def test_a_tick_at_the_horizon_counts_and_a_later_one_does_not():
    assert outcome_of([100, 101, 103], horizon_ns=2)["outcome"] == UP
    state = outcome_of([100, 101, 103], horizon_ns=1)
    assert (state["outcome"], state["end_ns"]) == (HORIZON, 1)
    assert state["return_fraction"] == pytest.approx(0.01, abs=1e-15)


def test_a_horizon_in_a_pause_of_the_market_is_valued_at_the_last_price_before_it():
    ticks = ticks_of([100, 101, 90])
    ticks["time_ns"] = [0, 10, 500]
    states = decisions([200])
    assert barriers_fold(states, ticks, np.zeros(1, np.int64)) == 0
    assert (states["outcome"][0], states["end_ns"][0]) == (HORIZON, 200)
    assert states["return_fraction"][0] == pytest.approx(0.01, abs=1e-15)


def test_a_decision_without_its_future_stays_open():
    state = outcome_of([100, 101, 100.5], horizon_ns=3)
    assert (state["outcome"], state["end_ns"]) == (OPEN, 0)


def test_executable_barriers_cost_the_spread():
    mids = [100, 101.0, 102.1]
    assert outcome_of(mids, spread=0.2)["outcome"] == UP
    assert outcome_of(mids, spread=0.2, executable=1)["outcome"] == OPEN
    state = outcome_of([*mids, 102.3], spread=0.2, executable=1)
    assert state["outcome"] == UP
    assert state["return_fraction"] == pytest.approx(102.2 / 100.1 - 1.0, abs=1e-12)


def test_an_executable_loss_is_the_gain_of_whoever_sold():
    assert outcome_of([100, 97.9], spread=0.2)["outcome"] == DOWN
    assert outcome_of([100, 97.9], spread=0.2, executable=1)["outcome"] == OPEN
    state = outcome_of([100, 97.7], spread=0.2, executable=1)
    assert state["outcome"] == DOWN
    assert state["return_fraction"] == pytest.approx(97.8 / 99.9 - 1.0, abs=1e-12)


@pytest.mark.parametrize(("bid", "ask"), [(np.nan, 120.0), (0.0, 120.0), (120.0, 119.0)])
def test_a_quote_that_is_not_one_is_passed_over(bid, ask):
    ticks = ticks_of([50, 100, 120, 101, 103])
    ticks["bid"][[0, 2]], ticks["ask"][[0, 2]] = bid, ask
    states = decisions([1_000])
    barriers_fold(states, ticks, np.zeros(1, np.int64))
    assert (states["entry_bid"][0], states["outcome"][0], states["end_ns"][0]) == (100, UP, 4)


def test_a_barrier_at_infinity_is_none():
    state = outcome_of([100, 50, 500], horizon_ns=2, gain=np.inf, loss=np.inf)
    assert state["outcome"] == HORIZON


def plainly(ticks, start, horizon_ns, gain, loss, executable):
    """The definition, in Python's words: (outcome, end, return), or None while open."""
    sound = [
        (int(t["time_ns"]), float(t["bid"]), float(t["ask"]))
        for t in ticks[start : start + 4_000]
        if 0 < t["bid"] <= t["ask"]
    ]
    _, bid0, ask0 = sound[0]
    mid0 = mid = 0.5 * (bid0 + ask0)
    buy, sell = (ask0, bid0) if executable else (mid0, mid0)
    for time_ns, bid, ask in sound[1:]:
        if time_ns > horizon_ns:
            return HORIZON, horizon_ns, mid / mid0 - 1.0
        mid = 0.5 * (bid + ask)
        high, low = (bid, ask) if executable else (mid, mid)
        if high >= buy * (1.0 + gain):
            return UP, time_ns, high / buy - 1.0
        if low <= sell * (1.0 - loss):
            return DOWN, time_ns, low / sell - 1.0
    return None


@pytest.mark.parametrize("executable", [0, 1])
def test_plain_python_gives_the_same(executable):
    ticks = random_ticks(6_000, seed=4)
    ticks["bid"][::97] = np.nan
    starts = np.arange(1, 2_000, 31)
    horizons = ticks["time_ns"][starts] + 90 * SECOND_NS
    states = decisions(horizons, 4e-5, 6e-5, executable)
    assert barriers_fold(states, ticks, starts) == 0
    found = [tuple(row) for row in states[["outcome", "end_ns", "return_fraction"]].tolist()]
    expected = [
        plainly(ticks, int(start), int(horizon), 4e-5, 6e-5, executable)
        for start, horizon in zip(starts, horizons, strict=True)
    ]
    assert found == expected
    assert {each[0] for each in found} == {UP, DOWN, HORIZON}


def check_pair(ticks, count, executable, stop=3_000):
    starts = np.linspace(0, len(ticks) - stop, count).astype(np.int64)
    horizons = ticks["time_ns"][starts] + 900 * SECOND_NS
    folded = decisions(horizons, 4e-4, 4e-4, executable)
    stepped, chunked = folded.copy(), folded.copy()
    left = barriers_fold(folded, ticks, starts)
    for k, start in enumerate(starts.tolist()):
        for i in range(start, len(ticks)):
            if barriers_at(stepped, k, ticks, i) != OPEN:
                break
    assert same_bits(stepped, folded)
    assert left == int((folded["outcome"] == OPEN).sum())
    half = len(ticks) // 2
    barriers_fold(chunked, ticks[:half], np.minimum(starts, half))
    barriers_fold(chunked, ticks[half:], np.maximum(starts - half, 0))
    assert same_bits(chunked, folded)
    assert set(folded["outcome"].tolist()) == {UP, DOWN, HORIZON}


@pytest.mark.parametrize("executable", [0, 1])
def test_one_call_a_tick_equals_the_fold_on_real_ticks(real, executable):
    check_pair(real, 300, executable)


@pytest.mark.parametrize("executable", [0, 1])
def test_one_call_a_tick_equals_the_fold_on_made_ticks(executable):
    check_pair(random_ticks(20_000, seed=8, mean_gap_ns=SECOND_NS), 300, executable)
