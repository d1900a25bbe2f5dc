"""Streams, buckets and the object store: made as `realtime.contracts.subjects` declares them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.api import (
    DiscardPolicy,
    KeyValueConfig,
    ObjectStoreConfig,
    RetentionPolicy,
    StorageType,
    StreamConfig,
)
from nats.js.errors import APIError, BadBucketError, NotFoundError

from deploy.local.errors import StackError
from realtime.connection import Client, connect
from realtime.contracts.subjects import BUCKETS, MODEL_STORE, STREAMS, Stream
from realtime.settings import Settings

# nats-py leaves some keyword arguments without types: that is what the ignores are for.
USER = "setup"
_DAY_S = 86_400.0
_GIB = 2**30
# Within which a message id is known again; producers number what they send, this is a second net.
_DUPLICATES_S = 120.0
_KEPT_VALUES = 64  # of every key: who was champion before, when the switch was thrown
_BUCKET_BYTES = _GIB
_TRIES, _BETWEEN_TRIES_S = 50, 0.1
_OBJECTS_BYTES = 8 * _GIB
_STILL_DELETING = 10049  # err_code: the files of a large stream are not gone yet

ALL_STREAMS = (
    *(stream.name for stream in STREAMS),
    *(f"KV_{bucket}" for bucket in BUCKETS),
    f"OBJ_{MODEL_STORE}",
)


def ensure_streams(settings: Settings) -> list[str]:
    """Make what is missing and change what differs; return what was made or changed.

    Raises:
        ConnectionRefused: no server, or a wrong password.
        StackError: the server refuses a change.
    """
    return asyncio.run(_ensure(settings))


def empty_streams(settings: Settings) -> None:
    """Forget every message, value and object; sequence numbers begin at 1 again.

    Raises:
        ConnectionRefused: no server, or a wrong password.
        StackError: the server refuses.
    """
    asyncio.run(_forget(settings))


def stream_config(stream: Stream) -> StreamConfig:
    """Return what JetStream is told about a stream.

    The oldest messages go when it is full. Values that the server chooses by itself are spelled
    out, so that a comparison with what is there says whether anything was changed.
    """
    return StreamConfig(
        name=stream.name,
        subjects=list(stream.subjects),
        retention=RetentionPolicy.LIMITS,
        storage=StorageType.FILE,
        discard=DiscardPolicy.OLD,
        max_age=stream.max_age_days * _DAY_S,
        max_bytes=int(stream.max_gib * _GIB),
        duplicate_window=_DUPLICATES_S,
        num_replicas=1,
        allow_direct=True,
        deny_delete=stream.name in ("ORDERS", "REPORTS"),
    )


async def _ensure(settings: Settings) -> list[str]:
    client = await connect(settings, USER)
    try:
        js = _jetstream(client, settings)
        done = [name for each in STREAMS if (name := await _ensure_stream(js, each))]
        done += [name for each in BUCKETS if (name := await _ensure_bucket(js, each))]
        return done + await _ensure_objects(js)
    except NatsError as error:
        msg = f"the NATS server refuses to make the streams: {error}"
        raise StackError(msg) from error
    finally:
        await client.close()


def _jetstream(client: Client, settings: Settings) -> JetStreamContext:
    return client.jetstream(timeout=settings.nats.timeout_ns / 1e9)  # pyright: ignore[reportUnknownMemberType]


async def _ensure_stream(js: JetStreamContext, stream: Stream) -> str:
    wanted = stream_config(stream)
    try:
        found = (await js.stream_info(stream.name)).config
    except NotFoundError:
        await _patiently(lambda: js.add_stream(wanted))  # pyright: ignore[reportUnknownMemberType]
        return f"stream {stream.name} made"
    same = all(
        getattr(found, name) == getattr(wanted, name)
        for name in ("subjects", "max_age", "max_bytes", "duplicate_window", "allow_direct")
    )
    if same:
        return ""
    await js.update_stream(wanted)  # pyright: ignore[reportUnknownMemberType]
    return f"stream {stream.name} changed"


async def _patiently(make: Callable[[], Awaitable[object]]) -> None:
    for left in reversed(range(_TRIES)):
        try:
            await make()
        except APIError as error:
            if error.err_code != _STILL_DELETING or not left:
                raise
            await asyncio.sleep(_BETWEEN_TRIES_S)
        else:
            return


async def _ensure_bucket(js: JetStreamContext, bucket: str) -> str:
    try:
        await js.key_value(bucket)
    except (NotFoundError, BadBucketError):
        config = KeyValueConfig(
            bucket=bucket,
            history=_KEPT_VALUES,
            storage=StorageType.FILE,
            max_bytes=_BUCKET_BYTES,
            direct=True,
        )
        await _patiently(lambda: js.create_key_value(config))  # pyright: ignore[reportUnknownMemberType]
        return f"bucket {bucket} made"
    return ""


async def _ensure_objects(js: JetStreamContext) -> list[str]:
    try:
        await js.object_store(MODEL_STORE)
    except (NotFoundError, BadBucketError):
        config = ObjectStoreConfig(
            bucket=MODEL_STORE, storage=StorageType.FILE, max_bytes=_OBJECTS_BYTES
        )
        await _patiently(lambda: js.create_object_store(MODEL_STORE, config=config))  # pyright: ignore[reportUnknownMemberType]
        return [f"object store {MODEL_STORE} made"]
    return []


async def _forget(settings: Settings) -> None:
    client = await connect(settings, USER)
    try:
        js = _jetstream(client, settings)
        for name in ALL_STREAMS:
            with suppress(NotFoundError):
                await js.delete_stream(name)
    except NatsError as error:
        msg = f"the NATS server refuses to empty the streams: {error}"
        raise StackError(msg) from error
    finally:
        await client.close()
    await _ensure(settings)
