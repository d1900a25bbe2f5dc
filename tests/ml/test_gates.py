"""Gates: noise is refused, a planted signal passes, and nothing goes live without a person."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml.approval import Approval
from ml.config import GateConfig
from ml.evaluation.evaluation import evaluate
from ml.gates import GateReport, deflated_sharpe, live_gate, paper_gate
from ml.leaks import PrefixReport
from ml.training import train
from realtime.settings import DecisionSettings
from tests.ml.frames import COLUMNS, CONFIG, SMALL, frame_of, with_label

CLEAN = PrefixReport(cuts=4, rows=100, changed=())
NAME = "EURUSD-h1-0123456789ab"
GRANTED = Approval(bundle=NAME, by="Ada", reason="a test")
OPEN = GateReport(stage="paper", checks=())
ALWAYS_LONG = DecisionSettings(
    enter_probability=0.501, exit_probability=0.01, edge_cost_ratio=0.0, allow_short=False
)


def judged(frame, config=CONFIG, **more):
    """The live gate's report on what comes out of a frame."""
    trained = train(frame, config)
    evaluation = evaluate(trained, frame, config)
    options: dict[str, Any] = {"paper": OPEN, "bundle": NAME, "approval": GRANTED} | more
    return live_gate(trained, evaluation, config, **options)


def failed(report):
    return {each.name for each in report.checks if each.required and not each.passed}


@pytest.mark.parametrize("seed", range(12))
def test_a_random_walk_never_goes_live(seed):
    report = judged(frame_of(seed))
    assert not report.passed
    assert failed(report) & {"deflated_sharpe", "holdout_sharpe"}


def test_a_planted_signal_goes_live():
    passed = [judged(frame_of(seed, information=0.2)).passed for seed in range(100, 110)]
    assert sum(passed) >= 9


@pytest.mark.parametrize("seed", range(3))
def test_costs_that_eat_the_edge_keep_it_from_going_live(seed):
    frame = frame_of(seed, information=0.2, cost=0.003)
    report = judged(frame)
    assert "holdout_sharpe" in failed(report)
    evaluation = evaluate(train(frame, CONFIG), frame, CONFIG)
    assert evaluation.trading.gross_psr > 0.95


def test_nothing_goes_live_without_approval_of_this_very_bundle():
    frame = frame_of(103, information=0.3)
    assert judged(frame).passed
    assert failed(judged(frame, approval=None)) == {"approval"}
    other = Approval(bundle="EURUSD-h1-ba9876543210", by="Ada", reason="another")
    report = judged(frame, approval=other)
    assert failed(report) == {"approval"}
    assert "is for EURUSD-h1-ba9876543210" in report.refusals[0]


def test_a_closed_paper_gate_closes_the_live_gate():
    frame = frame_of(103, information=0.3)
    trained = train(frame, CONFIG)
    evaluation = evaluate(trained, frame, CONFIG)
    leaking = replace(CLEAN, changed=(COLUMNS[0],))
    paper = paper_gate(trained, evaluation, frame, CONFIG, prefix=leaking)
    assert failed(judged(frame, paper=paper)) == {"paper_gate"}


