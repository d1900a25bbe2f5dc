"""How many lots: the volume grid, and the sizing rules of the decision kernel."""

import math

import numpy as np

from realtime.kernels.codes import SIZE_KELLY, SIZE_VOLATILITY_TARGET
from realtime.kernels.jit import kernel
from realtime.kernels.money import snap_volume

# Lots are decimals that binary floats miss by a hair: 0.3 / 0.1 is 2.9999999999999996 steps.
_STEP_TOLERANCE = 1e-9
_ROUNDING = 4e-16  # of the division and of the step, relative: matters for many steps
# Above this many steps a float no longer counts them one by one (and an int64 would overflow).
_MAX_STEPS = 9.0e15


@kernel
def whole_steps(lots: float, volume_step: float) -> float:
    """Count the whole volume steps in a volume that is not negative, rounding down.

    A volume within a billionth of a step below a whole number counts as that number.
    """
    steps = min(lots / volume_step, _MAX_STEPS)
    return float(math.floor(steps + _STEP_TOLERANCE + steps * _ROUNDING))


@kernel
def whole_lots(lots: float, volume_step: float) -> float:
    """Round a signed volume toward zero to a multiple of `volume_step`.

    The result is the float nearest to the decimal that a broker prints: 0.3, not the
    0.30000000000000004 of ``3 * 0.1``. A volume within a billionth of a step below a multiple
    counts as that multiple.

    Args:
        lots: signed, not NaN.
        volume_step: lots, above 0.

    Returns:
        Lots, signed.
    """
    size = float(snap_volume(whole_steps(abs(lots), volume_step) * volume_step))
    if lots < 0.0:
        return -size
    return size


@kernel
def kelly_leverage(probability: float, gain_fraction: float, loss_fraction: float) -> float:
    """Growth-optimal leverage of a bet that wins or loses a fraction of the price.

    ``f = p / loss - q / gain`` maximises ``p log(1 + f gain) + q log(1 - f loss)`` (Kelly 1956,
    in the form of Thorp, "The Kelly Criterion in Blackjack, Sports Betting and the Stock Market").

    Args:
        probability: of winning, 0 to 1.
        gain_fraction: price move won, above 0.
        loss_fraction: price move lost, above 0.

    Returns:
        Notional over equity; 0 when the bet has no edge or a fraction is not positive.
    """
    if not (gain_fraction > 0.0 and loss_fraction > 0.0):
        return 0.0
    leverage = probability / loss_fraction - (1.0 - probability) / gain_fraction
    if leverage > 0.0:
        return leverage
    return 0.0


@kernel
def size_lots(
    params: np.void,
    probability: float,
    volatility: float,
    spec: np.void,
    equity: float,
    lot_notional: float,
) -> float:
    """Size of a position before risk, by the sizing rule of `params`.

    Fixed: ``fixed_lots``. Volatility target: ``target_volatility / volatility`` times equity in
    notional. Kelly: `kelly_leverage` times ``kelly_fraction`` times equity in notional. All are
    capped at ``max_leverage`` times equity (0 = no cap) and rounded down to the volume step.

    Args:
        params: DECISION_PARAMS record.
        probability: that this side wins, 0 to 1.
        volatility: annual, fraction of price; used by volatility targeting only.
        spec: SPEC record; its volume step is above 0.
        equity: account currency, above 0.
        lot_notional: account currency a lot, above 0.

    Returns:
        Lots, not negative; NaN when the rule needs a volatility and there is none.
    """
    sizing = params["sizing"]
    if sizing == SIZE_VOLATILITY_TARGET:
        if not 0.0 < volatility < math.inf:
            return math.nan
        lots = float(params["target_volatility"]) / volatility * equity / lot_notional
    elif sizing == SIZE_KELLY:
        leverage = kelly_leverage(
            probability, float(params["gain_fraction"]), float(params["loss_fraction"])
        )
        lots = float(params["kelly_fraction"]) * leverage * equity / lot_notional
    else:
        lots = float(params["fixed_lots"])
    max_leverage = float(params["max_leverage"])
    if max_leverage > 0.0:
        cap = max_leverage * equity / lot_notional
        if cap < lots:
            lots = cap
    return whole_lots(lots, float(spec["volume_step"]))
