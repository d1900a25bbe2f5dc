"""Order requests of the loop as requests of MetaTrader, and what is refused before that.

The package takes exact types only: prices are `float`, numbers `int`, and what is not meant must be
left out. A price of 0 is none.
"""

import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mt5_gateway.constants import (
    ORDER_FILLING_FOK,
    ORDER_FILLING_IOC,
    ORDER_FILLING_RETURN,
    ORDER_TIME_GTC,
    SYMBOL_FILLING_FOK,
    SYMBOL_FILLING_IOC,
    SYMBOL_TRADE_EXECUTION_MARKET,
    TRADE_ACTION_DEAL,
    TRADE_ACTION_PENDING,
    TRADE_RETCODE_INVALID,
    TRADE_RETCODE_INVALID_ORDER,
    TRADE_RETCODE_INVALID_PRICE,
    TRADE_RETCODE_INVALID_STOPS,
    TRADE_RETCODE_INVALID_VOLUME,
)
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.kernels import codes

# 27 characters of a comment are taken by every build of the package.
_ID = re.compile(r"[\x21-\x7e]{1,27}")
_MARKET = (codes.BUY, codes.SELL)
_PENDING = (codes.BUY_LIMIT, codes.SELL_LIMIT, codes.BUY_STOP, codes.SELL_STOP)
_FILLINGS = (ORDER_FILLING_FOK, ORDER_FILLING_IOC, ORDER_FILLING_RETURN)
_MOST_MAGIC = 1 << 63


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why an order is not sent: a TRADE_RETCODE_* and a line."""

    retcode: int
    text: str


def check_request(order: OrderRequest, account: str, symbols: Collection[str]) -> Refusal | None:
    """Check what the gateway can tell about an order without the broker."""
    prices = (order.stop_loss, order.take_profit)
    checks = (
        (order.account == account, TRADE_RETCODE_INVALID, f"is for account {order.account!r}"),
        (
            _ID.fullmatch(order.client_order_id) is not None,
            TRADE_RETCODE_INVALID,
            f"has the id {order.client_order_id!r}: 1 to 27 printable ASCII characters are allowed",
        ),
        (
            order.symbol in symbols,
            TRADE_RETCODE_INVALID,
            f"is in {order.symbol!r}, which is not among the symbols traded",
        ),
        (
            order.type in _MARKET + _PENDING,
            TRADE_RETCODE_INVALID_ORDER,
            f"is of unknown type {order.type}",
        ),
        (
            math.isfinite(order.volume_lots) and order.volume_lots > 0,
            TRADE_RETCODE_INVALID_VOLUME,
            f"is over {order.volume_lots} lots",
        ),
        (
            math.isfinite(order.price) and order.price > 0,
            TRADE_RETCODE_INVALID_PRICE,
            f"has the price {order.price}",
        ),
        (
            all(math.isfinite(price) and price >= 0 for price in prices),
            TRADE_RETCODE_INVALID_STOPS,
            f"has the stops {order.stop_loss}, {order.take_profit}",
        ),
        (0 <= order.magic < _MOST_MAGIC, TRADE_RETCODE_INVALID, f"has the magic {order.magic}"),
        (order.position_id >= 0, TRADE_RETCODE_INVALID, f"closes position {order.position_id}"),
    )
    for is_right, retcode, text in checks:
        if not is_right:
            return Refusal(retcode=retcode, text=f"not sent: order {order.number} {text}")
    return None


def filling_for(wanted: int, symbol: Mapping[str, Any] | None) -> int:
    """Return the filling of a market order: the one wanted, or one that the symbol offers.

    Args:
        wanted: ORDER_FILLING_*.
        symbol: of ``symbol_info``; None if unknown.
    """
    if symbol is None or symbol["trade_exemode"] != SYMBOL_TRADE_EXECUTION_MARKET:
        return wanted
    mask = symbol["filling_mode"]
    offered = [
        filling
        for filling, bit in (
            (ORDER_FILLING_IOC, SYMBOL_FILLING_IOC),
            (ORDER_FILLING_FOK, SYMBOL_FILLING_FOK),
        )
        if mask & bit
    ]
    return wanted if wanted in offered or not offered else offered[0]


def trade_request(order: OrderRequest, filling: int, position_ticket: int) -> dict[str, Any]:
    """Return an order as the package takes it.

    Args:
        order: checked.
        filling: ORDER_FILLING_*.
        position_ticket: of the position to close; 0 = none.
    """
    request: dict[str, Any] = {
        "action": TRADE_ACTION_DEAL if order.type in _MARKET else TRADE_ACTION_PENDING,
        "symbol": order.symbol,
        "volume": float(order.volume_lots),
        "type": int(order.type),
        "price": float(order.price),
        "deviation": int(order.slippage_points),
        "type_filling": filling if order.type in _MARKET else ORDER_FILLING_RETURN,
        "type_time": ORDER_TIME_GTC,
        "magic": int(order.magic),
        "comment": order.client_order_id,
    }
    if order.stop_loss > 0:
        request["sl"] = float(order.stop_loss)
    if order.take_profit > 0:
        request["tp"] = float(order.take_profit)
    if position_ticket:
        request["position"] = int(position_ticket)
    return request


def other_fillings(tried: int) -> tuple[int, ...]:
    """Return what to try where a broker refuses a filling that it offers."""
    return tuple(filling for filling in _FILLINGS if filling != tried)
