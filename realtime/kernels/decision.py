"""From a calibrated probability to a target position, with a reason for every outcome.

The decision says what is *wanted* of one symbol; the risk kernel says what is *allowed*. Order of
the rules, first that applies:

1. flat before the weekend and before rollover: closes what is held, opens nothing, needs no signal;
2. not ready (probability missing or outside [0, 1], no valid quote, equity or notional, no
   volatility where sizing needs one): what is held stays held, nothing is opened;
3. held: a signal below the exit threshold, or on the other side, closes or reverses, but not before
   the minimum holding time; otherwise the position is kept, or resized if its size moved enough;
4. flat: a signal past the entry threshold opens, unless cooling down after an exit, or the expected
   edge does not pay for the round trip, or the size is below the smallest volume.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.codes import (
    COMMISSION_OF_NOTIONAL,
    COMMISSION_PER_LOT,
    DECISION_BELOW_THRESHOLD,
    DECISION_COOL_DOWN,
    DECISION_EDGE_BELOW_COST,
    DECISION_ENTER_LONG,
    DECISION_ENTER_SHORT,
    DECISION_EXIT_SIGNAL,
    DECISION_FLAT_BEFORE_ROLLOVER,
    DECISION_FLAT_BEFORE_WEEKEND,
    DECISION_HOLD,
    DECISION_MINIMUM_HOLD,
    DECISION_NOT_READY,
    DECISION_RESIZE,
    DECISION_REVERSE,
    DECISION_SIZE_BELOW_MINIMUM,
)
from realtime.kernels.jit import kernel
from realtime.kernels.sizing import size_lots


@kernel
def expected_edge(
    probability: float, direction: int, gain_fraction: float, loss_fraction: float
) -> float:
    """Expected move in favour of a side, before costs, as a fraction of price.

    Long: ``p * gain - (1 - p) * loss``; short: the same with ``1 - p``.
    """
    if direction < 0:
        probability = 1.0 - probability
    return probability * gain_fraction - (1.0 - probability) * loss_fraction


@kernel
def round_trip_cost(spec: np.void, quote: np.void, lots: float, lot_notional: float) -> float:
    """Cost of opening and closing a position, as a fraction of its notional.

    One spread (half at each deal), two commissions, and the expected slippage of two market fills
    as the fill kernel charges it: points + fraction of the spread + points a lot.

    Args:
        spec: SPEC record.
        quote: QUOTE record, valid.
        lots: size, not negative; matters for the impact term only.
        lot_notional: account currency a lot, above 0.
    """
    bid = float(quote["bid"])
    spread = float(quote["ask"]) - bid
    points = float(spec["slippage_points"]) + float(spec["slippage_points_per_lot"]) * lots
    slippage = points * float(spec["point"]) + float(spec["slippage_spread_fraction"]) * spread
    cost = (spread + 2.0 * slippage) / (bid + 0.5 * spread)
    mode = spec["commission_mode"]
    if mode == COMMISSION_PER_LOT:
        cost += 2.0 * float(spec["commission_rate"]) / lot_notional
    elif mode == COMMISSION_OF_NOTIONAL:
        cost += 2.0 * float(spec["commission_rate"])
    return cost


@kernel
def decision_exit_step(state: np.void, now_ns: int) -> None:
    """Make a decision state want nothing from now on; the cool-down starts.

    For the caller when a position was closed by something else than the decision (stop loss, take
    profit, stop-out, a risk latch): the state would otherwise still want the position, and the next
    step would open it again.
    """
    state["direction"] = 0
    state["target_lots"] = 0.0
    state["exited_ns"] = now_ns


@kernel
def _enter(state: np.void, direction: int, lots: float, now_ns: int) -> None:
    state["direction"] = direction
    state["target_lots"] = direction * lots
    state["entered_ns"] = now_ns


@kernel
def _flat_rule(params: np.void, day: np.void, now_ns: int) -> int:
    """Name the flat-before rule in force, or DECISION_HOLD when there is none."""
    weekend_ns = params["flat_before_weekend_ns"]
    if weekend_ns > 0 and now_ns >= day["long_close_ns"] - weekend_ns:
        return DECISION_FLAT_BEFORE_WEEKEND
    rollover_ns = params["flat_before_rollover_ns"]
    if rollover_ns > 0 and now_ns >= day["end_ns"] - rollover_ns:
        return DECISION_FLAT_BEFORE_ROLLOVER
    return DECISION_HOLD


@kernel
def _ready(probability: float, quote: np.void, equity: float, lot_notional: float) -> bool:
    bid = float(quote["bid"])
    # Written so that NaN fails every comparison.
    return (
        0.0 <= probability <= 1.0
        and bid > 0.0
        and bid <= float(quote["ask"]) < math.inf
        and 0.0 < equity < math.inf
        and 0.0 < lot_notional < math.inf
    )


@kernel
def _wanted_direction(params: np.void, probability: float) -> int:
    enter = float(params["enter_probability"])
    long = params["allow_long"] != 0 and probability >= enter
    short = params["allow_short"] != 0 and probability <= 1.0 - enter
    if long == short:  # both only at enter = p = 0.5: no view
        return 0
    return 1 if long else -1


@kernel
def _stays(params: np.void, direction: int, probability: float) -> bool:
    leave = float(params["exit_probability"])
    if direction > 0:
        return params["allow_long"] != 0 and probability >= leave
    return params["allow_short"] != 0 and probability <= 1.0 - leave


@kernel
def _open(
    params: np.void,
    state: np.void,
    direction: int,
    lots: float,
    minimum_lots: float,
    edge: float,
    cost: float,
    now_ns: int,
) -> int:
    """Open a position if its edge pays and its size is possible; else say why not."""
    ratio = float(params["edge_cost_ratio"])
    if ratio > 0.0 and not edge > ratio * cost:
        return DECISION_EDGE_BELOW_COST
    if lots < minimum_lots or lots <= 0.0:
        return DECISION_SIZE_BELOW_MINIMUM
    _enter(state, direction, lots, now_ns)
    if direction > 0:
        return DECISION_ENTER_LONG
    return DECISION_ENTER_SHORT


@kernel
def _keep(
    params: np.void, state: np.void, direction: int, lots: float, spec: np.void, now_ns: int
) -> int:
    """Keep a held position, resized to `lots` where that is a big enough change."""
    held = abs(float(state["target_lots"]))
    change = abs(lots - held)
    least = max(float(params["resize_fraction"]) * held, 0.5 * float(spec["volume_step"]))
    if change < least:
        return DECISION_HOLD
    if lots < float(spec["volume_min"]):
        if now_ns - state["entered_ns"] < params["minimum_hold_ns"]:
            return DECISION_MINIMUM_HOLD
        decision_exit_step(state, now_ns)
        return DECISION_SIZE_BELOW_MINIMUM
    state["target_lots"] = direction * lots
    return DECISION_RESIZE


@kernel
def decision_step(
    params: np.void,
    state: np.void,
    signal: np.void,
    spec: np.void,
    quote: np.void,
    day: np.void,
    equity: float,
    lot_notional: float,
    now_ns: int,
    out: np.void,
) -> int:
    """Choose the target position of one symbol.

    Entries and exits use two thresholds (hysteresis), the same ones mirrored for shorts: long at
    ``p >= enter_probability``, left at ``p < exit_probability``. An entry must expect more than
    ``edge_cost_ratio`` round trips' cost (0 = no such test). A reversal is an exit and an entry in
    one: where a cool-down is set, or the new side does not pay or is too small, only the exit
    remains. The minimum hold delays signal exits and reversals, not the flat-before rules. A
    position resized below the smallest volume is closed. A side that is no longer allowed is left.

    Args:
        params: DECISION_PARAMS record; thresholds in order (settings refuse others).
        state: DECISION_STATE record, starts as zeros; only this and `decision_exit_step` change it.
        signal: SIGNAL record; a NaN probability means "not ready".
        spec: SPEC record.
        quote: QUOTE record of this symbol.
        day: DAY record in force.
        equity: account currency.
        lot_notional: account currency value of one lot; NaN where it cannot be converted.
        now_ns: UTC.
        out: DECISION record; everything but symbol, allowed_lots and risk_code is written. Edge and
            cost are those of the side held, wanted, or (flat) likelier, NaN when not ready.

    Returns:
        A DECISION_* code, also in ``out["decision_code"]``.
    """
    probability = float(signal["probability"])
    direction = int(state["direction"])
    out["time_ns"] = now_ns
    out["probability"] = probability
    out["edge"] = math.nan
    out["cost"] = math.nan
    code = _flat_rule(params, day, now_ns)
    if code != DECISION_HOLD:
        if direction != 0:
            decision_exit_step(state, now_ns)
    elif not _ready(probability, quote, equity, lot_notional):
        code = DECISION_NOT_READY
    else:
        code = _decide(params, state, signal, spec, quote, equity, lot_notional, now_ns, out)
    out["target_lots"] = state["target_lots"] if state["direction"] != 0 else 0.0
    out["decision_code"] = code
    return code


@kernel
def _decide(
    params: np.void,
    state: np.void,
    signal: np.void,
    spec: np.void,
    quote: np.void,
    equity: float,
    lot_notional: float,
    now_ns: int,
    out: np.void,
) -> int:
    """Apply the signal, all inputs being valid."""
    probability = float(signal["probability"])
    direction = int(state["direction"])
    wanted = _wanted_direction(params, probability)
    side = wanted if wanted != 0 else direction
    if side == 0:
        side = 1 if probability >= 0.5 else -1
    lots = abs(float(state["target_lots"]))  # kept unless sized anew
    resizes = direction != 0 and float(params["resize_fraction"]) < 1.0
    sized = True  # an exit needs no size, nor the volatility that a size may need
    if resizes or (wanted != 0 and wanted != direction):
        win = probability if side > 0 else 1.0 - probability
        size = size_lots(params, win, float(signal["volatility"]), spec, equity, lot_notional)
        sized = not math.isnan(size)
        if sized:
            lots = size
    edge = expected_edge(
        probability, side, float(params["gain_fraction"]), float(params["loss_fraction"])
    )
    cost = round_trip_cost(spec, quote, lots, lot_notional)
    out["edge"] = edge
    out["cost"] = cost
    cool_down_ns = params["cool_down_ns"]
    if direction == 0:
        if wanted == 0:
            return DECISION_BELOW_THRESHOLD
        exited_ns = state["exited_ns"]
        if exited_ns > 0 and now_ns - exited_ns < cool_down_ns:
            return DECISION_COOL_DOWN
        if not sized:
            return DECISION_NOT_READY
        minimum = float(spec["volume_min"])
        return _open(params, state, wanted, lots, minimum, edge, cost, now_ns)
    if wanted != -direction and _stays(params, direction, probability):
        if not sized:
            return DECISION_NOT_READY
        return _keep(params, state, direction, lots, spec, now_ns)
    if now_ns - state["entered_ns"] < params["minimum_hold_ns"]:
        return DECISION_MINIMUM_HOLD
    decision_exit_step(state, now_ns)
    if wanted == -direction and sized and cool_down_ns == 0:
        minimum = float(spec["volume_min"])
        opened = _open(params, state, wanted, lots, minimum, edge, cost, now_ns)
        if opened == DECISION_ENTER_LONG or opened == DECISION_ENTER_SHORT:
            return DECISION_REVERSE
    return DECISION_EXIT_SIGNAL


@kernel
def decision_fold(
    params: np.void,
    state: np.void,
    signals: NDArray[np.void],
    spec: np.void,
    quotes: NDArray[np.void],
    days: NDArray[np.void],
    day_rows: NDArray[np.int64],
    equity: NDArray[np.float64],
    lot_notional: NDArray[np.float64],
    now_ns: NDArray[np.int64],
    out: NDArray[np.void],
) -> None:
    """Run `decision_step` over arrays, one row a signal.

    Args:
        params: DECISION_PARAMS record.
        state: DECISION_STATE record, carried from row to row.
        signals: (n,) SIGNAL.
        spec: SPEC record.
        quotes: (n,) QUOTE of this symbol.
        days: (rows,) DAY table.
        day_rows: (n,) row of `days` in force.
        equity: (n,) account currency.
        lot_notional: (n,) account currency a lot.
        now_ns: (n,) UTC.
        out: (n,) DECISION, written.
    """
    for row in range(len(signals)):
        decision_step(
            params,
            state,
            signals[row],
            spec,
            quotes[row],
            days[int(day_rows[row])],
            float(equity[row]),
            float(lot_notional[row]),
            int(now_ns[row]),
            out[row],
        )
