"""The check of a backtest's money fails on what it names."""

from dataclasses import replace

import pytest

from aitrading_assets.backtests import judged_money
from ml.backtest.demo import demo_request
from ml.backtest.simulate import simulate


@pytest.fixture(scope="module")
def run():
    return simulate(demo_request())


def test_a_run_whose_money_adds_up_passes(run):
    result = judged_money(run)
    assert result.passed
    assert not result.description


def test_a_cent_that_no_deal_explains_fails_the_check_and_is_named(run):
    account = run.account.copy()
    account["balance"] += 0.01
    result = judged_money(replace(run, account=account))
    assert not result.passed
    assert result.description == "unexplained: balance +0.01, equity -0.01 USD"


def test_an_account_that_fell_to_nothing_does_not_pass(run):
    equity = run.equity.copy()
    equity["equity"][5] = 0.0
    result = judged_money(replace(run, equity=equity))
    assert not result.passed
    assert result.description == "equity fell to 0 or below"
