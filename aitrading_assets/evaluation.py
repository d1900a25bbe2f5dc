"""Evaluation of one symbol's model on the holdout, beside what knowing nothing would be worth."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg

from aitrading_assets.keys import asset_key
from aitrading_assets.partitions import Result
from aitrading_assets.plots import Line, line_plot
from aitrading_assets.tables import table
from realtime.history.report import utc_text
from realtime.settings import Settings

if TYPE_CHECKING:
    from ml.evaluation.evaluation import Evaluation

_FINITE = "predictions_are_probabilities"


def evaluation_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/evaluation``."""
    key = asset_key(symbol, "evaluation")

    @dg.asset(
        key=key,
        group_name="evaluation",
        kinds={"onnx"},
        deps=[asset_key(symbol, "model")],
        check_specs=[
            dg.AssetCheckSpec(
                _FINITE,
                asset=key,
                blocking=True,
                description="Every prediction of the holdout is a number from 0 to 1.",
            )
        ],
        description="Classification, calibration, trading of the holdout; every look is counted.",
    )
    def evaluation(settings: dg.ResourceParam[Settings]) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.evaluation.evaluation import evaluate  # noqa: PLC0415 (see above)
        from ml.ledger import Ledger  # noqa: PLC0415 (see above)

        start_s = time.perf_counter()
        workshop = Workshop(settings, symbol)
        frame, prepared = workshop.training_set()
        trained, (_, bundle) = workshop.model(), workshop.bundle()
        ledger = Ledger(settings.paths.var, symbol)
        ledger.record_look(trained, prepared.until_ns)  # first: who looks and falls has looked
        found = evaluate(trained, frame, trained.config)
        workshop.keep_evaluation(found, bundle.id)
        metadata = {
            "bundle": bundle.id,
            **numbers(found),
            "looks_at_this_holdout": ledger.looks(trained),
            "seconds": time.perf_counter() - start_s,
        }
        passed = dg.AssetCheckResult(
            check_name=_FINITE, passed=found.finite, metadata={"rows": found.rows}
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[passed])

    return evaluation


def numbers(found: "Evaluation") -> dict[str, Any]:
    """Return an evaluation as metadata."""
    said = [each.said for each in found.deciles]
    happened = [each.happened for each in found.deciles]
    ends = [min(said + happened), max(said + happened)]
    return {
        "verdict": found.verdict,
        "holdout": f"{utc_text(found.from_ns)} to {utc_text(found.through_ns)}",
        "rows": found.rows,
        "auc": found.auc,
        "log_loss": found.log_loss,
        "prior_log_loss": found.prior_log_loss,
        "beats_prior": found.beats_prior,
        "brier": found.brier,
        "calibration_error": found.calibration_error,
        "net_psr": found.trading.psr,
        "net_return": found.trading.net_return,
        "excess_psr": found.trading.excess_psr,
        "trading": table([{"number": k, "value": v} for k, v in asdict(found.trading).items()]),
        "deciles": table([asdict(each) for each in found.deciles]),
        "plot_calibration": line_plot(
            "Calibration: share that went up, by probability said",
            [
                Line(name="perfect", x=ends, y=ends, faint=True),
                Line(name="holdout", x=said, y=happened, marked=True),
            ],
            x_label="probability said",
        ),
    }
