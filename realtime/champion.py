"""The promoted bundle of each symbol: announced in the bucket `champion`, kept in the object store.

`Champions` looks at the bucket, fetches what is new, checks and loads it away from the event loop,
and hands the model over. Whatever is wrong with an announcement is said in one line, once, and the
model before stays in force. It asks the server each time anew, so it needs no connection that
lasts: servers may come and go.
"""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, cast

from nats.errors import Error as NatsError
from nats.js.errors import DigestMismatchError, ObjectNotFoundError

from realtime.bundle import (
    STAGES,
    Bundle,
    BundleError,
    BundleHashMismatch,
    BundleMisplaced,
    BundleUnreadable,
    read_bundle,
    unpack,
)
from realtime.connection import Client, connect
from realtime.contracts.subjects import CHAMPION_BUCKET, MODEL_STORE, key, token
from realtime.model import Model, load_model
from realtime.settings import Settings
from realtime.streams import StreamReader, StreamUnavailable

LOOK_EVERY_S = 0.5
_FETCH_S = 30.0
_ANSWER_S = 5.0
_BUCKET_STREAM = f"KV_{CHAMPION_BUCKET}"
_PLATFORM = "platform"


@dataclass(frozen=True, kw_only=True)
class Champion:
    """An announcement: the value of a key of the bucket.

    Attributes:
        bundle_id: of the bundle.
        object: its tar in the object store.
        sha256: of the tar, hex.
        stage: that it was promoted to: shadow, paper, live.
        symbol: that it predicts.
        promoted_ns: when, UTC.
        by: whom or what.
    """

    bundle_id: str
    object: str
    sha256: str
    stage: str
    symbol: str
    promoted_ns: int
    by: str

    def encode(self) -> bytes:
        """Return the value for the bucket."""
        return json.dumps(asdict(self), sort_keys=True).encode()


def parse_champion(value: bytes, symbol: str) -> Champion:
    """Read an announcement.

    Raises:
        BundleUnreadable: it is none.
        BundleMisplaced: it is another symbol's.
    """
    names = {item.name for item in fields(Champion)}
    content: Any = None
    with contextlib.suppress(ValueError):
        content = json.loads(value)
    if not isinstance(content, dict) or set(cast("dict[str, Any]", content)) != names:
        msg = f"the champion announced for {symbol} is not a table of {', '.join(sorted(names))}"
        raise BundleUnreadable(msg)
    champion = Champion(**cast("dict[str, Any]", content))
    for item in fields(Champion):
        if type(getattr(champion, item.name)) is not item.type:
            msg = f"the champion announced for {symbol} has a {item.name} that is no {item.type}"
            raise BundleUnreadable(msg)
    if champion.stage not in STAGES:
        msg = f"the champion announced for {symbol} has the stage {champion.stage!r}: {STAGES}"
        raise BundleUnreadable(msg)
    if champion.symbol != symbol:
        msg = f"the champion announced for {symbol} is one of {champion.symbol!r}: promote again"
        raise BundleMisplaced(msg)
    return champion


async def read_champion(client: Client, symbol: str) -> Champion | None:
    """Return what is announced for a symbol; None if nothing is, or it was withdrawn.

    Raises:
        BundleError: see `parse_champion`.
        StreamUnavailable: no answer.
    """
    reader = StreamReader(client, _BUCKET_STREAM)
    stored = await reader.last(_key(symbol))
    return None if stored is None or not stored.payload else parse_champion(stored.payload, symbol)


async def fetch_bundle(client: Client, champion: Champion, folder: Path) -> Path:
    """Fetch an announced bundle; return its directory in `folder`, where it stays for restarts.

    Raises:
        BundleError: see `unpack`; or it is not the one that was announced.
        StreamUnavailable: no answer.
    """
    directory = folder / token(champion.bundle_id)
    bundle = await asyncio.to_thread(_kept, directory)
    if bundle is None:
        data = await fetch_object(client, champion.object)
        bundle = await asyncio.to_thread(unpack, data, directory, champion.sha256)
    if (bundle.id, bundle.symbol) != (champion.bundle_id, champion.symbol):
        msg = (
            f"{champion.object} holds {bundle.id} for {bundle.symbol}, announced was"
            f" {champion.bundle_id} for {champion.symbol}: promote again"
        )
        raise BundleMisplaced(msg)
    return directory


def load_champion(directory: Path, stage: str) -> Model:
    """Load a fetched bundle; it counts as the lower of its own and the announced stage.

    Raises:
        BundleError: see `load_model`.
    """
    model = load_model(directory)
    lower = min(model.bundle.stage, stage, key=STAGES.index)
    model.bundle = replace(model.bundle, stage=lower)
    return model


