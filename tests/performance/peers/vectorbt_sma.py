"""vectorbt on the yardstick: target amounts from its own moving averages."""

import numpy as np
import vectorbt as vbt
from numpy.typing import NDArray
from stopwatch import Bars, report  # first: it puts the yardstick on the path

from sma_reference import COST_FRACTION, FAST, SLOW, UNITS  # isort: skip


def prepare(bars: Bars) -> NDArray[np.float64]:
    """Return the closes as they are."""
    return bars.close


def run(close: NDArray[np.float64]) -> tuple[float, int]:
    """Return net PnL and number of orders."""
    fast = vbt.MA.run(close, FAST).ma.to_numpy()
    slow = vbt.MA.run(close, SLOW).ma.to_numpy()
    units = np.nan_to_num(np.sign(fast - slow), nan=0.0) * UNITS
    cash = 1e9
    portfolio = vbt.Portfolio.from_orders(
        close, size=units, size_type="targetamount", fees=COST_FRACTION, init_cash=cash
    )
    return float(portfolio.final_value() - cash), int(portfolio.orders.count())


if __name__ == "__main__":
    report(prepare, run, 500_000)
