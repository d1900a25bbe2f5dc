"""Orders to a terminal that runs by itself: each at most once, whatever breaks."""

import asyncio
import time
from contextlib import contextmanager
from typing import Any

import pytest

from mt5_gateway.simulator import control
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.control_pb2 import Alert
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.subjects import order_subject
from tests.fixtures.gateway import Rig, stream_of, walk
from tests.fixtures.servers import running_nats

BUY, SELL = 0, 1
FILLED, REJECTED, EXPIRED = 4, 5, 6


class Live:
    """A running stack, and what a loop and an operator do with it."""

    def __init__(self, rig):
        self.rig = rig
        self.number = 0

    def order(self, side=BUY, *, number=None, **changes):
        if number is None:
            self.number += 1
            number = self.number
        now_ns = WallClock().now_ns()
        fields: dict[str, Any] = {
            "client_order_id": f"paper-{number:08d}",
            "account": "paper",
            "symbol": "EURUSD",
            "number": number,
            "type": side,
            "filling": 1,
            "volume_lots": 0.1,
            "price": 1.38,
            "magic": 7,
            "created_ns": now_ns,
            "valid_until_ns": now_ns + 60_000_000_000,
        }
        return OrderRequest(**fields | changes)

    def publish(self, *payloads):
        async def main():
            client = await connect(self.rig.settings, "loop")
            for payload in payloads:
                data = payload if isinstance(payload, bytes) else payload.SerializeToString()
                await client.publish(order_subject("paper", "EURUSD"), data)
            await client.flush()
            await client.close()

        asyncio.run(main())

    def read(self, stream, subject, kind):
        async def main():
            client = await connect(self.rig.settings, "operator")
            try:
                return await stream_of(client, stream, subject, kind)
            finally:
                await client.close()

        return asyncio.run(main())

    def reports(self, number):
        told = self.read("REPORTS", "trade.report.paper.>", ExecutionReport)
        return [each for each in told if each.order_number == number]

    def report(self, number, timeout_s=40.0):
        until = time.monotonic() + timeout_s
        while not (found := self.reports(number)):
            assert time.monotonic() < until, self.rig.log()[-3000:]
            time.sleep(0.1)
        (report,) = found
        return report

    def await_alert(self, code, timeout_s=20.0):
        until = time.monotonic() + timeout_s
        while True:
            alerts = self.read("OPS", "ops.alert.>", Alert)
            texts = [each.text for each in alerts if each.code == code]
            if texts:
                return texts[-1]
            assert time.monotonic() < until, self.rig.log()[-3000:]
            time.sleep(0.1)

    def fault(self, *arguments):
        with self.rig.terminal_link():
            control.fault(*arguments)

    def deals_of(self, order):
        return [deal for deal in self.rig.deals() if deal.comment == order.client_order_id]

    def switch(self, value):
        async def main():
            client = await connect(self.rig.settings, "operator")
            bucket = await client.jetstream().key_value("switch")
            await bucket.put("kill", value)
            await client.close()

        asyncio.run(main())
        word = "kill switch on" if value else "kill switch off"
        self.rig.await_log(word, count=self.rig.log().count(word) + 1)


def start(rig):
    rig.start_terminal()
    rig.start_gateway()
    rig.await_log("gateway INFO running")
    return Live(rig)


LIMITS = {"account_limits": {"max_clock_offset": "0s"}, "gateway": {"call_timeout": "2s"}}


@contextmanager
def running_live(folder):
    """A terminal and a gateway that trades live with it."""
    (folder / "nats").mkdir()
    with running_nats(folder / "nats") as nats:
        rig = Rig(folder, nats, {"EURUSD": walk(4000)}, lockstep=False, **LIMITS)
        try:
            yield start(rig)
        finally:
            rig.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory):
    with running_live(tmp_path_factory.mktemp("live")) as live:
        yield live


def test_an_order_is_executed_and_reported_with_its_deal_and_the_account(live):
    order = live.order()
    live.publish(order)
    report = live.report(order.number)
    assert (report.state, report.retcode, report.filled_lots) == (FILLED, 10009, 0.1)
    (deal,) = report.deals
    assert deal.ticket == live.deals_of(order)[0].ticket
    assert report.account_state.positions[0].id == deal.position_id
    assert report.received_ns <= report.sent_ns <= report.answered_ns <= report.published_ns


