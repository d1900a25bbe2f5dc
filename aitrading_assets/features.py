"""Features: the live kernels folded over all ticks, so that every bit is the loop's."""

import time
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from aitrading_assets.feature_checks import (
    Comparison,
    compared,
    equal_to_live,
    proven,
    warm_ticks,
)
from aitrading_assets.feed import Feed, feed_of, with_ticks
from aitrading_assets.lake_files import frames_by_month, tick_files
from aitrading_assets.partitions import (
    SYMBOL_MONTHS,
    Ledger,
    Result,
    Scope,
    month_key,
    partitioned,
    scope_of,
)
from aitrading_assets.plots import range_plot
from aitrading_assets.resources import Recipes
from aitrading_assets.tables import table
from ml.config import TrainingConfig
from ml.feature_files import (
    KEYS,
    partition,
    read_features,
    stored_months,
    view_name,
    write_features,
)
from ml.features import feature_rows
from realtime.history.lake import Lake
from realtime.settings import Settings

_PREFIX, _PARITY = "no_look_ahead", "equal_to_the_live_step"
_CUT = 0.6  # of the ticks: what is known then must not change when the rest arrives
_CUT_TICKS = 2_000_000  # at most, or as many again as it takes until everything is warm
EVENT = "event_timestamp"


@dataclass(frozen=True, kw_only=True)
class Folded:
    """The features of one symbol, as they lie in the lake.

    Attributes:
        symbol: whose.
        view: folder.
        frame: rows of all months.
        written: months that changed.
        ahead: beside what a shorter history gives.
        apart: beside what the live step gives.
    """

    symbol: str
    view: str
    frame: pl.DataFrame
    written: int
    ahead: Comparison
    apart: Comparison


@partitioned(
    dg.asset,
    SYMBOL_MONTHS,
    group_name="features",
    kinds={"numba", "parquet"},
    deps=["ticks", "bars"],
    check_specs=[
        dg.AssetCheckSpec(
            _PREFIX,
            asset="features",
            blocking=True,
            description="Features of a history that ends earlier are a prefix of those stored.",
        ),
        dg.AssetCheckSpec(
            _PARITY,
            asset="features",
            blocking=True,
            description="The live step, called once a tick, gives the bits that are stored.",
        ),
    ],
)
def features(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recipes: dg.ResourceParam[Recipes],
) -> Result:
    """Features of every decision moment: one row a finished bar of the deciding clock."""
    start_s = time.perf_counter()
    lake = Lake(settings.paths.lake)
    scope = scope_of(context, settings.trade)
    ledger = Ledger(context, "features")
    folded: list[Folded] = []
    for symbol in with_ticks(lake, scope.symbols):
        config = recipes.of(symbol)
        folded.append(_fold(lake, feed_of(settings, config), config, scope, ledger))
    metadata: dict[str, Any] = {
        "rows": sum(each.frame.height for each in folded),
        "symbols": table([_row(each) for each in folded]),
        "seconds": time.perf_counter() - start_s,
    }
    for each in folded:
        metadata[f"columns_{each.symbol}"] = table(_columns(each.frame))
        metadata[f"plot_{each.symbol}"] = _plot(each)
    return ledger.result(metadata, _judged(folded))


