"""Whether services answer: by their messages, by HTTP, by a socket."""

import asyncio
import socket
import threading
import urllib.error
import urllib.request
from contextlib import closing, suppress
from pathlib import Path

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from realtime.connection import ConnectionRefused, connect
from realtime.contracts.control_pb2 import Health
from realtime.settings import Settings

USER = "operator"
_UNFINISHED = ("starting",)


class HealthBoard:
    """The last health of every service, gathered in the background.

    Args:
        settings: of the NATS server; the first question connects to it.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._latest: dict[str, Health] = {}
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    def latest(self, service: str) -> Health | None:
        """Return what a service said last; None if nothing was heard of it."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._listen, name="health", daemon=True)
            self._thread.start()
        return self._latest.get(service)

    def is_up(self, service: str, since_ns: int) -> bool:
        """Say whether a service has finished its start since a moment."""
        health = self.latest(service)
        return health is not None and health.time_ns >= since_ns and health.state not in _UNFINISHED

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _listen(self) -> None:
        with suppress(ConnectionRefused):  # asked again, listened again
            asyncio.run(self._gather())

    async def _gather(self) -> None:
        client = await connect(self._settings, USER, on_error=_ignore)
        try:
            await client.subscribe("ops.health.*", cb=self._take)  # pyright: ignore[reportUnknownMemberType] (nats-py)
            await asyncio.to_thread(self._ended.wait)
        finally:
            await client.close()

    async def _take(self, message: Msg) -> None:
        with suppress(DecodeError):
            health = Health.FromString(message.data)
            self._latest[health.service] = health


def http_answers(url: str, timeout_s: float = 1.0) -> bool:
    """Say whether a page is there."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:  # noqa: S310 (our own url)
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError, ValueError):
        return False


def socket_answers(path: Path) -> bool:
    """Say whether something accepts connections on a socket of the file system."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as probe:
        probe.settimeout(0.5)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


async def _ignore(_error: Exception) -> None:
    return
