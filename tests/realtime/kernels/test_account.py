"""The account: equity is a sum, margin level, stop-out, and what may still be bought."""

import pytest

from realtime.kernels import codes
from realtime.kernels.account import book_deal_step, can_afford, free_margin, is_stop_out
from tests.realtime.kernels.accounts import EURUSD, GBPUSD, NAN, USDJPY, XAUUSD, Account


def test_equity_is_balance_credit_and_floating_with_swap():
    account = Account(balance=10_000.0, credit=500.0)
    account.buy(EURUSD, 1.0)  # 2 points of spread: -20.00
    account.desk["positions"][0]["swap"] = -7.5
    account.tick(EURUSD, 1.10000, 1.10020)
    assert account.account["floating"] == pytest.approx(-27.5)
    assert account.account["equity"] == pytest.approx(10_472.5)


def test_a_booked_deal_changes_the_balance_by_the_sum_of_its_parts_and_nothing_else():
    account = Account(balance=100.0)
    assert book_deal_step(account.desk, 10.10, -0.35, -3.50, 1.25, 0.5) == 106.25
    record = account.account
    assert record["balance"] == record["equity"] == 106.25
    assert (record["realised"], record["swap"], record["commission"]) == (10.10, -0.35, -3.50)
    assert (record["spread_cost"], record["slippage_cost"]) == (1.25, 0.5)


def test_a_balance_of_cents_stays_in_cents_over_many_deals():
    account = Account(balance=0.0)
    for _ in range(1000):
        book_deal_step(account.desk, 0.1, 0.0, 0.0, 0.0, 0.0)
    assert account.account["balance"] == 100.0


def test_an_order_is_refused_when_free_margin_would_turn_negative():
    """1 lot EURUSD needs 1,100.20 and costs 20.00 of spread at once: 1,120.20 is enough."""
    enough = Account(balance=1120.20)
    enough.buy(EURUSD, 1.0)
    assert len(enough.positions) == 1
    assert free_margin(enough.desk) == pytest.approx(0.0, abs=1e-6)
    short = Account(balance=1120.19)
    short.buy(EURUSD, 1.0)
    assert len(short.positions) == 0
    (order,) = short.closed
    assert (order["state"], order["retcode"]) == (codes.STATE_REJECTED, codes.NO_MONEY)
    assert short.account["balance"] == 1120.19
    assert len(short.fills) == 0


def test_commission_counts_against_free_margin():
    account = Account(balance=1125.0)
    account.desk["specs"]["commission_mode"] = codes.COMMISSION_PER_LOT
    account.desk["specs"]["commission_rate"] = 5.0
    account.buy(EURUSD, 1.0)
    assert account.closed["retcode"].tolist() == [codes.NO_MONEY]


def test_without_free_margin_a_position_can_still_be_reduced():
    account = Account(balance=2300.0, stop_out_level=0.0)
    account.buy(EURUSD, 2.0)
    account.tick(EURUSD, 1.09600, 1.09620)
    assert free_margin(account.desk) < 0.0
    account.sell(EURUSD, 1.0)
    assert account.positions["volume_lots"].tolist() == [1.0]
    assert can_afford(account.desk, -1e9, 0.0)
    assert not can_afford(account.desk, -1e9, 0.01)


def test_a_reversal_needs_margin_only_for_what_it_opens():
    """2,300 USD: 2 lots bound 2,200; turning them into 2 lots short binds 2,200 again."""
    account = Account(balance=2300.0, stop_out_level=0.0)
    account.buy(EURUSD, 2.0)
    account.sell(EURUSD, 4.0)
    assert account.positions["side"].tolist() == [-1]
    assert account.positions["volume_lots"].tolist() == [2.0]
    account.buy(EURUSD, 5.0)
    assert account.closed[-1]["retcode"] == codes.NO_MONEY
    assert account.positions["side"].tolist() == [-1]


def test_the_stop_out_level_is_a_share_of_margin():
    """1 lot binds 1,100.20; half of it is 550.10. From 2,000: stopped out below 550.10."""
    account = Account(balance=2000.0)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.08571, 1.08591)  # equity 2,000 - 1,449 = 551.00
    assert account.account["equity"] == pytest.approx(551.0)
    assert not is_stop_out(account.account)
    assert len(account.positions) == 1
    account.tick(EURUSD, 1.08570, 1.08590)  # 550.00 < 550.10
    assert len(account.positions) == 0
    fill = account.fills[-1]
    assert fill["reason"] == codes.REASON_STOP_OUT
    assert fill["order_id"] == -1
    assert fill["profit"] == -1450.00
    assert account.account["stop_outs"] == 1
    assert account.account["balance"] == account.account["equity"] == 550.00
    assert account.account["margin"] == 0.0


