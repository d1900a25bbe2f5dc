"""Every limit between a wanted position and an order, in one compiled function.

What each kind of limit stops:

==============================================  =======  =======  =======
limit                                           opens    closes   flatten
==============================================  =======  =======  =======
invalid quote, closed session, stale tick,      stopped  stopped  stopped
an order of the symbol still in flight, or
refused by the broker a moment ago
clock offset, feature age, model age, spread,   stopped  passes   passes
price collar, order rate, missing conversion
position, gross and net exposure, margin use    reduced  passes   passes
order size, volume grid                         reduced  reduced  reduced
==============================================  =======  =======  =======

*Opens* is what makes |position| larger, *closes* what makes it smaller; a reversal is both, so a
limit that stops its opening half leaves its closing half. *Flatten* is what the kill switch, the
daily loss and the drawdown limit ask for: target 0, whatever was wanted, whatever the spread. Even
they wait for a live market: an order on a stale quote or in a closed session cannot be executed
sensibly, and one beside an order whose outcome is unknown could open what it means to close. They
ask again at every tick, after a refusal of the broker once a wait of seconds is over.

A forecast too old, or a clock adrift, is a reason not to open; it is no reason to keep a position.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.codes import (
    RISK_BAD_INPUT,
    RISK_BROKER_REFUSED,
    RISK_CLOCK_OFFSET,
    RISK_FEATURE_STALE,
    RISK_MODEL_STALE,
    RISK_OK,
    RISK_ORDER_IN_FLIGHT,
    RISK_ORDER_RATE,
    RISK_ORDER_SIZE,
    RISK_PRICE_COLLAR,
    RISK_SESSION_CLOSED,
    RISK_SPREAD,
    RISK_TICK_STALE,
    RISK_VOLUME_STEP,
)
from realtime.kernels.exposure import has_market_order, net_lots
from realtime.kernels.jit import kernel
from realtime.kernels.layout import ORDER_RATE_SLOTS
from realtime.kernels.loss_limits import flatten_code, update_equity_limits_step
from realtime.kernels.money import is_quote, snap_volume
from realtime.kernels.room import opening_room
from realtime.kernels.sizing import whole_steps

_RETRY_NS = 1_000_000_000
_MOST_DOUBLINGS = 3
_RING_MASK = ORDER_RATE_SLOTS - 1  # the ring's length is a power of two
_TOLERANCE = 1e-9  # of a volume step, or of a point: decimals miss their grid by a hair


@kernel
def record_order_step(risk: np.void, now_ns: int) -> None:
    """Remember that an order was sent, for the order rate limit.

    Args:
        risk: RISK_STATE record.
        now_ns: UTC, not before the order recorded last.
    """
    count = risk["order_count"]
    risk["order_times"][count & _RING_MASK] = now_ns
    risk["order_count"] = count + 1


@kernel
def _rate_reached(risk: np.void, limits: np.void, now_ns: int) -> bool:
    """Tell whether `max_orders` orders lie inside the window that ends now."""
    max_orders = min(limits["max_orders"], ORDER_RATE_SLOTS)
    count = risk["order_count"]
    if max_orders <= 0 or count < max_orders:
        return False
    oldest_ns = risk["order_times"][(count - max_orders) & _RING_MASK]
    return now_ns - oldest_ns < limits["rate_window_ns"]


@kernel
def _too_old(time_ns: int, now_ns: int, max_age_ns: int) -> bool:
    """Tell whether a time is further than allowed from now, in the past or in the future."""
    return max_age_ns > 0 and (now_ns - time_ns > max_age_ns or time_ns - now_ns > max_age_ns)


@kernel
def is_refused_lately(intent: np.void, now_ns: int) -> bool:
    """Tell whether the broker refused an order so lately that it is not asked again yet.

    A flattening, or an entry that stays wanted, would else be sent on every tick, and a broker that
    is asked two hundred times a minute closes the account. The wait doubles from one second to
    eight.
    """
    refusals = intent["refusals"]
    if refusals == 0:
        return False
    return now_ns - intent["refused_ns"] < _RETRY_NS << min(refusals - 1, _MOST_DOUBLINGS)


@kernel
def market_refusal(desk: np.void, symbol: int, now_ns: int) -> int:
    """Say why no order at all makes sense now, or RISK_OK."""
    quote = desk["quotes"][symbol]
    if not is_quote(float(quote["bid"]), float(quote["ask"])):
        return RISK_BAD_INPUT
    row = desk["day_rows"][symbol]
    if row < 0:
        return RISK_SESSION_CLOSED
    day = desk["days"][row]
    if now_ns < day["open_ns"] or now_ns >= day["close_ns"]:
        return RISK_SESSION_CLOSED
    if _too_old(quote["time_ns"], now_ns, desk["limits"][symbol]["max_tick_age_ns"]):
        return RISK_TICK_STALE
    if has_market_order(desk, symbol):
        return RISK_ORDER_IN_FLIGHT
    if is_refused_lately(desk["intents"][symbol], now_ns):
        return RISK_BROKER_REFUSED
    return RISK_OK


@kernel
def _opening_refusal(
    desk: np.void, symbol: int, order_price: float, signal: np.void, now_ns: int
) -> int:
    """Say why nothing may be opened now, or RISK_OK."""
    if not 0.0 < order_price < math.inf or not abs(desk["account"]["equity"]) < math.inf:
        return RISK_BAD_INPUT
    account_limits = desk["account_limits"]
    limits = desk["limits"][symbol]
    risk = desk["risk"]
    max_offset_ns = account_limits["max_clock_offset_ns"]
    if max_offset_ns > 0 and abs(risk["clock_offset_ns"]) > max_offset_ns:
        return RISK_CLOCK_OFFSET
    if _too_old(signal["feature_ns"], now_ns, limits["max_feature_age_ns"]):
        return RISK_FEATURE_STALE
    if _too_old(signal["model_ns"], now_ns, limits["max_model_age_ns"]):
        return RISK_MODEL_STALE
    quote = desk["quotes"][symbol]
    bid = float(quote["bid"])
    spread = float(quote["ask"]) - bid
    max_spread = float(limits["max_spread_points"])
    if max_spread > 0.0:
        point = float(desk["specs"][symbol]["point"])
        # The difference of two prices misses the grid of points by a hair.
        if not spread <= (max_spread + _TOLERANCE) * point + 1e-12 * bid:
            return RISK_SPREAD
    collar = float(limits["collar_fraction"])
    mid = bid + 0.5 * spread
    if collar > 0.0 and abs(order_price - mid) > collar * mid:
        return RISK_PRICE_COLLAR
    if _rate_reached(risk, account_limits, now_ns):
        return RISK_ORDER_RATE
    return RISK_OK


@kernel
def _order_lots(
    spec: np.void, limits: np.void, held: float, wanted: float, code: int
) -> tuple[float, int]:
    """Limit one order's size and put it on the volume grid, rounding toward the held position."""
    volume_step = float(spec["volume_step"])
    change = abs(wanted - held)
    cap = change
    max_lots = float(limits["max_order_lots"])
    if max_lots > 0.0:
        cap = max_lots
    if 0.0 < float(spec["volume_max"]) < cap:
        cap = float(spec["volume_max"])
    if change > cap + _TOLERANCE * volume_step:
        change = cap
        code = RISK_ORDER_SIZE
    elif wanted == 0.0:  # a whole position closes whatever its size
        return 0.0, code
    change = whole_steps(change, volume_step) * volume_step
    if change <= 0.0 or change < float(spec["volume_min"]) - _TOLERANCE * volume_step:
        return held, code
    allowed = snap_volume(held + change if wanted > held else held - change)
    if held * allowed < 0.0 and abs(allowed) < float(spec["volume_min"]) - _TOLERANCE * volume_step:
        return 0.0, code
    return allowed, code


