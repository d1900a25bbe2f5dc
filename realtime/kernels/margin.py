"""Margin: what open positions bind, by calculation mode, with hedged volume.

Source: MetaTrader 5 help, "Margin Calculation: Retail Forex, Futures", and the MQL5 book, "Margin
requirements" (formulas by SYMBOL_TRADE_CALC_MODE; SYMBOL_MARGIN_HEDGED; the larger leg). Three
stages: formula in margin currency, conversion to account currency at the rate fixed when the
position was opened (POSITION.margin_rate), times the symbol's margin rate for the direction.
"""

import math

import numpy as np

from realtime.kernels.codes import (
    CALC_CFD,
    CALC_CFD_INDEX,
    CALC_CFD_LEVERAGE,
    CALC_EXCHANGE_FUTURES,
    CALC_EXCHANGE_STOCKS,
    CALC_FOREX,
    CALC_FUTURES,
)
from realtime.kernels.jit import kernel
from realtime.kernels.money import is_quote, snap_volume

#: Lots, sum of lots * open price and sum of lots * margin rate: of the longs, then of the shorts.
Legs = tuple[float, float, float, float, float, float]


@kernel
def margin_conversion_rate(desk: np.void, symbol: int, side: int) -> float:
    """Account currency for one unit of margin currency when opening; NaN without a quote.

    Buys take the ask of the conversion symbol and sells its bid, whichever way it is quoted.
    """
    spec = desk["specs"][symbol]
    row = int(spec["margin_symbol"])
    if row < 0:
        return 1.0
    quote = desk["quotes"][row]
    if not is_quote(quote["bid"], quote["ask"]):
        return math.nan
    price = quote["ask"] if side > 0 else quote["bid"]
    if spec["margin_inverse"] != 0:
        return 1.0 / price
    return price


@kernel
def base_margin(
    spec: np.void, leverage: float, lots: float, price: float, contract_size: float, held: int
) -> float:
    """Margin in margin currency, before the margin rate of the direction.

    ========================  =====================================================
    forex                     lots * contract / leverage
    forex without leverage    lots * contract
    CFD, exchange stocks      lots * contract * price
    CFD index                 lots * contract * price * tick value / tick size
    CFD with leverage         lots * contract * price / leverage
    futures                   lots * initial margin
    exchange futures          lots * initial margin, or maintenance margin once held
    ========================  =====================================================

    A symbol of any mode with an initial margin is charged lots * initial margin (MQL5 book: "if
    this property has a non-zero value in the specification of any other symbol, then it determines
    the margin"). Exchange stocks take the price of the deal: there is no last price in a quote.

    Args:
        spec: SPEC record.
        leverage: of the account; 0 or less counts as 1.
        lots: volume.
        price: open price.
        contract_size: SPEC.contract_size, or the hedged contract size.
        held: 1 for an open position, 0 for an order to be checked.
    """
    mode = spec["calc_mode"]
    fixed = spec["margin_initial"]
    if mode == CALC_EXCHANGE_FUTURES and held == 1 and spec["margin_maintenance"] > 0.0:
        fixed = spec["margin_maintenance"]
    if fixed > 0.0 or mode == CALC_FUTURES or mode == CALC_EXCHANGE_FUTURES:
        return lots * fixed
    divisor = leverage if leverage > 0.0 else 1.0
    nominal = lots * contract_size
    if mode == CALC_FOREX:
        return nominal / divisor
    if mode == CALC_CFD or mode == CALC_EXCHANGE_STOCKS:
        return nominal * price
    if mode == CALC_CFD_INDEX:
        if spec["tick_size"] > 0.0:
            return nominal * price * spec["tick_value"] / spec["tick_size"]
        return nominal * price
    if mode == CALC_CFD_LEVERAGE:
        return nominal * price / divisor
    return nominal


@kernel
def leg_margin(
    spec: np.void, leverage: float, lots: float, leg: tuple[float, float, float], held: int
) -> float:
    """Account currency bound by `lots` at the average price and rate of a leg, without margin rate.

    `leg` is (lots, sum of lots * price, sum of lots * conversion rate) of the leg averaged over.
    """
    if not (lots > 0.0 and leg[0] > 0.0):
        return 0.0
    price = leg[1] / leg[0]
    rate = leg[2] / leg[0]
    return base_margin(spec, leverage, lots, price, spec["contract_size"], held) * rate


