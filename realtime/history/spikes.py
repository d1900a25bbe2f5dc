"""Bad prints: a price that leaves and comes back at once, far beyond what the feed does.

A row is a spike if its price differs from the price before by more than `fraction` of it *and*
more than `deviations` times the median absolute change of the rows around (zero changes left out),
and within the next three rows the price is back: nine tenths of the jump undone. A jump that stays
is never a spike, however large: it may be true.
"""

import numpy as np
from numpy.typing import NDArray

#: Rows looked at before and after a suspect.
BEFORE = 100
AHEAD = 3
_UNDONE = 0.9


def spikes(
    prices: NDArray[np.float64], context: NDArray[np.float64], fraction: float, deviations: float
) -> NDArray[np.bool_]:
    """Mark bad prints.

    Args:
        prices: (n,) positive prices in order of time.
        context: up to `BEFORE` prices before them.
        fraction: smallest jump, as a fraction of the price before; 0 marks nothing.
        deviations: smallest jump, in median absolute changes of the rows around.

    Returns:
        (n,) True for bad prints. The last `AHEAD` rows are never marked: they lack rows ahead.
    """
    marked = np.zeros(len(prices), np.bool_)
    if fraction <= 0 or len(prices) == 0:
        return marked
    joined = np.concatenate([context, prices])
    start = len(context)
    jump = np.abs(np.diff(joined))
    suspects = np.flatnonzero(jump > fraction * joined[:-1]) + 1
    for suspect in suspects.tolist():
        if suspect < start or marked[suspect - start]:
            continue
        good = suspect - 1
        while good >= start and marked[good - start]:
            good -= 1
        base = float(joined[good])
        if abs(joined[suspect] - base) <= fraction * base:
            continue
        back = _back_after(joined, suspect, base)
        if back and _far_out(joined, suspect, base, deviations):
            marked[suspect - start : suspect - start + back] = True
    return marked


def _back_after(prices: NDArray[np.float64], at: int, base: float) -> int:
    """Return how many rows from `at` on are off before the price is back; 0 if it stays away."""
    jump = prices[at] - base
    for rows in range(1, AHEAD + 1):
        if at + rows >= len(prices):
            return 0
        if abs(prices[at + rows] - base) <= (1 - _UNDONE) * abs(jump):
            return rows
    return 0


def _far_out(prices: NDArray[np.float64], at: int, base: float, deviations: float) -> bool:
    around = prices[max(0, at - BEFORE) : at]
    ahead = prices[at + AHEAD : at + AHEAD + BEFORE // 2]
    change = np.abs(np.concatenate([np.diff(around), np.diff(ahead)]))
    moved = change[change > 0]
    if len(moved) == 0:
        return True
    return bool(abs(prices[at] - base) > deviations * float(np.median(moved)))
