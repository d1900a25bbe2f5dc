"""Reading streams that hold rubbish, through a real NATS server."""

import asyncio

from mt5_gateway.recorded import last_readable, read_from
from realtime.connection import connect

SUBJECT = "md.tick.EURUSD"


def whole_number(payload):
    return int(payload) if payload.isdigit() else None


def after(nats_server, payloads, read):
    """Publish payloads and read with a client."""
    nats_server.empty()

    async def main():
        client = await connect(nats_server.settings, "gateway")
        for payload in payloads[:-1]:
            await client.publish(SUBJECT, payload)
        for payload in payloads[-1:]:  # its answer says that the stream has all of them
            await client.jetstream().publish(SUBJECT, payload)
        try:
            return await read(client)
        finally:
            await client.close()

    return asyncio.run(main())


def last(client):
    return last_readable(client, "TICKS", SUBJECT, whole_number)


def test_the_last_readable_message_is_found_behind_any_rubbish(nats_server):
    assert after(nats_server, [], last) == (None, 0)
    assert after(nats_server, [b"1", b"2"], last) == (2, 0)
    assert after(nats_server, [b"1", b"2", b"x"], last) == (2, 1)
    assert after(nats_server, [b"1", b"2", *([b"x"] * 700)], last) == (2, 700)
    assert after(nats_server, [b"x"] * 100, last) == (None, 100)


def test_a_part_of_a_stream_is_read(nats_server):
    payloads = [str(number).encode() for number in range(1, 3_001)]
    found = after(
        nats_server, payloads, lambda client: read_from(client, "TICKS", SUBJECT, 10, 1_500)
    )
    assert [each.payload for each in found] == payloads[9:1_500]
