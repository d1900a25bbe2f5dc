"""Orders through a real NATS server: in order, once, whatever the connection loses."""

import asyncio

from nats.aio.msg import Msg

from mt5_gateway.order_inbox import OrderInbox
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.subjects import order_subject


def order(number, account="paper"):
    return OrderRequest(
        number=number, client_order_id=f"{account}-{number}", account=account, symbol="EURUSD"
    )


PATIENCE_S = 0.4


class Desk:
    """An inbox, and a loop that publishes to it."""

    def __init__(self, settings, handled=0):
        self.settings = settings
        self.handled = handled
        self.alerts = []

    async def __aenter__(self):
        self.loop = await connect(self.settings, "loop")
        self.client = await connect(self.settings, "gateway")
        self.inbox = OrderInbox(
            account="paper",
            client=self.client,
            clock=WallClock(),
            alert=lambda severity, code, text: self.alerts.append((severity, code, text)),
            handled=self.handled,
            patience_s=PATIENCE_S,
        )
        return self

    async def __aexit__(self, *_):
        await self.loop.close()
        await self.client.close()

    async def publish(self, *orders):
        for each in orders:
            subject = order_subject(each.account, each.symbol)
            await self.loop.jetstream().publish(subject, each.SerializeToString())

    async def taken(self, count):
        numbers = []
        async with asyncio.timeout(10):
            while len(numbers) < count:
                received = self.inbox.next()
                if received is None:
                    await asyncio.sleep(0.01)
                    if self.inbox.has_gap:
                        await self.inbox.heal()
                    continue
                numbers.append(received.order.number)
                self.inbox.done()
        return numbers


def run(nats_server, work, handled=0):
    nats_server.empty()

    async def main():
        async with Desk(nats_server.settings, handled) as desk:
            await work(desk)

    asyncio.run(main())


def test_orders_sent_before_the_start_are_read_from_the_stream(nats_server):
    async def work(desk):
        await desk.publish(order(1), order(2), order(1, account="other"), order(3))
        await desk.inbox.open()
        assert await desk.taken(2) == [2, 3]
        await desk.publish(order(4))
        assert await desk.taken(1) == [4]
        assert desk.alerts == []

    run(nats_server, work, handled=1)


def test_an_order_that_the_connection_lost_is_read_before_a_later_one(nats_server):
    async def work(desk):
        await desk.inbox.open()
        await desk.publish(order(1))
        assert await desk.taken(1) == [1]
        await desk.publish(order(2), order(3))
        await asyncio.sleep(0.1)
        desk.inbox._waiting.pop(2)
        assert desk.inbox.has_gap
        await desk.inbox.heal()
        assert await desk.taken(2) == [2, 3]

    run(nats_server, work)


def test_a_number_that_is_not_in_the_stream_is_skipped_and_said(nats_server):
    async def work(desk):
        await desk.inbox.open()
        await desk.publish(order(1), order(4))
        assert await desk.taken(1) == [1]
        await asyncio.sleep(0.1)
        await desk.inbox.heal()
        assert await desk.taken(1) == [4]
        ((severity, code, text),) = desk.alerts
        assert (severity, code) == ("critical", "order_missing")
        assert text.startswith("orders 2 to 3 of paper are not in stream ORDERS")

    run(nats_server, work)


def answered(desk):
    """Take what is to be answered instead of being executed: number, id, retcode."""
    texts = [
        (each.order.number, each.order.client_order_id, each.retcode)
        for each in desk.inbox.unwanted
    ]
    desk.inbox.unwanted.clear()
    return texts


def named(at, **changes):
    each = order(at)
    each.client_order_id = f"paper-{at:08d}"
    for name, value in changes.items():
        setattr(each, name, value)
    return each


async def wired(desk, *orders):
    """Hand orders over as the core wire does, when the stream has not taken them in yet."""
    for each in orders:
        payload = each.SerializeToString()
        await desk.inbox._receive(Msg(desk.client, "trade.order.paper.EURUSD", "", payload))


def test_an_order_that_only_the_wire_brought_makes_no_earlier_one_lost(nats_server):
    """The stream may take in a later order first: it was skipped at once, and ignored later."""

    async def work(desk):
        await desk.inbox.open()
        await desk.publish(order(1))
        assert await desk.taken(1) == [1]
        await wired(desk, order(3))
        for _ in range(3):
            await asyncio.sleep(PATIENCE_S)
            await desk.inbox.heal()
        assert desk.inbox.handled == 1
        await desk.publish(order(3), order(2))
        assert await desk.taken(2) == [2, 3]
        assert (desk.alerts, answered(desk)) == ([], [])

    run(nats_server, work)