def _fold(lake: Lake, feed: Feed, config: TrainingConfig, scope: Scope, ledger: Ledger) -> Folded:
    """Fold, write the months asked for, and look at what is stored then."""
    view, symbol = view_name(config.clock, config.feature_set), config.symbol
    sources = tick_files(lake, feed.symbols)
    frame = fold_features(lake, feed, config)
    written = 0
    for month, part in frames_by_month(frame):
        if not scope.wants(symbol, month):
            continue
        before = _digest(lake, view, symbol, str(month))
        before_its_end = [each for each in sources if each.month <= str(month)]
        after = write_features(lake, view, symbol, month, part, before_its_end)
        changed = after.sha256 != before
        written += changed
        told = {"rows": after.rows, "sha256": after.sha256}
        ledger.tell(month_key(symbol, month), told, changed=changed)
    stored = read_features(lake, view, symbol)
    ticks, days = feed.ticks(lake), feed.days(lake)
    warm = warm_ticks(stored, ticks)
    behind = (min(len(ticks), warm + _CUT_TICKS) - warm) // 2
    cut = max(min(int(len(ticks) * _CUT), _CUT_TICKS), warm + behind)
    early = feature_rows(
        ticks[:cut], config.feature_set, config.clock, symbol,
        days=days, row=feed.row, rows=feed.rows,
    )  # fmt: skip
    return Folded(
        symbol=symbol,
        view=view,
        frame=stored,
        written=written,
        ahead=proven(stored, compared(stored, early)),
        apart=equal_to_live(stored, ticks, feed, days, config),
    )


def fold_features(lake: Lake, feed: Feed, config: TrainingConfig) -> pl.DataFrame:
    """Return the features of all ticks in the lake."""
    return feature_rows(
        feed.chunks(lake), config.feature_set, config.clock, config.symbol,
        days=feed.days(lake), row=feed.row, rows=feed.rows,
    )  # fmt: skip


def _digest(lake: Lake, view: str, symbol: str, month: str) -> str:
    known = {str(each) for each in stored_months(lake, view, symbol)}
    return partition(lake, view, symbol, month).sha256 if month in known else ""


def _row(folded: Folded) -> dict[str, object]:
    frame = folded.frame
    return {
        "symbol": folded.symbol,
        "view": folded.view,
        "rows": frame.height,
        "warm rows": frame.drop(KEYS).drop_nans().height,
        "features": len(frame.columns) - len(KEYS),
        "first": str(frame[EVENT].min()),
        "last": str(frame[EVENT].max()),
        "months written": folded.written,
    }


def _columns(frame: pl.DataFrame) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for name in frame.columns:
        if name in KEYS:
            continue
        values = frame[name].to_numpy()
        warm = values[np.isfinite(values)]
        rows.append(
            {
                "feature": name,
                "not warm": len(values) - len(warm),
                "mean": float(warm.mean()) if len(warm) else float("nan"),
                "deviation": float(warm.std()) if len(warm) else float("nan"),
                "least": float(warm.min(initial=np.inf)),
                "most": float(warm.max(initial=-np.inf)),
            }
        )
    return rows


def _plot(folded: Folded) -> dg.MarkdownMetadataValue:
    names: list[str] = []
    quantiles: list[list[float]] = []
    for name in folded.frame.columns:
        if name in KEYS:
            continue
        values = folded.frame[name].to_numpy()
        warm = values[np.isfinite(values)]
        if len(warm) and warm.std() > 0:
            names.append(name)
            scaled = (warm - warm.mean()) / warm.std()
            quantiles.append(np.quantile(scaled, [0.01, 0.25, 0.5, 0.75, 0.99]).tolist())
    title = f"{folded.symbol}: 1%, 25%, 50%, 75%, 99% of each feature, in standard deviations"
    return range_plot(title, names, quantiles)


def _judged(folded: list[Folded]) -> list[dg.AssetCheckResult]:
    by_check = {
        _PREFIX: {each.symbol: each.ahead for each in folded},
        _PARITY: {each.symbol: each.apart for each in folded},
    }
    results: list[dg.AssetCheckResult] = []
    for name, found in by_check.items():
        rows: list[dict[str, object]] = [
            {
                "symbol": k,
                "rows compared": v.rows,
                "fewest numbers of a feature": min(v.numbers.values(), default=0),
                "first difference": v.difference or "none",
            }
            for k, v in found.items()
        ]
        differences = [each.difference for each in found.values() if each.difference]
        results.append(
            dg.AssetCheckResult(
                check_name=name,
                passed=not differences,
                metadata={
                    "symbols": table(rows),
                    "rows": sum(each.rows for each in found.values()),
                },
                description="; ".join(differences),
            )
        )
    return results
