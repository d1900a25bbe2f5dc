"""Money adds up to the cent, and a cent that is planted anywhere is found."""

import math
from dataclasses import replace

import pytest

from ml.backtest.booking import booking
from ml.backtest.demo import demo_request
from ml.backtest.simulate import simulate
from ml.backtest.statistics import statistics
from realtime.settings import Settings


def simulated(**account):
    settings = Settings()
    return simulate(
        replace(
            demo_request(),
            settings=replace(settings, account=replace(settings.account, **account)),
        )
    )


@pytest.fixture(scope="module")
def run():
    return simulated(credit=500.0)


def planted(run, table, field, amount, row=0):
    """The run with some money more in one place of one record."""
    copy = getattr(run, table).copy()
    copy[field][row] += amount
    return replace(run, **{table: copy})


def test_a_simulated_year_adds_up_to_the_cent(run):
    assert len(run.fills) > 100
    assert booking(run).unexplained < 1e-6
    assert booking(run).adds_up


@pytest.mark.parametrize(
    ("table", "field"),
    [
        ("fills", "profit"),
        ("fills", "swap"),
        ("fills", "commission"),
        ("fills", "balance"),
        ("account", "balance"),
        ("account", "equity"),
        ("account", "realised"),
        ("account", "swap"),
        ("account", "commission"),
    ],
)
@pytest.mark.parametrize("cent", [0.01, -0.01, math.nan])
def test_a_planted_cent_is_found(run, table, field, cent):
    """Gross less costs was net by definition: no cent could ever fail the check of that."""
    row = len(run.fills) // 2 if table == "fills" else 0
    assert not booking(planted(run, table, field, cent, row)).adds_up


def test_cents_that_cancel_out_between_two_deals_are_found(run):
    moved = planted(planted(run, "fills", "profit", 0.01, 10), "fills", "profit", -0.01, 11)
    assert booking(moved).balance == pytest.approx(0.0, abs=1e-6)
    assert not booking(moved).adds_up


def test_a_position_left_open_belongs_to_equity(run):
    assert run.open_positions.size == 1  # the crossover is always in the market
    assert not booking(planted(run, "open_positions", "profit", 0.01)).adds_up
    assert not booking(planted(run, "open_positions", "swap", 0.01)).adds_up
    assert statistics(run).unexplained == pytest.approx(0.0, abs=1e-6)


def test_money_that_is_not_rounded_adds_up_too():
    assert booking(simulated(money_digits=-1)).adds_up
