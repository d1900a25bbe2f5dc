"""The account: equity as a sum, margin level, and the only place where the balance changes."""

import numpy as np

from realtime.kernels.jit import kernel
from realtime.kernels.margin import account_margin
from realtime.kernels.money import round_money

_MONEY_TOLERANCE = 1e-6  # rounding noise of a margin computed in another order


@kernel
def update_equity_step(desk: np.void) -> None:
    """Set floating and equity from the open positions, summed in row order: no drift."""
    account = desk["account"]
    floating = 0.0
    for row in range(account["open_positions"]):
        position = desk["positions"][row]
        floating += position["profit"] + position["swap"]
    account["floating"] = floating
    account["equity"] = account["balance"] + account["credit"] + floating


@kernel
def book_deal_step(
    desk: np.void,
    profit: float,
    swap: float,
    commission: float,
    spread_cost: float,
    slippage_cost: float,
) -> float:
    """Book one deal and bring margin, floating and equity up to date; returns the new balance.

    `profit`, `swap` and `commission` come rounded. The balance is rounded again only to drop the
    binary noise of the addition. The totals are of booked deals: swap accumulated by positions
    that are still open is in POSITION.swap.
    """
    account = desk["account"]
    booked = account["balance"] + (profit + swap + commission)
    account["balance"] = round_money(booked, account["money_digits"])
    account["realised"] += profit
    account["swap"] += swap
    account["commission"] += commission
    account["spread_cost"] += spread_cost
    account["slippage_cost"] += slippage_cost
    account["margin"] = account_margin(desk)
    update_equity_step(desk)
    return account["balance"]


@kernel
def free_margin(desk: np.void) -> float:
    """Equity not bound as margin."""
    account = desk["account"]
    return account["equity"] - account["margin"]


@kernel
def can_afford(desk: np.void, equity_change: float, margin_change: float) -> bool:
    """Tell whether free margin stays at or above zero after a deal.

    A deal that binds no more margin than before (a reduction, a hedge that covers) always may be
    done: it is the way out of a margin call.
    """
    if margin_change <= 0.0:
        return True
    return free_margin(desk) + equity_change - margin_change >= -_MONEY_TOLERANCE


@kernel
def is_stop_out(account: np.void) -> bool:
    """Tell whether the margin level (equity / margin) is below the stop-out level.

    Never without margin: the level is not defined then, and MetaTrader 5 shows 0 and closes
    nothing. A level of 0 still closes positions once equity is negative.
    """
    margin = account["margin"]
    return margin > 0.0 and account["equity"] < account["stop_out_level"] * margin
