"""Orders to a terminal that runs by itself, where one too many would be real money."""

import asyncio
import resource
import time

import pytest

from mt5_gateway.recorded import last_message, read_from
from mt5_gateway.simulator import metatrader5
from mt5_gateway.snapshot import take_snapshot
from mt5_gateway.terminal_client import TerminalClient
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import ExecutionReport
from tests.fixtures.gateway import Rig, walk
from tests.mt5_gateway.test_live_orders import (
    BUY,
    EXPIRED,
    FILLED,
    LIMITS,
    REJECTED,
    SELL,
    Live,
    running_live,
)

_LOCKED = 10028


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running_live(tmp_path_factory.mktemp("safety")) as live:
        yield live


def net_lots(live):
    with live.rig.terminal_link():
        positions = metatrader5.positions_get() or ()
    return round(sum(each.volume * (1 if each.type == 0 else -1) for each in positions), 8)


def sent(live, side=BUY, **changes):
    """Publish an order and return its report."""
    order = live.order(side, **changes)
    live.publish(order)
    return live.report(order.number)


def go_flat(live):
    net = net_lots(live)
    if net:
        report = sent(live, SELL if net > 0 else BUY, volume_lots=abs(net))
        assert report.state == FILLED


def restart(live):
    rig = live.rig
    running = rig.log().count("INFO running")
    rig.stop(rig.gateway)
    rig.start_gateway()
    rig.await_log("INFO running", count=running + 1)


def test_the_kill_switch_stops_an_order_that_turns_a_position_round(live):
    """A sale of 0.2 closed 0.1 and opened 0.1 on the other side."""
    go_flat(live)
    assert sent(live).state == FILLED
    live.switch(b"1")
    try:
        report = sent(live, SELL, volume_lots=0.2)
        assert report.state == REJECTED
        assert "kill switch is on, and it would open" in report.comment
        assert net_lots(live) == 0.1
        assert sent(live, SELL, volume_lots=0.1).state == FILLED
    finally:
        live.switch(b"")
    assert net_lots(live) == 0.0


def test_nothing_is_opened_while_nobody_knows_what_became_of_an_order(live):
    """It was reported as rejected after 3 s, sent again by the loop, and executed twice."""
    go_flat(live)
    assert sent(live).state == FILLED
    live.fault("order_send", "retcode", 10012)
    lost = sent(live)
    assert (lost.state, lost.retcode) == (REJECTED, 10012)
    assert "nothing is opened in EURUSD" in live.await_alert("order_lost")
    again = sent(live)
    assert (again.state, again.retcode) == (REJECTED, _LOCKED)
    assert f"nobody knows what became of {lost.client_order_id}" in again.comment
    assert sent(live, SELL).state == FILLED
    assert net_lots(live) == 0.0
    restart(live)
    assert sent(live).state == FILLED


def test_an_order_that_is_found_later_allows_opening_again(live):
    go_flat(live)
    live.fault("order_send", "retcode", 10012)
    lost = sent(live)
    assert sent(live).retcode == _LOCKED
    request = {
        "action": 1, "symbol": "EURUSD", "volume": 0.1, "type": BUY, "price": 1.38,
        "type_filling": 1, "magic": 7, "comment": lost.client_order_id,
    }  # fmt: skip
    with live.rig.terminal_link():
        metatrader5.order_send(request)  # as the broker executes it at last
    assert lost.client_order_id in live.await_alert("late_execution")
    assert sent(live).state == FILLED
    assert lost.client_order_id in live.await_alert("order_found")
    assert net_lots(live) == 0.2


def test_an_order_that_is_done_without_a_ticket_is_searched_for(live):
    live.fault("order_send", "executed", 10009)
    report = sent(live)
    assert (report.state, report.filled_lots) == (FILLED, 0.1)
    assert report.order_ticket > 0


def test_a_snapshot_holds_the_orders_that_are_finished(live, tmp_path):
    """They were asked for and thrown away: an order whose deals have another comment was lost."""
    report = sent(live)
    terminal = TerminalClient(
        terminal=live.rig.settings.gateway.terminal, lock=tmp_path / "lock", timeout_s=5.0
    )

    async def look():
        try:
            return await take_snapshot(terminal, None, 1, (report.order_ticket,), 1)
        finally:
            await terminal.close()

    snapshot = asyncio.run(look())
    assert report.client_order_id in [each["comment"] for each in snapshot.recent]
    assert list(snapshot.finished) == [report.order_ticket]


