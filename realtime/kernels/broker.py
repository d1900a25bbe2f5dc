"""The broker: everything that happens to orders and positions when a quote arrives.

Order of events on a tick of a symbol, as in the MetaTrader 5 tester (stop-out, expiry, SL, TP,
pending activation, new requests):

0. orders of any symbol that arrived before this tick act at the quote that was in force then; a
   deal's time is the arrival, and rollovers before it are charged first;
1. rollover: every trading day of this symbol that has ended is charged;
2. the quote is replaced, positions it values are revalued;
3. stop-out, largest loser first, until the margin level is back;
4. expiry of working orders;
5. stop losses, then take profits, of this symbol;
6. working orders of this symbol that the quote triggers, then orders arriving exactly now;
7. after the decision, `execute_arrived_step` for orders sent on this tick without latency.

Signatures that other packages call: `broker_step` (or `quiet_tick_step` and `eventful_step`, which
it is made of) and `execute_arrived_step` here, `submit_order_step` and `cancel_order_step` in
orders.py.

Where the session is closed: an arriving order (of any kind) is rejected with MARKET_CLOSED, and
working orders, stop losses, take profits and stop-outs wait for the session, as at a MetaTrader 5
server. Where a price is reached the deal is made at the market: a gap through a stop fills at the
first price available, never at the level, and a limit or take profit at the better one.

A tick without a valid quote (NaN, not positive, crossed) is ignored as a whole. Ticks are expected
in time order; a tick back in time replaces the quote but rolls nothing over.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.account import is_stop_out
from realtime.kernels.codes import (
    DONE,
    REASON_STOP_LOSS,
    REASON_STOP_OUT,
    REASON_TAKE_PROFIT,
    STATE_STARTED,
)
from realtime.kernels.execution import activate_orders_step, execute_arrived_step
from realtime.kernels.fills import make_deal_step
from realtime.kernels.jit import kernel
from realtime.kernels.money import is_quote
from realtime.kernels.order_types import is_triggered
from realtime.kernels.orders import expire_orders_step, submit_order_step
from realtime.kernels.positions import revalue_step
from realtime.kernels.sessions import is_session_open
from realtime.kernels.swaps import roll_over_step

_NO_ORDER = -1


@kernel
def fills_per_tick(desk: np.void) -> int:
    """Rows of FILL that broker_step and execute_arrived_step can need together on one tick.

    Every position can close once; an order can fill on the old quote, on the new one, and one more
    sent on this tick can take its row.
    """
    return desk["position_capacity"] + 3 * desk["order_capacity"]


@kernel
def closed_orders_per_tick(desk: np.void) -> int:
    """Rows of ORDER that can finish on one tick: those before it and those sent on it."""
    return 2 * desk["order_capacity"]


@kernel
def close_position_step(
    desk: np.void, row: int, reason: int, now_ns: int, fills: NDArray[np.void], n_fills: int
) -> int:
    """Close a position whole by the server (no order, no liquidity limit); DONE or a retcode."""
    position = desk["positions"][row]
    slips = 0 if reason == REASON_TAKE_PROFIT else 1
    return make_deal_step(
        desk, position["symbol"], -position["side"], position["volume_lots"], slips,
        position["id"], _NO_ORDER, reason, math.nan, math.nan, position["magic"], now_ns,
        fills, n_fills,
    )  # fmt: skip


@kernel
def largest_loser(desk: np.void, now_ns: int) -> int:
    """Row of the position with the smallest profit + swap whose session is open, or -1."""
    found = -1
    smallest = 0.0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        result = position["profit"] + position["swap"]
        if found >= 0 and result >= smallest:
            continue
        if is_session_open(desk, position["symbol"], now_ns):
            found = row
            smallest = result
    return found


@kernel
def stop_out_step(desk: np.void, now_ns: int, fills: NDArray[np.void], n_fills: int) -> int:
    """Close the largest losers until the margin level is back; returns the new `n_fills`."""
    while is_stop_out(desk["account"]):
        row = largest_loser(desk, now_ns)
        if row < 0:
            return n_fills
        if close_position_step(desk, row, REASON_STOP_OUT, now_ns, fills, n_fills) != DONE:
            return n_fills
        desk["account"]["stop_outs"] += 1
        n_fills += 1
    return n_fills


@kernel
def close_at_level_step(
    desk: np.void, symbol: int, reason: int, now_ns: int, fills: NDArray[np.void], n_fills: int
) -> int:
    """Close the symbol's positions whose stop loss (or take profit) the quote has reached."""
    quote = desk["quotes"][symbol]
    bid = quote["bid"]
    ask = quote["ask"]
    row = 0
    while row < desk["account"]["open_positions"]:
        position = desk["positions"][row]
        reached = False
        if position["symbol"] == symbol:
            is_long = position["side"] > 0
            if reason == REASON_STOP_LOSS:
                level = position["stop_loss"]
                reached = bid <= level if is_long else ask >= level
            else:
                level = position["take_profit"]
                reached = bid >= level if is_long else ask <= level
        if reached and close_position_step(desk, row, reason, now_ns, fills, n_fills) == DONE:
            n_fills += 1
        else:
            row += 1
    return n_fills


