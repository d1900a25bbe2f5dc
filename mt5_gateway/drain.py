"""Taking every tick of a symbol once, from a terminal that can only be asked by the second.

`copy_ticks_from` returns ticks from a whole second on. So the second of the last tick taken is read
again each time, and what was taken of it is left out: the rows up to the last one taken, which is
found by its millisecond and by how many of that millisecond have been taken (several ticks may
share one, and all fields may be equal). Times are not compared otherwise: when the broker's clock
is set back they go back as well.

A second with more ticks than asked for would never end: the count doubles until it does. Rows that
appear *before* the last one taken came late (terminals amend their history after a reconnect); they
have no place in the feed any more and go to quarantine. So do rows that are dated in the future
(`future_ticks`): they never move the place where the taking stands.
"""

from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.future_ticks import MOST_AHEAD_MS, FutureTicks
from mt5_gateway.results import TICKS
from mt5_gateway.server_time import ServerClock
from mt5_gateway.validation import FUTURE, LATE, Accepted, check_ticks

_MOST_ROWS = 1 << 23


@dataclass(frozen=True, kw_only=True)
class Drained:
    """New ticks of one symbol, oldest first.

    Attributes:
        rows: (n,) `TICKS`.
        utc_ms: (n,) times.
        codes: (n,) `validation` codes.
        ordinals: (n,) n-th tick of the symbol, from 1; 0 for those that have no place in the feed.
        taken: (n,) how many of the row's millisecond have been taken with it.
    """

    rows: NDArray[np.void]
    utc_ms: NDArray[np.int64]
    codes: NDArray[np.int64]
    ordinals: NDArray[np.int64]
    taken: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, mask: NDArray[np.bool_]) -> "Drained":
        """Return some of the ticks."""
        return Drained(
            rows=self.rows[mask],
            utc_ms=self.utc_ms[mask],
            codes=self.codes[mask],
            ordinals=self.ordinals[mask],
            taken=self.taken[mask],
        )


def nothing() -> Drained:
    """Return no ticks."""
    empty = np.empty(0, np.int64)
    return Drained(rows=np.empty(0, TICKS), utc_ms=empty, codes=empty, ordinals=empty, taken=empty)


