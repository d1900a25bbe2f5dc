"""Sessions: does a symbol of the desk trade at a moment?

A symbol without a calendar (``first_day >= last_day``) is always open and never rolls over. Outside
its calendar a symbol is closed, and no day is charged after the last row.
"""

import numpy as np

from realtime.kernels.days import day_row_step, is_open
from realtime.kernels.jit import kernel


@kernel
def has_calendar(desk: np.void, symbol: int) -> bool:
    """Tell whether the symbol has rows in `desk["days"]`."""
    return desk["specs"][symbol]["first_day"] < desk["specs"][symbol]["last_day"]


@kernel
def day_row_at(desk: np.void, symbol: int, now_ns: int) -> int:
    """Row of `desk["days"]` that contains `now_ns`; -1 outside the calendar or without one.

    Starts from the row in force, so that a symbol whose last tick was long ago is not judged by it.
    """
    spec = desk["specs"][symbol]
    return day_row_step(
        desk["days"], desk["day_rows"][symbol], spec["first_day"], spec["last_day"], now_ns
    )


@kernel
def is_session_open(desk: np.void, symbol: int, now_ns: int) -> bool:
    """Tell whether the symbol trades at `now_ns` (open inclusive, close exclusive)."""
    if not has_calendar(desk, symbol):
        return True
    row = day_row_at(desk, symbol, now_ns)
    if row < 0:
        return False
    return is_open(desk["days"][row], now_ns)


@kernel
def last_open_ns(desk: np.void, symbol: int, from_ns: int, to_ns: int) -> int:
    """Return the last moment of trading in [from_ns, to_ns], or `to_ns` if there is none.

    A bar cut at midnight UTC on a Friday ends two hours after the market: its close was a price of
    the last moment before that, and could be traded then.
    """
    if not has_calendar(desk, symbol):
        return to_ns
    row = day_row_at(desk, symbol, to_ns)
    while row >= desk["specs"][symbol]["first_day"]:
        day = desk["days"][row]
        if day["end_ns"] <= from_ns:
            break
        last_ns = min(to_ns, int(day["close_ns"]) - 1)
        if day["open_ns"] < day["close_ns"] and last_ns >= max(from_ns, int(day["open_ns"])):
            return last_ns
        row -= 1
    return to_ns
