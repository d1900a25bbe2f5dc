import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.drain import SymbolDrain
from mt5_gateway.results import TICKS
from mt5_gateway.server_time import ServerClock
from mt5_gateway.validation import ACCEPTED, FUTURE, LATE

UTC = ServerClock("UTC")
START_MS = 1_700_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS


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


class LiveDrain:
    """A drain of a terminal that runs: asked for a history as far as it has grown."""

    def __init__(self, clock_ahead_ms=0):
        self.drain = SymbolDrain("EURUSD", UTC, START_MS, rows=50)
        self.clock_ahead_ms = clock_ahead_ms
        self.rows = numbered([])
        self.taken: list[int] = []
        self.set_aside: list[int] = []

    def come(self, *times_ms, at_ms=None, is_sorted=True):
        """Let ticks come, of which the last one tells the time if nothing else does."""
        new = ticks(times_ms, 1.1 + len(self.rows) * 1e-6)
        self.rows = np.concatenate([self.rows, new])
        if is_sorted:
            self.rows = self.rows[np.argsort(self.rows["time_msc"], kind="stable")]
        self.poll(times_ms[-1] if at_ms is None else at_ms)

    def poll(self, at_ms):
        for _ in range(3):
            rows = History(self.rows).answer(self.drain.wanted)
            feed_ms = self.drain.accepted.utc_ms or 0
            drained = self.drain.take(rows, at_ms + self.clock_ahead_ms, feed_ms)
            self.taken += drained.rows["time_msc"][drained.codes == ACCEPTED].tolist()
            self.set_aside += drained.rows["time_msc"][drained.codes == FUTURE].tolist()
            assert np.all(drained.ordinals[drained.codes == FUTURE] == 0)
            assert not np.any((drained.codes != ACCEPTED) & (drained.codes != FUTURE))


@pytest.mark.parametrize("is_sorted", [True, False])
def test_a_tick_an_hour_ahead_is_set_aside_once_and_the_next_one_is_not_waited_for(is_sorted):
    live = LiveDrain()
    live.come(START_MS, START_MS + 100)
    live.come(START_MS + HOUR_MS, at_ms=START_MS + 200, is_sorted=is_sorted)
    assert live.drain.wanted[1] == START_MS // 1000
    minutes = [START_MS + step * MINUTE_MS for step in range(1, 70)]  # past the hour itself
    for minute_ms in minutes:
        live.come(minute_ms, is_sorted=is_sorted)
    assert live.taken == [START_MS, START_MS + 100, *minutes]
    assert live.set_aside == [START_MS + HOUR_MS]


def test_a_first_tick_an_hour_ahead_does_not_set_the_feed_off_from_there():
    live = LiveDrain()
    live.come(START_MS + HOUR_MS, at_ms=START_MS)
    live.come(START_MS + 10)
    assert (live.taken, live.set_aside) == ([START_MS + 10], [START_MS + HOUR_MS])


def test_a_tick_that_was_set_aside_before_a_restart_is_not_taken_when_its_time_has_come():
    live = LiveDrain()
    live.come(START_MS, START_MS + HOUR_MS, at_ms=START_MS)
    (bad,) = live.rows[live.rows["time_msc"] == START_MS + HOUR_MS]
    again = LiveDrain()
    again.rows = live.rows
    again.drain.resume(START_MS, 1, START_MS, 1.1)
    again.drain.future.remember(
        int(bad["time_msc"]), float(bad["bid"]), float(bad["ask"]), int(bad["flags"])
    )
    again.come(START_MS + 2 * HOUR_MS)
    assert again.taken == [START_MS + 2 * HOUR_MS]


def test_a_weekend_passes():
    live = LiveDrain()
    live.come(START_MS)
    live.come(START_MS + 49 * HOUR_MS, START_MS + 49 * HOUR_MS + 5)
    assert len(live.taken) == 3


def test_a_clock_that_is_an_hour_behind_holds_the_feed_up_for_seconds_and_does_not_stop_it():
    live = LiveDrain(clock_ahead_ms=-HOUR_MS)
    seconds = [START_MS + step * 1000 for step in range(60)]
    for second_ms in seconds:
        live.come(second_ms)
    assert live.taken == seconds[10:]
    after_a_break = [seconds[-1] + 20 * MINUTE_MS + step * 1000 for step in range(60)]
    for second_ms in after_a_break:
        live.come(second_ms)
    assert live.taken == seconds[10:] + after_a_break[10:]
    assert live.set_aside == seconds[:10] + after_a_break[:10]


def test_what_came_while_the_gateway_was_down_is_no_future_to_a_clock_that_is_behind():
    live = LiveDrain(clock_ahead_ms=-HOUR_MS)
    live.drain.resume(START_MS, 1, START_MS, 1.1)
    minutes = [START_MS + step * MINUTE_MS for step in range(1, 30)]
    live.come(*minutes)
    assert live.taken == minutes


def test_a_replay_takes_ticks_of_any_time():
    drain = SymbolDrain("EURUSD", UTC, START_MS, rows=100)
    drained = drain.take(numbered([START_MS, START_MS + 50 * HOUR_MS, START_MS + 90 * HOUR_MS]))
    assert drained.codes.tolist() == [ACCEPTED] * 3
