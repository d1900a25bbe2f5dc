"""Ticks to PostgreSQL: what the recorder adds to a bare binary COPY of the same rows.

Real servers, started for this. The floor copies rows that are laid out already into the same table,
in transactions of the same size. Beside it: messages of ticks decoded and written by the recorder's
own code, as the two run side by side in the recorder (decoding one batch while another is written),
and a recorder that catches up with a stream, from NATS to the last row.
"""

import asyncio
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from tables import Table, count

from realtime.connection import connect as connect_nats
from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.subjects import tick_subject
from realtime.settings import Settings
from realtime.store.connection import OWNER, RECORDER, connect
from realtime.store.copying import copy_in, wire_rows
from realtime.store.migrate import migrate
from realtime.store.tick_writer import COLUMNS, TickWriter
from realtime.store.writer import Writer, decode
from realtime.stream_follower import Message

ROOT = Path(__file__).resolve().parents[2]
ROWS = 400_000
MESSAGES_A_BATCH = 8_192
SYMBOLS = tuple(f"SYM{n:03}" for n in range(20))
START_NS = 1_483_228_800_000_000_000  # 2017-01-01


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Rows a second."""

    ticks_a_message: int
    floor: float
    recorder: float
    end_to_end: float


def messages(rows: int, size: int) -> list[Message]:
    """Return messages of `size` ticks each, symbols in turn."""
    rng = np.random.default_rng(5)
    seqs = dict.fromkeys(SYMBOLS, 1)
    made: list[Message] = []
    for number in range(rows // size):
        symbol = SYMBOLS[number % len(SYMBOLS)]
        first = 1 + number * size
        bid = 1.1 + rng.standard_normal(size) * 1e-3
        ticks = Ticks(
            symbol=symbol,
            account="bench",
            first_seq=seqs[symbol],
            first_feed_seq=first,
            time_ns=[START_NS + (first + at) * 1_000_000 for at in range(size)],
            bid=bid.tolist(),
            ask=(bid + 1e-4).tolist(),
            volume=[1.0] * size,
            flags=[6] * size,
            drained_ns=START_NS,
            published_ns=START_NS + 1,
            last_server_ms=START_NS // 1_000_000 + first,
            taken_of_last_ms=1,
        )
        seqs[symbol] += size
        payload = ticks.SerializeToString()
        made.append(Message(number + 1, tick_subject(symbol), payload, 0))
    return made


def parts(made: list[Message], size: int) -> list[list[Message]]:
    """Return messages as the recorder gets them: so many that a batch is of a usual size."""
    step = max(1, min(MESSAGES_A_BATCH, 131_072 // size))
    return [made[at : at + step] for at in range(0, len(made), step)]


def empty(settings: Settings) -> None:
    """Forget everything that was recorded."""
    with connect(settings, OWNER) as owner:
        owner.execute("TRUNCATE ticks, recorded, sequences, gaps, dead_letters")


def floor_rate(settings: Settings, made: list[Message], size: int) -> float:
    """Copy rows that are there, and nothing else."""
    empty(settings)
    with connect(settings, RECORDER) as connection:
        connection.execute("SET synchronous_commit = off")
        writer = TickWriter()
        laid_out = []
        for part in parts(made, size):
            ticks = decode("TICKS", 1, part).ticks
            assert ticks is not None
            laid_out.append(wire_rows(COLUMNS, writer.prepare(connection, ticks)))
        began_s = time.perf_counter()
        for rows in laid_out:
            with connection.transaction(), connection.cursor() as cursor:
                copy_in(cursor, "ticks", rows)
        took_s = time.perf_counter() - began_s
    return sum(map(len, laid_out)) / took_s


def recorder_rate(settings: Settings, made: list[Message], size: int) -> float:
    """Decode in one thread, write in another, as the recorder does."""
    empty(settings)
    written = 0
    with connect(settings, RECORDER) as connection, ThreadPoolExecutor(1) as pool:
        connection.execute("SET synchronous_commit = off")
        writer = Writer(connection, "TICKS")
        began_s = time.perf_counter()
        waiting = None
        for part in parts(made, size):
            batch = decode("TICKS", 1, part)
            if waiting is not None:
                written += waiting.result().rows
            waiting = pool.submit(writer.write, batch)
        if waiting is not None:
            written += waiting.result().rows
        took_s = time.perf_counter() - began_s
    return written / took_s


def end_to_end_rate(settings: Settings, made: list[Message], folder: Path) -> float:
    """Start a recorder on a full stream; the clock runs from its first row to its last."""
    empty(settings)

    async def fill() -> None:
        client = await connect_nats(settings, "gateway")
        for at, message in enumerate(made, start=1):
            if at % 1_000 == 0 or at == len(made):  # the server drops what it cannot keep up with
                await client.jetstream().publish(message.subject, message.payload)
            else:
                await client.publish(message.subject, message.payload)
        await client.close()

    asyncio.run(fill())
    config = folder / "bench.toml"
    config.write_text(
        f'[paths]\nvar = "{settings.paths.var}"\nsecrets = "{settings.paths.secrets}"\n'
        f'[nats]\nurl = "{settings.nats.url}"\n[database]\nurl = "{settings.database.url}"\n'
    )
    wanted = Ticks.FromString(made[-1].payload)
    last = wanted.first_feed_seq + len(wanted.time_ns) - 1
    query = "SELECT coalesce(max(last), 0) FROM sequences WHERE kind = 'feed_seq'"
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime", "recorder", "--config", str(config)],
        cwd=ROOT, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        with connect(settings, OWNER) as connection:

            def reached() -> int:
                row = connection.execute(query).fetchone()
                return 0 if row is None else int(row[0])

            while (first := reached()) == 0:
                time.sleep(0.002)
            began_s = time.perf_counter()
            while reached() < last:
                time.sleep(0.005)
            took_s = time.perf_counter() - began_s
    finally:
        process.terminate()
        process.wait()
    return (last - first) / took_s


def measure(sizes: tuple[int, ...] = (1, 64), rows: int = ROWS) -> list[Rates]:
    """Measure with messages of so many ticks each; the floor is that of the same rows and run."""
    from tests.fixtures.servers import empty_streams, running_nats, running_postgres

    found: list[Rates] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)  # the database may run as another user
        with running_postgres(folder / "p") as database, running_nats(folder / "n") as nats:
            secrets = database.settings.paths.secrets
            for each in nats.settings.paths.secrets.iterdir():
                (secrets / each.name).write_bytes(each.read_bytes())
            settings = replace(database.settings, nats=nats.settings.nats)
            with connect(settings, OWNER) as owner:
                migrate(owner)
            for size in sizes:
                made = messages(rows, size)
                floor_rate(settings, made[: len(made) // 4], size)  # warm files and caches
                floors, rates = [], []
                for _ in range(3):
                    floors.append(floor_rate(settings, made, size))
                    rates.append(recorder_rate(settings, made, size))
                empty_streams(nats.settings)
                found.append(
                    Rates(
                        ticks_a_message=size,
                        floor=max(floors),
                        recorder=max(rates),
                        end_to_end=end_to_end_rate(settings, made, folder),
                    )
                )
    return found


def section(*, quick: bool) -> Table:
    """Return the rates beside the floor."""
    rates = measure(rows=ROWS // 4 if quick else ROWS)
    rows = []
    for rate in rates:
        name = f"{rate.ticks_a_message} tick{'s' if rate.ticks_a_message > 1 else ''} a message"
        for path, per_second in (
            ("binary COPY of rows laid out (floor)", rate.floor),
            ("decoded and written", rate.recorder),
            ("from the stream", rate.end_to_end),
        ):
            rows.append((name, path, count(per_second), f"{per_second / rate.floor:.2f}x"))
    return Table(
        title="Ticks to PostgreSQL",
        columns=("messages", "path", "rows/s", "of the floor"),
        rows=rows,
        notes=[
            f"{len(SYMBOLS)} symbols, partitions of a month with primary key, the best of three.",
            "From the stream: a recorder that catches up, with nats-py in between. Aim: 0.70x.",
        ],
    )


if __name__ == "__main__":
    print(section(quick="--quick" in sys.argv).text())
