"""Windows and smoothings that features are made of, each O(1) a step and free of drift.

Every primitive is ``<name>_step(memory, value..., n)`` on a record of dtype ``<name>_state(n)``
that starts as zeros. Until its window is full it returns NaN, so a feature made of one is NaN
until warm without asking. Values must be finite: one NaN would stay in a running sum for ever.

A running sum adds the new and subtracts the leaving value, which gathers rounding errors without
limit. Here a second sum only adds; each time the ring wraps it *is* the window's sum and replaces
the first. So no sum holds more than ``n`` subtractions, after ten million steps as after ten.
Where values may differ by orders of magnitude (squares, money) the sums are renewed from the ring
itself: at each wrap, which costs one addition a step, and when an outlier has left. Mean and
variance are in `moments`.
"""

from typing import Any

import numpy as np

from realtime.kernels.jit import kernel

_NAN = float("nan")

# Squares below this fraction of their peak are summed afresh.
_DOMINATED = 1e-3


def lag_state(n: int) -> np.dtype[Any]:
    """Return the memory of `lag_step`."""
    return np.dtype([("ring", "f8", (n,)), ("at", "i8"), ("full", "i8")], align=True)


@kernel
def lag_step(memory: np.void, value: float, n: int) -> float:
    """Return the value of `n` steps ago (NaN in the first `n` steps)."""
    ring = memory["ring"]
    at = memory["at"]
    old = ring[at]
    ring[at] = value
    if memory["full"] == 0:
        old = _NAN
    at += 1
    if at == n:
        at = 0
        memory["full"] = 1
    memory["at"] = at
    return old


def sum_state(n: int) -> np.dtype[Any]:
    """Return the memory of `sum_step`."""
    return np.dtype(
        [("ring", "f8", (n,)), ("sum", "f8"), ("fresh", "f8"), ("at", "i8"), ("full", "i8")],
        align=True,
    )


@kernel
def sum_step(memory: np.void, value: float, n: int) -> float:
    """Return the sum of the last `n` values; equals ``values[-n:].sum()``."""
    ring = memory["ring"]
    at = memory["at"]
    total = memory["sum"] + (value - ring[at])
    fresh = memory["fresh"] + value
    ring[at] = value
    at += 1
    if at == n:
        at = 0
        total = fresh
        fresh = 0.0
        memory["full"] = 1
    memory["sum"] = total
    memory["fresh"] = fresh
    memory["at"] = at
    if memory["full"] == 0:
        return _NAN
    return total


def line_state(n: int) -> np.dtype[Any]:
    """Return the memory of `line_step`."""
    return np.dtype(
        [
            ("ring", "f8", (n,)),
            ("anchor", "f8"),
            ("sum", "f8"),
            ("ramp", "f8"),
            ("squares", "f8"),
            ("peak", "f8"),  # largest `squares` since the sums were exact
            ("at", "i8"),
            ("full", "i8"),
        ],
        align=True,
    )


@kernel
def line_step(memory: np.void, value: float, n: int) -> tuple[float, float, float, float]:
    """Return what a straight line through the last `n` values needs.

    The sums are renewed from the ring whenever it wraps, and where what is left of the squares is
    small beside what they were: an outlier has left, and its rounding would dominate.

    Returns:
        ``anchor, sum(d), sum(k * d), sum((d - mean(d)) ** 2)`` where ``d = value - anchor`` and
        ``k`` runs from 0 (the oldest) to ``n - 1``.
    """
    ring = memory["ring"]
    at = memory["at"]
    old = ring[at]
    ring[at] = value
    at += 1
    if at == n:
        at = 0
        memory["full"] = 1
    memory["at"] = at
    if memory["full"] == 0:
        return _NAN, _NAN, _NAN, _NAN
    new = value - memory["anchor"]
    gone = old - memory["anchor"]
    kept = memory["sum"] - gone
    ramp = memory["ramp"] + ((n - 1) * new - kept)
    total = kept + new
    squares = memory["squares"] + (new * new - gone * gone)
    peak = memory["peak"]
    if squares > peak:
        peak = squares
    spread = squares - total * total * (1.0 / n)
    if at == 0 or spread < _DOMINATED * peak:
        return _renew_line(memory, value, n)
    memory["sum"] = total
    memory["ramp"] = ramp
    memory["squares"] = squares
    memory["peak"] = peak
    return memory["anchor"], total, ramp, spread


@kernel
def _renew_line(memory: np.void, anchor: float, n: int) -> tuple[float, float, float, float]:
    """Sum the ring afresh, oldest first, around its newest value."""
    ring = memory["ring"]
    total = 0.0
    ramp = 0.0
    squares = 0.0
    i = memory["at"]
    for k in range(n):
        deviation = ring[i] - anchor
        total += deviation
        ramp += k * deviation
        squares += deviation * deviation
        i = i + 1 if i + 1 < n else 0
    memory["anchor"] = anchor
    memory["sum"] = total
    memory["ramp"] = ramp
    memory["squares"] = squares
    memory["peak"] = squares
    spread = squares - total * total * (1.0 / n)
    return anchor, total, ramp, spread if spread > 0.0 else 0.0


def extremes_state(n: int) -> np.dtype[Any]:
    """Return the memory of `extremes_step`."""
    return np.dtype(
        [
            ("highs", "f8", (n,)),
            ("lows", "f8", (n,)),
            ("highest", "f8"),  # of the block being filled
            ("lowest", "f8"),
            ("at", "i8"),
            ("full", "i8"),
        ],
        align=True,
    )


