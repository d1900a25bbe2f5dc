"""Training sets: labelled moments with the features as they were then, through Feast.

``get_historical_features`` is the only way from feature files to a model. It may not look ahead:
every row it returns is checked against the start of its label.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.errors import LearningError
from ml.feature_files import EVENT, MOMENT, SYMBOL, Partition

if TYPE_CHECKING:
    from feast import FeatureStore

LABEL_END = "label_end"
_NAN = np.float64("nan").tobytes()


class DatasetError(LearningError):
    """Labels and features that cannot become a training set."""


class LookAhead(DatasetError):
    """A row would know more than the moment that its label starts from."""


@dataclass(frozen=True, kw_only=True)
class TrainingSet:
    """What a model is trained on.

    Attributes:
        frame: ordered by moment and symbol: ``event_timestamp``, ``symbol``, the other columns of
            the labels, then the features in the order asked for, float64 and finite.
        features: their names.
        view: feature view they came from.
        dropped: rows left out, by reason: ``no_row`` (no features within the view's time to
            live), ``not_warm`` (some were NaN).
        older: rows of `frame` whose features are of an earlier moment than their label, though
            within the time to live: none where features exist at every decision.
        oldest_us: the largest such difference, microseconds.
        fingerprint: hash of the frame's content (hex SHA-256).
        partitions: the feature files that were read, in order.
    """

    frame: pl.DataFrame
    features: tuple[str, ...]
    view: str
    dropped: Mapping[str, int]
    older: int
    oldest_us: int
    fingerprint: str
    partitions: tuple[Partition, ...]


def training_set(
    store: "FeatureStore",
    labels: pl.DataFrame,
    *,
    view: str,
    features: Sequence[str],
    known_only: bool = True,
) -> TrainingSet:
    """Put features beside labels, as of the moment that each label starts from.

    Args:
        store: see `ml.feast_store.repository.feature_store`; the view is registered.
        labels: ``event_timestamp`` (UTC: the moment of decision, from which the label looks
            forward), ``symbol``, and what else is to be carried along, such as ``label`` and
            ``label_end``. Each moment of a symbol once.
        view: feature view; see `ml.feature_files.view_name`.
        features: its columns, in the order that the model sees.
        known_only: leave out corrections that came after the moment.

    Raises:
        LookAhead: features newer than the start of their label, or a label that ends before.
        DatasetError: no rows, rows twice, columns of one name, infinite features.
        FeatureFilesError: a file is damaged or lacks a column.
    """
    rows = _checked_labels(labels, features)
    references = [f"{view}:{name}" for name in features]
    job: Any = store.get_historical_features(
        entity_df=rows.to_pandas(), features=references, filter_by_created_timestamp=known_only
    )
    table: Any = job.to_arrow()
    joined = cast("pl.DataFrame", cast("Any", pl).from_arrow(table))
    found = job.found[view]
    if len(joined) != len(rows) or not joined[SYMBOL].equals(rows[SYMBOL]):
        msg = f"{view}: Feast returned other rows than it was asked for"
        raise DatasetError(msg)
    _check_times(rows, found)
    frame = pl.concat([rows, joined.select(features)], how="horizontal")
    warm, dropped = _complete(frame, features, found.there, view)
    kept = frame.filter(pl.Series(warm)).with_columns(pl.col(features).cast(pl.Float64))
    ages_us = (rows[EVENT].to_physical().to_numpy() - found.row_times_us)[warm]
    return TrainingSet(
        frame=kept,
        features=tuple(features),
        view=view,
        dropped=dropped,
        older=int(np.count_nonzero(ages_us)),
        oldest_us=int(ages_us.max(initial=0)),
        fingerprint=fingerprint(kept),
        partitions=found.partitions,
    )


def fingerprint(frame: pl.DataFrame) -> str:
    """Return a hash of names, types and values (hex SHA-256); the order of rows and columns counts.

    One NaN is like another, a missing value is like none.
    """
    digest = hashlib.sha256()
    for column in frame.iter_columns():
        digest.update(f"{column.name}\n{column.dtype}\n{len(column)}\n".encode())
        digest.update(column.is_null().to_numpy().tobytes())
        filled = column.drop_nulls()
        if filled.dtype.is_float():
            values = filled.to_numpy().astype(np.float64)
            digest.update(np.where(np.isnan(values), np.frombuffer(_NAN)[0], values).tobytes())
        elif filled.dtype.is_numeric() or filled.dtype.is_temporal():
            digest.update(filled.to_physical().to_numpy().astype(np.int64).tobytes())
        else:
            digest.update("\0".join(filled.cast(pl.String).to_list()).encode())
    return digest.hexdigest()


def _checked_labels(labels: pl.DataFrame, features: Sequence[str]) -> pl.DataFrame:
    """Return labels ordered by moment and symbol, moments in UTC microseconds."""
    missing = [name for name in (EVENT, SYMBOL) if name not in labels.columns]
    if missing or not len(labels):
        what = f"no column {', '.join(missing)}" if missing else "no rows"
        msg = f"labels: {what}; see ml.labels.label_rows"
        raise DatasetError(msg)
    if not features or len(set(features)) < len(features):
        msg = "features: name at least one, each once"
        raise DatasetError(msg)
    both = [name for name in features if name in labels.columns]
    if both:
        msg = f"labels and features share the names {', '.join(both)}"
        raise DatasetError(msg)
    kind = labels.schema[EVENT]
    if not isinstance(kind, pl.Datetime) or kind.time_zone is None or labels[EVENT].null_count():
        msg = f"labels: {EVENT} must be moments with a time zone in every row, not {kind}"
        raise DatasetError(msg)
    if (
        kind.time_unit == "ns"
        and labels.select((pl.col(EVENT).dt.nanosecond() % 1_000).sum()).item()
    ):
        msg = f"labels: {EVENT} is finer than a microsecond, which features are not"
        raise DatasetError(msg)
    rows = labels.with_columns(pl.col(EVENT).cast(MOMENT), pl.col(SYMBOL).cast(pl.String))
    if rows.select(pl.struct(EVENT, SYMBOL).is_duplicated().any()).item():
        msg = f"labels: a {SYMBOL} has two rows of the same {EVENT}"
        raise DatasetError(msg)
    others = [name for name in rows.columns if name not in (EVENT, SYMBOL)]
    return rows.select(EVENT, SYMBOL, *others).sort(EVENT, SYMBOL)


def _check_times(rows: pl.DataFrame, found: Any) -> None:
    """Refuse features from after a label's start, and labels that look backwards."""
    start_us = rows[EVENT].to_physical().to_numpy()
    late = found.there & (found.row_times_us > start_us)
    if late.any():
        i = int(np.flatnonzero(late)[0])
        msg = (
            f"look-ahead in {int(late.sum())} rows: the features of {rows[SYMBOL][i]} at"
            f" {rows[EVENT][i]} are newer than the label's start"
        )
        raise LookAhead(msg)
    if LABEL_END in rows.columns:
        backwards = rows.filter(pl.col(LABEL_END) <= pl.col(EVENT))
        if len(backwards):
            msg = (
                f"look-ahead in {len(backwards)} rows: the label of {backwards[SYMBOL][0]} at"
                f" {backwards[EVENT][0]} ends before it starts"
            )
            raise LookAhead(msg)


def _complete(
    frame: pl.DataFrame, features: Sequence[str], there: Any, view: str
) -> tuple[NDArray[np.bool_], dict[str, int]]:
    """Return which rows have all of their features, and how many have not and why.

    A model is never asked about a row with a NaN, so it does not learn from one either.
    """
    numbers = frame.select(pl.col(features).cast(pl.Float64))
    infinite = [c.name for c in numbers.iter_columns() if c.is_infinite().any()]
    if infinite:
        msg = f"{view}: infinite values in {', '.join(infinite)}: a feature never is; report it"
        raise DatasetError(msg)
    warm = numbers.select(pl.all_horizontal(pl.all().is_not_nan().fill_null(value=False)))
    warm = warm.to_series().to_numpy()
    no_row, not_warm = int((~there).sum()), int((there & ~warm).sum())
    if not warm.any():
        msg = (
            f"{view}: none of {len(frame)} labelled moments has features ({no_row} without a row,"
            f" {not_warm} not warm): build the features of their months"
        )
        raise DatasetError(msg)
    return warm, {"no_row": no_row, "not_warm": not_warm}
