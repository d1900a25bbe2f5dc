"""What a feature kernel accepts as a number: the guard before anything enters a window.

A bar that fails is left out: the kernel writes NaN for it and keeps its memory as it was, so one
bad bar costs one row and nothing after it. The bounds are far outside of any market and keep every
product, square and quotient of the kernels finite.
"""

import numpy as np

from realtime.kernels.jit import kernel

#: Prices from here to `MAX_PRICE` are used; one coin of the cheapest kind costs more than this.
MIN_PRICE = 1e-15
MAX_PRICE = 1e15

#: Largest spread, volume or realised variance that is used.
MAX_AMOUNT = 1e15

#: Largest number of ticks in a bar that is used, so that sums of them stay exact.
MAX_TICKS = 10**12


@kernel
def is_price(price: float) -> bool:
    """Tell whether a price can be used: finite and positive. False for NaN."""
    return MIN_PRICE <= price <= MAX_PRICE


@kernel
def is_amount(amount: float) -> bool:
    """Tell whether a spread, volume or variance can be used: finite, not negative."""
    return 0.0 <= amount <= MAX_AMOUNT


@kernel
def is_imbalance(imbalance: int, ticks: int) -> bool:
    """Tell whether a tick imbalance can be of that many ticks."""
    return 0 <= ticks <= MAX_TICKS and -ticks <= imbalance <= ticks


@kernel
def is_range(bar: np.void) -> bool:
    """Tell whether a bar's four prices can be used and lie in ``low <= open, close <= high``."""
    low = bar["low"]
    high = bar["high"]
    return (
        low >= MIN_PRICE
        and low <= bar["open"] <= high
        and low <= bar["close"] <= high
        and high <= MAX_PRICE
    )