def test_an_order_that_comes_twice_is_executed_once(live):
    order = live.order(SELL)
    live.publish(order, order, order)
    live.report(order.number)
    after = live.order()
    live.publish(order, after)
    live.report(after.number)
    assert len(live.deals_of(order)) == 1
    assert len(live.reports(order.number)) == 1


def test_a_number_that_comes_again_with_other_contents_is_an_alert_and_no_order(live):
    order = live.order()
    live.publish(order)
    live.report(order.number)
    deals = len(live.rig.deals())
    live.publish(live.order(SELL, number=order.number, volume_lots=5.0))
    assert f"order number {order.number} came again" in live.await_alert("order_number_reused")
    assert len(live.rig.deals()) == deals


def test_a_message_that_is_no_order_is_an_alert_and_the_next_order_is_executed(live):
    order = live.order(SELL)
    live.publish(b"\xff\xff\xff no order", order)
    assert live.report(order.number).state == FILLED
    assert "is no order" in live.await_alert("order_corrupt")


def test_an_order_in_a_symbol_that_is_not_traded_is_refused(live):
    order = live.order(symbol="NOSUCH")
    live.publish(order)
    report = live.report(order.number)
    assert (report.state, report.retcode) == (REJECTED, 10013)
    assert "'NOSUCH', which is not among the symbols traded" in report.comment


def test_an_order_that_comes_too_late_is_never_sent(live):
    order = live.order(valid_until_ns=WallClock().now_ns() - 1)
    live.publish(order)
    report = live.report(order.number)
    assert report.state == EXPIRED
    assert report.sent_ns == 0
    assert not live.deals_of(order)


def test_orders_that_come_in_the_wrong_order_are_executed_in_the_order_of_their_numbers(live):
    first, second = live.order(), live.order(SELL)
    live.publish(second, first)
    assert live.report(first.number).report_seq < live.report(second.number).report_seq


def test_a_refusal_of_the_broker_is_reported_with_its_code(live):
    live.fault("order_send", "retcode", 10018)
    order = live.order()
    live.publish(order)
    report = live.report(order.number)
    assert (report.state, report.retcode) == (REJECTED, 10018)


def test_an_order_that_was_executed_although_the_connection_broke_is_found(live):
    live.fault("order_send", "lost")
    order = live.order()
    live.publish(order)
    report = live.report(order.number)
    assert (report.state, report.retcode, report.filled_lots) == (FILLED, 10009, 0.1)
    assert len(live.deals_of(order)) == 1


def test_an_order_that_was_executed_although_the_answer_says_time_out_is_found(live):
    live.fault("order_send", "executed", 10012)
    order = live.order(SELL)
    live.publish(order)
    assert live.report(order.number).state == FILLED
    assert len(live.deals_of(order)) == 1


def test_an_order_that_the_connection_swallowed_is_reported_as_failed_and_not_sent_again(live):
    live.fault("order_send", "broken")
    order = live.order()
    live.publish(order)
    report = live.report(order.number)
    assert (report.state, report.retcode) == (REJECTED, 10012)
    assert not live.deals_of(order)
    running = live.rig.log().count("INFO running")
    live.rig.stop(live.rig.gateway)  # until then nothing is opened: the broker may have it yet
    live.rig.start_gateway()
    live.rig.await_log("INFO running", count=running + 1)


def test_a_worker_that_hangs_inside_an_order_is_killed_and_the_order_is_found(live):
    live.fault("order_send", "hang", 3.0)
    order = live.order(SELL)
    live.publish(order)
    report = live.report(order.number)
    assert report.state == FILLED
    assert len(live.deals_of(order)) == 1
    assert "its worker was killed" in live.await_alert("order_unknown")


