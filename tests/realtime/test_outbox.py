"""Confirmed publishing, on a real server that is killed, filled up and taken away."""

import asyncio
import struct

import pytest
from nats.js.api import DiscardPolicy

from realtime.connection import connect
from realtime.contracts.subjects import Outgoing
from realtime.outbox import Outbox, OutboxError, OutboxFull
from realtime.streams import StreamReader
from tests.fixtures.servers import nats_server, running_nats

__all__ = ["nats_server"]

SUBJECT = "md.tick.EURUSD"


def number_of(payload):
    return struct.unpack_from("<q", payload)[0]


def payload_of(number, size=40):
    return struct.pack("<q", number) + b"x" * size


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


class Run:
    """A client with an outbox, and what it complained about."""

    def __init__(self, settings, user="gateway", **options):
        self.settings, self.user, self.options = settings, user, options
        self.alerts = []

    async def __aenter__(self):
        self.client = await connect(self.settings, self.user)
        self.outbox = Outbox(
            self.client, lambda code, text: self.alerts.append((code, text)), **self.options
        )
        await self.outbox.open()
        return self

    async def __aexit__(self, *_):
        await self.outbox.close()
        await self.client.close()

    async def stored(self, stream="TICKS", subject="md.tick.>"):
        reader = StreamReader(self.client, stream)
        return [
            number_of(message.payload) async for part in reader.read(1, subject) for message in part
        ]


def in_order_somewhere(numbers, wanted):
    """Whether `wanted` is in `numbers`, in order, with anything in between."""
    rest = iter(numbers)
    return all(number in rest for number in wanted)


def test_what_is_put_is_stored_in_order_and_confirmed(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings) as run:
            for number in range(1, 2001):
                run.outbox.put(SUBJECT, payload_of(number), "TICKS")
            assert len(run.outbox) == 2000
            assert await run.outbox.flush(10)
            assert run.outbox.unconfirmed() == []
            assert len(run.outbox) == 0
            assert await run.stored() == list(range(1, 2001))
            assert run.alerts == []

    run(check())


def test_one_answer_confirms_a_whole_burst(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings) as run:
            run.outbox.put(SUBJECT, payload_of(1), "TICKS")
            assert await run.outbox.flush(5)
            before = run.client.stats["in_msgs"]
            for number in range(2, 102):
                run.outbox.put(SUBJECT, payload_of(number), "TICKS", more=number != 101)
            assert await run.outbox.flush(5)
            assert run.client.stats["in_msgs"] - before == 1
            assert await run.stored() == list(range(1, 102))

    run(check())


def test_a_burst_without_its_last_message_is_confirmed_all_the_same(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings) as run:
            for number in range(1, 51):
                run.outbox.put(SUBJECT, payload_of(number), "TICKS", more=True)
            assert await run.outbox.flush(5)
            assert in_order_somewhere(await run.stored(), range(1, 51))

    run(check())


def test_messages_for_several_streams_ask_each_for_one_answer(nats_server):
    nats_server.empty()
    subjects = {"TICKS": SUBJECT, "REPORTS": "trade.report.paper.EURUSD"}

    async def check():
        async with Run(nats_server.settings) as run:
            messages = [
                Outgoing(subjects[stream], payload_of(number), stream)
                for number in range(1, 31)
                for stream in subjects
            ]
            run.outbox.put_all(messages)
            assert await run.outbox.flush(5)
            assert await run.stored() == list(range(1, 31))
            assert await run.stored("REPORTS", "trade.report.>") == list(range(1, 31))

    run(check())


def test_two_writers_to_one_stream_do_not_take_each_others_messages_for_their_own(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings) as one, Run(nats_server.settings) as other:
            for start in range(0, 1000, 50):
                for number in range(start, start + 50):
                    one.outbox.put("md.tick.A", payload_of(number), "TICKS", more=number % 50 != 49)
                    other.outbox.put("md.tick.B", payload_of(number), "TICKS")
                await asyncio.sleep(0)
            assert await one.outbox.flush(10)
            assert await other.outbox.flush(10)
            assert in_order_somewhere(await one.stored(subject="md.tick.A"), range(1000))
            assert await one.stored(subject="md.tick.B") == list(range(1000))

    run(check())


