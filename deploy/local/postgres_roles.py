"""Roles and databases of the embedded PostgreSQL: made once, passwords as in their files."""

from dataclasses import dataclass
from typing import LiteralString

from psycopg import Connection, sql

from deploy.local.passwords import password
from deploy.local.postgres import database_name, superuser_connection
from realtime.settings import Settings

OWNER = "aitrading"
# What those who write and read the record may do is granted by the migrations, table by table.
GUESTS = ("recorder", "reader")
# One role each, which owns the database of its name.
PLATFORM = ("dagster", "mlflow", "feast")


@dataclass(frozen=True, kw_only=True)
class Database:
    """A database, who owns it, and who else may connect."""

    name: str
    owner: str
    guests: tuple[str, ...] = ()


def databases(settings: Settings) -> tuple[Database, ...]:
    """Return the databases of the platform."""
    ours = Database(name=database_name(settings), owner=OWNER, guests=GUESTS)
    return (ours, *(Database(name=name, owner=name) for name in PLATFORM))


def ensure_roles(settings: Settings) -> None:
    """Make roles and databases that are missing, and set the passwords that are kept in files.

    Raises:
        psycopg.Error: the server refuses.
        StackError: a password cannot be kept.
    """
    wanted = databases(settings)
    with superuser_connection(settings) as connection:
        for role in dict.fromkeys(name for each in wanted for name in (each.owner, *each.guests)):
            _ensure_role(connection, role, password(settings.paths.secrets, f"postgres-{role}"))
        there = _names(connection, "SELECT datname FROM pg_database")
        for each in wanted:
            _ensure_database(connection, each, missing=each.name not in there)


def empty_database(settings: Settings) -> None:
    """Drop the database of the record, with every session in it, and make it anew.

    Raises:
        psycopg.Error: the server refuses.
    """
    name = sql.Identifier(database_name(settings))
    with superuser_connection(settings) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))
    ensure_roles(settings)


def _ensure_role(connection: "Connection[tuple[object, ...]]", role: str, secret: str) -> None:
    name = sql.Identifier(role)
    if role not in _names(connection, "SELECT rolname FROM pg_roles"):
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(name, sql.Literal(secret)))


def _ensure_database(
    connection: "Connection[tuple[object, ...]]", database: Database, *, missing: bool
) -> None:
    name, owner = sql.Identifier(database.name), sql.Identifier(database.owner)
    if missing:
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, owner))
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(name))
    for guest in database.guests:
        grant = sql.SQL("GRANT CONNECT ON DATABASE {} TO {}")
        connection.execute(grant.format(name, sql.Identifier(guest)))


def _names(connection: "Connection[tuple[object, ...]]", query: LiteralString) -> set[object]:
    return {row[0] for row in connection.execute(query)}
