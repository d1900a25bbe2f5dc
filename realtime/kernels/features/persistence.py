"""Memory of prices: autocorrelation, variance ratio, efficiency ratio, fractional difference.

Bars whose close cannot be used (see `validity`) give NaN and are left out.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.moments import (
    RETURN_NOISE,
    comoments_push,
    comoments_state,
    correlation,
    moments_push,
    moments_state,
    total_push,
    total_state,
)
from realtime.kernels.features.validity import is_price
from realtime.kernels.features.window_size import require
from realtime.kernels.features.windows import lag_state, lag_step
from realtime.kernels.jit import kernel


def autocorrelation_state(n: int, lag: int) -> np.dtype[Any]:
    """Memory of `autocorrelation_step`."""
    require("autocorrelation", n=(n, 3), lag=(lag, 1))
    return np.dtype(
        [
            ("pairs", comoments_state(n)),
            ("returns", lag_state(lag)),
            ("previous", "f8"),
        ],
        align=True,
    )


@kernel
def autocorrelation_step(
    memory: np.void,
    bar: np.void,
    n: int,
    lag: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write the correlation of log returns with those `lag` bars before, over the last n pairs.

    Pearson's, each side around its own mean; 0 where the price does not move.
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
    before = lag_step(memory["returns"], step_return, lag)
    if math.isnan(before):
        return
    pairs = memory["pairs"]
    if comoments_push(pairs, before, step_return):
        row[at] = correlation(pairs["m2_x"], pairs["m2_y"], pairs["co"], n)


def variance_ratio_state(n: int, q: int) -> np.dtype[Any]:
    """Memory of `variance_ratio_step`."""
    require("variance_ratio", q=(q, 2), n=(n, q + 1))
    return np.dtype(
        [
            ("single", moments_state(n)),
            ("joined", moments_state(n - q + 1)),
            ("closes", lag_state(q)),
            ("previous", "f8"),
        ],
        align=True,
    )


@kernel
def variance_ratio_step(
    memory: np.void, bar: np.void, n: int, q: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the variance of q-bar log returns over q times that of one-bar ones.

    Of the last n log returns, overlapping and unbiased: Lo and MacKinlay (1988), "Stock market
    prices do not follow random walks". 1 on average for a random walk and, by definition here,
    where the price does not move; above for trends, below for reversals.
    """
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    start = lag_step(memory["closes"], close, q)
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    single = memory["single"]
    joined = memory["joined"]
    moments_push(single, log_ratio(close, previous))
    if math.isnan(start):
        return
    if moments_push(joined, log_ratio(close, start)):
        variance = single["m2"] / (n - 1)
        row[at] = 1.0
        if variance > RETURN_NOISE:
            joins = n - q + 1
            # Around q times the mean of single returns, not around the mean of the joined ones.
            offset = joined["mean"] - q * single["mean"]
            squares = joined["m2"] + joins * (offset * offset)
            row[at] = squares / (q * joins * (1.0 - q / n)) / variance


def efficiency_ratio_state(n: int) -> np.dtype[Any]:
    """Memory of `efficiency_ratio_step`."""
    require("efficiency_ratio", n=(n, 1))
    return np.dtype(
        [
            ("path", total_state(n)),
            ("closes", lag_state(n)),
            ("previous", "f8"),
        ],
        align=True,
    )


