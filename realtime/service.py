"""What all services share: start, health, alerts, signals, exit codes.

A service is a coroutine that is given a `Service` and runs until `Service.stopping` is set::

    async def serve(service: Service) -> None:
        await service.client.subscribe(...)
        service.health("running")
        await service.stopping.wait()


    def main(arguments: Sequence[str]) -> int:
        return run("recorder", arguments, serve)

Exit codes: 0 stopped by SIGTERM or SIGINT, or done; 2 cannot start, with one line that says why; 1
failed, with one line (the whole story at log level DEBUG).
"""

import argparse
import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypeVar

from nats.errors import Error as NatsError

from realtime.clock import Clock, WallClock
from realtime.connection import Client, ConnectionRefused, connect
from realtime.contracts.control_pb2 import Alert, Health
from realtime.contracts.subjects import alert_subject, health_subject
from realtime.declarations import SettingsError
from realtime.outbox import OutboxError, publish_now
from realtime.settings import Settings, load_settings

_Result = TypeVar("_Result")

HEALTH_EVERY_S = 1.0
_BUFFER_BYTES = 16 * 1024 * 1024  # of the connection, beyond which nobody hears of our health
_GRACE_S = 1.5  # after which a service that does not stop is cancelled
_LAST = ("stopping", "halted")  # states of a service that is to end
_LEVELS = {"info": logging.INFO, "warning": logging.WARNING, "critical": logging.ERROR}


class CannotStart(RuntimeError):
    """Something that a service needs is missing or wrong: one line that says what to do."""


class Service:
    """A running service: its connection, and how it tells of itself.

    Attributes:
        name: as in ``ops.health.<name>``; also its NATS user.
        settings: that it was started with.
        options: parsed command line.
        client: connected.
        clock: the machine's.
        log: where each event is a line.
        stopping: set by SIGTERM and SIGINT, or by the service itself.
        reconnected: called after the connection to NATS was lost and found again.
    """

    def __init__(
        self, name: str, settings: Settings, options: argparse.Namespace, clock: Clock
    ) -> None:
        self.name = name
        self.settings = settings
        self.options = options
        self.clock = clock
        self.client = Client()  # until `open` has another one
        self.log = logging.getLogger(name)
        self.stopping = asyncio.Event()
        self.reconnected: list[Callable[[], None]] = []
        self._health = Health(service=name, state="starting")

    def health(self, state: str, text: str = "", **numbers: float) -> None:
        """Say how the service is; published every second, and at once if the state is new.

        Args:
            state: starting, warming, running, waiting, halted, stopping.
            text: one line: what it waits for, why it halted.
            numbers: counters and positions; kept until given again.
        """
        health = self._health
        if self.stopping.is_set() and state not in _LAST:
            state, text = "stopping", ""  # what was under way meanwhile is no news any more
        is_new = (health.state, health.text) != (state, text)
        health.state, health.text = state, text
        for name, value in numbers.items():
            health.numbers[name] = value
        if is_new:
            self.log.info("%s%s", state, f": {text}" if text else "")
            self._publish_health()

    def alert(self, severity: str, code: str, text: str, **details: object) -> None:
        """Log trouble and publish it; never waits and never fails.

        Args:
            severity: info, warning, critical.
            code: stable, for machines: ``feed_gap``.
            text: one line that says what to do.
            details: for whoever looks closer.
        """
        self.log.log(_LEVELS[severity], "%s: %s", code, text)
        alert = Alert(
            severity=severity,
            service=self.name,
            code=code,
            text=text,
            time_ns=self.clock.now_ns(),
            details={name: str(value) for name, value in details.items()},
        )
        self._publish(alert_subject(severity), alert.SerializeToString())

    def stop(self) -> None:
        """End the service."""
        self.stopping.set()

    # --- connection ---------------------------------------------------------------------------

    async def open(self) -> None:
        """Connect.

        Raises:
            ConnectionRefused: see `connect`.
        """
        self.client = await connect(
            self.settings,
            self.name,
            on_reconnect=self._on_reconnect,
            on_disconnect=self._on_disconnect,
            on_error=self._on_error,
        )

    async def tell_health(self) -> None:
        """Publish health for ever."""
        while True:
            self._publish_health()
            await asyncio.sleep(HEALTH_EVERY_S)

    async def close(self) -> None:
        """Send what is on its way and disconnect."""
        with contextlib.suppress(NatsError, TimeoutError, OSError):
            async with asyncio.timeout(0.3):
                await self.client.flush()
        with contextlib.suppress(NatsError, TimeoutError, OSError):
            async with asyncio.timeout(0.3):
                await self.client.close()

    def _publish_health(self) -> None:
        self._health.time_ns = self.clock.now_ns()
        self._publish(health_subject(self.name), self._health.SerializeToString())

    def _publish(self, subject: str, payload: bytes) -> None:
        if self.client.is_connected and self.client.pending_data_size < _BUFFER_BYTES:
            try:
                publish_now(self.client, subject, payload)
            except (NatsError, OutboxError) as error:
                self.log.warning("%s could not be published: %s", subject, error)

    async def _on_disconnect(self) -> None:
        if not self.stopping.is_set():
            self.log.warning("nats_lost: the connection to NATS is gone; trying until it is back")

    async def _on_reconnect(self) -> None:
        self.log.info("connected to NATS again")
        for each in self.reconnected:
            each()

    async def _on_error(self, error: Exception) -> None:
        if self.client.is_connected:  # while it is not, every attempt to reconnect is one
            self.log.warning("NATS: %s: %s", type(error).__name__, error)