@kernel
def risk_step(
    desk: np.void,
    symbol: int,
    target_lots: float,
    order_price: float,
    signal: np.void,
    now_ns: int,
) -> tuple[float, int]:
    """Say how much of a wanted position may be asked for now, in one order, and what binds.

    The answer lies between the held position and the target (toward 0 for a flatten), on the
    volume grid, rounded toward the held position; equal to the held position means "no order".
    Where several limits bind, the tightest amount wins and its code is returned. One order changes
    a position by at most ``max_order_lots`` (and the broker's ``volume_max``), so a large one is
    closed in several. See the head of this file for what stops what.

    Working orders count as if the worst of them were filled, so limits hold across symbols and
    across orders in flight, to a billionth of a volume step.

    Args:
        desk: the account, revalued; only its ``risk`` is changed (`update_equity_limits_step` is
            called first, so a loss limit cannot be forgotten).
        symbol: row of the symbol.
        target_lots: wanted net position, signed.
        order_price: price the order would carry, held against the collar.
        signal: SIGNAL record, for the ages of features and model.
        now_ns: UTC.

    Returns:
        ``(allowed_lots, code)``: signed lots and a RISK_* code; RISK_OK where nothing was refused.
    """
    update_equity_limits_step(desk, symbol, now_ns)
    held = net_lots(desk, symbol)
    flatten = flatten_code(desk["risk"])
    if flatten != RISK_OK:
        target_lots = 0.0
        if held == 0.0:
            return 0.0, flatten
    elif not abs(target_lots) < math.inf:
        return held, RISK_BAD_INPUT
    elif target_lots == held:
        return held, RISK_OK
    code = market_refusal(desk, symbol, now_ns)
    if code != RISK_OK:
        return held, code
    if not 0.0 < float(desk["specs"][symbol]["volume_step"]) < math.inf:
        return held, RISK_BAD_INPUT
    wanted = target_lots
    reverses = held * target_lots < 0.0
    if reverses or abs(target_lots) > abs(held):
        side = 1 if target_lots > 0.0 else -1
        kept = 0.0 if reverses else abs(held)  # what remains if nothing may be opened
        code = _opening_refusal(desk, symbol, order_price, signal, now_ns)
        size = kept
        if code == RISK_OK:
            room, code = opening_room(desk, symbol, side, abs(held), abs(target_lots), reverses)
            size = max(room, kept)
        wanted = side * size
    allowed, code = _order_lots(desk["specs"][symbol], desk["limits"][symbol], held, wanted, code)
    if flatten != RISK_OK:
        return allowed, flatten
    if abs(allowed - target_lots) <= _TOLERANCE * float(desk["specs"][symbol]["volume_step"]):
        return allowed, RISK_OK  # a limit that is met exactly refuses nothing
    return allowed, RISK_VOLUME_STEP if code == RISK_OK else code


@kernel
def risk_fold(
    desk: np.void,
    symbols: NDArray[np.int64],
    target_lots: NDArray[np.float64],
    order_prices: NDArray[np.float64],
    signals: NDArray[np.void],
    now_ns: NDArray[np.int64],
    allowed_lots: NDArray[np.float64],
    codes: NDArray[np.int64],
) -> None:
    """Run `risk_step` over arrays of questions to one account, positions staying as they are.

    Args:
        desk: the account.
        symbols: (n,) rows of the symbols asked about.
        target_lots: (n,) wanted net positions.
        order_prices: (n,) prices.
        signals: (n,) SIGNAL.
        now_ns: (n,) UTC.
        allowed_lots: (n,) written.
        codes: (n,) written.
    """
    for row in range(len(symbols)):
        allowed_lots[row], codes[row] = risk_step(
            desk,
            int(symbols[row]),
            float(target_lots[row]),
            float(order_prices[row]),
            signals[row],
            int(now_ns[row]),
        )
