"""Who may do what: every role the least that it needs, brought up to date at every migration."""

import logging

from psycopg import Connection, sql

from realtime.store.connection import OWNER, READER, RECORDER, Row

_log = logging.getLogger(__name__)

# The recorder adds rows and moves its own bookkeeping; nobody but the owner changes or deletes.
_BOOKKEEPING = ("recorded", "sequences", "gaps")
_FUNCTIONS = ("ensure_tick_month(date)", "drop_old_ticks()")


def grant_roles(connection: Connection[Row]) -> None:
    """Grant each role that exists its rights; say by name which do not exist."""
    found = connection.execute(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", ([RECORDER, READER],)
    ).fetchall()
    there = {str(name) for (name,) in found}
    with connection.transaction():
        for role in (RECORDER, READER):
            if role not in there:
                _log.info("role %s does not exist: it is granted nothing", role)
                continue
            _grant(connection, role, writes=role == RECORDER)


def _grant(connection: Connection[Row], role: str, *, writes: bool) -> None:
    name = sql.Identifier(role)
    run = connection.execute
    run(sql.SQL("GRANT USAGE ON SCHEMA public, readable TO {}").format(name))
    run(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public, readable TO {}").format(name))
    if not writes:
        return
    run(sql.SQL("GRANT INSERT ON ALL TABLES IN SCHEMA public TO {}").format(name))
    run(sql.SQL("REVOKE INSERT ON migrations, retention FROM {}").format(name))
    for table in _BOOKKEEPING:
        run(sql.SQL("GRANT UPDATE ON {} TO {}").format(sql.Identifier(table), name))
    for function in _FUNCTIONS:
        run(sql.SQL("GRANT EXECUTE ON FUNCTION {} TO {}").format(sql.SQL(function), name))


__all__ = ["OWNER", "grant_roles"]