def options_parser(name: str) -> argparse.ArgumentParser:
    """Return the command line that every service has, to be added to."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", type=Path, default=None, help="TOML file of settings")
    parser.add_argument("--verbose", action="store_true", help="log details too")
    return parser


def run(
    name: str,
    arguments: Sequence[str],
    serve: Callable[[Service], Awaitable[None]],
    parser: argparse.ArgumentParser | None = None,
) -> int:
    """Run a service until it is told to stop; return the exit code of the process.

    Args:
        name: of the service and its NATS user.
        arguments: command line without the program.
        serve: runs until `Service.stopping` is set; may raise `CannotStart`.
        parser: as `options_parser` returns it; None for just that.
    """
    options = (options_parser(name) if parser is None else parser).parse_args(arguments)
    logging.basicConfig(
        stream=sys.stderr,
        level=logging.DEBUG if options.verbose else logging.INFO,
        format=f"%(asctime)s {name} %(levelname)s %(message)s",
    )
    for noisy in ("asyncio", "numba"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        settings = load_settings(options.config)
    except SettingsError as error:
        print(f"{name}: {error}", file=sys.stderr)  # noqa: T201 (before anything else works)
        return 2
    return run_async(_serve(Service(name, settings, options, WallClock()), serve))


def run_async(main: Awaitable[_Result]) -> _Result:
    """Run a coroutine on the fastest event loop there is."""
    try:
        import uvloop  # noqa: PLC0415 (not on Windows)
    except ImportError:
        factory = None
    else:
        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(_awaited(main))


async def end_task(task: asyncio.Task[None]) -> None:
    """Cancel a task until it has ended: before Python 3.12 `asyncio.wait_for` may swallow one."""
    while not task.done():
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)


async def _awaited(main: Awaitable[_Result]) -> _Result:
    return await main


async def _serve(service: Service, serve: Callable[[Service], Awaitable[None]]) -> int:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows
            loop.add_signal_handler(number, service.stop)
    try:
        await service.open()
    except ConnectionRefused as error:
        service.log.error("%s", error)  # noqa: TRY400 (one line)
        return 2
    health = asyncio.create_task(service.tell_health())
    try:
        return await _guarded(service, serve)
    finally:
        health.cancel()
        await service.close()


async def _finished(serving: Awaitable[None]) -> None:
    await serving


async def _guarded(service: Service, serve: Callable[[Service], Awaitable[None]]) -> int:
    body = asyncio.create_task(_finished(serve(service)))
    stopping = asyncio.create_task(service.stopping.wait())
    try:
        await asyncio.wait({body, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not body.done():
            service.health("stopping")
            await asyncio.wait({body}, timeout=_GRACE_S)
            if not body.done():
                service.log.warning("still busy %.1f s after it was told to stop", _GRACE_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.3):
                        await end_task(body)
                return 0
        await body
    except (CannotStart, ConnectionRefused, SettingsError) as error:
        service.log.error("%s", error)  # noqa: TRY400 (one line)
        return 2
    except Exception as error:
        service.log.debug("failed", exc_info=True)
        service.health("halted", f"{type(error).__name__}: {error}")
        service.alert("critical", "failed", f"{service.name} ends: {type(error).__name__}: {error}")
        return 1
    finally:
        stopping.cancel()
    return 0
