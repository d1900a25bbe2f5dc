"""Rules written as kernels: each turns a row of features into a SIGNAL, as a model would.

They exist to measure and to compare with (a moving-average crossover is the field's yardstick);
a trained model fills the same SIGNAL from outside the kernels.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.jit import kernel


@kernel
def crossover_step(
    row: NDArray[np.float64], fast_at: int, slow_at: int, now_ns: int, signal: np.void
) -> None:
    """Be certain of a rise while the fast average is above the slow one, of a fall below it.

    Args:
        row: feature values.
        fast_at: column of the fast average.
        slow_at: column of the slow average.
        now_ns: time of the row, written as the time of features and model.
        signal: SIGNAL record to fill; probability is NaN until both averages exist, and 0.5
            where they are equal.
    """
    fast = row[fast_at]
    slow = row[slow_at]
    if math.isnan(fast) or math.isnan(slow):
        signal["probability"] = math.nan
    elif fast > slow:
        signal["probability"] = 1.0
    elif fast < slow:
        signal["probability"] = 0.0
    else:
        signal["probability"] = 0.5
    signal["volatility"] = math.nan
    signal["feature_ns"] = now_ns
    signal["model_ns"] = now_ns


@kernel
def crossover_fold(
    rows: NDArray[np.float64],
    times_ns: NDArray[np.int64],
    fast_at: int,
    slow_at: int,
    signals: NDArray[np.void],
) -> None:
    """Fill one SIGNAL a row: `crossover_step` over history."""
    for i in range(len(rows)):
        crossover_step(rows[i], fast_at, slow_at, times_ns[i], signals[i])
