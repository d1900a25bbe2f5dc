"""Feast's data source over a view's feature Parquet in the lake."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

from feast import RepoConfig, ValueType
from feast.data_source import DataSource
from feast.protos.feast.core.DataSource_pb2 import DataSource as DataSourceProto
from feast.type_map import pa_to_feast_value_type

from ml.feature_files import CREATED, EVENT, SYMBOL, read_table, stored_months, stored_symbols
from realtime.history.lake import Lake


class FeatureParquetSource(DataSource):
    """The files ``<lake>/features/<view>``; which lake, the offline store's configuration says.

    Args:
        view: folder under ``features``; see `ml.feature_files.view_name`.
        columns: features, in order.
        name: of the source; by default ``<view>_lake``.
        description: for people.
        tags: for people.
        owner: for people.
    """

    def __init__(
        self,
        *,
        view: str,
        columns: Sequence[str],
        name: str = "",
        description: str = "",
        tags: Mapping[str, str] | None = None,
        owner: str = "",
    ) -> None:
        super().__init__(
            name=name or f"{view}_lake",
            timestamp_field=EVENT,
            created_timestamp_column=CREATED,
            description=description,
            tags=dict(tags or {}),
            owner=owner,
        )
        self.view = view
        self.columns = tuple(columns)

    def __eq__(self, other: object) -> bool:
        """Return whether name, view, columns and what the base compares are the same."""
        if not isinstance(other, FeatureParquetSource):
            return False
        same = (self.view, self.columns) == (other.view, other.columns)
        return same and bool(cast("Any", DataSource).__eq__(self, other))

    def __hash__(self) -> int:
        return hash((self.name, self.view))

    def source_type(self) -> DataSourceProto.SourceType.ValueType:
        """Return that Feast did not ship it."""
        return DataSourceProto.CUSTOM_SOURCE

    @staticmethod
    def from_proto(data_source: DataSourceProto) -> "FeatureParquetSource":
        """Read what `to_proto` wrote."""
        said = cast("dict[str, Any]", json.loads(data_source.custom_options.configuration))
        return FeatureParquetSource(
            view=said["view"],
            columns=said["columns"],
            name=data_source.name,
            description=data_source.description,
            tags=dict(data_source.tags),
            owner=data_source.owner,
        )

    def _to_proto_impl(self) -> DataSourceProto:
        said = json.dumps({"view": self.view, "columns": self.columns})
        options = DataSourceProto.CustomSourceOptions(configuration=said.encode())
        return DataSourceProto(
            name=self.name,
            type=DataSourceProto.CUSTOM_SOURCE,
            data_source_class_type=f"{__name__}.{type(self).__name__}",
            custom_options=options,
            timestamp_field=self.timestamp_field,
            created_timestamp_column=self.created_timestamp_column,
            description=self.description,
            tags=self.tags,
            owner=self.owner,
        )

    def validate(self, config: RepoConfig) -> None:
        """Check that the newest file of each symbol has the columns; nothing stored is fine.

        Raises:
            FeatureFilesError: a file is damaged or lacks a column.
        """
        lake = Lake(cast("Any", config.offline_store).lake)
        for symbol in stored_symbols(lake, self.view):
            months = stored_months(lake, self.view, symbol)
            if months:
                read_table(lake, self.view, symbol, months[-1], [EVENT, CREATED, *self.columns])

    @staticmethod
    def source_datatype_to_feast_value_type() -> Callable[[str], ValueType]:
        """Return the function that reads `get_table_column_names_and_types`."""
        return pa_to_feast_value_type

    def get_table_column_names_and_types(self, config: RepoConfig) -> Iterable[tuple[str, str]]:
        """Return columns and Arrow types as the files have them, stored or not."""
        del config
        moment = "timestamp[us, tz=UTC]"
        keys = ((EVENT, moment), (CREATED, moment), (SYMBOL, "string"))
        return (*keys, *((name, "double") for name in self.columns))
