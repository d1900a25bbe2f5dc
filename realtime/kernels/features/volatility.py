"""Volatility over a window: realised, close to close, from ranges, and their ratio.

All are standard deviations of log returns *a bar* (a fraction of the price), not annualised: a
year's worth is this times the square root of the bars of a year. Bars with prices that cannot be
used (see `validity`) give NaN and are left out. A window without movement gives 0.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.moments import (
    RETURN_NOISE,
    moments_push,
    moments_state,
    total_push,
    total_state,
)
from realtime.kernels.features.validity import is_amount, is_price, is_range
from realtime.kernels.features.window_size import require
from realtime.kernels.jit import kernel

LN_2 = 0.6931471805599453


def realised_volatility_state(n: int) -> np.dtype[Any]:
    """Memory of `realised_volatility_step`."""
    require("realised_volatility", n=(n, 1))
    return np.dtype([("total", total_state(n))], align=True)


@kernel
def realised_volatility_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write ``sqrt(mean of the realised variance of the last n bars)``.

    The realised variance of a bar is the sum of squared log returns of the mid from tick to tick
    inside it: Andersen, Bollerslev, Diebold, Labys (2003), "Modeling and forecasting realized
    volatility".
    """
    variance = bar["realised_variance"]
    row[at] = math.nan
    if not is_amount(variance):
        return
    total = memory["total"]
    if total_push(total, variance):
        row[at] = math.sqrt(total["sum"] / n)


def close_volatility_state(n: int) -> np.dtype[Any]:
    """Memory of `close_volatility_step`."""
    require("close_volatility", n=(n, 2))
    return np.dtype([("returns", moments_state(n)), ("previous", "f8")], align=True)


@kernel
def close_volatility_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the sample standard deviation (divisor n - 1) of the last n log returns."""
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    returns = memory["returns"]
    if moments_push(returns, log_ratio(close, previous)):
        row[at] = math.sqrt(returns["m2"] / (n - 1))


def parkinson_state(n: int) -> np.dtype[Any]:
    """Memory of `parkinson_step`."""
    require("parkinson", n=(n, 1))
    return np.dtype([("total", total_state(n))], align=True)


@kernel
def parkinson_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write Parkinson's volatility ``sqrt(mean(ln(high / low)^2) / (4 ln 2))``.

    Parkinson (1980), "The extreme value method for estimating the variance of the rate of return".
    """
    row[at] = math.nan
    if not is_range(bar):
        return
    extent = log_ratio(bar["high"], bar["low"])
    total = memory["total"]
    if total_push(total, extent * extent):
        row[at] = math.sqrt(total["sum"] / n / (4.0 * LN_2))


def garman_klass_state(n: int) -> np.dtype[Any]:
    """Memory of `garman_klass_step`."""
    require("garman_klass", n=(n, 1))
    return np.dtype([("total", total_state(n))], align=True)


@kernel
def garman_klass_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write ``sqrt(mean(ln(high / low)^2 / 2 - (2 ln 2 - 1) ln(close / open)^2))``.

    Garman and Klass (1980), "On the estimation of security price volatilities from historical
    data", their practical estimator without the opening jump.
    """
    row[at] = math.nan
    if not is_range(bar):
        return
    extent = log_ratio(bar["high"], bar["low"])
    body = log_ratio(bar["close"], bar["open"])
    # Never negative, because a body is not longer than its range and 0.386 < 0.5.
    variance = 0.5 * (extent * extent) - (2.0 * LN_2 - 1.0) * (body * body)
    total = memory["total"]
    if total_push(total, variance):
        row[at] = math.sqrt(total["sum"] / n)


@kernel
def drift_free_variance(high: float, low: float, close: float) -> float:
    """Return Rogers and Satchell's variance of one bar, from log prices relative to the open."""
    variance = high * (high - close) + low * (low - close)
    return variance if variance > 0.0 else 0.0


