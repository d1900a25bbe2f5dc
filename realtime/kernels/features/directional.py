"""Directional movement: ADX with its two indicators (Wilder)."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.bands import true_range
from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.jit import kernel

_NAN = float("nan")


def adx_state(n: int) -> np.dtype[Any]:
    """Return the memory of `adx_step`."""
    return np.dtype(
        [
            ("high", "f8"),
            ("low", "f8"),
            ("close", "f8"),
            ("range", "f8"),  # Wilder's sums, not means
            ("up", "f8"),
            ("down", "f8"),
            ("adx", "f8"),
            ("seen", "i8"),
        ],
        align=True,
    )


@kernel
def adx_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write ADX, +DI and -DI.

    As in TA-Lib the sums start with the first `n` - 1 moves, ADX with the mean of the first `n`
    DX; where nothing moved the DI are 0 and ADX keeps its value.
    """
    high = bar["high"]
    low = bar["low"]
    seen = memory["seen"]
    if seen < 2 * n:
        memory["seen"] = seen + 1
    row[at] = _NAN
    row[at + 1] = _NAN
    row[at + 2] = _NAN
    if seen > 0:
        _move_adx(memory, high, low, n, seen)
        if seen >= n:
            _write_adx(memory, n, seen, row, at)
    memory["high"] = high
    memory["low"] = low
    memory["close"] = bar["close"]


@kernel
def _move_adx(memory: np.void, high: float, low: float, n: int, seen: int) -> None:
    """Add the move from the last bar to Wilder's sums."""
    rise = high - memory["high"]
    fall = memory["low"] - low
    up = rise if rise > fall else 0.0
    down = fall if fall > rise else 0.0
    up = up if up > 0.0 else 0.0
    down = down if down > 0.0 else 0.0
    keep = 1.0
    if seen >= n:
        keep = 1.0 - 1.0 / n
    memory["range"] = memory["range"] * keep + true_range(high, low, memory["close"])
    memory["up"] = memory["up"] * keep + up
    memory["down"] = memory["down"] * keep + down


@kernel
def _write_adx(memory: np.void, n: int, seen: int, row: NDArray[np.float64], at: int) -> None:
    plus = 0.0
    minus = 0.0
    if memory["range"] > 0.0:
        scale = 100.0 / memory["range"]
        plus = scale * memory["up"]
        minus = scale * memory["down"]
    row[at + 1] = plus
    row[at + 2] = minus
    adx = memory["adx"]
    both = plus + minus
    if both > 0.0:
        index = 100.0 * abs(plus - minus) / both
        if seen < 2 * n:
            adx += index / n
        else:
            adx += (index - adx) * (1.0 / n)
        memory["adx"] = adx
    if seen >= 2 * n - 1:
        row[at] = adx


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="adx",
        step=adx_step,
        state=adx_state,
        params={"n": 14},
        minima={"n": 2},
        outputs=(
            Output(
                name="adx",
                unit="0..100",
                description="Average directional index: how much of a trend, not which way.",
                oracle="talib.ADX(high, low, close, n)",
                warm_up=lambda n: 2 * n - 1,
            ),
            Output(
                name="plus_di",
                unit="0..100",
                description="Share of the true range that was upward movement.",
                oracle="talib.PLUS_DI(high, low, close, n)",
                warm_up=lambda n: n,
            ),
            Output(
                name="minus_di",
                unit="0..100",
                description="Share of the true range that was downward movement.",
                oracle="talib.MINUS_DI(high, low, close, n)",
                warm_up=lambda n: n,
            ),
        ),
    ),
)
