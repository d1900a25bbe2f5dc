"""Lock-step: whatever the steps, the broker does what it does tick by tick, to the bit."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mt5_gateway import constants as c
from mt5_gateway.simulator.simulated import request_of
from realtime.kernels import codes
from realtime.kernels.broker import broker_fold, broker_step, execute_arrived_step
from realtime.kernels.layout import FILL, ORDER
from realtime.kernels.orders import submit_order_step
from tests.mt5_gateway.simulator.conftest import (
    MS_NS,
    START_NS,
    a_terminal,
    a_walk,
    some_settings,
)

ROOM = 4_000
FILL_NAMES = FILL.names or ()
CASES = {
    "netting": {},
    "hedging": {"account": {"mode": "hedging"}},
    "latency": {"costs": {"latency": "1500ms", "slippage_points": 0.5}},
    "thin": {
        "account": {"mode": "hedging"},
        "costs": {"latency": "400ms", "liquidity_lots": 0.15},
    },
}
TWO = {
    "EURUSD": a_walk(1_500, seed=2, step_ms=60_000),
    "USDJPY": a_walk(1_500, seed=3, step_ms=60_000, price=101.5, digits=3),
}
ONE = {"EURUSD": a_walk(3_000, seed=4, step_ms=40_000)}
STREAMS = {"one": ONE, "two": TWO}


def a_plan(streams, table, seed, count=60):
    """Requests at random places of the market: (place, fields), a few of them bad."""
    random = np.random.default_rng(seed)
    market = a_terminal(streams, some_settings(**table)).market
    plan = []
    for place in np.sort(random.choice(len(market), count, replace=False)).tolist():
        symbol = market.symbols[int(random.integers(len(market.symbols)))]
        tick = market.ticks[place]
        fields: dict[str, Any] = {
            "action": c.TRADE_ACTION_DEAL,
            "symbol": symbol.name,
            "volume": float(random.choice([0.1, 0.2, 0.3, 0.005], p=[0.4, 0.3, 0.25, 0.05])),
            "type": int(random.integers(2)),
            "type_filling": int(random.integers(2)),
        }
        if random.random() < 0.5 and int(tick["symbol"]) == market.row_of[symbol.name]:
            side = 1 if fields["type"] == 0 else -1
            price = float(tick["bid"] if side > 0 else tick["ask"])
            far = symbol.point * int(random.integers(5, 60))
            fields["sl"] = round(price - side * far, symbol.digits)
            fields["tp"] = round(price + side * far, symbol.digits)
            if random.random() < 0.4:
                fields |= {"action": c.TRADE_ACTION_PENDING, "type": 2 + fields["type"]}
                fields |= {"price": fields["sl"], "type_filling": 2, "sl": 0.0, "tp": 0.0}
        plan.append((place, fields))
    return plan


def as_order(market, fields):
    """The arguments of submit_order_step."""
    row = market.row_of[fields["symbol"]]
    sl, tp = (fields.get(name) or np.nan for name in ("sl", "tp"))
    return (
        row, fields["type"], fields["volume"], float(fields.get("price", 0.0)), sl, tp,
        fields["type_filling"], -1, 0, 0, 0, 0,
    )  # fmt: skip


def tick_by_tick(streams, table, plan):
    """What the engine does: broker, requests, settling; one tick after the other."""
    terminal = a_terminal(streams, some_settings(**table))
    market, desk = terminal.market, terminal.desk
    fills, closed = np.zeros(ROOM, FILL), np.zeros(ROOM, ORDER)
    n_fills = n_closed = 0
    due = list(plan)
    for place, tick in enumerate(market.ticks):
        symbol, now_ns = int(tick["symbol"]), int(tick["time_ns"])
        n_fills, n_closed = broker_step(desk, symbol, tick, fills, n_fills, closed, n_closed)
        while due and due[0][0] == place:
            order = as_order(market, due.pop(0)[1])
            if submit_order_step(desk, *order, now_ns) < 0:
                desk["account"]["next_id"] += 1
            n_fills, n_closed = execute_arrived_step(
                desk, order[0], now_ns, fills, n_fills, closed, n_closed
            )
    return desk, fills[:n_fills], closed[:n_closed]


class Recorded:
    """A terminal in lock-step whose fills and finished orders are kept as records."""

    def __init__(self, streams, table):
        self.terminal = a_terminal(streams, some_settings(**table))
        self.terminal.selected |= set(range(len(streams)))
        self.fills, self.closed, self.events = [], [], []
        write = self.terminal.broker._happened

        def happened(what):
            self.fills.append(what.fills)
            self.closed.append(what.closed)
            write(what)

        self.terminal.broker._happened = happened

    def send(self, fields):
        return self.terminal.send(request_of(fields))

    def play(self, plan, chunks, limits):
        """Go through the plan as a gateway does: peek, permit, commit the event, and so on."""
        terminal, broker = self.terminal, self.terminal.broker
        due = list(plan)
        step = 0
        while broker.played < len(terminal.market):
            revealed = terminal.revealed()
            if broker.played == revealed:
                terminal.open_market(chunks[step % len(chunks)])
                step += 1
                continue
            last, is_event = broker.peek(limits[step % len(limits)], revealed)
            step += 1
            assert step < 50 * len(terminal.market), "it goes round in a circle"
            assert last >= broker.played - 1
            stop = min(last, due[0][0]) if due else last
            if stop >= broker.played:
                assert terminal.commit(stop) == 0, "nothing happens before the event"
            elif is_event:
                assert terminal.commit(last + 1) == 1, "and something does at it"
                self.events.append(last + 1)
            while due and due[0][0] == broker.played - 1:
                self.send(due.pop(0)[1])
        assert not due


def check(streams, table, seed, chunks, limits):
    plan = a_plan(streams, table, seed)
    desk, fills, closed = tick_by_tick(streams, table, plan)
    assert len(fills) > 20
    recorded = Recorded(streams, table)
    recorded.play(plan, chunks, limits)
    assert np.concatenate(recorded.fills).tobytes() == fills.tobytes()
    assert np.concatenate(recorded.closed).tobytes() == closed.tobytes()
    assert recorded.terminal.desk.tobytes() == desk.tobytes()
    assert len(recorded.terminal.books.deals) == len(fills)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("symbols", ["one", "two"])
@given(
    seed=st.integers(0, 1000),
    chunks=st.lists(st.integers(1, 700), min_size=1, max_size=4),
    limits=st.lists(st.integers(1, 2000), min_size=1, max_size=4),
)
@settings(max_examples=4)
def test_any_chunking_gives_what_single_ticks_give(symbols, case, seed, chunks, limits):
    check(STREAMS[symbols], CASES[case], seed, chunks, limits)


@pytest.mark.parametrize("case", CASES)
def test_the_plans_above_reach_stops_and_targets(case):
    reasons = set()
    for seed in range(4):
        _, fills, _ = tick_by_tick(ONE, CASES[case], a_plan(ONE, CASES[case], seed))
        reasons |= set(fills["reason"].tolist())
    assert {codes.REASON_EXPERT, codes.REASON_STOP_LOSS, codes.REASON_TAKE_PROFIT} <= reasons


@pytest.mark.parametrize("case", CASES)
def test_lock_step_gives_what_the_fold_gives(case):
    table = CASES[case]
    plan = a_plan(ONE, table, 5)
    market = a_terminal(ONE, some_settings(**table)).market
    times = market.ticks["time_ns"]
    # The fold spends no ticket on refusals, and sends on the first tick of a time.
    plan = [one for one in plan if one[1]["volume"] > 0.005 and times[one[0]] > times[one[0] - 1]]
    _, with_refusals, _ = tick_by_tick(ONE, table, plan)
    requests = np.zeros(len(plan), ORDER)
    names = (
        "symbol", "type", "volume_lots", "price", "stop_loss", "take_profit", "filling",
        "position_id", "magic", "decision_code", "risk_code", "expires_ns",
    )  # fmt: skip
    for request, (place, fields) in zip(requests, plan, strict=True):
        for name, value in zip(names, as_order(market, fields), strict=True):
            request[name] = value
        request["created_ns"] = market.ticks["time_ns"][place]
    desk = a_terminal(ONE, some_settings(**table)).desk
    fills, closed = np.zeros(ROOM, FILL), np.zeros(ROOM, ORDER)
    played, n_fills, _ = broker_fold(desk, market.ticks, requests, fills, closed)
    assert played == len(market)
    recorded = Recorded(ONE, table)
    recorded.play(plan, [64, 500], [100, 1000])
    mine = np.concatenate(recorded.fills)
    values = [name for name in FILL_NAMES if name not in ("id", "order_id", "position_id")]
    assert len(mine) == n_fills == len(with_refusals)
    if (requests["retcode"] == codes.DONE).all():
        values = list(FILL_NAMES)
    for name in values:
        assert mine[name].tobytes() == fills[name][:n_fills].tobytes(), name


def test_an_event_is_what_changes_more_than_quotes():
    recorded = Recorded(ONE, CASES["netting"])
    plan = a_plan(ONE, {}, 7, count=30)
    recorded.play(plan, [4096], [10**6])
    terminal = a_terminal(ONE)
    terminal.selected.add(0)
    places = dict(plan)
    terminal.open_market(len(terminal.market))
    changed = []
    for place in range(len(terminal.market)):
        before = terminal.desk["positions"]["swap"].tobytes(), len(terminal.books.deals)
        orders = terminal.desk["account"]["open_orders"]
        terminal.commit(place)
        now = terminal.desk["positions"]["swap"].tobytes(), len(terminal.books.deals)
        if now != before or terminal.desk["account"]["open_orders"] != orders:
            changed.append(place)
        if place in places:
            terminal.send(request_of(places[place]))
    assert recorded.events == changed
    assert len(changed) > 3


def test_looking_ahead_changes_nothing_and_sees_what_orders_change():
    terminal = a_terminal(ONE)
    terminal.selected.add(0)
    broker = terminal.broker
    terminal.open_market(2_000)
    terminal.commit(49)
    before = terminal.desk.tobytes()
    assert broker.peek(10_000, 2_000) == (1_999, False)
    assert broker.peek(10, 2_000) == (59, False)
    assert broker.peek(1_000, 70) == (69, False)
    assert terminal.desk.tobytes() == before
    bid = float(terminal.desk["quotes"][0]["bid"])
    fields = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type_filling": 1}
    terminal.send(request_of(fields | {"sl": round(bid - 0.0003, 5)}))
    place, is_event = broker.peek(10_000, 2_000)
    assert is_event
    assert broker.peek(10_000, 2_000) == (place, True)
    assert broker.peek(place - 49, 2_000) == (place, False), "the event lies beyond the limit"
    assert broker.peek(place - 48, 2_000) == (place, True)


def test_after_an_event_the_next_one_is_looked_for():
    terminal = a_terminal(ONE)
    terminal.selected.add(0)
    terminal.open_market(3_000)
    terminal.commit(49)
    bid = float(terminal.desk["quotes"][0]["bid"])
    for step in (1, 2):
        fields = {"action": 5, "type": 2, "symbol": "EURUSD", "volume": 0.1, "type_filling": 2}
        terminal.send(request_of(fields | {"price": round(bid - step * 0.0002, 5)}))
    first, is_event = terminal.broker.peek(10_000, 3_000)
    assert is_event
    assert terminal.commit(first + 1) == 1
    second, is_event = terminal.broker.peek(10_000, 3_000)
    assert second > first
    assert is_event


def test_an_order_of_another_symbol_that_arrives_now_waits_for_its_own_tick():
    """As in the engine: only the ticking symbol's orders are settled after a decision."""
    one, two = a_walk(3), a_walk(2, price=101.5, digits=3)
    one["time_ns"] = START_NS + np.array([0, 100, 200]) * MS_NS
    two["time_ns"] = START_NS + np.array([0, 100]) * MS_NS
    streams = {"EURUSD": one, "USDJPY": two}
    table = {"costs": {"latency": "100ms"}}
    plan = [
        (1, {"action": 1, "symbol": "USDJPY", "volume": 0.1, "type_filling": 1}),
        (2, {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type_filling": 1}),
    ]
    for _, fields in plan:
        fields["type"] = 0
    desk, fills, _ = tick_by_tick(streams, table, plan)
    recorded = Recorded(streams, table)
    recorded.play(plan, [100], [100])
    assert np.concatenate(recorded.fills).tobytes() == fills.tobytes()
    assert recorded.terminal.desk.tobytes() == desk.tobytes()
    deals = list(recorded.terminal.books.deals)
    assert [deal.symbol for deal in deals] == ["USDJPY", "EURUSD"]
    assert deals[0].price == two["ask"][1] != two["ask"][0]


def test_commits_can_be_repeated_and_never_go_back():
    terminal = a_terminal(ONE)
    terminal.open_market(200)
    terminal.commit(150)
    state = terminal.desk.tobytes()
    assert terminal.commit(150) == terminal.commit(20) == 0
    assert terminal.desk.tobytes() == state
    with pytest.raises(ValueError, match="open_market first"):
        terminal.commit(200)


def test_ticks_without_a_quote_are_passed_over():
    ticks = a_walk(300)
    ticks["ask"][50] = ticks["bid"][50] - 0.0001
    ticks["bid"][51] = np.nan
    terminal = a_terminal({"EURUSD": ticks})
    terminal.open_market(300)
    terminal.commit(51)
    assert terminal.desk["quotes"][0]["bid"] == ticks["bid"][49]
    terminal.commit(52)
    assert terminal.desk["quotes"][0]["bid"] == ticks["bid"][52]


def test_the_account_after_a_replay_is_the_sum_of_its_deals():
    recorded = Recorded(TWO, CASES["hedging"])
    recorded.play(a_plan(TWO, CASES["hedging"], 11), [300], [1000])
    deals = recorded.terminal.books.deals
    total = sum(deal.profit + deal.swap + deal.commission for deal in deals)
    balance = recorded.terminal.desk["account"]["balance"]
    assert balance == pytest.approx(10_000 + total, abs=1e-6)
    assert total != 0.0
