"""The loop's orders, in the order of their numbers, each once.

They come by a core subscription, at once; what is missing before one that came, or was sent while
the gateway was down, is read from the stream. A number that is not in the stream although later
ones are will never come: that is said, and skipped.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from mt5_gateway.recorded import last_message, read_from
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import token

STREAM = "ORDERS"


@dataclass(frozen=True, kw_only=True)
class Received:
    """An order, and when it was there."""

    order: OrderRequest
    received_ns: int


class OrderInbox:
    """Orders of one account.

    Args:
        account: name.
        client: connected.
        clock: the machine's.
        alert: (severity, code, line).
        handled: number of the last order that was dealt with.
    """

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        clock: Clock,
        alert: Callable[[str, str, str], None],
        handled: int,
    ) -> None:
        self.handled = handled
        self.arrived = asyncio.Event()
        self._account = account
        self._client = client
        self._clock = clock
        self._alert = alert
        self._subject = f"trade.order.{token(account)}.>"
        self._waiting: dict[int, Received] = {}
        self._remembered: dict[int, OrderRequest] = {}
        self._read_through = 0  # position in the stream
        self._log = logging.getLogger("gateway")

    async def open(self) -> None:
        """Listen.

        Raises:
            StreamUnreadable: the stream cannot be read.
        """
        await self._client.subscribe(  # pyright: ignore[reportUnknownMemberType] (an argument we do not use)
            self._subject, cb=self._receive
        )
        await self.heal()

    def remember(self, order: OrderRequest) -> None:
        """Note an order that was dealt with before this start."""
        self._remembered[order.number] = order

    def next(self) -> Received | None:
        """Return the next order, or None if it is not there; `done` takes it off."""
        return self._waiting.get(self.handled + 1)

    def done(self) -> None:
        """Go on to the order after `next`."""
        self.handled += 1
        received = self._waiting.pop(self.handled, None)
        if received is not None:
            self._remembered[self.handled] = received.order
            self._remembered.pop(self.handled - 4096, None)

    @property
    def has_gap(self) -> bool:
        """Whether the next order is missing although a later one is there."""
        return bool(self._waiting) and self.next() is None

    async def heal(self) -> None:
        """Read what is in the stream and was not received.

        Raises:
            StreamUnreadable: the stream cannot be read.
        """
        newest = await last_message(self._client, STREAM, self._subject)
        if newest is None or newest.seq <= self._read_through:
            return
        first = self._read_through + 1
        for kept in await read_from(self._client, STREAM, self._subject, first, newest.seq):
            self._take(kept.payload, f"message {kept.seq} of stream {STREAM}")
        self._read_through = newest.seq
        if self.has_gap:
            self._skip_lost()

    def _skip_lost(self) -> None:
        first, after = self.handled + 1, min(self._waiting)
        self._alert(
            "critical",
            "order_missing",
            f"orders {first} to {after - 1} of {self._account} are not in stream {STREAM} although"
            " later ones are: they were never sent and are skipped",
        )
        self.handled = after - 1

    async def _receive(self, message: Msg) -> None:
        self._take(message.data, f"a message on {message.subject}")

    def _take(self, payload: bytes, where: str) -> None:
        try:
            order = OrderRequest.FromString(payload)
        except DecodeError:
            order = OrderRequest()
        if order.number < 1:
            self._alert(
                "critical",
                "order_corrupt",
                f"{where} is no order: it is not executed; find out who published it",
            )
            return
        if order.number > self.handled:
            known = self._waiting.get(order.number)
            if known is None:
                received = Received(order=order, received_ns=self._clock.now_ns())
                self._waiting[order.number] = received
                self.arrived.set()
                return
            self._compare(known.order, order)
        elif order.number in self._remembered:
            self._compare(self._remembered[order.number], order)

    def _compare(self, known: OrderRequest, order: OrderRequest) -> None:
        """A number stands for one order: another one under it is a loop that lost its memory."""
        same = (known.client_order_id, known.symbol, known.type, known.volume_lots, known.feed_seq)
        if same == (
            order.client_order_id, order.symbol, order.type, order.volume_lots, order.feed_seq
        ):  # fmt: skip
            self._log.debug("order %d came again", order.number)
            return
        self._alert(
            "critical",
            "order_number_reused",
            f"order number {order.number} came again with other contents and is not executed: the"
            " loop has lost its state; stop it and restore its state file",
        )
