"""A bundle traded over ticks after its training: a planted edge earns, and nothing is in-sample."""

from dataclasses import replace

import numpy as np
import pytest

from ml.backtest.bundle import backtest_bundle, finite_only, summary_of, write_bundle_report
from ml.backtest.request import BacktestError
from ml.backtest.statistics import statistics
from ml.config import Candidate, LabelConfig, SplitConfig, TrainingConfig
from realtime.bundle import BundleError
from realtime.kernels.codes import RISK_MODEL_STALE
from realtime.kernels.layout import BAR
from realtime.settings import CostSettings, DecisionSettings, LimitSettings, Settings
from tests.ml.chain import make
from tests.ml.market import walk_ticks

CONFIG = TrainingConfig(
    symbol="EURUSD",
    clock="h1",
    features=("h1_log_return_1", "h1_rsi_14", "h1_close_volatility_50"),
    label=LabelConfig(horizon_bars=1, scale="fraction", gain=0.02, loss=0.02),
    split=SplitConfig(embargo_bars=2, folds=2),
    candidates=(Candidate(max_depth=2, learning_rate=0.1),),
    decision=DecisionSettings(enter_probability=0.52, exit_probability=0.5, edge_cost_ratio=0.0),
)
SETTINGS = replace(Settings(), costs=CostSettings(commission="none", swap=False))


def trending_ticks(count=3_000, seed=4):
    """Hours that go on a little as they went before."""
    noise = np.random.default_rng(seed).normal(0.0, 1e-3, count)
    returns = np.zeros(count)
    for k in range(1, count):
        returns[k] = 0.22 * returns[k - 1] + noise[k]
    return walk_ticks(count, seed, returns=returns)


@pytest.fixture(scope="module")
def ticks():
    return trending_ticks()


@pytest.fixture(scope="module")
def made(ticks, tmp_path_factory):
    directory = tmp_path_factory.mktemp("bundle")
    return directory, make(ticks, CONFIG, directory)


@pytest.fixture(scope="module")
def run(made, ticks):
    return backtest_bundle(made[0], ticks, SETTINGS)


def test_a_planted_edge_earns_on_the_holdout(made, run):
    _, each = made
    assert each.paper.passed
    assert each.evaluation.beats_prior
    found = statistics(run)
    assert found.all_trades.trades > 100
    assert found.net_profit > 0
    assert found.psr > 0.95


def test_nothing_is_traded_or_reported_before_the_end_of_the_training(made, run, ticks):
    _, each = made
    through_ns = each.trained.trained_through_ns
    for rows in (run.fills, run.decisions, run.equity):
        assert rows["time_ns"].min() > through_ns
    assert run.bars["EURUSD"]["open_ns"].min() >= through_ns - 3_600 * 10**9
    assert not np.isnan(run.decisions["probability"]).any()
    assert len(run.decisions) == each.trained.rows["holdout"] + 1 + CONFIG.split.embargo_bars


def test_probabilities_are_those_of_the_evaluation(made, run):
    from ml.models.graph import OnnxProbability
    from ml.training import segments_of, training_rows

    _, each = made
    data = training_rows(each.frame, CONFIG)
    rows = segments_of(data, CONFIG).holdout
    said = OnnxProbability(each.trained.onnx).predict_rows(data.sample.rows[rows])
    at = np.searchsorted(run.decisions["time_ns"], data.event_ns[rows])
    assert (run.decisions["time_ns"][at] == data.event_ns[rows]).all()
    assert (run.decisions["probability"][at] == said).all()


def test_the_whole_history_and_its_end_give_the_same_run(made, run, ticks):
    _, each = made
    late = ticks[ticks["time_ns"] > each.trained.trained_through_ns - 40 * 86_400 * 10**9]
    again = backtest_bundle(made[0], late, SETTINGS)
    assert again.fills.tobytes() == run.fills.tobytes()
    assert again.equity.tobytes() == run.equity.tobytes()


def test_the_report_is_written_with_its_numbers(run, tmp_path):
    numbers = write_bundle_report(run, tmp_path / "a" / "report.html")
    assert (tmp_path / "a" / "report.html").read_text().count(run.strategy) >= 1
    assert numbers == summary_of(statistics(run))
    assert numbers["trades"] == statistics(run).all_trades.trades
    assert finite_only({"a": 1.0, "b": float("nan")}) == {"a": 1.0}


def test_costs_are_paid(made, run, ticks):
    dear = replace(SETTINGS, costs=replace(SETTINGS.costs, slippage_points=60.0))
    found = statistics(backtest_bundle(made[0], ticks, dear))
    assert found.costs.slippage > 0
    assert found.net_profit < statistics(run).net_profit


def test_the_age_of_the_model_limits_only_if_asked(made, ticks):
    young = replace(SETTINGS, limits=LimitSettings(max_model_age_ns=86_400 * 10**9))
    limited = backtest_bundle(made[0], ticks, young, limit_model_age=True)
    free = backtest_bundle(made[0], ticks, young)
    assert (limited.decisions["risk_code"] == RISK_MODEL_STALE).sum() > 100
    assert not (free.decisions["risk_code"] == RISK_MODEL_STALE).any()


def test_another_symbol_is_quoted_and_not_traded(made, run, ticks):
    yen = ticks.copy()
    yen["symbol"], yen["bid"], yen["ask"] = 1, 120.0, 120.01
    feed = np.concatenate((ticks, yen))
    feed = feed[np.argsort(feed["time_ns"], kind="stable")]
    found = backtest_bundle(made[0], feed, SETTINGS, symbols=("EURUSD", "USDJPY"))
    assert found.fills.tobytes() == run.fills.tobytes()
    assert len(found.bars["USDJPY"]) > 800


def test_ticks_that_do_not_go_with_the_bundle_are_refused(made, ticks, tmp_path):
    directory, each = made
    early = ticks[ticks["time_ns"] <= each.trained.trained_through_ns]
    with pytest.raises(BacktestError, match="trained on all of these"):
        backtest_bundle(directory, early, SETTINGS)
    with pytest.raises(BacktestError, match="needs ticks of EURUSD"):
        backtest_bundle(directory, ticks, SETTINGS, symbols=("USDJPY",))
    with pytest.raises(BacktestError, match="fed ticks"):
        backtest_bundle(directory, np.zeros(3, BAR), SETTINGS)
    with pytest.raises(BundleError):
        backtest_bundle(tmp_path, ticks, SETTINGS)
