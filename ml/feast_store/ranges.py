"""Rows of a view by range of time: what materialising and saved datasets read."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import polars as pl

from ml.feast_store.source import FeatureParquetSource
from ml.feature_files import (
    CREATED,
    EVENT,
    SYMBOL,
    FeatureFilesError,
    read_features,
    stored_months,
    stored_symbols,
)
from realtime.history.lake import Lake, Month


def newest_in_range(
    lake: Lake, source: FeatureParquetSource, columns: Sequence[str], start: datetime, end: datetime
) -> Any:
    """Return the newest row of each symbol with ``start <= event <= end``, as an Arrow table.

    Months are read from the newest backwards and only until a row is found, so the length of the
    range costs nothing.
    """
    start, end = _utc(start), _utc(end)
    found: list[pl.DataFrame] = []
    for symbol in stored_symbols(lake, source.view):
        for month in reversed(_months(lake, source, symbol, start, end)):
            rows = _rows(lake, source, symbol, [month], start, end)
            if len(rows):
                found.append(rows.tail(1))
                break
    return _table(found, source, columns)


def rows_in_range(
    lake: Lake,
    source: FeatureParquetSource,
    columns: Sequence[str],
    start: datetime | None,
    end: datetime | None,
) -> Any:
    """Return all rows with ``start <= event <= end``, symbol by symbol, as an Arrow table."""
    start = None if start is None else _utc(start)
    end = None if end is None else _utc(end)
    found: list[pl.DataFrame] = []
    for symbol in stored_symbols(lake, source.view):
        months = _months(lake, source, symbol, start, end)
        found.append(_rows(lake, source, symbol, months, start, end))
    return _table([rows for rows in found if len(rows)], source, columns)


def saved_rows(
    path: Path,
    columns: Sequence[str],
    time_column: str,
    start: datetime | None,
    end: datetime | None,
) -> Any:
    """Return rows of a saved dataset; a column that it was not saved with is left out.

    Raises:
        FeatureFilesError: it cannot be read.
    """
    try:
        frame = pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        msg = f"{path}: cannot be read as a saved dataset ({error})"
        raise FeatureFilesError(msg) from error
    rows = frame.filter(_within(frame, time_column, start, end))
    # Labels and other columns of the entity rows are part of what was saved.
    wanted = [name for name in columns if name in rows.columns]
    others = [name for name in rows.columns if name not in wanted]
    return cast("Any", rows.select(*wanted, *others)).to_arrow()


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _months(
    lake: Lake,
    source: FeatureParquetSource,
    symbol: str,
    start: datetime | None,
    end: datetime | None,
) -> list[Month]:
    first = None if start is None else Month(start.year, start.month)
    last = None if end is None else Month(end.year, end.month)
    return [
        month
        for month in stored_months(lake, source.view, symbol)
        if (first is None or first <= month) and (last is None or month <= last)
    ]


def _rows(
    lake: Lake,
    source: FeatureParquetSource,
    symbol: str,
    months: Sequence[Month],
    start: datetime | None,
    end: datetime | None,
) -> pl.DataFrame:
    frame = read_features(lake, source.view, symbol, months=months, columns=source.columns)
    return frame.filter(_within(frame, EVENT, start, end))


def _within(
    frame: pl.DataFrame, column: str, start: datetime | None, end: datetime | None
) -> pl.Series:
    kept = pl.Series([True]).new_from_index(0, len(frame))
    if start is not None:
        kept &= frame[column] >= start
    if end is not None:
        kept &= frame[column] <= end
    return kept


def _table(
    found: Sequence[pl.DataFrame], source: FeatureParquetSource, columns: Sequence[str]
) -> Any:
    """Return rows as one chunk: Feast writes only the first chunk of a table online."""
    if found:
        frame = pl.concat(found)
    else:
        moment = pl.Datetime("us", "UTC")
        keys = {EVENT: moment, CREATED: moment, SYMBOL: pl.String}
        frame = pl.DataFrame(schema={**keys, **dict.fromkeys(source.columns, pl.Float64)})
    chosen: Any = frame.select(columns).rechunk()
    return chosen.to_arrow(compat_level=pl.CompatLevel.oldest()).combine_chunks()
