"""Skill beside luck of the market: what timing earned over a position that never changes.

In a market that moved, holding anything looks like skill. So the strategy is held against one that
knows nothing: it holds, from the first sample to the last, the strategy's own mean exposure. From
sample i - 1 to sample i (a sample is a deciding bar, or the latest of those at the same moment)::

    strategy_i = equity_i / equity_(i-1) - 1              net of every cost
    exposure_i = signed value held at i / equity_i         of each symbol
    constant_i = sum over symbols of mean(exposure) * (mid_i / mid_(i-1) - 1)
                 + max(swap of the run, 0) / samples / equity_(i-1)
    excess_i   = strategy_i - constant_i

The constant position pays no spread, commission or swap, and is given the swap that the strategy
took in: carry is had without knowing anything. So all that is uncertain counts against the
strategy. Returns are fractions a sample, exposure is a multiple of equity.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.backtest.exposure import held_by_symbol, latest
from ml.backtest.run import Run

_NO_VOLUME = 1e-9  # lots; brokers step by 0.01 or so


@dataclass(frozen=True, slots=True, kw_only=True)
class Excess:
    """A strategy beside its own mean exposure, a sample at a time.

    Attributes:
        strategy: (n,) net returns of the strategy.
        constant: (n,) returns of holding its mean exposure.
        mean_exposure: of all symbols together, signed, times equity; NaN if not known.
    """

    strategy: NDArray[np.float64]
    constant: NDArray[np.float64]
    mean_exposure: float

    @property
    def returns(self) -> NDArray[np.float64]:
        """(n,) what the strategy earned above the constant position."""
        return self.strategy - self.constant


def excess_over_constant(run: Run, final_equity: float) -> Excess:
    """Hold a run against its own mean exposure; see the module's text for the formula.

    Args:
        run: a finished backtest.
        final_equity: of the account at the end, which may be after its last sample.

    Returns:
        Empty series where there are fewer than two samples, where nothing was left at one of
        them, or where the value of what was held is not known (no specifications or quotes).
    """
    last = np.flatnonzero(np.diff(run.equity["time_ns"], append=np.iinfo(np.int64).max) > 0)
    equity = run.equity["equity"][last]
    if equity.size:
        equity[-1] = final_equity
    if equity.size < 2 or not bool(np.all(equity > 0.0)):
        return _nothing()
    exposure = held_by_symbol(run)[:, last] / equity
    mean = exposure[:, 1:].mean(axis=1)
    if not bool(np.all(np.isfinite(mean))):
        return _nothing()
    carry = max(_swap(run), 0.0) / (equity.size - 1)
    constant = carry / equity[:-1]
    for row, held in enumerate(mean.tolist()):
        constant = constant + held * _mid_returns(run, row)[last[1:]]
    strategy = equity[1:] / equity[:-1] - 1.0
    return Excess(strategy=strategy, constant=constant, mean_exposure=math.fsum(mean.tolist()))


def _nothing() -> Excess:
    none = np.zeros(0)
    return Excess(strategy=none, constant=none, mean_exposure=math.nan)


def _swap(run: Run) -> float:
    return float(run.fills["swap"].sum()) + float(run.open_positions["swap"].sum())


def _mid_returns(run: Run, row: int) -> NDArray[np.float64]:
    """Return of a symbol's mid since the sample moment before, at every sample."""
    times_ns = run.equity["time_ns"]
    mids = latest(run.equity["mid"], run.equity["symbol"] == row)
    before = np.searchsorted(times_ns, times_ns, side="left") - 1
    was = np.where(before >= 0, mids[np.maximum(before, 0)], 0.0)
    known = (was > 0.0) & (mids > 0.0)
    return np.divide(mids, was, out=np.ones(len(mids)), where=known) - 1.0


def round_trips(run: Run) -> int:
    """Count the times that a symbol's net position went back to nothing or to the other side."""
    count = 0
    for row in range(len(run.symbols)):
        own = run.fills[run.fills["symbol"] == row]
        held = np.cumsum(own["side"] * own["volume_lots"])
        side = np.where(np.abs(held) > _NO_VOLUME, np.sign(held), 0.0)
        was = np.concatenate(([0.0], side[:-1]))
        count += int(np.count_nonzero((was != 0.0) & (side != was)))
    return count
