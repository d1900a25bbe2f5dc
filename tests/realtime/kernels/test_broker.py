"""The broker on a tick: order of events, latency, SL/TP, and laws that hold for any history."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.kernels import codes
from realtime.kernels.broker import (
    broker_fold,
    closed_orders_per_tick,
    eventful_step,
    fills_per_tick,
    quiet_tick_step,
)
from realtime.kernels.layout import FILL, ORDER, TICK
from tests.realtime.kernels.accounts import (
    DAY_NS,
    EURGBP,
    EURUSD,
    GBPUSD,
    HOUR,
    NAN,
    SECOND,
    START,
    USDJPY,
    Account,
    a_random_desk,
    history_bytes,
    play,
    replay,
    specifications,
)
from tests.realtime.kernels.tick_streams import same_bits, without_compiler

BID, ASK = 1.10000, 1.10020


# --- stop loss and take profit ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("side", "sl", "near", "quote", "price"),
    [
        (1, 1.09900, (1.09901, 1.09921), (1.09900, 1.09920), 1.09900),
        (1, 1.09900, (1.09901, 1.09921), (1.09000, 1.09020), 1.09000),  # gap
        (-1, 1.10100, (1.10079, 1.10099), (1.10080, 1.10100), 1.10100),
        (-1, 1.10100, (1.10079, 1.10099), (1.10980, 1.11000), 1.11000),  # gap
    ],
)
def test_a_stop_loss_fills_at_the_first_price_available_never_at_its_level(
    side, sl, near, quote, price
):
    account = Account(balance=1e6)
    account.order(EURUSD, codes.BUY if side > 0 else codes.SELL, 1.0, sl=sl)
    account.tick(EURUSD, *near)
    assert len(account.positions) == 1
    account.tick(EURUSD, *quote)
    fill = account.fills[-1]
    assert fill["price"] == price
    assert (fill["reason"], fill["side"], fill["order_id"]) == (4, -side, -1)
    assert len(account.positions) == 0


@pytest.mark.parametrize(
    ("side", "tp", "quote", "price"),
    [
        (1, 1.10100, (1.10100, 1.10120), 1.10100),
        (1, 1.10100, (1.10500, 1.10520), 1.10500),
        (-1, 1.09900, (1.09880, 1.09900), 1.09900),
        (-1, 1.09900, (1.09480, 1.09500), 1.09500),
    ],
)
def test_a_take_profit_fills_at_the_better_of_level_and_market_and_never_slips(
    side, tp, quote, price
):
    specs = specifications()
    specs["slippage_points"] = 9.0
    account = Account(specs, balance=1e6)
    account.order(EURUSD, codes.BUY if side > 0 else codes.SELL, 1.0, tp=tp)
    account.tick(EURUSD, *quote)
    assert account.fills[-1]["price"] == price
    assert account.fills[-1]["reason"] == codes.REASON_TAKE_PROFIT
    assert account.fills[-1]["slippage_cost"] == 0.0


def test_a_stop_loss_slips_against_the_position():
    specs = specifications()
    specs["slippage_points"] = 3.0
    account = Account(specs, balance=1e6)
    account.buy(EURUSD, 1.0, sl=1.09900)
    account.tick(EURUSD, 1.09880, 1.09900)
    assert account.fills[-1]["price"] == 1.09877
    assert account.fills[-1]["slippage_cost"] == pytest.approx(3.0)


def test_levels_of_other_symbols_and_the_other_side_are_left_alone():
    account = Account(balance=1e6, mode=codes.HEDGING)
    account.buy(EURUSD, 1.0, sl=1.09000)
    account.buy(GBPUSD, 1.0, sl=1.20000)
    account.sell(EURUSD, 1.0, sl=1.2)
    account.tick(EURUSD, 1.08900, 1.08920)
    assert account.positions["symbol"].tolist() == [GBPUSD, EURUSD]
    assert account.positions["side"].tolist() == [1, -1]


def test_stop_losses_close_before_take_profits():
    account = Account(balance=1e6, mode=codes.HEDGING)
    account.sell(EURUSD, 1.0, tp=1.09900)
    account.buy(EURUSD, 1.0, sl=1.09950)
    account.tick(EURUSD, 1.09800, 1.09820)
    assert account.fills[2:]["reason"].tolist() == [4, 5]


def test_levels_wait_for_the_session():
    account = Account(balance=1e6, calendar=True)
    account.buy(EURUSD, 1.0, sl=1.09900)
    account.tick(EURUSD, 1.09000, 1.09020, at_ns=START + 23 * HOUR)
    assert len(account.positions) == 1
    account.tick(EURUSD, 1.08000, 1.08020, at_ns=START + DAY_NS)
    assert account.fills[-1]["price"] == 1.08000


def test_stop_out_waits_for_the_session_of_the_loser():
    account = Account(balance=1200.0, calendar=True)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.09000, 1.09020, at_ns=START + 23 * HOUR)
    assert account.account["equity"] < 0.5 * account.account["margin"]
    assert len(account.positions) == 1
    account.tick(GBPUSD, 1.25, 1.2502, at_ns=START + DAY_NS)  # open again, by another's tick
    assert account.fills[-1]["reason"] == codes.REASON_STOP_OUT
    assert account.fills[-1]["price"] == 1.09000


def test_stop_out_comes_before_the_stop_loss_and_before_a_pending_order():
    account = Account(balance=1200.0)
    account.buy(EURUSD, 1.0, sl=1.09500)
    account.order(EURUSD, codes.BUY_LIMIT, 0.1, 1.09500)
    account.tick(EURUSD, 1.09300, 1.09320)
    assert account.fills["reason"].tolist() == [3, 6, 3]


# --- latency ------------------------------------------------------------------------------------


def delayed(latency_ns, **options):
    specs = specifications()
    specs["latency_ns"] = latency_ns
    return Account(specs, balance=1e6, **options)


def test_an_order_fills_at_the_quote_in_force_when_it_arrives():
    """Sent at 0 s, arrives at 1 s; quotes at 0.4 s and 2 s: filled at the one of 0.4 s, at 1 s."""
    account = delayed(SECOND)
    account.buy(EURUSD, 1.0)
    assert len(account.fills) == 0
    account.tick(EURUSD, 1.10100, 1.10120, after_ns=4 * SECOND // 10)
    assert len(account.fills) == 0
    account.tick(EURUSD, 1.20000, 1.20020, at_ns=START + 2 * SECOND)
    (fill,) = account.fills
    assert fill["price"] == 1.10120
    assert fill["time_ns"] == START + SECOND
    assert account.account["equity"] == pytest.approx(1e6 + (1.2 - 1.1012) * 1e5)


def test_an_order_that_arrives_with_a_tick_sees_the_new_quote():
    account = delayed(SECOND)
    account.buy(EURUSD, 1.0)
    account.tick(EURUSD, 1.10100, 1.10120, after_ns=SECOND)
    assert account.fills["price"].tolist() == [1.10120]
    assert account.fills["time_ns"].tolist() == [START + SECOND]


def test_an_order_without_latency_fills_on_the_quote_it_was_decided_on():
    account = delayed(0)
    account.send(EURUSD, codes.BUY, 1.0)
    assert len(account.fills) == 0
    account.settle(EURUSD)
    assert account.fills["price"].tolist() == [ASK]
    assert account.fills["time_ns"].tolist() == [START]


def test_an_order_acts_at_its_arrival_although_only_another_symbol_ticks():
    account = delayed(SECOND)
    account.buy(EURUSD, 1.0)
    account.tick(GBPUSD, 1.25, 1.2502, after_ns=5 * SECOND)
    assert account.fills["time_ns"].tolist() == [START + SECOND]
    assert account.fills["price"].tolist() == [ASK]


def test_orders_act_in_the_order_of_arrival_not_of_sending():
    specs = specifications()
    specs[EURUSD]["latency_ns"] = 3 * SECOND
    specs[GBPUSD]["latency_ns"] = SECOND
    account = Account(specs, balance=1e6)
    account.send(EURUSD, codes.BUY, 1.0)
    account.send(GBPUSD, codes.BUY, 1.0)
    account.send(EURUSD, codes.BUY, 2.0)
    account.tick(USDJPY, 150.0, 150.01, after_ns=9 * SECOND)
    assert account.fills["symbol"].tolist() == [GBPUSD, EURUSD, EURUSD]
    assert account.fills["volume_lots"].tolist() == [1.0, 1.0, 2.0]


def test_a_position_opened_in_flight_before_rollover_pays_that_swap_and_one_after_does_not():
    for latency_ns, swap in ((SECOND, -6.5), (3 * SECOND, 0.0)):
        account = delayed(latency_ns, calendar=True)
        account.desk["days"]["close_ns"] = account.desk["days"]["end_ns"]
        account.desk["specs"]["swap_mode"] = codes.SWAP_POINTS
        account.desk["specs"]["swap_long"] = -6.5
        account.tick(EURUSD, BID, ASK, at_ns=START + DAY_NS - 2 * SECOND)
        account.buy(EURUSD, 1.0)
        account.tick(EURUSD, BID, ASK, at_ns=START + DAY_NS + HOUR)
        assert account.positions["swap"].tolist() == [swap]


# --- ticks --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bid", "ask"),
    [(NAN, 1.1), (1.1, NAN), (0.0, 0.0), (-1.1, 1.1), (1.2, 1.1), (1.1, math.inf), (math.inf,) * 2],
)
def test_a_tick_without_a_quote_changes_nothing_at_all(bid, ask):
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0, sl=1.09, tp=1.2)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09)
    before = account.desk.tobytes()
    account.tick(EURUSD, bid, ask, after_ns=HOUR)
    assert account.desk.tobytes() == before
    assert len(account.fills) == 1


def test_a_quiet_tick_does_what_the_long_way_does():
    short, long = Account(balance=1e6), Account(balance=1e6)
    for account in (short, long):
        account.buy(EURUSD, 1.0, sl=1.0, tp=1.2)
        account.sell(EURGBP, 1.0)
    tick = np.zeros(1, TICK)
    tick["time_ns"], tick["bid"], tick["ask"], tick["volume"], tick["seq"] = START, 1.2, 1.3, 4, 9
    tick["bid"] = 1.19
    assert quiet_tick_step(short.desk, EURUSD, tick[0])
    counts = eventful_step(
        long.desk, EURUSD, tick[0], long.fill_rows, long.n_fills, long.closed_rows, long.n_closed
    )
    assert counts == (long.n_fills, long.n_closed)
    assert short.desk.tobytes() == long.desk.tobytes()
    assert short.desk["quotes"][EURUSD]["seq"] == 9


def test_orders_that_wait_leave_a_tick_quiet_and_orders_that_act_do_not():
    def is_quiet(account, symbol, bid, after_ns=SECOND):
        tick = np.zeros(1, TICK)
        tick["time_ns"], tick["bid"], tick["ask"] = account.now_ns + after_ns, bid, bid + 0.0002
        return quiet_tick_step(account.desk, symbol, tick[0])

    account = Account(balance=1e6)
    account.order(EURUSD, codes.BUY_LIMIT, 1.0, 1.09, expires_ns=account.now_ns + HOUR)
    assert is_quiet(account, EURUSD, 1.1)
    assert is_quiet(account, GBPUSD, 1.0)
    assert not is_quiet(account, EURUSD, 1.0898)
    assert not is_quiet(account, GBPUSD, 1.25, after_ns=HOUR)
    waiting = delayed(HOUR)
    waiting.buy(EURUSD, 1.0)
    assert is_quiet(waiting, EURUSD, 1.1)
    assert not is_quiet(waiting, GBPUSD, 1.25, after_ns=HOUR)


@pytest.mark.parametrize("bid", [1.0, 1.2, 0.99])
def test_a_tick_that_reaches_a_level_is_not_quiet(bid):
    account = Account(balance=1e6)
    account.buy(EURUSD, 1.0, sl=1.0, tp=1.2)
    tick = np.zeros(1, TICK)
    tick["time_ns"], tick["bid"], tick["ask"] = START, bid, bid + 0.001
    assert not quiet_tick_step(account.desk, EURUSD, tick[0])


# --- laws for any history -----------------------------------------------------------------------


def equity_by_hand(desk):
    """Sum of the account from its positions and quotes, in plain Python."""
    total = float(desk["account"]["balance"]) + float(desk["account"]["credit"])
    for position in desk["positions"][: desk["account"]["open_positions"]]:
        spec = desk["specs"][position["symbol"]]
        quote = desk["quotes"][position["symbol"]]
        side = int(position["side"])
        price = float(quote["bid"] if side > 0 else quote["ask"])
        unit = float(spec["contract_size"])
        if spec["calc_mode"] == codes.CALC_FUTURES:
            unit = float(spec["tick_value"]) / float(spec["tick_size"])
        value = (price - float(position["open_price"])) * side * unit
        value *= float(position["volume_lots"])
        if spec["profit_symbol"] >= 0:
            through = desk["quotes"][spec["profit_symbol"]]
            bid, ask = float(through["bid"]), float(through["ask"])
            if spec["profit_inverse"]:
                value = value / ask if value > 0 else value / bid
            else:
                value = value * bid if value > 0 else value * ask
        total += value + float(position["swap"])
    return total


class Watch:
    """Checks every tick of a history."""

    def __init__(self):
        self.balance = None
        self.signed = {}

    def __call__(self, desk, fills):
        account = desk["account"]
        assert np.isclose(account["equity"], equity_by_hand(desk), rtol=1e-12, atol=1e-6)
        assert account["equity"] == account["balance"] + account["credit"] + account["floating"]
        assert account["margin"] >= 0.0
        if self.balance is not None:
            booked = fills["profit"].sum() + fills["swap"].sum() + fills["commission"].sum()
            assert np.isclose(account["balance"], self.balance + booked, rtol=1e-12, atol=1e-6)
            if not len(fills):
                assert account["balance"] == self.balance
        self.balance = float(account["balance"])
        for fill in fills:
            symbol = int(fill["symbol"])
            lots = float(fill["side"] * fill["volume_lots"])
            self.signed[symbol] = self.signed.get(symbol, 0.0) + lots
        held = {}
        for position in desk["positions"][: account["open_positions"]]:
            assert position["volume_lots"] > 0.0
            symbol = int(position["symbol"])
            lots = float(position["side"] * position["volume_lots"])
            held[symbol] = held.get(symbol, 0.0) + lots
        for symbol, lots in self.signed.items():
            assert abs(lots - held.get(symbol, 0.0)) < 1e-9


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32))
def test_equity_volume_and_balance_are_conserved_in_any_history(seed):
    desk, _, requests, fills, closed = play(seed, 150, Watch())
    account = desk["account"]
    totals = fills["profit"].sum(), fills["swap"].sum(), fills["commission"].sum()
    for name, total in zip(("realised", "swap", "commission"), totals, strict=True):
        assert np.isclose(account[name], total, rtol=1e-12, atol=1e-6)
    assert np.isclose(account["spread_cost"], fills["spread_cost"].sum(), atol=1e-6)
    assert np.isclose(account["slippage_cost"], fills["slippage_cost"].sum(), atol=1e-6)
    assert (fills["spread_cost"] >= 0.0).all()
    assert (fills["slippage_cost"] >= 0.0).all()
    # Nothing accepted is lost: every order is either still there or finished, once.
    sent = requests["id"][requests["retcode"] == codes.DONE]
    working = desk["orders"][: account["open_orders"]]["id"]
    assert sorted([*working, *closed["id"]]) == sorted(sent)
    # What orders were filled for is what was dealt for them.
    for order in [*closed, *desk["orders"][: account["open_orders"]]]:
        dealt = fills["volume_lots"][fills["order_id"] == order["id"]].sum()
        assert abs(dealt - order["filled_lots"]) < 1e-9
        assert dealt <= order["volume_lots"] + 1e-9


@settings(max_examples=15)
@given(seed=st.integers(0, 2**32))
def test_steps_and_fold_leave_the_same_bits_with_any_buffer(seed):
    desk, ticks, requests, fills, closed = play(seed, 200)
    room = 8 + 3 * 8  # the least that one tick may need
    for size in (4000, room):
        again, asked, same_fills, same_closed = replay(seed, ticks, requests, room=size)
        assert same_bits(same_fills, fills)
        assert same_bits(same_closed, closed)
        assert same_bits(asked, requests)
        assert again.tobytes() == desk.tobytes()


@pytest.mark.parametrize("cut", [1, 50, 111, 199])
def test_the_past_does_not_know_how_the_history_goes_on(cut):
    seed = 4
    _, ticks, requests, fills, _ = play(seed, 200)
    until = int(ticks["time_ns"][cut - 1])
    earlier = requests[requests["created_ns"] <= until]
    _, _, first, _ = replay(seed, ticks[:cut], earlier)
    assert same_bits(first, fills[: len(first)])
    assert (fills["time_ns"][len(first) :] >= until).all()


def test_histories_together_meet_every_way_an_order_and_a_position_can_end():
    states, retcodes, reasons, entries = set(), set(), set(), set()
    for seed in range(25):
        _, _, requests, fills, closed = play(seed, 300)
        states |= set(closed["state"].tolist())
        retcodes |= set(closed["retcode"].tolist()) | set(requests["retcode"].tolist())
        reasons |= set(fills["reason"].tolist())
        entries |= set(fills["entry"].tolist())
    assert states == {2, 3, 4, 5, 6}
    assert reasons == {3, 4, 5, 6}
    assert entries == {0, 1, 2}
    assert retcodes >= {
        codes.REJECT, codes.DONE, codes.DONE_PARTIAL, codes.INVALID_VOLUME, codes.INVALID_PRICE,
        codes.INVALID_STOPS, codes.MARKET_CLOSED, codes.NO_MONEY, codes.LIMIT_ORDERS,
        codes.POSITION_CLOSED, codes.LIMIT_POSITIONS,
    }  # fmt: skip


def test_a_history_is_the_same_without_the_compiler(tmp_path):
    seeds = np.arange(3)
    assert same_bits(without_compiler(history_bytes, seeds, tmp_path), history_bytes(seeds))


def test_a_tick_never_needs_more_room_than_is_said():
    for seed in range(10):
        _, desk = a_random_desk(seed)
        room = int(fills_per_tick(desk)), int(closed_orders_per_tick(desk))
        worst = [0, 0]

        def count(desk, fills, worst=worst):
            worst[0] = max(worst[0], len(fills))

        play(seed, 200, count)
        assert worst[0] <= room[0]
        assert room == (8 + 3 * 8, 2 * 8)


def test_buffers_of_the_wrong_size_stop_the_fold_before_the_tick():
    _, desk = a_random_desk(1)
    _, ticks, requests, _, _ = play(1, 20)
    before = desk.tobytes()
    small = broker_fold(desk, ticks, requests.copy(), np.zeros(3, FILL), np.zeros(99, ORDER))
    assert small == (0, 0, 0)
    small = broker_fold(desk, ticks, requests.copy(), np.zeros(99, FILL), np.zeros(3, ORDER))
    assert small == (0, 0, 0)
    assert desk.tobytes() == before
