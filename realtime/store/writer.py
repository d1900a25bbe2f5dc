"""Batches of a stream to rows: exactly once, whatever dies in between.

Rows, and the position in the stream that they bring the record to, are one transaction. A batch
whose commit is in doubt is offered again, and what it brought in before is skipped by position;
what a publisher repeats is dropped by number. A message that cannot be recorded goes to
`dead_letters` as it came, and the record goes on.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import LiteralString

import psycopg
from psycopg import Connection, Cursor

from realtime.store.connection import Row, one_line
from realtime.store.entries import BadMessage, Entry, Raw, read_entry
from realtime.store.entry_writer import (
    HealthFilter,
    admit_entries,
    conflicting,
    copy_rows,
    write_entries,
)
from realtime.store.errors import Fenced
from realtime.store.sequences import Gap, Lane, Sequences
from realtime.store.tables import DEAD_LETTERS
from realtime.store.tick_writer import TickWriter, require_same
from realtime.tick_wire import TickColumns, read_ticks

TICKS_STREAM = "TICKS"
STREAM_LANE = "stream_seq"

# The position of a stream that nothing is recorded of yet, and of one that something is.
_BEGIN: LiteralString = """
WITH noted AS (
    INSERT INTO sequences (stream, kind, name, last)
    SELECT %(stream)s, * FROM unnest(%(kinds)s::text[], %(names)s::text[], %(lasts)s::bigint[])
    ON CONFLICT (stream, kind, name) DO UPDATE SET last = excluded.last
), moved AS (
    INSERT INTO recorded (stream, last_stream_seq, created_ns)
    VALUES (%(stream)s, %(seq)s, %(created_ns)s) ON CONFLICT DO NOTHING RETURNING 1
)
SELECT count(*) FROM moved"""
_GO_ON: LiteralString = """
WITH noted AS (
    INSERT INTO sequences (stream, kind, name, last)
    SELECT %(stream)s, * FROM unnest(%(kinds)s::text[], %(names)s::text[], %(lasts)s::bigint[])
    ON CONFLICT (stream, kind, name) DO UPDATE SET last = excluded.last
), moved AS (
    UPDATE recorded SET last_stream_seq = %(seq)s, created_ns = %(created_ns)s, updated_at = now()
    WHERE stream = %(stream)s AND last_stream_seq = %(known_seq)s AND created_ns = %(known_ns)s
    RETURNING 1
)
SELECT count(*) FROM moved"""

# What PostgreSQL says of values rather than of its own state.
_BAD_VALUES = (psycopg.DataError, psycopg.IntegrityError)


@dataclass(frozen=True, kw_only=True)
class Batch:
    """Messages of a stream that follow one another, decoded.

    Attributes:
        stream: its name.
        created_ns: when it was made.
        messages: in the order of the stream.
        ticks: read from `messages`, for the stream of ticks.
        entries: read from `messages`, for all others.
        refused: (place in `messages`, reason) of what could not be read.
    """

    stream: str
    created_ns: int
    messages: Sequence[Raw]
    ticks: TickColumns | None = None
    entries: Sequence[Entry] = ()
    refused: Sequence[tuple[int, str]] = ()


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Numbers that were not there when later ones came."""

    stream: str
    lane: Lane
    first: int
    last: int


@dataclass(kw_only=True)
class Written:
    """What a batch came to.

    Attributes:
        rows: added to the tables.
        duplicates: messages or ticks that were recorded before.
        missing: what turned out to be.
        dead: (stream_seq, subject, reason) of messages that could not be recorded.
    """

    rows: int = 0
    duplicates: int = 0
    missing: list[Missing] = field(default_factory=list[Missing])
    dead: list[tuple[int, str, str]] = field(default_factory=list["tuple[int, str, str]"])

    def add(self, other: "Written") -> None:
        """Count another's in."""
        self.rows += other.rows
        self.duplicates += other.duplicates
        self.missing += other.missing
        self.dead += other.dead


@dataclass(frozen=True, kw_only=True)
class Position:
    """How far a stream is recorded.

    Attributes:
        created_ns: when the stream was made that this counts in; 0 = nothing is recorded.
        stream_seq: of the last message.
    """

    created_ns: int = 0
    stream_seq: int = 0


