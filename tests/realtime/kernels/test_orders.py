"""Orders: what is refused and why, what triggers, expires and ends."""

import math

import numpy as np
import pytest

from realtime.kernels import codes
from realtime.kernels.orders import cancel_order_step
from tests.realtime.kernels.accounts import (
    DAY_NS,
    EURUSD,
    GBPUSD,
    HOUR,
    MINUTE,
    NAN,
    SECOND,
    START,
    Account,
    specifications,
)

BID, ASK = 1.10000, 1.10020


@pytest.mark.parametrize("lots", [NAN, math.inf, -math.inf, 0.0, -1.0, 0.009, 100.01, 0.015, 1e12])
def test_a_volume_that_is_none_or_off_the_grid_is_refused(lots):
    account = Account(balance=1e9)
    for kind in range(6):
        assert account.send(EURUSD, kind, lots, 1.0) == -codes.INVALID_VOLUME
    assert len(account.orders) == 0


@pytest.mark.parametrize("lots", [0.01, 0.07, 0.29, 1.1, 57.53, 100.0])
def test_a_volume_on_the_grid_is_accepted_whatever_its_binary_form(lots):
    assert Account(balance=1e9).send(EURUSD, codes.BUY, lots) == 0


@pytest.mark.parametrize("price", [NAN, math.inf, -math.inf, -1.0])
@pytest.mark.parametrize("kind", range(6))
def test_a_price_that_is_none_is_refused_even_for_a_market_order(kind, price):
    account = Account()
    before = account.desk.tobytes()
    assert account.send(EURUSD, kind, 1.0, price) == -codes.INVALID_PRICE
    assert account.desk.tobytes() == before


@pytest.mark.parametrize(
    ("kind", "price", "accepted"),
    [
        (codes.BUY_LIMIT, 1.10019, True),
        (codes.BUY_LIMIT, ASK, False),
        (codes.BUY_LIMIT, 1.10030, False),
        (codes.SELL_LIMIT, 1.10001, True),
        (codes.SELL_LIMIT, BID, False),
        (codes.BUY_STOP, 1.10021, True),
        (codes.BUY_STOP, ASK, False),
        (codes.SELL_STOP, 1.09999, True),
        (codes.SELL_STOP, BID, False),
        (codes.SELL_STOP, 1.10010, False),
        (codes.BUY_LIMIT, 1.100105, False),  # off the tick grid
        (codes.BUY_LIMIT, 0.0, False),
    ],
)
def test_a_pending_order_lies_on_its_side_of_the_market(kind, price, accepted):
    answer = Account().send(EURUSD, kind, 0.1, price)
    assert answer == (0 if accepted else -codes.INVALID_PRICE)


def test_pending_orders_keep_the_stops_level():
    account = Account()
    account.desk["specs"][EURUSD]["stops_level_points"] = 10.0
    assert account.send(EURUSD, codes.BUY_LIMIT, 0.1, 1.10011) == -codes.INVALID_PRICE
    assert account.send(EURUSD, codes.BUY_LIMIT, 0.1, 1.10010) == 0
    assert account.send(EURUSD, codes.SELL_STOP, 0.1, 1.09991) == -codes.INVALID_PRICE
    assert account.send(EURUSD, codes.SELL_STOP, 0.1, 1.09990) == 1


@pytest.mark.parametrize(
    ("kind", "price", "sl", "tp", "accepted"),
    [
        (codes.BUY, 0.0, 1.09990, 1.10010, True),  # measured from the bid
        (codes.BUY, 0.0, 1.09991, NAN, False),
        (codes.BUY, 0.0, NAN, 1.10009, False),
        (codes.BUY, 0.0, BID, NAN, False),
        (codes.SELL, 0.0, 1.10030, 1.10010, True),  # measured from the ask
        (codes.SELL, 0.0, 1.10029, NAN, False),
        (codes.SELL, 0.0, NAN, 1.10011, False),
        (codes.BUY_LIMIT, 1.09900, 1.09890, 1.09910, True),  # measured from the order
        (codes.BUY_LIMIT, 1.09900, 1.09891, NAN, False),
        (codes.SELL_STOP, 1.09900, 1.09910, 1.09890, True),
        (codes.SELL_STOP, 1.09900, 1.09909, NAN, False),
        (codes.BUY, 0.0, 1.099855, NAN, False),  # off the tick grid
        (codes.BUY, 0.0, -1.0, NAN, False),
        (codes.BUY, 0.0, 0.0, NAN, False),
        (codes.BUY, 0.0, -math.inf, NAN, False),
        (codes.BUY, 0.0, NAN, math.inf, False),
        (codes.SELL, 0.0, NAN, -math.inf, False),
    ],
)
def test_levels_keep_the_stops_level_from_the_price_that_triggers_them(
    kind, price, sl, tp, accepted
):
    account = Account()
    account.desk["specs"][EURUSD]["stops_level_points"] = 10.0
    answer = account.send(EURUSD, kind, 0.1, price, sl=sl, tp=tp)
    assert answer == (0 if accepted else -codes.INVALID_STOPS)


