"""What is told of an account, and what is not believed of a terminal that has just come back."""

import shutil
import time
from functools import partial
from typing import Any, cast

import numpy as np

from mt5_gateway.simulator import control, metatrader5
from mt5_gateway.simulator.link import CallFailed
from mt5_gateway.snapshot import Snapshot
from mt5_gateway.strangers import Strangers
from mt5_gateway.vanished import Vanished
from realtime.contracts.control_pb2 import Alert
from realtime.contracts.orders_pb2 import AccountState, ExecutionReport, Position
from realtime.desk import POSITION_ROWS
from tests.fixtures.gateway import walk
from tests.mt5_gateway.test_live_orders import BUY, FILLED, LIMITS, SELL, Live


def told(live):
    return live.read("REPORTS", "trade.report.paper.>", ExecutionReport)


def is_flat(report):
    return not report.account_state.positions


def codes(live):
    return [each.code for each in live.read("OPS", "ops.alert.>", Alert)]


def hold(rigs, speed="1", **levels):
    """Give a stack whose account holds a position."""
    rig = rigs({"EURUSD": walk(40_000)}, lockstep=False, **LIMITS)
    rig.start_terminal("--speed", speed)
    rig.start_gateway()
    rig.await_log("gateway INFO running")
    live = Live(rig)
    with rig.terminal_link():
        price = cast("Any", metatrader5.symbol_info_tick("EURUSD")).bid
    order = live.order(BUY, **{name: round(price + by, 5) for name, by in levels.items()})
    live.publish(order)
    assert live.report(order.number).state == FILLED
    return live


def await_true(live, is_so, timeout_s=60.0):
    until = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < until, live.rig.log()[-3000:]
        time.sleep(0.2)


def positions(live):
    try:
        with live.rig.terminal_link():
            return metatrader5.positions_get()
    except CallFailed:  # the terminal is still starting
        return None


def test_an_account_is_not_looked_at_while_the_terminal_has_no_link_to_the_trade_server(rigs):
    live = hold(rigs, "60", stop_loss=-0.0012, take_profit=0.0012)
    with live.rig.terminal_link():
        control.switch("connected", False)
    live.rig.await_log("waiting: the terminal has no link to the trade server")
    await_true(live, lambda: not positions(live))  # the broker goes on
    time.sleep(1.5)
    assert not is_flat(told(live)[-1])
    with live.rig.terminal_link():
        control.switch("connected", True)
    await_true(live, lambda: is_flat(told(live)[-1]))
    assert [deal.entry for deal in told(live)[-1].deals] == [1]
    assert "positions_vanished" not in codes(live)


def test_a_terminal_that_comes_back_without_its_positions_does_not_make_the_account_flat(rigs):
    live = hold(rigs)
    rig, books = live.rig, live.rig.settings.paths.var / "terminal"
    rig.stop(rig.terminal)
    books.rename(books.with_name("kept"))
    rig.start_terminal()  # as before it is synchronised: neither positions nor deals
    await_true(live, lambda: positions(live) == ())
    time.sleep(2.0)
    rig.stop(rig.terminal)
    shutil.rmtree(books)
    books.with_name("kept").rename(books)
    rig.start_terminal()
    await_true(live, lambda: len(positions(live) or ()) == 1)
    order = live.order(BUY)
    live.publish(order)
    assert live.report(order.number).state == FILLED
    first = next(place for place, each in enumerate(told(live)) if not is_flat(each))
    assert not any(is_flat(each) for each in told(live)[first:])
    assert "positions_vanished" not in codes(live)


def test_positions_that_stay_away_without_a_deal_are_an_alert_and_then_reported(rigs):
    live = hold(rigs)
    rig = live.rig
    rig.stop(rig.terminal)
    rig.start_terminal("--speed", "1", "--fresh")
    text = live.await_alert("positions_vanished", timeout_s=60)
    assert "(EURUSD +0.1 lots) no more, and no deal that closed them" in text
    await_true(live, lambda: is_flat(told(live)[-1]))


def test_a_position_by_hand_in_a_symbol_that_is_not_traded_is_named(rigs):
    rig = rigs({"EURUSD": walk(4000)}, lockstep=False, **LIMITS)
    np.save(rig.folder / "GBPUSD.npy", walk(4000, seed=2, price=1.7))
    more = ["--data", str(rig.folder / "GBPUSD.npy"), "--symbol", "GBPUSD"]
    rig.start_terminal("--speed", "1", *more)
    rig.start_gateway()
    rig.await_log("gateway INFO running")
    live = Live(rig)
    with rig.terminal_link():
        metatrader5.symbol_select("GBPUSD", True)
        by_hand = {"action": 1, "symbol": "GBPUSD", "volume": 0.3, "type": SELL, "type_filling": 1}
        send = cast("Any", partial(metatrader5.order_send, by_hand | {"price": 1.7}))
        await_true(live, lambda: send().retcode == 10009)  # after its first quote
    text = live.await_alert("foreign_positions")
    assert text.startswith("the account holds GBPUSD (-0.3 lots), not in trade")
    time.sleep(1.0)  # several looks
    assert codes(live).count("foreign_positions") == 1


def state(*held):
    return AccountState(
        positions=[
            Position(id=number, symbol=symbol, side=1, volume_lots=lots)
            for number, (symbol, lots) in enumerate(held, 1)
        ]
    )


def test_positions_that_are_not_reckoned_with_are_said_once_and_again_when_they_change():
    said = []
    watched = Strangers(["EURUSD"], lambda *alert: said.append(alert[::2]))
    looks = (
        [("EURUSD", 1.0)],
        [("EURUSD", 1.0), ("XAUUSD", 0.2)],
        [("EURUSD", 2.0), ("XAUUSD", 0.2)],
        [("XAUUSD", 0.2), ("XAUUSD", 0.5)],
        [],
        [("EURUSD", 0.1)] * POSITION_ROWS,
        [("EURUSD", 0.1)] * (POSITION_ROWS + 1),
    )
    for held in looks:
        watched.look(state(*held))
    assert [severity for severity, _ in said] == ["critical", "critical", "info", "critical"]
    assert "XAUUSD (+0.2 lots)" in said[0][1]
    assert "XAUUSD (+0.2 lots, +0.5 lots)" in said[1][1]
    assert f"holds {POSITION_ROWS + 1} positions" in said[3][1]


def shown(*numbers, deals=()):
    held = [{"identifier": number} for number in numbers]
    return Snapshot(info={}, positions=held, working=(), deals=deals, finished={})


def test_a_position_that_a_deal_closed_is_believed_to_be_gone_at_once():
    vanished = Vanished(lambda *_: None)
    before = state(("EURUSD", 1.0), ("EURUSD", 0.5))
    opened, closed = {"position_id": 2, "entry": 0}, {"position_id": 2, "entry": 1}
    assert not vanished.doubts(before, shown(1, 2), 0.0)
    assert vanished.doubts(before, shown(1, deals=[opened]), 0.0)
    assert not vanished.doubts(before, shown(1, deals=[opened, closed]), 0.0)
    assert vanished.doubts(before, shown(deals=[closed]), 0.0)  # the other one as well


def test_positions_that_are_back_in_time_begin_the_doubt_anew():
    vanished = Vanished(lambda *_: None)
    before = state(("EURUSD", 1.0))
    assert vanished.doubts(before, shown(), 0.0)
    assert not vanished.doubts(before, shown(1), 9.0)
    assert vanished.doubts(before, shown(), 9.5)
    assert vanished.doubts(before, shown(), 19.0)
    assert not vanished.doubts(before, shown(), 19.5)
