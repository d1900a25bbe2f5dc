"""Positions: netting, hedging, reversal and what they are worth; worked examples, to the cent."""

import math

import numpy as np
import pytest

from realtime.kernels import codes
from realtime.kernels.positions import find_position, lots_of_side, revalue_row_step
from tests.realtime.kernels.accounts import (
    DE40,
    ES,
    EURGBP,
    EURJPY,
    EURUSD,
    GBPUSD,
    USDJPY,
    XAUUSD,
    Account,
)


def closed_profit(symbol, side, lots, bid, ask):
    """Open at the quotes of accounts.py, close at the quote given; what was booked."""
    account = Account(balance=1e6)
    account.order(symbol, codes.BUY if side > 0 else codes.SELL, lots)
    account.tick(symbol, bid, ask)
    account.order(symbol, codes.SELL if side > 0 else codes.BUY, lots)
    assert len(account.positions) == 0
    assert account.account["floating"] == 0.0
    assert account.account["margin"] == 0.0
    profit = float(account.fills[-1]["profit"])
    assert account.account["balance"] == 1e6 + profit
    return profit


def test_forex_direct_profit():
    """EURUSD: (1.10520 - 1.10020) * 100,000 = 500.00; short (1.10000 - 1.10520) = -520.00."""
    assert closed_profit(EURUSD, 1, 1.0, 1.10520, 1.10540) == 500.00
    assert closed_profit(EURUSD, -1, 1.0, 1.10500, 1.10520) == -520.00


def test_metaquotes_example_of_one_lot_eurusd():
    """MQL5 reference, OrderCalcProfit: bought at 1.10757, closed at 1.10881: 124.00 USD."""
    account = Account()
    account.tick(EURUSD, 1.10753, 1.10757)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.10881, 1.10885)
    account.sell(EURUSD, 1.0)
    assert account.fills[-1]["profit"] == 124.00
    account.tick(EURUSD, 1.10753, 1.10757)
    account.sell(EURUSD, 1.0)
    account.tick(EURUSD, 1.10877, 1.10881)
    account.buy(EURUSD, 1.0)
    assert account.fills[-1]["profit"] == -128.00


def test_forex_inverse_profit():
    """USDJPY: bought at 150.010, closed at 151.010 / 151.020: 100,000 JPY / 151.020 = 662.16.

    A loss of 1.010: -101,000 JPY / 149.000 = -677.85.
    """
    assert closed_profit(USDJPY, 1, 1.0, 151.010, 151.020) == 662.16
    assert closed_profit(USDJPY, 1, 1.0, 149.000, 149.010) == -677.85


def test_forex_cross_profit():
    """EURGBP: bought at 0.86010, closed at 0.86210: 200 GBP * 1.25000 = 250.00.

    Sold at 0.86000, closed at 0.86150: -150 GBP * 1.25020 = -187.53. EURJPY: sold at 165.000,
    closed at 164.100: 90,000 JPY / 150.010 = 599.96.
    """
    assert closed_profit(EURGBP, 1, 1.0, 0.86210, 0.86220) == 250.00
    assert closed_profit(EURGBP, -1, 1.0, 0.86140, 0.86150) == -187.53
    assert closed_profit(EURJPY, -1, 1.0, 164.080, 164.100) == 599.96


def test_metal_profit():
    """0.5 lots of 100 oz: bought at 2,000.50, closed at 2,011.00: 10.50 * 50 = 525.00."""
    assert closed_profit(XAUUSD, 1, 0.5, 2011.00, 2011.50) == 525.00


def test_index_profit_in_its_currency():
    """2 DE40: bought at 16,001.0, closed at 16,101.5: 201 EUR * 1.10000 = 221.10 USD.

    Closed at 15,900.5: -201 EUR * 1.10020 = -221.14 USD.
    """
    assert closed_profit(DE40, 1, 2.0, 16101.5, 16102.5) == 221.10
    assert closed_profit(DE40, 1, 2.0, 15900.5, 15901.5) == -221.14


def test_futures_profit_by_ticks():
    """2 contracts: bought at 5,000.25, closed at 5,010.50: 10.25 / 0.25 * 12.50 * 2 = 1,025.00."""
    assert closed_profit(ES, 1, 2.0, 5010.50, 5010.75) == 1025.00


def test_netting_averages_the_price_by_volume():
    """1 lot at 1.10020 and 3 at 1.10420: (1.10020 + 3 * 1.10420) / 4 = 1.10320."""
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0, sl=1.05, tp=1.2)
    account.tick(EURUSD, 1.10400, 1.10420)
    account.buy(EURUSD, 3.0, tp=1.25)
    (position,) = account.positions
    assert position["volume_lots"] == 4.0
    assert position["open_price"] == pytest.approx(1.10320, abs=1e-12)
    assert position["profit"] == pytest.approx((1.10400 - 1.10320) * 400_000.0)
    assert position["id"] == account.fills[0]["order_id"]
    assert account.fills["entry"].tolist() == [codes.ENTRY_IN, codes.ENTRY_IN]
    # A level given with the second order replaces the old one, one not given stays.
    assert position["stop_loss"] == 1.05
    assert position["take_profit"] == 1.25


