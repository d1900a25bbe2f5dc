"""Orders: sending, accepting, triggering, ending.

States: STARTED (sent, not yet at the broker), PLACED (accepted and working), PARTIAL (working with
part filled, or finished with the rest cancelled), FILLED, REJECTED, CANCELED, EXPIRED. Finished
orders leave `desk["orders"]`; the rest keep their order.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.codes import (
    DONE,
    STATE_CANCELED,
    STATE_EXPIRED,
    STATE_FILLED,
    STATE_PARTIAL,
    STATE_PLACED,
    STATE_REJECTED,
    STATE_STARTED,
)
from realtime.kernels.jit import kernel
from realtime.kernels.money import snap_volume
from realtime.kernels.order_checks import check_order, check_prices


@kernel
def submit_order_step(
    desk: np.void,
    symbol: int,
    order_type: int,
    volume_lots: float,
    price: float,
    stop_loss: float,
    take_profit: float,
    filling: int,
    position_id: int,
    magic: int,
    decision_code: int,
    risk_code: int,
    expires_ns: int,
    now_ns: int,
) -> int:
    """Send an order: it acts at the broker from ``now_ns + SPEC.latency_ns`` on.

    Args:
        desk: the account.
        symbol: row of the symbol.
        order_type: BUY, SELL, or a limit or stop type.
        volume_lots: on the symbol's volume grid, or a whole position with `position_id`.
        price: limit or stop price; for a market order the price of the decision, 0 = none.
        stop_loss: level for the position, NaN = none.
        take_profit: level for the position, NaN = none.
        filling: FILL_OR_KILL, IMMEDIATE_OR_CANCEL or RETURN.
        position_id: position to close (market types only), -1 = none.
        magic: kept on order and position.
        decision_code: why (DECISION_*), kept on the order.
        risk_code: what risk said (RISK_*), kept on the order.
        expires_ns: from here on it is cancelled, 0 = never.
        now_ns: time of the decision.

    Returns:
        Row of `desk["orders"]` (state STARTED), or ``-retcode`` of `check_order`; then nothing is
        appended.
    """
    code = check_order(
        desk, symbol, order_type, volume_lots, price, stop_loss, take_profit, filling,
        position_id, expires_ns, now_ns,
    )  # fmt: skip
    if code != DONE:
        return -code
    account = desk["account"]
    row = account["open_orders"]
    account["open_orders"] = row + 1
    order = desk["orders"][row]
    order["id"] = account["next_id"]
    account["next_id"] += 1
    order["symbol"] = symbol
    order["type"] = order_type
    order["filling"] = filling
    order["state"] = STATE_STARTED
    order["retcode"] = 0
    order["volume_lots"] = snap_volume(volume_lots)
    order["filled_lots"] = 0.0
    order["price"] = price
    order["stop_loss"] = stop_loss
    order["take_profit"] = take_profit
    order["created_ns"] = now_ns
    order["arrives_ns"] = now_ns + desk["specs"][symbol]["latency_ns"]
    order["expires_ns"] = expires_ns
    order["position_id"] = position_id
    order["magic"] = magic
    order["decision_code"] = decision_code
    order["risk_code"] = risk_code
    return row


@kernel
def _note_refusal_step(intent: np.void, order: np.void) -> None:
    """Count what the broker refuses of a symbol in a row: see `risk.is_refused_lately`."""
    if order["state"] == STATE_REJECTED:
        intent["refused_ns"] = order["created_ns"]
        intent["refusals"] += 1
    elif order["state"] == STATE_FILLED or order["state"] == STATE_PARTIAL:
        intent["refusals"] = 0


@kernel
def finish_order_step(
    desk: np.void,
    row: int,
    state: int,
    retcode: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> int:
    """Move an order from the desk to `closed_orders`; returns the new `n_closed`."""
    account = desk["account"]
    desk["orders"][row]["state"] = state
    desk["orders"][row]["retcode"] = retcode
    _note_refusal_step(desk["intents"][desk["orders"][row]["symbol"]], desk["orders"][row])
    closed_orders[n_closed] = desk["orders"][row]
    last = account["open_orders"] - 1
    for at in range(row, last):
        desk["orders"][at] = desk["orders"][at + 1]
    account["open_orders"] = last
    return n_closed + 1


@kernel
def cancel_order_step(
    desk: np.void, order_id: int, closed_orders: NDArray[np.void], n_closed: int
) -> int:
    """Cancel a working or travelling order; returns the new `n_closed`, the old one if unknown."""
    for row in range(desk["account"]["open_orders"]):
        if desk["orders"][row]["id"] == order_id:
            return finish_order_step(desk, row, STATE_CANCELED, DONE, closed_orders, n_closed)
    return n_closed


@kernel
def expire_orders_step(
    desk: np.void, now_ns: int, closed_orders: NDArray[np.void], n_closed: int
) -> int:
    """Expire working orders of all symbols whose time has come; returns the new `n_closed`."""
    row = 0
    while row < desk["account"]["open_orders"]:
        order = desk["orders"][row]
        expires_ns = order["expires_ns"]
        if order["state"] != STATE_STARTED and expires_ns > 0 and now_ns >= expires_ns:
            n_closed = finish_order_step(desk, row, STATE_EXPIRED, DONE, closed_orders, n_closed)
        else:
            row += 1
    return n_closed


@kernel
def next_arrival(desk: np.void, symbol: int, until_ns: int) -> int:
    """Row of the travelling order that arrives first, not after `until_ns`; -1 if there is none.

    Orders that arrive together act in the order they were sent. `symbol` -1 means any.
    """
    found = -1
    earliest = 0
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        arrives_ns = order["arrives_ns"]
        if order["state"] != STATE_STARTED or arrives_ns > until_ns:
            continue
        if symbol >= 0 and order["symbol"] != symbol:
            continue
        if found < 0 or arrives_ns < earliest:
            found = row
            earliest = arrives_ns
    return found


@kernel
def accept_order_step(desk: np.void, row: int) -> int:
    """Check an arriving order against the quote in force; DONE and PLACED, or a retcode."""
    order = desk["orders"][row]
    code = check_prices(
        desk, order["symbol"], order["type"], order["price"], order["stop_loss"],
        order["take_profit"],
    )  # fmt: skip
    if code == DONE:
        order["state"] = STATE_PLACED
    return code
