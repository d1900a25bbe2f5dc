"""Momentum and oscillators: RSI, ROC, CCI, Williams %R, stochastics, Aroon."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features import windows
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.jit import kernel

_NAN = float("nan")


def rsi_state(n: int) -> np.dtype[Any]:
    """Return the memory of `rsi_step`."""
    mean = windows.ema_state(n)
    return np.dtype([("gain", mean), ("loss", mean), ("close", "f8")], align=True)


@kernel
def rsi_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the relative strength index; 0 as long as nothing has moved, as in TA-Lib."""
    close = memory["close"]
    memory["close"] = bar["close"]
    if close == 0.0:  # no bar before this one
        row[at] = _NAN
        return
    change = bar["close"] - close
    gain = windows.wilder_step(memory["gain"], change if change > 0.0 else 0.0, n)
    loss = windows.wilder_step(memory["loss"], -change if change < 0.0 else 0.0, n)
    if gain + loss == 0.0:
        row[at] = 0.0
    else:
        row[at] = 100.0 * (gain / (gain + loss))


@kernel
def roc_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the rate of change in percent."""
    close = bar["close"]
    row[at] = (close / windows.lag_step(memory, close, n) - 1.0) * 100.0


@kernel
def momentum_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the change of the close over `n` bars."""
    close = bar["close"]
    row[at] = close - windows.lag_step(memory, close, n)


def cci_state(n: int) -> np.dtype[Any]:
    """Return the memory of `cci_step`."""
    return np.dtype([("sum", windows.sum_state(n)), ("last", "f8"), ("run", "i8")], align=True)


@kernel
def cci_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the commodity channel index; 0 when flat.

    The mean deviation is the one O(n) pass of the technical features: every distance changes with
    the mean, and a sorted window (O(log n)) is slower up to hundreds of bars.
    """
    typical = (bar["high"] + bar["low"] + bar["close"]) / 3.0
    if typical == memory["last"]:
        memory["run"] += 1
    else:
        memory["run"] = 1
        memory["last"] = typical
    total = windows.sum_step(memory["sum"], typical, n)
    if math.isnan(total):
        row[at] = _NAN
    elif memory["run"] >= n:
        row[at] = 0.0
    else:
        mean = total * (1.0 / n)
        deviation = _absolute_deviation(memory["sum"], mean, n)
        row[at] = 0.0
        if deviation > 0.0:
            row[at] = (typical - mean) * (n / 0.015) / deviation


@kernel
def _absolute_deviation(window: np.void, mean: float, n: int) -> float:
    """Return the sum of distances from the mean.

    Four sums side by side, because one would wait for each addition before the next.
    """
    ring = window["ring"]
    first = 0.0
    second = 0.0
    third = 0.0
    fourth = 0.0
    whole = n - n % 4
    for i in range(0, whole, 4):
        first += abs(ring[i] - mean)
        second += abs(ring[i + 1] - mean)
        third += abs(ring[i + 2] - mean)
        fourth += abs(ring[i + 3] - mean)
    for i in range(whole, n):
        first += abs(ring[i] - mean)
    return (first + second) + (third + fourth)


@kernel
def williams_r_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write Williams %R; 0 when flat, as in TA-Lib."""
    highest, lowest = windows.extremes_step(memory, bar["high"], bar["low"], n)
    if highest == lowest:
        row[at] = 0.0
    else:
        row[at] = -100.0 * ((highest - bar["close"]) / (highest - lowest))


@kernel
def _raw_stochastic(memory: np.void, bar: np.void, n: int) -> float:
    highest, lowest = windows.extremes_step(memory, bar["high"], bar["low"], n)
    if highest == lowest:
        return 0.0
    return 100.0 * ((bar["close"] - lowest) / (highest - lowest))


def stochastic_state(n: int, k: int, d: int) -> np.dtype[Any]:
    """Return the memory of `stochastic_step`."""
    return np.dtype(
        [
            ("range", windows.extremes_state(n)),
            ("k", windows.sum_state(k)),
            ("d", windows.sum_state(d)),
        ],
        align=True,
    )


