"""Positions: netting and hedging, floating profit, and the one place where a position changes."""

import math

import numpy as np

from realtime.kernels.codes import ENTRY_IN, ENTRY_INOUT, ENTRY_OUT, NETTING
from realtime.kernels.jit import kernel
from realtime.kernels.money import convert_profit, round_money, snap_volume, to_account, unit_value


@kernel
def find_position(desk: np.void, symbol: int, position_id: int, order_id: int) -> int:
    """Row of the position that a deal meets, or -1 if it opens its own.

    With `position_id` that position, whatever the account. Else the symbol's only position
    (netting), or the one opened by an earlier part of the same order (hedging: a position has the
    id of the order that opened it).
    """
    netting = desk["account"]["mode"] == NETTING
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] != symbol:
            continue
        if position_id >= 0:
            if position["id"] == position_id:
                return row
        elif netting or position["id"] == order_id:
            return row
    return -1


@kernel
def lots_of_side(desk: np.void, symbol: int, side: int) -> float:
    """Sum of the volumes of one direction (+1 long, -1 short) of a symbol."""
    lots = 0.0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] == symbol and position["side"] == side:
            lots += position["volume_lots"]
    return snap_volume(lots)


@kernel
def profit_at(position: np.void, spec: np.void, lots: float, price: float) -> float:
    """Profit of `lots` of a position closed at `price`, profit currency: gains positive."""
    if position["side"] > 0:
        return (price - position["open_price"]) * unit_value(spec) * lots
    return (position["open_price"] - price) * unit_value(spec) * lots


@kernel
def revalue_position_step(
    position: np.void, spec: np.void, quote: np.void, conversion: np.void
) -> None:
    """Set a position's floating profit: a long at the bid, a short at the ask.

    `conversion` is the quote of ``spec["profit_symbol"]``. Without it, or without a quote (a desk
    restored before its quotes came), the last value stays.
    """
    price = quote["bid"] if position["side"] > 0 else quote["ask"]
    if not price > 0.0:
        return
    value = profit_at(position, spec, position["volume_lots"], price)
    profit = convert_profit(spec, conversion, value)
    if not math.isnan(profit):
        position["profit"] = profit


@kernel
def revalue_row_step(desk: np.void, row: int) -> None:
    """Revalue the position in one row."""
    position = desk["positions"][row]
    symbol = int(position["symbol"])
    spec = desk["specs"][symbol]
    conversion = desk["quotes"][max(int(spec["profit_symbol"]), 0)]
    revalue_position_step(position, spec, desk["quotes"][symbol], conversion)


@kernel
def _remove_position_step(desk: np.void, row: int) -> None:
    """Close the gap: the rest keep their order."""
    account = desk["account"]
    last = account["open_positions"] - 1
    for at in range(row, last):
        desk["positions"][at] = desk["positions"][at + 1]
    account["open_positions"] = last


@kernel
def _open_position_step(
    desk: np.void,
    position_id: int,
    symbol: int,
    side: int,
    lots: float,
    price: float,
    stop_loss: float,
    take_profit: float,
    magic: int,
    margin_rate: float,
    now_ns: int,
) -> int:
    account = desk["account"]
    row = account["open_positions"]
    account["open_positions"] = row + 1
    position = desk["positions"][row]
    position["id"] = position_id
    position["symbol"] = symbol
    position["side"] = side
    position["open_ns"] = now_ns
    position["volume_lots"] = lots
    position["open_price"] = price
    position["stop_loss"] = stop_loss
    position["take_profit"] = take_profit
    position["swap"] = 0.0
    position["profit"] = 0.0
    position["margin_rate"] = margin_rate
    position["magic"] = magic
    return row


@kernel
def _increase_position_step(
    position: np.void,
    lots: float,
    price: float,
    stop_loss: float,
    take_profit: float,
    margin_rate: float,
) -> None:
    """Average in by volume; levels given with the order replace the old ones, NaN keeps them."""
    old = position["volume_lots"]
    total = old + lots
    position["open_price"] = (position["open_price"] * old + price * lots) / total
    position["margin_rate"] = (position["margin_rate"] * old + margin_rate * lots) / total
    position["volume_lots"] = snap_volume(total)
    if not math.isnan(stop_loss):
        position["stop_loss"] = stop_loss
    if not math.isnan(take_profit):
        position["take_profit"] = take_profit


