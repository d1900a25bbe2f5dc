"""backtesting.py on the yardstick, on fewer bars: it takes about a minute for all of them."""

import warnings

import numpy as np
import pandas as pd
from backtesting import Backtest, Strategy
from stopwatch import Bars, report  # first: it puts the yardstick on the path

from sma_reference import COST_FRACTION, FAST, SLOW, UNITS, moving_average  # isort: skip

warnings.filterwarnings("ignore")
COUNT = 50_000


class Crossover(Strategy):
    """Always in the market once both averages exist; trades at the close of the signal's bar."""

    def init(self) -> None:
        """Compute both averages over the whole series, as the library wants it."""
        close = np.asarray(self.data.Close)
        self.fast = self.I(moving_average, close, FAST)
        self.slow = self.I(moving_average, close, SLOW)

    def next(self) -> None:
        """Close what is held on the wrong side and open the right side."""
        side = np.sign(self.fast[-1] - self.slow[-1])
        if side > 0 and not self.position.is_long:
            self.position.close()
            self.buy(size=UNITS)
        elif side < 0 and not self.position.is_short:
            self.position.close()
            self.sell(size=UNITS)


def prepare(bars: Bars) -> pd.DataFrame:
    """Return the bars as the library wants them."""
    return pd.DataFrame(
        {"Open": bars.open, "High": bars.high, "Low": bars.low, "Close": bars.close},
        index=pd.date_range("2020-01-01", periods=len(bars.close), freq="min"),
    )


def run(frame: pd.DataFrame) -> tuple[float, int]:
    """Return net PnL and number of reversals (the library counts trades, not orders).

    It takes its first position one bar later than the others, and pays to close the last one.
    """
    test = Backtest(
        frame,
        Crossover,
        cash=1e9,
        commission=COST_FRACTION,
        trade_on_close=True,
        finalize_trades=True,
    )
    stats = test.run()
    return float(stats["Equity Final [$]"] - 1e9), int(stats["# Trades"])


if __name__ == "__main__":
    report(prepare, run, COUNT, repeats=3)