@kernel
def replace_quote_step(quote: np.void, tick: np.void) -> None:
    """Put a tick's quote in force, with its liquidity untouched."""
    quote["time_ns"] = tick["time_ns"]
    quote["bid"] = tick["bid"]
    quote["ask"] = tick["ask"]
    quote["volume"] = tick["volume"]
    quote["seq"] = tick["seq"]
    quote["bought_lots"] = 0.0
    quote["sold_lots"] = 0.0


@kernel
def do_orders_wait(desk: np.void, symbol: int, tick: np.void) -> bool:
    """Tell whether no order arrives, expires or is triggered by this tick."""
    now_ns = tick["time_ns"]
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        if order["state"] == STATE_STARTED:
            if order["arrives_ns"] <= now_ns:
                return False
        elif order["expires_ns"] > 0 and now_ns >= order["expires_ns"]:
            return False
        elif order["symbol"] == symbol and is_triggered(order, tick["bid"], tick["ask"]):
            return False
    return True


@kernel
def is_same_day(desk: np.void, symbol: int, now_ns: int) -> bool:
    """Tell whether the symbol crosses no rollover between its last tick and `now_ns`."""
    spec = desk["specs"][symbol]
    if spec["first_day"] >= spec["last_day"]:
        return True
    row = int(desk["day_rows"][symbol])
    if row < spec["first_day"] or row >= spec["last_day"]:
        return False
    return now_ns < desk["days"][row]["end_ns"]


@kernel
def close_at_levels_step(
    desk: np.void, symbol: int, now_ns: int, fills: NDArray[np.void], n_fills: int
) -> int:
    """Stop losses, then take profits of the symbol, if its session is open."""
    if is_session_open(desk, symbol, now_ns):
        n_fills = close_at_level_step(desk, symbol, REASON_STOP_LOSS, now_ns, fills, n_fills)
        n_fills = close_at_level_step(desk, symbol, REASON_TAKE_PROFIT, now_ns, fills, n_fills)
    return n_fills