def test_a_later_order_of_the_stream_waits_some_time_for_an_earlier_one(nats_server):
    async def work(desk):
        await desk.publish(order(2))
        await desk.inbox.open()
        await desk.inbox.heal()
        assert desk.inbox.handled == 0
        await desk.publish(order(1))
        assert await desk.taken(2) == [1, 2]
        assert desk.alerts == []

    run(nats_server, work)


def test_every_skipped_order_is_answered_and_so_is_one_that_comes_after_all(nats_server):
    """The loop waits for the answer: a symbol was blocked for ever."""

    async def work(desk):
        await desk.publish(named(4))
        await desk.inbox.open()
        assert await desk.taken(1) == [4]
        assert answered(desk) == [(n, f"paper-{n:08d}", 10022) for n in (1, 2, 3)]
        late = named(2)
        await desk.publish(late, late)
        await desk.inbox.heal()
        assert answered(desk) == [(2, "paper-00000002", 10022)]
        assert desk.inbox.next() is None

    run(nats_server, work)


def test_a_used_number_with_other_contents_is_answered_once(nats_server):
    async def work(desk):
        await desk.inbox.open()
        await desk.publish(named(1))
        assert await desk.taken(1) == [1]
        other = named(1, volume_lots=5.0)
        await desk.publish(named(1), other, other)
        await desk.inbox.heal()
        assert answered(desk) == [(1, "paper-00000001", 10013)]
        assert [code for _, code, _ in desk.alerts] == ["order_number_reused"]

    run(nats_server, work)


def test_an_order_that_waits_is_not_answered_for_another_of_its_name(nats_server):
    async def work(desk):
        await desk.inbox.open()
        await wired(desk, named(1), named(1, volume_lots=5.0), named(1, client_order_id="other"))
        assert answered(desk) == [(1, "other", 10013)]
        assert desk.inbox.next().order == named(1)

    run(nats_server, work)


def test_a_number_far_beyond_all_others_is_refused_and_the_next_order_is_executed(nats_server):
    """One order with the number 2**62 made the inbox skip all others silently."""

    async def work(desk):
        giant = named(1, number=2**62, client_order_id="giant")
        await desk.inbox.open()
        await desk.publish(giant, named(1), named(2))
        assert await desk.taken(2) == [1, 2]
        await desk.inbox.heal()
        assert answered(desk) == [(0, "giant", 10013)]
        ((_, code, text),) = desk.alerts
        assert code == "order_number_jump"
        assert f"number {2**62} is more than 1000 beyond all others" in text

    run(nats_server, work)


def test_orders_of_a_long_absence_are_no_jump(nats_server):
    async def work(desk):
        await desk.publish(*(order(number) for number in range(1, 1_203)))
        await wired(desk, order(1_202))
        await desk.inbox.open()
        assert await desk.taken(1_202) == list(range(1, 1_203))
        assert (desk.alerts, answered(desk)) == ([], [])

    run(nats_server, work)


def test_an_order_without_a_number_is_answered_under_its_name(nats_server):
    async def work(desk):
        await desk.publish(named(1, number=-5))
        await desk.inbox.open()
        assert answered(desk) == [(0, "paper-00000001", 10013)]
        assert [code for _, code, _ in desk.alerts] == ["order_corrupt"]

    run(nats_server, work)


def test_what_was_answered_before_a_restart_is_not_answered_again(nats_server):
    async def work(desk):
        await desk.publish(named(3), named(2), named(2_000), named(3, client_order_id="x"))
        await desk.inbox.open()
        assert await desk.taken(1) == [2]
        assert await desk.taken(1) == [3]
        told = list(desk.inbox.unwanted)
        assert len(told) == 3
        again = OrderInbox(
            account="paper",
            client=desk.client,
            clock=WallClock(),
            alert=lambda *_: None,
            handled=3,
            patience_s=0.0,
        )
        for each in told:
            report = ExecutionReport(order_number=each.order.number, comment=each.text)
            again.remember_answer(report)
        await again.open()
        assert list(again.unwanted) == []
        await desk.publish(named(1))
        await again.heal()
        ((number, retcode),) = [(each.order.number, each.retcode) for each in again.unwanted]
        assert (number, retcode) == (1, 10022)

    run(nats_server, work)
