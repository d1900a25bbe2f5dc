"""Fills: price, slippage, liquidity, and the one function that makes a deal.

Decisions where MetaTrader 5 leaves room:

- Liquidity is `SPEC.liquidity_lots` a quote and side, shared by all orders filled on that quote.
  QUOTE.volume is not used: on FX it is 0 or a tick count, on an exchange the size of the last
  trade, neither of which is what rests at the touch. Server closes (stop loss, take profit, stop
  out) are filled whole.
- Slippage = slippage_points * point + slippage_spread_fraction * spread
  + slippage_points_per_lot * lots * point, against the order, on market and stop fills, stop losses
  and stop outs; never on limits and take profits. The slipped price is rounded to the tick grid
  against the order; without slippage the quote's price is not touched.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.account import book_deal_step, can_afford
from realtime.kernels.codes import (
    DONE,
    INVALID,
    INVALID_CLOSE_VOLUME,
    LIMIT_POSITIONS,
    NO_MONEY,
    POSITION_CLOSED,
    PRICE_OFF,
)
from realtime.kernels.jit import kernel
from realtime.kernels.margin import margin_conversion_rate, margin_with_deal, symbol_margin
from realtime.kernels.money import (
    commission_of_deal,
    half_spread,
    is_quote,
    price_cost,
    round_money,
    snap_price,
    snap_volume,
    to_account,
    unit_value,
)
from realtime.kernels.positions import apply_deal_step, find_position

_STEP_TOLERANCE = 1e-9


@kernel
def fill_price(spec: np.void, quote: np.void, side: int, lots: float, slips: int) -> float:
    """Price of a deal: the ask for a buy, the bid for a sell, plus slippage if it `slips`."""
    price = quote["ask"] if side > 0 else quote["bid"]
    if slips == 0:
        return price
    points = spec["slippage_points"] + spec["slippage_points_per_lot"] * lots
    distance = points * spec["point"]
    distance += spec["slippage_spread_fraction"] * (quote["ask"] - quote["bid"])
    if distance == 0.0:
        return price
    slipped = snap_price(price + side * distance, spec["tick_size"], side)
    if not slipped > 0.0:
        return max(spec["tick_size"], spec["point"])
    return slipped


@kernel
def available_lots(desk: np.void, symbol: int, side: int, wanted: float) -> float:
    """How much of `wanted` the quote in force still offers, in whole volume steps."""
    spec = desk["specs"][symbol]
    if not spec["liquidity_lots"] > 0.0:
        return wanted
    quote = desk["quotes"][symbol]
    taken = quote["bought_lots"] if side > 0 else quote["sold_lots"]
    left = snap_volume(spec["liquidity_lots"] - taken)
    if left >= wanted:
        return wanted
    if not left > 0.0:
        return 0.0
    if spec["volume_step"] > 0.0:
        steps = math.floor(left / spec["volume_step"] + _STEP_TOLERANCE)
        return snap_volume(steps * spec["volume_step"])
    return left


@kernel
def take_liquidity_step(desk: np.void, symbol: int, side: int, lots: float) -> None:
    """Remember what our own fill took from the quote in force."""
    quote = desk["quotes"][symbol]
    if side > 0:
        quote["bought_lots"] = snap_volume(quote["bought_lots"] + lots)
    else:
        quote["sold_lots"] = snap_volume(quote["sold_lots"] + lots)


@kernel
def _check_opening(
    desk: np.void, row: int, symbol: int, side: int, lots: float, price: float, margin_rate: float
) -> int:
    """Capacity and money for the `lots` a deal would open; DONE or a retcode."""
    account = desk["account"]
    if row < 0 and account["open_positions"] >= desk["position_capacity"]:
        return LIMIT_POSITIONS
    replaces = 1 if row >= 0 and desk["positions"][row]["side"] != side else 0
    needed = margin_with_deal(desk, symbol, side, lots, price, margin_rate, replaces)
    margin_change = needed - symbol_margin(desk, symbol, 1)
    quote = desk["quotes"][symbol]
    close_price = quote["bid"] if side > 0 else quote["ask"]
    move = (close_price - price) * side * unit_value(desk["specs"][symbol]) * lots
    equity_change = to_account(desk, symbol, move)
    equity_change += commission_of_deal(desk, symbol, lots, price)
    if can_afford(desk, equity_change, margin_change):
        return DONE
    return NO_MONEY


@kernel
def _check_deal(
    desk: np.void,
    row: int,
    symbol: int,
    side: int,
    lots: float,
    price: float,
    position_id: int,
    margin_rate: float,
) -> int:
    """Whether a deal may be made now; DONE or a retcode. Reductions need no money."""
    if math.isnan(to_account(desk, symbol, 1.0)):
        return PRICE_OFF
    opening = lots
    if row >= 0:
        position = desk["positions"][row]
        if position_id >= 0 and position["side"] == side:
            return INVALID
        if position_id >= 0 and lots > position["volume_lots"]:
            return INVALID_CLOSE_VOLUME
        if position["side"] != side:
            opening = snap_volume(lots - min(lots, position["volume_lots"]))
    elif position_id >= 0:
        return POSITION_CLOSED
    if not opening > 0.0:
        return DONE
    if math.isnan(margin_rate):
        return PRICE_OFF
    return _check_opening(desk, row, symbol, side, opening, price, margin_rate)


@kernel
def make_deal_step(
    desk: np.void,
    symbol: int,
    side: int,
    lots: float,
    slips: int,
    position_id: int,
    order_id: int,
    reason: int,
    stop_loss: float,
    take_profit: float,
    magic: int,
    now_ns: int,
    fills: NDArray[np.void],
    n_fills: int,
) -> int:
    """Make one deal at the quote in force and write ``fills[n_fills]``: the only place for it.

    Args:
        desk: the account.
        symbol: row of the symbol.
        side: +1 buys, -1 sells.
        lots: volume, already cut to the liquidity.
        slips: 1 for market and stop fills, 0 for limits and take profits.
        position_id: position to close or reduce, -1 to let the account's mode decide.
        order_id: the order, -1 for a close by the server.
        reason: REASON_*.
        stop_loss: level for the position, NaN = none.
        take_profit: level for the position, NaN = none.
        magic: of the order.
        now_ns: time of the deal.
        fills: FILL buffer.
        n_fills: rows in use.

    Returns:
        DONE (then one row more is in use), or the retcode of a refusal that changed nothing:
        PRICE_OFF (no quote, or none to convert profit or margin), POSITION_CLOSED,
        INVALID_CLOSE_VOLUME, INVALID (a close on the position's own side), LIMIT_POSITIONS,
        NO_MONEY.
    """
    quote = desk["quotes"][symbol]
    if not is_quote(quote["bid"], quote["ask"]):
        return PRICE_OFF
    spec = desk["specs"][symbol]
    price = fill_price(spec, quote, side, lots, slips)
    row = find_position(desk, symbol, position_id, order_id)
    margin_rate = margin_conversion_rate(desk, symbol, side)
    code = _check_deal(desk, row, symbol, side, lots, price, position_id, margin_rate)
    if code != DONE:
        return code
    deal_position, entry, profit, swap = apply_deal_step(
        desk, row, symbol, side, lots, price, order_id, stop_loss, take_profit, magic,
        margin_rate, now_ns,
    )  # fmt: skip
    account = desk["account"]
    digits = account["money_digits"]
    commission = round_money(commission_of_deal(desk, symbol, lots, price), digits)
    touch = quote["ask"] if side > 0 else quote["bid"]
    spread_cost = price_cost(desk, symbol, lots, half_spread(quote))
    slippage_cost = price_cost(desk, symbol, lots, abs(price - touch))
    fill = fills[n_fills]
    fill["id"] = account["next_id"]
    account["next_id"] += 1
    fill["order_id"] = order_id
    fill["position_id"] = deal_position
    fill["symbol"] = symbol
    fill["time_ns"] = now_ns
    fill["side"] = side
    fill["entry"] = entry
    fill["reason"] = reason
    fill["volume_lots"] = lots
    fill["price"] = price
    fill["profit"] = profit
    fill["swap"] = swap
    fill["commission"] = commission
    fill["spread_cost"] = spread_cost
    fill["slippage_cost"] = slippage_cost
    fill["balance"] = book_deal_step(desk, profit, swap, commission, spread_cost, slippage_cost)
    return DONE
