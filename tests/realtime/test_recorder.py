"""The recorder loses and doubles nothing, whoever is killed, and says in a line what is wrong."""

import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from realtime.connection import connect as connect_nats
from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.subjects import tick_subject
from realtime.store.connection import OWNER, READER, RECORDER, connect
from realtime.store.readers import read_orders, read_reports
from realtime.store.writer import Writer
from tests.fixtures.servers import running_nats, running_postgres
from tests.realtime.recorded_run import a_run, migrated, stream_of, toml_of

ROOT = Path(__file__).resolve().parents[2]


class Recorder:
    """The recorder as a process."""

    def __init__(self, settings, folder):
        self.config = toml_of(settings, folder / "recorder.toml")
        self.log = folder / "recorder.log"
        self.process = self.started()

    def start(self):
        self.process = self.started()

    def started(self):
        with self.log.open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "realtime", "recorder", "--config", str(self.config)],
                cwd=ROOT, stderr=log,
            )  # fmt: skip

    def kill9(self):
        self.process.kill()
        self.process.wait()

    def ends(self):
        """Wait for the end; exit code and what was said."""
        return self.process.wait(20), self.log.read_text()

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


@pytest.fixture
def recorder(stack_settings, tmp_path):
    recorder = Recorder(migrated(stack_settings), tmp_path)
    try:
        yield recorder
    finally:
        recorder.kill9()


def publish(settings, messages, user="gateway"):
    async def send():
        client = await connect_nats(settings, user)
        *first, (subject, payload) = messages
        for each in first:
            await client.publish(*each)
        await client.jetstream().publish(subject, payload)  # acknowledged: all before it are kept
        await client.close()

    asyncio.run(send())


def publish_run(settings, messages):
    """Publish each message as the user who may, keeping the order within a stream."""
    for user, prefixes in (
        ("gateway", ("md.tick", "md.quarantine", "trade.report")),
        ("loop", ("md.bar", "ml.", "trade.decision", "trade.consumed", "trade.order", "ops.")),
    ):
        chosen = [each for each in messages if each[0].startswith(prefixes)]
        for stream in {stream_of(subject) for subject, _ in chosen}:
            publish(settings, [each for each in chosen if stream_of(each[0]) == stream], user)


def ticks(first, count, symbols=("EURUSD", "XAUUSD")):
    for feed in range(first, first + count):
        symbol = symbols[feed % len(symbols)]
        message = Ticks(
            symbol=symbol, account="paper", first_feed_seq=feed,
            first_seq=(feed + 1) // 2 if symbol == "XAUUSD" else feed // 2,
            time_ns=[1_483_228_800_000_000_000 + feed * 1_000_000], bid=[1.0 + feed / 1e6],
            ask=[1.1 + feed / 1e6], flags=[6],
        )  # fmt: skip
        yield tick_subject(symbol), message.SerializeToString()


def one(settings, query, role=READER):
    with connect(settings, role) as connection:
        row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]


def eventually(what, wanted, seconds=20.0):
    until = time.monotonic() + seconds
    while (found := what()) != wanted and time.monotonic() < until:
        time.sleep(0.05)
    assert found == wanted


def assert_complete(settings, count):
    eventually(lambda: one(settings, "SELECT count(*) FROM ticks"), count)
    query = "SELECT count(DISTINCT feed_seq) = max(feed_seq) AND min(feed_seq) = 1 FROM ticks"
    assert one(settings, query)
    assert one(settings, "SELECT count(*) FROM gaps") == 0
    assert one(settings, "SELECT count(*) FROM dead_letters") == 0


def test_a_whole_run_is_recorded_message_by_message(recorder, stack_settings):
    run = a_run(stack_settings, 6_000)
    publish_run(stack_settings, run.messages)
    assert_complete(stack_settings, 6_000)
    wanted = len(run.of("trade.report.", ExecutionReport))
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM reports"), wanted)
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM alerts WHERE code = 'x'"), 3)
    with connect(stack_settings, READER) as connection:
        assert read_orders(connection, "paper") == run.of("trade.order.", OrderRequest)
        assert read_reports(connection, "paper") == run.of("trade.report.", ExecutionReport)
    assert recorder.stop() == 0


