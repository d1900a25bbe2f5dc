"""Gates: what a model must show before it may trade paper money, and before it may trade money.

The paper gate asks whether the model is what it says: no feature knows the future or is the label,
training is repeatable, probabilities are calibrated and quick to come by. The live gate asks
whether the edge is more than luck, with everything that was tried counted, on data that nothing was
chosen on, with every look at it counted; whether it was the timing that earned it and not a market
that moved, in enough trades to tell; and whether a person takes responsibility. Beating the class
prior is stated, never required: what is required is the money, net.
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
from ml.ledger import Earlier
from ml.models.graph import OnnxProbability
from ml.training import Trained, segments_of, train, training_rows

_TIMED_CALLS = 500
_UNTIMED_CALLS = 50
NOTHING = Earlier()


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
                text=prefix.text,
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
        earlier: Sharpe ratios a bar of everything else that was tried.
    """
    record = trained.trial.record
    ratios = [trial.record.sharpe for trial in trained.trials] + list(earlier)
    moments = (record.sharpe, record.bars, record.skew, record.kurtosis)
    return _deflated(moments, ratios), len(ratios)


def deflated_excess(trained: Trained, earlier: Sequence[float] = ()) -> tuple[float, int]:
    """Return the same of what the trials earned above the market at their mean position."""
    record = trained.trial.record
    ratios = [trial.record.excess_sharpe for trial in trained.trials] + list(earlier)
    moments = (record.excess_sharpe, record.bars, record.excess_skew, record.excess_kurtosis)
    return _deflated(moments, ratios), len(ratios)


def _deflated(moments: tuple[float, int, float, float], ratios: Sequence[float]) -> float:
    """Deflate by the trials' number and spread, the spread being at least that of pure luck.

    The formula takes the variance of the trials as it was found. Then many near copies of the best,
    or trials that never trade, make the variance small and the bar low: trying more would help. The
    Sharpe ratio of a worthless trial over T bars varies by 1 / (T - 1) whatever is tried beside it,
    so that is the least.
    """
    periods = moments[1]
    found = float(np.var(ratios, ddof=1)) if len(ratios) > 1 else 0.0
    variance = max(found, 1.0 / max(periods - 1, 1))
    deflated = deflated_sharpe_ratio(*moments, trials=len(ratios), variance=variance)
    return deflated if math.isfinite(deflated) else 0.0


def live_gate(
    trained: Trained,
    evaluation: Evaluation,
    config: TrainingConfig,
    *,
    paper: GateReport,
    bundle: str,
    approval: Approval | None = None,
    backtest: Statistics | None = None,
    earlier: Earlier = NOTHING,
    looks: int = 1,
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
        earlier: what else was tried for the symbol.
        looks: how often the holdout was looked at, this time among them.
    """
    gates = config.gates
    checks = [
        Check(
            name="paper_gate",
            value=float(paper.passed),
            threshold=1.0,
            passed=paper.passed,
            text="passed" if paper.passed else "; ".join(paper.refusals),
        ),
        _luck_check(
            "deflated_sharpe", deflated_sharpe(trained, earlier.sharpes), gates.deflated_sharpe
        ),
        _luck_check(
            "deflated_excess",
            deflated_excess(trained, earlier.excess_sharpes),
            gates.deflated_sharpe,
            of="what it earned above the market at its mean position: ",
        ),
        *_holdout_checks(evaluation, gates.holdout_sharpe, looks),
        _trades_check(evaluation, backtest, gates.least_trades),
    ]
    if backtest is not None:
        checks += _backtest_checks(backtest, gates.holdout_sharpe)
    checks.append(_approval_check(approval, bundle))
    return GateReport(stage="live", checks=tuple(checks))


def _luck_check(name: str, found: tuple[float, int], threshold: float, *, of: str = "") -> Check:
    deflated, trials = found
    return Check(
        name=name,
        value=deflated,
        threshold=threshold,
        passed=deflated > threshold,
        text=f"{of}{deflated:.3f} likely to be more than the luck of {trials} trials, above"
        f" {threshold:g} is needed",
    )


def _holdout_checks(evaluation: Evaluation, threshold: float, looks: int) -> tuple[Check, Check]:
    """Ask whether the holdout paid, and whether it was the timing that paid and not the market.

    Every look at a holdout makes it less of one: the ratio must exceed what luck gives the best of
    so many looks. The first look has nothing to exceed but 0.
    """
    record = evaluation.trading
    variance = 1.0 / max(record.bars - 1, 1)
    psr, excess = (
        deflated_sharpe_ratio(*moments, trials=looks, variance=variance)
        for moments in (
            (record.sharpe, record.bars, record.skew, record.kurtosis),
            (record.excess_sharpe, record.bars, record.excess_skew, record.excess_kurtosis),
        )
    )
    looked = "looked at once" if looks == 1 else f"looked at {looks} times"
    on = f"on {evaluation.rows:,} bars of the holdout, {looked}, above {threshold:g} is needed"
    above = "0" if looks == 1 else f"the luck of {looks} looks"
    return (
        _likely(
            "holdout_sharpe",
            psr,
            threshold,
            f"net Sharpe ratio {{}} likely above {above} {on}",
        ),
        _likely(
            "holdout_excess",
            excess,
            threshold,
            f"net Sharpe ratio less the market's at the mean position {record.mean_position:+.2f}:"
            f" {{}} likely above {above} {on}",
        ),
    )


def _likely(name: str, value: float, threshold: float, text: str, *, also: bool = True) -> Check:
    """Return the check of a probability; one that is not defined counts as none."""
    value = value if math.isfinite(value) else 0.0
    return Check(
        name=name,
        value=value,
        threshold=threshold,
        passed=value > threshold and also,
        text=text.format(f"{value:.3f}"),
    )


def _trades_check(evaluation: Evaluation, backtest: Statistics | None, least: int) -> Check:
    """Ask for enough independent bets: a position that is held is one, however many bars."""
    counts = [evaluation.trading.trades, *([] if backtest is None else [backtest.round_trips])]
    return Check(
        name="trades",
        value=float(min(counts)),
        threshold=float(least),
        passed=min(counts) >= least,
        text=f"{min(counts):,} independent trades on the holdout, at least {least:,} are needed",
    )


def _backtest_checks(backtest: Statistics, threshold: float) -> tuple[Check, Check]:
    where = (
        f"in {backtest.trading_days:,} days of backtest with {backtest.all_trades.trades:,} trades,"
        f" above {threshold:g} is needed"
    )
    return (
        _likely(
            "backtest_sharpe",
            backtest.psr,
            threshold,
            f"net Sharpe ratio {{}} likely above 0 {where}",
            also=not backtest.ruined,
        ),
        _likely(
            "backtest_excess",
            backtest.excess_psr,
            threshold,
            f"net Sharpe ratio less the market's at the mean exposure: {{}} likely above 0 {where}",
        ),
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
