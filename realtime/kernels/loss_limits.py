"""Loss limits that latch: the daily loss and the drawdown of the account."""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.codes import (
    LATCH_DAILY_LOSS,
    LATCH_DRAWDOWN,
    LATCH_KILL,
    RISK_DAILY_LOSS,
    RISK_DRAWDOWN,
    RISK_KILL_SWITCH,
    RISK_OK,
)
from realtime.kernels.jit import kernel


@kernel
def _start_day_step(desk: np.void, symbol: int) -> None:
    """Begin a trading day of the account if this symbol's calendar is in a new one.

    The account's day runs from one symbol's rollover to that of the first symbol whose own day
    starts at or after it, so calendars with different rollovers (FX at 17:00 New York, crypto at
    00:00 UTC) cannot both start a day and double what may be lost. It starts from the equity of the
    tick before, so that a gap over the rollover and the swap charged there count in the new day,
    and not before everything is closed that a daily loss asked to close.
    """
    risk = desk["risk"]
    day = desk["days"][desk["day_rows"][symbol]]
    equity = float(desk["account"]["equity"])
    if risk["latches"] & LATCH_DAILY_LOSS != 0 and desk["account"]["open_positions"] > 0:
        return  # what the limit asked to close is still open
    if day["start_ns"] >= risk["day_end_ns"] and 0.0 < equity < math.inf:
        last = float(risk["last_equity"])
        risk["day_end_ns"] = day["end_ns"]
        risk["day_start_equity"] = last if last > 0.0 else equity
        risk["latches"] &= ~LATCH_DAILY_LOSS


@kernel
def update_equity_limits_step(desk: np.void, symbol: int, now_ns: int) -> int:
    """Follow equity: start of the trading day, peak, and the two loss limits that latch.

    To be called at every tick once the account is revalued. A limit fires when the loss reaches
    it: ``equity <= start * (1 - max_daily_loss)``, ``equity <= peak * (1 - max_drawdown)``. The
    daily latch is released by the next trading day, the drawdown latch by `reset_drawdown_step`.
    An equity of NaN changes nothing.

    Args:
        desk: the account; ``desk["day_rows"][symbol]`` is the row of this moment.
        symbol: row of the symbol that ticked.
        now_ns: UTC.

    Returns:
        1 if a latch was newly set (flatten now), else 0.
    """
    risk = desk["risk"]
    limits = desk["account_limits"]
    if now_ns >= risk["day_end_ns"] and desk["day_rows"][symbol] >= 0:
        _start_day_step(desk, symbol)
    equity = float(desk["account"]["equity"])
    peak = float(risk["peak_equity"])
    if peak < equity < math.inf:
        risk["peak_equity"] = equity
        peak = equity
    if abs(equity) < math.inf:
        risk["last_equity"] = equity
    fired = 0
    max_daily_loss = float(limits["max_daily_loss"])
    if max_daily_loss > 0.0 and equity <= float(risk["day_start_equity"]) * (1.0 - max_daily_loss):
        fired |= LATCH_DAILY_LOSS
    max_drawdown = float(limits["max_drawdown"])
    if max_drawdown > 0.0 and equity <= peak * (1.0 - max_drawdown):
        fired |= LATCH_DRAWDOWN
    latches = risk["latches"]
    if fired & ~latches == 0:
        return 0
    risk["latches"] = latches | fired
    return 1


@kernel
def reset_drawdown_step(risk: np.void, equity: float) -> None:
    """Release the drawdown latch; drawdown is measured from `equity` on. Operator only."""
    risk["latches"] &= ~LATCH_DRAWDOWN
    risk["peak_equity"] = equity


@kernel
def flatten_code(risk: np.void) -> int:
    """Name the strongest reason to be flat, or RISK_OK."""
    latches = risk["latches"]
    if risk["kill_switch"] != 0 or latches & LATCH_KILL != 0:
        return RISK_KILL_SWITCH
    if latches & LATCH_DRAWDOWN != 0:
        return RISK_DRAWDOWN
    if latches & LATCH_DAILY_LOSS != 0:
        return RISK_DAILY_LOSS
    return RISK_OK


@kernel
def update_equity_limits_fold(
    desk: np.void, symbol: int, equity: NDArray[np.float64], now_ns: NDArray[np.int64]
) -> int:
    """Run `update_equity_limits_step` over a series of equity, setting the account's equity.

    Stops at the tick that fires, as the caller flattens there.

    Args:
        desk: the account.
        symbol: row of the symbol that ticks.
        equity: (n,) account currency.
        now_ns: (n,) UTC.

    Returns:
        Row of the first tick at which a limit latched, or -1.
    """
    for row in range(len(equity)):
        desk["account"]["equity"] = equity[row]
        if update_equity_limits_step(desk, symbol, now_ns[row]) != 0:
            return row
    return -1
