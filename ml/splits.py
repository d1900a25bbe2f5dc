"""Splits in order of time, purged of overlapping labels and embargoed. Nothing is ever shuffled.

A label that begins in the training part and ends in the test part has seen the test part. All
splits here drop it from training. Rows are events in order of time; ``event_ns`` is when each
begins and ``end_ns`` when its label was known. Lopez de Prado (2018), chapters 7 and 12.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from ml.errors import TrainingRefused

Rows = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Segments:
    """Rows of the three parts of a training set, in order of time."""

    train: Rows
    calibration: Rows
    holdout: Rows


def purged_before(event_ns: Rows, end_ns: Rows, start: int, embargo: int) -> Rows:
    """Return the rows before `start` whose labels end before it, less an embargo of rows."""
    rows = np.arange(max(start - embargo, 0))
    return rows[end_ns[rows] < event_ns[start]] if start < len(event_ns) else rows


def purged_rows(event_ns: Rows, end_ns: Rows, start: int, stop: int, embargo: int) -> Rows:
    """Return training rows for the test block ``[start, stop)``.

    Before it: labels that end before it begins. After it: rows that begin after the latest end of
    its labels, less an embargo of rows.
    """
    before = np.flatnonzero(end_ns[:start] < event_ns[start])
    latest_ns = int(end_ns[start:stop].max())
    after = int(np.searchsorted(event_ns, latest_ns, side="right")) + embargo
    return np.concatenate((before, np.arange(max(after, stop), len(event_ns))))


def purged_folds(
    event_ns: Rows, end_ns: Rows, folds: int, embargo: int = 0
) -> Iterator[tuple[Rows, Rows]]:
    """Yield (train, test) of a k-fold over contiguous blocks.

    Examples:
        >>> start = np.arange(12)
        >>> [train.tolist() for train, _ in purged_folds(start, start + 2, 3)][1]
        [0, 1, 10, 11]
    """
    for block in np.array_split(np.arange(len(event_ns)), folds):
        start, stop = int(block[0]), int(block[-1]) + 1
        yield purged_rows(event_ns, end_ns, start, stop, embargo), block


def combinatorial_folds(
    event_ns: Rows, end_ns: Rows, folds: int, tested: int, embargo: int = 0
) -> Iterator[tuple[Rows, Rows]]:
    """Yield (train, test) for every choice of `tested` blocks out of `folds`."""
    blocks = np.array_split(np.arange(len(event_ns)), folds)
    for chosen in combinations(range(folds), tested):
        allowed = np.ones(len(event_ns), np.bool_)
        for k in chosen:
            start, stop = int(blocks[k][0]), int(blocks[k][-1]) + 1
            kept = np.zeros(len(event_ns), np.bool_)
            kept[purged_rows(event_ns, end_ns, start, stop, embargo)] = True
            allowed &= kept
        yield np.flatnonzero(allowed), np.concatenate([blocks[k] for k in chosen])


def combinatorial_counts(folds: int, tested: int) -> tuple[int, int]:
    """Return (splits, backtest paths) of a combinatorial k-fold.

    Examples:
        >>> combinatorial_counts(6, 2)
        (15, 5)
    """
    splits = math.comb(folds, tested)
    return splits, splits * tested // folds


def walk_forward(
    event_ns: Rows,
    end_ns: Rows,
    folds: int,
    embargo: int = 0,
    *,
    tested_fraction: float = 0.5,
    validation_fraction: float = 0.2,
) -> Iterator[tuple[Rows, Rows, Rows]]:
    """Yield (train, validation, test): the past grows, each part is purged before the next.

    The newest `tested_fraction` of the rows is cut into as many blocks as there are folds. Of all
    that lies before a block, the newest `validation_fraction` validates and the rest trains, so
    tests never overlap and always lie in the future.
    """
    rows = len(event_ns)
    first = rows - round(rows * tested_fraction)
    for test in np.array_split(np.arange(first, rows), folds):
        test_start = int(test[0])
        validation_start = test_start - round(test_start * validation_fraction)
        train = purged_before(event_ns, end_ns, validation_start, embargo)
        validation = purged_before(event_ns, end_ns, test_start, embargo)
        yield train, validation[validation >= validation_start], test


def holdout_start(rows: int, holdout_fraction: float) -> int:
    """Return the first row of the holdout: the newest part of so many rows."""
    return rows - round(rows * holdout_fraction)


def developed_rows(
    event_ns: Rows, end_ns: Rows, *, holdout_fraction: float, embargo: int = 0
) -> Rows:
    """Return the rows that may be learned from, chosen by and weighed by.

    They lie before the holdout by the embargo, and their labels ended before it began: a label
    that reaches into the holdout knows its prices.
    """
    start = holdout_start(len(event_ns), holdout_fraction)
    return purged_before(event_ns, end_ns, start, embargo)


def segments(
    event_ns: Rows,
    end_ns: Rows,
    *,
    holdout_fraction: float,
    calibration_fraction: float,
    embargo: int = 0,
) -> Segments:
    """Cut rows into training, calibration and holdout, each purged before the next.

    Args:
        event_ns: (n,) in order.
        end_ns: (n,).
        holdout_fraction: newest part of all rows.
        calibration_fraction: newest part of the rest.
        embargo: rows left out before every later segment, beside the purge.

    Raises:
        TrainingRefused: a part would be empty.
    """
    rows = len(event_ns)
    start = holdout_start(rows, holdout_fraction)
    calibration_start = start - round(start * calibration_fraction)
    train = purged_before(event_ns, end_ns, calibration_start, embargo)
    calibration = developed_rows(
        event_ns, end_ns, holdout_fraction=holdout_fraction, embargo=embargo
    )
    found = Segments(
        train=train,
        calibration=calibration[calibration >= calibration_start],
        holdout=np.arange(start, rows),
    )
    for name, part in vars(found).items():
        if len(part) == 0:
            msg = (
                f"{rows} rows leave nothing for the {name} part after purge and embargo: take more"
                " data, a shorter horizon or a smaller embargo"
            )
            raise TrainingRefused(msg)
    return found
