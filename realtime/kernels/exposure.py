"""What an account holds and has asked for, in lots of a symbol and in money across symbols.

Exposure counts orders that have not been filled yet as if the worst of them were: two symbols
deciding on the same tick, or an order in flight, must not pass a limit together that each passes
alone.
"""

import math
from typing import NamedTuple

import numpy as np

from realtime.kernels.codes import BUY, BUY_LIMIT, BUY_STOP, SELL
from realtime.kernels.jit import kernel
from realtime.kernels.money import is_quote, snap_volume, unit_value


class Exposure(NamedTuple):
    """Notional of all *other* symbols, account currency; NaN where a quote is missing."""

    gross: float  # sum of |notional| of positions and of orders that would add to them
    highest_net: float  # signed sum if only the buys among the orders were filled
    lowest_net: float  # signed sum if only the sells were filled


@kernel
def mid_price(quote: np.void) -> float:
    """Middle of a quote, NaN if it is not one."""
    bid = float(quote["bid"])
    ask = float(quote["ask"])
    if not is_quote(bid, ask):
        return math.nan
    return 0.5 * (bid + ask)


@kernel
def lot_notional(desk: np.void, symbol: int) -> float:
    """Account currency value of one lot, at mids of the moment; NaN if it cannot be converted.

    At mids, unlike profits: exposure is not dealt. EURUSD at 1.10 in a USD account: 100,000 * 1.10
    = 110,000; USDJPY: 100,000. An E-mini S&P contract (12.50 a tick of 0.25) at 5,000: 5,000 / 0.25
    * 12.50 = 250,000.
    """
    spec = desk["specs"][symbol]
    value = mid_price(desk["quotes"][symbol]) * float(unit_value(spec))
    row = int(spec["profit_symbol"])
    if row < 0:
        return value
    rate = mid_price(desk["quotes"][row])
    if spec["profit_inverse"] != 0:
        return value / rate
    return value * rate


@kernel
def net_lots(desk: np.void, symbol: int) -> float:
    """Net position of a symbol: the signed sum of its positions, lots.

    A sum is snapped like every volume: 0.3 - 0.1 - 0.2 is 0.
    """
    total = 0.0
    count = 0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] == symbol:
            total += position["side"] * float(position["volume_lots"])
            count += 1
    if count < 2:
        return total
    return float(snap_volume(total))


@kernel
def hedged_lots(desk: np.void, symbol: int) -> float:
    """Volume held on both sides of a symbol at once (hedging accounts), lots a side."""
    long = 0.0
    short = 0.0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] == symbol:
            if position["side"] > 0:
                long += float(position["volume_lots"])
            else:
                short += float(position["volume_lots"])
    return min(long, short)


@kernel
def has_market_order(desk: np.void, symbol: int) -> bool:
    """Tell whether a market order of this symbol is open: sent, and its outcome not known yet."""
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        if order["symbol"] == symbol and (order["type"] == BUY or order["type"] == SELL):
            return True
    return False


@kernel
def is_buy(order_type: int) -> bool:
    """Tell whether an order of this type buys."""
    return order_type == BUY or order_type == BUY_LIMIT or order_type == BUY_STOP


@kernel
def working_lots(desk: np.void, symbol: int, side: int) -> float:
    """Volume that open orders of a symbol may still add on one side, lots.

    Orders that close a given position (hedging accounts) add nothing.
    """
    total = 0.0
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        if order["symbol"] == symbol and order["position_id"] < 0:
            if is_buy(order["type"]) == (side > 0):
                total += float(order["volume_lots"]) - float(order["filled_lots"])
    return total


@kernel
def exposure_of_others(desk: np.void, symbol: int) -> Exposure:
    """Exposure of all symbols but one, with what their open orders may add.

    Args:
        desk: the account.
        symbol: row of the symbol left out.

    Returns:
        Gross and the two extremes of net notional.
    """
    gross = 0.0
    net = 0.0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] != symbol:
            notional = float(position["volume_lots"]) * lot_notional(desk, position["symbol"])
            gross += notional
            net += position["side"] * notional
    if desk["account"]["open_orders"] == 0:
        return Exposure(gross, net, net)
    return _with_working_orders(desk, symbol, gross, net)


@kernel
def _with_working_orders(desk: np.void, symbol: int, gross: float, net: float) -> Exposure:
    """Add what the open orders of all symbols but one may add."""
    highest = net
    lowest = net
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        other = order["symbol"]
        if other == symbol:
            continue
        lots = float(order["volume_lots"]) - float(order["filled_lots"])
        notional = lot_notional(desk, other)
        if is_buy(order["type"]):
            highest += lots * notional
        else:
            lots = -lots
            lowest += lots * notional
        if order["position_id"] < 0:
            held = net_lots(desk, other)
            gross += max(abs(held + lots) - abs(held), 0.0) * notional
    return Exposure(gross, highest, lowest)