def rogers_satchell_state(n: int) -> np.dtype[Any]:
    """Memory of `rogers_satchell_step`."""
    require("rogers_satchell", n=(n, 1))
    return np.dtype([("total", total_state(n))], align=True)


@kernel
def rogers_satchell_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write ``sqrt(mean(ln(h / o) ln(h / c) + ln(l / o) ln(l / c)))``; independent of the drift.

    Rogers and Satchell (1991), "Estimating variance from high, low and closing prices".
    """
    row[at] = math.nan
    if not is_range(bar):
        return
    opening = bar["open"]
    variance = drift_free_variance(
        log_ratio(bar["high"], opening),
        log_ratio(bar["low"], opening),
        log_ratio(bar["close"], opening),
    )
    total = memory["total"]
    if total_push(total, variance):
        row[at] = math.sqrt(total["sum"] / n)


def yang_zhang_state(n: int) -> np.dtype[Any]:
    """Memory of `yang_zhang_step`."""
    require("yang_zhang", n=(n, 2))
    return np.dtype(
        [
            ("jump", moments_state(n)),
            ("body", moments_state(n)),
            ("total", total_state(n)),
            ("previous", "f8"),
        ],
        align=True,
    )


@kernel
def yang_zhang_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write Yang and Zhang's volatility, which is independent of drift and of opening jumps.

    ``sqrt(var(ln(o / c[-1])) + k var(ln(c / o)) + (1 - k) mean(rogers_satchell variance))`` with
    sample variances (divisor n - 1) and ``k = 0.34 / (1.34 + (n + 1) / (n - 1))``.
    Yang and Zhang (2000), "Drift-independent volatility estimation based on high, low, open and
    close prices".
    """
    row[at] = math.nan
    if not is_range(bar):
        return
    opening = bar["open"]
    close = bar["close"]
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    log_close = log_ratio(close, opening)
    variance = drift_free_variance(
        log_ratio(bar["high"], opening), log_ratio(bar["low"], opening), log_close
    )
    jump = memory["jump"]
    body = memory["body"]
    total = memory["total"]
    moments_push(jump, log_ratio(opening, previous))
    moments_push(body, log_close)
    if total_push(total, variance):
        k = 0.34 / (1.34 + (n + 1) / (n - 1))
        row[at] = math.sqrt(
            jump["m2"] / (n - 1) + k * (body["m2"] / (n - 1)) + (1.0 - k) * (total["sum"] / n)
        )


def volatility_ratio_state(short: int, long: int) -> np.dtype[Any]:
    """Memory of `volatility_ratio_step`."""
    require("volatility_ratio", short=(short, 2), long=(long, short + 1))
    return np.dtype(
        [
            ("quick", moments_state(short)),
            ("slow", moments_state(long)),
            ("previous", "f8"),
        ],
        align=True,
    )


