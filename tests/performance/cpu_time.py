"""How a bench times: CPU seconds of warm calls, their median and their spread.

CPU time and not the clock on the wall, because other processes share the machine. They still make
a call slower (caches, a sibling thread), hence the median of several and the spread beside it.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

REPEATS = 7


@dataclass(frozen=True, kw_only=True)
class CpuTime:
    """CPU seconds of several warm calls."""

    median_s: float
    lowest_s: float
    highest_s: float

    def rate(self, count: int) -> float:
        """Work done a CPU-second."""
        return count / self.median_s

    def ns(self, count: int) -> float:
        """CPU nanoseconds a piece of work."""
        return self.median_s / count * 1e9

    @property
    def spread(self) -> str:
        """How far the fastest and the slowest call were from the median."""
        below = 100.0 * (self.lowest_s / self.median_s - 1.0)
        above = 100.0 * (self.highest_s / self.median_s - 1.0)
        return f"{below:+.0f}% to {above:+.0f}%"


def cpu_time(
    prepare: Callable[[], Any], run: Callable[[Any], Any], repeats: int = REPEATS
) -> CpuTime:
    """Time `run` on what `prepare` returns, fresh for every call; the first call is not counted."""
    run(prepare())
    seconds: list[float] = []
    for _ in range(repeats):
        given = prepare()
        start = time.process_time()
        run(given)
        seconds.append(time.process_time() - start)
    return CpuTime(
        median_s=statistics.median(seconds), lowest_s=min(seconds), highest_s=max(seconds)
    )
