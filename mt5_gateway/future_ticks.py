"""Ticks of a symbol that are later than any clock says: kept out, so that they stop nothing.

One tick that is dated an hour ahead would make every right tick after it go back in time, and have
the terminal asked from that second on. So it is set aside, and the drain goes on from the last
right one. Either clock may be wrong, though: if nothing but such ticks comes for a while, then it
is not the ticks that are wrong but this machine's clock, or the broker's as the settings have it.
They are believed then, the feed goes on, and the offset of the clocks is for `ClockOffset` to tell.
"""

import numpy as np
from numpy.typing import NDArray

#: So much a tick may be ahead of our clock and of the feed: clocks of machines that are not kept
#: in time are minutes apart, a wrong zone or daylight saving makes half an hour at the least.
MOST_AHEAD_MS = 5 * 60_000
_BELIEVED_MS = 10_000  # of nothing but such ticks, by our clock
_LEAST = 3  # such ticks, or a quiet market would make a single one believed
_Key = tuple[int, float, float, int]


class FutureTicks:
    """Tells which of a symbol's ticks are dated in the future."""

    def __init__(self) -> None:
        self._aside: set[_Key] = set()
        self._since_ms = 0  # when the first came of those that nothing else came after
        self._count = 0

    @property
    def is_empty(self) -> bool:
        """Whether none is set aside."""
        return not self._aside

    def remember(self, server_ms: int, bid: float, ask: float, flags: int) -> None:
        """Take note of one that was set aside before a restart."""
        self._aside.add((server_ms, bid, ask, flags))

    def forget(self, server_ms: int) -> None:
        """Forget those of the seconds before one: they are not asked for any more."""
        from_ms = server_ms // 1000 * 1000
        self._aside = {key for key in self._aside if key[0] >= from_ms}

    def end(self) -> None:
        """Note that a tick came that is not in the future."""
        self._count = 0

    def judge(
        self, rows: NDArray[np.void], utc_ms: NDArray[np.int64], newest_ms: int, now_ms: int
    ) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Judge rows of the terminal, oldest first.

        Args:
            rows: (n,) `TICKS`.
            utc_ms: (n,) their times.
            newest_ms: the later of our time and the last tick of the feed, UTC.
            now_ms: our time.

        Returns:
            (n,) whether each goes on, (n,) whether it is in the future and was not so far.
        """
        keys = [_key(row) for row in rows]
        known = np.array([key in self._aside for key in keys], np.bool_)
        ahead = _ahead(utc_ms, newest_ms)
        news = ahead & ~known
        if not news.any():
            return ~(ahead | known), news
        if self._count >= _LEAST and now_ms - self._since_ms >= _BELIEVED_MS:
            self._count = 0
            return ~known, np.zeros(len(rows), np.bool_)
        if self._count == 0:
            self._since_ms = now_ms
        self._count += int(np.count_nonzero(news))
        self._aside.update(keys[index] for index in np.flatnonzero(news))
        return ~(ahead | known), news


def _ahead(utc_ms: NDArray[np.int64], newest_ms: int) -> NDArray[np.bool_]:
    """Find times that are too far beyond a moment and beyond all before that are not."""
    ahead = np.zeros(len(utc_ms), np.bool_)
    for index, time_ms in enumerate(utc_ms.tolist()):
        if time_ms > newest_ms + MOST_AHEAD_MS:
            ahead[index] = True
        else:
            newest_ms = max(newest_ms, time_ms)
    return ahead


def _key(row: np.void) -> _Key:
    return int(row["time_msc"]), float(row["bid"]), float(row["ask"]), int(row["flags"])
