"""Proof on the data at hand: features look at no future, and are what the loop computes.

NaN equals NaN to the bit, so a comparison of rows from before a feature is warm proves nothing of
it. What is compared therefore reaches to where every stored column has numbers, and these are
counted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aitrading_assets.feed import Feed
from ml.config import TrainingConfig
from ml.feature_files import EVENT, KEYS
from ml.features import event_times, times_ns_of
from realtime.kernels.layout import QUOTE

STEPPED_TICKS = 20_000  # called one by one, from the beginning and again where all is warm


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Stored rows beside those expected.

    Attributes:
        rows: how many were compared.
        difference: the first one; empty if there is none.
        numbers: how many numbers of each column were compared, NaN apart.
    """

    rows: int
    difference: str
    numbers: Mapping[str, int] = field(default_factory=dict[str, int])


def compared(
    stored: pl.DataFrame, expected: pl.DataFrame, since: datetime | None = None
) -> Comparison:
    """Compare stored rows with those expected at their moments, bit for bit.

    Args:
        stored: as `ml.feature_files.read_features` returns it; some months may not be stored.
        expected: all rows of the same columns up to some moment.
        since: those up to then were left out of `expected`.
    """
    # Corrections of a moment lie behind its first row, which is what came of the fold.
    mine = stored.unique(EVENT, keep="first", maintain_order=True).sort(EVENT)
    mine = mine.filter(pl.col(EVENT) <= (expected[EVENT].max() if expected.height else None))
    mine = mine if since is None else mine.filter(pl.col(EVENT) > since)
    months = stored[EVENT].dt.strftime("%Y-%m").unique()
    theirs = expected.filter(pl.col(EVENT).dt.strftime("%Y-%m").is_in(months.implode()))
    if not mine[EVENT].equals(theirs[EVENT]):
        text = f"{mine.height} rows are stored where the ticks give {theirs.height}"
        return Comparison(rows=theirs.height, difference=text)
    numbers: dict[str, int] = {}
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
        numbers[name] = int(np.isfinite(theirs[name].to_numpy()).sum())
    return Comparison(rows=theirs.height, difference="", numbers=numbers)


def proven(stored: pl.DataFrame, *parts: Comparison) -> Comparison:
    """Put comparisons together; a stored column of which no number was compared is a difference.

    A column that is not warm anywhere in what is stored is passed over: nothing learns from it.
    """
    rows = sum(part.rows for part in parts)
    numbers = {
        name: sum(part.numbers.get(name, 0) for part in parts)
        for name in stored.columns
        if name not in KEYS
    }
    difference = next((part.difference for part in parts if part.difference), "")
    cold = [
        name
        for name, count in numbers.items()
        if count == 0 and bool(np.isfinite(stored[name].to_numpy()).any())
    ]
    if cold and not difference:
        difference = f"not one number of {', '.join(cold)} was compared in {rows} rows"
    return Comparison(rows=rows, difference=difference, numbers=numbers)


def warm_ticks(stored: pl.DataFrame, ticks: NDArray[np.void]) -> int:
    """Return how many ticks it takes until every stored column has had a number in a stored row.

    Columns that never have one are passed over; 0 if there is no other.
    """
    events_ns = times_ns_of(stored[EVENT])
    firsts = [
        int(events_ns[warm].min())
        for name in stored.columns
        if name not in KEYS
        for warm in [np.isfinite(stored[name].to_numpy())]
        if warm.any()
    ]
    return int(np.searchsorted(ticks["time_ns"], max(firsts), side="right")) if firsts else 0


