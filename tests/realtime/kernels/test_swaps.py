"""Swaps: every mode, triple days, rollover and booking; worked examples, to the cent."""

import pytest

from realtime.kernels import codes
from realtime.kernels.swaps import charge_swaps_step, roll_over_step, swap_of_day
from tests.realtime.kernels.accounts import (
    DAY_NS,
    DE40,
    EURGBP,
    EURUSD,
    GBPUSD,
    HOUR,
    SECOND,
    START,
    USDJPY,
    XAUUSD,
    Account,
    specifications,
    trading_days,
)


def with_swap(symbol, mode, long, short=0.0):
    specs = specifications()
    specs[symbol]["swap_mode"] = mode
    specs[symbol]["swap_long"], specs[symbol]["swap_short"] = long, short
    return specs


def swap_of_one_day(specs, symbol, kind, lots, **options):
    account = Account(specs, balance=1_000_000.0, **options)
    account.order(symbol, kind, lots)
    charge_swaps_step(account.desk, symbol, 1)
    return float(account.positions[0]["swap"])


def test_points_are_worth_their_price_move_in_profit_currency():
    """MetaQuotes' example: 2 lots EURUSD, point price 2 * 100,000 * 0.00001 = 2 USD, 7 points: 14.

    USDJPY, -1.5 points on 1 lot: -150 JPY, bought at 150.000: -1.00 USD. EURGBP, 2 points on
    1 lot: 2 GBP sold at 1.25000: 2.50 USD.
    """
    points = codes.SWAP_POINTS
    assert swap_of_one_day(with_swap(EURUSD, points, 7.0), EURUSD, codes.BUY, 2.0) == 14.0
    assert swap_of_one_day(with_swap(USDJPY, points, 0, -1.5), USDJPY, codes.SELL, 1.0) == -1.0
    assert swap_of_one_day(with_swap(EURGBP, points, 2.0), EURGBP, codes.BUY, 1.0) == 2.5


def test_currency_modes_charge_money_a_lot():
    """-3 a lot, 2 lots: -6 USD of deposit; -6 GBP of margin currency, bought at 1.25020: -7.50."""
    deposit = with_swap(GBPUSD, codes.SWAP_CURRENCY_DEPOSIT, -3.0)
    assert swap_of_one_day(deposit, GBPUSD, codes.BUY, 2.0) == -6.0
    for mode in (codes.SWAP_CURRENCY_SYMBOL, codes.SWAP_CURRENCY_MARGIN):
        assert swap_of_one_day(with_swap(GBPUSD, mode, -3.0), GBPUSD, codes.BUY, 2.0) == -7.5


def test_interest_of_the_current_price_for_a_short_is_taken_at_the_ask():
    """Alpari's published example for BTCUSD: (1 * 0.1 * 57,000) * -19 / 100 / 360 = -3.01."""
    specs = with_swap(XAUUSD, codes.SWAP_INTEREST_CURRENT, 0.0, -19.0)
    specs[XAUUSD]["contract_size"] = 1.0
    account = Account(specs, balance=1e6)
    account.sell(XAUUSD, 0.1)
    account.tick(XAUUSD, 56_990.0, 57_000.0)
    charge_swaps_step(account.desk, XAUUSD, 1)
    assert account.positions[0]["swap"] == -3.01


def test_interest_of_the_open_price_stays_when_the_price_moves():
    """1 lot gold bought at 2,000.50: 200,050 * -3.6 / 100 / 360 = -20.005, booked as -20.01."""
    specs = with_swap(XAUUSD, codes.SWAP_INTEREST_OPEN, -3.6)
    account = Account(specs, balance=1e6)
    account.buy(XAUUSD, 1.0)
    account.tick(XAUUSD, 2500.0, 2500.5)
    charge_swaps_step(account.desk, XAUUSD, 1)
    assert account.positions[0]["swap"] == -20.01


def test_interest_in_a_foreign_profit_currency_is_converted():
    """10 DE40 at bid 16,000: 160,000 EUR * -4.5 / 100 / 360 = -20.00 EUR at 1.10020: -22.00 USD."""
    specs = with_swap(DE40, codes.SWAP_INTEREST_CURRENT, -4.5)
    assert swap_of_one_day(specs, DE40, codes.BUY, 10.0) == -22.0


def test_a_disabled_swap_charges_nothing():
    assert swap_of_one_day(with_swap(EURUSD, codes.SWAP_DISABLED, -9.0), EURUSD, codes.BUY, 1) == 0


def test_wednesday_charges_three_days_in_points():
    """2 lots, -6.5 points: -13.00 a day. Tuesday -13, Wednesday -39, Thursday -13: -65.00."""
    account = Account(with_swap(EURUSD, codes.SWAP_POINTS, -6.5), balance=1e5, calendar=True)
    account.buy(EURUSD, 2.0)
    charged = []
    for day in range(1, 4):
        account.tick(EURUSD, 1.1, 1.1002, at_ns=START + day * DAY_NS)
        charged.append(float(account.positions[0]["swap"]))
    assert charged == [-13.0, -52.0, -65.0]
    assert account.account["balance"] == 1e5
    assert account.account["equity"] == pytest.approx(1e5 - 65.0 - 40.0)  # and 2 points of spread


