"""Skill: a market that moved is not skill, timing is, and resizing makes no more of one trade."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ml.backtest.skill import excess_over_constant, round_trips
from ml.backtest.statistics import statistics
from realtime.kernels import codes, layout

HOUR_NS = 3_600 * 10**9
START_NS = 1_609_718_400 * 10**9  # Monday, 4 January 2021
CONTRACT = 100_000.0
INITIAL = 100_000.0


def specs(count=1):
    table = np.zeros(count, layout.SPEC)
    table["contract_size"], table["profit_symbol"] = CONTRACT, -1
    return table


def held_run(small_run, mids, lots, cost=0.0, **more):
    """An account that held `lots` from each sample to the next, paying `cost` a change."""
    before = np.concatenate(([0.0], lots[:-1]))
    moves = np.concatenate(([0.0], np.diff(mids)))
    paid = cost * np.abs(np.diff(np.concatenate(([0.0], before))))
    equity = INITIAL + np.cumsum(before * CONTRACT * moves - paid)
    rows = [
        {"time_ns": START_NS + k * HOUR_NS, "mid": mid, "position_lots": held, "equity": value}
        for k, (mid, held, value) in enumerate(zip(mids, before, equity, strict=True))
    ]
    return small_run(equity=rows, specs=specs(), initial=INITIAL, **more)


def walk(seed, count=2_000, drift=0.0):
    steps = np.random.default_rng(seed).normal(drift, 1e-3, count)
    return 1.1 * np.exp(np.cumsum(steps))


@pytest.mark.parametrize("share_of_time", [1.0, 0.7])
def test_being_in_a_rising_market_without_a_reason_is_no_skill(small_run, share_of_time):
    looked_good = passed = 0
    for seed in range(20):
        mids = walk(seed, drift=2e-4)
        blocks = np.random.default_rng(seed + 100).random(len(mids) // 20) < share_of_time
        found = statistics(held_run(small_run, mids, 0.5 * np.repeat(blocks, 20), cost=5.0))
        looked_good += found.psr > 0.95
        passed += found.excess_psr > 0.95
    assert looked_good >= 18
    assert passed <= 3  # of 20, where chance alone gives one


def test_timing_is_skill_even_in_a_falling_market(small_run):
    mids = walk(3, drift=-2e-4)
    ahead = np.append(np.diff(mids), 0.0)
    knows = np.random.default_rng(3).random(len(mids)) < 0.6
    lots = np.where(knows, np.sign(ahead), -np.sign(ahead)) * 0.5
    found = statistics(held_run(small_run, mids, lots))
    assert found.excess_psr > 0.99
    assert len(found.excess_returns) == len(mids) - 1


def test_excess_returns_are_those_of_a_worked_example(small_run):
    mids = np.array([1.0, 1.1, 1.21, 1.21])
    run = held_run(small_run, mids, np.array([1.0, 0.0, 0.0, 0.0]))
    found = excess_over_constant(run, float(run.equity["equity"][-1]))
    # 1 lot from 1.0 to 1.1 makes 10,000 of 100,000; it is worth 110,000 of 110,000 then.
    assert found.strategy == pytest.approx([0.1, 0.0, 0.0])
    assert found.mean_exposure == pytest.approx(1.0 / 3.0)
    assert found.constant == pytest.approx([0.1 / 3, 0.1 / 3, 0.0])
    assert found.returns == pytest.approx([0.2 / 3, -0.1 / 3, 0.0])


def test_swap_that_was_taken_in_is_no_skill(small_run):
    mids = np.full(11, 1.1)
    fills = [{"side": 1, "volume_lots": 1.0, "price": 1.1, "swap": 1_000.0}]
    run = held_run(small_run, mids, np.ones(11))
    rows = small_run(fills).fills
    carried = excess_over_constant(replace(run, fills=rows), INITIAL + 1_000.0)
    assert carried.constant == pytest.approx(np.full(10, 0.001))
    paying = rows.copy()
    paying["swap"] = -1_000.0
    assert (excess_over_constant(replace(run, fills=paying), INITIAL).constant == 0.0).all()


def test_samples_of_several_symbols_at_one_moment_are_one(small_run):
    rows = [
        {"time_ns": k * HOUR_NS + 1, "symbol": s, "mid": 1.0 + 0.1 * k * s, "equity": INITIAL,
         "position_lots": 0.5 * s}
        for k in range(3) for s in range(2)
    ]  # fmt: skip
    run = small_run(equity=rows, specs=specs(2), symbols=("A", "B"), initial=INITIAL)
    found = excess_over_constant(run, INITIAL)
    assert found.strategy.tolist() == [0.0, 0.0]
    assert found.mean_exposure == pytest.approx((0.55 + 0.6) / 2)
    assert found.constant == pytest.approx([0.575 * 0.1, 0.575 * (1.2 / 1.1 - 1.0)])


def test_what_is_not_known_is_no_proof(small_run):
    mids = walk(1, 50)
    run = held_run(small_run, mids, np.full(50, 0.5))
    for other in (replace(run, specs=None), replace(run, equity=run.equity[:1])):
        found = statistics(other)
        assert found.excess_returns == ()
        assert math.isnan(found.excess_psr)


@pytest.mark.parametrize("mode", [codes.NETTING, codes.HEDGING])
def test_a_round_trip_is_from_nothing_to_nothing_however_often_it_was_resized(small_run, mode):
    def deals(*volumes):
        return [
            {"time_ns": k * HOUR_NS, "side": int(np.sign(v)), "volume_lots": abs(v), "price": 1.0}
            for k, v in enumerate(volumes)
        ]

    assert round_trips(small_run(deals(0.3, -0.1, -0.1, -0.1), mode=mode)) == 1
    assert round_trips(small_run(deals(0.1, 0.2, -0.6, 0.3), mode=mode)) == 2  # a reversal
    assert round_trips(small_run(deals(0.1, 0.2), mode=mode)) == 0
    assert round_trips(small_run()) == 0


def test_round_trips_are_at_most_the_closed_trades(three_years):
    found = statistics(three_years)
    assert 100 < found.round_trips <= found.all_trades.trades
