"""Money: conversion through quotes, rounding, price and volume grids; worked examples."""

import math
from decimal import ROUND_HALF_UP, Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels import codes
from realtime.kernels.money import (
    commission_of_deal,
    exchange,
    is_on_grid,
    is_quote,
    margin_currency_to_account,
    price_cost,
    round_money,
    snap_price,
    snap_volume,
    to_account,
    unit_value,
)
from tests.realtime.kernels.accounts import (
    DE40,
    ES,
    EURGBP,
    EURJPY,
    EURUSD,
    GBPUSD,
    QUOTES,
    USDJPY,
    XAUUSD,
    a_desk,
)


def a_quoted_desk():
    desk = a_desk()
    for row, (bid, ask) in QUOTES.items():
        desk["quotes"][row]["bid"], desk["quotes"][row]["ask"] = bid, ask
    return desk


def test_gains_are_sold_and_losses_bought_at_the_quote_of_the_profit_currency():
    """Quotes of accounts.py, by hand.

    EURUSD on USD: profit is USD, as it is. USDJPY and EURJPY: JPY through USDJPY 150.000 / 150.010,
    gain 100,000 / 150.010 = 666.62, loss 100,000 / 150.000 = 666.67. EURGBP: GBP through GBPUSD
    1.25000 / 1.25020, gain * 1.25, loss * 1.2502. DE40: EUR through EURUSD 1.10000 / 1.10020.
    """
    desk = a_quoted_desk()
    assert to_account(desk, EURUSD, 500.0) == 500.0
    assert to_account(desk, USDJPY, 100_000.0) == 100_000.0 / 150.010
    assert to_account(desk, USDJPY, -100_000.0) == -100_000.0 / 150.000
    assert to_account(desk, EURJPY, 100_000.0) == pytest.approx(666.62, abs=0.005)
    assert to_account(desk, EURJPY, -100_000.0) == pytest.approx(-666.67, abs=0.005)
    assert to_account(desk, EURGBP, 100.0) == pytest.approx(125.00)
    assert to_account(desk, EURGBP, -100.0) == pytest.approx(-125.02)
    assert to_account(desk, DE40, 201.0) == pytest.approx(221.10)
    assert to_account(desk, DE40, -201.0) == pytest.approx(-221.1402)


def test_three_hundred_points_of_usdjpy_are_what_metaquotes_prints():
    """The example of the MetaTrader5 package's order_calc_profit (MQL5 reference).

    One lot of USDJPY, 300 points: 276.54 USD when bought, 278.09 USD when sold. 30,000 JPY at the
    closing prices 108.483 and 107.878, which the example implies, are these amounts.
    """
    assert round_money(exchange(108.483, 108.483, 1, 30_000.0), 2) == 276.54
    assert round_money(exchange(107.878, 107.878, 1, 30_000.0), 2) == 278.09


def test_an_amount_without_a_conversion_quote_is_nan_and_never_itself():
    desk = a_desk()
    for symbol in (USDJPY, EURGBP, EURJPY, DE40):
        assert math.isnan(to_account(desk, symbol, 1.0))
        assert math.isnan(price_cost(desk, symbol, 1.0, 0.1))
    assert math.isnan(margin_currency_to_account(desk, EURUSD, 1.0))
    assert to_account(desk, EURUSD, 1.0) == 1.0


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(0.0, 0.0), (-1.0, 1.0), (1.1, 1.0), (math.nan, 1.0), (1.0, math.nan), (1.0, math.inf)],
)
def test_what_is_not_a_quote_converts_nothing(bid, ask):
    assert not is_quote(bid, ask)
    assert math.isnan(exchange(bid, ask, 0, 5.0))
    assert math.isnan(exchange(bid, ask, 1, 5.0))


def test_a_locked_quote_is_a_quote():
    assert is_quote(1.1, 1.1)


def test_the_value_of_a_price_unit_is_the_contract_or_in_futures_modes_the_tick():
    """EURUSD 100,000; gold 100 oz; E-mini S&P: 12.50 a tick of 0.25 = 50 a point."""
    desk = a_desk()
    assert unit_value(desk["specs"][EURUSD]) == 100_000.0
    assert unit_value(desk["specs"][XAUUSD]) == 100.0
    desk["specs"][ES]["contract_size"] = 1.0  # not used in this mode
    assert unit_value(desk["specs"][ES]) == 50.0
    desk["specs"][ES]["calc_mode"] = codes.CALC_EXCHANGE_FUTURES
    assert unit_value(desk["specs"][ES]) == 50.0
    desk["specs"][ES]["tick_size"] = 0.0
    assert unit_value(desk["specs"][ES]) == 0.0