async def publish_champion(
    settings: Settings, bundle: Bundle, data: bytes, promoted_ns: int, by: str
) -> Champion:
    """Put a packed bundle into the object store, then announce it, as the user ``platform``.

    Args:
        settings: which server.
        bundle: what `data` holds.
        data: as `pack` returned it.
        promoted_ns: now, UTC.
        by: who promotes, or what.

    Raises:
        ConnectionRefused: see `connect`.
        StreamUnavailable: the server did not take it; nothing was announced.
    """
    champion = Champion(
        bundle_id=bundle.id,
        object=f"{bundle.id}.tar",
        sha256=hashlib.sha256(data).hexdigest(),
        stage=bundle.stage,
        symbol=bundle.symbol,
        promoted_ns=promoted_ns,
        by=by,
    )
    client = await connect(settings, _PLATFORM)
    try:
        js = client.jetstream(timeout=settings.nats.timeout_ns / 1e9)  # pyright: ignore[reportUnknownMemberType]
        store = await js.object_store(MODEL_STORE)
        await store.put(champion.object, data)
        await js.publish(_key(champion.symbol), champion.encode(), stream=_BUCKET_STREAM)
    except (NatsError, OSError, TimeoutError) as error:
        msg = f"bundle {bundle.id} could not be promoted: {error or type(error).__name__}"
        raise StreamUnavailable(msg) from error
    finally:
        await client.close()
    return champion


class Champions:
    """Follows the champions of some symbols.

    Args:
        client: connected as a user that reads the bucket and the object store.
        symbols: whose champions.
        folder: where bundles are kept.
        take: given (symbol, model), on the event loop; raises `BundleError` if it cannot have it.
        alert: told of trouble as (code, one line).
    """

    def __init__(
        self,
        client: Client,
        symbols: Sequence[str],
        folder: Path,
        take: Callable[[str, Model], None],
        alert: Callable[[str, str], None],
    ) -> None:
        self._client = client
        self._symbols = tuple(symbols)
        self._folder = folder
        self._take = take
        self._alert = alert
        self._bucket = StreamReader(client, _BUCKET_STREAM)
        self._bucket_seq = -1
        self._seen: dict[str, int] = {}
        self._said = ""

    async def follow(self) -> None:
        """Look for news for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Look once; take what is new."""
        try:
            last_seq = (await self._bucket.bounds())[1]
            if last_seq == self._bucket_seq:
                return
            for symbol in self._symbols:
                await self._look_at(symbol)
            self._bucket_seq = last_seq
            self._said = ""
        except StreamUnavailable as error:
            if self._client.is_connected and self._said != str(error):
                self._said = str(error)
                self._alert("champion_unreachable", f"{error}: trying again")

    async def _look_at(self, symbol: str) -> None:
        stored = await self._bucket.last(_key(symbol))
        if stored is None or stored.seq == self._seen.get(symbol):
            return
        try:
            if stored.payload:  # empty: withdrawn; the model in force stays until another one comes
                champion = parse_champion(stored.payload, symbol)
                directory = await fetch_bundle(self._client, champion, self._folder)
                model = await asyncio.to_thread(load_champion, directory, champion.stage)
                self._take(symbol, model)
        except BundleError as error:
            self._alert("bundle_refused", f"{error}; what was in force for {symbol} stays")
        self._seen[symbol] = stored.seq


def _kept(directory: Path) -> Bundle | None:
    """Return the bundle of a directory, if it is whole."""
    try:
        return read_bundle(directory)
    except BundleError:
        return None


async def fetch_object(client: Client, name: str) -> bytes:
    """Return an object of the store of models.

    Raises:
        BundleError: there is none of that name, or it is damaged.
        StreamUnavailable: no answer.
    """
    js = client.jetstream(timeout=_ANSWER_S)  # pyright: ignore[reportUnknownMemberType]
    try:
        async with asyncio.timeout(_FETCH_S):
            store = await js.object_store(MODEL_STORE)
            found = await store.get(name)
    except ObjectNotFoundError:
        msg = f"there is no {name!r} in the object store {MODEL_STORE}: promote again"
        raise BundleUnreadable(msg) from None
    except DigestMismatchError:
        msg = f"{name!r} is damaged in the object store {MODEL_STORE}: promote again"
        raise BundleHashMismatch(msg) from None
    except (NatsError, OSError, TimeoutError) as error:
        msg = f"{name!r} cannot be fetched: {error or type(error).__name__}"
        raise StreamUnavailable(msg) from error
    return bytes(found.data or b"")


def _key(symbol: str) -> str:
    return f"$KV.{CHAMPION_BUCKET}.{key(symbol)}"
