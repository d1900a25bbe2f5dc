"""Gates and promotion of one symbol's bundle: nothing trades that has not passed."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from aitrading_assets.backtests import until
from aitrading_assets.feed import feed_of
from aitrading_assets.keys import asset_key
from aitrading_assets.partitions import Result
from aitrading_assets.resources import Recipes, tracking_of
from aitrading_assets.tables import code, table
from aitrading_sensors.champions import champions_of
from realtime.history.lake import Lake
from realtime.history.report import utc_text
from realtime.settings import Settings

if TYPE_CHECKING:
    from aitrading_assets.workshop import Workshop
    from ml.config import TrainingConfig
    from ml.gates import GateReport
    from realtime.champion import Champion

GROUP = "promotion"
_STAGES = ("paper", "live")
_EXPERIMENT = "aitrading"


class PromotionConfig(dg.Config):
    """What to promote to.

    Attributes:
        stage: ``"paper"``, or ``"shadow"``; ``"live"`` is a person's command, not a job's.
        again: announce the bundle even if it is the champion already.
    """

    stage: str = "paper"
    again: bool = False


def gates_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/gates``."""
    key = asset_key(symbol, "gates")

    @dg.asset(
        key=key,
        group_name=GROUP,
        deps=[asset_key(symbol, step) for step in ("evaluation", "backtest")],
        check_specs=[
            dg.AssetCheckSpec(
                f"{stage}_gate",
                asset=key,
                description=f"Every required check of the {stage} gate passed.",
            )
            for stage in _STAGES
        ],
        description="What the bundle must show before it may trade paper money, and money.",
    )
    def gates(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        recipes: dg.ResourceParam[Recipes],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)

        start_s = time.perf_counter()
        recipe, workshop = recipes.of(symbol), Workshop(settings, symbol)
        reports = _reports(settings, recipe, workshop)
        workshop.keep_gates(reports)
        _write(workshop, recipe, reports, {"dagster_run_id": context.run.run_id})
        metadata: dict[str, Any] = {
            "bundle": workshop.bundle()[1].id,
            **{report.stage: code(report.text()) for report in reports},
            **{f"{report.stage}_passed": report.passed for report in reports},
            "seconds": time.perf_counter() - start_s,
        }
        return dg.MaterializeResult(
            metadata=metadata, check_results=[_judged(report) for report in reports]
        )

    return gates


def _reports(
    settings: Settings, recipe: "TrainingConfig", workshop: "Workshop"
) -> "tuple[GateReport, GateReport]":
    from ml.gates import live_gate, paper_gate  # noqa: PLC0415 (xgboost: three seconds)
    from ml.leaks import feature_prefix  # noqa: PLC0415 (see above)

    frame, prepared = workshop.training_set()
    trained, evaluation = workshop.model(), workshop.evaluation()
    _, bundle = workshop.bundle()
    feed, lake = feed_of(settings, recipe), Lake(settings.paths.lake)
    ticks = until(feed.ticks(lake), prepared.until_ns)
    prefix = feature_prefix(ticks, recipe, days=feed.days(lake), row=feed.row, rows=feed.rows)
    paper = paper_gate(trained, evaluation, frame, recipe, prefix=prefix)
    live = live_gate(
        trained,
        evaluation,
        recipe,
        paper=paper,
        bundle=bundle.id,
        backtest=workshop.backtest(),
        earlier=earlier_trials(settings.paths.var / "models", recipe),
    )
    return paper, live


