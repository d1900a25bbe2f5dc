"""Ticks, made and real, and the bars of all kinds that the kernels make of them."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from realtime.calendar import calendar_named
from realtime.kernels.bars import TIME_BAR, TIMEFRAMES_NS, time_bar_close_step, time_bars_fold
from realtime.kernels.event_bars import (
    BY_IMBALANCE,
    BY_TICKS,
    BY_VALUE,
    BY_VOLUME,
    EVENT_BAR,
    EVENT_PARAMS,
    event_bars_fold,
)
from realtime.kernels.layout import BAR, TICK
from realtime.kernels.pieces import PIECE_STATE

ROOT = Path(__file__).resolve().parents[3]
HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS


def at(text):
    """UTC nanoseconds of an ISO time."""
    return int(np.datetime64(text, "ns").astype(np.int64))


def record(dtype):
    return np.zeros(1, dtype)[0]


def random_ticks(count, seed, start="2024-03-08 18:00", mean_gap_ns=8_000_000_000):
    """A random walk into the weekend of New York's clock change; some ticks share a time."""
    rng = np.random.default_rng(seed)
    ticks = np.zeros(count, TICK)
    gaps = rng.exponential(mean_gap_ns, count).astype(np.int64) * (rng.random(count) > 0.05)
    ticks["time_ns"] = at(start) + np.cumsum(gaps)
    ticks["seq"] = np.arange(count)
    # Steps of whole points, and often none: as in a real feed.
    ticks["bid"] = np.round(1.1 + np.cumsum(rng.integers(-2, 3, count)) * 1e-5, 5)
    ticks["ask"] = np.round(ticks["bid"] + rng.integers(0, 20, count) * 1e-5, 5)
    ticks["volume"] = rng.integers(0, 3, count)
    return ticks


def real_ticks(shared_data, name="EURUSD_oanda_2014-05"):
    import polars as pl

    table = pl.read_parquet(shared_data / "ticks" / f"{name}.parquet")
    ticks = np.zeros(len(table), TICK)
    ticks["time_ns"] = table["time"].dt.epoch("ns").to_numpy()
    ticks["seq"] = np.arange(len(table))
    ticks["bid"] = table["bid"].to_numpy()
    ticks["ask"] = table["ask"].to_numpy()
    return ticks


def days_of(times_ns, calendar="fx"):
    return calendar_named(calendar).days(int(times_ns.min()), int(times_ns.max()))


def time_bars(ticks, timeframe, *, days=None, chunks=1, flush=True):
    """Fold ticks, in chunks, into finished bars and the flushed forming one."""
    days = days_of(ticks["time_ns"]) if days is None else days
    state, pieces = record(TIME_BAR), record(PIECE_STATE)
    out = np.zeros(ticks.size + 2, BAR)
    count = 0
    for chunk in np.array_split(ticks, chunks):
        arguments = days, 0, days.size, TIMEFRAMES_NS[timeframe], out[count:]
        done = time_bars_fold(state, pieces, chunk, *arguments)
        assert done >= 0
        count += done
    if flush:
        count += time_bar_close_step(state, int(state["bar"]["end_ns"]), out[count])
    return out[:count].copy()


def event_params(kind, threshold=0.0, **settings):
    params = record(EVENT_PARAMS)
    params["kind"] = kind
    params["threshold"] = threshold
    for name, value in settings.items():
        params[name] = value
    return params


EVENT_KINDS = {
    "ticks": event_params(BY_TICKS, 37),
    "volume": event_params(BY_VOLUME, 50),
    "value": event_params(BY_VALUE, 61),
    "imbalance": event_params(
        BY_IMBALANCE, initial_ticks=40, min_ticks=5, max_ticks=400, alpha=0.1
    ),
}


def event_bars(ticks, params, *, chunks=1):
    state, pieces = record(EVENT_BAR), record(PIECE_STATE)
    out = np.zeros(ticks.size + 1, BAR)
    count = 0
    for chunk in np.array_split(ticks, chunks):
        done = event_bars_fold(state, pieces, chunk, params, out[count:])
        assert done >= 0
        count += done
    return out[:count].copy()


def every_kind_of_bar(ticks):
    """All kinds in one array, to compare runs with and without the compiler."""
    timed = [time_bars(ticks, name) for name in ("M1", "M5", "H1", "H4", "D1", "W1")]
    return np.concatenate([*timed, *(event_bars(ticks, each) for each in EVENT_KINDS.values())])


_SCRIPT = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.realtime.kernels import {module}
assert not jit_is_on()
np.save(sys.argv[2], {module}.{function}(np.load(sys.argv[1])))
"""


def without_compiler(function, array, folder):
    """Run a function of one array in a process where kernels are plain Python; its result."""
    given, result = folder / "given.npy", folder / "result.npy"
    np.save(given, array)
    module = function.__module__.rsplit(".", 1)[1]
    done = subprocess.run(
        [
            sys.executable,
            *("-W", "error", "-c"),
            _SCRIPT.format(module=module, function=function.__name__),
            *(str(given), str(result)),
        ],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(ROOT)},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return np.load(result)


def same_bits(left, right):
    return left.shape == right.shape and left.tobytes() == right.tobytes()
