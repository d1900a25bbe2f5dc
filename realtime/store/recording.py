"""A recorder's session with the database: checked, alone, with a writer for each stream."""

from psycopg import Connection

from realtime.settings import Settings
from realtime.store.connection import RECORDER, Row, connect
from realtime.store.migrate import require_current
from realtime.store.writer import Batch, Writer, Written

_LOCK = 0x7265_636F_7264  # held by the one recorder that writes


class Recording:
    """Writes batches of all streams over one connection; not for use by several threads at once.

    Args:
        settings: `database` and `paths.secrets`.

    Raises:
        DatabaseRefused: see `connect`.
        MigrationRefused: the schema is not the one of this code.
    """

    def __init__(self, settings: Settings) -> None:
        self._connection: Connection[Row] = connect(settings, RECORDER)
        self._writers: dict[str, Writer] = {}
        try:
            require_current(self._connection)
            # A crash of the server may cost the last commits, rows and position alike: they are
            # read from the stream again. Waiting for the disk at every batch would buy nothing.
            self._connection.execute("SET synchronous_commit = off")
        except BaseException:
            self._connection.close()
            raise

    def take_over(self) -> bool:
        """Become the one that writes; False while another one is."""
        row = self._connection.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
        return row is not None and bool(row[0])

    def writer(self, stream: str) -> Writer:
        """Return the writer of a stream, which knows how far the stream is recorded."""
        if stream not in self._writers:
            self._writers[stream] = Writer(self._connection, stream)
        return self._writers[stream]

    def write(self, batch: Batch) -> Written:
        """Record a batch: see `Writer.write`."""
        return self.writer(batch.stream).write(batch)

    def recorded(self, stream: str) -> int:
        """Return the last message of a stream that is recorded, as far as this session knows."""
        writer = self._writers.get(stream)
        return 0 if writer is None else writer.position.stream_seq

    def check(self) -> None:
        """Ask the database for nothing: raises psycopg.Error if the connection is gone."""
        self._connection.execute("SELECT 1")

    def drop_old_ticks(self) -> int:
        """Drop what the table `retention` says is too old; returns how many partitions."""
        row = self._connection.execute("SELECT drop_old_ticks()").fetchone()
        return 0 if row is None else int(row[0])

    def interrupt(self) -> None:
        """Make a statement that runs in another thread fail soon."""
        self._connection.cancel_safe(timeout=0.5)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()