def test_killed_in_the_middle_it_goes_on_where_it_was(recorder, stack_settings):
    publish(stack_settings, ticks(1, 30_000))
    until = time.monotonic() + 20
    while one(stack_settings, "SELECT count(*) FROM ticks") == 0 and time.monotonic() < until:
        time.sleep(0.001)
    recorder.kill9()
    amid = one(stack_settings, "SELECT count(*) FROM ticks")
    assert amid > 0
    publish(stack_settings, ticks(30_001, 1_000))
    recorder.start()
    assert_complete(stack_settings, 31_000)


@contextmanager
def mortal_servers(folder):
    """A database and a message server that may be killed, and settings for both."""
    with running_postgres(folder / "p") as database, running_nats(folder / "n") as nats:
        for each in nats.settings.paths.secrets.iterdir():
            (database.settings.paths.secrets / each.name).write_bytes(each.read_bytes())
        yield database, nats, migrated(replace(database.settings, nats=nats.settings.nats))


def test_servers_that_are_killed_cost_nothing(tmp_path):
    with mortal_servers(tmp_path) as (database, nats, settings):
        recorder = Recorder(settings, tmp_path)
        try:
            publish(settings, ticks(1, 5_000))
            eventually(lambda: one(settings, "SELECT count(*) > 0 FROM ticks"), wanted=True)
            database.kill9()
            publish(settings, ticks(5_001, 5_000))
            database.start()
            assert_complete(settings, 10_000)
            publish(settings, ticks(10_001, 3_000))
            nats.kill9()
            nats.start()
            publish(settings, ticks(13_001, 2_000))
            assert_complete(settings, 15_000)
            query = "SELECT count(*) FROM alerts WHERE code = 'database_unavailable'"
            eventually(lambda: one(settings, query), 1)
            assert recorder.stop() == 0
        finally:
            recorder.kill9()


def test_what_a_killed_database_forgot_is_recorded_again_though_nothing_more_comes(tmp_path):
    """A crash costs the last commits; a stream that has gone quiet must be read again, too."""
    with mortal_servers(tmp_path) as (database, _, settings):
        recorder = Recorder(settings, tmp_path)
        try:
            for start in (1, 1_001, 2_001):
                publish(settings, ticks(start, 1_000))
                count = "SELECT count(*) FROM ticks"
                eventually(lambda: one(settings, count), start + 999)  # noqa: B023
                database.kill9()  # before the commit has reached the disk
                database.start()
                assert_complete(settings, start + 999)
        finally:
            recorder.kill9()


def test_a_corrupt_message_is_put_aside_and_told(recorder, stack_settings):
    publish(stack_settings, [*ticks(1, 10), ("md.tick.EURUSD", b"\xff\xff"), *ticks(11, 10)])
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM ticks"), 20)
    query = "SELECT text FROM alerts WHERE code = 'dead_letter'"
    eventually(lambda: one(stack_settings, f"SELECT count(*) FROM ({query}) a"), 1)
    assert one(stack_settings, query) == (
        "message 11 of TICKS (md.tick.EURUSD) cannot be recorded: not a Ticks message; it is kept"
        " in dead_letters"
    )


def test_a_gap_in_the_feed_is_told_and_filled(recorder, stack_settings):
    everything = list(ticks(1, 40))
    publish(stack_settings, everything[:10] + everything[20:])
    query = (
        "SELECT count(*) FROM alerts WHERE code = 'record_gap' AND text LIKE 'feed_seq 11 to 20%'"
    )
    eventually(lambda: one(stack_settings, query), 1)
    publish(stack_settings, everything[10:20])
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM ticks"), 40)
    assert one(stack_settings, "SELECT count(*) FROM gaps WHERE filled_at IS NULL") == 0


def test_what_the_stream_threw_away_is_told(stack_settings, tmp_path):
    publish(stack_settings, ticks(1, 100))

    async def trim():
        client = await connect_nats(stack_settings, "setup")
        await client.jetstream().purge_stream("TICKS", seq=61)
        await client.close()

    asyncio.run(trim())
    recorder = Recorder(migrated(stack_settings), tmp_path)
    try:
        query = "SELECT text FROM alerts WHERE code = 'stream_trimmed'"
        eventually(lambda: one(stack_settings, f"SELECT count(*) FROM ({query}) a"), 1)
        assert "threw messages 1 to 60 away" in one(stack_settings, query)
        assert one(stack_settings, "SELECT count(*) FROM ticks") == 40
    finally:
        recorder.kill9()


