"""Bars of every kind, tick by tick and folded, on all the real ticks."""

import numpy as np
import pytest

from realtime.kernels.bars import TIME_BAR, bars_merge_fold, bars_merge_step
from realtime.kernels.days import OUTSIDE, bar_anchor_ns, day_row_fold, day_row_step
from realtime.kernels.event_bars import EVENT_BAR, event_pieces_fold, event_pieces_step
from realtime.kernels.layout import BAR
from realtime.kernels.pieces import PIECE_STATE
from tests.parity.live_calls import day_row_at, event_bar_at
from tests.parity.scenarios import made_ticks
from tests.realtime.kernels.tick_streams import (
    EVENT_KINDS,
    days_of,
    event_bars,
    real_ticks,
    record,
    same_bits,
    time_bars,
)

MINUTE_NS = 60_000_000_000
KINDS = pytest.mark.parametrize("kind", EVENT_KINDS)


@pytest.fixture(scope="module")
def real(shared_data):
    return real_ticks(shared_data)


def params_array(kind):
    params = EVENT_KINDS[kind]
    array = np.zeros(1, params.dtype)
    array[0] = params
    return array


def check_event_bars(ticks, kind):
    states, pieces = np.zeros(1, EVENT_BAR), np.zeros(1, PIECE_STATE)
    out, params, count = np.zeros(len(ticks) + 1, BAR), params_array(kind), 0
    for i in range(len(ticks)):
        count += event_bar_at(states, pieces, ticks, params, out, count, i) == 1
    assert count > 10
    assert same_bits(out[:count], event_bars(ticks, EVENT_KINDS[kind]))


@KINDS
def test_event_bars_on_real_ticks(real, kind):
    check_event_bars(real, kind)


@KINDS
def test_event_bars_on_made_ticks(kind):
    check_event_bars(made_ticks(20_000), kind)


def check_event_bars_of_bars(ticks, kind):
    """Finished M1 bars are pieces too."""
    bars = time_bars(ticks, "M1", flush=False)
    state, out, count = record(EVENT_BAR), np.zeros(len(bars) + 1, BAR), 0
    for bar in bars:
        count += event_pieces_step(state, bar, EVENT_KINDS[kind], out[count]) == 1
    folded, other = np.zeros(len(bars) + 1, BAR), record(EVENT_BAR)
    done = event_pieces_fold(other, bars, EVENT_KINDS[kind], folded)
    assert done == count > 3
    assert same_bits(out, folded)
    assert state.tobytes() == other.tobytes()


@KINDS
def test_event_bars_of_bars_on_real_ticks(real, kind):
    check_event_bars_of_bars(real, kind)


@KINDS
def test_event_bars_of_bars_on_made_ticks(kind):
    check_event_bars_of_bars(made_ticks(20_000), kind)


def test_merged_bars_on_real_ticks(real):
    days, lower = days_of(real["time_ns"]), time_bars(real, "M1", flush=False)
    state, out, row, count = record(TIME_BAR), np.zeros(len(lower) + 2, BAR), OUTSIDE, 0
    for each in lower:
        row = day_row_step(days, row, 0, len(days), int(each["open_ns"]))
        anchor_ns = bar_anchor_ns(days, row, 0, 5 * MINUTE_NS)
        count += bars_merge_step(state, each, anchor_ns, 5 * MINUTE_NS, out, count)
    folded, other = np.zeros(len(lower) + 2, BAR), record(TIME_BAR)
    done = bars_merge_fold(other, lower, days, 0, len(days), 5 * MINUTE_NS, folded)
    assert done == count > 2_000
    assert same_bits(out, folded)
    assert state.tobytes() == other.tobytes()


def check_day_rows(ticks):
    times_ns = np.ascontiguousarray(ticks["time_ns"])
    days = days_of(times_ns)
    folded, stepped = np.zeros(len(times_ns), np.int64), np.zeros(len(times_ns), np.int64)
    day_row_fold(days, 0, len(days), times_ns, folded)
    row = OUTSIDE
    for i in range(len(times_ns)):
        row = day_row_at(days, row, times_ns, i)
        stepped[i] = row
    assert same_bits(stepped, folded)
    assert len(np.unique(folded)) >= 3


def test_day_rows_on_real_ticks(real):
    check_day_rows(real)


def test_day_rows_on_made_ticks():
    check_day_rows(made_ticks(20_000))
