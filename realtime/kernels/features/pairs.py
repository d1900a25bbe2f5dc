"""Two symbols: the ratio of their prices, rolling correlation and beta of their returns.

They step with the bars of their own symbol and take the other from its latest quote. A step at
which the other has no usable quote (see `mids`) gives NaN and leaves every window as it was; the
next return then spans the hole on both sides alike.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.mids import bar_mid, quoted_mid
from realtime.kernels.features.moments import (
    beta,
    comoments_push,
    comoments_state,
    correlation,
    moments_push,
    moments_state,
    z_score,
)
from realtime.kernels.features.window_size import require
from realtime.kernels.jit import kernel


def cross_ratio_state(n: int, other: int, max_age_minutes: int) -> np.dtype[Any]:
    """Memory of `cross_ratio_step`."""
    require("cross_ratio", n=(n, 2), other=(other, 0), max_age_minutes=(max_age_minutes, 0))
    return np.dtype([("ratio", moments_state(n))], align=True)


@kernel
def cross_ratio_step(
    memory: np.void,
    bar: np.void,
    quotes: NDArray[np.void],
    n: int,
    other: int,
    max_age_minutes: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write the own mid over the other symbol's, and that ratio's z-score among the last n."""
    row[at] = math.nan
    row[at + 1] = math.nan
    own_mid = bar_mid(bar)
    other_mid = quoted_mid(quotes, other, bar["end_ns"], max_age_minutes)
    if math.isnan(own_mid) or math.isnan(other_mid):
        return
    ratio = own_mid / other_mid
    row[at] = ratio
    moments = memory["ratio"]
    if moments_push(moments, ratio):
        row[at + 1] = z_score(ratio, moments["mean"], moments["m2"], n)


def cross_returns_state(n: int, other: int, max_age_minutes: int) -> np.dtype[Any]:
    """Memory of `cross_returns_step`."""
    require("cross_returns", n=(n, 3), other=(other, 0), max_age_minutes=(max_age_minutes, 0))
    return np.dtype(
        [
            ("pairs", comoments_state(n)),
            ("own_previous", "f8"),
            ("other_previous", "f8"),
        ],
        align=True,
    )


@kernel
def cross_returns_step(
    memory: np.void,
    bar: np.void,
    quotes: NDArray[np.void],
    n: int,
    other: int,
    max_age_minutes: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write correlation and beta of the own log returns to the other symbol's, over n returns.

    Beta is the least-squares slope of the own return on the other's. Both are 0 where a symbol
    that they divide by does not move (a standard deviation of up to 1e-12).
    """
    row[at] = math.nan
    row[at + 1] = math.nan
    own_mid = bar_mid(bar)
    other_mid = quoted_mid(quotes, other, bar["end_ns"], max_age_minutes)
    if math.isnan(own_mid) or math.isnan(other_mid):
        return
    own_previous = memory["own_previous"]
    other_previous = memory["other_previous"]
    memory["own_previous"] = own_mid
    memory["other_previous"] = other_mid
    if own_previous == 0.0:
        return
    own_return = log_ratio(own_mid, own_previous)
    other_return = log_ratio(other_mid, other_previous)
    pairs = memory["pairs"]
    if comoments_push(pairs, other_return, own_return):
        row[at] = correlation(pairs["m2_x"], pairs["m2_y"], pairs["co"], n)
        row[at + 1] = beta(pairs["m2_x"], pairs["co"], n)


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="cross_ratio",
        step=cross_ratio_step,
        state=cross_ratio_state,
        inputs=("bar", "quotes"),
        params={"n": 100, "other": 1, "max_age_minutes": 300},
        minima={"n": 2, "other": 0, "max_age_minutes": 0},
        symbol_params=("other",),
        outputs=(
            Output(
                name="cross_ratio",
                unit="ratio",
                description="Own mid over the mid of another symbol.",
                oracle="own_mid / other_mid",
                warm_up=lambda **_: 0,
            ),
            Output(
                name="cross_ratio_z",
                unit="standard deviations",
                description="How high the ratio to another symbol is among the last n.",
                oracle="scipy.stats.zscore(ratio[-n:])[-1]",
                warm_up=lambda n, **_: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="cross_returns",
        step=cross_returns_step,
        state=cross_returns_state,
        inputs=("bar", "quotes"),
        params={"n": 100, "other": 1, "max_age_minutes": 300},
        minima={"n": 3, "other": 0, "max_age_minutes": 0},
        symbol_params=("other",),
        outputs=(
            Output(
                name="cross_correlation",
                unit="-1..1",
                description="Correlation of log returns with another symbol's.",
                oracle="np.corrcoef(own[-n:], other[-n:])[0, 1]",
                warm_up=lambda n, **_: n,
            ),
            Output(
                name="cross_beta",
                unit="ratio",
                description="Slope of the own log return on another symbol's.",
                oracle="np.polyfit(other[-n:], own[-n:], 1)[0]",
                warm_up=lambda n, **_: n,
            ),
        ),
    ),
)
