"""How far the price went against and for each trade while it was open (MAE and MFE)."""

import numpy as np
from numpy.typing import NDArray

from ml.backtest.run import Run


def excursions(
    run: Run, closed: NDArray[np.void]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Maximum adverse and favourable excursion of trades, as fractions of the entry price.

    Seen on the bid for longs and on the ask (bid plus the bar's mean spread) for shorts, over
    bars that lie completely inside the trade, and at its own exit: never an extreme from before
    the entry or after the exit, so both are lower bounds of the true size. Without bars the mids
    of the equity samples are used.

    Args:
        run: the run the trades belong to.
        closed: `ml.backtest.trades.TRADE`.

    Returns:
        (adverse, favourable): shape (trades,), adverse <= 0 <= favourable.
    """
    adverse = np.zeros(closed.size)
    favourable = np.zeros(closed.size)
    for row, name in enumerate(run.symbols):
        mine = np.flatnonzero(closed["symbol"] == row)
        if mine.size == 0:
            continue
        starts, ends, low, high, spread = _path(run, row, name)
        trades = closed[mine]
        first = np.searchsorted(starts, trades["entry_ns"], side="left")
        last = np.searchsorted(ends, trades["exit_ns"], side="right")
        is_long = trades["side"] > 0
        entry, leaving = trades["entry_price"], trades["exit_price"]
        bottom = np.fmin(_reduce(np.fmin, low, first, last), leaving)
        top = np.fmax(_reduce(np.fmax, high, first, last), leaving)
        ask_bottom = np.fmin(_reduce(np.fmin, low + spread, first, last), leaving)
        ask_top = np.fmax(_reduce(np.fmax, high + spread, first, last), leaving)
        with np.errstate(divide="ignore", invalid="ignore"):
            worst = np.where(is_long, bottom / entry - 1.0, 1.0 - ask_top / entry)
            best = np.where(is_long, top / entry - 1.0, 1.0 - ask_bottom / entry)
        adverse[mine] = np.fmin(worst, 0.0)
        favourable[mine] = np.fmax(best, 0.0)
    return adverse, favourable


_Path = tuple[
    NDArray[np.int64],
    NDArray[np.int64],
    NDArray[np.float64],
    NDArray[np.float64],
    NDArray[np.float64],
]


def _path(run: Run, row: int, name: str) -> _Path:
    """(starts, ends, low, high, spread) of the symbol's bars, or of its sampled mids."""
    bars = run.bars.get(name)
    if bars is not None and bars.size:
        spread = np.nan_to_num(bars["spread_mean"], nan=0.0)
        return bars["open_ns"], bars["end_ns"], bars["low"], bars["high"], spread
    samples = run.equity[run.equity["symbol"] == row]
    time_ns, mid = samples["time_ns"], samples["mid"]
    return time_ns, time_ns, mid, mid, np.zeros(mid.size)


def _reduce(
    extreme: np.ufunc,
    values: NDArray[np.float64],
    first: NDArray[np.int64],
    last: NDArray[np.int64],
) -> NDArray[np.float64]:
    """`extreme` over values[first:last] of each pair; NaN where that is empty."""
    result = np.full(first.size, np.nan)
    filled = np.flatnonzero(first < last)
    if filled.size:
        # reduceat wants a flat list of bounds; the extra NaN lets a bound be len(values)
        padded = np.append(values, np.nan)
        bounds = np.stack((first[filled], last[filled]), axis=1).ravel()
        result[filled] = extreme.reduceat(padded, bounds)[::2]
    return result
