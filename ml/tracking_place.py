"""Where trainings are recorded: MLflow's database, found from the settings."""

import socket
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit, urlunsplit

from ml.errors import RegistryRefused
from realtime.connection import secret
from realtime.settings import Settings

_ROLE = "mlflow"
_SCHEME = "postgresql+psycopg2"
_ANSWER_S = 3.0


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """Where trainings are recorded.

    Attributes:
        uri: of MLflow's database, with the password: never show it. The server reads the same one,
            and going straight to it saves a round trip for every number.
        artifacts: URI of the folder for files.
    """

    uri: str = field(repr=False)
    artifacts: str


def tracking_of(settings: Settings) -> Tracking:
    """Return where trainings are recorded: PostgreSQL, or a file where its role has no password.

    Raises:
        ConnectionRefused: the password cannot be read.
    """
    folder = (settings.paths.var / "mlflow").resolve()
    artifacts = folder / "artifacts"
    artifacts.mkdir(parents=True, exist_ok=True)
    parts = urlsplit(settings.database.url)
    if parts.username is not None:
        url = parts._replace(scheme=_SCHEME, path=f"/{_ROLE}")
    elif (settings.paths.secrets / f"postgres-{_ROLE}").exists():
        password = quote(secret(settings.paths.secrets, f"postgres-{_ROLE}"), safe="")
        place = f"{_ROLE}:{password}@{parts.hostname}:{parts.port or 5432}"
        url = parts._replace(scheme=_SCHEME, netloc=place, path=f"/{_ROLE}")
    else:
        return Tracking(uri=f"sqlite:///{folder / 'mlflow.db'}", artifacts=artifacts.as_uri())
    return Tracking(uri=urlunsplit(url), artifacts=artifacts.as_uri())


def require_answer(tracking: Tracking) -> None:
    """Refuse a database that is not there at once: MLflow itself tries for two minutes.

    Raises:
        RegistryRefused: it does not answer.
    """
    parts = urlsplit(tracking.uri)
    if parts.hostname is None:
        return
    try:
        socket.create_connection((parts.hostname, parts.port or 5432), _ANSWER_S).close()
    except OSError as error:
        msg = f"MLflow's database at {parts.hostname}:{parts.port} does not answer ({error})"
        raise RegistryRefused(msg) from error
