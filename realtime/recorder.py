"""The recorder: everything on the wire to the database, exactly once.

For each stream: read behind the position that the database has, decode, write rows and position in
one transaction. While one batch is written the next is read and decoded. Whatever goes wrong with
the database, the answer is the same: say it once, wait, connect anew and go on from the position
that is committed. The streams keep what is not.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import psycopg

from realtime.contracts.subjects import STREAMS
from realtime.service import CannotStart, Service, run
from realtime.store.connection import one_line
from realtime.store.errors import Fenced, RecordConflict, StoreError
from realtime.store.recording import Recording
from realtime.store.writer import STREAM_LANE, Batch, Missing, Position, Written, decode
from realtime.stream_follower import StreamFollower, StreamMissing, StreamState, stream_state

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_LOOK_EVERY_S = 2.0  # at the streams: how far they are, whether they are still the same
_CLEAN_EVERY_S = 3_600.0
_CONFLICT_PAUSE_S = 10.0
_ALERTS_A_BATCH = 5

_Result = TypeVar("_Result")


class _Again(Exception):
    """Read the stream again from the position that is committed."""


def main(arguments: Sequence[str]) -> int:
    """Run the recorder until it is told to stop."""
    return run("recorder", arguments, serve)


async def serve(service: Service) -> None:
    """Record until the service is stopped.

    Raises:
        CannotStart: there is no database, or not the schema of this code.
    """
    await Recorder(service).run()


class Recorder:
    """Records all streams.

    Args:
        service: connected as user `recorder`.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._database = ThreadPoolExecutor(1, thread_name_prefix="database")
        self._recording: Recording
        self._session = 0  # counts connections to the database
        self._opening = asyncio.Lock()
        self._readers: dict[str, StreamFollower] = {}
        self._states: dict[str, StreamState] = {}
        self._halted: dict[str, str] = {}
        self._lost_s: float | None = None  # since when the database takes nothing
        self._pause_s = _FIRST_PAUSE_S
        self._said = ("starting", "")
        self._rows = self._duplicates = self._gaps = self._dead = 0

    async def run(self) -> None:
        """Record until the service is stopped."""
        service = self._service
        try:
            self._recording = await self._in_database(Recording, service.settings)
        except (StoreError, psycopg.Error) as error:
            self._database.shutdown(wait=False)
            raise CannotStart(one_line(error)) from error
        service.reconnected.append(self._renew)
        tasks: list[asyncio.Task[None]] = []
        try:
            await self._take_over()
            tasks += [asyncio.create_task(self._follow(stream.name)) for stream in STREAMS]
            tasks += [asyncio.create_task(self._watch()), asyncio.create_task(self._clean())]
            stopping = asyncio.create_task(service.stopping.wait())
            await asyncio.wait({stopping, *tasks}, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()  # a bug: raises
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._end()

    async def _end(self) -> None:
        """Let the batch that is being written end, but not for long."""
        self._database.submit(self._recording.close)
        ended = asyncio.get_running_loop().run_in_executor(None, self._database.shutdown)
        done, _ = await asyncio.wait({ended}, timeout=0.8)
        if not done:
            with contextlib.suppress(psycopg.Error):
                self._recording.interrupt()

    # --- the database -------------------------------------------------------------------------

    async def _in_database(self, call: Callable[..., _Result], *arguments: object) -> _Result:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._database, lambda: call(*arguments))

    async def _take_over(self) -> None:
        """Wait until no other recorder writes: one that was killed may linger for a moment."""
        while not await self._in_database(self._recording.take_over):
            self._say("waiting", "another recorder writes to this database")
            await asyncio.sleep(0.5)
        self._tell_running()

    async def _reopen(self, session: int, error: Exception) -> None:
        """Connect to the database anew, however long that takes; done once for all streams."""
        async with self._opening:
            if session != self._session:
                return
            while True:
                self._tell_lost(error)
                await asyncio.sleep(self._pause_s)
                self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
                try:
                    with contextlib.suppress(psycopg.Error):
                        await self._in_database(self._recording.close)
                    self._recording = await self._in_database(Recording, self._service.settings)
                    await self._take_over()
                except (StoreError, psycopg.Error) as again:
                    error = again
                else:
                    break
            self._session += 1
            # A crash may have cost the last commits, also of a stream where nothing more comes:
            # every one is read again from the position that the database has now.
            for reader in self._readers.values():
                reader.fail(_Again())

    async def _require_database(self) -> None:
        """Notice a connection that is gone though nothing is to be written."""
        session = self._session
        try:
            await self._in_database(self._recording.check)
        except (StoreError, psycopg.Error) as error:
            await self._reopen(session, error)
        self._tell_found()

    def _tell_found(self) -> None:
        if self._lost_s is not None:
            waited_s = time.monotonic() - self._lost_s
            self._service.log.info("the database takes rows again after %.1f s", waited_s)
            self._lost_s = None
        self._pause_s = _FIRST_PAUSE_S
        self._tell_running()

    def _tell_lost(self, error: Exception) -> None:
        text = f"the database takes nothing: {one_line(error)}; waiting, nothing is lost"
        self._say("waiting", text)
        if self._lost_s is None:
            self._lost_s = time.monotonic()
            self._service.alert("warning", "database_unavailable", text)

    # --- a stream -----------------------------------------------------------------------------

    async def _follow(self, stream: str) -> None:
        while True:
            with contextlib.suppress(_Again):
                await self._follow_once(stream)

    async def _follow_once(self, stream: str) -> None:
        """Record a stream from its position on, until something asks to begin again."""
        state = await self._state_of(stream)
        session = self._session
        position = await self._position_of(stream, session)
        after = self._after(stream, state, position)
        reader = StreamFollower(self._service.client, stream, after=after)
        self._readers[stream] = reader
        batches: asyncio.Queue[Batch] = asyncio.Queue(2)
        reading = asyncio.create_task(self._read(reader, state, batches))
        try:
            while True:
                getting = asyncio.ensure_future(batches.get())
                await asyncio.wait({getting, reading}, return_when=asyncio.FIRST_COMPLETED)
                if reading.done():
                    getting.cancel()
                    await reading  # raises
                await self._write(getting.result(), session)
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
            del self._readers[stream]
            await reader.close()

    async def _state_of(self, stream: str) -> StreamState:
        told = False
        while True:
            try:
                self._states[stream] = await stream_state(self._service.client, stream)
            except StreamMissing as error:
                if not told:
                    self._service.log.warning("%s", error)
                    told = True
                await asyncio.sleep(1.0)
            else:
                return self._states[stream]

    async def _position_of(self, stream: str, session: int) -> Position:
        try:
            writer = await self._in_database(lambda: self._recording.writer(stream))
        except (StoreError, psycopg.Error) as error:
            await self._reopen(session, error)
            raise _Again from None
        return writer.position

    def _after(self, stream: str, state: StreamState, position: Position) -> int:
        """Return the message of the stream to go on behind."""
        if position.created_ns == 0:
            return 0
        if position.created_ns != state.created_ns:
            self._service.alert(
                "warning",
                "stream_renewed",
                f"stream {stream} was made anew: it is recorded from its first message, what was"
                f" recorded of the old one stays (through message {position.stream_seq})",
            )
            return 0
        return position.stream_seq

    async def _read(
        self, reader: StreamFollower, state: StreamState, batches: asyncio.Queue[Batch]
    ) -> None:
        while True:
            messages = await reader.read()
            # In a thread: arrays are decoded without holding up the loop.
            batch = await asyncio.to_thread(decode, reader.stream, state.created_ns, messages)
            await batches.put(batch)

    async def _write(self, batch: Batch, session: int) -> None:
        """Write a batch.

        Raises:
            _Again: it is not known what of it was written.
        """
        if session != self._session:
            raise _Again
        try:
            written = await self._in_database(self._recording.write, batch)
        except RecordConflict as error:
            if batch.stream not in self._halted:
                self._service.alert("critical", "record_conflict", str(error), stream=batch.stream)
            self._halted[batch.stream] = str(error)
            self._tell_running()
            await asyncio.sleep(_CONFLICT_PAUSE_S)
            raise _Again from None
        except Fenced as error:
            self._service.alert("critical", "fenced", str(error))
            await self._reopen(session, error)
            raise _Again from None
        except (psycopg.Error, StoreError) as error:
            await self._reopen(session, error)
            raise _Again from None
        self._halted.pop(batch.stream, None)
        self._tell_found()
        self._tell_written(batch.stream, written)

    # --- what is told -------------------------------------------------------------------------

    def _tell_written(self, stream: str, written: Written) -> None:
        self._rows += written.rows
        self._duplicates += written.duplicates
        self._gaps += len(written.missing)
        self._dead += len(written.dead)
        for missing in written.missing[:_ALERTS_A_BATCH]:
            self._tell_missing(missing)
        for stream_seq, subject, reason in written.dead[:_ALERTS_A_BATCH]:
            self._service.alert(
                "warning",
                "dead_letter",
                f"message {stream_seq} of {stream} ({subject}) cannot be recorded: {reason}; it is"
                " kept in dead_letters",
                stream=stream,
                stream_seq=stream_seq,
            )
        hidden = len(written.missing) + len(written.dead) - 2 * _ALERTS_A_BATCH
        if hidden > 0:
            self._service.log.warning("%s: about %d more of these", stream, hidden)

    def _tell_missing(self, missing: Missing) -> None:
        kind, name = missing.lane
        if kind == STREAM_LANE:
            text = (
                f"stream {missing.stream} threw messages {missing.first} to {missing.last} away"
                " before they were recorded: give it more room, or keep the recorder running"
            )
            code = "stream_trimmed"
        else:
            text = (
                f"{kind} {missing.first} to {missing.last} of {name} did not arrive on"
                f" {missing.stream}: the record has a gap until they do"
            )
            code = "record_gap"
        self._service.alert("warning", code, text, first=missing.first, last=missing.last)

    def _tell_running(self) -> None:
        if self._lost_s is not None:
            return
        if self._halted:
            self._say("halted", next(iter(self._halted.values())))
        else:
            self._say("running")

    def _say(self, state: str, text: str = "") -> None:
        if (state, text) != self._said:
            self._said = (state, text)
            self._service.health(state, text)

    def _renew(self) -> None:
        """After the connection to NATS was lost: consumers may be gone."""
        for reader in self._readers.values():
            reader.renew()

    async def _watch(self) -> None:
        """Look at the streams and publish how far behind the record is."""
        service = self._service
        rows, looked_s = self._rows, time.monotonic()
        while True:
            await asyncio.sleep(_LOOK_EVERY_S)
            await self._require_database()
            lag = 0
            for name in list(self._readers):
                with contextlib.suppress(StreamMissing):
                    state = await stream_state(service.client, name, timeout_s=1.0)
                    is_new = state.created_ns != self._states[name].created_ns
                    self._states[name] = state
                    if is_new and name in self._readers:
                        self._readers[name].fail(_Again())
                    lag += max(0, state.last_seq - self._recording.recorded(name))
            now_s = time.monotonic()
            service.health(
                *self._said,
                rows=self._rows,
                rows_per_second=(self._rows - rows) / (now_s - looked_s),
                messages_behind=lag,
                duplicates=self._duplicates,
                gaps=self._gaps,
                dead_letters=self._dead,
            )
            rows, looked_s = self._rows, now_s

    async def _clean(self) -> None:
        while True:
            session = self._session
            try:
                dropped = await self._in_database(self._recording.drop_old_ticks)
            except (psycopg.Error, StoreError) as error:
                await self._reopen(session, error)
                continue
            if dropped > 0:
                self._service.log.info("dropped %d partition(s) of old ticks", dropped)
            await asyncio.sleep(_CLEAN_EVERY_S)
