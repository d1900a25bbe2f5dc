"""What the streams hold already: where a gateway that starts goes on."""

from collections.abc import Callable, Generator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from mt5_gateway.errors import GatewayError
from realtime.connection import Client
from realtime.streams import Stored, StreamReader, StreamUnavailable

_SPAN = 64  # messages that are looked at first for one that can be read
_Message = TypeVar("_Message")


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
        async with aclosing(StreamReader(client, stream).read(max(first_seq, 1), subject)) as parts:
            async for part in parts:
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


async def last_readable(
    client: Client, stream: str, subject: str, read: Callable[[bytes], _Message | None]
) -> tuple[_Message | None, int]:
    """Return the newest message of a subject that can be read, and how many after it cannot.

    Args:
        client: connected.
        stream: its name.
        subject: wildcards allowed.
        read: returns a message, or None if it is rubbish.

    Raises:
        StreamUnreadable: no such stream, or no answer.
    """
    newest = await last_message(client, stream, subject)
    rubbish, span = 0, _SPAN
    after = 0 if newest is None else newest.seq + 1
    while after > 1:
        first = max(after - span, 1)
        for stored in reversed(await read_from(client, stream, subject, first, after - 1)):
            found = read(stored.payload)
            if found is not None:
                return found, rubbish
            rubbish += 1
        after, span = first, 4 * span
    return None, rubbish


def say_rubbish(alert: Callable[[str, str, str], None], stream: str, count: int) -> None:
    """Say that messages of a stream were left out; nothing if there were none."""
    if count:
        alert(
            "critical",
            "message_corrupt",
            f"{count} of the last messages of stream {stream} cannot be read and are left out: find"
            " out who published them",
        )


@contextmanager
def _readable() -> Generator[None]:
    try:
        yield
    except StreamUnavailable as error:
        msg = f"{error}: start the message server (make up)"
        raise StreamUnreadable(msg) from error
