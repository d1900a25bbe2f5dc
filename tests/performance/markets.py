"""Ticks for the bench: seeded ones in blocks, and the real ones where they lie beside the checkout.

The seeded market is EURUSD-like: a walk on the grid of points, a spread of 1 to 3 points, about two
ticks a second while foreign exchange is open, nothing on weekends.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import calendar_named
from realtime.kernels.layout import TICK

REAL_TICKS = Path(__file__).resolve().parents[3] / "shared/data/ticks/EURUSD_oanda_2014-05.parquet"
BLOCK = 100_000
START_NS = 1_700_000_000_000_000_000  # Tuesday 2023-11-14 22:13:20 UTC
_DAY_NS = 86_400_000_000_000
_MEAN_GAP_NS = 500_000_000
_POINT = 1e-5


def tick_blocks(count: int, seed: int = 11) -> Iterator[NDArray[np.void]]:
    """Yield `count` ticks in blocks of 100,000, always the same ones; each block is a new array."""
    rng = np.random.default_rng(seed)
    days = calendar_named("fx").days(START_NS, end_of_ticks_ns(count))
    days = days[days["close_ns"] > START_NS]
    opened_ns = np.maximum(days["open_ns"], START_NS)
    traded_ns = np.concatenate(([0], np.cumsum(days["close_ns"] - opened_ns)))
    elapsed_ns, points = 0, 110_000
    for start in range(0, count, BLOCK):
        rows = min(BLOCK, count - start)
        gaps = 1_000_000 + (rng.exponential(_MEAN_GAP_NS, rows) // 1_000_000).astype("i8") * 10**6
        when = elapsed_ns + np.cumsum(gaps)
        elapsed_ns = int(when[-1])
        row = np.searchsorted(traded_ns, when, "right") - 1
        walk = points + np.cumsum(rng.integers(-2, 3, rows))
        points = int(walk[-1])
        ticks = np.zeros(rows, TICK)
        ticks["time_ns"] = opened_ns[row] + (when - traded_ns[row])
        ticks["seq"] = np.arange(start, start + rows)
        ticks["bid"] = walk * _POINT
        ticks["ask"] = (walk + rng.integers(1, 4, rows)) * _POINT
        ticks["flags"] = 6
        yield ticks


def end_of_ticks_ns(count: int) -> int:
    """Return a moment after the last of `count` seeded ticks, with room for weekends."""
    return START_NS + int(count * _MEAN_GAP_NS * 7 / 5 * 1.02) + 8 * _DAY_NS


def seeded_ticks(count: int) -> NDArray[np.void]:
    """Return `count` ticks in one array."""
    return np.concatenate(list(tick_blocks(count)))


def real_ticks() -> NDArray[np.void] | None:
    """Return the 532,903 EURUSD ticks of May 2014, or None where they are not there."""
    if not REAL_TICKS.exists():
        return None
    import polars as pl  # only where there is something to read

    frame = pl.read_parquet(REAL_TICKS)
    ticks = np.zeros(len(frame), TICK)
    ticks["time_ns"] = frame["time"].dt.epoch("ns").to_numpy()
    ticks["seq"] = np.arange(len(frame))
    ticks["bid"] = frame["bid"].to_numpy()
    ticks["ask"] = frame["ask"].to_numpy()
    ticks["flags"] = 6
    return ticks