@pytest.mark.parametrize(
    ("symbol", "kind", "filling"), [(-1, 0, 0), (8, 0, 0), (0, -1, 0), (0, 6, 0), (0, 0, 3)]
)
def test_a_malformed_order_is_refused(symbol, kind, filling):
    assert Account().send(symbol, kind, 1.0, 1.0, filling=filling) == -codes.INVALID


def test_an_order_without_a_quote_is_refused():
    assert Account(quoted=()).send(EURUSD, codes.BUY, 1.0) == -codes.PRICE_OFF


def test_an_expiry_in_the_past_is_refused():
    account = Account()
    answer = account.send(EURUSD, codes.BUY_LIMIT, 1.0, 1.09, expires_ns=account.now_ns)
    assert answer == -codes.INVALID_EXPIRATION


def test_a_full_desk_refuses_orders_and_loses_none():
    account = Account(orders=3)
    prices = [1.09, 1.089, 1.088, 1.087, 1.086]
    rows = [account.order(EURUSD, codes.BUY_LIMIT, 0.1, price) for price in prices]
    assert rows == [0, 1, 2, -codes.LIMIT_ORDERS, -codes.LIMIT_ORDERS]
    assert account.orders["price"].tolist() == prices[:3]
    assert account.orders["state"].tolist() == [codes.STATE_PLACED] * 3


def test_a_full_desk_refuses_positions_and_still_closes():
    account = Account(balance=1e6, mode=codes.HEDGING, positions=2)
    for _ in range(3):
        account.buy(EURUSD, 1.0)
    assert len(account.positions) == 2
    rejected = account.closed[-1]
    assert (rejected["state"], rejected["retcode"]) == (codes.STATE_REJECTED, codes.LIMIT_POSITIONS)
    first = int(account.positions[0]["id"])
    account.sell(EURUSD, 1.0, position_id=first)
    account.sell(EURUSD, 1.0)
    assert account.positions["side"].tolist() == [1, -1]


def test_the_volume_limit_counts_positions_and_orders_of_one_direction():
    account = Account(balance=1e6)
    account.desk["specs"][EURUSD]["volume_limit"] = 5.0
    account.buy(EURUSD, 3.0)
    assert account.order(EURUSD, codes.BUY_LIMIT, 1.5, 1.09) == 0
    assert account.order(EURUSD, codes.BUY_STOP, 1.0, 1.12) == -codes.LIMIT_VOLUME
    assert account.order(EURUSD, codes.BUY_STOP, 0.5, 1.12) == 1
    # Selling first closes the 3 lots, and may then open 5.
    assert account.order(EURUSD, codes.SELL_LIMIT, 8.01, 1.12) == -codes.LIMIT_VOLUME
    assert account.order(EURUSD, codes.SELL_LIMIT, 8.0, 1.12) == 2
    assert account.order(GBPUSD, codes.BUY, 50.0) != -codes.LIMIT_VOLUME


def test_a_close_names_a_position_that_is_there_and_not_more_than_it_holds():
    account = Account(balance=1e6, mode=codes.HEDGING)
    account.buy(EURUSD, 1.0)
    held = int(account.positions[0]["id"])
    send = account.send
    assert send(EURUSD, codes.SELL, 1.0, position_id=12345) == -codes.POSITION_CLOSED
    assert send(GBPUSD, codes.SELL, 1.0, position_id=held) == -codes.POSITION_CLOSED
    assert send(EURUSD, codes.SELL, 1.01, position_id=held) == -codes.INVALID_CLOSE_VOLUME
    assert send(EURUSD, codes.BUY, 1.0, position_id=held) == -codes.INVALID
    assert send(EURUSD, codes.SELL_LIMIT, 1.0, 1.2, position_id=held) == -codes.INVALID
    assert send(EURUSD, codes.SELL, NAN, position_id=held) == -codes.INVALID_VOLUME
    assert send(EURUSD, codes.SELL, 0.005, position_id=held) == -codes.INVALID_VOLUME
    assert send(EURUSD, codes.SELL, 1.0, position_id=held) == 0