@kernel
def stochastic_step(
    memory: np.void,
    bar: np.void,
    n: int,
    k: int,
    d: int,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write the slow stochastic %K and %D, both from where %D is; 0 when flat, as in TA-Lib."""
    raw = _raw_stochastic(memory["range"], bar, n)
    slow = _NAN
    if not math.isnan(raw):
        slow = windows.sum_step(memory["k"], raw, k) * (1.0 / k)
    signal = _NAN
    if not math.isnan(slow):
        signal = windows.sum_step(memory["d"], slow, d) * (1.0 / d)
    row[at] = _NAN if math.isnan(signal) else slow
    row[at + 1] = signal


def fast_stochastic_state(n: int, d: int) -> np.dtype[Any]:
    """Return the memory of `fast_stochastic_step`."""
    return np.dtype([("range", windows.extremes_state(n)), ("d", windows.sum_state(d))], align=True)


@kernel
def fast_stochastic_step(
    memory: np.void, bar: np.void, n: int, d: int, row: NDArray[np.float64], at: int
) -> None:
    """Write the fast stochastic %K and %D, both from where %D is; 0 when flat, as in TA-Lib."""
    raw = _raw_stochastic(memory["range"], bar, n)
    signal = _NAN
    if not math.isnan(raw):
        signal = windows.sum_step(memory["d"], raw, d) * (1.0 / d)
    row[at] = _NAN if math.isnan(signal) else raw
    row[at + 1] = signal


def aroon_state(n: int) -> np.dtype[Any]:
    """Return the memory of `aroon_step`."""
    return windows.ages_state(n + 1)


@kernel
def aroon_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write Aroon up, down and oscillator."""
    high_age, low_age = windows.ages_step(memory, bar["high"], bar["low"], n + 1)
    if high_age < 0:
        row[at] = _NAN
        row[at + 1] = _NAN
        row[at + 2] = _NAN
    else:
        scale = 100.0 / n
        row[at] = scale * (n - high_age)
        row[at + 1] = scale * (n - low_age)
        row[at + 2] = scale * (low_age - high_age)


def _before_stochastic(n: int, k: int, d: int) -> int:
    return n + k + d - 3


def _before_fast_stochastic(n: int, d: int) -> int:
    return n + d - 2


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="rsi",
        step=rsi_step,
        state=rsi_state,
        params={"n": 14},
        minima={"n": 2},
        presets=({"n": 7}, {"n": 21}),
        outputs=(
            Output(
                name="rsi",
                unit="0..100",
                description="Relative strength index (Wilder); 0 while nothing has moved.",
                oracle="talib.RSI(close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="roc",
        step=roc_step,
        state=windows.lag_state,
        params={"n": 10},
        outputs=(
            Output(
                name="roc",
                unit="percent",
                description="Change of the close over n bars, in percent.",
                oracle="talib.ROC(close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="momentum",
        step=momentum_step,
        state=windows.lag_state,
        params={"n": 10},
        outputs=(
            Output(
                name="momentum",
                unit="price",
                description="Change of the close over n bars.",
                oracle="talib.MOM(close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="cci",
        step=cci_step,
        state=cci_state,
        params={"n": 20},
        minima={"n": 2},
        outputs=(
            Output(
                name="cci",
                unit="mean deviations / 0.015",
                description="Typical price above its mean, over its mean deviation; 0 when flat.",
                oracle="talib.CCI(high, low, close, n)",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="williams_r",
        step=williams_r_step,
        state=windows.extremes_state,
        params={"n": 14},
        minima={"n": 2},
        outputs=(
            Output(
                name="williams_r",
                unit="-100..0",
                description="Close below the highest high, in percent of the range; 0 when flat.",
                oracle="talib.WILLR(high, low, close, n)",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="stochastic",
        step=stochastic_step,
        state=stochastic_state,
        params={"n": 14, "k": 3, "d": 3},
        outputs=(
            Output(
                name="stochastic_k",
                unit="0..100",
                description="Place of the close in the range of n bars, mean of k; 0 when flat.",
                oracle="talib.STOCH(high, low, close, n, k, 0, d, 0)[0]",
                warm_up=_before_stochastic,
            ),
            Output(
                name="stochastic_d",
                unit="0..100",
                description="Mean of d values of the slow %K.",
                oracle="talib.STOCH(high, low, close, n, k, 0, d, 0)[1]",
                warm_up=_before_stochastic,
            ),
        ),
    ),
    FeatureKernel(
        name="fast_stochastic",
        step=fast_stochastic_step,
        state=fast_stochastic_state,
        params={"n": 14, "d": 3},
        outputs=(
            Output(
                name="fast_stochastic_k",
                unit="0..100",
                description="Place of the close in the range of n bars; 0 when flat.",
                oracle="talib.STOCHF(high, low, close, n, d, 0)[0]",
                warm_up=_before_fast_stochastic,
            ),
            Output(
                name="fast_stochastic_d",
                unit="0..100",
                description="Mean of d values of the fast %K.",
                oracle="talib.STOCHF(high, low, close, n, d, 0)[1]",
                warm_up=_before_fast_stochastic,
            ),
        ),
    ),
    FeatureKernel(
        name="aroon",
        step=aroon_step,
        state=aroon_state,
        params={"n": 14},
        minima={"n": 2},
        outputs=(
            Output(
                name="aroon_up",
                unit="0..100",
                description="100 at a new high of n + 1 bars, falling to 0 with its age.",
                oracle="talib.AROON(high, low, n)[1]",
                warm_up=lambda n: n,
            ),
            Output(
                name="aroon_down",
                unit="0..100",
                description="100 at a new low of n + 1 bars, falling to 0 with its age.",
                oracle="talib.AROON(high, low, n)[0]",
                warm_up=lambda n: n,
            ),
            Output(
                name="aroon_oscillator",
                unit="-100..100",
                description="Aroon up minus Aroon down.",
                oracle="talib.AROONOSC(high, low, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
)
