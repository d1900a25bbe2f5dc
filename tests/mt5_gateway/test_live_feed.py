"""Ticks of a terminal that runs by itself, through everything that can break."""

import asyncio
import time

import numpy as np
import pytest

from mt5_gateway.simulator import control, metatrader5
from realtime.clock import WallClock
from realtime.contracts.control_pb2 import Health
from tests.fixtures.gateway import MS_NS, record_of, walk
from tests.fixtures.servers import running_nats

COUNT = 6000
FROM = {"history_from": "2014-01-01T00:00:00Z", "call_timeout": "1s"}
ANY_CLOCK = {"max_clock_offset": "0s"}


def market():
    return {"EURUSD": walk(COUNT), "GBPUSD": walk(COUNT, seed=2, price=1.7)}


def recorded(rig):
    return asyncio.run(record_of(rig.settings))


def await_ticks(rig, count, timeout_s=60.0):
    until = time.monotonic() + timeout_s
    while True:
        ticks, _, _, _ = recorded(rig)
        if len(ticks) >= count:
            return ticks
        assert time.monotonic() < until, rig.log()[-3000:]
        time.sleep(0.2)


def require_exact(ticks, source):
    """Check that the feed is gapless, and is each symbol's ticks from the first on."""
    assert sorted(ticks) == list(range(1, len(ticks) + 1))
    for symbol, rows in source.items():
        told = [ticks[number][1:] for number in sorted(ticks) if ticks[number][0] == symbol]
        expected = [
            (seq, int(row["time_ns"]), float(row["bid"]), float(row["ask"]))
            for seq, row in enumerate(rows[: len(told)], 1)
        ]
        assert told == expected


def test_ticks_are_gapless_through_kills_of_gateway_worker_and_nats(rigs, tmp_path):
    (tmp_path / "own").mkdir()
    source = market()
    with running_nats(tmp_path / "own") as nats:
        rig = rigs(source, nats=nats, lockstep=False, gateway=FROM, account_limits=ANY_CLOCK)
        rig.start_terminal("--speed", "60")
        rig.start_gateway()
        count = len(await_ticks(rig, 200))
        rig.kill9_gateway()
        rig.start_gateway()
        count = len(await_ticks(rig, count + 200))
        with rig.terminal_link():
            control.fault("copy_ticks_from", "hang", 2.5)
        rig.await_log("its worker was killed")
        count = len(await_ticks(rig, count + 200))
        nats.kill9()
        time.sleep(0.5)
        nats.start()
        count = len(await_ticks(rig, count + 200))
        rig.kill9_terminal()
        rig.start_terminal("--speed", "60")
        ticks = await_ticks(rig, count + 200)
    require_exact(ticks, source)


def test_a_history_is_drained_at_once_and_in_order_of_time(rigs):
    source = market()
    rig = rigs(source, lockstep=False, gateway=FROM, account_limits=ANY_CLOCK)
    rig.start_terminal("--speed", "100000")
    rig.start_gateway()
    ticks = await_ticks(rig, 2 * COUNT)
    require_exact(ticks, source)


