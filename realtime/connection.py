"""Connecting a service to the message server, as the user that it is."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import urlsplit

from nats.aio.client import Client
from nats.errors import Error as NatsError

from realtime.settings import Settings

_SECOND_NS = 1_000_000_000


class ConnectionRefused(RuntimeError):
    """The message server cannot be reached, or does not know this user: says what to do."""


def secret(folder: Path, name: str) -> str:
    """Return the password kept in a file.

    Raises:
        ConnectionRefused: there is no such file, or it cannot be read.
    """
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = (
            f"no password for {name} in {folder} ({error.strerror}): start the embedded servers"
            " (make up), or put user:password@ into the server's url"
        )
        raise ConnectionRefused(msg) from None


async def connect(
    settings: Settings,
    user: str,
    *,
    on_reconnect: Callable[[], Awaitable[None]] | None = None,
    on_disconnect: Callable[[], Awaitable[None]] | None = None,
    on_error: Callable[[Exception], Awaitable[None]] | None = None,
) -> Client:
    """Connect to ``settings.nats.url`` as `user`; reconnects for ever once connected.

    The user's inbox is ``_INBOX.<user>``, the only one that the server lets it read.

    Raises:
        ConnectionRefused: not reachable within ``settings.nats.timeout``, or refused.
    """
    url = settings.nats.url
    parts = urlsplit(url)
    is_ours = parts.username is None
    password = secret(settings.paths.secrets, f"nats-{user}") if is_ours else None
    client = Client()
    timeout_s = settings.nats.timeout_ns / _SECOND_NS
    where = f"{parts.hostname}:{parts.port}"
    refusals: list[
        Exception
    ] = []  # nats-py tries again whatever the reason is, and only tells this

    async def note(error: Exception) -> None:
        refusals.append(error)
        if on_error is not None:
            await on_error(error)

    try:
        async with asyncio.timeout(timeout_s):
            await client.connect(
                servers=[url],
                name=user,
                inbox_prefix=f"_INBOX.{user}".encode(),
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.2,  # pyright: ignore[reportArgumentType] (slept, any number)
                ping_interval=5,
                max_outstanding_pings=3,
                pending_size=64 * 1024 * 1024,
                reconnected_cb=on_reconnect,
                disconnected_cb=on_disconnect,
                error_cb=note,
                user=user if is_ours else None,
                password=password,
            )
    except (TimeoutError, OSError, NatsError) as error:
        if any("authorization" in str(each).lower() for each in (error, *refusals)):
            msg = (
                f"the NATS server at {where} refuses user {user!r}: wrong password or no such user"
            )
        else:
            msg = (
                f"no NATS server answers at {where} within {timeout_s:g} s: start it (make up), or"
                " set [nats] url"
            )
        raise ConnectionRefused(msg) from error
    return client


__all__ = ["Client", "ConnectionRefused", "connect", "secret"]
