"""Deals become round trips, and no money gets lost on the way."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.backtest.trades import match, trades
from realtime.kernels import codes, layout

HOUR_NS = 3600 * 10**9


def deal(hour, side, lots, price, profit=0.0, commission=0.0, **fields):
    return {
        "time_ns": hour * HOUR_NS,
        "side": side,
        "volume_lots": lots,
        "price": price,
        "profit": profit,
        "commission": commission,
        "reason": codes.REASON_EXPERT,
        **fields,
    }


def test_a_long_and_a_short_round_trip_carry_both_deals_money(small_run):
    run = small_run(
        [
            deal(1, +1, 0.5, 1.10, commission=-1.5, spread_cost=2.0, slippage_cost=0.5),
            deal(3, -1, 0.5, 1.11, 500.0, -1.5, swap=-0.7, spread_cost=2.5, slippage_cost=0.25),
            deal(5, -1, 0.2, 1.12, commission=-0.6),
            deal(6, +1, 0.2, 1.13, -200.0, -0.6, reason=codes.REASON_STOP_LOSS, balance=9_795.1),
        ]
    )
    long, short = trades(run)
    assert (long["side"], long["entry_price"], long["exit_price"]) == (1, 1.10, 1.11)
    assert long["duration_ns"] == 2 * HOUR_NS
    assert long["commission"] == -3.0
    assert long["swap"] == -0.7
    assert long["profit"] == 500.0
    assert long["net"] == pytest.approx(496.3)
    assert long["gross"] == pytest.approx(505.25)
    assert (short["side"], short["net"], short["balance"]) == (-1, -201.2, 9_795.1)
    assert short["exit_reason"] == codes.REASON_STOP_LOSS


def test_partial_closes_take_the_oldest_volume_and_its_commission_first(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.10, commission=-4.0),
            deal(2, +1, 1.0, 1.12, commission=-8.0),
            deal(4, -1, 0.5, 1.13, 100.0),
            deal(6, -1, 1.5, 1.14, 900.0),
        ]
    )
    first, second = trades(run)
    assert first["entry_price"] == pytest.approx(1.11)  # the account's average, not a lot's
    assert (first["volume_lots"], first["commission"], first["entry_ns"]) == (0.5, -2.0, 0)
    assert (second["volume_lots"], second["commission"], second["entry_ns"]) == (1.5, -10.0, 0)
    assert second["entry_price"] == pytest.approx(1.11)


def test_after_the_oldest_volume_is_gone_the_next_gives_the_entry_time(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.10),
            deal(2, +1, 1.0, 1.12),
            deal(4, -1, 1.0, 1.13, 200.0),
            deal(6, -1, 1.0, 1.14, 300.0),
        ]
    )
    assert trades(run)["entry_ns"].tolist() == [0, 2 * HOUR_NS]


def test_a_reversal_closes_one_trade_and_opens_the_other_side(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.10, commission=-3.0),
            deal(1, -1, 1.5, 1.12, 2_000.0, -4.5, entry=codes.ENTRY_INOUT, spread_cost=6.0),
            deal(2, +1, 0.5, 1.11, 500.0, -1.5),
        ]
    )
    long, short = trades(run)
    assert (long["volume_lots"], long["commission"], long["spread_cost"]) == (1.0, -6.0, 4.0)
    assert (short["side"], short["volume_lots"], short["entry_price"]) == (-1, 0.5, 1.12)
    assert (short["commission"], short["spread_cost"]) == (-3.0, 2.0)
    assert match(run).open_booked == 0.0


def test_a_hedging_account_closes_the_position_it_names(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.10, position_id=7),
            deal(1, -1, 1.0, 1.11, position_id=8),
            deal(2, -1, 0.4, 1.13, 1_200.0, position_id=7),
            deal(3, +1, 1.0, 1.12, -1_000.0, position_id=8),
        ],
        mode=codes.HEDGING,
    )
    first, second = trades(run)
    assert (first["position_id"], first["side"], first["volume_lots"]) == (7, 1, 0.4)
    assert (second["position_id"], second["side"], second["entry_price"]) == (8, -1, 1.11)


def test_each_symbol_of_a_netting_account_has_its_own_position(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.10, symbol=0),
            deal(1, -1, 1.0, 150.0, symbol=1),
            deal(2, -1, 1.0, 1.11, 10.0, symbol=0),
        ],
        symbols=("EURUSD", "USDJPY"),
    )
    assert trades(run)["symbol"].tolist() == [0]


def test_tenths_that_are_not_exact_in_binary_still_close_a_position(small_run):
    fills = [deal(i, +1, 0.1, 1.0) for i in range(3)]
    run = small_run([*fills, deal(9, -1, 0.3, 1.1, 30.0), deal(10, -1, 0.1, 1.1)])
    assert trades(run)["volume_lots"].tolist() == [0.3]


def test_decisions_behind_entry_and_exit_are_found_through_the_orders(small_run):
    run = small_run(
        [deal(0, +1, 1.0, 1.1, order_id=4), deal(1, -1, 1.0, 1.2, 9.0, order_id=5)],
        orders=[
            {"id": 4, "decision_code": codes.DECISION_ENTER_LONG},
            {"id": 5, "decision_code": codes.DECISION_FLAT_BEFORE_WEEKEND},
        ],
    )
    (trade,) = trades(run)
    assert trade["entry_decision"] == codes.DECISION_ENTER_LONG
    assert trade["exit_decision"] == codes.DECISION_FLAT_BEFORE_WEEKEND


def test_swap_charged_by_a_deal_of_its_own_is_carried_by_the_open_trade(small_run):
    run = small_run(
        [
            deal(0, +1, 1.0, 1.1),
            deal(1, 0, 0.0, 1.1, swap=-2.5, reason=codes.REASON_ROLLOVER),
            deal(2, -1, 1.0, 1.2, 10.0),
        ]
    )
    (trade,) = trades(run)
    assert (trade["swap"], trade["net"]) == (-2.5, 7.5)


def test_time_in_the_market_counts_overlapping_positions_once(small_run):
    run = small_run(
        [
            deal(1, +1, 1.0, 1.1, symbol=0),
            deal(2, +1, 1.0, 1.1, symbol=1),
            deal(4, -1, 1.0, 1.1, symbol=0),
            deal(5, -1, 1.0, 1.1, symbol=1),
            deal(8, +1, 1.0, 1.1, symbol=1),
        ],
        symbols=("EURUSD", "GBPUSD"),
        equity=[{"time_ns": h * HOUR_NS, "equity": 10_000.0} for h in (0, 10)],
    )
    assert match(run).exposed_ns == 6 * HOUR_NS


def bars_from(rows):
    bars = np.zeros(len(rows), dtype=layout.BAR)
    for bar, (hour, low, high) in zip(bars, rows, strict=True):
        bar["open_ns"], bar["end_ns"] = hour * HOUR_NS, (hour + 1) * HOUR_NS
        bar["low"], bar["high"], bar["spread_mean"] = low, high, 0.01
    return bars


def test_excursions_see_only_bars_inside_the_trade_and_shorts_see_the_ask(small_run):
    bars = bars_from([(0, 0.5, 3.0), (1, 0.98, 1.05), (2, 0.95, 1.10), (3, 0.1, 9.0)])
    fills = [
        deal(1, +1, 1.0, 1.0), deal(3, -1, 1.0, 1.02, 1.0),
        deal(1, -1, 1.0, 1.0, symbol=1), deal(3, +1, 1.0, 1.02, -1.0, symbol=1),
    ]  # fmt: skip
    run = small_run(fills, symbols=("A", "B"), bars={"A": bars, "B": bars})
    long, short = trades(run)
    assert long["mae_fraction"] == pytest.approx(-0.05)
    assert long["mfe_fraction"] == pytest.approx(0.10)
    assert short["mae_fraction"] == pytest.approx(-0.11)
    assert short["mfe_fraction"] == pytest.approx(0.04)


def test_a_trade_inside_one_bar_knows_only_its_own_exit(small_run):
    run = small_run(
        [deal(1, +1, 1.0, 1.0), deal(1, -1, 1.0, 0.99, -1.0)],
        bars={"EURUSD": bars_from([(0, 0.5, 2.0), (1, 0.5, 2.0)])},
    )
    (trade,) = trades(run)
    assert trade["mae_fraction"] == pytest.approx(-0.01)
    assert trade["mfe_fraction"] == 0.0


def test_without_bars_excursions_use_the_sampled_mids(small_run):
    mids = [1.0, 1.0, 0.97, 1.04, 1.0]
    run = small_run(
        [deal(1, +1, 1.0, 1.0), deal(4, -1, 1.0, 1.01, 1.0)],
        equity=[{"time_ns": h * HOUR_NS, "equity": 1.0, "mid": mid} for h, mid in enumerate(mids)],
    )
    (trade,) = trades(run)
    assert trade["mae_fraction"] == pytest.approx(-0.03)
    assert trade["mfe_fraction"] == pytest.approx(0.04)


@pytest.mark.parametrize("mode", [codes.NETTING, codes.HEDGING])
@given(
    steps=st.lists(
        st.tuples(
            st.integers(0, 2),
            st.sampled_from([-1, 1]),
            st.integers(1, 40),
            st.floats(-500, 500),
            st.floats(-10, 10),
            st.floats(-5, 1),
        ),
        max_size=60,
    )
)
def test_money_is_conserved(small_run, mode, steps):
    fills = [
        deal(i, side, hundredths / 100, 1.1 + i / 1e4, profit, commission, swap=swap,
             symbol=key, position_id=key, spread_cost=abs(swap), slippage_cost=0.1)
        for i, (key, side, hundredths, profit, swap, commission) in enumerate(steps)
    ]  # fmt: skip
    run = small_run(fills, mode=mode, symbols=("A", "B", "C"))
    matching = match(run)
    booked = sum(f["profit"] + f["swap"] + f["commission"] for f in fills)
    assert math.isclose(
        float(matching.trades["net"].sum()) + matching.open_booked, booked, abs_tol=1e-8
    )
    net = dict.fromkeys(range(3), 0)
    for key, side, hundredths, *_ in steps:
        net[key] += side * hundredths
    bought = sum(h for _, _, h, *_ in steps)
    closed = round(100 * float(matching.trades["volume_lots"].sum()))
    assert bought == 2 * closed + sum(abs(lots) for lots in net.values())
    assert np.all(matching.trades["duration_ns"] >= 0)
    gross = matching.trades["gross"] - matching.trades["spread_cost"]
    assert np.allclose(gross - matching.trades["slippage_cost"], matching.trades["profit"])


def test_the_trades_of_a_long_run_explain_its_balance(three_years):
    matching = match(three_years)
    balance = float(three_years.account["balance"][0])
    explained = float(matching.trades["net"].sum()) + matching.open_booked
    assert matching.trades.size > 700
    assert explained == pytest.approx(balance - three_years.initial_balance, abs=1e-6)
    price_profit = (
        (matching.trades["exit_price"] - matching.trades["entry_price"])
        * matching.trades["side"] * matching.trades["volume_lots"] * 100_000.0
    )  # fmt: skip
    assert np.allclose(price_profit, matching.trades["profit"], atol=0.0051)
