"""What the streams hold already: where a gateway that starts goes on."""

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import NotFoundError

from mt5_gateway.errors import GatewayError
from realtime.connection import Client

_BATCH = 500
_TIMEOUT_S = 5.0


class StreamUnreadable(GatewayError):
    """A stream is not there, or does not answer."""


class Kept:
    """A message as a stream keeps it.

    Attributes:
        stream_seq: its number in the stream.
        payload: encoded message.
    """

    __slots__ = ("payload", "stream_seq")

    def __init__(self, stream_seq: int, payload: bytes) -> None:
        self.stream_seq = stream_seq
        self.payload = payload


async def last_message(client: Client, stream: str, subject: str) -> Kept | None:
    """Return the newest message of a subject (wildcards allowed); None if there is none.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    manager = _jetstream(client)
    try:
        message = await manager.get_last_msg(stream, subject)
    except NotFoundError as error:
        if "no message" in str(error).lower():
            return None
        raise _unreadable(stream, error) from error
    except (NatsError, TimeoutError, OSError) as error:
        raise _unreadable(stream, error) from error
    return Kept(message.seq or 0, message.data or b"")


async def read_from(
    client: Client, stream: str, subject: str, first_seq: int, last_seq: int
) -> list[Kept]:
    """Return the messages of a subject between two numbers of the stream, both included.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    config = ConsumerConfig(
        ack_policy=AckPolicy.NONE,
        deliver_policy=DeliverPolicy.BY_START_SEQUENCE,
        opt_start_seq=max(first_seq, 1),
        inactive_threshold=30.0,
        mem_storage=True,
    )
    kept: list[Kept] = []
    manager = _jetstream(client)
    try:
        subscription = await manager.pull_subscribe(subject, stream=stream, config=config)
        pending = (await subscription.consumer_info()).num_pending or 0
        while pending > 0:
            for message in await subscription.fetch(min(_BATCH, pending), timeout=_TIMEOUT_S):
                pending -= 1
                stream_seq = message.metadata.sequence.stream
                if stream_seq <= last_seq:
                    kept.append(Kept(stream_seq, message.data))
            if kept and kept[-1].stream_seq >= last_seq:
                break
        await subscription.unsubscribe()
    except (NatsError, TimeoutError, OSError) as error:
        raise _unreadable(stream, error) from error
    return kept


async def read_tail(
    client: Client, stream: str, subject: str, newest: Kept, count: int
) -> list[Kept]:
    """Return the messages of a subject among the last `count` of the stream up to `newest`.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    first = newest.stream_seq - count + 1
    return await read_from(client, stream, subject, first, newest.stream_seq)


def _jetstream(client: Client) -> JetStreamContext:
    return client.jetstream(timeout=_TIMEOUT_S)  # pyright: ignore[reportUnknownMemberType] (options)


def _unreadable(stream: str, error: Exception) -> StreamUnreadable:
    reason = str(error) or type(error).__name__
    msg = f"stream {stream} cannot be read ({reason}): start the message server (make up)"
    return StreamUnreadable(msg)
