"""Rows out of time order: the fewest rows whose removal leaves times that never go back."""

from bisect import bisect_right

import numpy as np
from numpy.typing import NDArray


def backwards(times_ns: NDArray[np.int64], floor_ns: int) -> NDArray[np.bool_]:
    """Mark the rows to take out.

    A single early row among late ones is marked, and so is a single late row among early ones,
    since the longest run of rows in order is what is kept (patience sorting).

    Args:
        times_ns: (n,) in file order.
        floor_ns: time of the last row kept before; earlier rows are always marked.

    Returns:
        (n,) True for rows to take out.
    """
    early = times_ns < floor_ns
    rest = times_ns[~early] if early.any() else times_ns
    if len(rest) < 2 or not (rest[1:] < rest[:-1]).any():
        return early
    keep = np.zeros(len(rest), np.bool_)
    keep[_longest_run(rest)] = True
    result = early.copy()
    result[np.flatnonzero(~early)[~keep]] = True
    return result


def _longest_run(times_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the positions of a longest non-decreasing subsequence.

    Only the stretch that holds every disorder is searched; before and after it rows are in order
    with it.
    """
    values = times_ns
    high_before = np.maximum.accumulate(values)
    low_after = np.minimum.accumulate(values[::-1])[::-1]
    settled = (values >= high_before) & (values <= low_after)
    wild = np.flatnonzero(~settled)
    # A settled row is not below any row before it nor above any after it: it is in every longest
    # run, so each stretch between settled rows can be solved alone.
    keep = [np.flatnonzero(settled)]
    breaks = np.flatnonzero(np.diff(wild) > 1) + 1
    keep += [stretch[_patience(values[stretch])] for stretch in np.split(wild, breaks)]
    return np.sort(np.concatenate(keep))


def _patience(values: NDArray[np.int64]) -> NDArray[np.int64]:
    tops: list[int] = []
    top_at: list[int] = []
    previous = np.full(len(values), -1, np.int64)
    for index, value in enumerate(values.tolist()):
        pile = bisect_right(tops, value)
        previous[index] = top_at[pile - 1] if pile else -1
        if pile == len(tops):
            tops.append(value)
            top_at.append(index)
        else:
            tops[pile] = value
            top_at[pile] = index
    run: list[int] = []
    at = top_at[-1]
    while at >= 0:
        run.append(at)
        at = int(previous[at])
    return np.array(run[::-1], np.int64)
