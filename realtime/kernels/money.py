"""Money: what a price move is worth, conversion to the account currency, rounding, commission.

Amounts are in the account currency unless the name says profit currency. An amount that cannot be
converted because its quote has not arrived yet is NaN, and whoever asked refuses (PRICE_OFF):
there is no silent rate of 1.
"""

import math

import numpy as np

from realtime.kernels.codes import (
    CALC_EXCHANGE_FUTURES,
    CALC_FUTURES,
    COMMISSION_OF_NOTIONAL,
    COMMISSION_PER_LOT,
)
from realtime.kernels.jit import kernel

_VOLUME_UNITS = 1e8  # MetaTrader 5 counts volumes in 1 / 100,000,000 of a lot
_EXACT = 9e15  # integers in a double are exact below 2 ** 53
_TICK_TOLERANCE = 1e-6  # of a tick: two decimal prices on the same grid line
_SPREAD_SHARE = 0.5  # a deal pays the way from the mid to its side of the quote


@kernel
def is_quote(bid: float, ask: float) -> bool:
    """Tell whether both prices are finite, positive and not crossed (a locked quote is one)."""
    return bid > 0.0 and ask >= bid and ask < math.inf


@kernel
def snap_volume(lots: float) -> float:
    """Round lots to 1e-8, so that 0.1 + 0.2 - 0.3 is exactly nothing."""
    units = lots * _VOLUME_UNITS
    if not abs(units) < _EXACT:
        return lots
    return math.floor(units + 0.5) / _VOLUME_UNITS


@kernel
def snap_price(price: float, tick_size: float, direction: int) -> float:
    """Put a price on the tick grid: `direction` +1 up, -1 down, 0 nearest; on the grid it stays.

    Where a unit is a whole number of ticks the result is the double nearest to the decimal price
    (110013 / 100000, not 110013 * 0.00001). A `tick_size` of 0 means no grid.
    """
    if not tick_size > 0.0:
        return price
    ratio = price / tick_size
    if not abs(ratio) < _EXACT:
        return price
    if direction > 0:
        ticks = math.ceil(ratio - _TICK_TOLERANCE)
    elif direction < 0:
        ticks = math.floor(ratio + _TICK_TOLERANCE)
    else:
        ticks = math.floor(ratio + 0.5)
    ticks_a_unit = math.floor(1.0 / tick_size + 0.5)
    if ticks_a_unit >= 1 and abs(ticks_a_unit * tick_size - 1.0) < 1e-9:
        return ticks / ticks_a_unit
    return ticks * tick_size


@kernel
def is_on_grid(price: float, tick_size: float) -> bool:
    """Tell whether a price is a multiple of the tick size (always, without a tick size)."""
    if not tick_size > 0.0:
        return True
    ratio = price / tick_size
    if not abs(ratio) < _EXACT:
        return False
    return abs(ratio - math.floor(ratio + 0.5)) < _TICK_TOLERANCE


@kernel
def round_money(amount: float, digits: int) -> float:
    """Round half away from zero to `digits` decimals; negative digits leave the amount alone.

    A half is a half in decimal: 0.285 rounds to 0.29 although its double is a little below, so
    amounts within 1e-9 of the last digit from a half count as the half.
    """
    if digits < 0:
        return amount
    scale = 1.0
    for _ in range(digits):
        scale *= 10.0
    scaled = abs(amount) * scale
    if not scaled < _EXACT:
        return amount
    rounded = math.floor(scaled + 0.5 + 1e-9 + scaled * 1e-14) / scale
    if amount < 0.0:
        return 0.0 - rounded
    return rounded


@kernel
def unit_value(spec: np.void) -> float:
    """Profit currency that one lot gains when the price rises by 1.

    Contract size, except in the futures modes: tick value / tick size (MetaTrader 5,
    SYMBOL_CALC_MODE_*: profit = (close - open) * tick price / tick size * lots).
    """
    mode = spec["calc_mode"]
    if mode == CALC_FUTURES or mode == CALC_EXCHANGE_FUTURES:
        if spec["tick_size"] > 0.0:
            return spec["tick_value"] / spec["tick_size"]
        return 0.0
    return spec["contract_size"]


@kernel
def exchange(bid: float, ask: float, inverse: int, amount: float) -> float:
    """Turn an amount of a foreign currency into account currency through a quote.

    Gains are sold and losses bought: at a quote FOREIGN/ACCOUNT (`inverse` 0) a gain is worth
    amount * bid and a loss costs amount * ask; at ACCOUNT/FOREIGN (`inverse` 1) a gain is worth
    amount / ask and a loss costs amount / bid. NaN if the quote is not one.
    """
    if not is_quote(bid, ask):
        return math.nan
    if inverse != 0:
        if amount > 0.0:
            return amount / ask
        return amount / bid
    if amount > 0.0:
        return amount * bid
    return amount * ask


@kernel
def convert_profit(spec: np.void, quote: np.void, amount: float) -> float:
    """Convert profit currency at `quote` (of ``spec["profit_symbol"]``; not read without one)."""
    if spec["profit_symbol"] < 0:
        return amount
    return exchange(quote["bid"], quote["ask"], spec["profit_inverse"], amount)


@kernel
def to_account(desk: np.void, symbol: int, amount: float) -> float:
    """Convert an amount of the symbol's profit currency at the quote of the moment, or NaN."""
    spec = desk["specs"][symbol]
    return convert_profit(spec, desk["quotes"][max(int(spec["profit_symbol"]), 0)], amount)


@kernel
def margin_currency_to_account(desk: np.void, symbol: int, amount: float) -> float:
    """Convert an amount of the symbol's margin (base) currency like a gain or loss, or NaN."""
    spec = desk["specs"][symbol]
    row = int(spec["margin_symbol"])
    if row < 0:
        return amount
    quote = desk["quotes"][row]
    return exchange(quote["bid"], quote["ask"], spec["margin_inverse"], amount)


@kernel
def price_cost(desk: np.void, symbol: int, lots: float, distance: float) -> float:
    """Account currency lost (positive) when `lots` are dealt `distance` worse than possible."""
    return 0.0 - to_account(desk, symbol, 0.0 - distance * unit_value(desk["specs"][symbol]) * lots)


@kernel
def half_spread(quote: np.void) -> float:
    """Distance from the mid to either side."""
    return (quote["ask"] - quote["bid"]) * _SPREAD_SHARE


@kernel
def commission_of_deal(desk: np.void, symbol: int, lots: float, price: float) -> float:
    """Commission of one deal, unrounded: negative is a cost, NaN if it cannot be converted.

    Per lot: rate * lots, in account currency. Of notional: rate * price * unit value * lots, in
    profit currency, bought at the quote of the moment.
    """
    spec = desk["specs"][symbol]
    mode = spec["commission_mode"]
    if mode == COMMISSION_PER_LOT:
        return 0.0 - spec["commission_rate"] * lots
    if mode == COMMISSION_OF_NOTIONAL:
        notional = price * unit_value(spec) * lots
        return to_account(desk, symbol, 0.0 - spec["commission_rate"] * notional)
    return 0.0