def test_a_position_below_the_minimum_can_be_closed_whole():
    account = Account(balance=1e6, mode=codes.HEDGING)
    account.buy(EURUSD, 0.5)
    account.desk["specs"]["volume_min"] = account.desk["specs"]["volume_step"] = 1.0
    account.sell(EURUSD, 0.5, position_id=int(account.positions[0]["id"]))
    assert len(account.positions) == 0


def test_the_second_of_two_closes_in_flight_finds_the_position_gone():
    specs = specifications()
    specs["latency_ns"] = SECOND
    account = Account(specs, balance=1e6, mode=codes.HEDGING)
    account.send(EURUSD, codes.BUY, 1.0)
    account.tick(EURUSD, BID, ASK, after_ns=2 * SECOND)
    held = int(account.positions[0]["id"])
    assert account.send(EURUSD, codes.SELL, 1.0, position_id=held) == 0
    assert account.send(EURUSD, codes.SELL, 1.0, position_id=held) == 1
    account.tick(EURUSD, BID, ASK, after_ns=2 * SECOND)
    assert account.closed["retcode"].tolist() == [codes.DONE, codes.DONE, codes.POSITION_CLOSED]
    assert len(account.fills) == 2


def test_a_cancelled_order_is_gone_and_an_unknown_one_changes_nothing():
    account = Account()
    for price in (1.09, 1.089, 1.088):
        account.order(EURUSD, codes.BUY_LIMIT, 0.1, price)
    middle = int(account.orders[1]["id"])
    count = cancel_order_step(account.desk, middle, account.closed_rows, 0)
    assert count == 1
    assert account.closed_rows[0]["state"] == codes.STATE_CANCELED
    assert account.closed_rows[0]["id"] == middle
    assert account.orders["price"].tolist() == [1.09, 1.088]
    assert cancel_order_step(account.desk, middle, account.closed_rows, 1) == 1
    assert len(account.orders) == 2


def test_orders_remember_why_they_were_sent():
    account = Account()
    row = account.send(EURUSD, codes.BUY_LIMIT, 0.1, 1.09, magic=11)
    order = account.desk["orders"][row]
    assert order["state"] == codes.STATE_STARTED
    assert order["created_ns"] == order["arrives_ns"] == START
    assert (order["magic"], order["position_id"], order["filled_lots"]) == (11, -1, 0.0)


@pytest.mark.parametrize(
    ("kind", "price", "quote", "fill"),
    [
        (codes.BUY_LIMIT, 1.09900, (1.09880, 1.09900), 1.09900),
        (codes.BUY_LIMIT, 1.09900, (1.09500, 1.09520), 1.09520),  # better than the limit
        (codes.SELL_LIMIT, 1.10100, (1.10100, 1.10120), 1.10100),
        (codes.SELL_LIMIT, 1.10100, (1.10300, 1.10320), 1.10300),
        (codes.BUY_STOP, 1.10100, (1.10080, 1.10100), 1.10100),
        (codes.BUY_STOP, 1.10100, (1.10280, 1.10300), 1.10300),  # a gap: never at the level
        (codes.SELL_STOP, 1.09900, (1.09900, 1.09920), 1.09900),
        (codes.SELL_STOP, 1.09900, (1.09500, 1.09520), 1.09500),
    ],
)
def test_a_pending_order_fills_at_the_market_when_its_side_is_reached(kind, price, quote, fill):
    account = Account(balance=1e6)
    account.order(EURUSD, kind, 1.0, price)
    step = 0.00001 if kind in (codes.BUY_LIMIT, codes.SELL_STOP) else -0.00001
    near = price + step  # one point short of it
    account.tick(EURUSD, *((near - 0.0002, near) if kind % 2 == 0 else (near, near + 0.0002)))
    assert len(account.fills) == 0
    account.tick(EURUSD, *quote)
    assert account.fills["price"].tolist() == [fill]
    assert account.closed["state"].tolist() == [codes.STATE_FILLED]


def test_only_stops_and_market_orders_slip():
    specs = specifications()
    specs["slippage_points"] = 5.0
    account = Account(specs, balance=1e6, mode=codes.HEDGING)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09900)
    account.order(EURUSD, codes.SELL_STOP, 1.0, 1.09890)
    account.tick(EURUSD, 1.09880, 1.09900)
    assert account.fills["price"].tolist() == [1.09900, 1.09875]


