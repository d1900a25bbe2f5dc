"""The loop's orders, in the order of their numbers, each once.

They come by a core subscription, at once; what is missing before one that came, or was sent while
the gateway was down, is read from the stream. A stream may hold later orders before earlier ones
for a while (see `realtime.outbox`). A number that is still not there some seconds after a later one
was read from the stream is taken for lost: that is said, and it is skipped.

Whatever is not executed is answered all the same (`unwanted`): orders that were skipped, that come
after they were, that come under a used number, or under one that is far beyond all others. The loop
waits for the answer.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from mt5_gateway.constants import TRADE_RETCODE_INVALID, TRADE_RETCODE_INVALID_EXPIRATION
from mt5_gateway.recorded import last_message, read_from
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.subjects import token

STREAM = "ORDERS"
_PATIENCE_S = 5.0  # an outbox sends again after one second, then two, then four
_MOST_AHEAD = 1_000  # numbers that may be missing before one
_REMEMBERED = 4_096  # latest numbers that are known by their contents
_Key = TypeVar("_Key")


@dataclass(frozen=True, kw_only=True)
class Received:
    """An order, and when it was there."""

    order: OrderRequest
    received_ns: int


@dataclass(frozen=True, kw_only=True)
class Unwanted:
    """An order that must not be executed.

    Attributes:
        order: as far as it is known.
        received_ns: when it was there.
        retcode: TRADE_RETCODE_*.
        text: why, one line.
    """

    order: OrderRequest
    received_ns: int
    retcode: int
    text: str


class OrderInbox:
    """Orders of one account.

    Args:
        account: name.
        client: connected.
        clock: the machine's.
        alert: (severity, code, line).
        handled: number of the last order that was dealt with.
        patience_s: how long an order that is missing is waited for.
    """

    def __init__(
        self,
        *,
        account: str,
        client: Client,
        clock: Clock,
        alert: Callable[[str, str, str], None],
        handled: int,
        patience_s: float = _PATIENCE_S,
    ) -> None:
        self.handled = handled
        self.unwanted: deque[Unwanted] = deque()  # to be answered before `next`
        self.arrived = asyncio.Event()
        self._account = account
        self._client = client
        self._clock = clock
        self._alert = alert
        self._patience_s = patience_s
        self._subject = f"trade.order.{token(account)}.>"
        self._waiting: dict[int, Received] = {}
        self._remembered: dict[int, OrderRequest] = {}
        self._skipped: dict[int, None] = {}
        self._answered: dict[tuple[int, str], None] = {}  # number and text
        self._read_through = 0  # position in the stream
        self._stored = 0  # highest number read from it
        self._gap: tuple[int, float] | None = None  # missing number, and since when
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

    def remember_answer(self, report: ExecutionReport) -> None:
        """Note a report of before this start: what was refused is not answered again."""
        if report.order_ticket == 0 and report.comment:
            _note(self._answered, (report.order_number, report.comment))
            if report.comment == _skip_text(report.order_number):
                _note(self._skipped, report.order_number)

    def next(self) -> Received | None:
        """Return the next order, or None if it is not there; `done` takes it off."""
        return self._waiting.get(self.handled + 1)

    def done(self) -> None:
        """Go on to the order after `next`."""
        self.handled += 1
        received = self._waiting.pop(self.handled, None)
        if received is not None:
            self._remembered[self.handled] = received.order
        self._remembered.pop(self.handled - _REMEMBERED, None)

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
        if newest is not None and newest.seq > self._read_through:
            first = self._read_through + 1
            stored = await read_from(self._client, STREAM, self._subject, first, newest.seq)
            orders = [
                self._parsed(each.payload, f"message {each.seq} of stream {STREAM}")
                for each in stored
            ]
            for order in sorted(filter(None, orders), key=lambda each: each.number):
                self._take_stored(order, is_first=first == 1)
            self._read_through = newest.seq
        self._skip_lost()

    async def _receive(self, message: Msg) -> None:
        order = self._parsed(message.data, f"a message on {message.subject}")
        if order is None:
            return
        if order.number > self._reach:
            self.arrived.set()  # the stream tells what lies between
        elif order.number <= self.handled:
            self._look_back(order)
        else:
            self._take(order)

    # --- a gap --------------------------------------------------------------------------------

    def _skip_lost(self) -> None:
        """Skip what is missing, once a later order was in the stream for long enough."""
        missing = self.handled + 1
        if not self.has_gap or self._stored <= missing:
            self._gap = None
            return
        now_s = asyncio.get_running_loop().time()
        if self._gap is None or self._gap[0] != missing:
            self._gap = missing, now_s
        if now_s - self._gap[1] < self._patience_s:
            return
        after = min(self._waiting)
        self._alert(
            "critical",
            "order_missing",
            f"orders {missing} to {after - 1} of {self._account} are not in stream {STREAM}"
            " although later ones are: they are skipped, and not executed if they come yet",
        )
        like = self._waiting[after].order
        for number in range(missing, after):
            name = _name_like(like, number)
            lost = OrderRequest(number=number, client_order_id=name, account=self._account)
            self._refuse(lost, TRADE_RETCODE_INVALID_EXPIRATION, _skip_text(number))
            _note(self._skipped, number)
        self.handled = after - 1
        self._gap = None

    # --- one order ----------------------------------------------------------------------------

    @property
    def _reach(self) -> int:
        """Highest number that an order may have now."""
        return max(self._waiting, default=self.handled) + _MOST_AHEAD

    def _parsed(self, payload: bytes, where: str) -> OrderRequest | None:
        try:
            order = OrderRequest.FromString(payload)
        except DecodeError:
            order = OrderRequest()
        if order.number >= 1:
            return order
        self._alert(
            "critical",
            "order_corrupt",
            f"{where} is no order: it is not executed; find out who published it",
        )
        if order.client_order_id:
            text = f"order {order.client_order_id} has the number {order.number}: they begin at 1"
            self._refuse(_without_number(order), TRADE_RETCODE_INVALID, text)
        return None

    def _take_stored(self, order: OrderRequest, *, is_first: bool) -> None:
        """Take an order of the stream, where the answered ones are as well.

        Args:
            order: whose turn it is by its number.
            is_first: nothing was read from the stream before.
        """
        number = order.number
        if number <= self.handled:
            if is_first and number not in self._remembered and number not in self._skipped:
                if number > self.handled - _REMEMBERED:
                    self._remembered[number] = order
            else:
                self._look_back(order)
        elif number > self._reach:
            self._refuse_jump(order)
        else:
            self._stored = max(self._stored, number)
            self._take(order)

    def _take(self, order: OrderRequest) -> None:
        known = self._waiting.get(order.number)
        if known is not None:
            self._compare(known.order, order)
        elif (0, _jump_text(order)) not in self._answered:
            received = Received(order=order, received_ns=self._clock.now_ns())
            self._waiting[order.number] = received
            self.arrived.set()

    def _look_back(self, order: OrderRequest) -> None:
        """Look at an order whose number was dealt with."""
        known = self._remembered.get(order.number)
        if order.number in self._skipped:
            text = (
                f"order {order.number} ({order.client_order_id}) came after it had been skipped:"
                " it is not executed"
            )
            self._refuse(order, TRADE_RETCODE_INVALID_EXPIRATION, text)
        elif known is not None:
            self._compare(known, order)
        elif order.number <= self.handled - _REMEMBERED:
            self._refuse_reused(order)

    def _compare(self, known: OrderRequest, order: OrderRequest) -> None:
        """A number stands for one order: another one under it is a loop that lost its memory."""
        same = (known.client_order_id, known.symbol, known.type, known.volume_lots, known.feed_seq)
        if same == (
            order.client_order_id, order.symbol, order.type, order.volume_lots, order.feed_seq
        ):  # fmt: skip
            self._log.debug("order %d came again", order.number)
        elif order.number > self.handled and known.client_order_id == order.client_order_id:
            self._alert("critical", "order_number_reused", _reuse_text(order))
        else:  # the first one has its own answer
            self._refuse_reused(order)

    def _refuse_reused(self, order: OrderRequest) -> None:
        text = _reuse_text(order)
        if self._refuse(order, TRADE_RETCODE_INVALID, text):
            self._alert("critical", "order_number_reused", text)

    def _refuse_jump(self, order: OrderRequest) -> None:
        # Its report bears no number: the next start would go on from there.
        text = _jump_text(order)
        if self._refuse(_without_number(order), TRADE_RETCODE_INVALID, text):
            self._alert(
                "critical",
                "order_number_jump",
                f"{text} of {self._account}, where {self.handled} is the last that was answered: is"
                " that another loop, or was this gateway's journal or stream lost? Restore them, or"
                " begin with a new name of the account",
            )

    def _refuse(self, order: OrderRequest, retcode: int, text: str) -> bool:
        """Have an order answered; whether it was not before."""
        key = order.number, text
        if key in self._answered:
            return False
        _note(self._answered, key)
        self.unwanted.append(
            Unwanted(order=order, received_ns=self._clock.now_ns(), retcode=retcode, text=text)
        )
        self.arrived.set()
        return True


def _note(noted: dict[_Key, None], key: _Key) -> None:
    """Add to a set that forgets the oldest."""
    noted[key] = None
    if len(noted) > 2 * _REMEMBERED:
        del noted[next(iter(noted))]


def _without_number(order: OrderRequest) -> OrderRequest:
    plain = OrderRequest()
    plain.CopyFrom(order)
    plain.number = 0
    return plain


def _name_like(order: OrderRequest, number: int) -> str:
    """Return the id of an order that nobody saw, if ids end with their numbers; else none."""
    end = f"{order.number:08d}"
    name = order.client_order_id
    return f"{name.removesuffix(end)}{number:08d}" if name.endswith(end) else ""


def _skip_text(number: int) -> str:
    return f"order {number} did not come although later ones did: it is not executed"


def _jump_text(order: OrderRequest) -> str:
    return (
        f"order {order.client_order_id} is not executed: number {order.number} is more than"
        f" {_MOST_AHEAD} beyond all others"
    )


def _reuse_text(order: OrderRequest) -> str:
    return (
        f"order number {order.number} came again with other contents ({order.client_order_id}, type"
        f" {order.type}, {order.volume_lots:g} lots of {order.symbol} at tick {order.feed_seq}) and"
        " is not executed: the loop has lost its state; stop it and restore its state file"
    )
