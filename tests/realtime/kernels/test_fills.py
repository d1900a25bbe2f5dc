"""Fills: price, slippage, liquidity and costs of a deal; worked examples, to the cent."""

import math

import pytest

from realtime.kernels import codes
from realtime.kernels.fills import available_lots, fill_price, make_deal_step
from tests.realtime.kernels.accounts import (
    EURGBP,
    EURUSD,
    GBPUSD,
    NAN,
    SECOND,
    USDJPY,
    Account,
    specifications,
)


def with_costs(**values):
    specs = specifications()
    for name, value in values.items():
        specs[name] = value
    return specs


def test_without_slippage_the_price_is_the_quote_bit_for_bit():
    account = Account(balance=1e6, quoted=())
    account.tick(EURUSD, 1.1000000000000003, 1.1002000000000007)  # off the grid on purpose
    account.buy(EURUSD, 1.0)
    account.sell(EURUSD, 0.5)
    assert account.fills["price"].tolist() == [1.1002000000000007, 1.1000000000000003]


def test_slippage_adds_points_a_share_of_the_spread_and_impact_against_the_order():
    """1.5 points + 0.25 * 20 points + 0.5 points a lot * 2 = 7.5 points, rounded up to 8.

    Bought 2 lots at 1.10020: 1.10028, 16.00 USD of slippage. Sold at 1.10000: 1.09992. Half the
    spread is 10 points: 20.00 USD each.
    """
    specs = with_costs(
        slippage_points=1.5, slippage_spread_fraction=0.25, slippage_points_per_lot=0.5
    )
    account = Account(specs, balance=1e6)
    account.buy(EURUSD, 2.0)
    account.sell(EURUSD, 2.0)
    assert account.fills["price"].tolist() == [1.10028, 1.09992]
    assert account.fills["slippage_cost"] == pytest.approx([16.0, 16.0])
    assert account.fills["spread_cost"] == pytest.approx([20.0, 20.0])
    assert account.fills[-1]["profit"] == -72.00
    assert account.account["slippage_cost"] == pytest.approx(32.0)


def test_slippage_on_the_grid_stays_on_its_line():
    account = Account(with_costs(slippage_points=3.0), balance=1e6)
    account.buy(EURUSD, 1.0)
    account.buy(USDJPY, 1.0)
    assert account.fills["price"].tolist() == [1.10023, 150.013]


def test_slippage_never_makes_a_price_that_is_not_positive():
    account = Account(with_costs(slippage_points=1e9), balance=1e6)
    spec, quote = account.desk["specs"][EURUSD], account.desk["quotes"][EURUSD]
    assert fill_price(spec, quote, -1, 1.0, 1) == 0.00001


def test_costs_of_a_cross_are_in_account_currency():
    """EURGBP 1 lot: half of 10 points = 5.00 GBP, bought at 1.25020 = 6.251 USD."""
    account = Account(balance=1e6)
    account.buy(EURGBP, 1.0)
    assert account.fills[0]["spread_cost"] == pytest.approx(6.251)


def test_commission_is_booked_with_every_deal():
    """0.00003 of notional: 1 lot at 1.10020 = 3.3006, at 1.10000 = 3.30; per deal, rounded."""
    specs = with_costs(commission_mode=codes.COMMISSION_OF_NOTIONAL, commission_rate=0.00003)
    account = Account(specs, balance=1e6)
    account.buy(EURUSD, 1.0)
    assert account.account["balance"] == 1e6 - 3.30
    account.sell(EURUSD, 1.0)
    assert account.fills["commission"].tolist() == [-3.30, -3.30]
    assert account.fills["balance"].tolist() == [1e6 - 3.30, 1e6 - 26.60]
    assert account.account["commission"] == -6.60


def liquid(lots, **more):
    specs = with_costs(liquidity_lots=lots)
    return Account(specs, balance=1e6, **more)


def test_fill_or_kill_takes_all_or_nothing():
    account = liquid(2.0)
    account.buy(EURUSD, 2.0, filling=codes.FILL_OR_KILL)
    assert account.fills["volume_lots"].tolist() == [2.0]
    account.tick(EURUSD, 1.1, 1.1002)
    account.buy(EURUSD, 2.01, filling=codes.FILL_OR_KILL)
    assert account.fills["volume_lots"].tolist() == [2.0]
    killed = account.closed[-1]
    assert (killed["state"], killed["retcode"]) == (codes.STATE_CANCELED, codes.REJECT)
    assert killed["filled_lots"] == 0.0


def test_immediate_or_cancel_takes_what_is_there_and_cancels_the_rest():
    account = liquid(2.0)
    account.buy(EURUSD, 3.5, filling=codes.IMMEDIATE_OR_CANCEL)
    (order,) = account.closed
    assert (order["state"], order["retcode"]) == (codes.STATE_PARTIAL, codes.DONE_PARTIAL)
    assert (order["volume_lots"], order["filled_lots"]) == (3.5, 2.0)
    assert account.positions["volume_lots"].tolist() == [2.0]
    account.buy(EURUSD, 1.0, filling=codes.IMMEDIATE_OR_CANCEL)  # the quote is used up
    assert account.closed[-1]["retcode"] == codes.REJECT
    account.tick(EURUSD, 1.1, 1.1002)
    assert len(account.fills) == 1


