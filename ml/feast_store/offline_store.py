"""Feast's offline store over the lake: ASOF joins instead of the stock ones, which fan out.

Feast finds it by ``offline_store: {type: ml.feast_store.offline_store.LakeOfflineStore, lake:
PATH}``. What it answers equals Feast's Dask store, except that entity rows keep their order and
are never merged, and that a feature which is NaN stays apart from a row that is missing (null).
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import polars as pl
from feast import FeatureView, RepoConfig
from feast.data_source import DataSource
from feast.feature_logging import LoggingConfig, LoggingSource
from feast.infra.offline_stores.file_source import FileSource
from feast.infra.offline_stores.offline_store import OfflineStore, RetrievalJob, RetrievalMetadata
from feast.infra.offline_stores.offline_utils import (
    DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL,
    infer_event_timestamp_from_entity_df,
)
from feast.infra.registry.base_registry import BaseRegistry
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.repo_config import FeastConfigBaseModel
from feast.utils import (
    _get_requested_feature_views_to_features_dict,  # pyright: ignore[reportPrivateUsage] (every offline store of Feast takes a request apart with these two)
    _get_requested_on_demand_feature_views,  # pyright: ignore[reportPrivateUsage]
    compute_non_entity_date_range,
)
from numpy.typing import NDArray

from ml.feast_store.ranges import newest_in_range, rows_in_range, saved_rows
from ml.feast_store.retrieval import Found, LakeRetrievalJob, ViewRequest, find
from ml.feast_store.source import FeatureParquetSource
from ml.feature_files import SYMBOL, FeatureFilesError, append_features, stored_symbols
from realtime.history.arrow import pa
from realtime.history.lake import Lake


class LakeOfflineStoreConfig(FeastConfigBaseModel):
    """``offline_store`` of the configuration.

    Attributes:
        type: how Feast finds the class.
        lake: path of the lake.
    """

    type: str = "ml.feast_store.offline_store.LakeOfflineStore"
    lake: str


class LakeOfflineStore(OfflineStore):
    """Reads and writes the feature Parquet of the lake; see `ml.feature_files`."""

    supports_filter_by_created_timestamp = True

    @staticmethod
    def get_historical_features(
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: Any,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 (Feast's signature)
        *,
        filter_by_created_timestamp: bool = False,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return for each entity row the features as they were at its moment.

        Without entity rows: every stored symbol as of `end_date`.

        Raises:
            FeatureFilesError: entity rows as SQL, without a symbol, or without a moment; a view
                that is not over the lake or is not keyed by one symbol.
        """
        lake = _lake(config)
        requests = _requests(
            config, feature_views, feature_refs, registry,
            full=full_feature_names, known_only=filter_by_created_timestamp,
        )  # fmt: skip
        if entity_df is None:
            _, end = compute_non_entity_date_range(feature_views, start_date, end_date)
            entity_df = _every_symbol(lake, requests, end)
        if not isinstance(entity_df, pd.DataFrame):
            msg = "entity rows must be a pandas DataFrame: this offline store has no SQL"
            raise FeatureFilesError(msg)
        time_column = infer_event_timestamp_from_entity_df(dict(cast("Any", entity_df).dtypes))
        entities, asked_us = _in_utc(entity_df, time_column)

        def evaluate() -> tuple[Any, Mapping[str, Found]]:
            found = {
                request.name: find(lake, request, list(_key(entities, request)), asked_us)
                for request in requests
            }
            return _joined(entities, requests, found), found

        keys = [str(name) for name in entities if name != time_column]
        first, last = (asked_us.min(), asked_us.max()) if len(asked_us) else (0, 0)
        on_demand = _on_demand(feature_refs, project, registry)
        return LakeRetrievalJob(
            evaluate,
            full_feature_names=full_feature_names,
            on_demand_feature_views=on_demand,
            metadata=RetrievalMetadata(feature_refs, keys, _moment(first), _moment(last)),
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0917 (Feast's signature)
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> RetrievalJob:
        """Return the newest row of each symbol in a range, both ends included."""
        source = _source(data_source)
        wanted = [*join_key_columns, *feature_name_columns, timestamp_field]
        wanted += [created_timestamp_column] if created_timestamp_column else []
        return LakeRetrievalJob(
            lambda: (newest_in_range(_lake(config), source, wanted, start_date, end_date), {})
        )

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0917 (Feast's signature)
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> RetrievalJob:
        """Return all rows in a range, both ends included; also of a saved dataset."""
        wanted = [*join_key_columns, *feature_name_columns, timestamp_field]
        wanted += [created_timestamp_column] if created_timestamp_column else []
        if isinstance(data_source, FileSource):
            path = Path(data_source.path)
            return LakeRetrievalJob(
                lambda: (saved_rows(path, wanted, timestamp_field, start_date, end_date), {})
            )
        source = _source(data_source)
        return LakeRetrievalJob(
            lambda: (rows_in_range(_lake(config), source, wanted, start_date, end_date), {})
        )

    @staticmethod
    def offline_write_batch(
        config: RepoConfig,
        feature_view: FeatureView,
        table: Any,
        progress: Callable[[int], Any] | None,
    ) -> None:
        """Add rows to the lake, also late ones; see `ml.feature_files.append_features`.

        Raises:
            FeatureFilesError: rows that do not fit the files.
        """
        source = _source(feature_view.batch_source)
        frame = cast("pl.DataFrame", cast("Any", pl).from_arrow(table))
        columns = [name for name, _ in source.get_table_column_names_and_types(config)]
        missing = [name for name in columns if name not in frame.columns]
        if missing:
            msg = f"rows for {source.view}: no column {', '.join(missing)}"
            raise FeatureFilesError(msg)
        moments = (source.timestamp_field, source.created_timestamp_column)
        frame = frame.select(columns).with_columns(
            *(_moments(frame, name) for name in moments),
            pl.col(SYMBOL).cast(pl.String),
            pl.col(source.columns).cast(pl.Float64),
        )
        for (symbol,), rows in frame.group_by(SYMBOL, maintain_order=True):
            append_features(_lake(config), source.view, str(symbol), rows)
            if progress is not None:
                progress(len(rows))

    @staticmethod
    def write_logged_features(
        config: RepoConfig,
        data: Any,
        source: LoggingSource,
        logging_config: LoggingConfig,
        registry: BaseRegistry,
    ) -> None:
        """Refuse: the recorder keeps what was served.

        Raises:
            NotImplementedError: always.
        """
        msg = "features that were served are in the database: the recorder writes them"
        raise NotImplementedError(msg)


def _lake(config: RepoConfig) -> Lake:
    return Lake(cast("LakeOfflineStoreConfig", config.offline_store).lake)


def _moments(frame: pl.DataFrame, column: str) -> pl.Series:
    """Return moments of a push in UTC microseconds; over HTTP they come as text."""
    given = frame[column]
    if given.dtype == pl.String:
        return given.str.to_datetime(time_unit="us", time_zone="UTC")
    return given.cast(pl.Datetime("us", "UTC"))


def _source(source: DataSource | None) -> FeatureParquetSource:
    if not isinstance(source, FeatureParquetSource):
        name = "none" if source is None else f"{source.name} ({type(source).__name__})"
        msg = f"data source {name}: this offline store reads FeatureParquetSource only"
        raise FeatureFilesError(msg)
    return source


def _requests(
    config: RepoConfig,
    views: Sequence[FeatureView],
    refs: Sequence[str],
    registry: BaseRegistry,
    *,
    full: bool,
    known_only: bool,
) -> list[ViewRequest]:
    """Take a request for features apart by view."""
    on_demand = _get_requested_on_demand_feature_views(list(refs), config.project, registry)
    asked, _ = _get_requested_feature_views_to_features_dict(list(refs), list(views), on_demand)
    requests: list[ViewRequest] = []
    for view, columns in asked.items():
        name = view.projection.name_to_use()
        if len(view.entity_columns) != 1:
            msg = f"feature view {name}: must have one entity, the symbol"
            raise FeatureFilesError(msg)
        own = view.entity_columns[0].name
        lifetime = view.ttl
        requests.append(
            ViewRequest(
                name=name,
                view=_source(view.batch_source).view,
                key=view.projection.join_key_map.get(own, own),
                columns=tuple(columns),
                names=tuple(f"{name}__{column}" if full else column for column in columns),
                ttl_us=round(lifetime.total_seconds() * 1e6) if lifetime else None,
                known_only=known_only,
            )
        )
    return requests


def _every_symbol(lake: Lake, requests: Sequence[ViewRequest], at: datetime) -> Any:
    symbols = sorted({name for each in requests for name in stored_symbols(lake, each.view)})
    times = pd.DatetimeIndex([at] * len(symbols), tz=UTC)
    keys = {request.key: symbols for request in requests}
    return pd.DataFrame({DEFAULT_ENTITY_DF_EVENT_TIMESTAMP_COL: times, **keys})


def _in_utc(entities: Any, column: str) -> tuple[Any, NDArray[np.int64]]:
    """Return entity rows with their moments in UTC (naive ones are), and those in microseconds."""
    moments: Any = cast("Any", pd).to_datetime(entities[column], utc=True)
    if moments.isna().any():
        msg = f"entity rows: {column} is missing in {int(moments.isna().sum())}"
        raise FeatureFilesError(msg)
    entities = entities.assign(**{column: moments}).reset_index(drop=True)
    # rounds down: a row created within the same microsecond is not yet there
    naive: NDArray[np.datetime64] = moments.dt.tz_localize(None).to_numpy()
    return entities, np.floor_divide(naive.astype("datetime64[ns]").astype(np.int64), 1_000)


def _on_demand(refs: list[str], project: str, registry: BaseRegistry) -> list[OnDemandFeatureView]:
    return cast("Any", OnDemandFeatureView).get_requested_odfvs(refs, project, registry)


def _key(entities: Any, request: ViewRequest) -> Any:
    if request.key not in entities.columns:
        msg = f"entity rows: no column {request.key}, which feature view {request.name} needs"
        raise FeatureFilesError(msg)
    return entities[request.key]


def _joined(entities: Any, requests: Sequence[ViewRequest], found: Mapping[str, Found]) -> Any:
    """Return entity rows with features beside them; null where a view had no row."""
    table = pa.Table.from_pandas(entities, preserve_index=False).replace_schema_metadata()
    for request in requests:
        got = found[request.name]
        for name, values in zip(request.names, got.values, strict=True):
            table = table.append_column(name, pa.array(values, mask=~got.there))
    return table


def _moment(time_us: int | np.integer) -> datetime:
    return datetime.fromtimestamp(int(time_us) / 1e6, UTC)
