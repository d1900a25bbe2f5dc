"""Order checks: what the broker refuses, with MetaTrader 5's return codes."""

import math

import numpy as np

from realtime.kernels.codes import (
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    DONE,
    FILL_OR_KILL,
    INVALID,
    INVALID_CLOSE_VOLUME,
    INVALID_EXPIRATION,
    INVALID_PRICE,
    INVALID_STOPS,
    INVALID_VOLUME,
    LIMIT_ORDERS,
    LIMIT_VOLUME,
    NETTING,
    POSITION_CLOSED,
    PRICE_OFF,
    RETURN,
    SELL_LIMIT,
    SELL_STOP,
)
from realtime.kernels.jit import kernel
from realtime.kernels.money import is_on_grid, is_quote, snap_volume
from realtime.kernels.order_types import is_market, order_side
from realtime.kernels.positions import find_position, lots_of_side

_TOLERANCE = 1e-6  # of a volume step or a point


@kernel
def check_volume(spec: np.void, lots: float) -> int:
    """DONE, or INVALID_VOLUME: not finite, outside min and max, or off the step."""
    if not (lots > 0.0 and lots < math.inf):
        return INVALID_VOLUME
    step = spec["volume_step"]
    slack = step * _TOLERANCE
    if lots < spec["volume_min"] - slack:
        return INVALID_VOLUME
    if spec["volume_max"] > 0.0 and lots > spec["volume_max"] + slack:
        return INVALID_VOLUME
    if step > 0.0 and not is_on_grid(lots - spec["volume_min"], step):
        return INVALID_VOLUME
    return DONE


@kernel
def check_close(desk: np.void, symbol: int, side: int, lots: float, position_id: int) -> int:
    """DONE, or why an order cannot close this position.

    Closing a position whole is always allowed, even when partial fills left it off the volume grid.
    """
    row = find_position(desk, symbol, position_id, -1)
    if row < 0:
        return POSITION_CLOSED
    position = desk["positions"][row]
    if position["side"] == side:
        return INVALID
    if not (lots > 0.0 and lots < math.inf):
        return INVALID_VOLUME
    if snap_volume(lots) > position["volume_lots"]:
        return INVALID_CLOSE_VOLUME
    if snap_volume(lots) == position["volume_lots"]:
        return DONE
    return check_volume(desk["specs"][symbol], lots)


@kernel
def check_pending_price(
    spec: np.void, order_type: int, price: float, bid: float, ask: float
) -> int:
    """DONE, or INVALID_PRICE: not a price, off the tick grid, too near or beyond the market.

    A buy limit lies below the ask and a buy stop above it, a sell limit above the bid and a sell
    stop below it, at least `stops_level_points` away.
    """
    if not (price > 0.0 and price < math.inf):
        return INVALID_PRICE
    if not is_on_grid(price, spec["tick_size"]):
        return INVALID_PRICE
    if order_type == BUY_LIMIT:
        distance = ask - price
    elif order_type == SELL_LIMIT:
        distance = price - bid
    elif order_type == BUY_STOP:
        distance = price - ask
    else:
        distance = bid - price
    level = (spec["stops_level_points"] - _TOLERANCE) * spec["point"]
    if distance <= 0.0 or distance < level:
        return INVALID_PRICE
    return DONE


@kernel
def check_stops(
    spec: np.void, side: int, reference: float, stop_loss: float, take_profit: float
) -> int:
    """DONE, or INVALID_STOPS: a level off the grid, on the wrong side or too near.

    `reference` is the price that would trigger them: the bid for a market buy, the ask for a market
    sell, the order's own price for a pending order. NaN is no level.
    """
    level = (spec["stops_level_points"] - _TOLERANCE) * spec["point"]
    if not math.isnan(stop_loss):
        distance = (reference - stop_loss) * side
        if distance <= 0.0 or distance < level or not stop_loss > 0.0:
            return INVALID_STOPS
        if not (stop_loss < math.inf and is_on_grid(stop_loss, spec["tick_size"])):
            return INVALID_STOPS
    if not math.isnan(take_profit):
        distance = (take_profit - reference) * side
        if distance <= 0.0 or distance < level or not take_profit > 0.0:
            return INVALID_STOPS
        if not (take_profit < math.inf and is_on_grid(take_profit, spec["tick_size"])):
            return INVALID_STOPS
    return DONE


@kernel
def check_prices(
    desk: np.void,
    symbol: int,
    order_type: int,
    price: float,
    stop_loss: float,
    take_profit: float,
) -> int:
    """Check price and levels against the quote in force: at submission and again on arrival."""
    quote = desk["quotes"][symbol]
    bid = quote["bid"]
    ask = quote["ask"]
    if not is_quote(bid, ask):
        return PRICE_OFF
    spec = desk["specs"][symbol]
    side = order_side(order_type)
    if is_market(order_type):
        reference = bid if side > 0 else ask
    else:
        code = check_pending_price(spec, order_type, price, bid, ask)
        if code != DONE:
            return code
        reference = price
    return check_stops(spec, side, reference, stop_loss, take_profit)


@kernel
def check_volume_limit(desk: np.void, symbol: int, side: int, lots: float) -> int:
    """DONE, or LIMIT_VOLUME: positions and orders of one direction would exceed the symbol's cap.

    On a netting account an opposite position first has to be closed, so it makes room.
    """
    limit = desk["specs"][symbol]["volume_limit"]
    if not limit > 0.0:
        return DONE
    total = lots + lots_of_side(desk, symbol, side)
    if desk["account"]["mode"] == NETTING:
        total -= lots_of_side(desk, symbol, -side)
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        if order["symbol"] == symbol and order_side(order["type"]) == side:
            if order["position_id"] < 0:
                total += order["volume_lots"] - order["filled_lots"]
    if snap_volume(total) > limit:
        return LIMIT_VOLUME
    return DONE


@kernel
def check_order(
    desk: np.void,
    symbol: int,
    order_type: int,
    volume_lots: float,
    price: float,
    stop_loss: float,
    take_profit: float,
    filling: int,
    position_id: int,
    expires_ns: int,
    now_ns: int,
) -> int:
    """DONE, or the retcode with which the broker would refuse the order as it stands now.

    Not checked here, because only the moment of arrival decides it: session, money, room for a
    position. The price of a market order is information only, but must be a number (0 = none).
    """
    if symbol < 0 or symbol >= desk["symbols"]:
        return INVALID
    if order_type < BUY or order_type > SELL_STOP:
        return INVALID
    if filling < FILL_OR_KILL or filling > RETURN:
        return INVALID
    side = order_side(order_type)
    if position_id >= 0:
        if not is_market(order_type):
            return INVALID
        code = check_close(desk, symbol, side, volume_lots, position_id)
    else:
        code = check_volume(desk["specs"][symbol], volume_lots)
    if code != DONE:
        return code
    if not (price >= 0.0 and price < math.inf):
        return INVALID_PRICE
    code = check_prices(desk, symbol, order_type, price, stop_loss, take_profit)
    if code != DONE:
        return code
    if expires_ns != 0 and expires_ns <= now_ns:
        return INVALID_EXPIRATION
    if desk["account"]["open_orders"] >= desk["order_capacity"]:
        return LIMIT_ORDERS
    if position_id < 0:
        return check_volume_limit(desk, symbol, side, volume_lots)
    return DONE
