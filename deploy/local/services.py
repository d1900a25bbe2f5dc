"""The services of the stack: what each is, what it needs, when it is ready."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psycopg

from deploy.local.child import Launch
from deploy.local.errors import StackError
from deploy.local.health import HealthBoard, socket_answers
from deploy.local.nats_server import check_nats, nats_answers, prepare_nats
from deploy.local.platform_services import NO_TELEMETRY, ROOT, Platform, Ports
from deploy.local.ports import is_embedded
from deploy.local.postgres import check_postgres, postgres_answers, prepare_postgres
from deploy.local.postgres_roles import ensure_roles
from deploy.local.service import Service
from deploy.local.streams import ensure_streams
from realtime.connection import ConnectionRefused
from realtime.settings import CONFIG_VARIABLE, PREFIX, Settings
from realtime.store.connection import OWNER, connect
from realtime.store.errors import StoreError
from realtime.store.migrate import migrate

_SERVICE_S = 120.0  # the loop compiles its kernels at the first start


@dataclass(frozen=True, kw_only=True)
class Stack:
    """What is needed to say how services are started.

    Attributes:
        settings: of all of them.
        config: TOML file that they read; None for defaults and environment.
        health: what they say of themselves.
        market: arguments of the simulated terminal: which history it plays.
        ports: of the pages.
        is_complete: `config` says all there is to say: variables of the environment do not count.
    """

    settings: Settings
    config: Path | None
    health: HealthBoard
    market: Sequence[str] = ()
    ports: Ports = field(default_factory=Ports)
    is_complete: bool = False

    @property
    def environment(self) -> dict[str, str]:
        """Variables for every process."""
        named = {} if self.config is None else {CONFIG_VARIABLE: str(self.config.resolve())}
        return {**NO_TELEMETRY, **named, "PYTHONUNBUFFERED": "1"}

    @property
    def not_inherited(self) -> str:
        """Which variables processes do not inherit; see `Launch`."""
        return PREFIX if self.is_complete else ""

    @property
    def platform(self) -> Platform:
        """Dagster, MLflow and Feast."""
        return Platform(
            self.settings, self.ports, self.environment, self.config, self.not_inherited
        )


def all_services(stack: Stack) -> list[Service]:
    """Return every service that this machine is to run; servers elsewhere are not among them."""
    return [*_servers(stack), *_trading(stack), *stack.platform.services()]


def _servers(stack: Stack) -> list[Service]:
    settings = stack.settings
    services: list[Service] = []
    if is_embedded(settings.nats.url):
        services.append(
            Service(
                name="nats",
                prepare=lambda: prepare_nats(settings),
                check=lambda: check_nats(settings),
                ready=lambda _since: nats_answers(settings),
                url=settings.nats.url,
            )
        )
    if is_embedded(settings.database.url):
        services.append(
            Service(
                name="postgres",
                prepare=lambda: prepare_postgres(settings),
                check=lambda: check_postgres(settings),
                ready=lambda _since: postgres_answers(settings),
                url=settings.database.url,
            )
        )
    return [
        *services,
        Service(name="streams", needs=("nats",), prepare=lambda: _make_streams(settings)),
        Service(name="migrations", needs=("postgres",), prepare=lambda: _migrate(settings)),
    ]


def _make_streams(settings: Settings) -> None:
    try:
        ensure_streams(settings)
    except ConnectionRefused as error:
        raise StackError(str(error)) from error


def _migrate(settings: Settings) -> None:
    try:
        if is_embedded(settings.database.url):
            ensure_roles(settings)
        with connect(settings, OWNER) as connection:
            migrate(connection)
    except (StoreError, psycopg.Error) as error:
        msg = f"migrations: {str(error).splitlines()[0]}"
        raise StackError(msg) from error


def _trading(stack: Stack) -> list[Service]:
    feast = ("--feast-url", stack.platform.feast_url)
    recorder = _service(stack, "recorder", ("streams", "migrations"), "-m", "realtime", "recorder")
    loop = _service(stack, "loop", ("streams",), "-m", "realtime", "loop")
    push = _service(stack, "push", ("streams", "feast"), "-m", "realtime", "push", *feast)
    if not stack.market:  # the terminal and its gateway are elsewhere
        return [recorder, loop, push]
    path = Path(stack.settings.gateway.terminal).resolve()
    terminal = Service(
        name="terminal",
        prepare=lambda: _python(stack, "terminal", "-m", "mt5_gateway.simulator", *stack.market),
        ready=lambda _since: socket_answers(path),
        start_within_s=_SERVICE_S,
    )
    gateway = _service(stack, "gateway", ("streams", "terminal"), "-m", "mt5_gateway")
    return [recorder, terminal, loop, gateway, push]


def _service(stack: Stack, name: str, needs: tuple[str, ...], *arguments: str) -> Service:
    return Service(
        name=name,
        needs=needs,
        prepare=lambda: _python(stack, name, *arguments),
        ready=lambda since_ns: stack.health.is_up(name, since_ns),
        start_within_s=_SERVICE_S,
    )


def _python(stack: Stack, name: str, *arguments: str) -> Launch:
    config = () if stack.config is None else ("--config", str(stack.config.resolve()))
    return Launch(
        name=name,
        command=(sys.executable, *arguments, *config),
        log=stack.settings.paths.var.resolve() / "logs" / f"{name}.log",
        folder=ROOT,
        environment=stack.environment,
        not_inherited=stack.not_inherited,
    )