def test_a_triggered_stop_order_works_its_rest_like_a_market_order():
    specs = specifications()
    specs["liquidity_lots"] = 1.0
    account = Account(specs, balance=1e6)
    account.order(EURUSD, codes.BUY_STOP, 2.0, 1.10100)
    account.tick(EURUSD, 1.10080, 1.10100)
    account.tick(EURUSD, 1.10000, 1.10020)  # back below the level
    assert account.fills["price"].tolist() == [1.10100, 1.10020]


def test_a_limit_order_partly_filled_waits_for_its_price():
    specs = specifications()
    specs["liquidity_lots"] = 1.0
    account = Account(specs, balance=1e6)
    account.order(EURUSD, codes.BUY_LIMIT, 2.0, 1.09900)
    account.tick(EURUSD, 1.09880, 1.09900)
    account.tick(EURUSD, 1.10000, 1.10020)
    assert account.fills["price"].tolist() == [1.09900]
    account.tick(EURUSD, 1.09870, 1.09890)
    assert account.fills["price"].tolist() == [1.09900, 1.09890]


def test_an_activation_without_money_cancels_the_order():
    account = Account(balance=500.0)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09900)
    account.tick(EURUSD, 1.09880, 1.09900)
    (order,) = account.closed
    assert (order["state"], order["retcode"]) == (codes.STATE_CANCELED, codes.NO_MONEY)


def test_an_order_expires_at_its_time_even_if_that_tick_would_fill_it():
    account = Account(balance=1e6)
    until = account.now_ns + MINUTE
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09900, expires_ns=until)
    account.tick(EURUSD, 1.09980, 1.10000, at_ns=until - 1)
    assert len(account.orders) == 1
    account.tick(EURUSD, 1.09880, 1.09900, at_ns=until)
    assert len(account.fills) == 0
    assert account.closed["state"].tolist() == [codes.STATE_EXPIRED]


def test_an_order_expires_on_the_tick_of_any_symbol():
    account = Account(balance=1e6)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09900, expires_ns=account.now_ns + MINUTE)
    account.tick(GBPUSD, 1.25, 1.2502, after_ns=MINUTE)
    assert account.closed["state"].tolist() == [codes.STATE_EXPIRED]


def test_an_order_that_expires_on_its_way_never_arrives():
    specs = specifications()
    specs["latency_ns"] = MINUTE
    account = Account(specs, balance=1e6)
    account.send(EURUSD, codes.BUY, 1.0, expires_ns=account.now_ns + SECOND)
    account.tick(EURUSD, BID, ASK, after_ns=HOUR)
    assert account.closed["state"].tolist() == [codes.STATE_EXPIRED]
    assert len(account.fills) == 0


def test_a_closed_session_rejects_arrivals_and_lets_working_orders_wait():
    account = Account(balance=1e6, calendar=True)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09900)
    account.tick(EURUSD, 1.09880, 1.09900, at_ns=START + 23 * HOUR)  # closed for an hour
    assert len(account.fills) == 0
    account.buy(EURUSD, 1.0)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09000)
    assert account.closed["retcode"].tolist() == [codes.MARKET_CLOSED] * 2
    assert account.closed["state"].tolist() == [codes.STATE_REJECTED] * 2
    account.tick(EURUSD, 1.09870, 1.09890, at_ns=START + DAY_NS)
    assert account.fills["price"].tolist() == [1.09890]


def test_an_arriving_order_is_checked_against_the_market_of_its_arrival():
    specs = specifications()
    specs["latency_ns"] = SECOND
    account = Account(specs, balance=1e6)
    account.send(EURUSD, codes.BUY_LIMIT, 1.0, 1.10010)
    account.send(EURUSD, codes.BUY, 1.0, sl=1.09990)
    account.send(EURUSD, codes.SELL_LIMIT, 1.0, 1.10500)
    account.tick(EURUSD, 1.09980, 1.10000, after_ns=SECOND // 2)
    account.tick(EURUSD, 1.09980, 1.10000, after_ns=SECOND)
    assert account.closed["retcode"].tolist() == [codes.INVALID_PRICE, codes.INVALID_STOPS]
    assert account.orders["state"].tolist() == [codes.STATE_PLACED]
    assert np.isclose(account.orders[0]["price"], 1.105)


def test_an_order_that_arrives_at_the_moment_of_its_expiry_has_expired():
    specs = specifications()
    specs["latency_ns"] = SECOND
    account = Account(specs, balance=1e6)
    account.send(EURUSD, codes.BUY, 1.0, expires_ns=account.now_ns + SECOND)
    account.tick(GBPUSD, 1.25, 1.2502, after_ns=MINUTE)
    assert account.closed["state"].tolist() == [codes.STATE_EXPIRED]
    assert len(account.fills) == 0
