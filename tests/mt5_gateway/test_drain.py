import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.drain import SymbolDrain
from mt5_gateway.results import TICKS
from mt5_gateway.server_time import ServerClock
from mt5_gateway.validation import ACCEPTED, LATE

UTC = ServerClock("UTC")
START_MS = 1_700_000_000_000


def ticks(times_ms, bids=None):
    rows = np.zeros(len(times_ms), TICKS)
    rows["time_msc"] = times_ms
    rows["time"] = rows["time_msc"] // 1000
    rows["bid"] = 1.1 if bids is None else bids
    rows["ask"] = rows["bid"] + 0.0001
    rows["flags"] = 6
    return rows


class History:
    """A terminal's history: rows that can be asked for by the second, as copy_ticks_from does."""

    def __init__(self, rows):
        self.rows = rows

    def answer(self, wanted):
        _, second, count = wanted
        found = self.rows["time_msc"] >= second * 1000
        first = int(np.argmax(found)) if found.any() else len(self.rows)
        return self.rows[first : first + count]


def drain_all(drain, history, polls=60):
    parts = [drain.take(history.answer(drain.wanted)) for _ in range(polls)]
    return np.concatenate([part.rows for part in parts])


def numbered(times_ms):
    return ticks(times_ms, 1.0 + np.arange(len(times_ms)) * 1e-6)


@given(
    st.lists(st.integers(0, 3000), min_size=1, max_size=60),
    st.lists(st.integers(1, 60), max_size=5),
    st.integers(1, 9),
)
def test_every_tick_is_taken_once_however_it_arrives(offsets, arrivals, count):
    rows = numbered(START_MS + np.sort(np.array(offsets)))
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=count)
    taken = [
        drain_all(drain, History(rows[:seen]), polls=40)
        for seen in [*np.cumsum(arrivals).tolist(), len(rows)]
    ]
    assert np.array_equal(np.concatenate(taken), rows)
    assert drain.ordinal == len(rows)


@given(st.lists(st.integers(0, 900), min_size=2, max_size=60), st.data())
def test_a_drain_that_resumes_takes_exactly_the_rest(offsets, data):
    rows = numbered(START_MS + np.sort(np.array(offsets)) // 100)
    first = SymbolDrain("EURUSD", UTC, START_MS, rows=1000)
    drained = first.take(rows)
    at = data.draw(st.integers(0, len(rows) - 1))
    second = SymbolDrain("EURUSD", UTC, START_MS, rows=1000)
    server_ms = int(rows["time_msc"][at])
    second.resume(server_ms, int(drained.taken[at]), server_ms, 1.1)
    assert np.array_equal(second.take(rows).rows, rows[at + 1 :])


def test_a_burst_larger_than_the_count_in_one_millisecond_is_taken_whole():
    rows = numbered([START_MS] * 5000 + [START_MS + 1])
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=10)
    assert np.array_equal(drain_all(drain, History(rows)), rows)
    drain.take(numbered([START_MS] * 5000 + [START_MS + 1, START_MS + 2000]))
    drain.take(numbered([START_MS + 2000]))
    assert not drain.more


def test_equal_ticks_of_one_millisecond_are_all_taken():
    rows = ticks([START_MS] * 3)
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=100)
    assert len(drain.take(rows[:2])) == 2
    assert len(drain.take(rows)) == 1
    assert len(drain.take(rows)) == 0


def test_a_tick_that_the_terminal_adds_to_the_past_is_late_and_not_in_the_feed():
    rows = numbered([START_MS, START_MS + 10, START_MS + 20])
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=100)
    drain.take(rows[[0, 2]])
    drained = drain.take(np.concatenate([rows, numbered([START_MS + 30])]))
    assert drained.codes.tolist() == [LATE, ACCEPTED]
    assert drained.rows["time_msc"].tolist() == [START_MS + 10, START_MS + 30]
    assert drain.ordinal == 3


def test_a_drain_begins_at_its_start_and_not_at_the_second():
    rows = numbered([START_MS + 1, START_MS + 499, START_MS + 500, START_MS + 501])
    drain = SymbolDrain("EURUSD", UTC, START_MS + 500, rows=100)
    assert drain.take(rows).rows["time_msc"].tolist() == [START_MS + 500, START_MS + 501]


def test_a_last_tick_that_left_the_history_costs_nothing_else():
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=100)
    drain.take(numbered([START_MS, START_MS + 7]))
    assert len(drain.take(numbered([START_MS, START_MS + 9]))) == 1


def test_ticks_of_the_second_pass_through_a_repeated_hour_follow_those_of_the_first():
    athens = ServerClock("Europe/Athens")
    moments = 1_729_983_600_000 + np.arange(0, 4 * 3_600_000, 90_000)  # around 2024-10-27 01:00 UTC
    walls = athens.to_server_all_ms(moments)
    assert np.any(np.diff(walls) < 0)
    drain = SymbolDrain("BTCUSD", athens, int(walls[0]), rows=1000)
    drained = drain.take(numbered(walls))
    assert np.array_equal(drained.utc_ms, moments)
    assert np.all(drained.codes == ACCEPTED)


@pytest.mark.parametrize("count", [1, 2, 7])
def test_what_was_taken_of_a_millisecond_is_counted_across_polls(count):
    rows = numbered([START_MS, START_MS, START_MS, START_MS + 1, START_MS + 1])
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=1000)
    parts = [drain.take(rows[:seen]) for seen in range(1, len(rows) + 1)]
    assert np.concatenate([part.taken for part in parts]).tolist() == [1, 2, 3, 1, 2]
    again = SymbolDrain("EURUSD", UTC, START_MS, rows=count)
    assert len(drain_all(again, History(rows))) == len(rows)
