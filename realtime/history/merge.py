"""Join rows of overlapping imports without repeating any."""

import numpy as np
from numpy.typing import NDArray

_TICK_VALUES = ("bid", "ask", "last", "volume", "flags")


def merge_ticks(old: NDArray[np.void], new: NDArray[np.void]) -> NDArray[np.void]:
    """Join ticks in order of time; a tick that both have occurs as often as in the richer one.

    Several equal ticks may share a time, so equality alone is no proof of a repeat: of equal
    ticks, the k-th of one side is the k-th of the other.
    """
    if len(old) == 0 or len(new) == 0:
        return new if len(old) == 0 else old
    if old["time_ns"][-1] < new["time_ns"][0]:
        return np.concatenate([old, new])
    if new["time_ns"][-1] < old["time_ns"][0]:
        return np.concatenate([new, old])
    joined = np.concatenate([old, new])
    known = np.arange(len(joined)) < len(old)
    order = np.argsort(joined["time_ns"], kind="stable")  # old before new at the same time
    joined, known = joined[order], known[order]
    shared = _shared_times(joined["time_ns"], known)
    drop = np.zeros(len(joined), np.bool_)
    at = np.flatnonzero(shared)
    if len(at):
        drop[at] = _repeats(joined[at], known[at])
    return joined[~drop]


def _shared_times(times: NDArray[np.int64], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark rows whose time occurs on both sides."""
    start = np.flatnonzero(np.diff(times, prepend=times[0] - 1))
    size = np.diff(np.append(start, len(times)))
    old = np.add.reduceat(known.astype(np.int64), start)
    return np.repeat((old > 0) & (old < size), size)


def _repeats(rows: NDArray[np.void], known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mark new rows that have an equal old one not yet claimed by an equal new one."""
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
    marked = np.zeros(len(rows), np.bool_)
    marked[order] = repeat
    return marked


def merge_bars(old: NDArray[np.void], new: NDArray[np.void]) -> tuple[NDArray[np.void], int]:
    """Join bars in order of time; where both have a bar the stored one stays.

    Returns:
        The bars, and how many new ones differ from the stored bar of the same time.
    """
    if len(old) == 0 or len(new) == 0:
        return (new if len(old) == 0 else old), 0
    at = np.searchsorted(old["open_ns"], new["open_ns"])
    at = np.minimum(at, len(old) - 1)
    stored = old["open_ns"][at] == new["open_ns"]
    conflicts = 0
    if stored.any():
        mine, theirs = old[at[stored]], new[stored]
        differ = np.zeros(len(mine), np.bool_)
        for name in ("open", "high", "low", "close"):
            differ |= mine[name] != theirs[name]
        conflicts = int(differ.sum())
    joined = np.concatenate([old, new[~stored]])
    return joined[np.argsort(joined["open_ns"], kind="stable")], conflicts
