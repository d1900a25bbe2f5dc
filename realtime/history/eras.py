"""Clocks that change for good: a feed that moved its server from one zone to another.

Written ``"Europe/Berlin until 2014-11-23, EET"``: Berlin for wall times before that midnight, then
EET. One zone alone is the usual case.
"""

import re
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import CalendarError, wall_to_utc_ns

_FOREVER = np.iinfo(np.int64).max
_DAY_NS = 86_400_000_000_000
#: Weeks off that a change of clock must explain to be believed, and weeks that an era must last:
#: servers move rarely, while holidays and short Fridays are common.
_SWITCH_COST = 16
_SHORTEST = 26


class Era(NamedTuple):
    """A clock and the wall time (exclusive) that ends it."""

    zone: str
    until_ns: int


@lru_cache(maxsize=64)
def eras_of(zone: str) -> tuple[Era, ...]:
    """Read a zone's text.

    Raises:
        CalendarError: it is not written as above.
    """
    eras: list[Era] = []
    *early, last = [part.strip() for part in zone.split(",")]
    for part in early:
        match = re.fullmatch(r"(\S+) until (\d{4}-\d{2}-\d{2})", part)
        if match is None:
            msg = f"{part!r} is not written as 'ZONE until YYYY-MM-DD'"
            raise CalendarError(msg)
        try:
            until_ns = int(np.datetime64(match[2], "ns").astype(np.int64))
        except ValueError as error:
            msg = f"no such date: {match[2]}"
            raise CalendarError(msg) from error
        if eras and until_ns <= eras[-1].until_ns:
            msg = f"the dates in {zone!r} do not go forward"
            raise CalendarError(msg)
        eras.append(Era(match[1], until_ns))
    return (*eras, Era(last, _FOREVER))


def walls_to_utc(
    wall_ns: NDArray[np.int64], zone: str
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Convert wall times: `realtime.calendar.wall_to_utc_ns` for zones of one or several eras.

    Raises:
        CalendarError: no such zone.
    """
    eras = eras_of(zone)
    if len(eras) == 1:
        return wall_to_utc_ns(wall_ns, eras[0].zone)
    utc_ns = np.empty(len(wall_ns), np.int64)
    ambiguous = np.zeros(len(wall_ns), np.bool_)
    missing = np.zeros(len(wall_ns), np.bool_)
    era_at = np.searchsorted([era.until_ns for era in eras[:-1]], wall_ns, side="right")
    for index, era in enumerate(eras):
        mine = era_at == index
        utc_ns[mine], ambiguous[mine], missing[mine] = wall_to_utc_ns(wall_ns[mine], era.zone)
    return utc_ns, ambiguous, missing


def best_path(on_time: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Choose a clock for every week: fewest weeks off, and few changes (Viterbi's algorithm).

    Args:
        on_time: (clocks, weeks) True where a week closes on time under a clock.

    Returns:
        (weeks,) index of the clock; one clock throughout unless each change explains more than
        16 weeks and each era lasts half a year.
    """
    clocks, weeks = on_time.shape
    cost = np.zeros(clocks, np.int64)
    came_from = np.zeros((weeks, clocks), np.int64)
    for week in range(weeks):
        cheapest = int(np.argmin(cost))
        switch = cost[cheapest] + _SWITCH_COST < cost
        came_from[week] = np.where(switch, cheapest, np.arange(clocks))
        cost = cost[came_from[week]] + _SWITCH_COST * switch + ~on_time[:, week]
    path = np.empty(weeks, np.int64)
    at = int(np.argmin(cost))
    for week in range(weeks - 1, -1, -1):
        path[week] = at
        at = int(came_from[week][at])
    lengths = np.diff(np.flatnonzero(np.diff(path, prepend=-1, append=-1)))
    if len(lengths) > 1 and int(lengths.min()) < _SHORTEST:
        path[:] = int(np.argmax(on_time.sum(axis=1)))
    return path


def change_day(end_ns: int, next_ns: int) -> str:
    """Return the midnight inside a weekend's silence at which a change of clock is put."""
    middle = (end_ns + next_ns) // 2
    midnight = -(-middle // _DAY_NS) * _DAY_NS
    day = midnight if midnight <= next_ns else middle // _DAY_NS * _DAY_NS
    return str(np.int64(day).view("M8[ns]").astype("M8[D]"))