@kernel
def extremes_step(memory: np.void, high: float, low: float, n: int) -> tuple[float, float]:
    """Return the highest of the last `n` highs and the lowest of the last `n` lows.

    Equals ``talib.MAX(high, n)``, ``talib.MIN(low, n)``. Two blocks of `n` cover the window (van
    Herk): the running extreme of the block being filled, and the extremes of the rest of the block
    before it, worked out in one backward pass when that was complete. That is one comparison a
    step, without the unpredictable branches of a monotonic deque and with the same bound.
    """
    highs = memory["highs"]
    lows = memory["lows"]
    at = memory["at"]
    highest = memory["highest"]
    lowest = memory["lowest"]
    if at == 0 or high >= highest:
        highest = high
    if at == 0 or low <= lowest:
        lowest = low
    memory["highest"] = highest
    memory["lowest"] = lowest
    after = at + 1
    if after == n:
        after = 0
    before_high = highs[after]
    before_low = lows[after]
    highs[at] = high
    lows[at] = low
    memory["at"] = after
    if after == 0:
        _complete_extremes(memory, n)
        memory["full"] = 1
        return highest, lowest
    if memory["full"] == 0:
        return _NAN, _NAN
    if before_high > highest:
        highest = before_high
    if before_low < lowest:
        lowest = before_low
    return highest, lowest


@kernel
def _complete_extremes(memory: np.void, n: int) -> None:
    """Replace each entry of a full block by the extreme from there to the block's end."""
    highs = memory["highs"]
    lows = memory["lows"]
    high = highs[n - 1]
    low = lows[n - 1]
    for i in range(n - 2, -1, -1):
        if highs[i] > high:
            high = highs[i]
        if lows[i] < low:
            low = lows[i]
        highs[i] = high
        lows[i] = low


def ages_state(n: int) -> np.dtype[Any]:
    """Return the memory of `ages_step`."""
    return np.dtype(
        [
            ("highs", "f8", (n,)),
            ("lows", "f8", (n,)),
            ("high_from", "i8", (n,)),  # where in the block that extreme was
            ("low_from", "i8", (n,)),
            ("highest", "f8"),
            ("lowest", "f8"),
            ("highest_from", "i8"),
            ("lowest_from", "i8"),
            ("at", "i8"),
            ("full", "i8"),
        ],
        align=True,
    )


@kernel
def ages_step(memory: np.void, high: float, low: float, n: int) -> tuple[int, int]:
    """Return how many steps ago the highest high and the lowest low of the last `n` were.

    Of equal extremes the latest counts, as in TA-Lib's AROON. -1 until the window is full. The
    method is that of `extremes_step`.
    """
    highs = memory["highs"]
    lows = memory["lows"]
    at = memory["at"]
    after = at + 1
    if after == n:
        after = 0
    before_high = highs[after]
    before_low = lows[after]
    high_from = memory["high_from"][after]
    low_from = memory["low_from"][after]
    highs[at] = high
    lows[at] = low
    memory["at"] = after
    highest = memory["highest"]
    lowest = memory["lowest"]
    highest_from = memory["highest_from"]
    lowest_from = memory["lowest_from"]
    if at == 0 or high >= highest:
        highest = high
        highest_from = at
    if at == 0 or low <= lowest:
        lowest = low
        lowest_from = at
    memory["highest"] = highest
    memory["lowest"] = lowest
    memory["highest_from"] = highest_from
    memory["lowest_from"] = lowest_from
    high_age = at - highest_from
    low_age = at - lowest_from
    if after == 0:
        _complete_ages(memory, n)
        memory["full"] = 1
        return high_age, low_age
    if memory["full"] == 0:
        return -1, -1
    if before_high > highest:
        high_age = at + n - high_from
    if before_low < lowest:
        low_age = at + n - low_from
    return high_age, low_age


@kernel
def _complete_ages(memory: np.void, n: int) -> None:
    """Do the same with where those extremes were."""
    highs = memory["highs"]
    lows = memory["lows"]
    high_from = memory["high_from"]
    low_from = memory["low_from"]
    top = n - 1
    bottom = n - 1
    for i in range(n - 1, -1, -1):
        if highs[i] > highs[top]:
            top = i
        if lows[i] < lows[bottom]:
            bottom = i
        high_from[i] = top
        low_from[i] = bottom
    for i in range(n):
        highs[i] = highs[high_from[i]]
        lows[i] = lows[low_from[i]]


def ema_state(n: int) -> np.dtype[Any]:
    """Return the memory of `ema_step` and `wilder_step`."""
    return np.dtype([("value", "f8"), ("seen", "i8")], align=True)


@kernel
def ema_step(memory: np.void, value: float, n: int) -> float:
    """Return the exponential mean with alpha 2 / (n + 1); equals ``talib.EMA(values, n)``.

    As in TA-Lib the mean of the first `n` values is where it starts.
    """
    seen = memory["seen"]
    if seen == n:
        smooth = memory["value"] + (value - memory["value"]) * (2.0 / (n + 1.0))
        memory["value"] = smooth
        return smooth
    return _seed(memory, value, n)


@kernel
def wilder_step(memory: np.void, value: float, n: int) -> float:
    """Return Wilder's mean, alpha 1 / n, starting at the mean of the first `n` values."""
    seen = memory["seen"]
    if seen == n:
        smooth = memory["value"] + (value - memory["value"]) * (1.0 / n)
        memory["value"] = smooth
        return smooth
    return _seed(memory, value, n)


@kernel
def _seed(memory: np.void, value: float, n: int) -> float:
    total = memory["value"] + value
    seen = memory["seen"] + 1
    memory["seen"] = seen
    if seen < n:
        memory["value"] = total
        return _NAN
    memory["value"] = total / n
    return memory["value"]
