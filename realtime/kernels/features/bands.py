"""Ranges and bands: ATR, Bollinger, Keltner, the channel of highs and lows, z-score."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features import windows
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.moments import moments_push, moments_state, z_score
from realtime.kernels.jit import kernel

_NAN = float("nan")


@kernel
def true_range(high: float, low: float, previous_close: float) -> float:
    """Return the range of a bar including the gap before it; equals ``talib.TRANGE``."""
    top = high if high > previous_close else previous_close
    bottom = low if low < previous_close else previous_close
    return top - bottom


def atr_state(n: int) -> np.dtype[Any]:
    """Return the memory of `atr_step` and `natr_step`."""
    return np.dtype([("mean", windows.ema_state(n)), ("close", "f8")], align=True)


@kernel
def _average_range(memory: np.void, bar: np.void, n: int) -> float:
    """Return Wilder's mean of the true range, from the second bar on."""
    close = memory["close"]
    memory["close"] = bar["close"]
    if close == 0.0:  # no bar before this one
        return _NAN
    return windows.wilder_step(memory["mean"], true_range(bar["high"], bar["low"], close), n)


@kernel
def atr_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the average true range."""
    row[at] = _average_range(memory, bar, n)


@kernel
def natr_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the average true range as a percentage of the close."""
    row[at] = 100.0 * _average_range(memory, bar, n) / bar["close"]


def bollinger_state(n: int, k: float) -> np.dtype[Any]:
    """Return the memory of `bollinger_step`."""
    return moments_state(n)


@kernel
def bollinger_step(
    memory: np.void, bar: np.void, n: int, k: float, row: NDArray[np.float64], at: int
) -> None:
    """Write upper, middle and lower band, their width and the place of the close between them."""
    close = bar["close"]
    mean = _NAN
    half = _NAN
    position = _NAN
    if moments_push(memory, close):
        mean = memory["mean"]
        half = k * math.sqrt(memory["m2"] * (1.0 / n))
        position = 0.5
        if half > 0.0:
            position += (close - mean) / (2.0 * half)
    row[at] = mean + half
    row[at + 1] = mean
    row[at + 2] = mean - half
    row[at + 3] = 2.0 * half / mean
    row[at + 4] = position


@kernel
def zscore_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write how many standard deviations the close is above its mean."""
    row[at] = _NAN
    if moments_push(memory, bar["close"]):
        row[at] = z_score(bar["close"], memory["mean"], memory["m2"], n)


def keltner_state(n: int, m: int, k: float) -> np.dtype[Any]:
    """Return the memory of `keltner_step`."""
    return np.dtype([("middle", windows.ema_state(n)), ("range", atr_state(m))], align=True)


@kernel
def keltner_step(
    memory: np.void, bar: np.void, n: int, m: int, k: float, row: NDArray[np.float64], at: int
) -> None:
    """Write upper, middle and lower line of the Keltner channel."""
    middle = windows.ema_step(memory["middle"], bar["close"], n)
    half = k * _average_range(memory["range"], bar, m)
    if math.isnan(middle) or math.isnan(half):
        middle = _NAN
        half = _NAN
    row[at] = middle + half
    row[at + 1] = middle
    row[at + 2] = middle - half


@kernel
def channel_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the highest high and the lowest low of the last `n` bars."""
    highest, lowest = windows.extremes_step(memory, bar["high"], bar["low"], n)
    row[at] = highest
    row[at + 1] = lowest


def _before_window(n: int, **_: float) -> int:
    return n - 1


def _before_keltner(n: int, m: int, **_: float) -> int:
    return max(n - 1, m)


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="atr",
        step=atr_step,
        state=atr_state,
        params={"n": 14},
        outputs=(
            Output(
                name="atr",
                unit="price",
                description="Average true range (Wilder).",
                oracle="talib.ATR(high, low, close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="natr",
        step=natr_step,
        state=atr_state,
        params={"n": 14},
        outputs=(
            Output(
                name="natr",
                unit="percent",
                description="Average true range in percent of the close.",
                oracle="talib.NATR(high, low, close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="bollinger",
        step=bollinger_step,
        state=bollinger_state,
        params={"n": 20, "k": 2.0},
        minima={"n": 2},
        outputs=(
            Output(
                name="bollinger_upper",
                unit="price",
                description="Mean of n closes plus k standard deviations (population).",
                oracle="talib.BBANDS(close, n, k, k)[0]",
                warm_up=_before_window,
            ),
            Output(
                name="bollinger_middle",
                unit="price",
                description="Mean of n closes.",
                oracle="talib.BBANDS(close, n, k, k)[1]",
                warm_up=_before_window,
            ),
            Output(
                name="bollinger_lower",
                unit="price",
                description="Mean of n closes minus k standard deviations.",
                oracle="talib.BBANDS(close, n, k, k)[2]",
                warm_up=_before_window,
            ),
            Output(
                name="bollinger_width",
                unit="fraction",
                description="Distance of the bands as a fraction of the middle; 0 when flat.",
                oracle="(upper - lower) / middle of talib.BBANDS",
                warm_up=_before_window,
            ),
            Output(
                name="bollinger_position",
                unit="fraction",
                description="Place of the close: 0 lower band, 1 upper band; 0.5 when flat.",
                oracle="(close - lower) / (upper - lower) of talib.BBANDS",
                warm_up=_before_window,
            ),
        ),
    ),
    FeatureKernel(
        name="zscore",
        step=zscore_step,
        state=moments_state,
        params={"n": 20},
        minima={"n": 2},
        outputs=(
            Output(
                name="zscore",
                unit="deviations",
                description="Close minus its mean of n bars, over its deviation; 0 when flat.",
                oracle="(close - talib.SMA(close, n)) / numpy.std(close[-n:])",
                warm_up=_before_window,
            ),
        ),
    ),
    FeatureKernel(
        name="keltner",
        step=keltner_step,
        state=keltner_state,
        params={"n": 20, "m": 10, "k": 2.0},
        outputs=(
            Output(
                name="keltner_upper",
                unit="price",
                description="Exponential mean of n closes plus k average true ranges of m bars.",
                oracle="talib.EMA(close, n) + k * talib.ATR(high, low, close, m)",
                warm_up=_before_keltner,
            ),
            Output(
                name="keltner_middle",
                unit="price",
                description="Exponential mean of n closes.",
                oracle="talib.EMA(close, n)",
                warm_up=_before_keltner,
            ),
            Output(
                name="keltner_lower",
                unit="price",
                description="Exponential mean of n closes minus k average true ranges of m bars.",
                oracle="talib.EMA(close, n) - k * talib.ATR(high, low, close, m)",
                warm_up=_before_keltner,
            ),
        ),
    ),
    FeatureKernel(
        name="channel",
        step=channel_step,
        state=windows.extremes_state,
        params={"n": 20},
        outputs=(
            Output(
                name="rolling_max",
                unit="price",
                description="Highest high of n bars.",
                oracle="talib.MAX(high, n)",
                warm_up=_before_window,
            ),
            Output(
                name="rolling_min",
                unit="price",
                description="Lowest low of n bars.",
                oracle="talib.MIN(low, n)",
                warm_up=_before_window,
            ),
        ),
    ),
)
