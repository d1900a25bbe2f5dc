"""Join rows of overlapping imports: none is repeated, corrections replace what they correct."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_TICK_VALUES = ("bid", "ask", "last", "volume", "flags")


#: Who brought each tick of a month: one bit a source, the first for ticks of an unknown one.
UNKNOWN = np.uint64(1)
#: A source says nothing about a silence longer than this between two of its own ticks.
_COVERS_NS = 3_600_000_000_000


class OwnedTicks(NamedTuple):
    """Ticks, and who brought them."""

    rows: NDArray[np.void]  # (n,) TICK in order of time
    owners: NDArray[np.uint64]  # (n,) one bit a source


def owned(rows: NDArray[np.void], owner: np.uint64 = UNKNOWN) -> OwnedTicks:
    """Return ticks that one source brought."""
    return OwnedTicks(rows, np.full(len(rows), owner, np.uint64))


def merge_ticks(old: NDArray[np.void], new: NDArray[np.void]) -> NDArray[np.void]:
    """Join ticks in order of time; a tick that both have occurs as often as in the richer one.

    Several equal ticks may share a time, so equality alone is no proof of a repeat: of equal
    ticks, the k-th of one side is the k-th of the other.
    """
    return merge_owned(owned(old), owned(new)).rows


def merge_owned(old: OwnedTicks, new: OwnedTicks) -> OwnedTicks:
    """Join ticks as `merge_ticks` does; what both have belongs to both."""
    if len(old.rows) == 0 or len(new.rows) == 0:
        return new if len(old.rows) == 0 else old
    if old.rows["time_ns"][-1] < new.rows["time_ns"][0]:
        return _one_after_the_other(old, new)
    if new.rows["time_ns"][-1] < old.rows["time_ns"][0]:
        return _one_after_the_other(new, old)
    joined, owners = _one_after_the_other(old, new)
    known = np.arange(len(joined)) < len(old.rows)
    order = np.argsort(joined["time_ns"], kind="stable")  # old before new at the same time
    joined, owners, known = joined[order], owners[order], known[order]
    shared = _shared_times(joined["time_ns"], known)
    drop = np.zeros(len(joined), np.bool_)
    at = np.flatnonzero(shared)
    if len(at):
        repeat, of = _repeats(joined[at], known[at])
        drop[at[repeat]] = True
        owners[at[of]] |= owners[at[repeat]]
    return OwnedTicks(joined[~drop], owners[~drop])


def _one_after_the_other(first: OwnedTicks, second: OwnedTicks) -> OwnedTicks:
    return OwnedTicks(
        np.concatenate([first.rows, second.rows]), np.concatenate([first.owners, second.owners])
    )


class Replaced(NamedTuple):
    """What came of joining ticks of a source with those stored."""

    ticks: OwnedTicks
    gone: int  # stored ticks that their source does not have any more
    disputed: int  # moments of which others have other ticks


def replace_ticks(old: OwnedTicks, new: OwnedTicks) -> Replaced:
    """Join ticks; what the source of `new` brought before, and now has no more, is taken out.

    A source speaks of the time between its first and its last tick, except silences of more than
    an hour: a download that failed for a day takes nothing away.

    Args:
        old: stored.
        new: of one source; of an unknown one it takes nothing out.
    """
    if len(old.rows) == 0 or len(new.rows) == 0:
        return Replaced(merge_owned(old, new), 0, 0)
    mine = new.owners[0]
    renewed = ((old.owners & mine) != 0) & _covered(old.rows["time_ns"], new.rows["time_ns"])
    if mine == UNKNOWN:
        renewed[:] = False
    others = np.where(renewed, old.owners & ~mine, old.owners)
    gone = others == 0  # only this source had it; if it has it still, it comes back from `new`
    rest = OwnedTicks(old.rows[~gone], others[~gone])
    either = merge_ticks(old.rows[gone], new.rows)
    return Replaced(
        merge_owned(rest, new), len(either) - len(new.rows), _disputed(rest.rows, new.rows)
    )


def _covered(times_ns: NDArray[np.int64], by_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Mark times that lie on, or in a short silence between, the times of a source."""
    after = np.searchsorted(by_ns, times_ns)
    inside = (after > 0) & (after < len(by_ns))
    after = np.minimum(after, len(by_ns) - 1)
    short = by_ns[after] - by_ns[np.maximum(after - 1, 0)] <= _COVERS_NS
    return (by_ns[after] == times_ns) | (inside & short)


