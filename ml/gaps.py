"""Holes in market data: silences while the market is open. Weekends and holidays are none."""

import numpy as np
from numpy.typing import NDArray

#: A silence with more open market in it than this is a hole. Pauses that calendars do not know
#: (early closes, a broker's own holidays) are shorter.
MOST_SILENCE_NS = 12 * 3_600_000_000_000


def open_until(days: NDArray[np.void], times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return for how long the market had been open at each time, from the start of a calendar.

    Args:
        days: (m,) DAY rows in order.
        times_ns: (n,) UTC; before and after the calendar nothing is open.
    """
    lengths = days["close_ns"] - days["open_ns"]
    before = np.concatenate([[0], np.cumsum(lengths)])
    day = np.searchsorted(days["end_ns"], times_ns, side="right")
    at = np.minimum(day, len(days) - 1)
    inside = np.clip(times_ns - days["open_ns"][at], 0, lengths[at])
    return np.where(day < len(days), before[at] + inside, before[-1])


def holes_of(
    times_ns: NDArray[np.int64], days: NDArray[np.void], most_ns: int = MOST_SILENCE_NS
) -> NDArray[np.int64]:
    """Return the last times before silences with more than `most_ns` of open market.

    Args:
        times_ns: (n,) of ticks, in order.
        days: DAY rows that cover them.
        most_ns: longest silence that is none.
    """
    long = np.flatnonzero(np.diff(times_ns) > most_ns)  # few: only these are asked of the calendar
    lasted = open_until(days, times_ns[long + 1]) - open_until(days, times_ns[long])
    return times_ns[long[lasted > most_ns]]
