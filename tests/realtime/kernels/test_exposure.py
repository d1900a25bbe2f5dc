"""Exposure and margin count the whole account, and orders before they are filled."""

import math

import pytest

from realtime.kernels import codes
from realtime.kernels.exposure import (
    exposure_of_others,
    hedged_lots,
    lot_notional,
    net_lots,
    working_lots,
)
from realtime.kernels.margin import account_margin, margin_conversion_rate, margin_with_deal
from tests.realtime.kernels.desks import (
    EURGBP,
    EURUSD,
    GBPUSD,
    NOW,
    USDJPY,
    a_desk,
    ask_risk,
    hold,
    quote,
    work,
)


def test_notional_is_converted_to_the_account_currency() -> None:
    desk = a_desk()
    assert lot_notional(desk, EURUSD) == pytest.approx(110_000)
    assert lot_notional(desk, USDJPY) == pytest.approx(100_000)
    assert lot_notional(desk, EURGBP) == pytest.approx(100_000 * 0.86 * 1.28)
    quote(desk, GBPUSD, math.nan, 0.0, NOW)
    assert math.isnan(lot_notional(desk, EURGBP))


def test_exposure_counts_every_symbol_of_the_account() -> None:
    desk = a_desk()
    desk["account_limits"]["max_gross_leverage"] = 20.0
    desk["account_limits"]["max_net_leverage"] = 10.0
    hold(desk, GBPUSD, -0.5)  # 64,000
    hold(desk, USDJPY, 0.3)  # 30,000
    # gross: (200,000 - 94,000) / 110,000 = 0.9636; net long: (100,000 + 34,000) / 110,000 = 1.218
    assert ask_risk(desk, 5.0) == (0.96, codes.RISK_GROSS_EXPOSURE)
    # net short: (100,000 - 34,000) / 110,000 = 0.6
    assert ask_risk(desk, -5.0) == (-0.6, codes.RISK_NET_EXPOSURE)


def test_orders_of_other_symbols_count_before_they_are_filled() -> None:
    desk = a_desk()
    desk["account_limits"]["max_gross_leverage"] = 10.0
    assert ask_risk(desk, 0.9) == (0.9, codes.RISK_OK)
    work(desk, GBPUSD, codes.BUY, 0.6, filled=0.1)  # 64,000 to come
    assert ask_risk(desk, 0.9) == (0.32, codes.RISK_GROSS_EXPOSURE)
    others = exposure_of_others(desk, EURUSD)
    assert tuple(others) == pytest.approx((64_000, 64_000, 0.0))


def test_an_order_that_closes_adds_nothing_to_gross_exposure() -> None:
    desk = a_desk()
    hold(desk, GBPUSD, 0.5)
    before = exposure_of_others(desk, EURUSD).gross
    work(desk, GBPUSD, codes.SELL, 0.5)
    work(desk, GBPUSD, codes.SELL, 0.5, position_id=1)
    assert exposure_of_others(desk, EURUSD).gross == before
    hold(desk, GBPUSD, -0.5)  # flat, but hedged: what closes one leg opens nothing
    assert exposure_of_others(desk, EURUSD).gross == pytest.approx(2 * before + 64_000)


def test_a_working_entry_order_of_the_symbol_takes_from_its_own_room() -> None:
    desk = a_desk()
    desk["limits"]["max_position_lots"] = 1.0
    work(desk, EURUSD, codes.BUY_STOP, 0.7)
    assert working_lots(desk, EURUSD, 1) == pytest.approx(0.7)
    assert ask_risk(desk, 1.0) == (0.3, codes.RISK_POSITION)
    assert ask_risk(desk, -1.0) == (-1.0, codes.RISK_OK)
    desk["limits"]["max_position_lots"] = 0.0
    desk["specs"]["volume_limit"] = 0.9
    assert ask_risk(desk, 1.0) == (0.2, codes.RISK_POSITION)


def test_a_hedged_pair_counts_twice_in_gross_and_not_at_all_in_net() -> None:
    desk = a_desk(mode="hedging")
    hold(desk, EURUSD, 0.3)
    hold(desk, EURUSD, -0.3)
    assert net_lots(desk, EURUSD) == 0.0
    assert hedged_lots(desk, EURUSD) == pytest.approx(0.3)
    desk["account_limits"]["max_gross_leverage"] = 10.0  # 0.909 lots, 0.6 are held
    assert ask_risk(desk, 1.0) == (0.3, codes.RISK_GROSS_EXPOSURE)
    desk["account_limits"]["max_gross_leverage"] = 0.0
    desk["account_limits"]["max_net_leverage"] = 10.0
    assert ask_risk(desk, 1.0) == (0.9, codes.RISK_NET_EXPOSURE)


def test_net_lots_of_several_positions_cancel_exactly() -> None:
    desk = a_desk(mode="hedging")
    for lots in (0.3, -0.1, -0.2):
        hold(desk, EURUSD, lots)
    assert net_lots(desk, EURUSD) == 0.0


def test_margin_of_held_positions_and_working_orders_leaves_the_rest() -> None:
    desk = a_desk()
    desk["account_limits"]["max_margin_use"] = 0.1  # 1,000
    hold(desk, USDJPY, 0.5)  # 500 of margin
    assert ask_risk(desk, 0.46) == (0.45, codes.RISK_MARGIN_USE)
    assert ask_risk(desk, 1.0) == (0.45, codes.RISK_MARGIN_USE)
    work(desk, USDJPY, codes.BUY_LIMIT, 0.3)  # 300 more
    assert ask_risk(desk, 1.0) == (0.18, codes.RISK_MARGIN_USE)
    hold(desk, EURUSD, -0.3)  # 330, which a reversal frees
    assert ask_risk(desk, 1.0) == (0.18, codes.RISK_MARGIN_USE)


def test_margin_that_is_not_proportional_to_volume_is_not_exceeded_either() -> None:
    """Average price times average rate: a CFD in euros, held since one was lower, one higher."""
    desk = a_desk(equity=100_000.0, symbols=("DE40", "EURUSD"))
    quote(desk, 0, 20_000.0, 0.5, NOW)
    quote(desk, 1, 1.2, 0.00005, NOW)
    hold(desk, 0, 30.0)
    desk["positions"][0]["open_price"] = 5_000.0
    desk["positions"][0]["margin_rate"] = 3.0
    desk["account"]["margin"] = account_margin(desk)
    desk["account_limits"]["max_margin_use"] = 0.5
    desk["specs"]["volume_step"] = 1e-6
    allowed, code = ask_risk(desk, 200.0, price=20_000.0)
    assert code == codes.RISK_MARGIN_USE
    rate = margin_conversion_rate(desk, 0, 1)
    used = margin_with_deal(desk, 0, 1, allowed - 30.0, 20_000.5, rate, 0)
    assert 40_000 < used <= 50_000 * (1 + 1e-9)