def equal_to_live(
    stored: pl.DataFrame,
    ticks: NDArray[np.void],
    feed: Feed,
    days: NDArray[np.void],
    config: TrainingConfig,
) -> Comparison:
    """Compare stored rows with those of the live step, called once a tick.

    It is called from the beginning, and must leave the state that the fold leaves, to the byte.
    Where features take longer than that to become warm, the fold goes on with that state to just
    before the first row that has them all, and the step takes over again.

    Args:
        stored: rows of the features.
        ticks: (n,) TICK from the beginning of the history.
        feed: rows of the symbols.
        days: DAY rows that cover the ticks.
        config: features and clock.
    """
    live, twin = (Walk(feed, days, config) for _ in range(2))
    first, warm = ticks[:STEPPED_TICKS], warm_ticks(stored, ticks)
    begun = compared(stored, live.step(first))
    twin.fold(first)
    if not live.is_where(twin):
        text = f"the live step leaves another state than the fold after {len(first)} ticks"
        return Comparison(rows=begun.rows, difference=begun.difference or text)
    if warm <= len(first):
        return proven(stored, begun)
    begin = max(_before_the_last_row(stored, ticks, warm), len(first))
    live.fold(ticks[len(first) : begin])
    since = event_times(ticks["time_ns"][begin - 1 : begin])[0]
    later = live.step(ticks[begin : max(warm, begin + STEPPED_TICKS)])
    return proven(stored, begun, compared(stored, later, since))


def _before_the_last_row(stored: pl.DataFrame, ticks: NDArray[np.void], warm: int) -> int:
    """Return how many ticks lead up to the row before that of the last of so many ticks."""
    events_ns = times_ns_of(stored[EVENT])
    earlier = events_ns[events_ns < ticks["time_ns"][warm - 1]]
    if len(earlier) == 0:
        return 0
    return int(np.searchsorted(ticks["time_ns"], int(earlier.max()), side="right"))


class Walk:
    """Features computed along the ticks, by the fold or by the live step, from one state.

    Args:
        feed: rows of the symbols.
        days: DAY rows that cover the ticks.
        config: features and clock.
    """

    def __init__(self, feed: Feed, days: NDArray[np.void], config: TrainingConfig) -> None:
        self._feed, self._days, self._clock = feed, days, config.clock
        self._fused = config.feature_set.compile(feed.rows)
        self._state = self._fused.state()
        self._quotes = np.zeros(len(feed.symbols), QUOTE)

    def is_where(self, other: "Walk") -> bool:
        """Return whether another walk has the same state and quotes, to the byte."""
        mine, theirs = ((each._state, each._quotes) for each in (self, other))
        return all(a.tobytes() == b.tobytes() for a, b in zip(mine, theirs, strict=True))

    def fold(self, ticks: NDArray[np.void]) -> None:
        """Go on over ticks as history is folded; no row is kept."""
        for _ in self._fused.history(
            ticks,
            self._days,
            clock=self._clock,
            state=self._state,
            symbol=self._feed.row,
            quotes=self._quotes,
        ):
            pass

    def step(self, ticks: NDArray[np.void]) -> pl.DataFrame:
        """Go on over ticks as the loop does, one call a tick; return the rows that came due."""
        fused, days = self._fused, self._days
        emit = fused.clock_bits[self._clock]
        day_rows = np.searchsorted(days["end_ns"], ticks["time_ns"], side="right")
        out = np.zeros(len(fused.columns))
        times_ns: list[int] = []
        rows: list[NDArray[np.float64]] = []
        for at in range(len(ticks)):
            tick = ticks[at : at + 1]
            symbol = int(tick["symbol"][0])
            if tick["ask"][0] >= tick["bid"][0] > 0.0:
                quote = self._quotes[symbol]
                for name in ("time_ns", "bid", "ask", "volume", "seq"):
                    quote[name] = tick[name][0]
            if symbol != self._feed.row:
                continue
            day = int(day_rows[at])
            if fused.live_step(self._state, tick, days, day, self._quotes, out) & emit:
                times_ns.append(int(tick["time_ns"][0]))
                rows.append(out.copy())
        table = np.array(rows).reshape(len(rows), len(fused.columns))
        columns = {name: table[:, k] for k, name in enumerate(fused.columns)}
        events = event_times(np.array(times_ns, np.int64))
        return pl.DataFrame({EVENT: events, **columns})
