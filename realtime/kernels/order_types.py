"""Order types: side, kind and trigger."""

import numpy as np

from realtime.kernels.codes import (
    BUY,
    BUY_LIMIT,
    BUY_STOP,
    SELL,
    SELL_LIMIT,
    SELL_STOP,
    STATE_PARTIAL,
)
from realtime.kernels.jit import kernel


@kernel
def order_side(order_type: int) -> int:
    """+1 for the buying order types, -1 for the selling ones."""
    if order_type == BUY or order_type == BUY_LIMIT or order_type == BUY_STOP:
        return 1
    return -1


@kernel
def is_market(order_type: int) -> bool:
    """Tell whether the order wants to be filled at once."""
    return order_type == BUY or order_type == SELL


@kernel
def is_limit(order_type: int) -> bool:
    """Tell whether the order never pays more than its price."""
    return order_type == BUY_LIMIT or order_type == SELL_LIMIT


@kernel
def is_triggered(order: np.void, bid: float, ask: float) -> bool:
    """Tell whether a working order may be filled at a quote.

    Buying orders look at the ask, selling ones at the bid. What is left of a market order, or of a
    stop order that has triggered, takes every quote.
    """
    kind = order["type"]
    if kind == BUY_LIMIT:
        return ask <= order["price"]
    if kind == SELL_LIMIT:
        return bid >= order["price"]
    if kind == BUY_STOP:
        return order["state"] == STATE_PARTIAL or ask >= order["price"]
    if kind == SELL_STOP:
        return order["state"] == STATE_PARTIAL or bid <= order["price"]
    return True
