"""Execution: how the broker treats orders that arrive, wait and are filled in part.

Where the session is closed an arriving order of any kind is rejected with MARKET_CLOSED, and a
working one waits, as at a MetaTrader 5 server.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.codes import (
    DONE,
    DONE_PARTIAL,
    FILL_OR_KILL,
    IMMEDIATE_OR_CANCEL,
    MARKET_CLOSED,
    REASON_EXPERT,
    REJECT,
    STATE_CANCELED,
    STATE_EXPIRED,
    STATE_FILLED,
    STATE_PARTIAL,
    STATE_REJECTED,
    STATE_STARTED,
)
from realtime.kernels.fills import available_lots, make_deal_step, take_liquidity_step
from realtime.kernels.jit import kernel
from realtime.kernels.money import snap_volume
from realtime.kernels.order_types import is_limit, is_market, is_triggered, order_side
from realtime.kernels.orders import accept_order_step, finish_order_step, next_arrival
from realtime.kernels.sessions import is_session_open
from realtime.kernels.swaps import roll_over_step


@kernel
def fill_order_step(
    desk: np.void,
    row: int,
    now_ns: int,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Fill what the quote offers of a working order, by its filling policy.

    Fill or kill that cannot be filled whole, and immediate or cancel that finds nothing, end as
    CANCELED / REJECT. Immediate or cancel filled in part ends as PARTIAL / DONE_PARTIAL; with
    RETURN the rest keeps working. A refused deal ends the order with the deal's retcode: REJECTED
    if it had just arrived as a market order, else CANCELED.

    Returns:
        New (n_fills, n_closed).
    """
    order = desk["orders"][row]
    symbol = int(order["symbol"])
    side = order_side(order["type"])
    wanted = snap_volume(order["volume_lots"] - order["filled_lots"])
    lots = available_lots(desk, symbol, side, wanted)
    if lots < wanted:
        filling = order["filling"]
        if filling == FILL_OR_KILL or (filling == IMMEDIATE_OR_CANCEL and lots == 0.0):
            return n_fills, finish_order_step(
                desk, row, STATE_CANCELED, REJECT, closed_orders, n_closed
            )
        if lots == 0.0:
            return n_fills, n_closed
    slips = 0 if is_limit(order["type"]) else 1
    code = make_deal_step(
        desk, symbol, side, lots, slips, order["position_id"], order["id"], REASON_EXPERT,
        order["stop_loss"], order["take_profit"], order["magic"], now_ns, fills, n_fills,
    )  # fmt: skip
    if code != DONE:
        untouched = is_market(order["type"]) and order["filled_lots"] == 0.0
        state = STATE_REJECTED if untouched else STATE_CANCELED
        return n_fills, finish_order_step(desk, row, state, code, closed_orders, n_closed)
    take_liquidity_step(desk, symbol, side, lots)
    order["filled_lots"] = snap_volume(order["filled_lots"] + lots)
    if lots == wanted:
        n_closed = finish_order_step(desk, row, STATE_FILLED, DONE, closed_orders, n_closed)
    elif order["filling"] == IMMEDIATE_OR_CANCEL:
        n_closed = finish_order_step(
            desk, row, STATE_PARTIAL, DONE_PARTIAL, closed_orders, n_closed
        )
    else:
        order["state"] = STATE_PARTIAL
        order["retcode"] = DONE_PARTIAL
    return n_fills + 1, n_closed


@kernel
def arrive_order_step(
    desk: np.void,
    row: int,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Let the broker see an order at its arrival: accept or reject it, fill a market order."""
    order = desk["orders"][row]
    symbol = int(order["symbol"])
    now_ns = order["arrives_ns"]
    roll_over_step(desk, symbol, now_ns)
    if order["expires_ns"] != 0 and now_ns >= order["expires_ns"]:
        return n_fills, finish_order_step(desk, row, STATE_EXPIRED, DONE, closed_orders, n_closed)
    code = MARKET_CLOSED
    if is_session_open(desk, symbol, now_ns):
        code = accept_order_step(desk, row)
    if code != DONE:
        return n_fills, finish_order_step(desk, row, STATE_REJECTED, code, closed_orders, n_closed)
    if is_market(order["type"]):
        return fill_order_step(desk, row, now_ns, fills, n_fills, closed_orders, n_closed)
    return n_fills, n_closed


@kernel
def execute_arrived_step(
    desk: np.void,
    symbol: int,
    now_ns: int,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Let every travelling order of the symbol act that has arrived by `now_ns`, first come first.

    Called by the engine after its decision, so that an order without latency meets the quote it
    was decided on. `symbol` -1 means all symbols.

    Returns:
        New (n_fills, n_closed).
    """
    if desk["account"]["open_orders"] == 0:
        return n_fills, n_closed
    row = next_arrival(desk, symbol, now_ns)
    while row >= 0:
        n_fills, n_closed = arrive_order_step(desk, row, fills, n_fills, closed_orders, n_closed)
        row = next_arrival(desk, symbol, now_ns)
    return n_fills, n_closed


@kernel
def activate_orders_step(
    desk: np.void,
    symbol: int,
    now_ns: int,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Fill the symbol's working orders that the quote triggers, oldest first."""
    quote = desk["quotes"][symbol]
    bid = quote["bid"]
    ask = quote["ask"]
    row = 0
    while row < desk["account"]["open_orders"]:
        order = desk["orders"][row]
        before = desk["account"]["open_orders"]
        if (
            order["symbol"] == symbol
            and order["state"] != STATE_STARTED
            and is_triggered(order, bid, ask)
        ):
            n_fills, n_closed = fill_order_step(
                desk, row, now_ns, fills, n_fills, closed_orders, n_closed
            )
        if desk["account"]["open_orders"] == before:
            row += 1
    return n_fills, n_closed
