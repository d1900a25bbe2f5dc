"""How the work is cut: market data by symbol and month, models by symbol.

Symbols are dynamic: whatever is imported appears. Market data up to the labels are cut by symbol
and month; a run covers one such partition or, in a backfill, any range of them at once. Models are
assets of their symbol and need no partition.
"""

import warnings
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import dagster as dg

from realtime.history.lake import Month

if TYPE_CHECKING:
    Result = dg.MaterializeResult[Any]
else:
    Result = dg.MaterializeResult  # Dagster looks for exactly this annotation

FIRST_MONTH = "2000-01"
SYMBOL, MONTH = "symbol", "month"

SYMBOLS = dg.DynamicPartitionsDefinition(name="symbols")
MONTHS = dg.TimeWindowPartitionsDefinition(
    start=FIRST_MONTH, fmt="%Y-%m", cron_schedule="0 0 1 * *", end_offset=1
)
SYMBOL_MONTHS = dg.MultiPartitionsDefinition({SYMBOL: SYMBOLS, MONTH: MONTHS})


def partitioned(
    make: Callable[..., Any], by: dg.PartitionsDefinition[Any], **arguments: Any
) -> Callable[[Callable[..., Any]], dg.AssetsDefinition]:
    """Return an asset decorator whose backfills are one run over all partitions chosen.

    Args:
        make: ``dagster.asset`` or ``dagster.multi_asset``.
        by: `SYMBOLS` or `SYMBOL_MONTHS`.
        arguments: of `make`.
    """

    def decorate(compute: Callable[..., Any]) -> dg.AssetsDefinition:
        with warnings.catch_warnings():
            # The policy is "beta" in the releases that we pin, and says so once for each asset.
            warnings.simplefilter("ignore", dg.BetaWarning)
            policy = dg.BackfillPolicy.single_run()
            return make(partitions_def=by, backfill_policy=policy, **arguments)(compute)

    return decorate


def month_of_key(key: str) -> Month:
    """Return the month of a partition key such as ``"2017-01"``."""
    year, month = key.split("-")
    return Month(int(year), int(month))


def month_key(symbol: str, month: Month) -> dg.MultiPartitionKey:
    """Return the partition of a symbol's month."""
    return dg.MultiPartitionKey({SYMBOL: symbol, MONTH: str(month)})


@dataclass(frozen=True, kw_only=True)
class Scope:
    """What one run works on.

    Attributes:
        symbols: in order, each once.
        months: those asked for by symbol; None = all.
    """

    symbols: tuple[str, ...]
    months: Mapping[str, frozenset[Month]] | None = None

    def wants(self, symbol: str, month: Month) -> bool:
        """Tell whether a symbol's month belongs to the run."""
        if self.months is None:
            return symbol in self.symbols
        return month in self.months.get(symbol, frozenset())

    def only(self, symbol: str, months: Iterable[Month]) -> list[Month]:
        """Return those of a symbol's months that belong to the run, in order."""
        return [month for month in sorted(months) if self.wants(symbol, month)]


def scope_of(context: dg.AssetExecutionContext, otherwise: Collection[str]) -> Scope:
    """Return what a run works on: the partitions it was launched with, or `otherwise` whole.

    Args:
        context: of the asset.
        otherwise: symbols of a run without partitions.
    """
    if not (context.has_partition_key or context.has_partition_key_range):
        return Scope(symbols=tuple(dict.fromkeys(otherwise)))
    keys = context.partition_keys
    months: dict[str, set[Month]] = {}
    for key in keys:
        if not isinstance(key, dg.MultiPartitionKey):
            months.setdefault(key, set())
            continue
        parts = key.keys_by_dimension
        months.setdefault(parts[SYMBOL], set()).add(month_of_key(parts[MONTH]))
    if not any(months.values()):
        return Scope(symbols=tuple(months))
    frozen = {symbol: frozenset(some) for symbol, some in months.items()}
    return Scope(symbols=tuple(months), months=frozen)


class Ledger:
    """Tells Dagster what a run did, partition by partition.

    Dagster notes each partition that a run was launched with by itself, and copies what an asset
    returns to all of them. So numbers go to their own partition, and what describes the whole run,
    plots among it, to one only. An import is launched without partitions: those that it
    wrote are noted here.
    """

    def __init__(self, context: dg.AssetExecutionContext, asset: str) -> None:
        self._context = context
        self._key = dg.AssetKey(asset)
        named = context.has_partition_key or context.has_partition_key_range
        self._partitions = list(context.partition_keys) if named else []

    def tell(self, partition: str, metadata: Mapping[str, Any], *, changed: bool) -> None:
        """Note what a partition holds now, and whether this run changed it."""
        if not self._partitions:
            if changed:
                event = dg.AssetMaterialization(self._key, partition=partition, metadata=metadata)
                self._context.log_event(event)
        elif changed and partition in self._partitions:
            self._add(metadata, partition)

    def result(
        self, metadata: Mapping[str, Any], checks: Sequence[dg.AssetCheckResult] = ()
    ) -> Result:
        """Return what the asset returns."""
        if not self._partitions:
            return dg.MaterializeResult(
                asset_key=self._key, metadata=metadata, check_results=list(checks)
            )
        self._add(metadata, _shown(self._partitions))
        return dg.MaterializeResult(asset_key=self._key, check_results=list(checks))

    def _add(self, metadata: Mapping[str, Any], partition: str) -> None:
        self._context.add_asset_metadata(
            dict(metadata), asset_key=self._key, partition_key=partition
        )


def _shown(partitions: Sequence[str]) -> str:
    """Return the partition whose event Dagster writes last, which its pages show as the latest.

    It writes them in the order of a set of the keys; were that to change, the summary of a backfill
    would stand on another of its partitions.
    """
    return list({*partitions})[-1]


def know_symbols(instance: dg.DagsterInstance, symbols: Iterable[str]) -> None:
    """Make partitions of symbols that have none yet."""
    name = cast("str", SYMBOLS.name)
    known = set(instance.get_dynamic_partitions(name))
    missing = [symbol for symbol in dict.fromkeys(symbols) if symbol not in known]
    if missing:
        instance.add_dynamic_partitions(name, missing)


def range_tags(first: Month, last: Month, symbols: Sequence[str]) -> dict[str, str]:
    """Return the tags of a run over months of symbols.

    Args:
        first: month.
        last: month, inclusive.
        symbols: in the order in which the instance knows them; those between the first and the last
            belong to the run.
    """
    return {
        "dagster/asset_partition_range_start": str(month_key(symbols[0], first)),
        "dagster/asset_partition_range_end": str(month_key(symbols[-1], last)),
    }