def decode(stream: str, created_ns: int, messages: Sequence[Raw]) -> Batch:
    """Read messages; needs no database, so it can run beside the writing of the batch before."""
    if stream == TICKS_STREAM:
        ticks = read_ticks([message.payload for message in messages])
        return Batch(
            stream=stream,
            created_ns=created_ns,
            messages=messages,
            ticks=ticks,
            refused=ticks.refused,
        )
    entries: list[Entry] = []
    refused: list[tuple[int, str]] = []
    for place, message in enumerate(messages):
        try:
            entries.append(read_entry(message, created_ns))
        except BadMessage as error:
            refused.append((place, str(error)))
    return Batch(
        stream=stream, created_ns=created_ns, messages=messages, entries=entries, refused=refused
    )


class Writer:
    """Writes batches of one stream.

    Args:
        connection: of role `recorder`, in autocommit; several writers may share it.
        stream: name.
    """

    def __init__(self, connection: Connection[Row], stream: str) -> None:
        self._connection = connection
        self.stream = stream
        self._ticks = TickWriter()
        self._health = HealthFilter()
        self.position = _read_position(connection, stream)
        self._sequences = _read_sequences(connection, stream)

    def write(self, batch: Batch) -> Written:
        """Record a batch.

        Raises:
            RecordConflict: it contradicts the record; nothing of it was recorded.
            Fenced: another recorder writes; nothing of it was recorded.
            psycopg.Error: the database cannot take it now.
        """
        batch = self._unrecorded(batch)
        if not batch.messages:
            return Written()
        try:
            return self._write(batch)
        except psycopg.errors.CheckViolation:
            # No partition: it was dropped as too old since it was made.
            self._ticks.forget_months()
            return self._write(batch)
        except _BAD_VALUES as error:
            if self._connection.closed:
                raise
            return self._write_apart(batch, one_line(error))

    def _unrecorded(self, batch: Batch) -> Batch:
        """Leave out what an earlier attempt brought in."""
        known = self.position
        if batch.created_ns != known.created_ns or not batch.messages:
            return batch
        if batch.messages[0].stream_seq > known.stream_seq:
            return batch
        messages = [each for each in batch.messages if each.stream_seq > self.position.stream_seq]
        if len(messages) == len(batch.messages):
            return batch
        return decode(batch.stream, batch.created_ns, messages)

    def _write(self, batch: Batch) -> Written:
        done = Written()
        refused = list(batch.refused)
        new_position = Position(
            created_ns=batch.created_ns, stream_seq=batch.messages[-1].stream_seq
        )
        try:
            # Names and months are made outside: they may stay if the batch fails.
            values = (
                None if batch.ticks is None else self._ticks.prepare(self._connection, batch.ticks)
            )
            with self._connection.transaction(), self._connection.cursor() as cursor:
                self._follow_stream(batch)
                if batch.ticks is not None and values is not None:
                    new = self._ticks.admit(batch.ticks, values, self._sequences)
                    if new.duplicates > 0:
                        require_same(self._connection, batch.ticks, values)
                    self._move(cursor, new_position)
                    self._ticks.write(cursor, new)
                    done.rows, done.duplicates = len(new.rows), new.duplicates
                else:
                    new_entries, known = admit_entries(batch.entries, self._sequences)
                    refused += self._conflicting(batch, known)
                    self._move(cursor, new_position)
                    done.rows = write_entries(cursor, self._health.thin(new_entries))
                    done.duplicates = len(known)
                self._bury(cursor, batch, refused, done)
                for lane, (before, now) in self._sequences.changed_gaps().items():
                    self._note_gaps(cursor, lane, before, now, done)
        except BaseException:
            self._sequences.drop()
            raise
        self._sequences.keep()
        self._health.keep()
        self.position = new_position
        return done

    def _write_apart(self, batch: Batch, reason: str) -> Written:
        """Find the message that PostgreSQL will not have: halve the batch until it is alone."""
        messages = batch.messages
        if len(messages) == 1:
            lonely = Batch(
                stream=batch.stream,
                created_ns=batch.created_ns,
                messages=messages,
                ticks=read_ticks([]) if batch.ticks is not None else None,
                refused=[(0, reason)],
            )
            return self._write(lonely)
        done = Written()
        half = len(messages) // 2
        for part in (messages[:half], messages[half:]):
            done.add(self.write(decode(batch.stream, batch.created_ns, part)))
        return done

    def _move(self, cursor: Cursor[Row], to: Position) -> None:
        """Move the position, if it is still where this writer believes it to be, and the lanes.

        One statement: every one that a batch needs is a wait for the server.
        """
        moved = self._sequences.changed_lanes()
        given = {
            "stream": self.stream,
            "seq": to.stream_seq,
            "created_ns": to.created_ns,
            "known_seq": self.position.stream_seq,
            "known_ns": self.position.created_ns,
            "kinds": [kind for kind, _ in moved],
            "names": [name for _, name in moved],
            "lasts": list(moved.values()),
        }
        row = cursor.execute(_BEGIN if self.position.created_ns == 0 else _GO_ON, given).fetchone()
        if row is None or row[0] != 1:
            msg = f"another recorder moved the position of stream {self.stream}"
            raise Fenced(msg)

    def _follow_stream(self, batch: Batch) -> None:
        """Notice messages that the stream threw away before they were read."""
        lane = (STREAM_LANE, f"{self.stream} of {batch.created_ns}")
        first, last = batch.messages[0].stream_seq, batch.messages[-1].stream_seq
        if first == self._sequences.last(lane) + 1 and last - first + 1 == len(batch.messages):
            self._sequences.advance(lane, last)
            return
        for message in batch.messages:
            self._sequences.admit(lane, message.stream_seq)

    def _conflicting(self, batch: Batch, known: Sequence[Entry]) -> list[tuple[int, str]]:
        """Return messages that contradict the record, by their place in the batch."""
        places = {message.stream_seq: place for place, message in enumerate(batch.messages)}
        found = conflicting(self._connection, known)
        return [(places[entry.stream_seq], reason) for entry, reason in found]

    def _bury(
        self,
        cursor: Cursor[Row],
        batch: Batch,
        refused: Sequence[tuple[int, str]],
        done: Written,
    ) -> None:
        letters: list[dict[str, object]] = []
        for place, reason in refused:
            message = batch.messages[place]
            letters.append(
                {
                    "stream": self.stream,
                    "created_ns": batch.created_ns,
                    "stream_seq": message.stream_seq,
                    "subject": message.subject,
                    "reason": reason,
                    "payload": message.payload,
                }
            )
            done.dead.append((message.stream_seq, message.subject, reason))
        if letters:
            copy_rows(cursor, DEAD_LETTERS, letters)

    def _note_gaps(
        self,
        cursor: Cursor[Row],
        lane: Lane,
        before: Sequence[Gap],
        now: Sequence[Gap],
        done: Written,
    ) -> None:
        left = {gap.gap_id: gap for gap in now if gap.gap_id > 0}
        for gap in before:
            still = left.get(gap.gap_id)
            if still is None:
                cursor.execute("UPDATE gaps SET filled_at = now() WHERE gap_id = %s", (gap.gap_id,))
            elif still != gap:
                cursor.execute(
                    "UPDATE gaps SET first = %s, last = %s WHERE gap_id = %s",
                    (still.first, still.last, still.gap_id),
                )
        known = {(gap.first, gap.last) for gap in before}
        for gap in [each for each in now if each.gap_id == 0]:
            cursor.execute(
                "INSERT INTO gaps (stream, kind, name, first, last) VALUES (%s, %s, %s, %s, %s)"
                " RETURNING gap_id",
                (self.stream, *lane, gap.first, gap.last),
            )
            row = cursor.fetchone()
            assert row is not None
            self._sequences.number_gap(lane, gap, int(row[0]))
            if not any(low <= gap.first and gap.last <= high for low, high in known):
                done.missing.append(
                    Missing(stream=self.stream, lane=lane, first=gap.first, last=gap.last)
                )


def _read_position(connection: Connection[Row], stream: str) -> Position:
    row = connection.execute(
        "SELECT created_ns, last_stream_seq FROM recorded WHERE stream = %s", (stream,)
    ).fetchone()
    return Position() if row is None else Position(created_ns=row[0], stream_seq=row[1])


def _read_sequences(connection: Connection[Row], stream: str) -> Sequences:
    last = {
        (str(kind), str(name)): int(number)
        for kind, name, number in connection.execute(
            "SELECT kind, name, last FROM sequences WHERE stream = %s", (stream,)
        )
    }
    gaps: dict[Lane, list[Gap]] = {}
    for kind, name, first, end, gap_id in connection.execute(
        "SELECT kind, name, first, last, gap_id FROM gaps"
        " WHERE stream = %s AND filled_at IS NULL ORDER BY first",
        (stream,),
    ):
        gaps.setdefault((str(kind), str(name)), []).append(
            Gap(first=int(first), last=int(end), gap_id=int(gap_id))
        )
    return Sequences(last, gaps)


__all__ = ["Batch", "Missing", "Position", "Writer", "Written", "decode"]