def test_nothing_is_lost_when_the_server_is_killed_again_and_again(tmp_path):
    async def check(server):
        async with Run(server.settings, retry_s=0.3) as run:
            number = 0
            for _ in range(3):
                for _ in range(40):
                    for _ in range(25):
                        number += 1
                        run.outbox.put(SUBJECT, payload_of(number), "TICKS", more=number % 25 != 0)
                    await asyncio.sleep(0.002)
                await asyncio.to_thread(server.kill9)
                for _ in range(100):
                    number += 1
                    run.outbox.put(SUBJECT, payload_of(number), "TICKS")
                await asyncio.to_thread(server.start)
            assert await run.outbox.flush(15)
            stored = await run.stored()
            assert in_order_somewhere(stored, range(1, number + 1))

    with running_nats(tmp_path) as server:
        run(check(server))


def test_what_was_not_confirmed_is_known_and_can_be_put_again(tmp_path):
    async def check(server):
        async with Run(server.settings) as first:
            await asyncio.to_thread(server.kill9)
            for number in range(1, 6):
                first.outbox.put(SUBJECT, payload_of(number), "TICKS")
            assert not await first.outbox.flush(0.2)
            kept = first.outbox.unconfirmed()
            assert [number_of(message.payload) for message in kept] == [1, 2, 3, 4, 5]
        await asyncio.to_thread(server.start)
        async with Run(server.settings) as second:
            second.outbox.put_all(kept)
            assert await second.outbox.flush(5)
            assert await second.stored() == [1, 2, 3, 4, 5]

    with running_nats(tmp_path) as server:
        run(check(server))


async def limit_stream(settings, *, most_bytes):
    """Make TICKS refuse what does not fit instead of forgetting what is old."""
    client = await connect(settings, "setup")
    js = client.jetstream()
    config = (await js.stream_info("TICKS")).config
    config.discard = DiscardPolicy.NEW
    config.max_bytes = most_bytes
    await js.update_stream(config)
    await client.close()


def test_a_full_stream_is_said_once_and_gets_everything_when_there_is_room(tmp_path):
    async def check(server):
        await limit_stream(server.settings, most_bytes=20_000)
        async with Run(server.settings, retry_s=0.1) as run:
            for number in range(1, 201):
                run.outbox.put(SUBJECT, payload_of(number, size=500), "TICKS", more=number % 8 != 0)
            assert not await run.outbox.flush(1.0)
            assert [code for code, _ in run.alerts] == ["stream_refuses"]
            assert "TICKS" in run.alerts[0][1]
            assert "maximum bytes" in run.alerts[0][1]
            await limit_stream(server.settings, most_bytes=10_000_000)
            assert await run.outbox.flush(10)
            assert in_order_somewhere(await run.stored(), range(1, 201))

    with running_nats(tmp_path) as server:
        run(check(server))


def test_a_large_message_that_was_refused_is_not_covered_by_a_small_one_behind_it(tmp_path):
    async def check(server):
        await limit_stream(server.settings, most_bytes=8_000)
        async with Run(server.settings, retry_s=0.1) as run:
            run.outbox.put(SUBJECT, payload_of(1), "TICKS")
            assert await run.outbox.flush(5)
            run.outbox.put(SUBJECT, payload_of(2, size=9_000), "TICKS", more=True)
            run.outbox.put(SUBJECT, payload_of(3), "TICKS")
            assert not await run.outbox.flush(0.5)
            kept = [number_of(message.payload) for message in run.outbox.unconfirmed()]
            assert kept == [2, 3]
            await limit_stream(server.settings, most_bytes=1_000_000)
            assert await run.outbox.flush(5)
            assert in_order_somewhere(await run.stored(), [1, 2, 3])

    with running_nats(tmp_path) as server:
        run(check(server))


def test_a_subject_that_no_stream_keeps_is_said(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings, retry_s=0.1) as run:
            run.outbox.put("ctl.lockstep.paper.permit", b"x" * 8, "TICKS")
            assert not await run.outbox.flush(0.4)
            assert [code for code, _ in run.alerts] == ["stream_missing"]

    run(check())


def test_no_more_is_taken_than_the_limit(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings, limit_messages=3) as run:
            for number in range(3):
                run.outbox.put(SUBJECT, payload_of(number), "TICKS")
            with pytest.raises(OutboxFull, match="3 messages"):
                run.outbox.put(SUBJECT, payload_of(3), "TICKS")
            assert await run.outbox.flush(5)
            run.outbox.put(SUBJECT, payload_of(3), "TICKS")

    run(check())


def test_a_message_too_large_for_the_server_is_refused_at_once(nats_server):
    nats_server.empty()

    async def check():
        async with Run(nats_server.settings) as run:
            with pytest.raises(OutboxError, match="larger than NATS takes"):
                run.outbox.put(SUBJECT, b"x" * (run.client.max_payload + 1), "TICKS")

    run(check())