def test_a_broker_whose_clock_is_an_hour_off_gets_no_orders(rigs):
    from tests.mt5_gateway.test_live_orders import REJECTED, Live

    start_ns = (WallClock().now_ns() // 10**6 + 3_600_000) * 10**6
    ticks = walk(4000, step_ms=50, start_ns=start_ns)
    rig = rigs({"EURUSD": ticks}, lockstep=False)
    rig.start_terminal("--speed", "1")
    rig.start_gateway()
    live = Live(rig)
    text = live.await_alert("clock_offset", timeout_s=40)
    assert "the broker's clock is +1.0 h off ours: set [gateway] server_time" in text
    order = live.order()
    live.publish(order)
    report = live.report(order.number)
    assert report.state == REJECTED
    assert "the broker's clock is" in report.comment
    assert not rig.deals()
    assert "halted" in rig.log()


@pytest.mark.parametrize("symbol", ["EURXYZ"])
def test_a_symbol_that_the_terminal_has_not_is_named_with_similar_ones(rigs, symbol):
    rig = rigs({"EURUSD": walk(50)}, lockstep=False)
    rig.start_terminal("--speed", "1")
    rig.symbols = ["EURUSD", symbol]
    rig.write_settings()
    assert rig.start_gateway().wait(40) == 2
    assert f"the terminal has no symbol '{symbol}'" in rig.log()
    assert "Traceback" not in rig.log()


def test_without_a_terminal_the_gateway_waits_and_says_so(rigs):
    rig = rigs({"EURUSD": walk(50)}, lockstep=False)
    rig.start_gateway()
    rig.await_log("no terminal at")
    assert rig.gateway.poll() is None
    assert rig.stop(rig.gateway) == 0


def test_a_second_gateway_for_an_account_does_not_start(rigs):
    rig = rigs({"EURUSD": walk(2000)}, lockstep=False, account_limits=ANY_CLOCK)
    rig.start_terminal("--speed", "1")
    first = rig.start_gateway()
    rig.await_log("gateway INFO running")
    assert rig.start_gateway().wait(40) == 2
    assert "works for this account: stop it" in rig.log()
    assert rig.stop(first) == 0


@pytest.mark.parametrize(
    ("gateway", "text"),
    [
        ({"server_time": "new_yrok+7"}, "[gateway] server_time: unknown time zone"),
        ({"terminal": "C:/mt5/terminal64.exe"}, "needs the MetaTrader5 package"),
    ],
)
def test_a_wrong_setting_is_one_line_and_exit_code_two(rigs, gateway, text):
    rig = rigs({"EURUSD": walk(50)}, lockstep=False, gateway=gateway)
    assert rig.start_gateway().wait(40) == 2
    assert text in rig.log()
    assert "Traceback" not in rig.log()


def test_the_ticks_of_another_account_are_not_taken_for_ours(rigs):
    from tests.mt5_gateway.test_live_orders import start

    rig = rigs({"EURUSD": walk(4000)}, lockstep=False, account_limits=ANY_CLOCK)
    live = start(rig)
    ours = await_ticks(rig, 10)
    rig.stop(rig.terminal)
    path = rig.folder / "EURUSD.npy"
    own = np.load(path)
    last_ns = max(tick[2] for tick in recorded(rig)[0].values())
    np.save(path, walk(4000, price=1.62, seed=3, start_ns=last_ns - 2000 * MS_NS))
    rig.start_terminal("--speed", "1", "--login", "42", "--fresh")
    assert "logged in to account 42, not to 5000001" in live.await_alert("wrong_account")
    with rig.terminal_link():
        metatrader5.symbol_select("EURUSD", True)
    time.sleep(4)
    rig.stop(rig.terminal)
    np.save(path, own)
    rig.start_terminal("--speed", "20", "--fresh")
    ticks = await_ticks(rig, len(recorded(rig)[0]) + 10)
    assert len(ticks) > len(ours)
    assert max(tick[3] for tick in ticks.values()) < 1.5


def test_a_symbol_that_was_taken_out_of_market_watch_is_put_back_and_said(rigs):
    from tests.mt5_gateway.test_live_orders import start

    source = market()
    rig = rigs(source, lockstep=False, gateway=FROM, account_limits=ANY_CLOCK)
    live = start(rig)
    await_ticks(rig, 10)
    with rig.terminal_link():
        assert metatrader5.symbol_select("GBPUSD", False)
    rig.await_log("terminal_unavailable: the terminal gives no ticks of GBPUSD")
    rig.await_log("it was not in Market Watch and was put back there")
    rig.await_log("the gateway goes on")
    assert "put back there" in live.await_alert("terminal_unavailable")
    require_exact(await_ticks(rig, len(recorded(rig)[0]) + 20), source)


def test_a_symbol_whose_ticks_are_refused_is_waited_for_and_the_others_go_on(rigs):
    from tests.mt5_gateway.test_live_orders import start

    rig = rigs(market(), lockstep=False, gateway=FROM, account_limits=ANY_CLOCK)
    live = start(rig)
    await_ticks(rig, 10)
    with rig.terminal_link():
        control.fault("copy_ticks_from", "error", -1, symbol="GBPUSD", times=100_000)
    rig.await_log("terminal_unavailable: the terminal gives no ticks of GBPUSD")
    time.sleep(1)
    before = recorded(rig)[0]
    time.sleep(3)
    new = [tick for number, tick in recorded(rig)[0].items() if number not in before]
    assert {tick[0] for tick in new} == {"EURUSD"}
    health = live.read("OPS", "ops.health.gateway", Health)[-1]
    assert health.state == "waiting"
    assert "GBPUSD" in health.text
