"""Orders through a real NATS server: in order, once, whatever the connection loses."""

import asyncio

from mt5_gateway.order_inbox import OrderInbox
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import order_subject


def order(number, account="paper"):
    return OrderRequest(
        number=number, client_order_id=f"{account}-{number}", account=account, symbol="EURUSD"
    )


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
