"""Reading a JetStream stream in order, from a position on, through restarts of the server.

A consumer without acknowledgements hands out batches that are asked for, so that nothing piles up
here while the database is away. Whoever reads keeps the position: where a consumer is gone, or a
message lost on the way, a new one is made behind the last message that was handed out.
"""

import asyncio
import contextlib
import json
import logging
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from realtime.connection import Client

_BATCH = 8_192  # messages asked for at a time
_BATCH_BYTES = 8 * 1024 * 1024
_BUFFERED = 2 * _BATCH  # not asked for more while so many wait here
_EXPIRES_S = 5.0
_HEARTBEAT_S = 1.0
_SILENCE_S = 3.5  # without message or heartbeat: the consumer is gone
_INACTIVE_S = 30.0
_DONE = ("404", "408")  # nothing there, or the request ran out
_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

_log = logging.getLogger(__name__)


class Message(NamedTuple):
    """A message as a stream keeps it."""

    stream_seq: int
    subject: str
    payload: bytes
    time_ns: int  # when the stream took it in


@dataclass(frozen=True, kw_only=True)
class StreamState:
    """What a stream holds.

    Attributes:
        created_ns: when it was made: another one of the same name counts from 1 again.
        first_seq: of the oldest message.
        last_seq: of the newest; first_seq - 1 if it is empty.
    """

    created_ns: int
    first_seq: int
    last_seq: int


class StreamMissing(RuntimeError):
    """There is no such stream, or this user may not read it."""


async def stream_state(client: Client, stream: str, timeout_s: float = 5.0) -> StreamState:
    """Ask for the state of a stream.

    Raises:
        StreamMissing: there is none, or no answer.
    """
    try:
        info = await _jetstream(client, timeout_s).stream_info(stream)
    except NotFoundError:
        msg = f"there is no stream {stream}: start the embedded servers (make up)"
        raise StreamMissing(msg) from None
    except (NatsError, TimeoutError, OSError) as error:
        msg = f"the NATS server says nothing about stream {stream}: {error or 'no answer'}"
        raise StreamMissing(msg) from error
    created = info.created
    return StreamState(
        created_ns=0 if created is None else _nanoseconds(created),
        first_seq=info.state.first_seq,
        last_seq=info.state.last_seq,
    )


def _jetstream(client: Client, timeout_s: float) -> Any:
    return _untyped(client).jetstream(timeout=timeout_s)


def _untyped(client: Client) -> Any:
    """Return a client as Any: nats-py's own types are not complete."""
    return client


def _nanoseconds(moment: datetime) -> int:
    since = moment - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000_000 + since.microseconds * 1_000