def test_a_gateway_that_is_killed_inside_an_order_finds_it_when_it_is_back(live):
    live.fault("order_send", "hang", 2.0)
    order = live.order()
    live.publish(order)
    until = time.monotonic() + 20
    journal = live.rig.settings.paths.var / "gateway/paper/journal.jsonl"
    while f'"number":{order.number},' not in journal.read_text():
        assert time.monotonic() < until
        time.sleep(0.02)
    time.sleep(0.5)  # by now the terminal has it
    live.rig.kill9_gateway()
    live.rig.start_gateway()
    assert live.report(order.number).state == FILLED
    assert len(live.deals_of(order)) == 1
    assert len(live.reports(order.number)) == 1


def test_orders_that_were_sent_while_the_gateway_was_down_are_too_late_or_executed(live):
    live.rig.kill9_gateway()
    late, valid = live.order(valid_until_ns=WallClock().now_ns()), live.order(SELL)
    live.publish(late, valid)
    live.rig.start_gateway()
    assert live.report(late.number).state == EXPIRED
    assert live.report(valid.number).state == FILLED


def test_the_kill_switch_stops_what_opens_and_lets_pass_what_closes(live):
    positions = live.report(live.number).account_state.positions
    net = sum(each.side * each.volume_lots for each in positions)
    if abs(net) < 0.05:
        live.publish(live.order())
        live.report(live.number)
        net = 0.1
    opens, closes = (BUY, SELL) if net > 0 else (SELL, BUY)
    live.switch(b"1")
    opening, closing = live.order(opens), live.order(closes)
    live.publish(opening, closing)
    report = live.report(opening.number)
    assert report.state == REJECTED
    assert "kill switch" in report.comment
    assert live.report(closing.number).state == FILLED
    live.switch(b"")
    after = live.order(opens)
    live.publish(after)
    assert live.report(after.number).state == FILLED


def test_what_somebody_does_at_the_terminal_itself_is_reported(live):
    from mt5_gateway.simulator import metatrader5

    with live.rig.terminal_link():
        metatrader5.order_send(
            {
                "action": 1,
                "symbol": "EURUSD",
                "volume": 0.3,
                "type": BUY,
                "price": 1.38,
                "type_filling": 1,
                "comment": "by hand",
            }
        )
    (deal,) = [each for each in live.rig.deals() if each.comment == "by hand"]
    until = time.monotonic() + 20
    while True:
        told = live.read("REPORTS", "trade.report.paper.>", ExecutionReport)
        found = [each for each in told if deal.ticket in [d.ticket for d in each.deals]]
        if found:
            break
        assert time.monotonic() < until
        time.sleep(0.1)
    assert len(found) == 1
    assert found[0].client_order_id == ""


def test_a_gateway_that_lost_its_journal_tells_no_old_deal_again(live):
    rig = live.rig
    rig.stop(rig.gateway)
    (rig.settings.paths.var / "gateway/paper/journal.jsonl").unlink()
    rig.start_gateway()
    order = live.order()
    live.publish(order)
    assert live.report(order.number).state == FILLED
    time.sleep(1.0)  # several looks at the account
    told = live.read("REPORTS", "trade.report.paper.>", ExecutionReport)
    tickets = [deal.ticket for each in told for deal in each.deals]
    assert len(tickets) == len(set(tickets))
    assert [each.report_seq for each in told] == list(range(1, len(told) + 1))


def test_another_account_at_the_terminal_gets_no_orders(live):
    rig = live.rig
    rig.stop(rig.terminal)
    rig.start_terminal("--speed", "1", "--login", "42")
    text = live.await_alert("wrong_account")
    assert "the terminal is logged in to account 42, not to 5000001" in text
    deals = len(rig.deals())
    rig.stop(rig.gateway)
    assert rig.start_gateway().wait(30) == 2
    assert "is account 5000001 at Simulator-Demo: log in to that one" in rig.log()
    assert len(rig.deals()) == deals
    rig.stop(rig.terminal)


def test_the_gateway_ends_in_good_order(live):
    live.rig.start_terminal()
    live.rig.start_gateway()
    live.rig.await_log("gateway INFO running", count=live.rig.log().count("INFO running") + 1)
    assert live.rig.stop(live.rig.gateway) == 0
