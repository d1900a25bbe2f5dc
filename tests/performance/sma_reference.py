"""The yardstick: a 10/30 moving-average crossover in plain NumPy, to compare engines against.

Rules, the same for every engine in the bench: 500,000 seeded one-minute bars; the signal is taken
at a bar's close and filled at that close; always long or short 100,000 units once both averages
exist (no position before); cost 0.00005 of the notional traded, each side; the position is marked
at the last close. A reversal is one order of 200,000 units.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BARS = 500_000
FAST = 10
SLOW = 30
UNITS = 100_000.0
COST_FRACTION = 0.00005
SEED = 7


class Outcome(NamedTuple):
    """What an engine must reproduce."""

    pnl: float
    orders: int


class Bars(NamedTuple):
    """OHLC of one-minute bars, prices not rounded so that the two averages never tie."""

    open: NDArray[np.float64]
    high: NDArray[np.float64]
    low: NDArray[np.float64]
    close: NDArray[np.float64]


def seeded_bars(count: int = BARS, seed: int = SEED) -> Bars:
    """Return `count` bars of a geometric random walk around 1.1, the same for the same seed."""
    rng = np.random.default_rng(seed)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0.0, 1e-4, count)))
    opened = np.concatenate(([1.1], close[:-1]))
    wick = np.abs(rng.normal(0.0, 5e-5, (2, count)))
    return Bars(
        open=opened,
        high=np.maximum(opened, close) * (1.0 + wick[0]),
        low=np.minimum(opened, close) * (1.0 - wick[1]),
        close=close,
    )


def moving_average(values: NDArray[np.float64], window: int) -> NDArray[np.float64]:
    """Simple moving average, NaN for the first `window` - 1 rows."""
    total = np.cumsum(values)
    average = np.full(len(values), np.nan)
    average[window - 1] = total[window - 1] / window
    average[window:] = (total[window:] - total[:-window]) / window
    return average


def target_side(close: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return +1, -1 or 0 (before both averages exist) a bar."""
    difference = moving_average(close, FAST) - moving_average(close, SLOW)
    return np.nan_to_num(np.sign(difference), nan=0.0)


def run(close: NDArray[np.float64]) -> Outcome:
    """Backtest the crossover on `close` and return the net result in quote currency."""
    units = target_side(close) * UNITS
    traded = np.abs(np.diff(units, prepend=0.0))
    gross = np.dot(units[:-1], np.diff(close))
    cost = COST_FRACTION * np.dot(traded, close)
    return Outcome(pnl=float(gross - cost), orders=int(np.count_nonzero(traded)))


if __name__ == "__main__":
    print(run(seeded_bars().close))
