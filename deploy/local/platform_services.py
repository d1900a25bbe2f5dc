"""Dagster, MLflow and Feast as services of the stack."""

import shutil
import sysconfig
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from urllib.parse import urlsplit

from deploy.local.child import Launch
from deploy.local.errors import StackError
from deploy.local.health import http_answers
from deploy.local.passwords import password, write_private
from deploy.local.ports import HOST, is_embedded, require_free
from deploy.local.service import Service
from realtime.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
DAGSTER_CONFIG = ROOT / "deploy" / "config" / "dagster.yaml"
WORKSPACE = ROOT / "workspace.yaml"
FEATURES = ROOT / "feature_repo"

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
    """

    def __init__(self, settings: Settings, ports: Ports, environment: Mapping[str, str]) -> None:
        self._settings = settings
        self._ports = ports
        self._var = settings.paths.var.resolve()
        self._environment = {**environment, "DAGSTER_HOME": str(self._var / "dagster")}

    def services(self) -> list[Service]:
        """Return all of them."""
        return [self._mlflow(), *self._dagster(), *self._feast()]

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

        def prepare() -> Launch:
            require_free(port, "MLflow", "[platform] mlflow_port")
            artifacts.mkdir(parents=True, exist_ok=True)
            return self._launch(
                "mlflow",
                ("server", "--host", HOST, "--port", str(port), "--workers", "1",
                 "--artifacts-destination", artifacts.as_uri()),
                MLFLOW_BACKEND_STORE_URI=self.database_url("mlflow", "postgresql+psycopg2"),
                MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
            )  # fmt: skip

        return Service(
            name="mlflow",
            needs=("postgres",),
            prepare=prepare,
            ready=lambda _since: http_answers(f"http://{HOST}:{port}/health"),
            start_within_s=_SLOW_S,
            url=f"http://{HOST}:{port}",
        )

    def _dagster(self) -> list[Service]:
        port = self._ports.dagster
        webserver = ("-h", HOST, "-p", str(port), "-w", str(WORKSPACE))

        def prepare_webserver() -> Launch:
            require_free(port, "Dagster", "[platform] dagster_port")
            self.write_dagster_home()
            return self._launch("dagster-webserver", webserver, name="dagster")

        def prepare_daemon() -> Launch:
            self.write_dagster_home()
            return self._launch("dagster-daemon", ("run", "-w", str(WORKSPACE)))

        return [
            Service(
                name="dagster",
                needs=("postgres", "mlflow"),
                prepare=prepare_webserver,
                ready=lambda _since: http_answers(f"http://{HOST}:{port}/server_info"),
                start_within_s=_SLOW_S,
                url=f"http://{HOST}:{port}",
            ),
            # After the webserver: both make the tables of an empty database.
            Service(
                name="dagster-daemon",
                needs=("dagster", "streams"),
                prepare=prepare_daemon,
                start_within_s=_SLOW_S,
            ),
        ]

    def _feast(self) -> list[Service]:
        port = self._ports.feast
        where = ("--chdir", str(FEATURES))

        def prepare_serve() -> Launch:
            require_free(port, "Feast", "[platform] feast_port")
            serve = ("serve", "--host", HOST, "--port", str(port), "--no-access-log")
            return self._launch("feast", (*where, *serve))

        return [
            Service(
                name="feast-apply",
                needs=("postgres",),
                prepare=lambda: self._launch("feast", (*where, "apply"), name="feast-apply"),
                once=True,
                start_within_s=_SLOW_S,
            ),
            Service(
                name="feast",
                needs=("feast-apply",),
                prepare=prepare_serve,
                ready=lambda _since: http_answers(f"http://{HOST}:{port}/health"),
                start_within_s=_SLOW_S,
                url=f"http://{HOST}:{port}",
            ),
        ]

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

    def _launch(
        self, program: str, arguments: tuple[str, ...], name: str = "", **environment: str
    ) -> Launch:
        name = name or program
        return Launch(
            name=name,
            command=(str(installed(program)), *arguments),
            log=self._var / "logs" / f"{name}.log",
            folder=ROOT,
            environment={**self._environment, **environment},
            stop_within_s=15.0,
        )


def installed(program: str) -> Path:
    """Return the path of a program of this environment.

    Raises:
        StackError: it is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / program
    found = path if path.is_file() else shutil.which(program)
    if found is None:
        msg = f"{program} is not installed: run `make setup`"
        raise StackError(msg)
    return Path(found)