def drifting(seed, *, rows=6_000):
    """A market that only drifts: no feature knows anything, and being in it pays."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.06, 1.0, rows) * 1e-3
    return with_label(rng.normal(0.0, 1.0, (rows, len(COLUMNS))), returns, 1e-5)


@pytest.mark.parametrize("seed", range(8))
def test_a_market_that_only_drifts_takes_nobody_live(seed):
    eager = replace(CONFIG, decision=replace(CONFIG.decision, enter_probability=0.51))
    report = judged(drifting(seed), eager)
    assert not report.passed
    assert failed(report) & {"deflated_excess", "holdout_excess"}


def test_holding_one_position_throughout_is_one_trade_and_no_skill():
    report = judged(drifting(5), replace(CONFIG, decision=ALWAYS_LONG))
    values = {each.name: each.value for each in report.checks}
    assert values["holdout_sharpe"] > 0.95
    assert values["trades"] == 1.0
    assert {"deflated_excess", "holdout_excess", "trades"} <= failed(report)


def test_too_few_trades_keep_a_skilled_model_from_going_live():
    frame = frame_of(103, information=0.3)
    strict = replace(CONFIG, gates=replace(CONFIG.gates, least_trades=10_000))
    assert failed(judged(frame, strict)) == {"trades"}


def test_each_earlier_look_at_the_holdout_raises_the_bar():
    frame = frame_of(103, information=0.3)
    reports = [judged(frame, looks=looks) for looks in (1, 2, 10, 1_000)]
    values = [[each.value for each in report.checks] for report in reports]
    names = [each.name for each in reports[0].checks]
    for name in ("holdout_sharpe", "holdout_excess"):
        column = [row[names.index(name)] for row in values]
        assert column == sorted(column, reverse=True)
        assert len(set(column)) == 4
    assert "looked at once" in reports[0].text()
    assert "looked at 10 times" in reports[2].text()
    trained = train(frame, CONFIG)
    psr = evaluate(trained, frame, CONFIG).trading.psr
    assert values[0][names.index("holdout_sharpe")] == pytest.approx(psr, abs=1e-12)


def test_near_copies_of_the_best_never_lower_the_bar():
    trained = train(frame_of(5, information=0.12), CONFIG)
    best = trained.trial.record.sharpe
    found = [deflated_sharpe(trained, [best] * copies)[0] for copies in (0, 4, 16, 60, 1_000)]
    assert found == sorted(found, reverse=True)
    idle = [deflated_sharpe(trained, [0.0] * count)[0] for count in (0, 60, 1_000)]
    assert idle == sorted(idle, reverse=True)


def test_more_trials_make_the_same_result_less_believable():
    frame = frame_of(5, information=0.12)
    trained = train(frame, CONFIG)
    alone, counted = deflated_sharpe(trained)
    rng = np.random.default_rng(1)
    more = rng.normal(0.0, 0.03, 200).tolist()
    crowded, all_counted = deflated_sharpe(trained, more)
    assert (counted, all_counted) == (3, 203)
    assert crowded < alone - 0.05


@pytest.fixture(scope="module")
def sound():
    frame = frame_of(7, information=0.2)
    trained = train(frame, SMALL)
    return frame, trained, evaluate(trained, frame, SMALL)


def asked(sound, **more):
    frame, trained, evaluation = sound
    options: dict[str, Any] = {"prefix": CLEAN} | more
    config = options.pop("config", SMALL)
    return paper_gate(trained, evaluation, options.pop("frame", frame), config, **options)


def test_a_sound_model_may_trade_paper_money(sound):
    report = asked(sound)
    assert report.passed
    names = [each.name for each in report.checks]
    assert names == ["no_look_ahead", "no_copied_label", "repeatable", "finite", "calibrated",
                     "quick", "beats_prior"]  # fmt: skip
    assert report.text().count("\n") == 6
    assert "FAIL" not in report.text()


def test_each_question_can_be_failed(sound):
    frame, trained, evaluation = sound
    strict = replace(SMALL, gates=GateConfig(calibration_error=1e-6, predict_us=1e-3))
    assert failed(asked(sound, config=strict)) == {"calibrated", "quick"}
    assert failed(asked(sound, prefix=replace(CLEAN, changed=("h1_x",)))) == {"no_look_ahead"}
    assert failed(asked(sound, prefix=replace(CLEAN, rows=0))) == {"no_look_ahead"}
    infinite = replace(evaluation, finite=False)
    assert failed(asked((frame, trained, infinite))) == {"finite"}
    changed = frame.with_columns((pl.col(COLUMNS[0]) * 1.1).alias(COLUMNS[0]))
    assert failed(asked(sound, frame=changed)) == {"repeatable"}


def test_a_copied_label_is_quarantined():
    frame = frame_of(8)
    copied = frame.with_columns(h1_cci_20=frame["label_return"])
    trained = train(copied, SMALL)
    report = paper_gate(trained, evaluate(trained, copied, SMALL), copied, SMALL, prefix=CLEAN)
    assert "no_copied_label" in failed(report)
    assert "quarantined: h1_cci_20" in report.text()


def test_losing_to_the_prior_is_stated_and_closes_nothing():
    frame = frame_of(9)
    trained = train(frame, SMALL)
    report = paper_gate(trained, evaluate(trained, frame, SMALL), frame, SMALL, prefix=CLEAN)
    assert report.passed
    assert not report.checks[-1].passed
    assert "no better than" in report.checks[-1].text


def test_a_report_is_plain_json(sound):
    content = asked(sound).content()
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert content["passed"] is True
