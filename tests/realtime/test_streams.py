"""Reading streams of a real NATS server."""

import asyncio
import gc
from contextlib import aclosing

from realtime.connection import connect
from realtime.streams import StreamReader
from tests.fixtures.servers import nats_server

__all__ = ["nats_server"]
COUNT = 2_500  # more than one batch


def trouble_of(nats_server, work):
    """Return what the event loop was told of while a stream was read."""
    nats_server.empty()
    told = []

    async def main():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: told.append(context))
        client = await connect(nats_server.settings, "gateway")
        for number in range(COUNT):
            await client.publish("md.tick.EURUSD", b"%d" % number)
        await client.jetstream().publish("md.tick.EURUSD", b"the last")
        await work(client, StreamReader(client, "TICKS"))
        if not client.is_closed:
            await client.close()
        gc.collect()
        await asyncio.sleep(0.1)
        gc.collect()

    asyncio.run(main())
    return told


def test_a_reader_that_is_left_early_leaves_nothing_behind(nats_server):
    async def work(client, reader):
        await reader.last("md.tick.>")  # answers have a subscription of their own
        before = len(client._subs)
        async with aclosing(reader.read(1, "md.tick.>")) as parts:
            async for part in parts:
                assert part[0].payload == b"0"
                break
        assert len(client._subs) == before

    assert trouble_of(nats_server, work) == []


def test_a_reader_that_nobody_closes_outlives_its_connection_in_silence(nats_server):
    """ "Task exception was never retrieved": the subscription went with the connection."""

    async def work(client, reader):
        parts = reader.read(1, "md.tick.>")
        async for _ in parts:
            break
        await client.close()
        del parts
        gc.collect()

    assert trouble_of(nats_server, work) == []