def test_netting_reduction_books_its_share_and_keeps_price_and_levels():
    """3 lots at 1.10020, 1 sold at 1.10520: 500.00 booked, 2 lots stay at 1.10020."""
    account = Account(balance=1e6)
    account.buy(EURUSD, 3.0, sl=1.05)
    account.tick(EURUSD, 1.10520, 1.10540)
    account.sell(EURUSD, 1.0, sl=1.2)
    (position,) = account.positions
    assert account.fills[-1]["profit"] == 500.00
    assert account.fills[-1]["entry"] == codes.ENTRY_OUT
    assert position["volume_lots"] == 2.0
    assert position["open_price"] == 1.10020
    assert position["stop_loss"] == 1.05
    assert account.account["margin"] == pytest.approx(2200.40, abs=0.005)


def test_netting_reversal_closes_all_and_opens_the_rest_under_the_same_id():
    """1 lot long at 1.10020; 3 sold at 1.10520: 500.00 booked, 2 lots short at 1.10520."""
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0, sl=1.05)
    first = int(account.positions[0]["id"])
    account.tick(EURUSD, 1.10520, 1.10540)
    account.sell(EURUSD, 3.0, sl=1.2)
    (position,) = account.positions
    assert account.fills[-1]["entry"] == codes.ENTRY_INOUT
    assert account.fills[-1]["profit"] == 500.00
    assert account.fills[-1]["volume_lots"] == 3.0
    assert account.fills[-1]["position_id"] == first
    assert position["id"] == first
    assert position["side"] == -1
    assert position["volume_lots"] == 2.0
    assert position["open_price"] == 1.10520
    assert position["stop_loss"] == 1.2
    assert position["open_ns"] == account.now_ns
    assert math.isnan(position["take_profit"])
    # 2,000 EUR, sold at the bid of the reversal.
    assert account.account["margin"] == pytest.approx(2210.40, abs=0.005)


def test_hedging_keeps_every_deal_apart_and_closes_by_id():
    account = Account(balance=1e6, mode=codes.HEDGING)
    account.buy(EURUSD, 1.0)
    account.buy(EURUSD, 2.0)
    account.sell(EURUSD, 0.5)
    assert account.positions["side"].tolist() == [1, 1, -1]
    assert account.positions["volume_lots"].tolist() == [1.0, 2.0, 0.5]
    second = int(account.positions[1]["id"])
    account.tick(EURUSD, 1.10520, 1.10540)
    account.sell(EURUSD, 0.5, position_id=second)
    assert account.fills[-1]["entry"] == codes.ENTRY_OUT
    assert account.fills[-1]["profit"] == 250.00
    assert account.positions["volume_lots"].tolist() == [1.0, 1.5, 0.5]
    account.sell(EURUSD, 1.5, position_id=second)
    assert account.positions["volume_lots"].tolist() == [1.0, 0.5]
    assert find_position(account.desk, EURUSD, second, -1) == -1


def test_a_position_with_an_id_of_another_symbol_is_not_found():
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0)
    held = int(account.positions[0]["id"])
    assert find_position(account.desk, EURUSD, held, -1) == 0
    assert find_position(account.desk, GBPUSD, held, -1) == -1


def test_lots_add_up_by_side_without_binary_noise():
    account = Account(balance=1e6, mode=codes.HEDGING)
    for lots in (0.1, 0.2):
        account.buy(EURUSD, lots)
    account.sell(EURUSD, 0.7)
    assert lots_of_side(account.desk, EURUSD, 1) == 0.3
    assert lots_of_side(account.desk, EURUSD, -1) == 0.7
    assert lots_of_side(account.desk, GBPUSD, 1) == 0.0


def test_thirds_of_a_position_close_it_without_a_rest():
    account = Account(balance=1e6)
    account.buy(EURUSD, 0.3)
    account.sell(EURUSD, 0.1)
    account.sell(EURUSD, 0.2)
    assert len(account.positions) == 0


def test_a_cross_is_revalued_when_only_its_conversion_moves():
    """200 GBP floating: 250.00 USD at 1.25000, 260.00 at 1.30000."""
    account = Account(balance=1e6)
    account.buy(EURGBP, 1.0)
    account.tick(EURGBP, 0.86210, 0.86220)
    assert account.account["equity"] == pytest.approx(1e6 + 250.0)
    account.tick(GBPUSD, 1.30000, 1.30020)
    assert account.positions[0]["profit"] == pytest.approx(260.0)
    assert account.account["equity"] == pytest.approx(1e6 + 260.0)


def test_a_position_without_quotes_keeps_its_last_value():
    account = Account(balance=1e6)
    account.buy(USDJPY, 1.0)
    profit = float(account.positions[0]["profit"])
    account.desk["quotes"][USDJPY]["ask"] = math.nan
    revalue_row_step(account.desk, 0)
    account.desk["quotes"][USDJPY]["bid"] = 0.0
    revalue_row_step(account.desk, 0)
    assert account.positions[0]["profit"] == profit


def test_closing_the_oldest_keeps_the_order_of_the_rest():
    account = Account(balance=1e6, mode=codes.HEDGING)
    for lots in (0.1, 0.2, 0.3, 0.4):
        account.buy(EURUSD, lots)
    ids = account.positions["id"].copy()
    account.sell(EURUSD, 0.2, position_id=int(ids[1]))
    assert np.array_equal(account.positions["id"], ids[[0, 2, 3]])
    assert account.positions["volume_lots"].tolist() == [0.1, 0.3, 0.4]