def test_stop_out_closes_the_largest_loser_first_until_the_level_is_back():
    """Hedging account of 5,000 USD, three positions, by hand.

    Bound: EURUSD 1 lot 1,100.20 + GBPUSD 1 lot 1,250.20 + USDJPY 1 lot 1,000 = 3,350.40, half of
    it 1,675.20. USDJPY falls 3.010: -301,000 / 147.000 = -2,047.62. With EURUSD at -1,020.00 and
    GBPUSD at -520.00 equity is 1,412.38: stop-out. USDJPY closes first: margin 2,350.40, half
    1,175.20, equity still 1,412.38: enough, the others stay.
    """
    account = Account(balance=5000.0, mode=codes.HEDGING)
    account.buy(GBPUSD, 1.0)
    account.buy(EURUSD, 1.0)
    account.buy(USDJPY, 1.0)
    assert account.account["margin"] == pytest.approx(3350.40, abs=0.005)
    account.tick(GBPUSD, 1.24500, 1.24520)
    account.tick(EURUSD, 1.09000, 1.09020)
    assert len(account.positions) == 3
    account.tick(USDJPY, 147.000, 147.010)
    assert account.positions["symbol"].tolist() == [GBPUSD, EURUSD]
    assert account.fills[-1]["symbol"] == USDJPY
    assert account.fills[-1]["profit"] == -2047.62
    assert account.account["equity"] == pytest.approx(1412.38, abs=0.005)
    assert account.account["margin"] == pytest.approx(2350.40, abs=0.005)


def test_stop_out_goes_on_in_order_of_loss_and_includes_swap():
    """Two more losers: with 300 USD of swap GBPUSD loses 820.00, less than EURUSD's 1,020.00."""
    account = Account(balance=2500.0, mode=codes.HEDGING)
    account.buy(GBPUSD, 1.0)
    account.buy(EURUSD, 1.0)
    account.desk["positions"][0]["swap"] = -300.0
    account.tick(GBPUSD, 1.24500, 1.24520)
    assert account.fills["reason"].tolist() == [codes.REASON_EXPERT] * 2
    account.tick(EURUSD, 1.09000, 1.09020)  # equity 660 < 1,175.20; then 660 > 625.10
    assert account.fills[2:]["symbol"].tolist() == [EURUSD]
    account.tick(GBPUSD, 1.24000, 1.24020)  # equity 160 < 625.10
    assert account.fills[2:]["symbol"].tolist() == [EURUSD, GBPUSD]
    assert account.fills[-1]["swap"] == -300.0
    assert account.account["stop_outs"] == 2
    assert account.account["balance"] == 160.0


def test_a_loss_in_one_symbol_closes_the_larger_loser_of_another_at_its_own_quote():
    account = Account(balance=3000.0, mode=codes.HEDGING)
    account.buy(XAUUSD, 1.0)  # 2,000.50
    account.buy(EURUSD, 0.5)
    account.tick(XAUUSD, 1990.50, 1991.00)  # -1,000
    account.tick(EURUSD, 1.08600, 1.08620)  # -710: equity 1,290 against 2,550.60 bound
    assert len(account.positions) == 2
    account.tick(EURUSD, 1.08500, 1.08520)  # -760: 1,240 < 1,275.30
    assert account.fills[-1]["symbol"] == XAUUSD
    assert account.fills[-1]["price"] == 1990.50
    assert account.positions["symbol"].tolist() == [EURUSD]


def test_no_stop_out_without_margin():
    account = Account(balance=100.0)
    account.account["equity"] = -5.0
    assert not is_stop_out(account.account)


def test_totals_run_over_deals():
    """1 lot EURUSD in and out: spread 2 * 10.00, commission 2 * 3.50; no slippage, nothing won."""
    account = Account(balance=1e5)
    account.desk["specs"]["commission_mode"] = codes.COMMISSION_PER_LOT
    account.desk["specs"]["commission_rate"] = 3.5
    account.buy(EURUSD, 1.0, sl=NAN)
    account.sell(EURUSD, 1.0)
    record = account.account
    assert record["spread_cost"] == pytest.approx(20.0)
    assert record["commission"] == -7.0
    assert record["slippage_cost"] == 0.0
    assert record["realised"] == -20.0
    assert record["balance"] == 1e5 - 27.0


def test_a_margin_level_exactly_at_the_stop_out_level_is_not_below_it():
    record = Account(stop_out_level=0.5).account
    record["margin"] = 1000.0
    record["equity"] = 500.0
    assert not is_stop_out(record)
    record["equity"] = 499.99
    assert is_stop_out(record)
