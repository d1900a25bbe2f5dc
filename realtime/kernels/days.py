"""Where a moment lies in the calendar: the row of the DAY table, and what that row says.

The table comes from `realtime.calendar`; its rows are contiguous, so the row of the newest tick is
nearly always the row of the tick before.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.jit import kernel

OUTSIDE = -1  # the moment lies before or after the table

_DAY_NS = 86_400_000_000_000
_WEEK_NS = 7 * _DAY_NS
_WALK = 4  # rows walked forward before searching: a weekend and a holiday


@kernel
def day_row_step(days: NDArray[np.void], hint: int, first: int, last: int, time_ns: int) -> int:
    """Find the row of `days` that contains a moment.

    Starts at the hint and walks a few rows forward, so following a feed is O(1); anything else (the
    first call, a jump backwards, a long gap) is a binary search.

    Args:
        days: (rows,) DAY records of all symbols.
        hint: row of the previous call, or anything outside ``[first, last)`` when there is none.
        first: first row of this symbol's calendar.
        last: one past its last row.
        time_ns: the moment, UTC.

    Returns:
        The row with ``start_ns <= time_ns < end_ns``, or `OUTSIDE` (-1).

    Equals ``first + np.searchsorted(days["start_ns"][first:last], time_ns, "right") - 1`` inside
    the table.
    """
    if first >= last or time_ns < days[first]["start_ns"] or time_ns >= days[last - 1]["end_ns"]:
        return OUTSIDE
    low = first
    if first <= hint < last and time_ns >= days[hint]["start_ns"]:
        low = hint
        for _ in range(_WALK):
            # Cannot pass the last row: its end is after time_ns.
            if time_ns < days[low]["end_ns"]:
                return low
            low += 1
    high = last
    while high - low > 1:
        middle = (low + high) // 2
        if time_ns < days[middle]["start_ns"]:
            high = middle
        else:
            low = middle
    return low


@kernel
def day_row_fold(
    days: NDArray[np.void],
    first: int,
    last: int,
    times_ns: NDArray[np.int64],
    rows: NDArray[np.int64],
) -> None:
    """Write the row of every moment of ``times_ns`` (n,) into ``rows`` (n,); see `day_row_step`."""
    hint = OUTSIDE
    for i in range(times_ns.size):
        hint = day_row_step(days, hint, first, last, times_ns[i])
        rows[i] = hint


@kernel
def bar_anchor_ns(days: NDArray[np.void], row: int, first: int, timeframe_ns: int) -> int:
    """Return the moment that bars of a timeframe are counted from, at a row of the calendar.

    The start of the trading day, or for weekly bars (multiples of 7 days) the start of the week,
    which is Sunday's trading day, as in MetaTrader. When the table does not reach back to Sunday
    the missing rows count as 24 hours.
    """
    if timeframe_ns < _WEEK_NS:
        return int(days[row]["start_ns"])
    back = int(days[row]["day_of_week"]) + 1
    if back >= 7:
        back -= 7
    if row - back >= first:
        return int(days[row - back]["start_ns"])
    return int(days[first]["start_ns"]) - (back - (row - first)) * _DAY_NS


@kernel
def is_open(day: np.void, time_ns: int) -> bool:
    """Tell whether the market trades at a moment of this DAY row."""
    return bool(day["open_ns"] <= time_ns and time_ns < day["close_ns"])


@kernel
def ns_to_close(day: np.void, time_ns: int) -> int:
    """Return the nanoseconds to the end of trading in this row; 0 while the market is closed."""
    if time_ns < day["open_ns"] or time_ns >= day["close_ns"]:
        return 0
    return int(day["close_ns"]) - time_ns


@kernel
def ns_to_long_close(day: np.void, time_ns: int) -> int:
    """Return the nanoseconds to the next close that lasts 12 hours or more, 0 if already past.

    A market that never closes that long has ``calendar.NEVER_NS`` there: a very large result.
    """
    return max(int(day["long_close_ns"]) - time_ns, 0)


@kernel
def ns_to_rollover(day: np.void, time_ns: int) -> int:
    """Return the nanoseconds to the rollover that ends this trading day (swap is charged then)."""
    return int(day["end_ns"]) - time_ns
