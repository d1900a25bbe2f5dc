"""What the report's charts draw: series thinned without losing an extreme, encoded as small JSON.

Times are milliseconds, encoded as a start and differences; money and prices are integers of the
smallest unit, encoded as differences. The report's script decodes them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.backtest.exposure import gross_lots, leverage
from ml.backtest.run import Run

MAX_BUCKETS = 2_400  # more than a wide screen has pixels; each keeps up to eight samples
MAX_BARS = 24_000  # of all symbols together
_MS = 1_000_000


def extremes(
    time_ns: NDArray[np.int64], series: Sequence[NDArray[np.float64]], buckets: int = MAX_BUCKETS
) -> NDArray[np.int64]:
    """Rows to draw so that no extreme of any series gets lost.

    Of each of `buckets` equal spans of time the first and the last row, and the lowest and the
    highest row of each series. A line drawn through them on `buckets` pixels or fewer is the line
    through all rows. All rows if there are not more than that.

    Returns:
        Row numbers, increasing.
    """
    if time_ns.size <= 2 * (1 + len(series)) * buckets:
        return np.arange(time_ns.size)
    width = max(math.ceil((int(time_ns[-1]) - int(time_ns[0]) + 1) / buckets), 1)
    bucket = (time_ns - time_ns[0]) // width
    starts = np.flatnonzero(np.diff(bucket, prepend=-1))
    ends = np.append(starts[1:], time_ns.size) - 1
    chosen = [starts, ends]
    owner = np.repeat(np.arange(starts.size), ends - starts + 1)
    for values in series:
        known = np.nan_to_num(values)
        for extreme in (np.minimum, np.maximum):
            hits = np.flatnonzero(known == extreme.reduceat(known, starts)[owner])
            _, first = np.unique(owner[hits], return_index=True)
            chosen.append(hits[first])
    return np.unique(np.concatenate(chosen))


@dataclass(frozen=True, slots=True)
class Chart:
    """Series for the report's script.

    Attributes:
        payload: JSON-ready.
        shown: points or bars in it.
        total: points or bars there were.
    """

    payload: dict[str, object]
    shown: int
    total: int


def account_chart(run: Run) -> Chart:
    """Equity, balance, drawdown (percent, <= 0) and exposure over time.

    Exposure is gross leverage, or lots where the specifications are not known.
    """
    samples = run.equity
    equity = samples["equity"]
    peak = np.maximum.accumulate(np.maximum(equity, run.initial_equity))
    drawdown = np.minimum(equity / peak - 1.0, 0.0)
    levered, solvent = leverage(run), equity > 0.0
    known = bool(np.any(solvent)) and bool(np.all(np.isfinite(levered[solvent])))
    exposure = levered if known else gross_lots(run)
    rows = extremes(samples["time_ns"], (equity, drawdown, exposure))
    payload = {
        **_times(samples["time_ns"][rows]),
        "equity": _differences(equity[rows], run.money_digits),
        "balance": _differences(samples["balance"][rows], run.money_digits),
        "drawdown": _numbers(drawdown[rows] * 100.0, 2),
        "exposure": _numbers(exposure[rows], 3),
        "unit": "× equity" if known else "lots",
        "thinned": bool(rows.size < equity.size),
    }
    return Chart(payload, rows.size, equity.size)


def price_chart(run: Run, row: int) -> Chart:
    """Bars of one symbol, joined to coarser ones where there are too many.

    Without bars of the symbol the mids of the equity samples stand in for them.
    """
    name = run.symbols[row]
    bars = run.bars.get(name)
    if bars is not None and bars.size:
        time_ns = bars["open_ns"]
        ohlc = [bars[key] for key in ("open", "high", "low", "close")]
    else:
        samples = run.equity[run.equity["symbol"] == row]
        time_ns, ohlc = samples["time_ns"], [samples["mid"]] * 4
    usable = np.all([np.isfinite(values) for values in ohlc], axis=0)
    time_ns, ohlc = time_ns[usable], [values[usable] for values in ohlc]
    step = max(math.ceil(time_ns.size * len(run.symbols) / MAX_BARS), 1)
    starts = np.arange(0, time_ns.size, step)
    digits = price_digits(run, row)
    if starts.size:
        ends = np.append(starts[1:], time_ns.size) - 1
        opens, closes = ohlc[0][starts], ohlc[3][ends]
        highs = np.maximum.reduceat(ohlc[1], starts)
        lows = np.minimum.reduceat(ohlc[2], starts)
    else:
        opens = highs = lows = closes = np.empty(0)
    scale = 10.0**digits
    units = [np.rint(values * scale).astype(np.int64) for values in (opens, highs, lows, closes)]
    payload: dict[str, object] = {
        "symbol": name,
        "digits": digits,
        **_times(time_ns[starts]),
        "close": np.diff(units[3], prepend=0).tolist(),
        "open": (units[0] - units[3]).tolist(),  # the others as distances from the close
        "high": (units[1] - units[3]).tolist(),
        "low": (units[3] - units[2]).tolist(),
    }
    return Chart(payload, starts.size, time_ns.size)


def price_digits(run: Run, row: int) -> int:
    """Decimals of a symbol's prices: of its point, else what its fills need, at most 8."""
    if run.specs is not None:
        point = float(run.specs["point"][row])
        if 0.0 < point <= 1.0:
            return min(max(round(-math.log10(point)), 0), 8)
    prices = run.fills["price"][run.fills["symbol"] == row][:100]
    for digits in range(8):
        if np.allclose(prices, np.round(prices, digits), rtol=0.0, atol=1e-9):
            return max(digits, 2)
    return 8


def trade_columns(run: Run, trades: NDArray[np.void]) -> dict[str, list[object]]:
    """Trades as columns for the report's script, money and prices rounded as they are shown."""
    money = run.money_digits
    digits = np.array([price_digits(run, row) for row in range(len(run.symbols))])
    columns: dict[str, list[object]] = {
        "id": trades["id"].tolist(),
        "symbol": trades["symbol"].tolist(),
        "side": trades["side"].tolist(),
        "entry": (trades["entry_ns"] // _MS).tolist(),
        "exit": (trades["exit_ns"] // _MS).tolist(),
        "lots": _numbers(trades["volume_lots"], 8),
    }
    for key in ("entry_price", "exit_price"):
        pairs = zip(trades[key].tolist(), digits[trades["symbol"]].tolist(), strict=True)
        columns[key] = [_rounded(price, places) for price, places in pairs]
    for key in ("gross", "spread_cost", "slippage_cost", "commission", "swap", "net"):
        columns[key] = _numbers(trades[key], money)
    columns["mae"] = _numbers(trades["mae_fraction"] * 100.0, 3)
    columns["mfe"] = _numbers(trades["mfe_fraction"] * 100.0, 3)
    return columns


def _times(time_ns: NDArray[np.int64]) -> dict[str, object]:
    whole = time_ns // _MS
    start = int(whole[0]) if whole.size else 0
    return {"start": start, "steps": np.diff(whole, prepend=start).tolist()}


def _differences(values: NDArray[np.float64], digits: int) -> list[int]:
    units = np.rint(values * 10.0**digits).astype(np.int64)
    return np.diff(units, prepend=0).tolist()


def _numbers(values: NDArray[np.float64], digits: int) -> list[object]:
    return [_rounded(value, digits) for value in values.tolist()]


def _rounded(value: float, digits: int) -> float | int | None:
    """The shortest JSON of a number; None (null) where there is none."""
    if not math.isfinite(value):
        return None
    rounded = round(value, digits)
    return int(rounded) if rounded == int(rounded) else rounded