def earlier_trials(folder: Path, recipe: "TrainingConfig") -> list[float]:
    """Return the Sharpe ratios of all candidates that other configurations ever tried.

    Whoever changes a configuration until it looks good has tried all of them: they count as trials
    of the one that is left, however many models were thrown away.

    Args:
        folder: of all bundles.
        recipe: the configuration at hand, whose own trials are known.
    """
    by_config: dict[str, list[float]] = {}
    for path in sorted(folder.glob("*/bundle.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if (content["symbol"], content["clock"]) != (recipe.symbol, recipe.clock):
            continue
        training = content["training"]
        ratios = [float(trial["net_sharpe_a_bar"]) for trial in training.get("trials", ())]
        by_config[str(training.get("config"))] = ratios
    by_config.pop(recipe.fingerprint, None)
    return [ratio for ratios in by_config.values() for ratio in ratios]


def _write(
    workshop: "Workshop",
    recipe: "TrainingConfig",
    reports: "tuple[GateReport, ...]",
    training: dict[str, Any],
) -> Path:
    """Write the bundle again with its gates and the training's record; its id stays."""
    from ml.bundle import write_bundle  # noqa: PLC0415 (xgboost: three seconds)

    directory, before = workshop.bundle()
    _, prepared = workshop.training_set()
    gates = {report.stage: report.content() for report in reports}
    after = write_bundle(directory, workshop.model(), recipe, prepared.partitions, gates, training)
    assert after.id == before.id
    return directory


def _judged(report: "GateReport") -> dg.AssetCheckResult:
    rows: list[dict[str, object]] = [
        {
            "check": each.name,
            "passed": each.passed,
            "required": each.required,
            "value": each.value,
            "threshold": each.threshold,
        }
        for each in report.checks
    ]
    return dg.AssetCheckResult(
        check_name=f"{report.stage}_gate",
        passed=report.passed,
        severity=dg.AssetCheckSeverity.WARN,  # a model that is not good enough is no failure
        metadata={"checks": table(rows)},
        description="; ".join(report.refusals),
    )


def promotion_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/promotion``."""
    key = asset_key(symbol, "promotion")

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"mlflow"},
        deps=[asset_key(symbol, "gates")],
        description="The champion that the loop follows: MLflow's registry, then NATS.",
    )
    def promotion(
        context: dg.AssetExecutionContext,
        config: PromotionConfig,
        settings: dg.ResourceParam[Settings],
        recipes: dg.ResourceParam[Recipes],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.registry import promote  # noqa: PLC0415 (xgboost: three seconds)

        start_s = time.perf_counter()
        workshop = Workshop(settings, symbol)
        directory, bundle = workshop.bundle()
        paper = workshop.gate("paper")
        if config.stage == "paper" and not paper.passed:
            context.log.warning("%s is not promoted: %s", bundle.id, "; ".join(paper.refusals))
            reasons = code("\n".join(paper.refusals))
            return dg.MaterializeResult(
                metadata={"promoted": False, "bundle": bundle.id, "refused": reasons}
            )
        present = next(iter(champions_of(settings, [symbol])), None)
        is_champion = present is not None and present.bundle_id == bundle.id
        if present is not None and is_champion and not config.again:
            told = {"promoted": False, "note": "the champion already, the same bytes"}
            return dg.MaterializeResult(metadata={**told, **_said(present)})
        recorded = _record(context.run.run_id, settings, recipes.of(symbol), workshop, config.stage)
        champion = promote(settings, directory, config.stage, f"dagster run {context.run.run_id}")
        context.log.info("%s is the champion of %s (%s)", bundle.id, symbol, config.stage)
        metadata: dict[str, Any] = {
            "promoted": True,
            **_said(champion),
            "before": "nothing" if present is None else present.bundle_id,
            **recorded,
            "seconds": time.perf_counter() - start_s,
        }
        return dg.MaterializeResult(metadata=metadata)

    return promotion


def _record(
    run_id: str,
    settings: Settings,
    recipe: "TrainingConfig",
    workshop: "Workshop",
    stage: str,
) -> dict[str, Any]:
    """Record the training in MLflow and point the stage's alias at its new version."""
    from ml.backtest.bundle import summary_of  # noqa: PLC0415 (xgboost: three seconds)
    from ml.tracking import log_bundle, log_to_mlflow, model_name, register  # noqa: PLC0415

    tracking = tracking_of(settings)
    reports = (workshop.gate("paper"), workshop.gate("live"))
    directory, bundle = workshop.bundle()
    report = settings.paths.var / "reports" / f"{bundle.id}.html"
    found = {f"backtest_{k}": v for k, v in summary_of(workshop.backtest()).items()}
    mlflow_run_id = log_to_mlflow(
        tracking.uri,
        _EXPERIMENT,
        workshop.model(),
        workshop.evaluation(),
        recipe,
        gates=reports,
        numbers=found,
        tags={"bundle_id": bundle.id, "dagster_run_id": run_id},
        artifacts=[report] if report.exists() else [],
        artifact_location=tracking.artifacts,
    )
    training: dict[str, Any] = {"dagster_run_id": run_id, "mlflow_run_id": mlflow_run_id}
    _write(workshop, recipe, reports, training)
    log_bundle(tracking.uri, mlflow_run_id, directory)
    version = register(
        tracking.uri,
        mlflow_run_id,
        recipe.symbol,
        recipe.clock,
        alias=stage,
        tags={"bundle_id": bundle.id},
    )
    _write(workshop, recipe, reports, {**training, "model_version": version})
    name = model_name(recipe.symbol, recipe.clock)
    return {"mlflow_run_id": mlflow_run_id, "registered": f"{name} version {version} ({stage})"}


def _said(champion: "Champion") -> dict[str, Any]:
    return {
        "bundle": champion.bundle_id,
        "stage": champion.stage,
        "since": utc_text(champion.promoted_ns),
        "by": champion.by,
        "sha256": champion.sha256,
    }
