"""Currency strength: the mean log return of a currency against a basket of others.

They step with the bars of their own symbol and take every leg from its latest quote. A step at
which a leg has no usable quote (see `mids`) gives NaN and does not count as one of the n.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.mids import quote_mid
from realtime.kernels.features.window_size import require
from realtime.kernels.features.windows import lag_state, lag_step
from realtime.kernels.jit import kernel

#: Symbols in a basket, at most: enough for a currency against the other majors but one.
BASKET_LEGS = 6


@kernel
def basket_value(
    quotes: NDArray[np.void], end_ns: int, max_age_minutes: int, legs: tuple[tuple[int, int], ...]
) -> float:
    """Return the product of a currency's prices in all legs, NaN if one of them is missing.

    Its log return is the sum of the legs' log returns, for the cost of a single one.

    Args:
        quotes: (symbols,) QUOTE.
        end_ns: the moment that the age of quotes is counted to.
        max_age_minutes: 0 switches the age limit off.
        legs: symbol and sign of each: 1 the currency is its base, -1 its quote, 0 no leg.
    """
    value = 1.0
    for symbol, sign in legs:
        if sign != 0:
            if symbol < 0 or symbol >= len(quotes):
                return math.nan
            mid = quote_mid(quotes[symbol], end_ns, max_age_minutes)
            if sign > 0:
                value *= mid
            else:
                value /= mid
    return value


@kernel
def basket_return(
    values: np.void, value: float, n: int, legs: tuple[tuple[int, int], ...]
) -> float:
    """Push a basket's value; return its mean log return a leg over n steps, NaN before.

    A value of NaN is not pushed.
    """
    if math.isnan(value):
        return math.nan
    before = lag_step(values, value, n)
    if math.isnan(before):
        return math.nan
    count = 0
    for _, sign in legs:
        count += abs(sign)
    return log_ratio(value, before) / count


def _require_legs(kernel_name: str, prefix: str, legs: Mapping[str, int]) -> None:
    """Refuse a basket without legs, rows below 0, and signs other than -1, 0 and 1."""
    used = 0
    for i in range(1, BASKET_LEGS + 1):
        symbol, sign = f"{prefix}symbol_{i}", f"{prefix}sign_{i}"
        require(kernel_name, **{symbol: (legs[symbol], 0), sign: (legs[sign], -1)})
        if legs[sign] > 1:
            msg = f"{kernel_name}: {sign} must be 1 (base), -1 (quote) or 0 (no leg)"
            raise ValueError(msg)
        used += abs(legs[sign])
    if used == 0:
        msg = f"{kernel_name}: at least one {prefix}sign must be 1 or -1"
        raise ValueError(msg)


def basket_strength_state(n: int, max_age_minutes: int, **legs: int) -> np.dtype[Any]:
    """Memory of `basket_strength_step`.

    Raises:
        ValueError: no leg is used, or a sign is not -1, 0 or 1.
    """
    require("basket_strength", n=(n, 1), max_age_minutes=(max_age_minutes, 0))
    _require_legs("basket_strength", "", legs)
    return np.dtype([("values", lag_state(n))], align=True)


@kernel
def basket_strength_step(
    memory: np.void,
    bar: np.void,
    quotes: NDArray[np.void],
    n: int,
    max_age_minutes: int,
    symbol_1: int,
    sign_1: int,
    symbol_2: int,
    sign_2: int,
    symbol_3: int,
    sign_3: int,
    symbol_4: int,
    sign_4: int,
    symbol_5: int,
    sign_5: int,
    symbol_6: int,
    sign_6: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write the mean log return of a currency over n steps against up to six others.

    A leg is a symbol and a sign: 1 where the currency is the symbol's base (EUR in EURUSD), -1
    where it is the quote currency, 0 for a leg that is not used. A step at which a leg has no
    usable quote gives NaN and does not count as one of the n.
    """
    legs = (
        (symbol_1, sign_1),
        (symbol_2, sign_2),
        (symbol_3, sign_3),
        (symbol_4, sign_4),
        (symbol_5, sign_5),
        (symbol_6, sign_6),
    )
    value = basket_value(quotes, bar["end_ns"], max_age_minutes, legs)
    row[at] = basket_return(memory["values"], value, n, legs)


def strength_gap_state(n: int, max_age_minutes: int, **legs: int) -> np.dtype[Any]:
    """Memory of `strength_gap_step`.

    Raises:
        ValueError: a basket has no leg, or a sign is not -1, 0 or 1.
    """
    require("strength_gap", n=(n, 1), max_age_minutes=(max_age_minutes, 0))
    _require_legs("strength_gap", "base_", legs)
    _require_legs("strength_gap", "quote_", legs)
    return np.dtype([("base", lag_state(n)), ("quote", lag_state(n))], align=True)


