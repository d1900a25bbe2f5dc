"""Dagster, MLflow and Feast as services of the stack."""

import shutil
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

import psycopg

from deploy.local.child import Launch
from deploy.local.env_file import write_env_file
from deploy.local.errors import StackError
from deploy.local.health import http_answers
from deploy.local.passwords import password, write_private
from deploy.local.ports import HOST, is_embedded, require_free
from deploy.local.service import Service
from realtime.settings import CONFIG_VARIABLE, Settings

ROOT = Path(__file__).resolve().parents[2]
DAGSTER_CONFIG = ROOT / "deploy" / "config" / "dagster.yaml"
WORKSPACE = ROOT / "workspace.yaml"

# Nobody is told what runs here.
NO_TELEMETRY = {
    "DAGSTER_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "true",
    "FEAST_USAGE": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "RAY_USAGE_STATS_ENABLED": "0",
}
_SLOW_S = 180.0  # first start: MLflow and Dagster make their tables


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where the platform's pages are served, on the loopback."""

    dagster: int = 13000
    mlflow: int = 15000
    feast: int = 16566


class Platform:
    """Makes the platform's services.

    Args:
        settings: of the stack.
        ports: of the pages.
        environment: for every process.
        config: TOML file of the settings; None for defaults and environment.
        not_inherited: see `Launch`.
    """

    def __init__(
        self,
        settings: Settings,
        ports: Ports,
        environment: Mapping[str, str],
        config: Path | None = None,
        not_inherited: str = "",
    ) -> None:
        self._settings = settings
        self._config = config
        self._not_inherited = not_inherited
        self._ports = ports
        self._var = settings.paths.var.resolve()
        self._environment = {
            **environment,
            "DAGSTER_HOME": str(self._var / "dagster"),
            "MLFLOW_TRACKING_URI": f"http://{HOST}:{ports.mlflow}",
        }

    def services(self) -> list[Service]:
        """Return all of them."""
        return [self._mlflow(), *self._dagster(), self._feast()]

    @property
    def feast_url(self) -> str:
        """Where the online features are served."""
        return f"http://{HOST}:{self._ports.feast}"

    def database_url(self, role: str, scheme: str = "postgresql") -> str:
        """Return the url of a role's own database, with its password."""
        url = self._settings.database.url
        parts = urlsplit(url)
        if is_embedded(url):
            secret = password(self._settings.paths.secrets, f"postgres-{role}")
            return f"{scheme}://{role}:{secret}@{parts.hostname}:{parts.port}/{role}"
        return parts._replace(scheme=scheme, path=f"/{role}").geturl()

    def _mlflow(self) -> Service:
        port = self._ports.mlflow
        artifacts = self._var / "mlflow" / "artifacts"
        check = _free(port, "MLflow", "mlflow")

        def prepare() -> Launch:
            check()
            artifacts.mkdir(parents=True, exist_ok=True)
            return self._launch(
                "mlflow",
                (installed("mlflow"), "server", "--host", HOST, "--port", str(port),
                 "--workers", "1", "--artifacts-destination", artifacts.as_uri()),
                MLFLOW_BACKEND_STORE_URI=self.database_url("mlflow", "postgresql+psycopg2"),
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            )  # fmt: skip

        return Service(
            name="mlflow",
            needs=("postgres", "migrations"),  # the latter makes its role
            prepare=prepare,
            check=check,
            ready=lambda _since: http_answers(f"http://{HOST}:{port}/health"),
            start_within_s=_SLOW_S,
            url=f"http://{HOST}:{port}",
        )

    def _dagster(self) -> list[Service]:
        port = self._ports.dagster
        webserver = ("-h", HOST, "-p", str(port), "-w", str(WORKSPACE))
        daemon = ("run", "-w", str(WORKSPACE))
        check = _free(port, "Dagster", "dagster")

        def prepare_webserver() -> Launch:
            check()
            self.write_dagster_home()
            self._tell_dagster_command()
            return self._launch("dagster", (installed("dagster-webserver"), *webserver))

        def prepare_daemon() -> Launch:
            self.write_dagster_home()
            return self._launch("dagster-daemon", (installed("dagster-daemon"), *daemon))

        return [
            Service(
                name="dagster",
                needs=("postgres", "mlflow"),
                prepare=prepare_webserver,
                check=check,
                ready=lambda _since: http_answers(f"http://{HOST}:{port}/server_info"),
                start_within_s=_SLOW_S,
                url=f"http://{HOST}:{port}",
            ),
            # After the webserver: both make the tables of an empty database.
            Service(
                name="dagster-daemon",
                needs=("dagster", "streams"),
                prepare=prepare_daemon,
                ready=self._daemon_beats,
                start_within_s=_SLOW_S,
            ),
        ]

    def _daemon_beats(self, since_ns: int) -> bool:
        """Say whether the daemon has written a heartbeat since a moment."""
        query = "SELECT max(timestamp) >= %s FROM daemon_heartbeats"
        since = datetime.fromtimestamp(since_ns / 1e9, tz=UTC).replace(tzinfo=None)
        try:
            with psycopg.connect(self.database_url("dagster"), connect_timeout=2) as connection:
                row = connection.execute(query, (since,)).fetchone()
        except psycopg.Error:
            return False
        return row is not None and bool(row[0])

    def _feast(self) -> Service:
        port = self._ports.feast
        check = _free(port, "Feast", "feast")

        def prepare() -> Launch:
            check()
            config = () if self._config is None else ("--config", str(self._config.resolve()))
            return self._launch(
                "feast",
                (sys.executable, "-m", "ml.feast_store", "serve", "--port", str(port), *config),
            )

        return Service(
            name="feast",
            needs=("postgres", "migrations"),  # the latter makes its role
            prepare=prepare,
            check=check,
            ready=lambda _since: http_answers(f"http://{HOST}:{port}/health"),
            start_within_s=_SLOW_S,
            url=f"http://{HOST}:{port}",
        )

    def write_dagster_home(self) -> Path:
        """Write ``dagster.yaml`` of this stack, readable by its owner only; return its folder.

        Raises:
            StackError: the shipped one is missing or does not fit.
        """
        home = self._var / "dagster"
        parts = urlsplit(self.database_url("dagster"))
        values = {
            "var": str(self._var),
            "postgres_host": parts.hostname,
            "postgres_port": parts.port,
            "postgres_user": parts.username,
            "postgres_password": parts.password,
            "postgres_database": parts.path.strip("/"),
        }
        try:
            text = Template(DAGSTER_CONFIG.read_text(encoding="utf-8")).substitute(values)
        except (OSError, KeyError, ValueError) as error:
            msg = f"{DAGSTER_CONFIG}: cannot be used: {error}"
            raise StackError(msg) from error
        write_private(home / "dagster.yaml", text)
        return home

    def _tell_dagster_command(self) -> None:
        """Let ``dagster`` as it is typed in the checkout find this stack, if it lives there."""
        if self._not_inherited or not self._var.is_relative_to(ROOT):
            return
        names = ("DAGSTER_HOME", CONFIG_VARIABLE)
        write_env_file(
            ROOT, {name: self._environment[name] for name in names if name in self._environment}
        )

    def _launch(self, name: str, command: tuple[str, ...], **environment: str) -> Launch:
        return Launch(
            name=name,
            command=command,
            log=self._var / "logs" / f"{name}.log",
            folder=ROOT,
            environment={**self._environment, **environment},
            not_inherited=self._not_inherited,
            stop_within_s=15.0,
        )


def _free(port: int, what: str, name: str) -> Callable[[], None]:
    """Return the check that a page's port is free; says how `make up` is given another."""
    remedy = f'take another one: make up ARGS="--{name}-port PORT"'
    return lambda: require_free(port, what, remedy)


def installed(program: str) -> str:
    """Return the path of a program of this environment.

    Raises:
        StackError: it is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / program
    found = str(path) if path.is_file() else shutil.which(program)
    if found is None:
        msg = f"{program} is not installed: run `make setup`"
        raise StackError(msg)
    return found
