"""Fifteen TA-Lib features over the same bars: TA-Lib's array functions against the fused fold.

Both run in this process, in turns, and the best CPU time of each counts: other processes on the
machine slow both. The fold reads BAR records, reuses one chunk of output as live does, and does
more than is asked: +DI and -DI beside ADX, width and position beside the bands, R2 beside slope.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import talib

from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.features.fused import FusedFeatures
from realtime.kernels.layout import BAR, DAY, QUOTE

MINUTE_NS = 60_000_000_000
CHUNK = 4096
COLUMNS = (
    "m1_sma_20",
    "m1_ema_20",
    "m1_rsi_14",
    "m1_macd_12_26_9",
    "m1_macd_signal_12_26_9",
    "m1_macd_histogram_12_26_9",
    "m1_atr_14",
    "m1_bollinger_upper_20_2",
    "m1_bollinger_middle_20_2",
    "m1_bollinger_lower_20_2",
    "m1_adx_14",
    "m1_stochastic_k_14_3_3",
    "m1_stochastic_d_14_3_3",
    "m1_cci_20",
    "m1_roc_10",
    "m1_williams_r_14",
    "m1_mfi_14",
    "m1_obv",
    "m1_aroon_up_14",
    "m1_aroon_down_14",
    "m1_slope_14",
)


@dataclass(frozen=True)
class Timing:
    """CPU nanoseconds a bar."""

    talib_ns: float
    fold_ns: float

    @property
    def ratio(self) -> float:
        """Cost of the fold in units of TA-Lib's."""
        return self.fold_ns / self.talib_ns


def random_bars(count: int, seed: int = 0) -> np.ndarray:
    """Return M1 BAR records of a random walk."""
    rng = np.random.default_rng(seed)
    bars = np.zeros(count, BAR)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 1e-4, count)))
    opened = np.r_[close[0], close[:-1]]
    bars["open_ns"] = np.arange(count) * MINUTE_NS + 1_600_000_020_000_000_000
    bars["end_ns"] = bars["open_ns"] + MINUTE_NS
    bars["open"], bars["close"] = opened, close
    bars["high"] = np.maximum(opened, close) * (1 + abs(rng.normal(0, 5e-5, count)))
    bars["low"] = np.minimum(opened, close) * (1 - abs(rng.normal(0, 5e-5, count)))
    bars["volume"] = rng.integers(1, 500, count)
    bars["spread_mean"] = bars["spread_max"] = 1e-5
    bars["ticks"] = bars["volume"]
    return bars


def talib_calls(bars: np.ndarray) -> list[Callable[[], Any]]:
    """Return the same features as calls of TA-Lib on plain arrays."""
    high, low = bars["high"].copy(), bars["low"].copy()
    close, volume = bars["close"].copy(), bars["volume"].copy()
    return [
        lambda: talib.SMA(close, 20),
        lambda: talib.EMA(close, 20),
        lambda: talib.RSI(close, 14),
        lambda: talib.MACD(close, 12, 26, 9),
        lambda: talib.ATR(high, low, close, 14),
        lambda: talib.BBANDS(close, 20, 2, 2),
        lambda: talib.ADX(high, low, close, 14),
        lambda: talib.STOCH(high, low, close, 14, 3, slowd_period=3),
        lambda: talib.CCI(high, low, close, 20),
        lambda: talib.ROC(close, 10),
        lambda: talib.WILLR(high, low, close, 14),
        lambda: talib.MFI(high, low, close, volume, 14),
        lambda: talib.OBV(close, volume),
        lambda: talib.AROON(high, low, 14),
        lambda: talib.LINEARREG_SLOPE(close, 14),
    ]


class Fold:
    """The fused fold with buffers that were touched before."""

    def __init__(self, fused: FusedFeatures) -> None:
        self.fused = fused
        self.out = np.full((CHUNK, len(fused.columns)), np.nan)
        self.times_ns = np.zeros(CHUNK, np.int64)
        self.symbols = np.zeros(CHUNK, np.int64)
        self.quotes = np.zeros(1, QUOTE)
        self.days = np.zeros(1, DAY)
        self.days["end_ns"] = 2**62
        self.emit = sum(fused.clock_bits.values())

    def run(self, bars: np.ndarray) -> None:
        """Fold all bars from a fresh state."""
        state = self.fused.state()
        for start in range(0, len(bars), CHUNK):
            chunk = bars[start : start + CHUNK]
            self.fused.fold(
                state,
                chunk,
                self.symbols[: len(chunk)],
                0,
                self.days,
                0,
                1,
                self.quotes,
                self.emit,
                self.out,
                self.times_ns,
            )


def measure(count: int = 500_000, repeats: int = 15, columns: tuple[str, ...] = COLUMNS) -> Timing:
    """Return what both cost; compiles first."""
    bars = random_bars(count)
    calls = talib_calls(bars)
    fold = Fold(FeatureSet(features=columns, feed="m1").compile())
    fold.run(bars[:CHUNK])
    best_talib = [np.inf] * len(calls)
    best_fold = np.inf
    for _ in range(repeats):
        for i, call in enumerate(calls):
            best_talib[i] = min(best_talib[i], _cpu_seconds(call))
        best_fold = min(best_fold, _cpu_seconds(lambda: fold.run(bars)))
    return Timing(talib_ns=sum(best_talib) / count * 1e9, fold_ns=best_fold / count * 1e9)


def _cpu_seconds(call: Callable[[], Any]) -> float:
    start = time.thread_time()
    call()
    return time.thread_time() - start


if __name__ == "__main__":
    result = measure()
    print(f"TA-Lib {result.talib_ns:.0f} ns a bar, fused fold {result.fold_ns:.0f} ns a bar")
    print(f"the fold costs {result.ratio:.2f} of TA-Lib")
