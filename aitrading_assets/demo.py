"""The pipeline in one call, for the demo: the real jobs, run in this process, seen in the UI.

The runs are recorded in the same instance that the webserver shows, so nothing here differs from
what a person or a sensor launches.
"""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import dagster as dg
import numpy as np

from aitrading_assets.definitions import definitions_of
from aitrading_assets.keys import STEPS, asset_key, asset_keys
from aitrading_assets.partitions import SYMBOLS, range_tags
from aitrading_assets.resources import Recipes, recipe_name, recipes_folder
from aitrading_assets.workshop import Workshop
from aitrading_sensors.inbox import ImportIndex
from aitrading_sensors.reasons import first_reason
from ml.backtest.bundle import summary_of
from realtime.history.lake import Lake, Month
from realtime.history.lake_read import read_lake_bars, read_lake_ticks
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.settings import Settings

Progress = Callable[[str, str], None]

_QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
_CLOCKS = ("h1", "m30", "m15", "m5", "m1")  # decided on, coarsest first
_ENOUGH_BARS = 3_000  # of the part that is trained on, for a clock to be chosen
_SECOND_NS = 1_000_000_000
_STATEMENT_MS, _RECYCLE_S, _MORE_CONNECTIONS = 15_000, 3_600, 20
_COUNTS = ("rows_read", "rows_kept", "rows_quarantined", "rows_dropped", "rows_repaired")
_SCORES = ("auc", "log_loss", "prior_log_loss", "beats_prior", "calibration_error")


class PipelineFailed(RuntimeError):
    """A job failed: its first reason, in one line."""