def test_a_database_that_takes_nothing_is_waited_for(recorder, stack_settings):
    publish(stack_settings, ticks(1, 10))
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM ticks"), 10)
    with connect(stack_settings, OWNER) as owner:
        owner.execute("REVOKE INSERT ON ticks, ticks_2017_01 FROM recorder")
        publish(stack_settings, ticks(11, 10))
        eventually(lambda: "permission denied" in recorder.log.read_text(), wanted=True)
        assert one(stack_settings, "SELECT count(*) FROM ticks") == 10
        owner.execute("GRANT INSERT ON ticks TO recorder")
    assert_complete(stack_settings, 20)
    said = recorder.log.read_text()
    assert "the database takes rows again" in said
    assert "Traceback" not in said


def test_a_second_recorder_waits_for_the_first(recorder, stack_settings, tmp_path):
    publish(stack_settings, ticks(1, 10))
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM ticks"), 10)
    (tmp_path / "second").mkdir()
    second = Recorder(stack_settings, tmp_path / "second")
    try:
        eventually(lambda: "another recorder writes" in second.log.read_text(), wanted=True)
        recorder.kill9()
        publish(stack_settings, ticks(11, 10))
        assert_complete(stack_settings, 20)
        assert second.stop() == 0
    finally:
        second.kill9()


def test_another_feed_under_the_same_account_halts_and_harms_nothing(
    recorder, stack_settings, nats_server
):  # fmt: skip
    publish(stack_settings, ticks(1, 10))
    eventually(lambda: one(stack_settings, "SELECT count(*) FROM ticks"), 10)
    recorder.stop()
    nats_server.empty()
    changed = []
    for subject, payload in ticks(1, 30):
        message = Ticks.FromString(payload)
        message.bid[0] += 1.0
        changed.append((subject, message.SerializeToString()))
    publish(stack_settings, changed)
    recorder.start()
    query = "SELECT text FROM alerts WHERE code = 'record_conflict'"
    eventually(lambda: one(stack_settings, f"SELECT count(*) FROM ({query}) a"), 1)
    assert "its feed began anew; give it a new name" in one(stack_settings, query)
    assert one(stack_settings, "SELECT count(*) FROM ticks") == 10


@pytest.mark.parametrize(
    ("break_it", "said"),
    [
        ("password", "refuses role 'recorder': wrong password"),
        ("nats password", "refuses user 'recorder'"),
        ("database", "no PostgreSQL answers at 127.0.0.1:1"),
        ("nats", "no NATS server answers at 127.0.0.1:1"),
        ("schema", "the database lacks 7 migration(s), first 0001_bookkeeping: run python -m"),
    ],
)
def test_what_is_missing_at_the_start_is_one_line_and_exit_code_two(
    stack_settings, tmp_path, break_it, said
):  # fmt: skip
    settings, secrets = stack_settings, stack_settings.paths.secrets
    if break_it == "password":
        (secrets / "postgres-recorder").write_text("wrong")
    if break_it == "nats password":
        (secrets / "nats-recorder").write_text("wrong")
    if break_it == "database":
        url = "postgresql://127.0.0.1:1/aitrading"
        settings = replace(settings, database=replace(settings.database, url=url))
    if break_it == "nats":
        settings = replace(settings, nats=replace(settings.nats, url="nats://127.0.0.1:1"))
    recorder = Recorder(settings, tmp_path)
    code, text = recorder.ends()
    assert code == 2
    assert said in text
    assert "Traceback" not in text
    errors = [line for line in text.splitlines() if " ERROR " in line]
    assert len(errors) == 1


def test_a_commit_in_doubt_is_neither_lost_nor_doubled(stack_settings, monkeypatch):
    """The connection dies after the server committed and before it could say so."""
    from realtime.store.writer import decode
    from realtime.stream_follower import Message

    messages = [Message(at, *each, 0) for at, each in enumerate(ticks(1, 20), start=1)]
    with connect(migrated(stack_settings), RECORDER) as connection:
        Writer(connection, "TICKS").write(decode("TICKS", 5, messages[:10]))
        doubtful = Writer(connection, "TICKS")
        with contextlib.suppress(ConnectionError):
            monkeypatch.setattr(doubtful._sequences, "keep", _lost)
            doubtful.write(decode("TICKS", 5, messages[10:]))
    with connect(stack_settings, RECORDER) as connection:
        again = Writer(connection, "TICKS")
        assert again.write(decode("TICKS", 5, messages[10:])).rows == 0
    assert_complete(stack_settings, 20)


def _lost():
    raise ConnectionError
