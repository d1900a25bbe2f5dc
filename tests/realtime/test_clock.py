"""Clocks tell the time they were given and never run backwards."""

import time

import pytest

from realtime.clock import Clock, ClockError, ReplayClock, SimulatedClock, WallClock


def test_the_wall_clock_tells_the_machines_time():
    before = time.time_ns()
    now_ns = WallClock().now_ns()
    assert before <= now_ns <= time.time_ns()


@pytest.mark.parametrize("clock", [WallClock(), ReplayClock(5), SimulatedClock(5)])
def test_every_clock_is_a_clock(clock):
    def ask(given: Clock) -> int:
        return given.now_ns()

    assert type(ask(clock)) is int


def test_a_replay_stands_where_the_last_event_put_it():
    clock = ReplayClock(start_ns=100)
    assert clock.now_ns() == 100
    clock.set(250)
    assert clock.now_ns() == 250
    assert clock.now_ns() == 250


def test_several_events_may_share_one_time():
    clock = ReplayClock()
    clock.set(7)
    clock.set(7)
    assert clock.now_ns() == 7


def test_a_replay_refuses_to_go_back_and_stays():
    clock = ReplayClock()
    clock.set(1_000)
    with pytest.raises(ClockError, match="999 ns after 1000 ns"):
        clock.set(999)
    assert clock.now_ns() == 1_000


def test_simulated_time_moves_only_when_told():
    clock = SimulatedClock(1_000)
    assert clock.now_ns() == 1_000
    assert clock.advance(500) == 1_500
    assert clock.advance(0) == 1_500
    assert clock.now_ns() == 1_500


def test_simulated_time_does_not_run_backwards():
    clock = SimulatedClock(1_000)
    with pytest.raises(ClockError, match="-1 ns"):
        clock.advance(-1)
    assert clock.now_ns() == 1_000