@kernel
def strength_gap_step(
    memory: np.void,
    bar: np.void,
    quotes: NDArray[np.void],
    n: int,
    max_age_minutes: int,
    base_symbol_1: int,
    base_sign_1: int,
    base_symbol_2: int,
    base_sign_2: int,
    base_symbol_3: int,
    base_sign_3: int,
    base_symbol_4: int,
    base_sign_4: int,
    base_symbol_5: int,
    base_sign_5: int,
    base_symbol_6: int,
    base_sign_6: int,
    quote_symbol_1: int,
    quote_sign_1: int,
    quote_symbol_2: int,
    quote_sign_2: int,
    quote_symbol_3: int,
    quote_sign_3: int,
    quote_symbol_4: int,
    quote_sign_4: int,
    quote_symbol_5: int,
    quote_sign_5: int,
    quote_symbol_6: int,
    quote_sign_6: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write the strength of the base currency minus that of the quote currency over n steps.

    Each is measured as in `basket_strength_step`, over the same steps: one at which any leg of
    either basket has no usable quote gives NaN and does not count.
    """
    base_legs = (
        (base_symbol_1, base_sign_1),
        (base_symbol_2, base_sign_2),
        (base_symbol_3, base_sign_3),
        (base_symbol_4, base_sign_4),
        (base_symbol_5, base_sign_5),
        (base_symbol_6, base_sign_6),
    )
    quote_legs = (
        (quote_symbol_1, quote_sign_1),
        (quote_symbol_2, quote_sign_2),
        (quote_symbol_3, quote_sign_3),
        (quote_symbol_4, quote_sign_4),
        (quote_symbol_5, quote_sign_5),
        (quote_symbol_6, quote_sign_6),
    )
    base_value = basket_value(quotes, bar["end_ns"], max_age_minutes, base_legs)
    quote_value = basket_value(quotes, bar["end_ns"], max_age_minutes, quote_legs)
    # Both or neither: adding nothing passes a NaN of the one on to the other.
    base_value += 0.0 * quote_value
    quote_value += 0.0 * base_value
    base = basket_return(memory["base"], base_value, n, base_legs)
    quote = basket_return(memory["quote"], quote_value, n, quote_legs)
    row[at] = base - quote


def _legs(prefix: str, first_symbol: int, sign: int) -> dict[str, int]:
    """Name the parameters of a basket with one leg in use, the rest free to be set."""
    legs: dict[str, int] = {}
    for i in range(1, BASKET_LEGS + 1):
        legs[f"{prefix}symbol_{i}"] = first_symbol if i == 1 else 0
        legs[f"{prefix}sign_{i}"] = sign if i == 1 else 0
    return legs


def _symbol_params(*prefixes: str) -> tuple[str, ...]:
    return tuple(f"{prefix}symbol_{i}" for prefix in prefixes for i in range(1, BASKET_LEGS + 1))


def _leg_minima(*prefixes: str) -> dict[str, int]:
    minima = {"max_age_minutes": 0}
    for prefix in prefixes:
        for i in range(1, BASKET_LEGS + 1):
            minima[f"{prefix}symbol_{i}"] = 0
            minima[f"{prefix}sign_{i}"] = -1
    return minima


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="basket_strength",
        step=basket_strength_step,
        state=basket_strength_state,
        inputs=("bar", "quotes"),
        params={"n": 20, "max_age_minutes": 300, **_legs("", 1, 1)},
        minima=_leg_minima(""),
        symbol_params=_symbol_params(""),
        outputs=(
            Output(
                name="basket_strength",
                unit="fraction",
                description="Mean log return over n bars of a currency against a basket.",
                oracle="np.mean(sign * np.log(mid[-1] / mid[-n - 1])) over the legs",
                warm_up=lambda n, **_: n,
            ),
        ),
    ),
    FeatureKernel(
        name="strength_gap",
        step=strength_gap_step,
        state=strength_gap_state,
        inputs=("bar", "quotes"),
        params={
            "n": 20,
            "max_age_minutes": 300,
            **_legs("base_", 1, 1),
            **_legs("quote_", 1, -1),
        },
        minima=_leg_minima("base_", "quote_"),
        symbol_params=_symbol_params("base_", "quote_"),
        outputs=(
            Output(
                name="strength_gap",
                unit="fraction",
                description="Basket strength of the base currency minus the quote currency's.",
                oracle="basket_strength of the base minus that of the quote currency",
                warm_up=lambda n, **_: n,
            ),
        ),
    ),
)
