"""Gates and promotion of one symbol's bundle: nothing trades that has not passed."""

import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from aitrading_assets.backtests import until
from aitrading_assets.feed import feed_of
from aitrading_assets.keys import asset_key
from aitrading_assets.partitions import Result
from aitrading_assets.resources import Recipes, tracking_of
from aitrading_assets.tables import code, table
from realtime.bundle import BundleError
from realtime.history.lake import Lake
from realtime.history.report import utc_text
from realtime.settings import Settings

if TYPE_CHECKING:
    from aitrading_assets.workshop import Workshop
    from ml.config import TrainingConfig
    from ml.gates import GateReport
    from ml.ledger import Ledger
    from ml.standing import Objection
    from realtime.champion import Champion

GROUP = "promotion"
_STAGES = ("paper", "live")
_EXPERIMENT = "aitrading"


class PromotionConfig(dg.Config):
    """What to promote to.

    Attributes:
        stage: ``"paper"``, or ``"shadow"``; ``"live"`` is a person's command, not a job's.
        again: announce the bundle even if it is the champion already, or was rolled away from.
        demote: announce it even if the champion is of a higher stage.
    """

    stage: str = "paper"
    again: bool = False
    demote: bool = False


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
        from ml.bundle import noted  # noqa: PLC0415 (see above)
        from ml.ledger import Ledger  # noqa: PLC0415 (see above)

        start_s = time.perf_counter()
        workshop, ledger = Workshop(settings, symbol), Ledger(settings.paths.var, symbol)
        recipe = _judged_by(workshop.model().config, recipes.of(symbol))
        reports = _reports(settings, recipe, workshop, ledger)
        directory, bundle = workshop.bundle()
        said = {report.stage: report.content() for report in reports}
        after = noted(directory, said, {"dagster_run_id": context.run.run_id})
        for report in reports:
            ledger.record_gate(bundle.id, after.gates[report.stage])
        workshop.keep_gates(reports, bundle.id)
        metadata: dict[str, Any] = {
            "bundle": bundle.id,
            **{report.stage: code(report.text()) for report in reports},
            **{f"{report.stage}_passed": report.passed for report in reports},
            **_warned(context, symbol, recipes.of(symbol), recipe, ledger),
            "seconds": time.perf_counter() - start_s,
        }
        return dg.MaterializeResult(
            metadata=metadata, check_results=[_judged(report) for report in reports]
        )

    return gates


def _judged_by(trained_with: "TrainingConfig", today: "TrainingConfig") -> "TrainingConfig":
    """Return what a model is judged by: today's thresholds on the recipe that it was trained with.

    A recipe that was edited since is another model's.
    """
    return replace(trained_with, gates=today.gates)


def _warned(
    context: dg.AssetExecutionContext,
    symbol: str,
    today: "TrainingConfig",
    recipe: "TrainingConfig",
    ledger: "Ledger",
) -> dict[str, Any]:
    """Say what a person should know of the judgement, if anything."""
    notes: list[str] = []
    if today != recipe:
        model = asset_key(symbol, "model").to_user_string()
        notes.append(
            f"the recipe of {symbol} was edited after the training and was not used: materialise"
            f" {model} to train with it"
        )
    if ledger.damaged:
        notes.append(
            f"{ledger.path}: {ledger.damaged} lines were cut off while they were written and are"
            " not counted"
        )
    for note in notes:
        context.log.warning("%s", note)
    return {"notes": "; ".join(notes)} if notes else {}


