"""Clocks, given to whatever needs the time; nothing else in the project asks the machine for it.

Code that is handed a clock can be replayed: the recorded ticks set a `ReplayClock` and every
decision falls at the same nanosecond as it did live.
"""

import time
from typing import Protocol


class ClockError(ValueError):
    """Time was asked to run backwards."""


class Clock(Protocol):
    """Anything that tells the time."""

    def now_ns(self) -> int:
        """Return the nanoseconds since 1970-01-01 00:00 UTC."""
        ...


class WallClock:
    """The machine's clock. It may step backwards when the machine is synchronised."""

    def now_ns(self) -> int:
        """Return the machine's time, UTC nanoseconds."""
        return time.time_ns()


class ReplayClock:
    """A clock that stands where the last recorded event put it.

    Args:
        start_ns: UTC nanoseconds before the first event.
    """

    def __init__(self, start_ns: int = 0) -> None:
        self._now_ns = int(start_ns)

    def now_ns(self) -> int:
        """Return the time of the last event, UTC nanoseconds."""
        return self._now_ns

    def set(self, time_ns: int) -> None:
        """Move to the time of an event; several events may share one time.

        Raises:
            ClockError: the event is older than the one before; the clock does not move.
        """
        if time_ns < self._now_ns:
            msg = (
                f"replay went backwards: event at {time_ns} ns after {self._now_ns} ns;"
                " sort the events by time before replaying them"
            )
            raise ClockError(msg)
        self._now_ns = int(time_ns)


class SimulatedClock:
    """A clock that moves only when told to, by a simulator or a test.

    Args:
        start_ns: UTC nanoseconds at which it stands.
    """

    def __init__(self, start_ns: int) -> None:
        self._now_ns = int(start_ns)

    def now_ns(self) -> int:
        """Return the simulated time, UTC nanoseconds."""
        return self._now_ns

    def advance(self, by_ns: int) -> int:
        """Let time pass and return the new time.

        Raises:
            ClockError: `by_ns` is negative; the clock does not move.
        """
        if by_ns < 0:
            msg = f"cannot advance by {by_ns} ns: time does not run backwards"
            raise ClockError(msg)
        self._now_ns += int(by_ns)
        return self._now_ns