@kernel
def efficiency_ratio_step(
    memory: np.void,
    bar: np.void,
    n: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write Kaufman's efficiency ratio ``|c - c[-n]| / sum |c - c[-1]|`` over n bars, in [0, 1].

    1 for a straight move, 0 for a price that comes back or does not move. Kaufman (1995),
    "Smarter Trading".
    """
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    start = lag_step(memory["closes"], close, n)
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    path = memory["path"]
    if total_push(path, math.fabs(close - previous)):
        row[at] = 0.0
        if path["sum"] > 0.0:
            ratio = math.fabs(close - start) / path["sum"]
            row[at] = ratio if ratio < 1.0 else 1.0


def fractional_difference_state(n: int, d: float) -> np.dtype[Any]:
    """Memory of `fractional_difference_step`; the ring is kept twice, so no window wraps.

    Raises:
        ValueError: if `d` is not between 0 and 2.
    """
    require("fractional_difference", n=(n, 1))
    if not 0.0 <= d <= 2.0:
        msg = f"fractional_difference: d must be from 0 to 2, not {d!r}"
        raise ValueError(msg)
    return np.dtype(
        [("count", "i8"), ("at", "i8"), ("weights", "f8", (n,)), ("ring", "f8", (2 * n,))],
        align=True,
    )


@kernel
def fractional_weights(weights: NDArray[np.float64], d: float) -> None:
    """Fill in the binomial weights of ``(1 - lag)^d``, newest first: 1, -d, d (d - 1) / 2, ..."""
    weight = 1.0
    for i in range(len(weights)):
        weights[i] = weight
        weight = -weight * (d - i) / (i + 1)


@kernel
def fractional_difference_step(
    memory: np.void, bar: np.void, n: int, d: float, row: NDArray[np.float64], at: int
) -> None:
    """Write the fractional difference of order d of the log close, with a window of n bars.

    The weights are filled in at the first step. The filter has no finite recursion, so a step
    costs n products, summed in four lanes: about 40 ns for 100 weights. Hosking (1981),
    "Fractional differencing"; the fixed window is that of Lopez de Prado (2018), "Advances in
    Financial Machine Learning", 5.5.
    """
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    weights = memory["weights"]
    ring = memory["ring"]
    if memory["count"] == 0:
        fractional_weights(weights, d)
    # The newest comes first, so the ring is filled from its end; each value is written twice.
    width = len(weights)
    newest = memory["at"] - 1
    if newest < 0:
        newest = width - 1
    memory["at"] = newest
    log_close = math.log(close)
    ring[newest] = log_close
    ring[newest + width] = log_close
    if memory["count"] < width:
        memory["count"] += 1
    if memory["count"] < width:
        return
    # A slice costs nothing here, and lets the compiler see that no index is negative.
    window = ring[newest : newest + width]
    first = 0.0
    second = 0.0
    third = 0.0
    fourth = 0.0
    whole = width - width % 4
    for i in range(0, whole, 4):
        first += weights[i] * window[i]
        second += weights[i + 1] * window[i + 1]
        third += weights[i + 2] * window[i + 2]
        fourth += weights[i + 3] * window[i + 3]
    for i in range(whole, width):
        first += weights[i] * window[i]
    row[at] = (first + second) + (third + fourth)


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="autocorrelation",
        step=autocorrelation_step,
        state=autocorrelation_state,
        params={"n": 100, "lag": 1},
        minima={"n": 3},
        presets=({"n": 100, "lag": 2}, {"n": 100, "lag": 5}),
        outputs=(
            Output(
                name="autocorrelation",
                unit="-1..1",
                description="Correlation of log returns with those `lag` bars before.",
                oracle="np.corrcoef(r[-n:], r[-n - lag : -lag])[0, 1]",
                warm_up=lambda n, lag: n + lag,
            ),
        ),
    ),
    FeatureKernel(
        name="variance_ratio",
        step=variance_ratio_step,
        state=variance_ratio_state,
        params={"n": 100, "q": 5},
        minima={"n": 3, "q": 2},
        presets=({"n": 100, "q": 2}, {"n": 200, "q": 10}),
        outputs=(
            Output(
                name="variance_ratio",
                unit="ratio",
                description="Lo and MacKinlay's variance ratio: above 1 trends, below 1 reversals.",
                oracle="arch.unitroot.VarianceRatio(np.log(close[-n - 1 :]), lags=q).vr",
                warm_up=lambda n, **_: n,
            ),
        ),
    ),
    FeatureKernel(
        name="efficiency_ratio",
        step=efficiency_ratio_step,
        state=efficiency_ratio_state,
        params={"n": 20},
        presets=({"n": 10}, {"n": 50}),
        outputs=(
            Output(
                name="efficiency_ratio",
                unit="0..1",
                description="Kaufman's efficiency ratio: net move over the path that led to it.",
                oracle="abs(c[-1] - c[-n - 1]) / np.sum(np.abs(np.diff(c[-n - 1 :])))",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="fractional_difference",
        step=fractional_difference_step,
        state=fractional_difference_state,
        params={"n": 100, "d": 0.4},
        presets=({"n": 200, "d": 0.5},),
        outputs=(
            Output(
                name="fractional_difference",
                unit="log price",
                description="Fractional difference of the log close: stationary, yet with memory.",
                oracle="np.convolve(np.log(close), weights, 'valid')[-1]",
                warm_up=lambda n, **_: n - 1,
            ),
        ),
    ),
)