def test_commission_is_a_lot_rate_or_a_share_of_notional_in_account_currency():
    """By hand.

    7 a lot * 0.5 lots = 3.50. 0.00005 of 2 lots EURUSD at 1.1002: 220,040 * 0.00005 = 11.002 USD.
    EURGBP 1 lot at 0.8600: 86,000 GBP * 0.00005 = 4.30 GBP, bought at 1.2502 = 5.37586 USD.
    Futures: 2 contracts at 5,000 are 500,000 USD * 0.00001 = 5.00.
    """
    desk = a_quoted_desk()
    assert commission_of_deal(desk, EURUSD, 0.5, 1.1002) == 0.0
    desk["specs"]["commission_mode"] = codes.COMMISSION_PER_LOT
    desk["specs"]["commission_rate"] = 7.0
    assert commission_of_deal(desk, EURGBP, 0.5, 0.86) == -3.5
    desk["specs"]["commission_mode"] = codes.COMMISSION_OF_NOTIONAL
    desk["specs"]["commission_rate"] = 0.00005
    assert commission_of_deal(desk, EURUSD, 2.0, 1.1002) == pytest.approx(-11.002)
    assert commission_of_deal(desk, EURGBP, 1.0, 0.86) == pytest.approx(-5.37586)
    desk["specs"]["commission_rate"] = 0.00001
    assert commission_of_deal(desk, ES, 2.0, 5000.0) == pytest.approx(-5.0)


def test_what_is_paid_for_spread_is_a_positive_cost_bought_in_account_currency():
    """Half of 1.0 on one DE40 is 0.50 EUR, bought at 1.1002 = 0.5501 USD."""
    assert price_cost(a_quoted_desk(), DE40, 1.0, 0.5) == pytest.approx(0.5501)


@given(
    cents=st.integers(-(10**12), 10**12),
    thousandths=st.integers(0, 999),
    digits=st.sampled_from([0, 2, 3]),
)
def test_money_rounds_like_a_decimal_half_away_from_zero(cents, thousandths, digits):
    exact = Decimal(cents).scaleb(-2) + Decimal(thousandths).scaleb(-5)
    wanted = exact.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    assert round_money(float(exact), digits) == float(wanted)


@pytest.mark.parametrize(
    ("amount", "digits", "rounded"),
    [(0.285, 2, 0.29), (-0.285, 2, -0.29), (1.005, 2, 1.01), (2.5, 0, 3.0), (-2.5, 0, -3.0)],
)
def test_a_decimal_half_rounds_away_although_its_double_is_below_it(amount, digits, rounded):
    assert round_money(amount, digits) == rounded


def test_money_that_is_not_rounded_keeps_its_bits_and_nan_stays_nan():
    assert round_money(1.23456789, -1) == 1.23456789
    assert math.isnan(round_money(math.nan, 2))
    assert round_money(math.inf, 2) == math.inf
    assert round_money(1e300, 2) == 1e300


@given(st.integers(-(10**14), 10**14), st.integers(1, 10**9))
def test_volumes_add_up_in_units_of_a_hundred_millionth_of_a_lot(units, other):
    lots, more = units / 1e8, other / 1e8
    assert snap_volume(lots) == lots
    assert snap_volume(snap_volume(lots + more) - more) == lots


def test_a_tenth_and_two_tenths_less_three_tenths_is_no_volume():
    assert snap_volume(0.1 + 0.2 - 0.3) == 0.0
    assert math.isnan(snap_volume(math.nan))


@given(ticks=st.integers(1, 10**7), tick_size=st.sampled_from([1e-5, 0.001, 0.01, 0.1, 0.25, 1.0]))
def test_a_price_on_the_grid_stays_and_one_between_goes_the_way_asked(ticks, tick_size):
    decimal = Decimal(str(tick_size))
    price = float(ticks * decimal)
    assert is_on_grid(price, tick_size)
    for direction in (-1, 0, 1):
        assert snap_price(price, tick_size, direction) == price
    between = float((ticks + Decimal("0.4")) * decimal)
    assert not is_on_grid(between, tick_size)
    above = float((ticks + 1) * decimal)
    assert snap_price(between, tick_size, 1) == above
    assert snap_price(between, tick_size, -1) == price
    assert snap_price(between, tick_size, 0) == price


def test_without_a_tick_size_every_price_is_on_the_grid():
    assert snap_price(1.23456789, 0.0, 1) == 1.23456789
    assert is_on_grid(1.23456789, 0.0)


def test_a_grid_cannot_hold_a_price_that_is_not_a_number():
    assert math.isnan(snap_price(math.nan, 0.01, 1))
    assert not is_on_grid(math.nan, 0.01)
    assert not is_on_grid(math.inf, 0.01)


def test_an_uneven_tick_size_has_a_grid_too():
    assert snap_price(1.0, 0.3, 1) == pytest.approx(1.2)
    assert np.isclose(snap_price(1.0, 0.3, -1), 0.9)


def test_margin_currency_amounts_convert_like_gains_and_losses():
    """10 GBP at 1.25000 / 1.25020; USDJPY binds USD, which is the account's own."""
    desk = a_quoted_desk()
    assert margin_currency_to_account(desk, GBPUSD, 10.0) == pytest.approx(12.50)
    assert margin_currency_to_account(desk, GBPUSD, -10.0) == pytest.approx(-12.502)
    assert margin_currency_to_account(desk, USDJPY, -10.0) == -10.0
