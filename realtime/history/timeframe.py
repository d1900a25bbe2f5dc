"""Timeframes as MetaTrader names them, found from the steps between bars."""

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from realtime.history.errors import TimeframeUnknown

_MINUTE_NS = 60_000_000_000
DAY_NS = 1440 * _MINUTE_NS
MONTH_NS = 30 * DAY_NS
TIMEFRAMES_NS: dict[str, int] = {
    **{f"M{n}": n * _MINUTE_NS for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"H{n}": n * 60 * _MINUTE_NS for n in (1, 2, 3, 4, 6, 8, 12)},
    "D1": DAY_NS,
    "W1": 7 * DAY_NS,
    "MN1": MONTH_NS,
}
_NAMES = {length: name for name, length in TIMEFRAMES_NS.items()}


def timeframe_ns(name: str, file: str) -> int:
    """Return the length of a named timeframe.

    Raises:
        TimeframeUnknown: no such timeframe.
    """
    found = TIMEFRAMES_NS.get(name.upper())
    if found is None:
        remedy = f"Use one of {', '.join(TIMEFRAMES_NS)}."
        msg = f"no timeframe {name!r}"
        raise TimeframeUnknown(msg, file=file, remedy=remedy)
    return found


def timeframe_name(length_ns: int) -> str:
    """Return the name of a timeframe's length."""
    return _NAMES.get(length_ns, f"S{length_ns // 1_000_000_000}")


def found_timeframe(steps: Mapping[int, int], file: str) -> int:
    """Return the commonest step between bars as a timeframe.

    Raises:
        TimeframeUnknown: there are no two bars, or their step is no timeframe.
    """
    remedy = f"Give timeframe= (--timeframe) as one of {', '.join(TIMEFRAMES_NS)}."
    if not steps:
        what = "the timeframe cannot be read from a single bar time"
        raise TimeframeUnknown(what, file=file, remedy=remedy)
    step = max(steps, key=lambda size: (steps[size], -size))
    if 28 * DAY_NS <= step <= 31 * DAY_NS:
        return MONTH_NS
    if step not in _NAMES:
        what = f"bars {step / 1e9:g} s apart are of no timeframe"
        raise TimeframeUnknown(what, file=file, remedy=remedy)
    return step


def end_of(wall_open_ns: NDArray[np.int64], length_ns: int) -> NDArray[np.int64]:
    """Return the wall time at which bars end; months end with the calendar month."""
    if length_ns != MONTH_NS:
        return wall_open_ns + length_ns
    months = wall_open_ns.view("M8[ns]").astype("M8[M]") + 1
    return months.astype("M8[ns]").view(np.int64)


def on_grid(wall_open_ns: NDArray[np.int64], length_ns: int) -> NDArray[np.bool_]:
    """Tell which bars start on their timeframe; weeks and months are not checked."""
    if length_ns > DAY_NS or DAY_NS % length_ns:
        return np.ones(len(wall_open_ns), np.bool_)
    return wall_open_ns % length_ns == 0


def timeframe_in_name(name: str) -> str | None:
    """Find a timeframe in a file name such as ``EURUSD_M15.csv``."""
    for found in re.findall(r"(?<![A-Za-z0-9])(MN1|[MHDW]\d{1,2})(?![A-Za-z0-9])", name):
        if found in TIMEFRAMES_NS:
            return str(found)
    return None