def test_wednesday_charges_three_days_of_interest():
    """1 lot gold at bid 1,999.00: 199,900 * -7.2 / 36,000 = -39.98 a day, -119.94 for three."""
    account = Account(
        with_swap(XAUUSD, codes.SWAP_INTEREST_CURRENT, -7.2), balance=1e5, calendar=True
    )
    account.tick(XAUUSD, 2000.0, 2000.5, at_ns=START + DAY_NS)  # Wednesday
    account.buy(XAUUSD, 1.0)
    account.tick(XAUUSD, 1999.0, 1999.5)
    account.tick(XAUUSD, 2100.0, 2100.5, at_ns=START + 2 * DAY_NS)  # the old quote is charged
    assert account.positions[0]["swap"] == -119.94


def test_a_gap_over_a_weekend_charges_every_rollover_once():
    """From Tuesday to the next Tuesday: 1 + 3 + 1 + 1 + 0 + 0 + 1 = 7 days of -13."""
    account = Account(with_swap(EURUSD, codes.SWAP_POINTS, -6.5), balance=1e5, calendar=True)
    account.buy(EURUSD, 2.0)
    account.tick(EURUSD, 1.1, 1.1002, at_ns=START + 7 * DAY_NS)
    assert account.positions[0]["swap"] == -91.0
    account.tick(EURUSD, 1.1, 1.1002)
    assert account.positions[0]["swap"] == -91.0


def test_a_position_closed_one_nanosecond_before_rollover_pays_nothing():
    specs = with_swap(EURUSD, codes.SWAP_POINTS, -6.5)
    account = Account(specs, balance=1e5, calendar=True)
    account.desk["days"]["close_ns"] = account.desk["days"]["end_ns"]
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.1, 1.1002, at_ns=START + DAY_NS - 1)
    assert account.positions[0]["swap"] == 0.0
    account.sell(EURUSD, 1.0)
    account.tick(EURUSD, 1.1, 1.1002, at_ns=START + DAY_NS)
    assert account.fills["swap"].tolist() == [0.0, 0.0]


def test_swap_is_booked_by_the_deal_that_closes_and_in_part_by_a_partial_close():
    """-13.00 accumulated on 2 lots: closing 0.5 lots books a quarter, -3.25, the rest -9.75."""
    account = Account(with_swap(EURUSD, codes.SWAP_POINTS, -6.5), balance=1e5, calendar=True)
    account.buy(EURUSD, 2.0)
    account.tick(EURUSD, 1.1002, 1.1004, at_ns=START + DAY_NS)
    account.sell(EURUSD, 0.5)
    assert account.fills[-1]["swap"] == -3.25
    assert account.positions[0]["swap"] == -9.75
    account.sell(EURUSD, 1.5)
    assert account.fills["swap"].tolist() == [0.0, -3.25, -9.75]
    assert account.account["swap"] == -13.0
    assert account.account["balance"] == 1e5 - 13.0
    assert account.account["floating"] == 0.0


def test_only_the_symbol_that_rolls_over_is_charged():
    specs = with_swap(EURUSD, codes.SWAP_POINTS, -6.5)
    specs[GBPUSD]["swap_mode"] = codes.SWAP_POINTS
    specs[GBPUSD]["swap_long"] = -10.0
    account = Account(specs, balance=1e5, calendar=True)
    account.buy(EURUSD, 1.0)
    account.buy(GBPUSD, 1.0)
    account.tick(EURUSD, 1.1, 1.1002, at_ns=START + DAY_NS)
    assert account.positions["swap"].tolist() == [-6.5, 0.0]


def test_equity_carries_the_swap_from_the_moment_of_rollover():
    """1 lot, spread 20.00 and swap 6.50: without waiting for the symbol's next quote."""
    account = Account(with_swap(EURUSD, codes.SWAP_POINTS, -6.5), balance=1e5, calendar=True)
    account.buy(EURUSD, 1.0)
    roll_over_step(account.desk, EURUSD, START + DAY_NS)
    assert account.account["floating"] == pytest.approx(-26.5)
    assert account.account["equity"] == pytest.approx(1e5 - 26.5)


def test_the_day_row_follows_the_clock_and_stops_at_the_end_of_the_calendar():
    account = Account(calendar=True)
    assert account.desk["day_rows"][EURUSD] == 0
    roll_over_step(account.desk, EURUSD, START + 3 * DAY_NS + HOUR)
    assert account.desk["day_rows"][EURUSD] == 3
    roll_over_step(account.desk, EURUSD, START + 900 * DAY_NS)
    assert account.desk["day_rows"][EURUSD] == len(trading_days()) - 1


def test_before_its_calendar_a_symbol_has_no_day():
    account = Account(calendar=True, quoted=())
    roll_over_step(account.desk, EURUSD, START - SECOND)
    assert account.desk["day_rows"][EURUSD] == -1
    roll_over_step(account.desk, EURUSD, START)
    assert account.desk["day_rows"][EURUSD] == 0


def test_a_swap_that_cannot_be_converted_leaves_the_position_alone():
    account = Account(with_swap(USDJPY, codes.SWAP_POINTS, -1.5), balance=1e5)
    account.buy(USDJPY, 1.0)
    account.desk["quotes"][USDJPY]["ask"] = 0.0
    charge_swaps_step(account.desk, USDJPY, 1)
    assert account.positions[0]["swap"] == 0.0
    assert swap_of_day(account.desk, account.desk["positions"][0]) != 0.0
