"""Connecting to PostgreSQL, as the role that one is."""

from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import Connection

from realtime.settings import Settings
from realtime.store.errors import DatabaseRefused

OWNER = "aitrading"  # migrations
RECORDER = "recorder"  # inserts and selects
READER = "reader"  # selects

_SECOND_NS = 1_000_000_000

Row = tuple[Any, ...]


def connect(settings: Settings, role: str, *, autocommit: bool = True) -> Connection[Row]:
    """Connect to ``settings.database.url`` as `role`.

    Args:
        settings: `database` and `paths.secrets`: the password of a role is in the file
            ``postgres-<role>`` there, unless the url names a user.
        role: OWNER, RECORDER or READER.
        autocommit: whether statements outside ``connection.transaction()`` commit by themselves.

    Raises:
        DatabaseRefused: not reachable in time, no such database, wrong password: one line.
    """
    url = settings.database.url
    parts = urlsplit(url)
    given: dict[str, Any] = {}
    if parts.username is None:
        given = {"user": role, "password": _password(settings.paths.secrets, role)}
    timeout_s = max(2, round(settings.database.timeout_ns / _SECOND_NS))  # libpq takes whole ones
    try:
        return psycopg.connect(
            url,
            autocommit=autocommit,
            connect_timeout=timeout_s,
            application_name=f"aitrading {role}",
            tcp_user_timeout=10_000,
            keepalives_idle=5,
            keepalives_interval=2,
            keepalives_count=3,
            **given,
        )
    except psycopg.Error as error:
        user = given.get("user") or unquote(parts.username or "")
        raise DatabaseRefused(
            _why(error, parts.hostname or "", parts.port, user, parts.path)
        ) from error


def where(settings: Settings) -> str:
    """Return ``host:port/name`` of the database, for messages."""
    parts = urlsplit(settings.database.url)
    return f"{parts.hostname}:{parts.port or 5432}{parts.path}"


def one_line(error: BaseException) -> str:
    """Return the first line of what the server said, which is what it is about."""
    if isinstance(error, psycopg.Error) and error.diag.message_primary:
        return error.diag.message_primary
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0]


def _password(folder: Path, role: str) -> str:
    name = f"postgres-{role}"
    try:
        return (folder / name).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "not text"
        msg = (
            f"no password for {name} in {folder} ({why}): start the embedded servers (make up), or"
            " put user:password@ into [database] url"
        )
        raise DatabaseRefused(msg) from None


def _why(error: psycopg.Error, host: str, port: int | None, user: str, path: str) -> str:
    """Say which of the usual reasons it was: a failed connection has no SQLSTATE to go by."""
    at = f"PostgreSQL at {host}:{port or 5432}"
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return f"{at} refuses role {user!r}: wrong password"
    if "role" in text and "does not exist" in text:
        return f"{at} has no role {user!r}: start the embedded servers (make up), or create it"
    if "database" in text and "does not exist" in text:
        return f"{at} has no database {path.lstrip('/')!r}: create it, or set [database] url"
    if "starting up" in text or "shutting down" in text or "recovery" in text:
        return f"{at} is starting or stopping: try again in a moment"
    if "permission denied" in text or "too many" in text:
        return f"{at} refuses role {user!r}: {text.strip().splitlines()[-1]}"
    return f"no {at.replace(' at ', ' answers at ')}: start it (make up), or set [database] url"
