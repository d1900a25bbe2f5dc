"""What the streams hold already: where a gateway that starts goes on."""

from collections.abc import Generator
from contextlib import contextmanager

from mt5_gateway.errors import GatewayError
from realtime.connection import Client
from realtime.streams import Stored, StreamReader, StreamUnavailable


class StreamUnreadable(GatewayError):
    """A stream is not there, or does not answer."""


async def last_message(client: Client, stream: str, subject: str) -> Stored | None:
    """Return the newest message of a subject (wildcards allowed); None if there is none.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    with _readable():
        return await StreamReader(client, stream).last(subject)


async def read_from(
    client: Client, stream: str, subject: str, first_seq: int, last_seq: int
) -> list[Stored]:
    """Return the messages of a subject between two numbers of the stream, both included.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    found: list[Stored] = []
    with _readable():
        async for part in StreamReader(client, stream).read(max(first_seq, 1), subject):
            found += [stored for stored in part if stored.seq <= last_seq]
            if part[-1].seq >= last_seq:
                break
    return found


async def read_tail(
    client: Client, stream: str, subject: str, newest: Stored, count: int
) -> list[Stored]:
    """Return the messages of a subject among the last `count` of the stream up to `newest`.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    return await read_from(client, stream, subject, newest.seq - count + 1, newest.seq)


@contextmanager
def _readable() -> Generator[None]:
    try:
        yield
    except StreamUnavailable as error:
        msg = f"{error}: start the message server (make up)"
        raise StreamUnreadable(msg) from error
