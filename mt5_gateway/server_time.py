"""The broker's wall clock and UTC: the only place where one becomes the other.

Every epoch in MetaTrader's interface is the broker's wall clock written as if it were UTC. The zone
is a setting: an IANA name, or one with whole hours added as ``"new_york+7"``, the usual one. Times
are whole milliseconds, as MetaTrader's are.

Twice a year a wall clock with daylight saving is not one-to-one:

- the hour that autumn *repeats* is read by continuity: as its first pass, unless that would be more
  than a minute (`LATE_MS`) before the tick that came before it, then as its second. Ticks up to a
  minute late stay in the pass they belong to, and what comes first in a feed is the first pass;
- the hour that spring *skips* was shown by no clock. It is read with the offset from before the
  change, so half an hour into it is half an hour after the change.

Converting from UTC never needs a rule. Outside 1970-2100 the nearest known offset holds.
"""

import re
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import CalendarError, wall_to_utc_ns

#: A tick may be so much older than the one before it and still be of the same pass.
LATE_MS = 60_000
_MS_NS = 1_000_000
_DAY_NS = 86_400 * 1_000_000_000
_DAYS = 47_500  # 1970 to 2100
_ALIASES = {"new_york": "New_York", "london": "London", "utc": "UTC"}


class ServerTimeError(ValueError):
    """The broker's time zone does not exist; says which do."""


class _Changes(NamedTuple):
    """n changes of a wall clock between n + 1 offsets."""

    utc_ms: NDArray[np.int64]
    wall_ms: NDArray[np.int64]  # from here on (wall clock) a time is read with the later offset
    offset_ms: NDArray[np.int64]  # wall clock minus UTC
    repeated_ms: NDArray[np.int64]  # how long before `wall_ms` a time may be the later one too


def _offset_ns(wall_ns: NDArray[np.int64], zone: str) -> NDArray[np.int64]:
    return wall_ns - wall_to_utc_ns(wall_ns, zone)[0]


def _changes(zone: str) -> _Changes:
    """Find every change of a wall clock: look daily, then halve down to the millisecond."""
    days_ns = np.arange(_DAYS, dtype=np.int64) * _DAY_NS
    offsets = _offset_ns(days_ns, zone)
    at = np.flatnonzero(np.diff(offsets))
    low, high = days_ns[at] // _MS_NS, days_ns[at + 1] // _MS_NS
    before, after = offsets[at] // _MS_NS, offsets[at + 1] // _MS_NS
    while len(at) and int((high - low).max()) > 1:
        middle = (low + high) // 2
        is_before = _offset_ns(middle * _MS_NS, zone) // _MS_NS == before
        low = np.where(is_before, middle, low)
        high = np.where(is_before, high, middle)
    # `wall_to_utc_ns` keeps the old offset until the later of a change's two readings.
    utc_ms = high - np.maximum(before, after)
    offset_ms = np.append(offsets[:1] // _MS_NS, after)
    return _Changes(utc_ms, high, offset_ms, np.maximum(before - after, 0))


class ServerClock:
    """A broker's wall clock.

    Args:
        zone: IANA name, or one and whole hours: ``"new_york+7"``, ``"Europe/Athens"``, ``"UTC"``.

    Raises:
        ServerTimeError: there is no such zone.
    """

    def __init__(self, zone: str) -> None:
        match = re.fullmatch(r"([a-z_]+)(.*)", zone, re.IGNORECASE)
        base = match[1].lower() if match is not None else ""
        name = zone if match is None else _ALIASES.get(base, match[1]) + match[2]
        try:
            self._changes = _changes(name)
        except CalendarError as error:
            msg = f"[gateway] server_time: {error}"
            raise ServerTimeError(msg) from None
        self.zone = zone

    def offset_ms(self, utc_ms: int) -> int:
        """Return wall clock minus UTC at a moment, milliseconds."""
        changes = self._changes
        index = int(np.searchsorted(changes.utc_ms, utc_ms, side="right"))
        return int(changes.offset_ms[index])

    def to_server_ms(self, utc_ms: int) -> int:
        """Convert UTC to the broker's wall clock, milliseconds."""
        return utc_ms + self.offset_ms(utc_ms)

    def to_utc_ms(self, server_ms: int, before_ms: int | None = None) -> int:
        """Convert the broker's wall clock to UTC, milliseconds.

        Args:
            server_ms: wall clock.
            before_ms: UTC of what came before it; None for the first.
        """
        return int(self.to_utc_all_ms(np.array([server_ms], np.int64), before_ms)[0])

    def to_server_all_ms(self, utc_ms: NDArray[np.int64]) -> NDArray[np.int64]:
        """Convert UTC to the broker's wall clock: (n,) milliseconds to (n,) milliseconds."""
        changes = self._changes
        return utc_ms + changes.offset_ms[np.searchsorted(changes.utc_ms, utc_ms, side="right")]

    def to_utc_all_ms(
        self, server_ms: NDArray[np.int64], before_ms: int | None = None
    ) -> NDArray[np.int64]:
        """Convert the broker's wall clock to UTC, in order of arrival.

        Args:
            server_ms: (n,) milliseconds, wall clock.
            before_ms: UTC of what came before the first; None if nothing did.

        Returns:
            (n,) milliseconds, UTC.
        """
        changes = self._changes
        index = np.searchsorted(changes.wall_ms, server_ms, side="right")
        utc_ms = server_ms - changes.offset_ms[index]
        if len(changes.wall_ms) == 0:
            return utc_ms
        # Rows just before a change back: an hour later is another reading of the same wall clock.
        next_change = np.minimum(index, len(changes.wall_ms) - 1)
        repeated_ms = np.where(index < len(changes.wall_ms), changes.repeated_ms[next_change], 0)
        is_ambiguous = changes.wall_ms[next_change] - server_ms <= repeated_ms
        is_ambiguous &= repeated_ms > 0
        for row in np.flatnonzero(is_ambiguous).tolist():
            previous_ms = before_ms if row == 0 else int(utc_ms[row - 1])
            if previous_ms is not None and int(utc_ms[row]) < previous_ms - LATE_MS:
                utc_ms[row] += repeated_ms[row]
        return utc_ms
