"""Which tick of the terminal is which tick of the feed, for a replay in lock-step."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.errors import FeedMismatch
from mt5_gateway.feed import Stretch

_MS_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Place:
    """A tick of the terminal, refused ones included.

    Attributes:
        number: how many ticks of all symbols there are up to it.
        symbol: index of its symbol; -1 before the first tick.
        ordinal: number within the symbol.
        feed_seq: of it, or of the last accepted tick before it.
        event_seq: tick of the feed before which its consequences must be known.
        time_ns: its time.
    """

    number: int
    symbol: int
    ordinal: int
    feed_seq: int
    event_seq: int
    time_ns: int


START = Place(number=0, symbol=-1, ordinal=0, feed_seq=0, event_seq=0, time_ns=0)


class FeedIndex:
    """The ticks ahead of the broker, in the terminal's order."""

    def __init__(self) -> None:
        self.end = 0  # ticks of all symbols that were added
        self._parts: list[tuple[int, Stretch]] = []  # number before the first, ticks

    def add(self, stretch: Stretch) -> None:
        """Add the next ticks."""
        self._parts.append((self.end, stretch))
        self.end += len(stretch)

    def forget(self, place: Place) -> None:
        """Forget whole parts before a place."""
        while self._parts and self._parts[0][0] + len(self._parts[0][1]) < place.number:
            self._parts.pop(0)

    def named(self, symbol: int, ordinal: int) -> Place:
        """Find a tick by its symbol and number within it.

        Raises:
            FeedMismatch: it was never added.
        """
        if ordinal == 0:
            return START
        for before, part in self._parts:
            at = np.flatnonzero((part.symbols == symbol) & (part.ordinals == ordinal))
            if len(at):
                return _place(before, part, int(at[0]))
        msg = f"the terminal speaks of tick {ordinal} of symbol {symbol}, which it never gave out"
        raise FeedMismatch(msg)

    def of_feed(self, feed_seq: int) -> Place:
        """Find a tick by its number in the feed.

        Raises:
            FeedMismatch: it was never added, or is forgotten.
        """
        for before, part in self._parts:
            if part.feed_seqs[-1] >= feed_seq:
                seqs: NDArray[np.int64] = part.feed_seqs
                at = int(np.searchsorted(seqs, feed_seq))
                if seqs[at] == feed_seq and part.accepted[at]:
                    return _place(before, part, at)
                break
        msg = f"tick {feed_seq} of the feed is not known here"
        raise FeedMismatch(msg)

    def numbered(self, number: int) -> Place | None:
        """Find the n-th tick of all symbols; None if it was not added yet."""
        for before, part in self._parts:
            if before < number <= before + len(part):
                return _place(before, part, number - before - 1)
        return None


def _place(before: int, part: Stretch, at: int) -> Place:
    feed_seq = int(part.feed_seqs[at])
    return Place(
        number=before + at + 1,
        symbol=int(part.symbols[at]),
        ordinal=int(part.ordinals[at]),
        feed_seq=feed_seq,
        event_seq=feed_seq if part.accepted[at] else feed_seq + 1,
        time_ns=int(part.utc_ms[at]) * _MS_NS,
    )
