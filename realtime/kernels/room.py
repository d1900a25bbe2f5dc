"""How large a position the amounts allow: position, exposure and margin limits.

Each limit gives the largest position on the wanted side; the smallest of them wins.
"""

import math
from typing import NamedTuple

import numpy as np

from realtime.kernels.codes import (
    HEDGING,
    RISK_BAD_INPUT,
    RISK_GROSS_EXPOSURE,
    RISK_MARGIN_USE,
    RISK_NET_EXPOSURE,
    RISK_OK,
    RISK_POSITION,
)
from realtime.kernels.exposure import (
    Exposure,
    exposure_of_others,
    hedged_lots,
    is_buy,
    lot_notional,
    net_lots,
    working_lots,
)
from realtime.kernels.jit import kernel
from realtime.kernels.margin import (
    base_margin,
    margin_conversion_rate,
    margin_with_deal,
    symbol_margin,
)

_MARGIN_TRIES = 32
_ROUNDING = 1.0 + 1e-12


class Room(NamedTuple):
    """The largest position on the wanted side and the limit that says so."""

    lots: float
    code: int


@kernel
def _position_room(
    limits: np.void, spec: np.void, wanted: float, working: float, hedged: float
) -> Room:
    """Apply the position limit, and the broker's limit of volume in one direction."""
    room = Room(wanted, RISK_OK)
    max_position = float(limits["max_position_lots"])
    if max_position > 0.0 and max_position - working < room.lots:
        room = Room(max_position - working, RISK_POSITION)
    volume_limit = float(spec["volume_limit"])
    if volume_limit > 0.0 and volume_limit - working - hedged < room.lots:
        room = Room(volume_limit - working - hedged, RISK_POSITION)
    return room


@kernel
def _exposure_room(
    limits: np.void,
    equity: float,
    lot: float,
    others: Exposure,
    side: int,
    room: Room,
    working: float,
    hedged: float,
) -> Room:
    """Apply gross and net exposure: notional of all symbols over equity."""
    if not (lot > 0.0 and abs(equity) < math.inf and others.gross < math.inf):
        return Room(0.0, RISK_BAD_INPUT)
    max_gross = float(limits["max_gross_leverage"])
    # Compared as money, so that the division is paid only where the limit binds.
    if max_gross > 0.0:
        left = max_gross * equity - others.gross
        if (room.lots + working + 2.0 * hedged) * lot > left:
            room = Room(left / lot - working - 2.0 * hedged, RISK_GROSS_EXPOSURE)
    max_net = float(limits["max_net_leverage"])
    if max_net > 0.0:
        net = others.highest_net if side > 0 else -others.lowest_net
        left = max_net * equity - net
        if (room.lots + working) * lot > left:
            room = Room(left / lot - working, RISK_NET_EXPOSURE)
    return room


@kernel
def _deal_margin(desk: np.void, symbol: int, side: int, lots: float, replaces: bool) -> float:
    """Margin of a symbol after a deal at the quote of the moment."""
    quote = desk["quotes"][symbol]
    price = float(quote["ask"]) if side > 0 else float(quote["bid"])
    rate = margin_conversion_rate(desk, symbol, side)
    return float(margin_with_deal(desk, symbol, side, lots, price, rate, 1 if replaces else 0))


@kernel
def _margin_alone(desk: np.void, symbol: int, side: int, lots: float) -> float:
    """Margin of a deal if nothing else of its symbol were open: never less than what it adds."""
    spec = desk["specs"][symbol]
    quote = desk["quotes"][symbol]
    price = float(quote["ask"]) if side > 0 else float(quote["bid"])
    rate = float(spec["margin_rate_long"]) if side > 0 else float(spec["margin_rate_short"])
    leverage = float(desk["account"]["leverage"])
    base = base_margin(spec, leverage, lots, price, float(spec["contract_size"]), 0)
    return float(base) * rate * float(margin_conversion_rate(desk, symbol, side))


@kernel
def _working_margin(desk: np.void) -> float:
    """Margin that open orders may add, each taken for itself."""
    total = 0.0
    for row in range(desk["account"]["open_orders"]):
        order = desk["orders"][row]
        if order["position_id"] < 0:
            symbol = order["symbol"]
            side = 1 if is_buy(order["type"]) else -1
            held = net_lots(desk, symbol)
            lots = side * (float(order["volume_lots"]) - float(order["filled_lots"]))
            added = abs(held + lots) - abs(held)
            if added > 0.0:
                total += _margin_alone(desk, symbol, side, added)
    return total


@kernel
def _margin_room(
    desk: np.void, symbol: int, side: int, kept: float, room: Room, reverses: bool
) -> Room:
    """Apply margin use: margin of the account after the order over equity.

    Margin is nearly always proportional to volume, but averages of prices and of rates, or the
    larger leg, can bend it: a proportional guess that does not fit is followed by bisection.
    """
    account = desk["account"]
    working = _working_margin(desk) if account["open_orders"] > 0 else 0.0
    margin = float(account["margin"])
    free = float(desk["account_limits"]["max_margin_use"]) * float(account["equity"]) - working
    opened = room.lots - kept
    if margin + _margin_alone(desk, symbol, side, opened) <= free:
        return room
    free -= margin - float(symbol_margin(desk, symbol, 1))
    needed = _deal_margin(desk, symbol, side, opened, reverses)
    if not (abs(free) < math.inf and needed < math.inf):
        return Room(0.0, RISK_BAD_INPUT)
    if needed <= free:
        return room
    bound = 0.0 if reverses else float(symbol_margin(desk, symbol, 0))
    fits = 0.0
    fails = opened
    if free > bound and needed > bound:
        guess = opened * ((free - bound) / (needed - bound))  # exact where margin is proportional
        for _ in range(_MARGIN_TRIES):
            if _deal_margin(desk, symbol, side, guess, reverses) <= free * _ROUNDING:
                fits = guess
                if fails == opened:
                    break
            else:
                fails = guess
            guess = 0.5 * (fits + fails)
    return Room(kept + fits, RISK_MARGIN_USE)


@kernel
def opening_room(
    desk: np.void, symbol: int, side: int, held: float, wanted: float, reverses: bool
) -> Room:
    """Largest position on one side that the amounts allow.

    Args:
        desk: the account.
        symbol: row of the symbol.
        side: +1 or -1: of the wanted position.
        held: size of the net position now, lots, not negative.
        wanted: size wanted, lots, above 0.
        reverses: the held position is on the other side and closes first.

    Returns:
        At most `wanted`, possibly less than `held` (or below 0), and what binds; RISK_OK if
        nothing does.
    """
    account = desk["account"]
    limits = desk["account_limits"]
    working = working_lots(desk, symbol, side) if account["open_orders"] > 0 else 0.0
    hedged = hedged_lots(desk, symbol) if account["mode"] == HEDGING else 0.0
    room = _position_room(desk["limits"][symbol], desk["specs"][symbol], wanted, working, hedged)
    if limits["max_gross_leverage"] > 0.0 or limits["max_net_leverage"] > 0.0:
        others = exposure_of_others(desk, symbol)
        lot = lot_notional(desk, symbol)
        equity = float(account["equity"])
        room = _exposure_room(limits, equity, lot, others, side, room, working, hedged)
    kept = 0.0 if reverses else held
    if limits["max_margin_use"] > 0.0 and room.lots > kept:
        room = _margin_room(desk, symbol, side, kept, room, reverses)
    return room
