"""Trend: averages of the close, their distances, MACD, the regression line."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features import windows
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.jit import kernel

_NAN = float("nan")


@kernel
def sma_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the mean of the last `n` closes."""
    row[at] = windows.sum_step(memory, bar["close"], n) / n


@kernel
def ema_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the exponential mean of the close."""
    row[at] = windows.ema_step(memory, bar["close"], n)


@kernel
def wma_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the mean of the last `n` closes with weights 1 (oldest) to `n`."""
    anchor, total, ramp, _ = windows.line_step(memory, bar["close"], n)
    row[at] = anchor + (ramp + total) / (0.5 * n * (n + 1.0))


def dema_state(n: int) -> np.dtype[Any]:
    """Return the memory of `dema_step`."""
    return np.dtype([("first", windows.ema_state(n)), ("second", windows.ema_state(n))], align=True)


@kernel
def dema_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the double exponential mean 2 EMA - EMA(EMA) of the close."""
    first = windows.ema_step(memory["first"], bar["close"], n)
    row[at] = _NAN
    if not math.isnan(first):
        row[at] = 2.0 * first - windows.ema_step(memory["second"], first, n)


@kernel
def close_to_sma_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the distance of the close from its mean, as a fraction of the mean."""
    row[at] = bar["close"] / (windows.sum_step(memory, bar["close"], n) / n) - 1.0


@kernel
def close_to_ema_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the distance of the close from its exponential mean, as a fraction of that mean."""
    row[at] = bar["close"] / windows.ema_step(memory, bar["close"], n) - 1.0


def sma_gap_state(fast: int, slow: int) -> np.dtype[Any]:
    """Return the memory of `sma_gap_step`."""
    return np.dtype(
        [("fast", windows.sum_state(fast)), ("slow", windows.sum_state(slow))], align=True
    )


@kernel
def sma_gap_step(
    memory: np.void, bar: np.void, fast: int, slow: int, row: NDArray[np.float64], at: int
) -> None:
    """Write by which fraction the fast mean of the close is above the slow one."""
    close = bar["close"]
    fast_mean = windows.sum_step(memory["fast"], close, fast) / fast
    row[at] = fast_mean / (windows.sum_step(memory["slow"], close, slow) / slow) - 1.0


def macd_state(fast: int, slow: int, signal: int) -> np.dtype[Any]:
    """Return the memory of `macd_step`."""
    return np.dtype(
        [
            ("fast", windows.ema_state(fast)),
            ("slow", windows.ema_state(slow)),
            ("signal", windows.ema_state(signal)),
            ("seen", "i8"),
        ],
        align=True,
    )


@kernel
def macd_step(
    memory: np.void,
    bar: np.void,
    fast: int,
    slow: int,
    signal: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write MACD line, signal line and histogram.

    As in TA-Lib both means have their first value at the same bar, so the faster one starts later;
    the line is given from where the signal is.
    """
    close = bar["close"]
    seen = memory["seen"]
    fast_mean = _NAN
    slow_mean = _NAN
    if seen >= slow - fast:
        fast_mean = windows.ema_step(memory["fast"], close, fast)
    if seen >= fast - slow:
        slow_mean = windows.ema_step(memory["slow"], close, slow)
    if math.isnan(fast_mean) or math.isnan(slow_mean):
        memory["seen"] = seen + 1
        line = _NAN
        smooth = _NAN
    else:
        line = fast_mean - slow_mean
        smooth = windows.ema_step(memory["signal"], line, signal)
        if math.isnan(smooth):
            line = _NAN
    row[at] = line
    row[at + 1] = smooth
    row[at + 2] = line - smooth


def _macd_warm_up(fast: int, slow: int, signal: int) -> int:
    return max(fast, slow) + signal - 2


