"""The market of the simulated terminal: every tick there will be, and how many have been shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.constants import COPY_TICKS_ALL, COPY_TICKS_INFO, COPY_TICKS_TRADE
from mt5_gateway.results import TICKS
from mt5_gateway.server_time import ServerClock
from realtime.kernels.layout import TICK
from realtime.symbols import Symbol

_MS_NS = 1_000_000
_QUOTE_FLAGS = 2 | 4
_TRADE_FLAGS = 8 | 16 | 32 | 64
_NAMED = {COPY_TICKS_INFO: _QUOTE_FLAGS, COPY_TICKS_TRADE: _TRADE_FLAGS}


@dataclass(frozen=True, kw_only=True)
class History:
    """Everything that one symbol will ever quote.

    Attributes:
        place: (n,) where each of its ticks stands in the market's order.
        rows: (n,) `TICKS`, as the package gives them out.
        server_ms: (n,) their times once more, contiguous.
    """

    place: NDArray[np.int64]
    rows: NDArray[np.void]
    server_ms: NDArray[np.int64]

    @cached_property
    def is_ordered(self) -> bool:
        """Whether its server times never go back, as they do when a clock is set back at night."""
        return bool((self.server_ms[1:] >= self.server_ms[:-1]).all())

    def first_from(self, server_ms: int, count: int) -> int:
        """Return the first of its first `count` ticks at or after a server time, else `count`."""
        times = self.server_ms[:count]
        if self.is_ordered:
            return int(np.searchsorted(times, server_ms))
        late = times >= server_ms
        return int(np.argmax(late)) if late.any() else count

    def between(self, from_ms: int, to_ms: int, count: int) -> NDArray[np.void]:
        """Return those of its first `count` ticks with ``from_ms <= time_msc <= to_ms``."""
        times = self.server_ms[:count]
        if self.is_ordered:
            first, last = np.searchsorted(times, [from_ms, to_ms + 1])
            return self.rows[first:last]
        return self.rows[:count][(times >= from_ms) & (times <= to_ms)]


class Market:
    """Ticks of all symbols in the order of the feed: time, then the order of the symbols.

    Args:
        symbols: in the order of the desk's rows.
        streams: (n,) TICK of each; their times become whole milliseconds.
        clock: the broker's wall clock.
    """

    def __init__(
        self,
        symbols: Sequence[Symbol],
        streams: Sequence[NDArray[np.void]],
        clock: ServerClock,
    ) -> None:
        self.symbols = tuple(symbols)
        self.clock = clock
        self.row_of = {symbol.name: row for row, symbol in enumerate(self.symbols)}
        self.ticks = _merged(streams)
        self.histories = tuple(self._history(row) for row in range(len(self.symbols)))

    def __len__(self) -> int:
        return len(self.ticks)

    def _history(self, row: int) -> History:
        place = np.flatnonzero(self.ticks["symbol"] == row)
        ticks = self.ticks[place]
        server_ms = self.clock.to_server_all_ms(ticks["time_ns"] // _MS_NS)
        rows = np.zeros(len(ticks), TICKS)
        rows["time_msc"] = server_ms
        rows["time"] = server_ms // 1000
        for name in ("bid", "ask"):
            rows[name] = ticks[name]
        rows["last"] = np.where(np.isnan(ticks["last"]), 0.0, ticks["last"])
        volume = np.where(np.isfinite(ticks["volume"]), np.maximum(ticks["volume"], 0.0), 0.0)
        rows["volume_real"] = volume
        rows["volume"] = volume.astype(np.uint64)
        rows["flags"] = _flags(ticks)
        rows.flags.writeable = False
        return History(place=place, rows=rows, server_ms=server_ms)

    def shown(self, row: int, revealed: int) -> int:
        """Count a symbol's ticks among the first `revealed` of the market."""
        return int(np.searchsorted(self.histories[row].place, revealed))

    def place_of(self, row: int, ordinal: int) -> int | None:
        """Return where a symbol's n-th tick (from 1) stands in the market's order."""
        place = self.histories[row].place
        return int(place[ordinal - 1]) if 1 <= ordinal <= len(place) else None

    def named(self, place: int) -> tuple[str, int]:
        """Return symbol and ordinal of a tick; ``("", 0)`` of the place before the first."""
        if place < 0:
            return "", 0
        tick = self.ticks[place]
        return self.symbols[int(tick["symbol"])].name, int(tick["seq"])

    def copy_from(
        self, row: int, from_ms: int, count: int, flags: int, revealed: int
    ) -> NDArray[np.void]:
        """Return at most `count` `TICKS` of a symbol from a server time on."""
        history = self.histories[row]
        shown = self.shown(row, revealed)
        first = history.first_from(from_ms, shown)
        if flags == COPY_TICKS_ALL:
            return history.rows[first : min(first + count, shown)]
        return _with_flags(history.rows[first:shown], flags)[:count]

    def copy_range(
        self, row: int, from_ms: int, to_ms: int, flags: int, revealed: int
    ) -> NDArray[np.void]:
        """Return `TICKS` of a symbol with ``from_ms <= time_msc <= to_ms``."""
        history = self.histories[row]
        return _with_flags(history.between(from_ms, to_ms, self.shown(row, revealed)), flags)


def _merged(streams: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    lengths = [len(stream) for stream in streams]
    rows = np.concatenate([np.zeros(0, TICK), *streams])
    rows["symbol"] = np.repeat(np.arange(len(streams)), lengths)
    rows["seq"] = np.concatenate([np.arange(1, 1), *(np.arange(1, n + 1) for n in lengths)])
    rows["time_ns"] = rows["time_ns"] // _MS_NS * _MS_NS
    if len(streams) == 1:
        return rows
    # A tick that came late stays behind the one that it came after.
    starts = np.cumsum([0, *lengths])
    times = rows["time_ns"].copy()
    for start, end in pairwise(starts.tolist()):
        times[start:end] = np.maximum.accumulate(times[start:end])
    return rows[np.argsort(times, kind="stable")]


def _flags(ticks: NDArray[np.void]) -> NDArray[np.int64]:
    """Return a symbol's flags: where its source has none, what changed since its tick before."""
    known = ticks["flags"]
    if (known != 0).all():
        return known
    flags = np.full(len(ticks), _QUOTE_FLAGS, np.int64)
    bid = ticks["bid"][1:] != ticks["bid"][:-1]
    ask = ticks["ask"][1:] != ticks["ask"][:-1]
    flags[1:][bid | ask] = (bid * 2 + ask * 4)[bid | ask]
    return np.where(known != 0, known, flags)


def _with_flags(rows: NDArray[np.void], flags: int) -> NDArray[np.void]:
    if flags == COPY_TICKS_ALL:
        return rows
    return rows[(rows["flags"] & _NAMED[flags]) != 0]
