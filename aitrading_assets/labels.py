"""Labels: what became of the price after each decision, by the triple-barrier kernel."""

import hashlib
import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import dagster as dg
import numpy as np
import polars as pl

from aitrading_assets.feed import Feed, feed_of, with_ticks
from aitrading_assets.lake_files import frames_by_month, read_frames, write_frame
from aitrading_assets.partitions import (
    SYMBOL_MONTHS,
    Ledger,
    Result,
    month_key,
    partitioned,
    scope_of,
)
from aitrading_assets.plots import bar_plot
from aitrading_assets.resources import Recipes
from aitrading_assets.tables import table
from ml.config import TrainingConfig
from ml.feature_files import read_features, view_name
from ml.labels import ACROSS_A_HOLE, label_rows
from realtime.history.lake import Lake
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.settings import Settings

_FUTURE = "outcomes_lie_in_the_future"
_CLOSED_NS = 5 * 86_400_000_000_000  # the longest that markets are closed at a stretch


@partitioned(
    dg.asset,
    SYMBOL_MONTHS,
    group_name="labels",
    kinds={"numba", "parquet"},
    deps=["ticks", "features"],
    check_specs=[
        dg.AssetCheckSpec(
            _FUTURE,
            asset="labels",
            blocking=True,
            description="Every label was known after its decision, none twice, all are 0 or 1.",
        )
    ],
)
def labels(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recipes: dg.ResourceParam[Recipes],
) -> Result:
    """Label every decision moment: which barrier the price reached first.

    The newest decisions have no label yet: their horizon lies beyond the data.
    """
    start_s = time.perf_counter()
    lake = Lake(settings.paths.lake)
    scope = scope_of(context, settings.trade)
    ledger, made = Ledger(context, "labels"), dict[str, pl.DataFrame]()
    left_out = dict[str, Counter[str]]()
    for symbol in with_ticks(lake, scope.symbols):
        config = recipes.of(symbol)
        lost = left_out.setdefault(symbol, Counter[str]())
        frame = label_symbol(lake, feed_of(settings, config), config, lost)
        made[symbol] = frame
        for month, part in frames_by_month(frame):
            if not scope.wants(symbol, month):
                continue
            changed = write_frame(lake, labels_kind(config), symbol, month, part)
            told = {"labels": part.height, "up": float(np.asarray(part["label"]).mean())}
            ledger.tell(month_key(symbol, month), told, changed=changed)
    metadata: dict[str, Any] = {
        "labels": sum(frame.height for frame in made.values()),
        "across_holes": sum(each[ACROSS_A_HOLE] for each in left_out.values()),
        "symbols": table([_row(symbol, frame, left_out[symbol]) for symbol, frame in made.items()]),
        "seconds": time.perf_counter() - start_s,
    }
    for symbol, frame in made.items():
        if frame.height:
            metadata[f"plot_{symbol}"] = _plot(symbol, frame)
    return ledger.result(metadata, [_judged(list(made.values()))])


def labels_kind(config: TrainingConfig) -> str:
    """Return the folder of the lake with labels of a configuration: another one, another folder."""
    view = view_name(config.clock, config.feature_set)
    said = json.dumps(asdict(config.label), sort_keys=True)
    return f"labels/{view}_{hashlib.sha256(said.encode()).hexdigest()[:8]}"


def label_reach_ns(config: TrainingConfig) -> int:
    """Return for how long after a decision its label may still change, weekends included."""
    return config.label.horizon_bars * CLOCKS_NS[config.clock] * 3 // 2 + _CLOSED_NS


def label_symbol(
    lake: Lake, feed: Feed, config: TrainingConfig, left_out: Counter[str] | None = None
) -> pl.DataFrame:
    """Label all decisions of a symbol whose features are in the lake.

    Args:
        lake: where from.
        feed: of the symbol.
        config: barriers and symbol.
        left_out: counts decisions without a label because data are missing.

    Raises:
        LakeEmpty: there are no ticks.
    """
    view = view_name(config.clock, config.feature_set)
    features = read_features(lake, view, config.symbol)
    return label_rows(
        feed.chunks(lake), features, config,
        row=feed.row, days=feed.days(lake), left_out=left_out,
    )  # fmt: skip


def stored_labels(lake: Lake, config: TrainingConfig) -> pl.DataFrame | None:
    """Return a symbol's labels in order of time, or None if there are none."""
    return read_frames(lake, labels_kind(config), config.symbol)


def _row(symbol: str, frame: pl.DataFrame, left_out: Counter[str]) -> dict[str, object]:
    empty = frame.height == 0
    ends, starts = frame["label_end"].dt.epoch("us"), frame["event_timestamp"].dt.epoch("us")
    hours = np.asarray(ends - starts) / 3.6e9
    return {
        "symbol": symbol,
        "labels": frame.height,
        "up": float("nan") if empty else float(np.asarray(frame["label"]).mean()),
        ACROSS_A_HOLE: left_out[ACROSS_A_HOLE],
        "median hours to the outcome": float("nan") if empty else float(np.median(hours)),
        "mean move": float("nan")
        if empty
        else float(np.abs(np.asarray(frame["label_return"])).mean()),
    }


def _plot(symbol: str, frame: pl.DataFrame) -> dg.MarkdownMetadataValue:
    parts = [(str(month), np.asarray(part["label"])) for month, part in frames_by_month(frame)]
    title = f"{symbol}: share of labels that went up, by month"
    names, shares = [name for name, _ in parts], [float(up.mean()) for _, up in parts]
    return bar_plot(title, names, {"up": shares}, level=0.5)


def _judged(frames: Sequence[pl.DataFrame]) -> dg.AssetCheckResult:
    early = repeated = strange = 0
    for frame in frames:
        events = frame["event_timestamp"]
        early += int((frame["label_end"] <= events).sum())
        repeated += int(events.is_duplicated().sum())
        strange += frame.filter(~pl.col("label").is_in([0, 1])).height
    return dg.AssetCheckResult(
        check_name=_FUTURE,
        passed=early + repeated + strange == 0,
        metadata={"known too early": early, "twice": repeated, "neither 0 nor 1": strange},
    )