class StreamFollower:
    """Reads one stream.

    Args:
        client: connected.
        stream: name.
        after: the last message not to be handed out; 0 = from the first.
        subject: only messages of this subject, with wildcards; empty = all.
        linger_s: how long to gather messages before they are handed out.
    """

    def __init__(
        self,
        client: Client,
        stream: str,
        *,
        after: int = 0,
        subject: str = "",
        linger_s: float = 0.02,
    ) -> None:
        self.stream = stream
        self._client = client
        self._after = after
        self._subject = subject
        self._linger_s = linger_s
        self._received: list[Message] = []
        self._last = after
        self._delivered = 0
        self._asked = 0
        self._arrived = asyncio.Event()
        self._stale = True
        self._failure: Exception | None = None
        self._seen_s = 0.0
        self._name = ""
        self._next = b""
        self._subscription: Subscription | None = None

    async def read(self, timeout_s: float | None = None) -> list[Message]:
        """Return the next messages, at least one, in order.

        Args:
            timeout_s: return none after so long; None = wait for ever.

        Raises:
            Exception: the one given to `fail`.
        """
        until = None if timeout_s is None else time.monotonic() + timeout_s
        while not self._received:
            if self._failure is not None:
                raise self._failure
            if until is not None and time.monotonic() >= until:
                return []
            if self._stale or time.monotonic() - self._seen_s > _SILENCE_S:
                await self._renew()
                continue
            await self._ask()
            wait_s = 0.5 if until is None else max(0.0, min(0.5, until - time.monotonic()))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._arrived.wait()
            self._arrived.clear()
        if len(self._received) < _BATCH // 8:
            await asyncio.sleep(self._linger_s)
        messages = self._received[:_BATCH]
        del self._received[:_BATCH]
        if not self._stale:
            await self._ask()
        return messages

    def renew(self) -> None:
        """Make a new consumer before the next read: the connection was lost."""
        self._stale = True
        self._arrived.set()

    def fail(self, error: Exception) -> None:
        """Make `read` raise an error, now and from now on."""
        self._failure = error
        self._arrived.set()

    async def close(self) -> None:
        """Stop reading."""
        await self._drop()

    # --- the consumer -------------------------------------------------------------------------

    async def _renew(self) -> None:
        """Make a consumer behind the last message; waits and tries again while that fails."""
        await self._drop()
        self._stale = False
        self._delivered = self._asked = 0
        inbox = self._client.new_inbox()
        name = inbox.rpartition(".")[2]
        config = ConsumerConfig(
            name=name,
            ack_policy=AckPolicy.NONE,
            deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=self._last + 1,
            inactive_threshold=_INACTIVE_S,
            mem_storage=True,
            num_replicas=1,
            filter_subject=self._subject or None,
        )
        try:
            self._subscription = await _untyped(self._client).subscribe(
                inbox,
                cb=self._on_message,
                pending_msgs_limit=-1,
                pending_bytes_limit=-1,
            )
            await _jetstream(self._client, 2.0).add_consumer(self.stream, config)
        except (NatsError, TimeoutError, OSError) as error:
            _log.debug("no consumer on %s: %s", self.stream, error)
            self._stale = True
            await asyncio.sleep(0.2)
            return
        self._name = name
        self._next = json.dumps(
            {
                "batch": _BATCH,
                "max_bytes": _BATCH_BYTES,
                "expires": round(_EXPIRES_S * 1e9),
                "idle_heartbeat": round(_HEARTBEAT_S * 1e9),
            }
        ).encode()
        self._seen_s = time.monotonic()

    async def _drop(self) -> None:
        subscription, self._subscription = self._subscription, None
        name, self._name = self._name, ""
        with contextlib.suppress(NatsError, TimeoutError, OSError):
            if subscription is not None:
                await subscription.unsubscribe()
            if name and self._client.is_connected:
                subject = f"$JS.API.CONSUMER.DELETE.{self.stream}.{name}"
                await self._client.publish(subject, b"")

    async def _ask(self) -> None:
        """Ask for the next batch when the last one has come and there is room for it."""
        subscription = self._subscription
        if self._asked > 0 or len(self._received) > _BUFFERED or subscription is None:
            return
        self._asked = _BATCH
        self._seen_s = time.monotonic()
        subject = f"$JS.API.CONSUMER.MSG.NEXT.{self.stream}.{self._name}"
        try:
            await self._client.publish(subject, self._next, reply=subscription.subject)
        except (NatsError, OSError):
            self.renew()

    async def _on_message(self, message: Msg) -> None:
        subscription = self._subscription
        if subscription is None:
            return
        self._seen_s = time.monotonic()
        if not message.reply.startswith("$JS.ACK."):
            self._on_status(message)
            return
        # $JS.ACK.<stream>.<consumer>.<deliveries>.<stream seq>.<consumer seq>.<time>.<pending>,
        # with domain and account before the stream and a token at the end where there are more.
        parts = message.reply.split(".")
        at = 5 if len(parts) == 9 else 7
        stream_seq, delivered, time_ns = int(parts[at]), int(parts[at + 1]), int(parts[at + 2])
        if parts[at - 2] != self._name or self._stale:
            return  # of a consumer that was given up
        if delivered != self._delivered + 1:
            _log.warning(
                "stream %s: message %d of the consumer after %d: read again from %d",
                self.stream, delivered, self._delivered, self._last + 1,
            )  # fmt: skip
            self.renew()
            return
        self._delivered = delivered
        self._asked -= 1
        self._last = stream_seq
        self._received.append(Message(stream_seq, message.subject, message.data, time_ns))
        self._arrived.set()
        await self._ask()

    def _on_status(self, message: Msg) -> None:
        headers = message.headers or {}
        status = headers.get("Status", "")
        text = headers.get("Description", "").lower()
        if status == "100":  # heartbeat
            return
        if status in _DONE or (status == "409" and ("max" in text or "batch" in text)):
            self._asked = 0
        else:  # the consumer is gone, the server is leaving, nobody answers
            self._stale = True
        self._arrived.set()


__all__ = ["Message", "StreamFollower", "StreamMissing", "StreamState", "stream_state"]
