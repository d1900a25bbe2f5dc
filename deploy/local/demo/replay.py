"""Watching a replay in lock-step: how far the loop is, and whether everything is recorded."""

import asyncio
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from deploy.local.errors import StackError
from realtime.connection import connect
from realtime.contracts.control_pb2 import Alert, Permit, Reached
from realtime.contracts.subjects import STREAMS, permit_subject, reached_subject
from realtime.settings import Settings
from realtime.store.connection import READER
from realtime.store.connection import connect as connect_database

USER = "operator"
_LOOK_S = 0.1
_NOT_AWAITED = ("OPS",)  # health goes on for ever


class ReplayWatch:
    """Listens to what gateway and loop say about a replay, in the background.

    Args:
        settings: of the replay.

    Attributes:
        reached: last tick that the loop took in.
        end: last tick of the replay; 0 until it is known.
        alerts: what services complained about, "service: text".
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._account = settings.gateway.account
        self._listening = threading.Event()
        self._ended = threading.Event()
        self._failure: BaseException | None = None
        self.reached = 0
        self.end = 0
        self.alerts: list[str] = []
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)

    def start(self) -> None:
        """Listen from now on.

        Raises:
            ConnectionRefused: the server cannot be reached.
        """
        self._thread.start()
        while not self._listening.wait(_LOOK_S):
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Stop listening."""
        self._ended.set()
        self._thread.join(timeout=5.0)

    @property
    def is_over(self) -> bool:
        """Whether the loop has taken in the last tick."""
        return 0 < self.end <= self.reached

    def _run(self) -> None:
        try:
            asyncio.run(self._listen())
        except BaseException as error:  # noqa: BLE001 (raised where it is waited for)
            self._failure = error

    async def _listen(self) -> None:
        client = await connect(self._settings, USER)
        subscribe = cast("Any", client).subscribe  # nats-py leaves an argument without a type
        try:
            await subscribe(permit_subject(self._account), cb=self._on_permit)
            await subscribe(reached_subject(self._account), cb=self._on_reached)
            await subscribe("ops.alert.*", cb=self._on_alert)
            await client.flush()
            self._listening.set()
            await asyncio.to_thread(self._ended.wait)
        finally:
            await client.close()

    async def _on_permit(self, message: Msg) -> None:
        with suppress(DecodeError):
            permit = Permit.FromString(message.data)
            if permit.end:
                self.end = permit.through_feed_seq

    async def _on_reached(self, message: Msg) -> None:
        with suppress(DecodeError):
            self.reached = max(self.reached, Reached.FromString(message.data).feed_seq)

    async def _on_alert(self, message: Msg) -> None:
        with suppress(DecodeError):
            alert = Alert.FromString(message.data)
            if alert.severity != "info":
                self.alerts.append(f"{alert.service}: {alert.text}")


def await_end(
    watch: ReplayWatch, look: Callable[[], None], show: Callable[[int], None], within_s: float
) -> None:
    """Wait until a replay is over.

    Args:
        watch: that listens.
        look: called often; raises if the replay cannot go on.
        show: told how far the loop is.
        within_s: without any progress.

    Raises:
        StackError: nothing moved for too long.
    """
    last, since_s = -1, time.monotonic()
    while not watch.is_over:
        look()
        show(watch.reached)
        if watch.reached != last:
            last, since_s = watch.reached, time.monotonic()
        if time.monotonic() - since_s > within_s:
            said = f"; last alert: {watch.alerts[-1]}" if watch.alerts else ""
            msg = f"the replay stands at tick {watch.reached:,} for {within_s:g} s{said}"
            raise StackError(msg)
        time.sleep(_LOOK_S)
    show(watch.reached)


def await_record(settings: Settings, look: Callable[[], None], within_s: float) -> None:
    """Wait until everything that was published is in the database.

    Raises:
        StackError: it is not after a while.
    """
    until = time.monotonic() + within_s
    while missing := _unrecorded(settings):
        look()
        if time.monotonic() > until:
            msg = f"not recorded within {within_s:g} s: messages of {', '.join(missing)}"
            raise StackError(msg)
        time.sleep(_LOOK_S)


def _unrecorded(settings: Settings) -> list[str]:
    """Return the streams with messages that are not in the database."""
    published = asyncio.run(_last_messages(settings))
    with connect_database(settings, READER) as connection:
        rows = connection.execute("SELECT stream, last_stream_seq FROM recorded").fetchall()
    recorded = {str(stream): int(last) for stream, last in rows}
    return [name for name, last in published.items() if recorded.get(name, 0) < last]


async def _last_messages(settings: Settings) -> dict[str, int]:
    client = await connect(settings, USER)
    try:
        js: Any = client.jetstream()  # pyright: ignore[reportUnknownMemberType] (nats-py)
        names = [each.name for each in STREAMS if each.name not in _NOT_AWAITED]
        return {name: int((await js.stream_info(name)).state.last_seq) for name in names}
    except NatsError as error:
        msg = f"the streams cannot be asked: {error}"
        raise StackError(msg) from error
    finally:
        await client.close()
