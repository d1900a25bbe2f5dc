"""Where the demonstration lives: its folder, its ports, its settings, its clean start."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from deploy.local.config_file import settings_toml
from deploy.local.last_words import one_line
from deploy.local.passwords import write_private
from deploy.local.platform_services import Ports
from deploy.local.ports import HOST, free_port, is_embedded, is_free, port_of
from realtime.settings import Settings

# Written anew by every run; the database's cluster, passwords and compiled code stay.
_FORGOTTEN = ("nats", "terminal", "gateway", "loop", "push", "lake", "research", "models", "feast")
_RESULTS = ("report.json", "report.html", "summary.json", "backtest.html")


@dataclass(frozen=True, kw_only=True)
class Place:
    """The demonstration's own settings.

    Attributes:
        settings: with everything in one folder and ports that are free now.
        config: the same as a file, for the services.
        ports: of the pages.
    """

    settings: Settings
    config: Path
    ports: Ports


def demo_folder(base: Settings) -> Path:
    """Return the folder of everything that the demonstration writes."""
    return (base.paths.var / "demo").resolve()


def prepare(base: Settings, symbol: str) -> Place:
    """Choose ports, forget the last run, and write the settings.

    Only with the lock of `demo_folder` held: the last run may be going on.

    Args:
        base: the user's settings; servers elsewhere are not used, to leave their data alone.
        symbol: traded.

    Raises:
        StackError: the last run's files cannot be removed.
    """
    var = demo_folder(base)
    own = base.paths.specifications
    settings = replace(
        base,
        trade=(symbol,),
        paths=replace(
            base.paths,
            var=var,
            lake=var / "lake",
            secrets=var / "secrets",
            specifications=str(Path(own).resolve()) if own else "",
        ),
        nats=replace(base.nats, url=_local(base.nats.url, "nats", "")),
        database=replace(base.database, url=_local(base.database.url, "postgresql", "/aitrading")),
        gateway=replace(
            base.gateway,
            terminal=str(var / "terminal" / "socket"),
            lockstep=True,
            history_from="2000-01-01",
        ),
        # A year is replayed in seconds: the model is as old as the replay is long.
        limits=replace(base.limits, max_model_age_ns=0),
    )
    _forget(var)
    config = var / "settings.toml"
    write_private(config, settings_toml(settings))
    usual = Ports()
    ports = Ports(
        dagster=_free(usual.dagster), mlflow=_free(usual.mlflow), feast=_free(usual.feast)
    )
    return Place(settings=settings, config=config, ports=ports)


def _forget(var: Path) -> None:
    try:
        for name in _FORGOTTEN:
            if (var / name).exists():
                shutil.rmtree(var / name)
        for name in _RESULTS:
            (var / name).unlink(missing_ok=True)
    except OSError as error:
        raise one_line(error, "cannot be removed") from error


def _local(url: str, scheme: str, path: str) -> str:
    """Return the url of an embedded server: the user's port if that is free."""
    port = free_port()
    if is_embedded(url):
        port = _free(port_of(url, scheme))
    return f"{scheme}://{HOST}:{port}{path}"


def _free(port: int) -> int:
    return port if is_free(port) else free_port()
