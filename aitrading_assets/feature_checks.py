"""Proof on the data at hand: features look at no future, and are what the loop computes."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aitrading_assets.feed import Feed
from ml.config import TrainingConfig
from ml.feature_files import EVENT, KEYS
from ml.features import event_times
from realtime.kernels.layout import QUOTE


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Stored rows beside those expected.

    Attributes:
        rows: how many were compared.
        difference: the first one; empty if there is none.
    """

    rows: int
    difference: str


def compared(stored: pl.DataFrame, expected: pl.DataFrame) -> Comparison:
    """Compare stored rows with those expected at their moments, bit for bit.

    Args:
        stored: as `ml.feature_files.read_features` returns it; some months may not be stored.
        expected: all rows of the same columns up to some moment.
    """
    # Corrections of a moment lie behind its first row, which is what came of the fold.
    mine = stored.unique(EVENT, keep="first", maintain_order=True).sort(EVENT)
    mine = mine.filter(pl.col(EVENT) <= (expected[EVENT].max() if expected.height else None))
    months = stored[EVENT].dt.strftime("%Y-%m").unique()
    theirs = expected.filter(pl.col(EVENT).dt.strftime("%Y-%m").is_in(months.implode()))
    if not mine[EVENT].equals(theirs[EVENT]):
        text = f"{mine.height} rows are stored where the ticks give {theirs.height}"
        return Comparison(rows=theirs.height, difference=text)
    for name in stored.columns:
        if name in KEYS:
            continue
        bits = [
            np.ascontiguousarray(frame[name].to_numpy()).view(np.int64) for frame in (mine, theirs)
        ]
        differs = np.flatnonzero(bits[0] != bits[1])
        if len(differs):
            at = int(differs[0])
            values = f"stored {mine[name][at]!r}, expected {theirs[name][at]!r}"
            text = f"{name} at {mine[EVENT][at]}: {values}"
            return Comparison(rows=theirs.height, difference=text)
    return Comparison(rows=theirs.height, difference="")


def stepped_rows(
    ticks: NDArray[np.void], feed: Feed, days: NDArray[np.void], config: TrainingConfig
) -> pl.DataFrame:
    """Return the features that the loop computes: the live step, called once a tick.

    Args:
        ticks: (n,) TICK from the beginning of the history.
        feed: rows of the symbols.
        days: DAY rows that cover the ticks.
        config: features and clock.
    """
    fused = config.feature_set.compile(feed.rows)
    emit = fused.clock_bits[config.clock]
    state, quotes = fused.state(), np.zeros(len(feed.symbols), QUOTE)
    day_rows = np.searchsorted(days["end_ns"], ticks["time_ns"], side="right")
    out = np.zeros(len(fused.columns))
    times_ns: list[int] = []
    rows: list[NDArray[np.float64]] = []
    for at in range(len(ticks)):
        tick = ticks[at : at + 1]
        symbol = int(tick["symbol"][0])
        if tick["ask"][0] >= tick["bid"][0] > 0.0:
            quote = quotes[symbol]
            for name in ("time_ns", "bid", "ask", "volume", "seq"):
                quote[name] = tick[name][0]
        if symbol != feed.row:
            continue
        if fused.live_step(state, tick, days, int(day_rows[at]), quotes, out) & emit:
            times_ns.append(int(tick["time_ns"][0]))
            rows.append(out.copy())
    table = np.array(rows).reshape(len(rows), len(fused.columns))
    columns = {name: table[:, k] for k, name in enumerate(fused.columns)}
    events = event_times(np.array(times_ns, np.int64))
    return pl.DataFrame({EVENT: events, **columns})
