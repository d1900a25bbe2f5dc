"""Real hours of EURUSD: trained in seconds, judged honestly, and kept away from money."""

from dataclasses import replace

import numpy as np
import pytest

from ml.backtest.demo import demo_request
from ml.backtest.market import read_market
from ml.config import config_for
from realtime.bundle import read_bundle
from realtime.history.bar_ticks import bar_ticks
from realtime.history.read import read_any
from realtime.symbols import chosen_symbols, load_symbols
from tests.ml.chain import make

CONFIG = config_for("EURUSD", "h1")


@pytest.fixture(scope="module")
def years(shared_data, tmp_path_factory):
    """Twelve years of hours: ticks, and what was made of them."""
    bars = read_any(shared_data / "bars" / "EURUSD_H1_oanda_2007-2018.parquet", "EURUSD").rows
    ticks = bar_ticks(bars, point=1e-5, assumed_spread_points=10.0)
    directory = tmp_path_factory.mktemp("years")
    return ticks, make(ticks, CONFIG, directory), directory


def test_twelve_years_of_hours_become_a_bundle(years):
    ticks, made, directory = years
    assert len(ticks) > 290_000
    assert made.frame.height > 74_000
    assert made.trained.rows["holdout"] > 22_000
    assert read_bundle(directory).id == made.bundle.id
    assert made.trained.trained_through_ns < made.trained.holdout_from_ns


def test_the_model_is_sane_but_has_no_edge_and_says_so(years):
    _, made, _ = years
    assert made.paper.passed, made.paper.text()
    assert made.evaluation.calibration_error < 0.05
    assert 0.48 < made.evaluation.auc < 0.55
    assert "no better than" in made.evaluation.verdict
    refused = {each.name for each in made.live.checks if not each.passed}
    asked = {"deflated_sharpe", "holdout_sharpe", "deflated_excess", "holdout_excess", "approval"}
    assert refused == asked


def test_labels_of_years_are_about_even_and_outweigh_their_costs(years):
    _, made, _ = years
    assert 0.48 < made.frame["label"].mean() < 0.53
    assert made.frame["label_return"].abs().median() > 10 * made.frame["cost"].median()


def test_the_demos_year_is_too_little_to_go_live(tmp_path):
    request = demo_request()
    market = read_market(request, chosen_symbols(request.symbols, load_symbols()))
    ticks = bar_ticks(market.rows, point=1e-5)
    made = make(ticks, CONFIG, tmp_path)
    assert made.frame.height > 4_500
    assert np.isfinite(made.evaluation.log_loss)
    assert not made.live.passed
    assert made.paper.stage == "paper"
    again = make(ticks, replace(CONFIG), tmp_path / "again")
    assert again.bundle.id == made.bundle.id
