"""Run one feature kernel alone (folded, or step by step as live) on bars made or real."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from realtime.kernels.features.feature import FeatureKernel
from realtime.kernels.jit import generated_module
from realtime.kernels.layout import BAR, DAY, QUOTE

ROOT = Path(__file__).resolve().parents[4]
MINUTE_NS = 60_000_000_000
UNWRITTEN = -12345.0
MONDAY_NS = 1_704_067_200_000_000_000  # 2024-01-01 00:00 UTC

_FOLD = """
from {module} import {step}
from realtime.kernels.jit import kernel

@kernel
def fold(memory, bars, days, quotes, {names}latest, out):
    record = memory[0]
    row = latest[0]["row"]
    for i in range(len(bars)):
        {step}(record, {inputs}{names}row, 0)
        for j in range(len(row)):
            out[i, j] = row[j]
"""


def _fold_of(kernel: FeatureKernel):
    inputs = {"bar": "bars[i], ", "day": "days[i], ", "quotes": "quotes[i], "}
    source = _FOLD.format(
        module=kernel.step.__module__,
        step=kernel.step.__name__,
        inputs="".join(inputs[name] for name in kernel.inputs),
        names="".join(f"{name}, " for name in kernel.params),
    )
    return generated_module(f"{kernel.name}_alone", source).fold


class Run:
    """One kernel with its parameters and its memory; each call goes on where the last one ended."""

    def __init__(self, kernel: FeatureKernel, **params):
        self.kernel = kernel
        self.params = {**kernel.params, **params}
        assert set(self.params) == set(kernel.params), "a parameter that the kernel does not have"
        self.memory = np.zeros(1, kernel.state(**self.params))

    @property
    def warm_ups(self):
        return [output.warm_up(**self.params) for output in self.kernel.outputs]

    def fold(self, bars, days=None, quotes=None):
        """Fold over (n,) bars, (n,) days, (n, symbols) quotes; return (n, outputs) features."""
        out = np.full((len(bars), len(self.kernel.outputs)), UNWRITTEN)
        days = np.zeros(len(bars), DAY) if days is None else days
        quotes = np.zeros((len(bars), 1), QUOTE) if quotes is None else quotes
        latest = np.zeros(1, [("row", "f8", (len(self.kernel.outputs),))])
        arguments = (bars, days, quotes, *self.params.values(), latest, out)
        _fold_of(self.kernel)(self.memory, *arguments)
        return out

    def steps(self, bars, days=None, quotes=None):
        """Return the same from single calls."""
        out = np.full((len(bars), len(self.kernel.outputs)), UNWRITTEN)
        given: dict[str, Any] = {"bar": bars, "day": days, "quotes": quotes}
        inputs = [given[name] for name in self.kernel.inputs]
        for i in range(len(bars)):
            arguments = [each[i] for each in inputs]
            self.kernel.step(self.memory[0], *arguments, *self.params.values(), out[i], 0)
        return out


def minute_bars(close, *, seed=0, spread=1e-4):
    """Bars around given closes, with every other field drawn at random."""
    rng = np.random.default_rng(seed)
    n = len(close)
    bars = np.zeros(n, BAR)
    bars["open_ns"] = MONDAY_NS + np.arange(n) * MINUTE_NS
    bars["end_ns"] = bars["open_ns"] + MINUTE_NS
    bars["close"] = close
    bars["open"] = np.concatenate([close[:1], close[:-1]]) * np.exp(rng.normal(0, 2e-5, n))
    top = np.maximum(bars["open"], bars["close"])
    bottom = np.minimum(bars["open"], bars["close"])
    bars["high"] = top * np.exp(rng.exponential(1e-4, n))
    bars["low"] = bottom * np.exp(-rng.exponential(1e-4, n))
    bars["spread_mean"] = spread * np.exp(rng.normal(0, 0.3, n))
    bars["spread_max"] = 2 * bars["spread_mean"]
    bars["ticks"] = rng.integers(1, 400, n)
    bars["volume"] = bars["ticks"]
    bars["imbalance"] = rng.integers(-bars["ticks"], bars["ticks"] + 1)
    bars["realised_variance"] = rng.exponential(4e-8, n)
    return bars


def random_bars(n, seed=0):
    """Bars of a random walk with fat tails, jumps and still stretches."""
    rng = np.random.default_rng(seed)
    steps = rng.standard_t(3, n) * 2e-4
    steps[rng.random(n) < 0.05] = 0.0
    steps[rng.random(n) < 0.001] *= 50
    return minute_bars(1.1 * np.exp(np.cumsum(steps)), seed=seed)


def hour_bars(path):
    """Real H1 bars; what the file lacks (volume, ticks...) is drawn with a seed."""
    import polars as pl

    frame = pl.read_parquet(path)
    bars = random_bars(len(frame), seed=7)
    bars["open_ns"] = frame["time"].dt.epoch("ns").to_numpy()
    bars["end_ns"] = bars["open_ns"] + 60 * MINUTE_NS
    for name in ("open", "high", "low", "close"):
        bars[name] = frame[f"bid_{name}"].to_numpy()
    bars["spread_mean"] = frame["ask_close"].to_numpy() - frame["bid_close"].to_numpy()
    return bars


def tick_bars(path):
    """Real ticks as bars: all four prices are the bid and the bar ends as it begins."""
    import polars as pl

    frame = pl.read_parquet(path)
    bid, ask = frame["bid"].to_numpy(), frame["ask"].to_numpy()
    bars = np.zeros(len(frame), BAR)
    bars["open_ns"] = bars["end_ns"] = frame["time"].dt.epoch("ns").to_numpy()
    for name in ("open", "high", "low", "close"):
        bars[name] = bid
    bars["spread_mean"] = bars["spread_max"] = ask - bid
    bars["volume"] = bars["ticks"] = 1
    move = np.diff(np.log(bid + ask), prepend=np.log(bid[0] + ask[0]))
    bars["imbalance"] = np.sign(move)
    bars["realised_variance"] = move**2
    return bars


def same_bits(left, right):
    return left.shape == right.shape and left.tobytes() == right.tobytes()


def without_compiler(script, output):
    """Run a script in a process where kernels are plain Python; load the array it saves."""
    environment = {**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-W", "error", "-c", script, str(output)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return np.load(output)