def run_pipeline(
    settings: Settings,
    data_file: Path,
    symbol: str,
    cut_ns: int = 0,
    *,
    ask_bars: bool = False,
    options: Mapping[str, Any] | None = None,
    clock: str = "",
    instance: dg.DagsterInstance | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Bring a file into the lake, build features, train, evaluate, backtest, gate and promote.

    Args:
        settings: of the stack; `symbol` is traded whatever they say.
        data_file: ticks or bars of any format that is read.
        symbol: whose.
        cut_ns: nothing after this is learned from or backtested on, UTC; 0 = all there is.
        ask_bars: bars of the file are of the ask.
        options: what else the file does not say, as in an ``import.toml`` of the inbox.
        clock: whose bars are decided on; empty = the one that the symbol's own configuration names,
            else hours, or minutes where there are too few hours.
        instance: of Dagster; None = the one of ``<var>/dagster``, which the webserver shows.
        progress: told (job, "started" or "done"); None = a line on stderr.

    Returns:
        Plain values: ``bundle_id``, ``bundle_directory``, ``rows``, ``bars``, ``features``,
        ``scores``, ``gates`` (reports by stage), ``promotion``, ``backtest``, ``runs``...

    Raises:
        PipelineFailed: a job failed; nothing was promoted.
    """
    if symbol not in settings.trade:
        settings = replace(settings, trade=(symbol, *settings.trade))
    kept = instance or _pooled(settings.paths.var / "dagster")
    try:
        pipeline = _Pipeline(settings, symbol, kept, progress or _say)
        said = {"ask_bars": ask_bars, **(options or {})}
        return pipeline.run(data_file, cut_ns, said, clock)
    finally:
        if instance is None:
            kept.dispose()


def _pooled(folder: Path) -> dg.DagsterInstance:
    """Return the instance of a folder; it holds connections, as the webserver's does.

    Without, each of some eight hundred queries would open one.
    """
    instance = dg.DagsterInstance.from_config(str(folder))
    instance.optimize_for_webserver(
        statement_timeout=_STATEMENT_MS, pool_recycle=_RECYCLE_S, max_overflow=_MORE_CONNECTIONS
    )
    return instance


def _say(job: str, state: str) -> None:
    sys.stderr.write(f"{job} {state}\n")
    sys.stderr.flush()


class _Pipeline:
    """The three jobs, one after the other."""

    def __init__(
        self,
        settings: Settings,
        symbol: str,
        instance: dg.DagsterInstance,
        progress: Progress,
    ) -> None:
        self._settings = settings
        self._symbol = symbol
        self._instance = instance
        self._progress = progress
        self._recipes = Recipes(folder=recipes_folder(settings))
        given = {"settings": settings, "recipes": self._recipes}
        self._definitions = definitions_of(settings, given)
        self._runs: dict[str, dict[str, Any]] = {}
        self._told: dict[str, Mapping[str, Any]] = {}

    def run(
        self, data_file: Path, cut_ns: int, options: dict[str, Any], clock: str
    ) -> dict[str, Any]:
        symbol, lake = self._symbol, Lake(self._settings.paths.lake)
        files = {"files": {symbol: str(data_file.resolve())}, "options": options}
        self._launch("ingest", {"ops": {"imports": {"config": files}}})
        self._choose_clock(lake, cut_ns, clock)
        months = _months(lake, symbol)
        symbols = self._instance.get_dynamic_partitions(cast("str", SYMBOLS.name))
        first = symbols.index(symbol)
        tags = range_tags(months[0], months[-1], symbols[first : first + 1])
        self._launch("build_features", {}, tags)
        step = asset_key(symbol, "training_set").to_python_identifier()
        until = datetime.fromtimestamp(cut_ns // _SECOND_NS, UTC).isoformat() if cut_ns else ""
        own = asset_keys(symbol)
        self._launch("retrain", {"ops": {step: {"config": {"until": until}}}}, selection=own)
        return self._summary()

    def _launch(
        self,
        name: str,
        config: Mapping[str, Any],
        tags: Mapping[str, str] | None = None,
        selection: list[dg.AssetKey] | None = None,
    ) -> None:
        start_s = time.perf_counter()
        self._progress(name, "started")
        job = self._definitions.resolve_job_def(name)
        result = job.execute_in_process(
            run_config={**config, **_QUIET},
            instance=self._instance,
            raise_on_error=False,
            tags={**(tags or {}), "aitrading/by": "demo"},
            asset_selection=selection,
        )
        if not result.success:
            reason = first_reason(result.filter_events(lambda each: each.is_step_failure))
            msg = f"job {name}: {reason} (run {result.run_id})"
            raise PipelineFailed(msg)
        self._runs[name] = {
            "run_id": result.run_id,
            "seconds": time.perf_counter() - start_s,
            "steps": {
                event.step_key: event.step_success_data.duration_ms / 1e3
                for event in result.get_step_success_events()
            },
        }
        for event in result.get_asset_materialization_events():
            said = event.materialization
            if said.partition is None or "seconds" in said.metadata:  # not of one month only
                values = {key: value.value for key, value in said.metadata.items()}
                self._told[said.asset_key.to_user_string()] = values
        self._progress(name, "done")

    def _choose_clock(self, lake: Lake, cut_ns: int, clock: str) -> None:
        """Leave a configuration with the clock where the symbol has none of its own."""
        path = recipes_folder(self._settings) / recipe_name(self._symbol)
        if path.exists() and not clock:
            return
        chosen = clock or fitting_clock(lake, self._symbol, cut_ns)
        if chosen != self._recipes.clock or path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f'symbol = "{self._symbol}"\nclock = "{chosen}"\n', encoding="utf-8")

    def _summary(self) -> dict[str, Any]:
        """Return plain values: what the demo prints and writes."""
        symbol = self._symbol
        told = {step: self._told[asset_key(symbol, step).to_user_string()] for step in STEPS}
        entries = ImportIndex(self._settings).entries(symbol)
        workshop = Workshop(self._settings, symbol)
        directory, bundle = workshop.bundle()
        evaluation, found = workshop.evaluation(), workshop.backtest()
        return {
            "bundle_id": bundle.id,
            "bundle_directory": str(directory.resolve()),
            "clock": bundle.clock,
            "rows": {
                name.removeprefix("rows_"): sum(int(entry[name]) for entry in entries)
                for name in _COUNTS
            },
            "ticks": self._told["ticks"]["ticks"],
            "bars": self._told["bars"]["bars"],
            "features": len(bundle.features),
            "training_rows": told["training_set"]["rows"],
            "trained_through_ns": bundle.trained_through_ns,
            "evaluated_through_ns": bundle.evaluated_through_ns,
            "scores": {name: getattr(evaluation, name) for name in _SCORES},
            "verdict": evaluation.verdict,
            "backtest": summary_of(found),
            "backtest_report": told["backtest"]["report_file"],
            "gates": {stage: workshop.gate(stage).content() for stage in ("paper", "live")},
            "promotion": dict(told["promotion"]),
            "runs": self._runs,
        }


def fitting_clock(lake: Lake, symbol: str, cut_ns: int) -> str:
    """Return the coarsest clock that gives enough bars to train on; the finest if none does.

    Args:
        lake: with imported bars or ticks of the symbol.
        symbol: whose.
        cut_ns: end of what is trained on; 0 = all.

    Raises:
        LakeEmpty: there are none.
    """
    kinds = sorted(
        (CLOCKS_NS[kind.removeprefix("bars_")], kind)
        for kind in lake.kinds()
        if kind.startswith("bars_")
        and kind.removeprefix("bars_") in CLOCKS_NS
        and lake.months(kind, symbol)
    )
    end_ns = cut_ns or np.iinfo(np.int64).max
    finest_ns = 0
    if lake.months("ticks", symbol) or not kinds:
        parts = [rows["time_ns"] for rows in read_lake_ticks(lake, [symbol], end_ns=end_ns)]
    else:
        finest_ns, kind = kinds[0]
        clock = kind.removeprefix("bars_")
        parts = [read_lake_bars(lake, symbol, clock, end_ns=end_ns)["open_ns"]]
    times_ns = np.concatenate(parts)
    possible = [clock for clock in _CLOCKS if CLOCKS_NS[clock] >= finest_ns]
    for clock in possible:
        if len(np.unique(times_ns // CLOCKS_NS[clock])) >= _ENOUGH_BARS:
            return clock
    return possible[-1] if possible else _CLOCKS[0]


def _months(lake: Lake, symbol: str) -> list[Month]:
    """Return the months that a symbol has data of.

    Raises:
        PipelineFailed: none.
    """
    found = sorted({month for kind in lake.kinds() for month in lake.months(kind, symbol)})
    if not found:
        msg = f"the import left nothing of {symbol} in the lake"
        raise PipelineFailed(msg)
    return found
