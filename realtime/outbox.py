"""Publishing what must not be lost: core NATS for speed, the stream's own answer for certainty.

`Outbox.put` hands a message to the connection at once and keeps it until JetStream says that it is
stored. The answer (PubAck) goes to an inbox; asking for it on the last message of a burst is
enough, because a stream stores what one connection sends in order and numbers it: if that number
has grown by the length of the burst, all of it is there. Where this cannot be told (others write to
the stream too), every message asks.

What stays unconfirmed (connection lost, server killed, stream full) is sent again from the first
such message on, in order. A stream may therefore hold messages twice, and where it refused one,
later ones before it; read on, and all are there in order. Readers go by the numbers in messages.
"""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from nats.aio.msg import Msg

from realtime.connection import Client
from realtime.contracts.subjects import Outgoing

_NO_RESPONDERS = "503"
_WINDOW = 65_536  # messages of a stream that may be on their way
_BURST = 512  # sent again with one answer asked for
_BUFFER_BYTES = 8 * 1024 * 1024  # of the connection, beyond which messages wait here
_LOOK_S = 0.05
_COMPLAIN_S = 3.0


class OutboxError(RuntimeError):
    """A message that cannot be taken."""


class OutboxFull(OutboxError):
    """So much waits for confirmation that no more may be taken: stop; nothing is lost so far."""


@dataclass(slots=True)
class _Lane:
    """The messages for one stream, numbered from 1: ``first <= sent <= end``."""

    stream: str
    first: int = 1  # oldest unconfirmed
    sent: int = 1  # next to be sent in this attempt
    end: int = 1  # next to be put
    asked: int = 0  # latest whose answer was asked for
    waiting: dict[int, Outgoing] = field(default_factory=dict[int, Outgoing])
    attempt: int = 0  # answers to earlier attempts are void
    stream_seq: int | None = None  # that the stream gave to message `first - 1` in this attempt
    is_shared: bool = False  # others write to the stream
    failures: int = 0  # in a row
    due_s: float = 0.0  # not sent again before
    progress_s: float = 0.0
    said: str = ""  # trouble that was alerted