def _reports(
    settings: Settings, recipe: "TrainingConfig", workshop: "Workshop", ledger: "Ledger"
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
        earlier=ledger.earlier(trained),
        looks=ledger.looks(trained),
    )
    return paper, live


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
        description="The champion that the loop follows: on record in MLflow, announced in NATS.",
    )
    def promotion(
        context: dg.AssetExecutionContext,
        config: PromotionConfig,
        settings: dg.ResourceParam[Settings],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.bundle import twins  # noqa: PLC0415 (see above)
        from ml.registry import promote, standing_of  # noqa: PLC0415 (xgboost: three seconds)

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
        standing = standing_of(settings, symbol)
        objection = standing.objection(
            twins(directory), config.stage, demote=config.demote, again=config.again
        )
        if objection is not None:
            note = _note(objection, directory, config.stage)
            context.log.info("%s is not promoted: %s", bundle.id, note)
            present = standing.present
            held = {} if present is None else _said(present) | _aligned(context, settings, present)
            return dg.MaterializeResult(metadata={"promoted": False, "note": note, **held})
        recorded = _record(context.run.run_id, settings, workshop)
        champion = promote(
            settings,
            directory,
            config.stage,
            f"dagster run {context.run.run_id}",
            demote=config.demote,
            again=config.again,
        )
        context.log.info("%s is the champion of %s (%s)", bundle.id, symbol, config.stage)
        before = standing.present
        metadata: dict[str, Any] = {
            "promoted": True,
            **_said(champion),
            "before": "nothing" if before is None else before.bundle_id,
            **recorded,
            **_aligned(context, settings, champion),
            "seconds": time.perf_counter() - start_s,
        }
        return dg.MaterializeResult(metadata=metadata)

    return promotion


def _aligned(
    context: dg.AssetExecutionContext, settings: Settings, champion: "Champion"
) -> dict[str, Any]:
    """Let MLflow's alias follow; the loop does already, so trouble here is no failed promotion."""
    from ml.aliases import align  # noqa: PLC0415 (xgboost: three seconds)
    from ml.errors import RegistryRefused  # noqa: PLC0415 (see above)

    try:
        moved = align(settings, champion)
    except (RegistryRefused, BundleError) as error:
        context.log.warning("%s; the next run, or the sensor promotion_alert, tries again", error)
        moved = f"behind: {error}"
    return {"alias": moved} if moved else {}


def _note(objection: "Objection", directory: Path, stage: str) -> str:
    """Say why the champion stays, and what to type for another one."""
    if objection.same:
        return objection.said
    command = f"python -m ml promote {directory} --stage {stage}"
    command = f"{command} --demote" if objection.higher else command
    return f"{objection.said}; a person may: {command}"


def _record(run_id: str, settings: Settings, workshop: "Workshop") -> dict[str, Any]:
    """Record the training in MLflow as a new version, and name it in the bundle.

    The alias stays where it is: it follows once the champion is announced, never before.
    """
    from ml.backtest.bundle import summary_of  # noqa: PLC0415 (xgboost: three seconds)
    from ml.bundle import noted  # noqa: PLC0415 (see above)
    from ml.tracking import log_bundle, log_to_mlflow, model_name, register  # noqa: PLC0415

    tracking = tracking_of(settings)
    directory, bundle = workshop.bundle()
    report = settings.paths.var / "reports" / f"{bundle.id}.html"
    found = {f"backtest_{k}": v for k, v in summary_of(workshop.backtest()).items()}
    trained = workshop.model()
    mlflow_run_id = log_to_mlflow(
        tracking.uri,
        _EXPERIMENT,
        trained,
        workshop.evaluation(),
        trained.config,
        gates=(workshop.gate("paper"), workshop.gate("live")),
        numbers=found,
        tags={"bundle_id": bundle.id, "dagster_run_id": run_id},
        artifacts=[report] if report.exists() else [],
        artifact_location=tracking.artifacts,
    )
    noted(directory, {}, {"dagster_run_id": run_id, "mlflow_run_id": mlflow_run_id})
    log_bundle(tracking.uri, mlflow_run_id, directory)
    version = register(
        tracking.uri, mlflow_run_id, bundle.symbol, bundle.clock, tags={"bundle_id": bundle.id}
    )
    noted(directory, {}, {"model_version": version})
    name = model_name(bundle.symbol, bundle.clock)
    return {"mlflow_run_id": mlflow_run_id, "registered": f"{name} version {version}"}


def _said(champion: "Champion") -> dict[str, Any]:
    return {
        "bundle": champion.bundle_id,
        "stage": champion.stage,
        "since": utc_text(champion.promoted_ns),
        "by": champion.by,
        "sha256": champion.sha256,
    }
