"""Writing what arrives one message at a time: rows by table, one COPY for each."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from psycopg import Connection, Cursor, sql

from realtime.store.connection import Row
from realtime.store.entries import CONSUMED_LANE, Entry
from realtime.store.sequences import Lane, Sequences
from realtime.store.tables import HEALTH, Table

HEALTH_EVERY_NS = 60_000_000_000


class HealthFilter:
    """Keeps health that says something new, else one a minute of each service.

    What is kept counts from `keep` on: a batch whose transaction failed is looked at again.
    """

    def __init__(self) -> None:
        self._kept: dict[str, tuple[str, str, int]] = {}
        self._last: dict[str, tuple[str, str, int]] = {}

    def thin(self, entries: Sequence[Entry]) -> list[Entry]:
        """Return the entries without health that repeats itself."""
        self._last = dict(self._kept)
        return [entry for entry in entries if self._says_something(entry)]

    def keep(self) -> None:
        """Make the latest answer count."""
        self._kept = self._last

    def _says_something(self, entry: Entry) -> bool:
        table, values = entry.rows[0]
        if table is not HEALTH:
            return True
        service = str(values["service"])
        now = (str(values["state"]), str(values["text"]), int(values["time_ns"]))
        last = self._last.get(service)
        if last is not None and last[:2] == now[:2] and abs(now[2] - last[2]) < HEALTH_EVERY_NS:
            return False
        self._last[service] = now
        return True


def admit_entries(
    entries: Sequence[Entry], sequences: Sequences
) -> tuple[list[Entry], list[Entry]]:
    """Split entries into those that are new and those that came before; note what is missing."""
    new: list[Entry] = []
    known: list[Entry] = []
    for entry in entries:
        if entry.lane is None:
            new.append(entry)
            continue
        parts = sequences.admit(entry.lane, entry.number, entry.count)
        if entry.lane[0] == CONSUMED_LANE:
            new += [_part(entry, first, last) for first, last in parts]
        else:
            (new if parts else known).append(entry)
    return new, known


def _part(entry: Entry, first: int, last: int) -> Entry:
    """Cut what a loop took in down to some ticks: a restart tells a part of it again."""
    if (first, last) == (entry.number, entry.number + entry.count - 1):
        return entry
    table, values = entry.rows[0]
    cut = dict(values)
    start = first - entry.number
    cut["first_feed_seq"] = first
    cut["ticks"] = last - first + 1
    cut["now_minus_tick_ns"] = values["now_minus_tick_ns"][start : start + last - first + 1]
    return replace(entry, number=first, count=last - first + 1, rows=((table, cut),))


def write_entries(cursor: Cursor[Row], entries: Sequence[Entry]) -> int:
    """Append the rows of entries; returns how many there were."""
    by_table: dict[str, tuple[Table, list[Mapping[str, Any]]]] = {}
    for entry in entries:
        for table, values in entry.rows:
            by_table.setdefault(table.name, (table, []))[1].append(values)
    for table, rows in by_table.values():
        copy_rows(cursor, table, rows)
    return sum(len(rows) for _, rows in by_table.values())


def copy_rows(cursor: Cursor[Row], table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append rows to a table."""
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, table.columns))
    )
    with cursor.copy(statement) as copy:
        copy.set_types(list(table.columns.values()))
        for row in rows:
            copy.write_row([row[name] for name in table.columns])


def conflicting(connection: Connection[Row], known: Sequence[Entry]) -> list[tuple[Entry, str]]:
    """Return those of the messages that came before which do not say what is recorded, and why."""
    by_lane: dict[Lane, dict[int, Entry]] = {}
    for entry in known:
        if entry.lane is not None:
            by_lane.setdefault(entry.lane, {})[entry.number] = entry
    found: list[tuple[Entry, str]] = []
    for entries in by_lane.values():
        table, values = next(iter(entries.values())).rows[0]
        *fixed, number = table.key
        query = sql.SQL("SELECT {}, {} FROM {} WHERE {} AND {} = ANY(%s)").format(
            sql.Identifier(number),
            sql.Identifier(table.identity),
            sql.Identifier(table.name),
            sql.SQL(" AND ").join(
                sql.SQL("{} = %s").format(sql.Identifier(name)) for name in fixed
            ),
            sql.Identifier(number),
        )
        rows = connection.execute(query, [*(values[name] for name in fixed), list(entries)])
        for recorded_number, identity in rows:
            entry = entries[int(recorded_number)]
            if entry.rows[0][1][table.identity] != identity:
                reason = f"{number} {recorded_number} of {table.name} is another one in the record"
                found.append((entry, reason))
    return found