@pytest.mark.parametrize("mode", [codes.NETTING, codes.HEDGING])
def test_return_works_the_rest_on_the_following_quotes_into_one_position(mode):
    """5 lots against 2 a quote: 2 at 1.10020, 2 at 1.10030, 1 at 1.10040: average 1.10028."""
    account = liquid(2.0, mode=mode)
    account.buy(EURUSD, 5.0)
    assert account.orders["state"].tolist() == [codes.STATE_PARTIAL]
    account.tick(GBPUSD, 1.25, 1.2502)  # another symbol's quote is not for it
    assert len(account.fills) == 1
    account.tick(EURUSD, 1.10010, 1.10030)
    account.tick(EURUSD, 1.10020, 1.10040)
    assert account.fills["volume_lots"].tolist() == [2.0, 2.0, 1.0]
    assert len(account.orders) == 0
    (order,) = account.closed
    assert (order["state"], order["filled_lots"]) == (codes.STATE_FILLED, 5.0)
    (position,) = account.positions
    assert position["id"] == order["id"]
    assert position["open_price"] == pytest.approx(1.10028, abs=1e-12)


def test_orders_share_the_liquidity_of_a_quote_and_side():
    account = liquid(2.0, mode=codes.HEDGING)
    account.buy(EURUSD, 1.5, filling=codes.IMMEDIATE_OR_CANCEL)
    account.buy(EURUSD, 1.5, filling=codes.IMMEDIATE_OR_CANCEL)
    account.sell(EURUSD, 1.5, filling=codes.IMMEDIATE_OR_CANCEL)
    assert account.fills["volume_lots"].tolist() == [1.5, 0.5, 1.5]


def test_a_part_is_a_whole_number_of_volume_steps():
    account = liquid(0.37)
    account.desk["specs"]["volume_step"] = account.desk["specs"]["volume_min"] = 0.1
    assert available_lots(account.desk, EURUSD, 1, 1.0) == 0.3
    account.desk["specs"]["volume_step"] = 0.0
    assert available_lots(account.desk, EURUSD, 1, 1.0) == 0.37


def test_the_server_closes_whole_whatever_the_liquidity():
    account = liquid(2.0)
    account.buy(EURUSD, 2.0, sl=1.09900)
    account.tick(EURUSD, 1.10000, 1.10020)
    account.buy(EURUSD, 2.0)
    account.tick(EURUSD, 1.09800, 1.09820)
    assert account.fills[-1]["reason"] == codes.REASON_STOP_LOSS
    assert account.fills[-1]["volume_lots"] == 4.0


@pytest.mark.parametrize(
    ("symbol", "missing"),
    [(EURUSD, EURUSD), (EURGBP, GBPUSD), (EURGBP, EURUSD), (USDJPY, USDJPY)],
)
def test_a_deal_without_a_quote_it_needs_is_refused_and_changes_nothing(symbol, missing):
    quoted = [row for row in range(8) if row != missing]
    account = Account(balance=1e6, quoted=quoted)
    before = account.desk.tobytes()
    code = make_deal_step(
        account.desk, symbol, 1, 1.0, 1, -1, 99, codes.REASON_EXPERT, NAN, NAN, 7, account.now_ns,
        account.fill_rows, 0,
    )  # fmt: skip
    assert code == codes.PRICE_OFF
    assert account.desk.tobytes() == before


def test_a_deal_says_what_it_did():
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0, magic=42)
    account.tick(EURUSD, 1.10520, 1.10540)
    account.sell(EURUSD, 1.0)
    bought, sold = account.fills
    assert (bought["side"], bought["entry"], bought["reason"]) == (1, codes.ENTRY_IN, 3)
    assert (sold["side"], sold["entry"]) == (-1, codes.ENTRY_OUT)
    assert bought["order_id"] == account.closed[0]["id"]
    assert sold["order_id"] == account.closed[1]["id"]
    assert bought["position_id"] == sold["position_id"] == bought["order_id"]
    assert bought["symbol"] == EURUSD
    assert sold["time_ns"] - bought["time_ns"] == SECOND
    ids = [*account.fills["id"], *account.closed["id"]]
    assert len(set(ids)) == 4
    assert sold["balance"] == account.account["balance"] == 1e6 + 500.0
    assert account.closed[0]["magic"] == 42


def test_unrounded_money_is_the_bare_product():
    """For strategies measured against NumPy: (close - open) * contract * lots."""
    account = Account(balance=0.0, money_digits=-1, leverage=1e9)
    account.account["credit"] = account.account["equity"] = 1e6
    account.buy(EURUSD, 0.33)
    account.tick(EURUSD, 1.103331, 1.10350)
    account.sell(EURUSD, 0.33)
    assert account.account["balance"] == (1.103331 - 1.10020) * 100_000.0 * 0.33
    assert math.isfinite(account.account["equity"])