@kernel
def apply_deal_step(
    desk: np.void,
    row: int,
    symbol: int,
    side: int,
    lots: float,
    price: float,
    order_id: int,
    stop_loss: float,
    take_profit: float,
    magic: int,
    margin_rate: float,
    now_ns: int,
) -> tuple[int, int, float, float]:
    """Change positions by one deal: the only function that opens, resizes or closes one.

    `row` is the position met (`find_position`), -1 opens a new one. Same side: volume-weighted
    increase. Opposite side: reduction, close, or with more lots than open a reversal, which keeps
    the id and takes the levels of the order. A partial close books its share of the swap. The
    caller has checked capacity, conversion quotes and margin.

    Returns:
        (position id, ENTRY_*, realised profit, realised swap), money rounded to be booked.
    """
    if row < 0:
        row = _open_position_step(
            desk, order_id, symbol, side, lots, price, stop_loss, take_profit, magic,
            margin_rate, now_ns,
        )  # fmt: skip
        revalue_row_step(desk, row)
        return order_id, ENTRY_IN, 0.0, 0.0
    position = desk["positions"][row]
    position_id = position["id"]
    if position["side"] == side:
        _increase_position_step(position, lots, price, stop_loss, take_profit, margin_rate)
        revalue_row_step(desk, row)
        return position_id, ENTRY_IN, 0.0, 0.0
    digits = desk["account"]["money_digits"]
    held = position["volume_lots"]
    closed = min(lots, held)
    left = snap_volume(held - closed)
    value = profit_at(position, desk["specs"][symbol], closed, price)
    profit = round_money(to_account(desk, symbol, value), digits)
    swap = position["swap"]
    if left > 0.0:
        swap = swap * (closed / held)
    swap = round_money(swap, digits)
    opened = snap_volume(lots - closed)
    if opened > 0.0:
        _remove_position_step(desk, row)
        row = _open_position_step(
            desk, position_id, symbol, side, opened, price, stop_loss, take_profit, magic,
            margin_rate, now_ns,
        )  # fmt: skip
        revalue_row_step(desk, row)
        return position_id, ENTRY_INOUT, profit, swap
    if left > 0.0:
        position["volume_lots"] = left
        position["swap"] = round_money(position["swap"] - swap, digits)
        revalue_row_step(desk, row)
    else:
        _remove_position_step(desk, row)
    return position_id, ENTRY_OUT, profit, swap


@kernel
def is_at_level(position: np.void, bid: float, ask: float) -> bool:
    """Tell whether a quote has reached the position's stop loss or take profit."""
    if position["side"] > 0:
        return bid <= position["stop_loss"] or bid >= position["take_profit"]
    return ask >= position["stop_loss"] or ask <= position["take_profit"]


@kernel
def revalue_step(desk: np.void, symbol: int) -> int:
    """Revalue what a new quote of `symbol` changes, then floating and equity; every tick.

    Positions of the symbol and positions whose profit converts through it. Floating is summed anew
    in row order, so nothing drifts.

    Returns:
        1 if the quote reached a stop loss or take profit of one of the symbol's positions.
    """
    account = desk["account"]
    quote = desk["quotes"][symbol]
    floating = 0.0
    touched = 0
    for row in range(account["open_positions"]):
        position = desk["positions"][row]
        held = int(position["symbol"])
        spec = desk["specs"][held]
        through = int(spec["profit_symbol"])
        if held == symbol or through == symbol:
            conversion = desk["quotes"][max(through, 0)]
            revalue_position_step(position, spec, desk["quotes"][held], conversion)
            if held == symbol and is_at_level(position, quote["bid"], quote["ask"]):
                touched = 1
        floating += position["profit"] + position["swap"]
    account["floating"] = floating
    account["equity"] = account["balance"] + account["credit"] + floating
    return touched