@kernel
def covered_margin(spec: np.void, leverage: float, legs: Legs, held: int) -> float:
    """Account currency bound by the volume that longs and shorts cover mutually.

    `margin_hedged` is money per lot where an initial margin is set and else the contract size for
    the formula of the mode; 0 is free. Prices and conversion rates are averaged over both legs by
    volume, margin rates of the directions one half each.
    """
    lots = min(legs[0], legs[3])
    hedged = spec["margin_hedged"]
    if not (lots > 0.0 and hedged > 0.0):
        return 0.0
    both = legs[0] + legs[3]
    rate = (legs[2] + legs[5]) / both * ((spec["margin_rate_long"] + spec["margin_rate_short"]) / 2)
    if spec["margin_initial"] > 0.0:
        return lots * hedged * rate
    price = (legs[1] + legs[4]) / both
    return base_margin(spec, leverage, lots, price, hedged, held) * rate


@kernel
def margin_of_legs(spec: np.void, leverage: float, legs: Legs, held: int) -> float:
    """Margin of all positions of one symbol, account currency.

    Base calculation: margin of the uncovered volume at the average price of its leg, plus
    `covered_margin`. With `margin_hedged_use_leg`: the larger of the margins of the two legs.
    """
    long = (legs[0], legs[1], legs[2])
    short = (legs[3], legs[4], legs[5])
    long_rate = spec["margin_rate_long"]
    short_rate = spec["margin_rate_short"]
    if spec["margin_hedged_use_leg"] != 0:
        long_margin = leg_margin(spec, leverage, legs[0], long, held) * long_rate
        short_margin = leg_margin(spec, leverage, legs[3], short, held) * short_rate
        return max(long_margin, short_margin)
    covered = covered_margin(spec, leverage, legs, held)
    uncovered = snap_volume(abs(legs[0] - legs[3]))
    if legs[0] >= legs[3]:
        return leg_margin(spec, leverage, uncovered, long, held) * long_rate + covered
    return leg_margin(spec, leverage, uncovered, short, held) * short_rate + covered


@kernel
def symbol_legs(desk: np.void, symbol: int) -> Legs:
    """Sum up the open positions of a symbol by direction."""
    long_lots = long_price = long_rate = 0.0
    short_lots = short_price = short_rate = 0.0
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] != symbol:
            continue
        lots = position["volume_lots"]
        if position["side"] > 0:
            long_lots += lots
            long_price += lots * position["open_price"]
            long_rate += lots * position["margin_rate"]
        else:
            short_lots += lots
            short_price += lots * position["open_price"]
            short_rate += lots * position["margin_rate"]
    return long_lots, long_price, long_rate, short_lots, short_price, short_rate


@kernel
def symbol_margin(desk: np.void, symbol: int, held: int) -> float:
    """Margin of the open positions of a symbol, account currency."""
    leverage = desk["account"]["leverage"]
    return margin_of_legs(desk["specs"][symbol], leverage, symbol_legs(desk, symbol), held)


@kernel
def margin_with_deal(
    desk: np.void,
    symbol: int,
    side: int,
    lots: float,
    price: float,
    conversion_rate: float,
    replaces: int,
) -> float:
    """Margin of a symbol if `lots` more were opened: the check before a deal (initial margin).

    Args:
        desk: the account.
        symbol: row of the symbol.
        side: +1 or -1.
        lots: volume that the deal would open.
        price: its price.
        conversion_rate: `margin_conversion_rate` of the moment.
        replaces: 1 if the deal closes what is open first (netting reversal).
    """
    legs = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    if replaces == 0:
        legs = symbol_legs(desk, symbol)
    value = lots * price
    rate = lots * conversion_rate
    if side > 0:
        legs = (legs[0] + lots, legs[1] + value, legs[2] + rate, legs[3], legs[4], legs[5])
    else:
        legs = (legs[0], legs[1], legs[2], legs[3] + lots, legs[4] + value, legs[5] + rate)
    return margin_of_legs(desk["specs"][symbol], desk["account"]["leverage"], legs, 0)


@kernel
def account_margin(desk: np.void) -> float:
    """Margin of all open positions: symbols in the order of their oldest position.

    Called when a position changes, never per tick. Costs positions * symbols held.
    """
    total = 0.0
    for row in range(desk["account"]["open_positions"]):
        symbol = int(desk["positions"][row]["symbol"])
        first = 0
        while desk["positions"][first]["symbol"] != symbol:
            first += 1
        if first == row:
            total += symbol_margin(desk, symbol, 1)
    return total
