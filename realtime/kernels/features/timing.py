"""Time: minute of the day, day of the week, sessions, and how far the next close and rollover are.

The moment is the end of the bar, so that a bar that ends as London opens is already "in London".
Sessions, rollover and daylight saving come with the DAY row of the trading day (see
`realtime.calendar`); only the minute of the day is by the clock, and that clock is UTC. A moment
outside of its row counts as the row's nearest edge; an empty row (``end_ns <= start_ns``) gives
NaN. Nothing here needs to warm up.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.days import is_open, ns_to_close, ns_to_long_close, ns_to_rollover
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.jit import kernel

_MINUTE_NS = 60_000_000_000
_DAY_MINUTES = 1440
_WEEK_DAYS = 7
_FAR_MINUTES = 10 * _DAY_MINUTES  # no regular week is as long, not even one with a clock change

#: A circle as memory: the last position on it and its sine and cosine.
_CIRCLE = np.dtype([("position", "i8"), ("sine", "f8"), ("cosine", "f8")], align=True)

#: Memory of a kernel that remembers nothing: a record needs a field.
_NOTHING = np.dtype([("unused", "i8")], align=True)


@kernel
def write_circle(
    circle: np.void, position: int, length: int, row: NDArray[np.float64], at: int
) -> None:
    """Write sine and cosine of ``2 pi position / length``, worked out when the position changes.

    A tick is mostly in the minute of the tick before, and the two functions are the whole cost.
    """
    if circle["position"] != position + 1:  # kept plus one, because memory starts as zeros
        angle = 2.0 * math.pi * position / length
        circle["position"] = position + 1
        circle["sine"] = math.sin(angle)
        circle["cosine"] = math.cos(angle)
    row[at] = circle["sine"]
    row[at + 1] = circle["cosine"]


@kernel
def moment_in(day: np.void, time_ns: int) -> int:
    """Return the moment, moved to the nearest edge of the row if it is outside."""
    if time_ns < day["start_ns"]:
        return day["start_ns"]
    if time_ns > day["end_ns"]:
        return day["end_ns"]
    return time_ns


def minute_of_day_state() -> np.dtype[Any]:
    """Memory of `minute_of_day_step`."""
    return _CIRCLE


@kernel
def minute_of_day_step(memory: np.void, bar: np.void, row: NDArray[np.float64], at: int) -> None:
    """Write sine and cosine of the UTC minute in which the bar ends, a turn every 1,440 minutes."""
    minute = bar["end_ns"] // _MINUTE_NS % _DAY_MINUTES
    write_circle(memory, minute, _DAY_MINUTES, row, at)


def day_of_week_state() -> np.dtype[Any]:
    """Memory of `day_of_week_step`."""
    return _CIRCLE


@kernel
def day_of_week_step(memory: np.void, day: np.void, row: NDArray[np.float64], at: int) -> None:
    """Write sine and cosine of the trading day's day of the week, a turn every seven days.

    Monday is 0, and begins on Sunday evening with the rollover. Seven, because crypto trades on
    weekends.
    """
    if day["end_ns"] <= day["start_ns"]:
        row[at] = math.nan
        row[at + 1] = math.nan
        return
    write_circle(memory, day["day_of_week"], _WEEK_DAYS, row, at)


def sessions_state() -> np.dtype[Any]:
    """Memory of `sessions_step`: none."""
    return _NOTHING


@kernel
def sessions_step(
    memory: np.void, bar: np.void, day: np.void, row: NDArray[np.float64], at: int
) -> None:
    """Write 1 or 0 for Tokyo, London, New York, and for London and New York at once.

    A session holds its opening moment and not its closing one; one that opens as it closes (a
    holiday) is never on.
    """
    if day["end_ns"] <= day["start_ns"]:
        for i in range(4):
            row[at + i] = math.nan
        return
    time_ns = moment_in(day, bar["end_ns"])
    tokyo = day["tokyo_open_ns"] <= time_ns < day["tokyo_close_ns"]
    london = day["london_open_ns"] <= time_ns < day["london_close_ns"]
    new_york = day["new_york_open_ns"] <= time_ns < day["new_york_close_ns"]
    row[at] = 1.0 if tokyo else 0.0
    row[at + 1] = 1.0 if london else 0.0
    row[at + 2] = 1.0 if new_york else 0.0
    row[at + 3] = 1.0 if london and new_york else 0.0


def trading_hours_state() -> np.dtype[Any]:
    """Memory of `trading_hours_step`: none."""
    return _NOTHING


@kernel
def trading_hours_step(
    memory: np.void, bar: np.void, day: np.void, row: NDArray[np.float64], at: int
) -> None:
    """Write the minutes to the close, to the next long close, to the rollover, and since the open.

    The first and the last are 0 while the market is closed. The second is at most 14,400 (ten
    days), which is also what a market that never closes has. Minutes have fractions.
    """
    if day["end_ns"] <= day["start_ns"]:
        for i in range(4):
            row[at + i] = math.nan
        return
    time_ns = moment_in(day, bar["end_ns"])
    to_long_close = ns_to_long_close(day, time_ns) / _MINUTE_NS
    row[at] = ns_to_close(day, time_ns) / _MINUTE_NS
    row[at + 1] = to_long_close if to_long_close < _FAR_MINUTES else float(_FAR_MINUTES)
    row[at + 2] = ns_to_rollover(day, time_ns) / _MINUTE_NS
    row[at + 3] = (time_ns - day["open_ns"]) / _MINUTE_NS if is_open(day, time_ns) else 0.0


def _output(name: str, unit: str, description: str, oracle: str) -> Output:
    return Output(name=name, unit=unit, description=description, oracle=oracle, warm_up=lambda: 0)


def _flag(name: str, description: str) -> Output:
    return _output(name, "0 or 1", description, "session hours from zoneinfo, exactly")


def _minutes(name: str, description: str) -> Output:
    return _output(name, "minutes", description, "datetime differences, exactly")


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="minute_of_day",
        step=minute_of_day_step,
        state=minute_of_day_state,
        outputs=(
            _output(
                "minute_of_day_sin",
                "-1..1",
                "Sine of the UTC minute of the day in which the bar ends.",
                "math.sin(2 pi minute / 1440)",
            ),
            _output(
                "minute_of_day_cos",
                "-1..1",
                "Cosine of the UTC minute of the day in which the bar ends.",
                "math.cos(2 pi minute / 1440)",
            ),
        ),
    ),
    FeatureKernel(
        name="day_of_week",
        step=day_of_week_step,
        state=day_of_week_state,
        inputs=("day",),
        outputs=(
            _output(
                "day_of_week_sin",
                "-1..1",
                "Sine of the trading day's day of the week, Monday 0.",
                "math.sin(2 pi day / 7)",
            ),
            _output(
                "day_of_week_cos",
                "-1..1",
                "Cosine of the trading day's day of the week, Monday 0.",
                "math.cos(2 pi day / 7)",
            ),
        ),
    ),
    FeatureKernel(
        name="sessions",
        step=sessions_step,
        state=sessions_state,
        inputs=("bar", "day"),
        outputs=(
            _flag("in_tokyo", "The bar ends in Tokyo's session."),
            _flag("in_london", "The bar ends in London's session."),
            _flag("in_new_york", "The bar ends in New York's session."),
            _flag("in_overlap", "The bar ends while London and New York are both open."),
        ),
    ),
    FeatureKernel(
        name="trading_hours",
        step=trading_hours_step,
        state=trading_hours_state,
        inputs=("bar", "day"),
        outputs=(
            _minutes("minutes_to_close", "To the end of trading in this day; 0 while closed."),
            _minutes("minutes_to_long_close", "To the next closure of 12 hours or more."),
            _minutes("minutes_to_rollover", "To the rollover that ends the trading day."),
            _minutes("minutes_since_open", "Since trading began in this day; 0 while closed."),
        ),
    ),
)
