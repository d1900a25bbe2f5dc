"""One feed out of the ticks of several symbols: an order, and two gapless numbers a tick.

Ticks are ordered by time, then by the order of the symbols; a tick that is older than the one
before it in its symbol stays behind that. While a symbol has more history than was read so far,
ticks that it may still precede wait. What arrives after later ones of other symbols were published
stands behind them: the feed's order is that of publication.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.drain import Drained
from mt5_gateway.validation import ACCEPTED
from realtime.contracts.market_data_pb2 import Ticks

_MS_NS = 1_000_000
_LONG_AGO = np.iinfo(np.int64).min
_FAR_AHEAD = np.iinfo(np.int64).max
MOST_TICKS = 2000  # of one message


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """Ticks that follow one another, refused ones among them.

    Attributes:
        symbols: (n,) index of each tick's symbol.
        accepted: (n,) whether it is part of the feed.
        feed_seqs: (n,) number in the feed; of a refused tick that of the last accepted one.
        seqs: (n,) number within the symbol, likewise.
        ordinals: (n,) number within the symbol, refused ones counted.
        utc_ms: (n,) times.
        taken: (n,) see `Drained`.
        rows: (n,) `TICKS`.
    """

    symbols: NDArray[np.int64]
    accepted: NDArray[np.bool_]
    feed_seqs: NDArray[np.int64]
    seqs: NDArray[np.int64]
    ordinals: NDArray[np.int64]
    utc_ms: NDArray[np.int64]
    taken: NDArray[np.int64]
    rows: NDArray[np.void]

    def __len__(self) -> int:
        return len(self.symbols)

    def where(self, mask: NDArray[np.bool_]) -> "Stretch":
        """Return some of the ticks."""
        return Stretch(
            symbols=self.symbols[mask],
            accepted=self.accepted[mask],
            feed_seqs=self.feed_seqs[mask],
            seqs=self.seqs[mask],
            ordinals=self.ordinals[mask],
            utc_ms=self.utc_ms[mask],
            taken=self.taken[mask],
            rows=self.rows[mask],
        )

    def feed(self, after: int = 0) -> "Stretch":
        """Return the ticks of the feed after a number."""
        return self.where(self.accepted & (self.feed_seqs > after))


class Feed:
    """Numbers ticks in the order in which they are published.

    Args:
        symbols: how many.
        feed_seq: of the last tick published.
        seqs: likewise, of each symbol.
    """

    def __init__(self, symbols: int, feed_seq: int = 0, seqs: Sequence[int] | None = None) -> None:
        self.feed_seq = feed_seq
        self.seqs = [0] * symbols if seqs is None else list(seqs)
        self._waiting: list[list[tuple[NDArray[np.int64], Drained]]] = [[] for _ in range(symbols)]
        self._newest_ms = [_LONG_AGO] * symbols

    @property
    def waiting(self) -> int:
        """Ticks that cannot be ordered yet."""
        return sum(len(part) for parts in self._waiting for _, part in parts)

    def add(self, symbol: int, drained: Drained) -> None:
        """Take in ticks of a symbol; those that have no place in the feed are left out."""
        if len(drained) and drained.ordinals[0] == 0:  # they come first
            drained = drained.where(drained.ordinals > 0)
        if len(drained) == 0:
            return
        places_ms = np.maximum.accumulate(np.maximum(drained.utc_ms, self._newest_ms[symbol]))
        self._newest_ms[symbol] = int(places_ms[-1])
        self._waiting[symbol].append((places_ms, drained))

    def pull(self, more: Sequence[bool]) -> Stretch | None:
        """Return the next ticks, or None if there are none for now.

        Args:
            more: per symbol, whether it has history that was not added yet.
        """
        until_ms = _FAR_AHEAD
        for symbol, has_more in enumerate(more):
            if has_more:
                until_ms = min(until_ms, self._newest_ms[symbol])
        parts = [
            (symbol, places_ms, drained)
            for symbol in range(len(self._waiting))
            for places_ms, drained in self._cut(symbol, until_ms)
        ]
        return self._number(parts) if parts else None

    def _cut(self, symbol: int, until_ms: int) -> list[tuple[NDArray[np.int64], Drained]]:
        """Take out the ticks whose place is before a moment."""
        waiting = self._waiting[symbol]
        ready: list[tuple[NDArray[np.int64], Drained]] = []
        while waiting:
            places_ms, drained = waiting[0]
            count = int(np.searchsorted(places_ms, until_ms))
            if until_ms == _FAR_AHEAD or count == len(drained):
                ready.append(waiting.pop(0))
                continue
            if count:
                is_before = np.arange(len(drained)) < count
                ready.append((places_ms[:count], drained.where(is_before)))
                waiting[0] = (places_ms[count:], drained.where(~is_before))
            break
        return ready

    def _number(self, parts: Sequence[tuple[int, NDArray[np.int64], Drained]]) -> Stretch:
        symbols = np.repeat([part[0] for part in parts], [len(part[2]) for part in parts])
        order = np.argsort(np.concatenate([part[1] for part in parts]), kind="stable")
        drained = [part[2] for part in parts]
        symbols = symbols[order]
        accepted = np.concatenate([part.codes for part in drained])[order] == ACCEPTED
        feed_seqs = self.feed_seq + np.cumsum(accepted)
        seqs = np.zeros(len(order), np.int64)
        for symbol in np.unique(symbols).tolist():
            mine = symbols == symbol
            seqs[mine] = self.seqs[symbol] + np.cumsum(accepted[mine])
            self.seqs[symbol] += int(np.count_nonzero(accepted[mine]))
        self.feed_seq = int(feed_seqs[-1])
        return Stretch(
            symbols=symbols,
            accepted=accepted,
            feed_seqs=feed_seqs,
            seqs=seqs,
            ordinals=np.concatenate([part.ordinals for part in drained])[order],
            utc_ms=np.concatenate([part.utc_ms for part in drained])[order],
            taken=np.concatenate([part.taken for part in drained])[order],
            rows=np.concatenate([part.rows for part in drained])[order],
        )


def tick_messages(
    stretch: Stretch, symbols: Sequence[str], account: str, drained_ns: int, published_ns: int
) -> list[Ticks]:
    """Write ticks as messages: one for each run of ticks of a symbol, in the order of the feed.

    Args:
        stretch: ticks of the feed, none refused.
        symbols: names, by index.
        account: whose feed it is.
        drained_ns: when the terminal had answered.
        published_ns: now.
    """
    rows = stretch.rows
    breaks = np.flatnonzero(np.diff(stretch.symbols)) + 1
    edges = [0, *breaks.tolist(), len(rows)]
    starts: list[int] = stretch.symbols[edges[:-1]].tolist() if len(rows) else []
    names: list[str] = [symbols[index] for index in starts]
    times_ns: list[int] = (stretch.utc_ms * _MS_NS).tolist()
    bids: list[float] = rows["bid"].tolist()
    asks: list[float] = rows["ask"].tolist()
    flags: list[int] = rows["flags"].tolist()
    has_last, has_volume = bool(rows["last"].any()), bool(rows["volume_real"].any())
    lasts: list[float] = np.where(rows["last"] == 0, np.nan, rows["last"]).tolist()
    volumes: list[float] = rows["volume_real"].tolist()
    feed_seqs: list[int] = stretch.feed_seqs.tolist()
    seqs: list[int] = stretch.seqs.tolist()
    server_ms: list[int] = rows["time_msc"].tolist()
    taken: list[int] = stretch.taken.tolist()
    return [
        Ticks(
            symbol=name,
            account=account,
            first_seq=seqs[start],
            first_feed_seq=feed_seqs[start],
            time_ns=times_ns[start:end],
            bid=bids[start:end],
            ask=asks[start:end],
            last=lasts[start:end] if has_last else None,
            volume=volumes[start:end] if has_volume else None,
            flags=flags[start:end],
            drained_ns=drained_ns,
            published_ns=published_ns,
            last_server_ms=server_ms[end - 1],
            taken_of_last_ms=taken[end - 1],
        )
        for name, (begin, stop) in zip(names, pairwise(edges), strict=True)
        for start, end in _parts(begin, stop)
    ]


def _parts(begin: int, stop: int) -> list[tuple[int, int]]:
    return [(start, min(start + MOST_TICKS, stop)) for start in range(begin, stop, MOST_TICKS)]
