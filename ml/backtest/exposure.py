"""What a run held and turned over, in account currency."""

import numpy as np
from numpy.typing import NDArray

from ml.backtest.run import Run
from realtime.kernels import codes

_TICK_VALUE_MODES = (codes.CALC_FUTURES, codes.CALC_EXCHANGE_FUTURES, codes.CALC_CFD_INDEX)


def fill_notional(run: Run) -> NDArray[np.float64]:
    """Value of every deal in account currency; NaN where specifications or a quote lack.

    lots * contract size * price, or lots * price / tick size * tick value for futures and index
    modes, converted at the sampled mid of the moment of the profit currency's pair.
    """
    fills = run.fills
    return _notional(run, fills["symbol"], fills["time_ns"], fills["volume_lots"], fills["price"])


def leverage(run: Run) -> NDArray[np.float64]:
    """Sum of |notional| of all symbols over equity, at every equity sample.

    Each symbol counts with its latest sample. NaN without specifications or where equity is not
    above zero.
    """
    total = np.abs(held_by_symbol(run)).sum(axis=0)
    equity = run.equity["equity"]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(equity > 0.0, total / equity, np.nan)


def held_by_symbol(run: Run) -> NDArray[np.float64]:
    """Value of each symbol's net position at every sample, (symbols, samples), short negative.

    Account currency; each symbol counts with its latest sample; NaN without specifications.
    """
    samples = run.equity
    own = _notional(
        run, samples["symbol"], samples["time_ns"], samples["position_lots"], samples["mid"]
    )
    return np.stack([latest(own, samples["symbol"] == row) for row in range(len(run.symbols))])


def gross_lots(run: Run) -> NDArray[np.float64]:
    """Net lots of a single symbol, signed; of several the sum of |net lots|; at every sample."""
    samples = run.equity
    if len(run.symbols) == 1:
        return samples["position_lots"].copy()
    total = np.zeros(samples.size)
    for row in range(len(run.symbols)):
        total += latest(np.abs(samples["position_lots"]), samples["symbol"] == row)
    return total


def latest(values: NDArray[np.float64], mine: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the latest value among `mine` at every row, 0 before the first."""
    rows = np.where(mine, np.arange(values.size), -1)
    place = np.maximum.accumulate(rows) if rows.size else rows
    return np.where(place >= 0, values[place], 0.0) if rows.size else np.empty(0)


def _notional(
    run: Run,
    symbol: NDArray[np.int64],
    time_ns: NDArray[np.int64],
    lots: NDArray[np.float64],
    price: NDArray[np.float64],
) -> NDArray[np.float64]:
    value = np.full(symbol.size, np.nan)
    if run.specs is None:
        return value
    for row, spec in enumerate(run.specs):
        mine = np.flatnonzero(symbol == row)
        if mine.size == 0:
            continue
        a_unit = float(spec["contract_size"])
        if int(spec["calc_mode"]) in _TICK_VALUE_MODES and spec["tick_size"] > 0.0:
            a_unit = float(spec["tick_value"] / spec["tick_size"])
        rate = _conversion(run, row, time_ns[mine], price[mine])
        # no position is worth nothing, whatever the price
        value[mine] = np.where(lots[mine] == 0.0, 0.0, lots[mine] * a_unit * price[mine] * rate)
    return value


def _conversion(
    run: Run, row: int, time_ns: NDArray[np.int64], price: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Profit currency of a symbol to account currency."""
    assert run.specs is not None
    source = int(run.specs["profit_symbol"][row])
    if source < 0:
        return np.ones(time_ns.size)
    if source == row:
        quote = price
    else:
        samples = run.equity[run.equity["symbol"] == source]
        place = np.searchsorted(samples["time_ns"], time_ns, side="right") - 1
        known = np.append(samples["mid"], np.nan)
        quote = np.where(place >= 0, known[place], np.nan)
    inverse = int(run.specs["profit_inverse"][row]) == 1
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(quote > 0.0, 1.0 / quote if inverse else quote, np.nan)
