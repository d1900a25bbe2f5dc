"""How far the market of the simulated terminal has come: by its own clock, or told to."""

import time
from typing import Protocol

import numpy as np

from mt5_gateway.simulator.market import Market


class Timeline(Protocol):
    """What decides how many ticks have been shown, and what time it is at the broker."""

    def revealed(self) -> int:
        """Count the ticks of all symbols shown so far."""
        ...

    def now_ns(self, played_ns: int) -> int:
        """Return the broker's time, UTC; `played_ns` is that of its last tick."""
        ...


class Told:
    """Lock-step: the market shows what it is told to, and time is that of the broker's last tick.

    Args:
        total: ticks there are.
    """

    def __init__(self, total: int) -> None:
        self.total = total
        self.shown = 0

    def revealed(self) -> int:
        """Count the ticks shown so far."""
        return self.shown

    def now_ns(self, played_ns: int) -> int:
        """Return the time of the broker's last tick."""
        return played_ns

    def open(self, count: int) -> int:
        """Show `count` ticks more; how many that were."""
        count = max(min(count, self.total - self.shown), 0)
        self.shown += count
        return count


class Paced:
    """The market runs by itself, `speed` times as fast as it did; long pauses are cut short.

    Args:
        market: its ticks.
        speed: market seconds a second.
        longest_pause_ns: market time, of what is left of weekends and holidays.
        elapsed_ns: market time already played, without the pauses cut.
    """

    def __init__(
        self, market: Market, speed: float, longest_pause_ns: int, elapsed_ns: int = 0
    ) -> None:
        self._times = market.ticks["time_ns"].copy()
        steps = np.clip(np.diff(self._times, prepend=self._times[:1]), 0, longest_pause_ns)
        self._due = np.cumsum(steps)
        self._speed = speed
        self._before_ns = elapsed_ns
        self._started_ns = time.monotonic_ns()

    def elapsed_ns(self) -> int:
        """Return the market time played, without the pauses cut."""
        return self._before_ns + int((time.monotonic_ns() - self._started_ns) * self._speed)

    def revealed(self) -> int:
        """Count the ticks shown so far."""
        return int(np.searchsorted(self._due, self.elapsed_ns(), side="right"))

    def now_ns(self, played_ns: int) -> int:
        """Return the time of the last tick shown, and what has passed since."""
        elapsed = self.elapsed_ns()
        place = int(np.searchsorted(self._due, elapsed, side="right")) - 1
        if place < 0:
            return played_ns
        since = elapsed - int(self._due[place])
        if place + 1 < len(self._times):
            since = min(since, int(self._times[place + 1] - self._times[place]) - 1)
        return max(int(self._times[place]) + since, played_ns)
