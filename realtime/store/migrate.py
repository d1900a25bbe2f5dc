"""The schema: numbered files, applied once each, in order, by the owner of the database.

A migration and the note that it was applied are one transaction. Runs wait for each other; a
second one finds nothing to do. What depends on the server rather than on history (who may do what,
which features of TimescaleDB there are) is brought up to date at every run.
"""

import hashlib
import logging
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import Connection, errors

from realtime.store.connection import Row, one_line
from realtime.store.errors import MigrationRefused
from realtime.store.grants import grant_roles
from realtime.store.timescale import add_extension, use_features

FOLDER = Path(__file__).resolve().parent / "migrations"

_LOCK = 0x6169_7472_6164  # of all runs on one database
_PATIENCE_S = 60.0
_NAME = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Migration:
    """One numbered file.

    Attributes:
        number: from 1, without holes.
        name: the rest of the file's name.
        text: SQL.
        checksum: SHA-256 of the text, hex.
    """

    number: int
    name: str
    text: str
    checksum: str


@dataclass(frozen=True, kw_only=True)
class State:
    """What was applied to a database, and what is to come."""

    applied: tuple[int, ...]
    pending: tuple[Migration, ...]


def migrations(folder: Path = FOLDER) -> tuple[Migration, ...]:
    """Read the migrations, in order.

    Raises:
        MigrationRefused: a file's name is not ``0001_name.sql``, or numbers are not 1, 2, 3...
    """
    found: list[Migration] = []
    for number, path in enumerate(sorted(folder.glob("*.sql")), start=1):
        named = _NAME.fullmatch(path.name)
        if named is None or int(named[1]) != number:
            msg = f"migration {path.name}: expected a file called {number:04d}_<name>.sql"
            raise MigrationRefused(msg)
        text = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(text.encode()).hexdigest()
        found.append(Migration(number=number, name=named[2], text=text, checksum=checksum))
    return tuple(found)


def migrate(
    connection: Connection[Row], known: Sequence[Migration] | None = None
) -> tuple[Migration, ...]:
    """Bring the schema up to date and return what was applied; safe to run at any time.

    Args:
        connection: of the owner, in autocommit.
        known: None for the migrations that are shipped.

    Raises:
        MigrationRefused: an applied migration is not the shipped one, the database is newer than
            this code, the role may not change the schema, or another run does not end.
    """
    ours = migrations() if known is None else tuple(known)
    connection.add_notice_handler(_tell)
    try:
        _lock(connection)
        try:
            return _bring_up(connection, ours)
        finally:
            if not connection.closed:
                connection.execute("SELECT pg_advisory_unlock(%s)", (_LOCK,))
    except errors.InsufficientPrivilege as error:
        msg = f"role {connection.info.user!r} may not change the schema: {one_line(error)}"
        raise MigrationRefused(msg) from error
    finally:
        connection.remove_notice_handler(_tell)


def state(connection: Connection[Row], known: Sequence[Migration] | None = None) -> State:
    """Compare a database with the migrations.

    Raises:
        MigrationRefused: see `migrate`.
    """
    ours = migrations() if known is None else tuple(known)
    applied = _applied(connection)
    by_number = {each.number: each for each in ours}
    for number, (name, checksum) in sorted(applied.items()):
        each = by_number.get(number)
        if each is None:
            msg = (
                f"the database has migration {number:04d}_{name}, which this version does not know:"
                " it was made by a newer one; update the program"
            )
            raise MigrationRefused(msg)
        if each.checksum != checksum:
            msg = (
                f"migration {number:04d}_{each.name}.sql differs from the one that was applied:"
                " restore the file and put the change into a new migration"
            )
            raise MigrationRefused(msg)
    pending = tuple(each for each in ours if each.number not in applied)
    return State(applied=tuple(sorted(applied)), pending=pending)


def require_current(connection: Connection[Row]) -> None:
    """Check that every migration was applied.

    Raises:
        MigrationRefused: it was not, or see `state`.
    """
    pending = state(connection).pending
    if pending:
        msg = (
            f"the database lacks {len(pending)} migration(s), first"
            f" {pending[0].number:04d}_{pending[0].name}: run python -m realtime.store migrate"
        )
        raise MigrationRefused(msg)


def _bring_up(connection: Connection[Row], ours: Sequence[Migration]) -> tuple[Migration, ...]:
    add_extension(connection)  # before tables are made: ticks becomes a hypertable or not
    with connection.transaction():
        connection.execute(
            "CREATE TABLE IF NOT EXISTS migrations (number integer PRIMARY KEY, name text NOT NULL,"
            " checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
    pending = state(connection, ours).pending
    for each in pending:
        _apply(connection, each)
    grant_roles(connection)
    use_features(connection)
    return pending


def _apply(connection: Connection[Row], migration: Migration) -> None:
    try:
        with connection.transaction():
            connection.execute(migration.text.encode())
            connection.execute(
                "INSERT INTO migrations (number, name, checksum) VALUES (%s, %s, %s)",
                (migration.number, migration.name, migration.checksum),
            )
    except errors.InsufficientPrivilege:
        raise
    except psycopg.Error as error:
        if connection.closed:
            raise
        msg = f"migration {migration.number:04d}_{migration.name} failed: {one_line(error)}"
        raise MigrationRefused(msg) from error
    _log.info("migration %04d_%s applied", migration.number, migration.name)


def _lock(connection: Connection[Row]) -> None:
    """Wait for other runs, not for ever; tried and not waited for, so that no lock is queued."""
    until = time.monotonic() + _PATIENCE_S
    told = False
    while True:
        row = connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        if row is not None and row[0]:
            return
        if not told:
            _log.info("another migration is running: waiting for it")
            told = True
        if time.monotonic() > until:
            msg = f"another migration has been running for {_PATIENCE_S:g} s: try again later"
            raise MigrationRefused(msg)
        time.sleep(0.05)


def _applied(connection: Connection[Row]) -> dict[int, tuple[str, str]]:
    there = connection.execute("SELECT to_regclass('migrations')").fetchone()
    if there is None or there[0] is None:
        return {}
    rows = connection.execute("SELECT number, name, checksum FROM migrations").fetchall()
    return {int(number): (str(name), str(checksum)) for number, name, checksum in rows}


def _tell(diagnostic: errors.Diagnostic) -> None:
    if diagnostic.severity != "NOTICE" or "skipping" not in (diagnostic.message_primary or ""):
        _log.info("%s", diagnostic.message_primary)