@kernel
def volatility_ratio_step(
    memory: np.void, bar: np.void, short: int, long: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the close-to-close volatility of `short` bars over that of `long` bars.

    1 where the long window does not move (a standard deviation of up to 1e-12).
    """
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    step_return = log_ratio(close, previous)
    quick = memory["quick"]
    slow = memory["slow"]
    moments_push(quick, step_return)
    if moments_push(slow, step_return):
        long_variance = slow["m2"] / (long - 1)
        row[at] = 1.0
        if long_variance > RETURN_NOISE:
            row[at] = math.sqrt(quick["m2"] / (short - 1) / long_variance)


def range_position_state() -> np.dtype[Any]:
    """Memory of `range_position_step`: none, but a record needs a field."""
    return np.dtype([("unused", "i8")], align=True)


@kernel
def range_position_step(
    memory: np.void,
    bar: np.void,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write where the close lies in the bar: 0 at its low, 1 at its high, 0.5 without a range."""
    row[at] = math.nan
    if not is_range(bar):
        return
    low = bar["low"]
    extent = bar["high"] - low
    row[at] = (bar["close"] - low) / extent if extent > 0.0 else 0.5


def _volatility(name: str, description: str, oracle: str, extra_bars: int) -> Output:
    return Output(
        name=name,
        unit="fraction a bar",
        description=description,
        oracle=oracle,
        warm_up=lambda n: n - 1 + extra_bars,
    )


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="realised_volatility",
        step=realised_volatility_step,
        state=realised_volatility_state,
        params={"n": 50},
        presets=({"n": 10}, {"n": 200}),
        outputs=(
            _volatility(
                "realised_volatility",
                "Volatility a bar from the tick returns inside the last n bars.",
                "sqrt(np.mean(realised_variance[-n:]))",
                0,
            ),
        ),
    ),
    FeatureKernel(
        name="close_volatility",
        step=close_volatility_step,
        state=close_volatility_state,
        params={"n": 50},
        minima={"n": 2},
        presets=({"n": 10}, {"n": 200}),
        outputs=(
            _volatility(
                "close_volatility",
                "Standard deviation of the last n log returns of the close.",
                "np.std(np.diff(np.log(close))[-n:], ddof=1)",
                1,
            ),
        ),
    ),
    FeatureKernel(
        name="parkinson",
        step=parkinson_step,
        state=parkinson_state,
        params={"n": 50},
        presets=({"n": 10}, {"n": 200}),
        outputs=(
            _volatility(
                "parkinson",
                "Volatility a bar from the high and low of the last n bars.",
                "sqrt(np.mean(np.log(high / low)[-n:] ** 2) / (4 ln 2))",
                0,
            ),
        ),
    ),
    FeatureKernel(
        name="garman_klass",
        step=garman_klass_step,
        state=garman_klass_state,
        params={"n": 50},
        presets=({"n": 10}, {"n": 200}),
        outputs=(
            _volatility(
                "garman_klass",
                "Volatility a bar from the open, high, low and close of the last n bars.",
                "sqrt(np.mean(ln(h / l) ** 2 / 2 - (2 ln 2 - 1) ln(c / o) ** 2))",
                0,
            ),
        ),
    ),
    FeatureKernel(
        name="rogers_satchell",
        step=rogers_satchell_step,
        state=rogers_satchell_state,
        params={"n": 50},
        outputs=(
            _volatility(
                "rogers_satchell",
                "Volatility a bar of the last n bars, independent of the drift.",
                "sqrt(np.mean(ln(h / o) ln(h / c) + ln(l / o) ln(l / c)))",
                0,
            ),
        ),
    ),
    FeatureKernel(
        name="yang_zhang",
        step=yang_zhang_step,
        state=yang_zhang_state,
        params={"n": 50},
        minima={"n": 2},
        presets=({"n": 10}, {"n": 200}),
        outputs=(
            _volatility(
                "yang_zhang",
                "Volatility a bar of the last n bars, independent of drift and opening jumps.",
                "numpy twin of Yang and Zhang (2000) with k = 0.34 / (1.34 + (n + 1) / (n - 1))",
                1,
            ),
        ),
    ),
    FeatureKernel(
        name="volatility_ratio",
        step=volatility_ratio_step,
        state=volatility_ratio_state,
        params={"short": 10, "long": 100},
        minima={"short": 2, "long": 3},
        presets=({"short": 50, "long": 500},),
        outputs=(
            Output(
                name="volatility_ratio",
                unit="ratio",
                description="Volatility of the last few bars over that of many.",
                oracle="np.std(r[-short:], ddof=1) / np.std(r[-long:], ddof=1)",
                warm_up=lambda long, **_: long,
            ),
        ),
    ),
    FeatureKernel(
        name="range_position",
        step=range_position_step,
        state=range_position_state,
        outputs=(
            Output(
                name="range_position",
                unit="0..1",
                description="Where the close lies between the bar's low and high.",
                oracle="(close - low) / (high - low), exactly",
                warm_up=lambda: 0,
            ),
        ),
    ),
)
