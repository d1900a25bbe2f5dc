"""Every message of a stream once and in order, whatever happens to server and connection."""

import asyncio
from dataclasses import replace

import pytest

from realtime.connection import connect
from realtime.stream_follower import StreamFollower, StreamMissing, stream_state
from tests.fixtures.servers import running_nats


async def put(client, first, count, subject="ops.health.x"):
    for number in range(first, first + count):
        await client.publish(subject, str(number).encode())
    await client.flush()


async def take(follower, count):
    found = []
    async with asyncio.timeout(20):
        while len(found) < count:
            found += await follower.read()
    return found


def test_messages_come_in_order_from_a_position_on(stack_settings):
    async def go():
        gateway = await connect(stack_settings, "gateway")
        recorder = await connect(stack_settings, "recorder")
        await put(gateway, 1, 6_000)
        follower = StreamFollower(recorder, "OPS", after=1_000)
        found = await take(follower, 5_000)
        assert [each.stream_seq for each in found] == list(range(1_001, 6_001))
        assert found[0].payload == b"1001"
        assert found[0].subject == "ops.health.x"
        assert found[0].time_ns > 1_700_000_000_000_000_000
        assert await follower.read(timeout_s=0.1) == []
        await put(gateway, 6_001, 1)
        assert [each.payload for each in await take(follower, 1)] == [b"6001"]
        follower.fail(KeyError("x"))
        with pytest.raises(KeyError):
            await follower.read()
        await follower.close()
        await gateway.close()
        await recorder.close()

    asyncio.run(go())


def test_only_what_is_asked_for_comes(stack_settings):
    async def go():
        gateway = await connect(stack_settings, "gateway")
        recorder = await connect(stack_settings, "recorder")
        await put(gateway, 1, 10)
        await put(gateway, 11, 10, "ops.alert.info")
        follower = StreamFollower(recorder, "OPS", subject="ops.alert.>")
        assert [each.stream_seq for each in await take(follower, 10)] == list(range(11, 21))
        await follower.close()
        await gateway.close()
        await recorder.close()

    asyncio.run(go())


def test_a_server_that_is_killed_costs_no_message(tmp_path):
    async def go(server):
        back = asyncio.Event()

        async def on_reconnect():
            back.set()

        gateway = await connect(server.settings, "gateway", on_reconnect=on_reconnect)
        recorder = await connect(server.settings, "recorder")
        follower = StreamFollower(recorder, "OPS")
        await put(gateway, 1, 50)
        found = await take(follower, 50)
        await asyncio.to_thread(server.kill9)
        await asyncio.to_thread(server.start)
        await asyncio.wait_for(back.wait(), 20)
        await put(gateway, 51, 50)
        found += await take(follower, 50)
        assert [each.payload for each in found] == [str(n).encode() for n in range(1, 101)]
        await follower.close()
        await gateway.close()
        await recorder.close()

    with running_nats(tmp_path) as server:
        asyncio.run(go(server))


def test_a_stream_that_is_not_there_is_named(stack_settings):
    async def go():
        client = await connect(stack_settings, "setup")
        with pytest.raises(StreamMissing, match="there is no stream NOTHING"):
            await stream_state(client, "NOTHING")
        state = await stream_state(client, "OPS")
        assert (state.first_seq, state.last_seq) == (0, 0)
        assert state.created_ns > 1_700_000_000_000_000_000
        await client.close()
        other = await connect(replace(stack_settings), "push")  # reads no stream
        with pytest.raises(StreamMissing, match="says nothing about stream OPS"):
            await stream_state(other, "OPS", timeout_s=0.3)
        await other.close()

    asyncio.run(go())
