"""Streams, buckets and the object store are made as declared, once, and mended if they differ."""

import asyncio

from nats.js.api import StreamInfo

from deploy.local.streams import ALL_STREAMS, empty_streams, ensure_streams
from realtime.connection import connect
from realtime.contracts.subjects import BUCKETS, MODEL_STORE, STREAMS
from realtime.settings import Settings
from tests.fixtures.servers import NatsServer


def infos(settings: Settings) -> dict[str, StreamInfo]:
    async def ask() -> list[StreamInfo]:
        client = await connect(settings, "setup")
        found = await client.jetstream().streams_info()
        await client.close()
        return found

    return {str(info.config.name): info for info in asyncio.run(ask())}


def test_every_declared_stream_is_there_with_its_subjects_and_limits(
    nats_server: NatsServer,
) -> None:
    found = infos(nats_server.settings)
    assert set(found) == set(ALL_STREAMS)
    for stream in STREAMS:
        config = found[stream.name].config
        assert config.subjects == list(stream.subjects)
        assert config.max_bytes == int(stream.max_gib * 2**30)
        assert config.max_age == stream.max_age_days * 86_400
        assert config.storage == "file"


def test_a_second_run_changes_nothing(nats_server: NatsServer) -> None:
    assert ensure_streams(nats_server.settings) == []


def test_a_stream_that_somebody_changed_is_mended_and_keeps_its_messages(
    nats_server: NatsServer,
) -> None:
    settings = nats_server.settings
    nats_server.empty()

    async def change() -> None:
        gateway = await connect(settings, "gateway")
        await gateway.jetstream().publish("md.tick.EURUSD", b"kept")
        await gateway.close()
        setup = await connect(settings, "setup")
        js = setup.jetstream()
        config = (await js.stream_info("TICKS")).config
        await js.update_stream(config.evolve(max_bytes=1_000_000))
        await setup.close()

    asyncio.run(change())
    assert ensure_streams(settings) == ["stream TICKS changed"]
    info = infos(settings)["TICKS"]
    assert info.config.max_bytes == 16 * 2**30
    assert info.state.messages == 1


def test_emptied_streams_begin_at_one_again(nats_server: NatsServer) -> None:
    settings = nats_server.settings

    async def publish() -> int:
        gateway = await connect(settings, "gateway")
        ack = await gateway.jetstream().publish("md.tick.EURUSD", b"x")
        await gateway.close()
        return ack.seq

    asyncio.run(publish())
    empty_streams(settings)
    assert infos(settings)["TICKS"].state.messages == 0
    assert asyncio.run(publish()) == 1


def test_buckets_keep_who_was_champion_before(nats_server: NatsServer) -> None:
    nats_server.empty()

    async def history() -> list[bytes | None]:
        client = await connect(nats_server.settings, "operator")
        bucket = await client.jetstream().key_value(BUCKETS[0])
        for value in (b"first", b"second"):
            await bucket.put("EURUSD", value)
        entries = await bucket.history("EURUSD")
        await client.close()
        return [entry.value for entry in entries]

    assert asyncio.run(history()) == [b"first", b"second"]
    assert f"OBJ_{MODEL_STORE}" in infos(nats_server.settings)
