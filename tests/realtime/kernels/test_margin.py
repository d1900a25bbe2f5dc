"""Margin by calculation mode and for hedged positions: worked examples, to the cent."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels import codes
from realtime.kernels.margin import (
    account_margin,
    base_margin,
    margin_conversion_rate,
    margin_of_legs,
    symbol_margin,
)
from tests.realtime.kernels.accounts import (
    DE40,
    ES,
    EURGBP,
    EURJPY,
    EURUSD,
    GBPUSD,
    START,
    USDJPY,
    XAUUSD,
    Account,
    specifications,
)

RICH = 1_000_000.0


def margin_after(symbol, side, lots, *, specs=None, **options):
    account = Account(specs, balance=RICH, **options)
    kind = codes.BUY if side > 0 else codes.SELL
    account.order(symbol, kind, lots)
    assert len(account.positions) == 1
    return float(account.account["margin"])


def test_forex_direct_binds_base_currency_bought_at_the_ask_or_sold_at_the_bid():
    """MetaTrader 5 help: 1 lot EURUSD at leverage 1:100 binds 100,000 / 100 = 1,000 EUR.

    On a USD account: * ask 1.10020 = 1,100.20 for a buy, * bid 1.10000 = 1,100.00 for a sell.
    """
    assert margin_after(EURUSD, 1, 1.0) == pytest.approx(1100.20, abs=0.005)
    assert margin_after(EURUSD, -1, 1.0) == pytest.approx(1100.00, abs=0.005)


def test_forex_inverse_binds_the_account_currency_itself():
    """USDJPY binds USD: 0.5 * 100,000 / 100 = 500.00, whatever the price."""
    assert margin_after(USDJPY, 1, 0.5) == 500.0
    assert margin_after(USDJPY, -1, 0.5) == 500.0


def test_forex_cross_binds_its_base_currency_through_another_pair():
    """EURGBP and EURJPY bind EUR: 1,000 EUR * 1.10020 bought, * 1.10000 sold."""
    assert margin_after(EURGBP, 1, 1.0) == pytest.approx(1100.20, abs=0.005)
    assert margin_after(EURJPY, -1, 2.0) == pytest.approx(2200.00, abs=0.005)


def test_an_inverse_margin_pair_divides_by_the_ask_for_a_buy():
    """JPY bound through USDJPY 150.000 / 150.010: 1 / 150.010 bought, 1 / 150.000 sold."""
    account = Account()
    account.desk["specs"][EURUSD]["margin_symbol"] = USDJPY
    account.desk["specs"][EURUSD]["margin_inverse"] = 1
    assert margin_conversion_rate(account.desk, EURUSD, 1) == 1.0 / 150.010
    assert margin_conversion_rate(account.desk, EURUSD, -1) == 1.0 / 150.000


def test_a_metal_with_leverage_binds_its_value_over_the_leverage():
    """0.5 lots XAUUSD: 0.5 * 100 oz * 2,000.50 / 100 = 1,000.25 USD."""
    assert margin_after(XAUUSD, 1, 0.5) == pytest.approx(1000.25, abs=0.005)


def test_a_cfd_binds_its_whole_value_times_the_margin_rate():
    """MetaTrader 5 help: 1 lot of 100 oz of XAUUSD at 1,000 binds 100 * 1,000 = 100,000 USD.

    DE40: 2 * 1 * 16,001.0 * 0.05 = 1,600.10 EUR, * 1.10020 = 1,760.43 USD.
    """
    spec = specifications()[XAUUSD]
    spec["calc_mode"] = codes.CALC_CFD
    assert base_margin(spec, 100.0, 1.0, 1000.0, 100.0, 1) == 100_000.0
    assert margin_after(DE40, 1, 2.0) == pytest.approx(1760.43, abs=0.005)


def test_an_index_cfd_counts_the_value_of_a_tick():
    """Mode CFD index, 0.25 EUR a tick of 0.5: 2 * 16,001 * 0.25 / 0.5 * 0.05 = 800.05 EUR.

    * 1.10020 = 880.215 USD.
    """
    specs = specifications()
    specs[DE40]["calc_mode"] = codes.CALC_CFD_INDEX
    specs[DE40]["tick_size"], specs[DE40]["tick_value"] = 0.5, 0.25
    assert margin_after(DE40, 1, 2.0, specs=specs) == pytest.approx(880.215, abs=0.001)


def test_futures_bind_their_initial_margin_a_lot():
    """2 * 13,200 = 26,400 USD."""
    assert margin_after(ES, -1, 2.0) == 26_400.0


def test_exchange_futures_bind_maintenance_margin_once_held():
    """Checked with 13,200 a lot, held with 12,000 a lot."""
    specs = specifications()
    specs[ES]["calc_mode"] = codes.CALC_EXCHANGE_FUTURES
    specs[ES]["margin_maintenance"] = 12_000.0
    assert margin_after(ES, 1, 2.0, specs=specs) == 24_000.0
    poor = Account(specs, balance=13_000.0)
    poor.buy(ES, 1.0)
    assert poor.closed["retcode"].tolist() == [codes.NO_MONEY]


@pytest.mark.parametrize(
    ("mode", "margin"),
    [
        (codes.CALC_FOREX, 20.0),
        (codes.CALC_FOREX_NO_LEVERAGE, 2_000.0),
        (codes.CALC_CFD, 100_000.0),
        (codes.CALC_CFD_LEVERAGE, 1_000.0),
        (codes.CALC_EXCHANGE_STOCKS, 100_000.0),
        (codes.CALC_CFD_INDEX, 1_000_000.0),
        (codes.CALC_FUTURES, 0.0),
    ],
)
def test_every_mode_has_its_formula(mode, margin):
    """2 lots of 1,000 at 50, leverage 100, tick 0.01 worth 0.1 (MQL5 book, margin requirements)."""
    spec = specifications()[EURUSD]
    spec["calc_mode"], spec["tick_size"], spec["tick_value"] = mode, 0.01, 0.1
    assert base_margin(spec, 100.0, 2.0, 50.0, 1000.0, 1) == pytest.approx(margin)


def test_an_initial_margin_replaces_the_formula_of_any_mode():
    spec = specifications()[EURUSD]
    spec["margin_initial"] = 300.0
    assert base_margin(spec, 100.0, 2.0, 50.0, 1000.0, 1) == 600.0


def test_an_account_without_leverage_counts_as_one_to_one():
    spec = specifications()[EURUSD]
    assert base_margin(spec, 0.0, 1.0, 1.1, 100_000.0, 1) == 100_000.0


def test_margin_rates_multiply_by_direction():
    specs = specifications()
    specs[USDJPY]["margin_rate_long"] = 2.0
    specs[USDJPY]["margin_rate_short"] = 0.5
    assert margin_after(USDJPY, 1, 1.0, specs=specs) == 2000.0
    assert margin_after(USDJPY, -1, 1.0, specs=specs) == 500.0


def hedged(contract, *, use_leg=0):
    """3 sells and 2 buys of 1 lot EURUSD at one price pair; the margin of both legs."""
    specs = specifications()
    specs[EURUSD]["margin_hedged"] = contract
    specs[EURUSD]["margin_hedged_use_leg"] = use_leg
    account = Account(specs, balance=RICH, mode=codes.HEDGING)
    for _ in range(3):
        account.sell(EURUSD, 1.0)
    for _ in range(2):
        account.buy(EURUSD, 1.0)
    assert len(account.positions) == 5
    return float(account.account["margin"])


def test_covered_volume_binds_by_the_hedged_contract_size_and_the_rest_in_full():
    """MetaTrader 5 help, base calculation; by hand.

    3 sells at 1.10000, 2 buys at 1.10020: uncovered 1 lot sold, 1,000 EUR * 1.10000 = 1,100.00.
    Covered 2 lots with hedged contract 100,000: 2,000 EUR at the average rate
    (3 * 1.10000 + 2 * 1.10020) / 5 = 1.10008: 2,200.16. Half the contract: 1,100.08. Zero: free.
    """
    assert hedged(100_000.0) == pytest.approx(1100.00 + 2200.16, abs=0.005)
    assert hedged(50_000.0) == pytest.approx(1100.00 + 1100.08, abs=0.005)
    assert hedged(0.0) == pytest.approx(1100.00, abs=0.005)


def test_with_the_larger_leg_only_that_leg_binds():
    """MQL5 book: margin of each side, the largest is final: 3,000 EUR * 1.10000 = 3,300.00."""
    assert hedged(100_000.0, use_leg=1) == pytest.approx(3300.00, abs=0.005)


def test_one_lot_bought_and_one_sold_bind_as_one_with_a_full_hedged_contract():
    """MetaTrader 5 help: hedged 100,000 for a contract of 100,000: "as per 1 lot"."""
    spec = specifications()[EURUSD]
    spec["margin_hedged"] = 100_000.0
    legs = (1.0, 1.2, 1.2, 1.0, 1.2, 1.2)
    assert margin_of_legs(spec, 100.0, legs, 1) == pytest.approx(1200.0)


def test_hedged_margin_is_money_a_lot_where_an_initial_margin_is_set():
    """MQL5 book: absolute value. 3 long, 1 short futures: 2 * 13,200 + 1 * 5,000 = 31,400.

    In EUR at 1.10 to the dollar: 34,540.
    """
    spec = specifications()[ES]
    spec["margin_hedged"] = 5_000.0
    legs = (3.0, 15_000.0, 3.0, 1.0, 5_010.0, 1.0)
    assert margin_of_legs(spec, 100.0, legs, 1) == pytest.approx(31_400.0)
    foreign = (3.0, 15_000.0, 3.3, 1.0, 5_010.0, 1.1)
    assert margin_of_legs(spec, 100.0, foreign, 1) == pytest.approx(34_540.0)


def test_covered_volume_takes_the_mean_of_both_margin_rates():
    """2 lots USDJPY each way, hedged 50,000, rates 2 and 1: 2 * 50,000 / 100 * 1.5 = 1,500."""
    spec = specifications()[USDJPY]
    spec["margin_hedged"] = 50_000.0
    spec["margin_rate_long"] = 2.0
    legs = (2.0, 300.0, 2.0, 2.0, 300.0, 2.0)
    assert margin_of_legs(spec, 100.0, legs, 1) == pytest.approx(1500.0)


def test_a_metal_hedge_averages_the_open_prices_by_volume():
    """XAUUSD: buy 2 at 2,000, sell 1 at 2,030, hedged contract 100, leverage 100.

    Uncovered 1 at 2,000: 100 * 2,000 / 100 = 2,000. Covered 1 at (4,000 + 2,030) / 3 = 2,010:
    2,010. Together 4,010.
    """
    spec = specifications()[XAUUSD]
    spec["margin_hedged"] = 100.0
    legs = (2.0, 4000.0, 2.0, 1.0, 2030.0, 1.0)
    assert margin_of_legs(spec, 100.0, legs, 1) == pytest.approx(4010.0)


def test_the_opening_rate_is_kept_while_the_market_moves():
    account = Account(balance=RICH)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.3, 1.3002)
    account.buy(USDJPY, 1.0)  # margin of the whole account is summed again here
    assert account.account["margin"] == pytest.approx(1100.20 + 1000.0, abs=0.005)


def test_a_netting_increase_averages_the_margin_rate_by_volume():
    """1 lot at 1.10020 and 3 at 1.20020: 1,000 * 1.10020 + 3,000 * 1.20020 = 4,700.80."""
    account = Account(balance=RICH)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.2, 1.2002)
    account.buy(EURUSD, 3.0)
    assert len(account.positions) == 1
    assert account.account["margin"] == pytest.approx(4700.80, abs=0.005)


def test_a_margin_without_a_conversion_quote_is_nan():
    assert math.isnan(margin_conversion_rate(Account(quoted=()).desk, EURUSD, 1))


@given(
    longs=st.floats(0.0, 100.0),
    shorts=st.floats(0.0, 100.0),
    hedge=st.sampled_from([0.0, 50_000.0, 100_000.0]),
    mode=st.sampled_from([0, 1, 2, 3, 4, 5, 32, 33]),
    use_leg=st.integers(0, 1),
)
def test_margin_is_never_negative_and_never_more_than_that_of_both_legs(
    longs, shorts, hedge, mode, use_leg
):
    spec = specifications()[GBPUSD]
    spec["calc_mode"], spec["margin_hedged"], spec["margin_hedged_use_leg"] = mode, hedge, use_leg
    legs = (longs, longs * 1.3, longs * 1.1, shorts, shorts * 1.3, shorts * 1.1)
    both = sum(
        margin_of_legs(spec, 30.0, each, 1)
        for each in ((*legs[:3], 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, *legs[3:]))
    )
    margin = margin_of_legs(spec, 30.0, legs, 1)
    assert 0.0 <= margin <= both * (1 + 1e-9) + 1e-3


def test_the_account_binds_the_sum_of_its_symbols():
    account = Account(balance=RICH, mode=codes.HEDGING)
    for symbol in (EURUSD, USDJPY, EURUSD, XAUUSD, USDJPY):
        account.buy(symbol, 1.0)
    parts = [symbol_margin(account.desk, each, 1) for each in (EURUSD, USDJPY, XAUUSD)]
    assert account_margin(account.desk) == parts[0] + parts[1] + parts[2]
    assert account.account["margin"] == account_margin(account.desk)
    assert account.now_ns == START
