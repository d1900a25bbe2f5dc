"""Leaks: features that know the future, and features that are the label under another name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ml.config import TrainingConfig
from ml.evaluation.scores import rank_correlation
from ml.features import feature_rows
from ml.training import TrainingRows

CUTS = 4
_LONGEST_TICKS = 200_000


@dataclass(frozen=True, kw_only=True)
class PrefixReport:
    """Whether what was computed changes when the future is cut off.

    Attributes:
        cuts: how many histories were compared.
        rows: rows compared, all cuts together.
        changed: columns that differed in any of them.
    """

    cuts: int
    rows: int
    changed: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Nothing changed, and something was compared."""
        return self.rows > 0 and not self.changed


def prefix_invariance(
    compute: Callable[[NDArray[np.void]], NDArray[np.float64]],
    history: NDArray[np.void],
    columns: Sequence[str],
    cuts: int = CUTS,
) -> PrefixReport:
    """Compute features again over histories cut short; every row must come out the same.

    Finds what looks ahead in any way: shifts, centred windows, statistics of the whole sample,
    values filled from behind.

    Args:
        compute: from a history to (rows, columns), rows in order of time.
        history: (n,) any array that can be cut.
        columns: names of what `compute` returns.
        cuts: how many; they are spread over the history.
    """
    whole = compute(history)
    changed: set[str] = set()
    compared = 0
    for k in range(1, cuts + 1):
        part = compute(history[: len(history) * k // (cuts + 1)])
        compared += len(part)
        for at, name in enumerate(columns):
            same = part[:, at].tobytes() == whole[: len(part), at].tobytes()
            if not same:
                changed.add(name)
    found = tuple(name for name in columns if name in changed)
    return PrefixReport(cuts=cuts, rows=compared, changed=found)


def feature_prefix(
    ticks: NDArray[np.void],
    config: TrainingConfig,
    *,
    days: NDArray[np.void] | None = None,
    row: int = 0,
    rows: Sequence[int] = (),
    cuts: int = CUTS,
) -> PrefixReport:
    """Check the features of a configuration on (the newest part of) its own ticks.

    Arguments as of `ml.features.feature_rows`.
    """

    def compute(part: NDArray[np.void]) -> NDArray[np.float64]:
        frame = feature_rows(
            part, config.feature_set, config.clock, config.symbol, days=days, row=row, rows=rows
        )
        return frame.drop("event_timestamp", "symbol").to_numpy()

    return prefix_invariance(compute, ticks[-_LONGEST_TICKS:], config.features, cuts)


def information_coefficients(
    data: TrainingRows, columns: Sequence[str], rows: NDArray[np.int64]
) -> dict[str, float]:
    """Return each column's rank correlation with the label or its return, whichever is larger.

    Args:
        data: training rows.
        columns: names of the features.
        rows: which rows to look at.
    """
    targets = (data.sample.labels[rows], data.label_return[rows])
    found: dict[str, float] = {}
    for at, name in enumerate(columns):
        values = data.values[rows, at]
        found[name] = max((rank_correlation(values, each) for each in targets), key=abs)
    return found


def copied_labels(coefficients: Mapping[str, float], threshold: float) -> tuple[str, ...]:
    """Return the columns that know too much to be honest."""
    return tuple(name for name, value in coefficients.items() if abs(value) > threshold)
