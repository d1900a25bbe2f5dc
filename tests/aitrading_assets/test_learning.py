"""From training set to backtest: each row of its own moment, nothing seen that may be traded."""

from dataclasses import replace

import polars as pl
import pytest

from aitrading_assets.definitions import definitions_of
from aitrading_assets.keys import asset_key
from aitrading_assets.workshop import Workshop
from ml.config import config_for
from ml.feature_files import read_features, view_name, write_features
from realtime.history.lake import Lake, Month
from tests.aitrading_assets.conftest import Runs, checks_of

JUNE = Month(2017, 6)
CONFIG = config_for("EURUSD", "h1")
VIEW = view_name(CONFIG.clock, CONFIG.feature_set)
CHECK = ("EURUSD/training_set", "as_of_the_decision")


@pytest.fixture
def runs(with_data, instance):
    return Runs(with_data, instance)


def launch(runs, *steps):
    given = {"settings": runs.settings, "recipes": runs.recipes}
    job = definitions_of(runs.settings, given).resolve_job_def("retrain")
    return job.execute_in_process(
        instance=runs.instance,
        raise_on_error=False,
        asset_selection=[asset_key("EURUSD", step) for step in steps],
    )


def test_a_row_with_the_features_of_an_earlier_moment_fails_the_check(runs):
    """Rows of up to seven days before once passed: Feast joins what the time to live lets in."""
    lake = Lake(runs.settings.paths.lake)
    month = read_features(lake, VIEW, "EURUSD", months=[JUNE])
    missing = (pl.int_range(pl.len()) >= 100) & (pl.int_range(pl.len()) < 105)
    write_features(lake, VIEW, "EURUSD", JUNE, month.filter(~missing))
    result = launch(runs, "training_set")
    assert not checks_of(result)[CHECK]
    [event] = [each for each in result.get_asset_check_evaluations() if each.check_name == CHECK[1]]
    assert event.metadata["features of an earlier moment"].value == 5
    assert "5 rows have features of an earlier moment" in (event.description or "")


def test_the_backtest_sees_nothing_that_may_be_traded_later(runs):
    """It once went on for nine hours after the moment from which the model may trade."""
    result = launch(runs, "training_set", "model", "evaluation", "backtest")
    assert result.success
    assert checks_of(result)[CHECK]
    assert checks_of(result)[("EURUSD/backtest", "money_adds_up")]
    workshop = Workshop(replace(runs.settings), "EURUSD")
    bundle, found = workshop.bundle()[1], workshop.backtest()
    assert found.start_ns > bundle.trained_through_ns
    assert found.end_ns <= bundle.evaluated_through_ns
    assert bundle.evaluated_through_ns - found.end_ns < 4 * 86_400 * 10**9
    assert workshop.evaluation().trading.bars == workshop.evaluation().rows - 1
