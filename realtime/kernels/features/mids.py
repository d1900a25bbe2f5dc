"""Mid prices of the own bar and of other symbols' quotes, for features of more than one symbol.

A quote that cannot be used is NaN: none yet (zeros), NaN, crossed, from a row that does not exist,
or older than `max_age_minutes` at the bar's end (0: any age will do), because a feed that died
looks exactly like a price that does not move.
"""

import math

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.validity import MAX_PRICE, MIN_PRICE, is_amount, is_price
from realtime.kernels.jit import kernel

_MINUTE_NS = 60_000_000_000


@kernel
def bar_mid(bar: np.void) -> float:
    """Return the mid at the bar's close, NaN if there is none.

    It is ``close + spread_mean / 2``, exact where a tick is the bar. A bar without a spread counts
    as having none.
    """
    close = bar["close"]
    if not is_price(close):
        return math.nan
    spread = bar["spread_mean"]
    if is_amount(spread):
        return close + 0.5 * spread
    return close


@kernel
def quote_mid(quote: np.void, end_ns: int, max_age_minutes: int) -> float:
    """Return the mid of a QUOTE record, NaN if it cannot be used.

    Args:
        quote: the latest quote of a symbol.
        end_ns: the moment that its age is counted to.
        max_age_minutes: 0 switches the age limit off.
    """
    bid = quote["bid"]
    ask = quote["ask"]
    # ask >= bid also bounds the bid from above and the ask from below.
    if not (bid >= MIN_PRICE and ask >= bid and ask <= MAX_PRICE):
        return math.nan
    if max_age_minutes > 0 and end_ns - quote["time_ns"] > max_age_minutes * _MINUTE_NS:
        return math.nan
    return 0.5 * (bid + ask)


@kernel
def quoted_mid(quotes: NDArray[np.void], symbol: int, end_ns: int, max_age_minutes: int) -> float:
    """Return the mid of a symbol's latest quote, NaN if it cannot be used.

    Args:
        quotes: (symbols,) QUOTE.
        symbol: row; one outside of `quotes` has no quote.
        end_ns: the moment that its age is counted to.
        max_age_minutes: 0 switches the age limit off.
    """
    if symbol < 0 or symbol >= len(quotes):
        return math.nan
    return quote_mid(quotes[symbol], end_ns, max_age_minutes)
