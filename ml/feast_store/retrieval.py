"""Reading point-in-time rows out of the lake, symbol by symbol, and Feast's job that hands them on.

A symbol's months are read, searched and let go before the next symbol's: memory is the result plus
one symbol.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from feast.errors import SavedDatasetLocationAlreadyExists
from feast.infra.offline_stores.file_source import SavedDatasetFileStorage
from feast.infra.offline_stores.offline_store import RetrievalJob, RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.saved_dataset import SavedDatasetStorage
from numpy.typing import NDArray

from ml.feast_store.asof import NEVER, newest_rows
from ml.feature_files import (
    CREATED,
    EVENT,
    FeatureFilesError,
    Partition,
    read_partition,
    stored_months,
)
from realtime.history.arrow import pa, pq
from realtime.history.lake import Lake, Month, month_of

_NO_TIME = np.iinfo(np.int64).min  # the row time of an entity row that found none


@dataclass(frozen=True, kw_only=True)
class ViewRequest:
    """What is asked of one feature view.

    Attributes:
        name: of the view in results with full feature names.
        view: folder of its files.
        key: column of the entity rows that names the symbol.
        columns: features, in order.
        names: what they are called in the result.
        ttl_us: age after which a row counts as none; None for no limit.
        known_only: leave out rows that were created after the moment asked.
    """

    name: str
    view: str
    key: str
    columns: tuple[str, ...]
    names: tuple[str, ...]
    ttl_us: int | None
    known_only: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a view had for entity rows.

    Attributes:
        values: (features, rows) float64; NaN also where no row was found.
        row_times_us: (rows,) event of the row found.
        there: (rows,) whether one was found.
        partitions: the files that were read, in order of symbol and month.
    """

    values: NDArray[np.float64]
    row_times_us: NDArray[np.int64]
    there: NDArray[np.bool_]
    partitions: tuple[Partition, ...]


def find(
    lake: Lake, request: ViewRequest, symbols: Sequence[Any], asked_us: NDArray[np.int64]
) -> Found:
    """Search a view's files.

    Args:
        lake: where.
        request: what.
        symbols: (rows,) names; anything but text has no features.
        asked_us: (rows,) moments, UTC microseconds.

    Raises:
        FeatureFilesError: a file is damaged or lacks a column.
    """
    rows = len(asked_us)
    values = np.full((len(request.columns), rows), np.nan)
    times = np.full(rows, _NO_TIME, np.int64)
    there = np.zeros(rows, np.bool_)
    read: list[Partition] = []
    codes, names = cast("Any", pd).factorize(np.asarray(symbols, dtype=object))
    order = np.argsort(codes, kind="stable")
    edges = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for code, symbol in enumerate(names):
        mine = order[edges[code] : edges[code + 1]]
        if not isinstance(symbol, str):
            continue
        months = _months(lake, request, symbol, asked_us[mine])
        if not months:
            continue
        columns = [EVENT, CREATED, *request.columns]
        parts = [read_partition(lake, request.view, symbol, month, columns) for month in months]
        table = pa.concat_tables([part for part, _ in parts])
        read += [partition for _, partition in parts]
        events = _microseconds(table, EVENT)
        found = newest_rows(
            events,
            _microseconds(table, CREATED),
            asked_us[mine],
            ttl_us=request.ttl_us,
            known_only=request.known_only,
        )
        got = found >= 0
        to, at = mine[got], found[got]
        there[to], times[to] = True, events[at]
        for i, column in enumerate(request.columns):
            values[i, to] = table.column(column).to_numpy()[at]
    return Found(values=values, row_times_us=times, there=there, partitions=tuple(sorted(read)))


def _months(
    lake: Lake, request: ViewRequest, symbol: str, asked_us: NDArray[np.int64]
) -> list[Month]:
    """Return the months that can hold a row for the moments asked."""
    last = month_of(int(asked_us.max()) * 1_000)
    stored = [month for month in stored_months(lake, request.view, symbol) if month <= last]
    if request.ttl_us is None:
        return stored
    first = month_of((int(asked_us.min()) - request.ttl_us) * 1_000)
    return [month for month in stored if month >= first]


def _microseconds(table: Any, column: str) -> NDArray[np.int64]:
    moments = table.column(column).cast(pa.timestamp("us", "UTC")).cast(pa.int64())
    return moments.fill_null(int(NEVER)).to_numpy()


class LakeRetrievalJob(RetrievalJob):
    """Feast's handle on a result that is worked out when it is asked for, once.

    Args:
        evaluate: returns the Arrow table, and what each view had.
        full_feature_names: whether names carry their view's.
        on_demand_feature_views: that Feast computes on top.
        metadata: what was asked.
    """

    def __init__(
        self,
        evaluate: Callable[[], tuple[Any, Mapping[str, Found]]],
        *,
        full_feature_names: bool = False,
        on_demand_feature_views: Sequence[OnDemandFeatureView] = (),
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        self._evaluate = evaluate
        self._evaluated: tuple[Any, Mapping[str, Found]] | None = None
        self._full_feature_names = full_feature_names
        self._on_demand_feature_views = list(on_demand_feature_views)
        self._metadata = metadata

    @property
    def full_feature_names(self) -> bool:
        """Whether names carry their view's."""
        return self._full_feature_names

    @property
    def on_demand_feature_views(self) -> list[OnDemandFeatureView]:
        """What Feast computes on top."""
        return self._on_demand_feature_views

    @property
    def metadata(self) -> RetrievalMetadata | None:
        """What was asked."""
        return self._metadata

    @property
    def found(self) -> Mapping[str, Found]:
        """What each view had, by its name: times of the rows, files read."""
        return self._result()[1]

    def _result(self) -> tuple[Any, Mapping[str, Found]]:
        if self._evaluated is None:
            self._evaluated = self._evaluate()
        return self._evaluated

    def _to_arrow_internal(self, timeout: int | None = None) -> Any:
        del timeout  # reading files ends by itself
        return self._result()[0]

    def _to_df_internal(self, timeout: int | None = None) -> pd.DataFrame:
        return self._to_arrow_internal(timeout).to_pandas()

    def persist(
        self,
        storage: SavedDatasetStorage,
        allow_overwrite: bool = False,  # noqa: FBT001, FBT002 (Feast's signature)
        timeout: int | None = None,
    ) -> None:
        """Write the result to a Parquet file, at once and whole.

        Raises:
            FeatureFilesError: `storage` is not a local file.
            SavedDatasetLocationAlreadyExists: it is there and may not be overwritten.
        """
        path = local_file(storage)
        if path.exists() and not allow_overwrite:
            raise SavedDatasetLocationAlreadyExists(location=str(path))
        buffer = pa.BufferOutputStream()
        table = cast("Any", self).to_arrow(timeout=timeout)
        pq.write_table(table, buffer, write_page_checksum=True)
        lake = Lake(path.parent)
        lake.put(str(path), buffer.getvalue().to_pybytes())


def local_file(storage: object) -> Path:
    """Return the path of a saved dataset.

    Raises:
        FeatureFilesError: it is not a Parquet file on a disk.
    """
    uri = storage.file_options.uri if isinstance(storage, SavedDatasetFileStorage) else ""
    if not uri.endswith(".parquet") or "://" in uri:
        msg = (
            "this offline store saves datasets as Parquet files on a disk only: use"
            ' SavedDatasetFileStorage(path=".../name.parquet")'
        )
        raise FeatureFilesError(msg)
    return Path(uri).absolute()