def _disputed(old: NDArray[np.void], new: NDArray[np.void]) -> int:
    """Count the moments that both have ticks of, but neither has all."""
    moments = np.intersect1d(old["time_ns"], new["time_ns"])
    if len(moments) == 0:
        return 0
    sides = [rows[np.isin(rows["time_ns"], moments)] for rows in (old, new)]
    both = merge_ticks(sides[0], sides[1])
    counts = [
        np.diff(np.append(np.searchsorted(rows["time_ns"], moments), len(rows)))
        for rows in (*sides, both)
    ]
    return int((counts[2] != np.maximum(counts[0], counts[1])).sum())


def _shared_times(times: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark rows whose time occurs on both sides."""
    start = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
    size = np.diff(np.append(start, len(times)))
    old = np.add.reduceat(known.astype(np.int64), start)
    return np.repeat((old > 0) & (old < size), size)


def _repeats(
    rows: NDArray[np.void], known: NDArray[np.bool_]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Find new rows that have an equal old one not yet claimed by an equal new one.

    Returns:
        The places of the new rows, and those of the old rows that they repeat.
    """
    keys = [np.nan_to_num(rows[name].astype(np.float64), nan=-1.0) for name in _TICK_VALUES]
    order = np.lexsort((~known, *keys, rows["time_ns"]))
    same = np.diff(rows["time_ns"][order], prepend=rows["time_ns"][order[0]] - 1) == 0
    for key in keys:
        ranked = key[order]
        same &= np.diff(ranked, prepend=ranked[0]) == 0
    same[0] = False
    start = np.flatnonzero(~same)
    size = np.diff(np.append(start, len(order)))
    old = np.add.reduceat(known[order].astype(np.int64), start)
    place = np.arange(len(order)) - np.repeat(start, size)
    # Within a group of equal rows the old ones come first: as many new ones repeat them.
    repeat = (place >= np.repeat(old, size)) & (place < 2 * np.repeat(old, size))
    at = np.flatnonzero(repeat)
    return order[at], order[at - np.repeat(old, size)[at]]


def merge_bars(old: NDArray[np.void], new: NDArray[np.void]) -> tuple[NDArray[np.void], int]:
    """Join bars in order of time; where both have a bar the new one counts.

    Returns:
        The bars, and how many stored ones were replaced by other prices.
    """
    if len(old) == 0 or len(new) == 0:
        return (new if len(old) == 0 else old), 0
    joined = np.concatenate([old[~np.isin(old["open_ns"], new["open_ns"])], new])
    return joined[np.argsort(joined["open_ns"], kind="stable")], len(corrected_bars(old, new))


def corrected_bars(old: NDArray[np.void], new: NDArray[np.void]) -> NDArray[np.int64]:
    """Return the starts of stored bars that have other prices in a new import."""
    if len(old) == 0 or len(new) == 0:
        return np.empty(0, np.int64)
    at = np.minimum(np.searchsorted(new["open_ns"], old["open_ns"]), len(new) - 1)
    both = new["open_ns"][at] == old["open_ns"]
    mine, theirs = old[both], new[at[both]]
    differ = np.zeros(len(mine), np.bool_)
    for name in ("open", "high", "low", "close"):
        differ |= mine[name] != theirs[name]
    return mine["open_ns"][differ]