class Outbox:
    """Messages on their way to their streams.

    Args:
        client: connected as a user that may publish to the subjects used.
        alert: told of trouble as (code, one line), each kind once until messages are stored again.
        limit_messages: most messages kept unconfirmed.
        limit_bytes: most bytes of payload kept unconfirmed.
        retry_s: after so long without an answer everything unconfirmed is sent again; the wait
            doubles each time, up to eight times as long.
    """

    def __init__(
        self,
        client: Client,
        alert: Callable[[str, str], None],
        *,
        limit_messages: int = 1_000_000,
        limit_bytes: int = 512 * 1024 * 1024,
        retry_s: float = 1.0,
    ) -> None:
        self._client = client
        self._alert = alert
        self._limit_messages = limit_messages
        self._limit_bytes = limit_bytes
        self._retry_s = retry_s
        self._inbox = client.new_inbox()
        self._lanes: dict[str, _Lane] = {}
        self._messages = 0
        self._bytes = 0
        self._reconnects = client.stats["reconnects"]
        self._subscription: Any = None
        self._sender: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._emptied = asyncio.Event()

    async def open(self) -> None:
        """Listen for answers. Only then may messages be put."""
        answers = f"{self._inbox}.*.*.*"
        self._subscription = await self._client.subscribe(  # pyright: ignore[reportUnknownMemberType] (an argument we do not use)
            answers, cb=self._answer
        )
        self._sender = asyncio.create_task(self._send_again(), name="outbox")

    async def close(self) -> None:
        """Stop; what is unconfirmed stays in `unconfirmed`."""
        if self._sender is not None:
            self._sender.cancel()
            await asyncio.gather(self._sender, return_exceptions=True)
        if self._subscription is not None and not self._client.is_closed:
            await self._subscription.unsubscribe()

    def __len__(self) -> int:
        """Return how many messages are unconfirmed."""
        return self._messages

    def put(self, subject: str, payload: bytes, stream: str, *, more: bool = False) -> None:
        """Publish now, and see to it that the stream gets it.

        Args:
            subject: one that `stream` keeps.
            payload: encoded message.
            stream: its name.
            more: another message for this stream follows at once, whose answer covers this one.

        Raises:
            OutboxFull: too much waits already; the message was not taken.
            OutboxError: the message is larger than the server takes.
        """
        if self._messages >= self._limit_messages or self._bytes >= self._limit_bytes:
            self._refuse()
        if len(payload) > self._client.max_payload:
            msg = f"a message of {len(payload)} bytes on {subject} is larger than NATS takes"
            raise OutboxError(msg)
        lane = self._lanes.get(stream)
        if lane is None:
            lane = self._lanes[stream] = _Lane(stream)
        message = Outgoing(subject, payload, stream)
        # Publish first, keep the books after: this is on the way of an order.
        if lane.sent == lane.end and self._has_room(lane):
            self._publish(lane, lane.end, message, asks=not more)
            lane.sent += 1
        if lane.first == lane.end:
            lane.progress_s = time.monotonic()
            self._emptied.clear()
        lane.waiting[lane.end] = message
        lane.end += 1
        self._messages += 1
        self._bytes += len(payload)

    def put_all(self, messages: Sequence[Outgoing]) -> None:
        """Publish several, asking each stream for one answer.

        Raises:
            OutboxFull: too much waits already; those before it were taken.
            OutboxError: see `put`.
        """
        last = {message.stream: i for i, message in enumerate(messages)}
        for i, message in enumerate(messages):
            more = last[message.stream] != i
            self.put(message.subject, message.payload, message.stream, more=more)

    def unconfirmed(self) -> list[Outgoing]:
        """Return what no stream has confirmed, each stream's oldest first."""
        return [message for lane in self._lanes.values() for message in lane.waiting.values()]

    async def flush(self, timeout_s: float) -> bool:
        """Wait until everything is confirmed; return whether it is."""
        if self._messages == 0:
            return True
        try:
            async with asyncio.timeout(timeout_s):
                await self._emptied.wait()
        except TimeoutError:
            return False
        return True

    def _refuse(self) -> None:
        msg = (
            f"{self._messages} messages ({self._bytes / 1e6:.0f} MB) wait for NATS to store them:"
            " no more are taken; look after the server and its disk, then start again"
        )
        raise OutboxFull(msg)

    # --- sending ------------------------------------------------------------------------------

    def _has_room(self, lane: _Lane) -> bool:
        client = self._client
        return (
            client.is_connected
            and client.stats["reconnects"] == self._reconnects  # or what was lost goes first
            and lane.sent - lane.first < _WINDOW
            and client.pending_data_size < _BUFFER_BYTES
        )

    def _publish(self, lane: _Lane, number: int, message: Outgoing, *, asks: bool) -> None:
        reply = ""
        if asks or lane.stream_seq is None or lane.is_shared:
            reply = f"{self._inbox}.{lane.stream}.{lane.attempt}.{number}"
            lane.asked = number
        publish_now(self._client, message.subject, message.payload, reply)

    async def _send_again(self) -> None:
        """Send what could not go at once, and what stays unanswered."""
        while True:
            try:
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()
            except TimeoutError:
                pass
            self._wake.clear()
            reconnects = self._client.stats["reconnects"]
            if not self._client.is_connected:
                continue
            if reconnects != self._reconnects:
                self._reconnects = reconnects
                for lane in self._lanes.values():
                    self._start_over(lane, wait_s=0.0)
            for lane in self._lanes.values():
                self._look_for_silence(lane)
                self._send_rest(lane)

    def _send_rest(self, lane: _Lane) -> None:
        if lane.sent == lane.end or time.monotonic() < lane.due_s:
            return
        stop = min(lane.sent + _BURST, lane.end)
        while lane.sent < stop and self._has_room(lane):
            message = lane.waiting[lane.sent]
            self._publish(lane, lane.sent, message, asks=lane.sent == stop - 1)
            lane.sent += 1
        if lane.sent < lane.end and self._has_room(lane):
            self._wake.set()

    def _look_for_silence(self, lane: _Lane) -> None:
        if lane.asked < lane.first < lane.sent:  # a burst without its last message
            self._start_over(lane, wait_s=0.0)
        silent_s = time.monotonic() - lane.progress_s
        if lane.sent == lane.first or silent_s < self._retry_s * 2 ** min(lane.failures, 3):
            return
        if silent_s > _COMPLAIN_S:
            self._complain(
                lane, "stream_silent",
                f"NATS has not stored {lane.end - lane.first} messages for stream {lane.stream}"
                f" since {silent_s:.0f} s: is JetStream up, may this user publish"
                f" {lane.waiting[lane.first].subject!r}?",
            )  # fmt: skip
        lane.failures += 1
        self._start_over(lane, wait_s=0.0)

    def _start_over(self, lane: _Lane, *, wait_s: float) -> None:
        """Go back to the first unconfirmed message."""
        lane.attempt += 1
        lane.stream_seq = None
        lane.sent = lane.first
        lane.due_s = time.monotonic() + wait_s
        self._wake.set()

    # --- answers ------------------------------------------------------------------------------

    async def _answer(self, msg: Msg) -> None:
        _, stream, attempt, number = msg.subject.rsplit(".", 3)
        lane = self._lanes[stream]
        if int(attempt) != lane.attempt:
            return  # what it is about is being sent again
        if not msg.data and msg.headers and msg.headers.get("Status") == _NO_RESPONDERS:
            subject = lane.waiting[lane.first].subject if lane.waiting else stream
            text = f"no stream keeps {subject!r}: make the streams (make up)"
            self._fail(lane, "stream_missing", text)
            return
        answer: dict[str, Any] = json.loads(msg.data)
        error: dict[str, Any] | None = answer.get("error")
        if error is not None:
            text = (
                f"stream {stream} refuses messages ({error.get('description', 'no reason given')}):"
                " free its disk or raise its limit; they wait and are sent again"
            )
            self._fail(lane, "stream_refuses", text)
            return
        self._confirm(lane, int(number), int(answer["seq"]))

    def _fail(self, lane: _Lane, code: str, text: str) -> None:
        self._complain(lane, code, text)
        wait_s = self._retry_s * 2 ** min(lane.failures, 3)
        lane.failures += 1
        self._start_over(lane, wait_s=wait_s)

    def _complain(self, lane: _Lane, code: str, text: str) -> None:
        if lane.said != code:
            lane.said = code
            self._alert(code, text)

    def _confirm(self, lane: _Lane, number: int, stream_seq: int) -> None:
        count = number - lane.first + 1
        if count < 1:
            return
        grown = 0 if lane.stream_seq is None else stream_seq - lane.stream_seq
        if count > 1 and grown != count:
            # One before it may be missing. If the stream grew by more, others write to it as well.
            lane.is_shared = lane.is_shared or grown > count
            self._start_over(lane, wait_s=0.0)
            return
        for each in range(lane.first, number + 1):
            self._bytes -= len(lane.waiting.pop(each).payload)
        self._messages -= count
        lane.first = number + 1
        lane.stream_seq = stream_seq
        lane.progress_s = time.monotonic()
        lane.failures = 0
        lane.said = ""
        if self._messages == 0:
            self._emptied.set()
        if lane.sent < lane.end:
            self._wake.set()


def publish_now(client: Client, subject: str, payload: bytes, reply: str = "") -> None:
    """Publish without giving anything else a turn: the client is connected and has room.

    nats-py's publish is a coroutine only because it may wait for room; run here and now, it keeps
    the order of messages, and nothing comes between a decision and its order.

    Raises:
        OutboxError: there was no room; the message is on its way or not.
    """
    publishing = client.publish(subject, payload, reply)
    try:
        publishing.send(None)
    except StopIteration:
        return
    publishing.close()
    msg = "NATS publish waited although its buffer has room"
    raise OutboxError(msg)
