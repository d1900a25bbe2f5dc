"""Finding a bundle by its id: where the loop keeps it, or else in the object store."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nats.errors import Error as NatsError

from realtime.bundle import BundleError, BundleUnreadable, read_bundle, unpack
from realtime.connection import ConnectionRefused, connect
from realtime.contracts.subjects import MODEL_STORE, token
from realtime.service import run_async
from realtime.settings import Settings

_USER = "operator"
_TIMEOUT_S = 30.0


def find_bundle(settings: Settings, bundle_id: str) -> Path:
    """Return the directory of a bundle that was once in force; it is fetched if it is not here.

    Raises:
        BundleUnreadable: it is neither here nor in the object store.
        BundleError: what is there is not it.
    """
    for directory in _places(settings, bundle_id):
        if directory.is_dir():
            try:
                if read_bundle(directory).id == bundle_id:
                    return directory
            except BundleError:
                continue  # damaged: the object store may have it whole
    target = settings.paths.var / "bundles" / token(bundle_id)
    fetched: list[bytes] = []

    async def fetch() -> int:
        fetched.append(await _fetch(settings, bundle_id))
        return 0

    run_async(fetch())
    bundle = unpack(fetched[0], target, hashlib.sha256(fetched[0]).hexdigest())
    if bundle.id != bundle_id:
        msg = f"the object store has {bundle.id} under the name of {bundle_id}"
        raise BundleUnreadable(msg)
    return target


def _places(settings: Settings, bundle_id: str) -> Iterator[Path]:
    var, name = settings.paths.var, token(bundle_id)
    yield var / "loop" / token(settings.gateway.account) / "bundles" / name
    yield from sorted(var.glob(f"loop/*/bundles/{name}"))
    yield var / "bundles" / name


async def _fetch(settings: Settings, bundle_id: str) -> bytes:
    try:
        client = await connect(settings, _USER)
    except ConnectionRefused as error:
        msg = f"bundle {bundle_id} is not in {settings.paths.var}, and {error}"
        raise BundleUnreadable(msg) from None
    try:
        untyped: Any = client
        store = await untyped.jetstream(timeout=_TIMEOUT_S).object_store(MODEL_STORE)
        found = await store.get(f"{bundle_id}.tar")
    except (NatsError, TimeoutError, OSError) as error:
        msg = (
            f"bundle {bundle_id} is neither in {settings.paths.var} nor in the object store"
            f" {MODEL_STORE}: {error or type(error).__name__}"
        )
        raise BundleUnreadable(msg) from None
    finally:
        await client.close()
    return bytes(found.data or b"")
