"""Leaks: features that know the future, and features that are the label under another name."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.config import TrainingConfig
from ml.evaluation.scores import rank_correlation
from ml.features import feature_rows, times_ns_of
from ml.training import TrainingRows
from realtime.kernels.features.catalogue import CLOCKS_NS, parse

CUTS = 4
_COMPARED_BARS = 400  # of the deciding clock, behind the last feature's first number
_DAY_NS = 86_400_000_000_000


@dataclass(frozen=True, kw_only=True)
class PrefixReport:
    """Whether what was computed changes when the future is cut off.

    Attributes:
        cuts: how many histories were compared.
        rows: rows compared, all cuts together.
        changed: columns that differed in any of them.
        cold: columns of which not one number was compared: NaN equals NaN and proves nothing.
        least_numbers: numbers compared of the column with the fewest, all cuts together.
    """

    cuts: int
    rows: int
    changed: tuple[str, ...]
    cold: tuple[str, ...] = ()
    least_numbers: int = 0

    @property
    def passed(self) -> bool:
        """Nothing changed, and something was compared of every column."""
        return self.rows > 0 and not self.changed and not self.cold

    @property
    def text(self) -> str:
        """What was found, in one line."""
        if self.changed:
            return f"change when the future is cut off: {', '.join(self.changed)}"
        if self.rows == 0:
            return "no row could be compared: give more ticks"
        if self.cold:
            return (
                f"never warm, so not one number could be compared: {', '.join(self.cold)}; give"
                " more ticks"
            )
        return (
            f"{self.rows:,} rows over {self.cuts} cut histories came out the same, at least"
            f" {self.least_numbers:,} numbers of every feature"
        )


def prefix_invariance(
    compute: Callable[[NDArray[np.void]], NDArray[np.float64]],
    history: NDArray[np.void],
    columns: Sequence[str],
    cuts: int = CUTS,
    *,
    first: int = 0,
) -> PrefixReport:
    """Compute features again over histories cut short; every row must come out the same.

    Finds what looks ahead in any way: shifts, centred windows, statistics of the whole sample,
    values filled from behind.

    Args:
        compute: from a history to (rows, columns), rows in order of time.
        history: (n,) any array that can be cut.
        columns: names of what `compute` returns.
        cuts: how many; they are spread over the history.
        first: no cut is before this record: where every column has numbers.
    """
    whole = compute(history)
    changed: set[str] = set()
    compared, numbers = 0, np.zeros(len(columns), np.int64)
    for k in range(1, cuts + 1):
        part = compute(history[: first + (len(history) - first) * k // (cuts + 1)])
        compared += len(part)
        numbers += np.isfinite(part).sum(axis=0)
        for at, name in enumerate(columns):
            same = part[:, at].tobytes() == whole[: len(part), at].tobytes()
            if not same:
                changed.add(name)
    return PrefixReport(
        cuts=cuts,
        rows=compared,
        changed=tuple(name for name in columns if name in changed),
        cold=tuple(name for name, count in zip(columns, numbers, strict=True) if count == 0),
        least_numbers=int(numbers.min(initial=compared)),
    )


def feature_prefix(
    ticks: NDArray[np.void],
    config: TrainingConfig,
    *,
    days: NDArray[np.void] | None = None,
    row: int = 0,
    rows: Sequence[int] = (),
    cuts: int = CUTS,
) -> PrefixReport:
    """Check the features of a configuration on the newest part of its own ticks.

    The part is as long as all features need to have numbers, and some bars more: how many ticks
    that is, the market decides. Arguments as of `ml.features.feature_rows`.
    """

    def fold(part: NDArray[np.void]) -> pl.DataFrame:
        return feature_rows(
            part, config.feature_set, config.clock, config.symbol, days=days, row=row, rows=rows
        )

    def compute(part: NDArray[np.void]) -> NDArray[np.float64]:
        return fold(part).drop("event_timestamp", "symbol").to_numpy()

    part, first = _warm_part(ticks, fold, _needed_ns(config))
    return prefix_invariance(compute, part, config.features, cuts, first=first)


def _needed_ns(config: TrainingConfig) -> int:
    """Return a time in which features become warm and some bars more are finished."""
    warm_up = config.feature_set.warm_up
    longest_ns = max(CLOCKS_NS[parse(name).clock] * bars for name, bars in warm_up.items())
    open_ns = longest_ns + _COMPARED_BARS * CLOCKS_NS[config.clock]
    return open_ns * 7 // 5 + 2 * _DAY_NS  # markets that close at the weekend, and one of these


def _warm_part(
    ticks: NDArray[np.void], fold: Callable[[NDArray[np.void]], pl.DataFrame], needed_ns: int
) -> tuple[NDArray[np.void], int]:
    """Return (newest ticks, place of the first after which every column has had a number).

    The part is doubled until that place leaves enough rows behind it, or there are no more ticks;
    then the place is 0 if some column never had a number.
    """
    times_ns = ticks["time_ns"]
    while True:
        start = int(np.searchsorted(times_ns, int(times_ns[-1]) - needed_ns)) if len(ticks) else 0
        frame = fold(ticks[start:])
        numbers = np.isfinite(frame.drop("event_timestamp", "symbol").to_numpy())
        warm = bool(numbers.any(axis=0).all()) and len(numbers) > 0
        last = int(numbers.argmax(axis=0).max()) if warm else len(numbers)
        if start == 0 or len(numbers) - last > _COMPARED_BARS:
            break
        needed_ns *= 2
    if not warm:
        return ticks[start:], 0
    known_ns = int(times_ns_of(frame["event_timestamp"])[last])
    return ticks[start:], int(np.searchsorted(times_ns[start:], known_ns, side="right"))


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
