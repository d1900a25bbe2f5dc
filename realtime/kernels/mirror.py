"""A mirrored account: a broker outside fills orders, charges swaps and closes; we only reckon.

Live, the desk follows the broker's account. `broker_step` then gives way to `mirrored_tick_step`,
which replaces the quote and revalues but closes and charges nothing; orders stay in flight on the
desk until `finish_in_flight_step`; and every report of the broker brings the whole account, which
`mirror_account_step` puts on the desk. With a broker that runs the same kernels, the desk equals
that of a backtest to the bit.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.account import update_equity_step
from realtime.kernels.broker import is_same_day, replace_quote_step
from realtime.kernels.jit import kernel
from realtime.kernels.margin import account_margin, margin_conversion_rate
from realtime.kernels.money import is_quote, snap_volume
from realtime.kernels.orders import finish_order_step
from realtime.kernels.positions import revalue_row_step, revalue_step
from realtime.kernels.swaps import roll_over_step

UNKNOWN_ORDER = -1


@kernel
def mirrored_tick_step(desk: np.void, symbol: int, tick: np.void) -> None:
    """Put a tick's quote in force and revalue: what is left of `broker_step` with a broker outside.

    A tick without a valid quote is ignored as a whole.
    """
    if not is_quote(tick["bid"], tick["ask"]):
        return
    if not is_same_day(desk, symbol, tick["time_ns"]):
        roll_over_step(desk, symbol, tick["time_ns"])
    replace_quote_step(desk["quotes"][symbol], tick)
    if desk["account"]["open_positions"] > 0:
        revalue_step(desk, symbol)


@kernel
def _margin_rate(desk: np.void, position: np.void) -> float:
    """Conversion of margin at opening, which no broker reports: kept, or that of this moment.

    What an increase adds has the rate of this moment, weighted by volume as `apply_deal_step` does.
    """
    rate = margin_conversion_rate(desk, int(position["symbol"]), int(position["side"]))
    lots = position["volume_lots"]
    for row in range(desk["account"]["open_positions"]):
        old = desk["positions"][row]
        if old["id"] != position["id"] or old["side"] != position["side"]:
            continue
        known = old["margin_rate"]
        if known != known:  # noqa: PLR0124 (no quote to convert with, then)
            return rate
        held = old["volume_lots"]
        if lots <= held:
            return known
        added = snap_volume(lots - held)
        return (known * held + rate * added) / (held + added)
    return rate


@kernel
def mirror_account_step(
    desk: np.void,
    balance: float,
    credit: float,
    margin: float,
    positions: NDArray[np.void],
    count: int,
) -> None:
    """Put the broker's account on the desk, valued at the quotes in force.

    Args:
        desk: the account.
        balance: account currency.
        credit: account currency.
        margin: as the broker says; used only where ours cannot be reckoned (no quote yet).
        positions: POSITION rows, the oldest first; `margin_rate` is written, `profit` is the
            broker's and stays only where there is no quote yet.
        count: rows in use, at most the desk's capacity.
    """
    account = desk["account"]
    for row in range(count):
        positions[row]["margin_rate"] = _margin_rate(desk, positions[row])
    for row in range(count):
        desk["positions"][row] = positions[row]
    account["open_positions"] = count
    account["balance"] = balance
    account["credit"] = credit
    for row in range(count):
        revalue_row_step(desk, row)
    reckoned = account_margin(desk)
    account["margin"] = reckoned if reckoned == reckoned else margin  # noqa: PLR0124
    update_equity_step(desk)


@kernel
def finish_in_flight_step(
    desk: np.void,
    order_id: int,
    state: int,
    retcode: int,
    filled_lots: float,
    closed_orders: NDArray[np.void],
    n_closed: int,
) -> int:
    """Take an order off the desk as the broker's report says; new `n_closed`, or UNKNOWN_ORDER."""
    for row in range(desk["account"]["open_orders"]):
        if desk["orders"][row]["id"] == order_id:
            desk["orders"][row]["filled_lots"] = filled_lots
            return finish_order_step(desk, row, state, retcode, closed_orders, n_closed)
    return UNKNOWN_ORDER