class SymbolDrain:
    """Where the taking of one symbol stands.

    Args:
        symbol: name.
        clock: the broker's.
        from_server_ms: where a drain that has taken nothing begins.
        rows: asked for at a time.
    """

    def __init__(self, symbol: str, clock: ServerClock, from_server_ms: int, rows: int) -> None:
        self.symbol = symbol
        self.more = False  # the terminal has more that was not asked for yet
        self.server_ms = from_server_ms  # of the last tick taken
        self.taken = 0  # of that millisecond
        self.ordinal = 0  # ticks taken altogether
        self.accepted = Accepted()
        self.future = FutureTicks()
        self._clock = clock
        self._least = rows
        self._count = rows
        self._seen: NDArray[np.void] | None = None  # rows of the last second, up to the last taken

    def resume(self, server_ms: int, taken: int, utc_ms: int, mid: float) -> None:
        """Go on after a tick that was taken before.

        Args:
            server_ms: its time on the broker's clock.
            taken: how many of that millisecond were taken with it.
            utc_ms: its time.
            mid: of its quote.
        """
        self.server_ms, self.taken = server_ms, taken
        self.accepted = Accepted(utc_ms=utc_ms, mid=mid)

    @property
    def wanted(self) -> tuple[str, int, int]:
        """What to ask for next: symbol, second on the broker's clock, rows."""
        return self.symbol, max(self.server_ms // 1000, 1), self._count

    def take(self, rows: NDArray[np.void], now_ms: int | None = None, feed_ms: int = 0) -> Drained:
        """Take what is new among the rows that the terminal returned for `wanted`.

        Args:
            rows: (n,) `TICKS`.
            now_ms: our time, UTC; None: ticks may be of any time, as in a replay.
            feed_ms: of the last tick accepted of any symbol, UTC.
        """
        self.more = len(rows) == self._count
        if now_ms is None:
            return self._take(rows)
        rows, future = self._without_future(rows, now_ms, feed_ms)
        drained = self._take(rows)
        if (drained.ordinals > 0).any():
            self.future.end()
        return _joined(future, drained) if len(future) else drained

    def _without_future(
        self, rows: NDArray[np.void], now_ms: int, feed_ms: int
    ) -> tuple[NDArray[np.void], Drained]:
        """Set aside what is dated in the future: the other rows, and what was not aside before."""
        newest_ms = max(now_ms, feed_ms)
        self.future.forget(self.server_ms)
        server_ms = cast("NDArray[np.int64]", rows["time_msc"])
        limit_ms = self._clock.to_server_ms(newest_ms + MOST_AHEAD_MS)
        if len(rows) == 0 or (self.future.is_empty and int(server_ms.max()) <= limit_ms):
            return rows, nothing()
        utc_ms = self._clock.to_utc_all_ms(server_ms)
        goes_on, is_news = self.future.judge(rows, utc_ms, newest_ms, now_ms)
        # One that keeps them as they came gives out older ones behind such a tick.
        goes_on &= server_ms >= self.server_ms // 1000 * 1000
        return rows[goes_on], self._placeless(rows[is_news], FUTURE)

    def _take(self, rows: NDArray[np.void]) -> Drained:
        first = self._first_new(rows["time_msc"])
        fresh = rows[first:]
        if self.more and len(fresh) == 0:
            self._count = min(self._count * 2, _MOST_ROWS)
        late = self._late(rows[:first])
        if len(fresh) == 0 and len(late) == 0:
            return nothing()
        drained = self._judge(fresh)
        if len(fresh):
            last_second = int(fresh["time_msc"][-1]) // 1000
            begins = np.flatnonzero(rows["time_msc"] // 1000 != last_second)
            start = int(begins[-1]) + 1 if len(begins) else 0
            self._seen = rows[start:].copy()
            if not self.more:  # the second of the last tick is read again with the next ones
                self._count = max(self._least, 2 * len(self._seen))
        return _joined(self._placeless(late, LATE), drained) if len(late) else drained

    def _first_new(self, server_ms: NDArray[np.int64]) -> int:
        """Find the first row after the last one taken."""
        if self.taken == 0:
            reached = server_ms >= self.server_ms
            return int(np.argmax(reached)) if reached.any() else len(server_ms)
        same = np.flatnonzero(server_ms == self.server_ms)
        if len(same) == 0:  # it has gone from the terminal's history
            later = server_ms > self.server_ms
            return int(np.argmax(later)) if later.any() else len(server_ms)
        breaks = np.flatnonzero(np.diff(same) > 1)
        run = same[breaks[-1] + 1 :] if len(breaks) else same
        return int(run[0]) + min(self.taken, len(run))

    def _judge(self, rows: NDArray[np.void]) -> Drained:
        if len(rows) == 0:
            return nothing()
        server_ms = rows["time_msc"]
        utc_ms = self._clock.to_utc_all_ms(server_ms, self.accepted.utc_ms)
        codes = check_ticks(rows, utc_ms, self.accepted)
        ordinals = self.ordinal + 1 + np.arange(len(rows))
        taken = _taken(server_ms, self.server_ms, self.taken)
        self.ordinal += len(rows)
        self.server_ms, self.taken = int(server_ms[-1]), int(taken[-1])
        return Drained(rows=rows, utc_ms=utc_ms, codes=codes, ordinals=ordinals, taken=taken)

    def _late(self, before: NDArray[np.void]) -> NDArray[np.void]:
        """Return rows of the last second, before the last one taken, that were not there then."""
        seen = self._seen
        if seen is None or len(before) <= len(seen):
            return np.empty(0, TICKS)
        known: dict[bytes, int] = {}
        for row in seen:
            known[row.tobytes()] = known.get(row.tobytes(), 0) + 1
        late: list[int] = []
        for index, row in enumerate(before):
            left = known.get(row.tobytes(), 0)
            known[row.tobytes()] = left - 1
            if left <= 0:
                late.append(index)
        self._seen = before.copy()
        return before[late]

    def _placeless(self, rows: NDArray[np.void], code: int) -> Drained:
        none = np.zeros(len(rows), np.int64)
        return Drained(
            rows=rows,
            utc_ms=self._clock.to_utc_all_ms(cast("NDArray[np.int64]", rows["time_msc"])),
            codes=np.full(len(rows), code, np.int64),
            ordinals=none,
            taken=none,
        )


def _taken(server_ms: NDArray[np.int64], before_ms: int, before: int) -> NDArray[np.int64]:
    """Count each row within its run of equal milliseconds, going on from the rows before."""
    starts = np.flatnonzero(np.diff(server_ms, prepend=before_ms - 1))
    counts = np.arange(len(server_ms)) - np.repeat(starts, np.diff(starts, append=len(server_ms)))
    counts += 1
    if before > 0 and server_ms[0] == before_ms:
        first_run = int(starts[1]) if len(starts) > 1 else len(server_ms)
        counts[:first_run] += before
    return counts


def _joined(first: Drained, second: Drained) -> Drained:
    return Drained(
        rows=np.concatenate([first.rows, second.rows]),
        utc_ms=np.concatenate([first.utc_ms, second.utc_ms]),
        codes=np.concatenate([first.codes, second.codes]),
        ordinals=np.concatenate([first.ordinals, second.ordinals]),
        taken=np.concatenate([first.taken, second.taken]),
    )
