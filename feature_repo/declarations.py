"""What Feast knows of: the symbol, a view for each feature set on its clock, services.

Names::

    entity        symbol
    view          <clock>_<first 8 of the feature set's identity>       h1_4f2a91c0
    batch source  <view>_lake   the feature Parquet of the lake
    push source   <view>_push   where the loop brings what it serves
    service       <SYMBOL>_<clock>                                      EURUSD_h1

A view holds every symbol that is trained on the same features. A changed choice of features, or a
change of the code that computes them, is a new view; services keep their names and follow.
"""

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, PushSource, ValueType
from feast.types import Float64

from ml.config import TrainingConfig
from ml.feast_store.source import FeatureParquetSource
from ml.feature_files import SYMBOL, view_name
from realtime.kernels.features.catalogue import CLOCKS_NS, parse
from realtime.kernels.features.feature_set import FeatureSet

#: A row is what is known until the next one; over weekends and holidays none comes.
LIFETIME = timedelta(days=7)
_LIFETIME_BARS = 3  # of clocks so slow that the above would be no time at all

symbol = Entity(
    name=SYMBOL,
    join_keys=[SYMBOL],
    value_type=ValueType.STRING,
    description="An instrument, by its name at the broker.",
)


def declared(configs: Iterable[TrainingConfig]) -> list[Any]:
    """Return everything to register for the models that are configured.

    Args:
        configs: what is trained; several symbols may share a feature set.
    """
    by_view: dict[str, list[TrainingConfig]] = {}
    for config in configs:
        by_view.setdefault(view_name(config.clock, config.feature_set), []).append(config)
    found: list[Any] = [symbol]
    for name, sharing in by_view.items():
        feature_set, clock = sharing[0].feature_set, sharing[0].clock
        view = feature_view(name, clock, feature_set, [config.symbol for config in sharing])
        found += [view.stream_source, view]
        found += [service(config, view) for config in sharing]
    return found


def feature_view(
    name: str, clock: str, feature_set: FeatureSet, symbols: Sequence[str]
) -> FeatureView:
    """Return the view of a feature set on a clock, with its sources.

    Args:
        name: of the view, see `ml.feature_files.view_name`.
        clock: whose finished bars make the rows.
        feature_set: the columns.
        symbols: who uses it, for people.
    """
    lake = FeatureParquetSource(
        view=name,
        columns=feature_set.columns,
        description=f"Feature Parquet of the lake: features/{name}",
    )
    push = PushSource(
        name=f"{name}_push",
        batch_source=lake,
        description="Rows that the loop served, as they were.",
    )
    return FeatureView(
        name=name,
        entities=[symbol],
        ttl=max(LIFETIME, timedelta(microseconds=_LIFETIME_BARS * CLOCKS_NS[clock] // 1_000)),
        schema=[_field(column) for column in feature_set.columns],
        source=push,
        description=f"{len(feature_set.columns)} features at the end of every {clock} bar.",
        tags={
            "clock": clock,
            "feature_set": feature_set.identity,
            "symbols": ",".join(sorted(symbols)),
        },
    )


def service(config: TrainingConfig, view: FeatureView) -> FeatureService:
    """Return what a model of this configuration reads."""
    return FeatureService(
        name=service_name(config.symbol, config.clock),
        features=[view],
        description=f"What models of {config.symbol} on {config.clock} see.",
        tags={"view": view.name, "symbol": config.symbol, "clock": config.clock},
    )


def service_name(symbol: str, clock: str) -> str:
    """Return the name of the service for a symbol's models on a clock."""
    return f"{symbol}_{clock}"


def _field(column: str) -> Field:
    output = parse(column).output
    return Field(
        name=column,
        dtype=Float64,
        description=output.description,
        tags={"unit": output.unit},
    )