def test_an_order_that_comes_after_it_was_skipped_is_reported(live):
    first, second = live.order(), live.order(SELL)
    live.publish(second)
    assert live.report(second.number).state == FILLED
    assert [each.state for each in live.reports(first.number)] == [EXPIRED]
    live.publish(first)
    until = time.monotonic() + 20
    while len(told := live.reports(first.number)) < 2:
        assert time.monotonic() < until, live.rig.log()[-2000:]
        time.sleep(0.1)
    assert {each.client_order_id for each in told} == {first.client_order_id}
    assert told[-1].state == EXPIRED
    assert not live.deals_of(first)


def test_a_used_number_is_answered_once_and_after_a_restart_not_again(live):
    order = live.order()
    live.publish(order)
    live.report(order.number)
    live.publish(live.order(SELL, number=order.number, volume_lots=5.0))
    live.await_alert("order_number_reused")
    restart(live)
    sent(live)
    answers = [(each.state, each.retcode) for each in live.reports(order.number)]
    assert answers == [(FILLED, 10009), (REJECTED, 10013)]
    assert len(live.deals_of(order)) == 1


def test_rubbish_in_the_streams_forbids_no_start_and_no_number_is_used_twice(live):
    """One bad message on md.tick.EURUSD ended the gateway at every start."""

    async def litter():
        client = await connect(live.rig.settings, "gateway")
        for subject in ("md.tick.EURUSD", "md.quarantine.EURUSD", "trade.report.paper.EURUSD"):
            for payload in (b"\xff\xff\xff rubbish", b""):
                await client.jetstream().publish(subject, payload)
        await client.close()

    async def whole(stream, subject, kind):
        client = await connect(live.rig.settings, "operator")
        newest = await last_message(client, stream, subject)
        assert newest is not None
        kept = await read_from(client, stream, subject, 1, newest.seq)
        await client.close()
        return [kind.FromString(each.payload) for each in kept if len(each.payload) > 20]

    live.rig.stop(live.rig.gateway)
    asyncio.run(litter())
    running = live.rig.log().count("INFO running")
    live.rig.start_gateway()
    live.rig.await_log("INFO running", count=running + 1)
    for stream in ("TICKS", "QUARANTINE", "REPORTS"):
        live.rig.await_log(f"2 of the last messages of stream {stream} cannot be read")
    order = live.order()
    live.publish(order)
    until = time.monotonic() + 20
    while not live.deals_of(order):
        assert time.monotonic() < until, live.rig.log()[-2000:]
        time.sleep(0.1)
    restart(live)  # the rubbish is not at the end any more
    reports = asyncio.run(whole("REPORTS", "trade.report.paper.>", ExecutionReport))
    assert [each.report_seq for each in reports] == list(range(1, len(reports) + 1))
    ticks = asyncio.run(whole("TICKS", "md.tick.>", Ticks))
    ends = [each.first_feed_seq + len(each.bid) for each in ticks]
    assert [each.first_feed_seq for each in ticks] == [1, *ends[:-1]]


def test_a_gateway_on_a_full_disk_sends_nothing_and_goes_on_when_there_is_room(
    tmp_path, nats_server
):
    """A part of the intent was written, the order was sent, and sent again by every start."""
    nats_server.empty()
    rig = Rig(tmp_path, nats_server, {"EURUSD": walk(4000)}, lockstep=False, **LIMITS)
    try:
        rig.start_terminal()
        gateway = rig.start_gateway()
        _, most = resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (100_000, most))
        live = Live(rig)
        assert "journal.jsonl cannot be written" in live.await_alert("journal_full")
        order = live.order(valid_until_ns=WallClock().now_ns() + 60_000_000_000)
        live.publish(order)
        time.sleep(2.0)
        assert not live.deals_of(order)
        assert gateway.poll() is None
        resource.prlimit(gateway.pid, resource.RLIMIT_FSIZE, (most, most))
        assert live.report(order.number).state == FILLED
        assert len(live.deals_of(order)) == 1
        assert "can be written again" in live.await_alert("journal_full")
        assert rig.stop(gateway) == 0
    finally:
        rig.close()
