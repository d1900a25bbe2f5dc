"""Gates: what a model must show before it may trade paper money, and before it may trade money.

The paper gate asks whether the model is what it says: no feature knows the future or is the label,
training is repeatable, probabilities are calibrated and quick to come by. The live gate asks
whether the edge is more than luck, with everything that was tried counted, on data that nothing was
chosen on, and whether a person takes responsibility. Beating the class prior is stated, never
required: what is required is the money, net.
"""

import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl

from ml.approval import Approval
from ml.backtest.returns import deflated_sharpe_ratio
from ml.backtest.statistics import Statistics
from ml.config import TrainingConfig
from ml.evaluation.evaluation import Evaluation
from ml.leaks import PrefixReport, copied_labels, information_coefficients
from ml.models.graph import OnnxProbability
from ml.training import Trained, segments_of, train, training_rows

_TIMED_CALLS = 500
_UNTIMED_CALLS = 50


@dataclass(frozen=True, kw_only=True)
class Check:
    """One question to a model.

    Attributes:
        name: short, unchanging.
        value: what was found.
        threshold: what it was held against; NaN where there is no number.
        passed: the answer.
        text: the same for people.
        required: whether the gate depends on it.
    """

    name: str
    value: float
    threshold: float
    passed: bool
    text: str
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class GateReport:
    """All checks of one gate.

    Attributes:
        stage: what the model wants to become: ``"paper"`` or ``"live"``.
        checks: in the order asked.
    """

    stage: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Every required check passed."""
        return all(check.passed for check in self.checks if check.required)

    @property
    def refusals(self) -> tuple[str, ...]:
        """What stands in the way."""
        return tuple(each.text for each in self.checks if each.required and not each.passed)

    def content(self) -> dict[str, Any]:
        """Return plain values for JSON, which has no NaN."""
        checks = [
            {
                name: None if isinstance(value, float) and not math.isfinite(value) else value
                for name, value in asdict(check).items()
            }
            for check in self.checks
        ]
        return {"stage": self.stage, "passed": self.passed, "checks": checks}

    def text(self) -> str:
        """Return one line a check."""
        marks = {(True, True): "pass", (False, True): "FAIL", (True, False): "yes",
                 (False, False): "no"}  # fmt: skip
        return "\n".join(
            f"{marks[each.passed, each.required]:>4}  {each.name}: {each.text}"
            for each in self.checks
        )


def paper_gate(
    trained: Trained,
    evaluation: Evaluation,
    frame: pl.DataFrame,
    config: TrainingConfig,
    *,
    prefix: PrefixReport,
) -> GateReport:
    """Ask whether a model is sane; trains it once more to see whether it comes out the same.

    Args:
        trained: the model.
        evaluation: of its holdout.
        frame: that it was trained on.
        config: that it was trained with.
        prefix: from `ml.leaks.feature_prefix`.
    """
    data = training_rows(frame, config)
    parts = segments_of(data, config)
    developed = np.concatenate((parts.train, parts.calibration))
    gates = config.gates
    coefficients = information_coefficients(data, config.features, developed)
    copies = copied_labels(coefficients, gates.copied_label)
    highest = max(coefficients.values(), key=abs)
    again = train(frame, config)
    latency_us = predict_latency_us(trained, data.values[parts.holdout])
    excess = max(evaluation.calibration_error - evaluation.calibration_noise, 0.0)
    return GateReport(
        stage="paper",
        checks=(
            Check(
                name="no_look_ahead",
                value=float(len(prefix.changed)),
                threshold=0.0,
                passed=prefix.passed,
                text=_said(prefix),
            ),
            Check(
                name="no_copied_label",
                value=highest,
                threshold=gates.copied_label,
                passed=not copies,
                text=f"quarantined: {', '.join(copies)}" if copies
                else f"largest information coefficient of a feature {highest:+.3f}",
            ),
            Check(
                name="repeatable",
                value=float(again.onnx == trained.onnx),
                threshold=1.0,
                passed=again.onnx == trained.onnx and again.fingerprint == trained.fingerprint,
                text="trained once more: "
                + ("the same bytes" if again.onnx == trained.onnx else "another model"),
            ),
            Check(
                name="finite",
                value=float(evaluation.finite),
                threshold=1.0,
                passed=evaluation.finite,
                text="every prediction of the holdout is a probability"
                if evaluation.finite else "some predictions are no probabilities",
            ),
            Check(
                name="calibrated",
                value=excess,
                threshold=gates.calibration_error,
                passed=excess <= gates.calibration_error,
                text=f"expected calibration error {evaluation.calibration_error:.3f}, of which"
                f" chance explains {evaluation.calibration_noise:.3f}: {excess:.3f} beyond it, at"
                f" most {gates.calibration_error:g}",
            ),
            Check(
                name="quick",
                value=latency_us,
                threshold=gates.predict_us,
                passed=latency_us <= gates.predict_us,
                text=f"a prediction takes {latency_us:.0f} us (99th percentile), at most"
                f" {gates.predict_us:g}",
            ),
            Check(
                name="beats_prior",
                value=evaluation.log_loss - evaluation.prior_log_loss,
                threshold=0.0,
                passed=evaluation.beats_prior,
                text=evaluation.verdict,
                required=False,
            ),
        ),
    )  # fmt: skip


def _said(prefix: PrefixReport) -> str:
    if prefix.changed:
        return f"change when the future is cut off: {', '.join(prefix.changed)}"
    if prefix.rows == 0:
        return "no row could be compared: give more ticks"
    return f"{prefix.rows:,} rows over {prefix.cuts} cut histories came out the same"


def predict_latency_us(trained: Trained, rows: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    """Return the 99th percentile of one-row predictions, microseconds."""
    model = OnnxProbability(trained.onnx)
    vectors = [rows[k % len(rows)].astype(np.float32) for k in range(_TIMED_CALLS)]
    for vector in vectors[:_UNTIMED_CALLS]:
        model.predict(vector)
    taken: list[int] = []
    for vector in vectors:
        start = time.perf_counter_ns()
        model.predict(vector)
        taken.append(time.perf_counter_ns() - start)
    return float(np.percentile(np.array(taken), 99)) / 1_000.0


def deflated_sharpe(trained: Trained, earlier: Sequence[float] = ()) -> tuple[float, int]:
    """Return (deflated Sharpe ratio of the chosen trial, how many trials were counted).

    Args:
        trained: with all its trials.
        earlier: Sharpe ratios a bar of trials in earlier runs on the same history.
    """
    ratios = [trial.record.sharpe for trial in trained.trials] + list(earlier)
    record = trained.trial.record
    found = deflated_sharpe_ratio(
        record.sharpe,
        record.bars,
        record.skew,
        record.kurtosis,
        trials=len(ratios),
        variance=float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0,
    )
    return (found if math.isfinite(found) else 0.0), len(ratios)


def live_gate(
    trained: Trained,
    evaluation: Evaluation,
    config: TrainingConfig,
    *,
    paper: GateReport,
    bundle: str,
    approval: Approval | None = None,
    backtest: Statistics | None = None,
    earlier: Sequence[float] = (),
) -> GateReport:
    """Ask whether a model may trade money.

    Args:
        trained: the model and all its trials.
        evaluation: of its holdout.
        config: thresholds.
        paper: its paper gate.
        bundle: id of the bundle that is to be promoted.
        approval: of an operator; without one the gate is closed.
        backtest: of the holdout through the engine, where there is one: it counts too.
        earlier: Sharpe ratios a bar of trials in earlier runs on the same history.
    """
    gates = config.gates
    deflated, trials = deflated_sharpe(trained, earlier)
    psr = evaluation.trading.psr
    checks = [
        Check(
            name="paper_gate",
            value=float(paper.passed),
            threshold=1.0,
            passed=paper.passed,
            text="passed" if paper.passed else "; ".join(paper.refusals),
        ),
        Check(
            name="deflated_sharpe",
            value=deflated,
            threshold=gates.deflated_sharpe,
            passed=deflated > gates.deflated_sharpe,
            text=f"{deflated:.3f} likely to be more than the luck of {trials} trials, above"
            f" {gates.deflated_sharpe:g} is needed",
        ),
        Check(
            name="holdout_sharpe",
            value=psr,
            threshold=gates.holdout_sharpe,
            passed=psr > gates.holdout_sharpe,
            text=f"net Sharpe ratio {psr:.3f} likely above 0 on {evaluation.rows:,} bars of the"
            f" holdout, above {gates.holdout_sharpe:g} is needed",
        ),
    ]
    if backtest is not None:
        checks.append(_backtest_check(backtest, gates.holdout_sharpe))
    checks.append(_approval_check(approval, bundle))
    return GateReport(stage="live", checks=tuple(checks))


def _backtest_check(backtest: Statistics, threshold: float) -> Check:
    psr = backtest.psr if math.isfinite(backtest.psr) else 0.0
    return Check(
        name="backtest_sharpe",
        value=psr,
        threshold=threshold,
        passed=psr > threshold and not backtest.ruined,
        text=f"net Sharpe ratio {psr:.3f} likely above 0 in {backtest.trading_days:,} days of"
        f" backtest with {backtest.all_trades.trades:,} trades, above {threshold:g} is needed",
    )


def _approval_check(approval: Approval | None, bundle: str) -> Check:
    good = approval is not None and approval.bundle == bundle
    if approval is None:
        text = f"no operator has approved {bundle}"
    elif good:
        text = f"approved by {approval.by}: {approval.reason}"
    else:
        text = f"the approval of {approval.by} is for {approval.bundle}, not for {bundle}"
    return Check(name="approval", value=float(good), threshold=1.0, passed=good, text=text)