@kernel
def eventful_step(
    desk: np.void,
    symbol: int,
    tick: np.void,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Steps 0 to 6 in full, for a tick on which an order acts, a position closes or a day ends."""
    now_ns = tick["time_ns"]
    n_fills, n_closed = execute_arrived_step(
        desk, -1, now_ns - 1, fills, n_fills, closed_orders, n_closed
    )
    roll_over_step(desk, symbol, now_ns)
    replace_quote_step(desk["quotes"][symbol], tick)
    touched = revalue_step(desk, symbol)
    n_fills = stop_out_step(desk, now_ns, fills, n_fills)
    n_closed = expire_orders_step(desk, now_ns, closed_orders, n_closed)
    if touched != 0:
        n_fills = close_at_levels_step(desk, symbol, now_ns, fills, n_fills)
    if is_session_open(desk, symbol, now_ns):
        n_fills, n_closed = activate_orders_step(
            desk, symbol, now_ns, fills, n_fills, closed_orders, n_closed
        )
    return execute_arrived_step(desk, symbol, now_ns, fills, n_fills, closed_orders, n_closed)


@kernel
def quiet_tick_step(desk: np.void, symbol: int, tick: np.void) -> bool:
    """Handle a tick whose only effect is the quote and the value of positions: the common one.

    Returns:
        True if that was all (or the tick carried no quote and is ignored). False if something is
        to happen: then `eventful_step` has to handle the tick, from its beginning.
    """
    if not is_quote(tick["bid"], tick["ask"]):
        return True
    account = desk["account"]
    if account["open_orders"] > 0 and not do_orders_wait(desk, symbol, tick):
        return False
    if not is_same_day(desk, symbol, tick["time_ns"]):
        return False
    # Doing this twice is harmless: nothing that eventful_step does first can happen on this tick.
    replace_quote_step(desk["quotes"][symbol], tick)
    if account["open_positions"] == 0:
        return True
    touched = revalue_step(desk, symbol)
    return touched == 0 and not is_stop_out(account)


@kernel
def broker_step(
    desk: np.void,
    symbol: int,
    tick: np.void,
    fills: NDArray[np.void],
    n_fills: int,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> tuple[int, int]:
    """Do everything that a tick of `symbol` causes at the broker: steps 0 to 6 of this module.

    Advances ``desk["day_rows"][symbol]`` and replaces ``desk["quotes"][symbol]`` itself. A loop
    that counts nanoseconds calls `quiet_tick_step` and, where that says False, `eventful_step`.

    Args:
        desk: the account.
        symbol: row of the tick's symbol.
        tick: TICK record; its symbol field is not read.
        fills: FILL buffer with `fills_per_tick` rows free.
        n_fills: rows in use.
        closed_orders: ORDER buffer with `closed_orders_per_tick` rows free.
        n_closed: rows in use.

    Returns:
        New (n_fills, n_closed).
    """
    if quiet_tick_step(desk, symbol, tick):
        return n_fills, n_closed
    return eventful_step(desk, symbol, tick, fills, n_fills, closed_orders, n_closed)


@kernel
def broker_fold(
    desk: np.void,
    ticks: NDArray[np.void],
    requests: NDArray[np.void],
    fills: NDArray[np.void],
    closed_orders: NDArray[np.void],
) -> tuple[int, int, int]:
    """Play ticks of any symbols and send prepared orders in between, without a decision.

    Request i (an ORDER record: symbol, type, filling, volume_lots, price, levels, created_ns,
    expires_ns, position_id, magic) is sent after the first tick at or after its `created_ns`. A
    refused request gets its `retcode` set; so does an accepted one (DONE), and its `id`.

    Returns:
        (ticks played, n_fills, n_closed): fewer ticks than given if a buffer could overflow; call
        again with the rest and emptied buffers.
    """
    n_fills = 0
    n_closed = 0
    sent = 0
    while sent < len(requests) and requests[sent]["retcode"] != 0:
        sent += 1
    for at in range(len(ticks)):
        if len(fills) - n_fills < fills_per_tick(desk):
            return at, n_fills, n_closed
        if len(closed_orders) - n_closed < closed_orders_per_tick(desk):
            return at, n_fills, n_closed
        tick = ticks[at]
        now_ns = tick["time_ns"]
        symbol = tick["symbol"]
        n_fills, n_closed = broker_step(desk, symbol, tick, fills, n_fills, closed_orders, n_closed)
        while sent < len(requests) and requests[sent]["created_ns"] <= now_ns:
            send_request_step(desk, requests[sent], now_ns)
            sent += 1
        n_fills, n_closed = execute_arrived_step(
            desk, -1, now_ns, fills, n_fills, closed_orders, n_closed
        )
    return len(ticks), n_fills, n_closed


@kernel
def send_request_step(desk: np.void, request: np.void, now_ns: int) -> None:
    """Submit a prepared ORDER record and note the answer in it (`retcode`, `id`)."""
    row = submit_order_step(
        desk, request["symbol"], request["type"], request["volume_lots"], request["price"],
        request["stop_loss"], request["take_profit"], request["filling"],
        request["position_id"], request["magic"], request["decision_code"],
        request["risk_code"], request["expires_ns"], now_ns,
    )  # fmt: skip
    if row < 0:
        request["retcode"] = -row
        request["id"] = -1
    else:
        request["retcode"] = DONE
        request["id"] = desk["orders"][row]["id"]
