"""Calibration: whether rows that were given 60% came up 60% of the time."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Rows with like probabilities.

    Attributes:
        rows: how many.
        said: their mean probability.
        happened: share of them that went up.
        mean_return: mean signed move to the outcome, fraction of the price.
    """

    rows: int
    said: float
    happened: float
    mean_return: float


def reliability(
    labels: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    returns: NDArray[np.float64],
    bins: int = 10,
) -> tuple[Bin, ...]:
    """Return bins of equally many rows in order of the probability; deciles by default.

    Rows of the same probability are never parted, so there may be fewer bins.
    """
    order: NDArray[np.int64] = np.argsort(probabilities, kind="stable")
    ordered: NDArray[np.float64] = probabilities[order]
    found: list[Bin] = []
    start = 0
    for k in range(1, bins + 1):
        stop = round(len(ordered) * k / bins)
        if 0 < stop < len(ordered):
            stop = int(np.searchsorted(ordered, float(ordered[stop - 1]), side="right"))
        if stop > start:
            rows = order[start:stop]
            found.append(
                Bin(
                    rows=stop - start,
                    said=float(np.mean(probabilities[rows])),
                    happened=float(np.mean(labels[rows])),
                    mean_return=float(np.mean(returns[rows])),
                )
            )
            start = stop
    return tuple(found)


def calibration_error(table: tuple[Bin, ...]) -> float:
    """Return the expected calibration error: mean of |said - happened|, weighted by rows."""
    total = sum(each.rows for each in table)
    return sum(each.rows * abs(each.said - each.happened) for each in table) / max(total, 1)


def calibration_noise(table: tuple[Bin, ...], independent: float) -> float:
    """Return the calibration error that perfectly calibrated probabilities would show by chance.

    The mean of |share - p| of n outcomes is ``sqrt(2 / pi) * sqrt(p (1 - p) / n)`` for all but the
    smallest n. Overlapping labels repeat each other, so n is not the number of rows.

    Args:
        table: as `reliability` returns it.
        independent: outcomes that count for themselves, all bins together.
    """
    total = sum(each.rows for each in table)
    noise = 0.0
    for each in table:
        outcomes = max(independent * each.rows / total, 1.0)
        spread = math.sqrt(each.said * (1.0 - each.said) / outcomes)
        noise += each.rows / total * math.sqrt(2.0 / math.pi) * spread
    return noise