@kernel
def linear_regression_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write slope and R2 of the least-squares line through the last `n` closes."""
    _, total, ramp, spread = windows.line_step(memory, bar["close"], n)
    covariance = ramp - 0.5 * (n - 1.0) * total
    slope = covariance * (12.0 / (n * (n * n - 1.0)))
    fit = 0.0
    if math.isnan(total):
        fit = _NAN
    elif spread > 0.0:
        fit = slope * covariance / spread
        if fit > 1.0:
            fit = 1.0
    row[at] = slope
    row[at + 1] = fit


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="sma",
        step=sma_step,
        state=windows.sum_state,
        params={"n": 20},
        presets=({"n": 10}, {"n": 30}),
        outputs=(
            Output(
                name="sma",
                unit="price",
                description="Mean of the last n closes.",
                oracle="talib.SMA(close, n)",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="ema",
        step=ema_step,
        state=windows.ema_state,
        params={"n": 20},
        outputs=(
            Output(
                name="ema",
                unit="price",
                description="Exponential mean of the close, alpha 2 / (n + 1).",
                oracle="talib.EMA(close, n)",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="wma",
        step=wma_step,
        state=windows.line_state,
        params={"n": 20},
        outputs=(
            Output(
                name="wma",
                unit="price",
                description="Mean of the last n closes, weights 1 to n.",
                oracle="talib.WMA(close, n)",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="dema",
        step=dema_step,
        state=dema_state,
        params={"n": 20},
        outputs=(
            Output(
                name="dema",
                unit="price",
                description="Double exponential mean: 2 EMA - EMA of EMA.",
                oracle="talib.DEMA(close, n)",
                warm_up=lambda n: 2 * (n - 1),
            ),
        ),
    ),
    FeatureKernel(
        name="close_to_sma",
        step=close_to_sma_step,
        state=windows.sum_state,
        params={"n": 20},
        outputs=(
            Output(
                name="close_to_sma",
                unit="fraction",
                description="Close above its mean of n bars, as a fraction of that mean.",
                oracle="close / talib.SMA(close, n) - 1",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="close_to_ema",
        step=close_to_ema_step,
        state=windows.ema_state,
        params={"n": 20},
        outputs=(
            Output(
                name="close_to_ema",
                unit="fraction",
                description="Close above its exponential mean, as a fraction of that mean.",
                oracle="close / talib.EMA(close, n) - 1",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="sma_gap",
        step=sma_gap_step,
        state=sma_gap_state,
        params={"fast": 10, "slow": 30},
        outputs=(
            Output(
                name="sma_gap",
                unit="fraction",
                description="Fast mean of the close above the slow mean, as a fraction of it.",
                oracle="talib.SMA(close, fast) / talib.SMA(close, slow) - 1",
                warm_up=lambda fast, slow: max(fast, slow) - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="macd",
        step=macd_step,
        state=macd_state,
        params={"fast": 12, "slow": 26, "signal": 9},
        outputs=(
            Output(
                name="macd",
                unit="price",
                description="Fast minus slow exponential mean of the close.",
                oracle="talib.MACD(close, fast, slow, signal)[0]",
                warm_up=_macd_warm_up,
            ),
            Output(
                name="macd_signal",
                unit="price",
                description="Exponential mean of the MACD line.",
                oracle="talib.MACD(close, fast, slow, signal)[1]",
                warm_up=_macd_warm_up,
            ),
            Output(
                name="macd_histogram",
                unit="price",
                description="MACD line minus its signal.",
                oracle="talib.MACD(close, fast, slow, signal)[2]",
                warm_up=_macd_warm_up,
            ),
        ),
    ),
    FeatureKernel(
        name="linear_regression",
        step=linear_regression_step,
        state=windows.line_state,
        params={"n": 14},
        minima={"n": 2},
        outputs=(
            Output(
                name="slope",
                unit="price a bar",
                description="Slope of the least-squares line through the last n closes.",
                oracle="talib.LINEARREG_SLOPE(close, n)",
                warm_up=lambda n: n - 1,
            ),
            Output(
                name="r2",
                unit="0..1",
                description="Share of the close's variance on that line; 0 when flat.",
                oracle="scipy.stats.linregress(range(n), close[-n:]).rvalue ** 2",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
)
