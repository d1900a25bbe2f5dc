"""What a candidate would have earned: positions by thresholds, half a round trip a change."""

import math

import numpy as np
import pytest

from ml.trials import positions, record_of
from realtime.settings import DecisionSettings

PLAIN = DecisionSettings(enter_probability=0.6, exit_probability=0.5, edge_cost_ratio=0.0)


def held(probabilities, decision=PLAIN, cost=0.0):
    return positions(np.array(probabilities), np.full(len(probabilities), cost), decision).tolist()


def test_positions_enter_stay_reverse_and_leave_like_the_decision_kernel():
    said = [0.55, 0.6, 0.5, 0.49, 0.4, 0.5, 0.51, 0.7, math.nan, 0.3]
    assert held(said) == [0, 1, 1, 0, -1, -1, 0, 1, 1, -1]


def test_a_side_that_is_not_allowed_is_never_taken():
    only_long = DecisionSettings(enter_probability=0.6, edge_cost_ratio=0.0, allow_short=False)
    assert held([0.1, 0.7, 0.1], only_long) == [0, 1, 0]


def test_an_entry_must_expect_more_than_its_cost():
    careful = DecisionSettings(
        enter_probability=0.6, gain_fraction=0.001, loss_fraction=0.001, edge_cost_ratio=1.0
    )
    assert held([0.6, 0.6], careful, cost=0.00019) == [1, 1]
    assert held([0.6, 0.6], careful, cost=0.00021) == [0, 0]


def test_a_record_pays_half_a_round_trip_for_each_change():
    said, returns = np.array([0.7, 0.7, 0.3, 0.5]), np.array([0.01, -0.02, -0.03, 0.04])
    record = record_of(said, returns, np.full(4, 0.002), PLAIN)
    assert record.gross_return == pytest.approx(0.01 - 0.02 + 0.03 - 0.04)
    assert record.changes == 3.0  # in, and round
    assert record.net_return == pytest.approx(record.gross_return - 3 * 0.001)
    assert record.share_in_market == 1.0
    net = np.array([0.01 - 0.001, -0.02, 0.03 - 0.002, -0.04])
    assert record.sharpe == pytest.approx(net.mean() / net.std(ddof=1))


def test_the_excess_is_over_the_market_at_the_mean_position():
    rng = np.random.default_rng(3)
    said, returns = rng.uniform(0.3, 0.8, 400), rng.normal(0.0002, 0.001, 400)
    costs = np.full(400, 0.0001)
    record = record_of(said, returns, costs, PLAIN)
    own = positions(said, costs, PLAIN)
    changes = np.abs(np.diff(own, prepend=0.0))
    excess = own * returns - 0.5 * costs * changes - own.mean() * returns
    assert record.mean_position == pytest.approx(own.mean())
    assert record.excess_sharpe == pytest.approx(excess.mean() / excess.std(ddof=1))
    assert record.trades == sum(
        1 for before, after in zip([0.0, *own[:-1]], own, strict=True) if after not in (0, before)
    )


def test_one_position_that_is_never_left_has_no_excess():
    record = record_of(np.full(50, 0.9), np.linspace(0.0, 0.01, 50), np.zeros(50), PLAIN)
    assert record.psr > 0.99
    assert (record.excess_sharpe, record.excess_psr, record.trades) == (0.0, 0.0, 1)


def test_nothing_traded_is_no_evidence():
    record = record_of(np.full(50, 0.5), np.ones(50), np.zeros(50), PLAIN)
    assert (record.sharpe, record.psr, record.gross_psr, record.changes) == (0.0, 0.0, 0.0, 0.0)


def test_thresholds_agree_with_the_decision_kernel_on_random_probabilities():
    from realtime.kernels.decision import decision_fold
    from realtime.kernels.layout import DECISION, DECISION_STATE, QUOTE, SIGNAL
    from tests.parity.scenarios import a_desk, made_ticks
    from tests.realtime.kernels.tick_streams import days_of

    count = 2_000
    ticks = made_ticks(count)
    ticks["bid"], ticks["ask"] = 1.1, 1.1002
    ticks["time_ns"] = np.sort(ticks["time_ns"])
    said = np.clip(np.random.default_rng(1).normal(0.5, 0.1, count), 0.0, 1.0)
    signals, quotes = np.zeros(count, SIGNAL), np.zeros(count, QUOTE)
    signals["probability"] = said
    for field in ("time_ns", "bid", "ask"):
        quotes[field] = ticks[field]
    desk, days = a_desk("netting", ticks), days_of(ticks["time_ns"])
    decision = DecisionSettings(enter_probability=0.6, resize_fraction=1.0)
    params = desk["params"][:1].copy()
    decision.fill(params[0])
    desk["specs"][0]["commission_rate"] = 0.0
    out, state = np.zeros(count, DECISION), np.zeros(1, DECISION_STATE)
    decision_fold(
        params[0], state[0], signals, desk["specs"][0], quotes, days,
        np.searchsorted(days["start_ns"], ticks["time_ns"], "right") - 1,
        np.full(count, 1e5), np.full(count, 110_000.0), np.ascontiguousarray(ticks["time_ns"]), out,
    )  # fmt: skip
    expected = positions(said, out["cost"], decision)
    assert np.sign(out["target_lots"]).tolist() == expected.tolist()
    assert len(np.unique(expected)) == 3
