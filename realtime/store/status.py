"""How far the record is, for people."""

from collections.abc import Sequence

from psycopg import Connection

from realtime.store.connection import Row
from realtime.store.migrate import Migration


def status_lines(connection: Connection[Row], pending: Sequence[Migration]) -> list[str]:
    """Return lines on the schema, the streams' positions, sequences, gaps and dead letters."""
    lines = [f"pending: {each.number:04d}_{each.name}" for each in pending]
    if pending:
        return lines
    timescale = connection.execute(
        "SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'"
    ).fetchone()
    lines.append(f"schema up to date; timescaledb {timescale[0] if timescale else 'not there'}")
    lines += [
        f"stream {stream}: recorded through message {last:,} ({updated:%Y-%m-%d %H:%M:%S} UTC)"
        for stream, last, updated in connection.execute(
            "SELECT stream, last_stream_seq, updated_at AT TIME ZONE 'UTC'"
            " FROM recorded ORDER BY stream"
        )
    ]
    lines += [
        f"{stream} {kind} of {name}: {last:,}"
        for stream, kind, name, last in connection.execute(
            "SELECT stream, kind, name, last FROM sequences"
            " WHERE kind <> 'seq' ORDER BY stream, kind, name"
        )
    ]
    lines += [
        f"MISSING {stream} {kind} of {name}: {first:,} to {last:,}"
        for stream, kind, name, first, last in connection.execute(
            "SELECT stream, kind, name, first, last FROM gaps WHERE filled_at IS NULL"
            " ORDER BY gap_id"
        )
    ]
    lines += [
        f"DEAD LETTERS {stream}: {count:,}, the last for: {reason}"
        for stream, count, reason in connection.execute(
            "SELECT stream, count(*), (array_agg(reason ORDER BY recorded_at DESC))[1]"
            " FROM dead_letters GROUP BY stream ORDER BY stream"
        )
    ]
    return lines
