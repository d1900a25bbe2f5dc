"""Handing the features that the loop served to the online feature store, over HTTP.

Listens to predictions, which carry the row they rest on, and posts the latest of each symbol to
``feast serve``. The store answers in tens of milliseconds; a symbol that predicts faster is pushed
as it comes round, and rows in between are skipped: the online store keeps the latest only. Nothing
waits for this service; when the store is away, rows older than they are worth are dropped.
"""

import asyncio
import contextlib
import http.client
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from realtime.bundle import MANIFEST, Bundle, BundleError, parse_bundle, peek
from realtime.champion import fetch_object
from realtime.contracts.predictions_pb2 import Prediction
from realtime.contracts.subjects import token
from realtime.service import CannotStart, Service, options_parser, run
from realtime.streams import StreamUnavailable

NAME = "push"
FEAST_URL = "http://127.0.0.1:16566"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMEOUT_S = 10.0
_RETRY_S = 2.0
_MOST_AGE_S = 600.0  # after which a row that could not be pushed is dropped
_LOOK_S = 0.2


class PushRefused(RuntimeError):
    """The feature store is not there, or does not take a row."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """What a symbol was last served.

    Attributes:
        symbol: name.
        bundle_id: that asked for it.
        event_ns: the moment it is about.
        created_ns: when it was predicted on.
        values: in the order of the bundle's columns.
        heard_s: when it came in, monotonic.
    """

    symbol: str
    bundle_id: str
    event_ns: int
    created_ns: int
    values: tuple[float, ...]
    heard_s: float


def main(arguments: Sequence[str]) -> int:
    """``python -m realtime push``."""
    parser = options_parser(NAME)
    parser.add_argument("--feast-url", default=FEAST_URL, help="of feast serve")
    return run(NAME, arguments, serve, parser)


async def serve(service: Service) -> None:
    """Push until the service is stopped."""
    url = urlsplit(str(service.options.feast_url))
    if url.scheme != "http" or url.hostname is None:
        msg = f"--feast-url {service.options.feast_url}: must look like http://host:port"
        raise CannotStart(msg)
    pusher = Pusher(service, url.hostname, url.port or 80)
    await pusher.listen()
    await pusher.work()


def view_name(clock: str, feature_set: str) -> str:
    """Return the feature view of a feature set on a clock; as `ml.feature_files.view_name`."""
    return f"{clock}_{feature_set[:8]}"


def push_body(row: Row, bundle: Bundle) -> bytes:
    """Return the request that brings a row into the online store.

    Raises:
        PushRefused: the row is not one of the bundle's.
    """
    if len(row.values) != len(bundle.features):
        msg = f"{row.symbol} was served {len(row.values)} features, {bundle.id} has others"
        raise PushRefused(msg)
    columns: dict[str, list[Any]] = {
        "event_timestamp": [_text(row.event_ns)],
        "created_timestamp": [_text(row.created_ns)],
        "symbol": [row.symbol],
    }
    for name, value in zip(bundle.features, row.values, strict=True):
        columns[name] = [None if math.isnan(value) else value]  # JSON has no NaN
    source = f"{view_name(bundle.clock, bundle.feature_set)}_push"
    body = {"push_source_name": source, "df": columns, "to": "online"}
    return json.dumps(body, allow_nan=False).encode()


class Pusher:
    """Keeps the latest row of each symbol until the store has it.

    Args:
        service: that it runs in.
        host: of ``feast serve``.
        port: likewise.
    """

    def __init__(self, service: Service, host: str, port: int) -> None:
        self._service = service
        self._host, self._port = host, port
        self._rows: dict[str, Row] = {}
        self._bundles: dict[str, Bundle] = {}
        self._wake = asyncio.Event()
        self._said = ""
        self._not_before_s = 0.0
        self.pushed = 0
        self.dropped = 0

    async def listen(self) -> None:
        """Subscribe to predictions."""
        await self._service.client.subscribe("ml.prediction.>", cb=self._on_prediction)  # pyright: ignore[reportUnknownMemberType] (an argument we do not use)

    async def work(self) -> None:
        """Push what there is until the service is stopped."""
        service = self._service
        while not service.stopping.is_set():
            if self._rows and time.monotonic() >= self._not_before_s:
                await self._push_round()
            state, text = ("waiting", self._said) if self._said else ("running", "")
            service.health(state, text, pushed=self.pushed, dropped=self.dropped)
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._wake.wait()

    async def _on_prediction(self, msg: Msg) -> None:
        try:
            said = Prediction.FromString(msg.data)
        except DecodeError:
            self._service.alert("warning", "corrupt_message", f"on {msg.subject}: dropped")
            return
        known = self._rows.get(said.symbol)
        if known is not None and known.event_ns > said.tick_ns:
            return
        self._rows[said.symbol] = Row(
            symbol=said.symbol,
            bundle_id=said.bundle_id,
            event_ns=said.tick_ns,
            created_ns=max(said.predicted_ns, said.tick_ns),
            values=tuple(said.features),
            heard_s=time.monotonic(),
        )
        self._wake.set()

    async def _push_round(self) -> None:
        for symbol, row in tuple(self._rows.items()):
            if self._service.stopping.is_set():
                return
            try:
                await self._push(row)
            except (PushRefused, BundleError, StreamUnavailable) as error:
                self._complain(str(error))
                if time.monotonic() - row.heard_s > _MOST_AGE_S and self._rows[symbol] is row:
                    del self._rows[symbol]
                    self.dropped += 1
                self._not_before_s = time.monotonic() + _RETRY_S
                return
            self._said = ""
            self.pushed += 1
            if self._rows[symbol] is row:
                del self._rows[symbol]

    async def _push(self, row: Row) -> None:
        body = push_body(row, await self._bundle(row.bundle_id))
        await asyncio.to_thread(post, self._host, self._port, "/push", body)

    async def _bundle(self, name: str) -> Bundle:
        """Return what a bundle says of itself: from the loop's folder, or the store of models."""
        bundle = self._bundles.get(name)
        if bundle is None:
            folders = (self._service.settings.paths.var / "loop").glob("*/bundles")
            paths = [
                path for folder in folders if (path := folder / token(name) / MANIFEST).exists()
            ]
            if paths:
                bundle = await asyncio.to_thread(_manifest, paths[0])
            else:
                bundle = peek(await fetch_object(self._service.client, f"{name}.tar"), name)
            self._bundles[name] = bundle
        return bundle

    def _complain(self, text: str) -> None:
        if text != self._said:
            self._said = text
            self._service.alert("warning", "push_failed", f"{text}: trying again")


def post(host: str, port: int, path: str, body: bytes) -> None:
    """Post JSON.

    Raises:
        PushRefused: no answer in time, or another one than success: says which.
    """
    connection = http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        text = response.read(500).decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        msg = f"no feature store answers at {host}:{port} ({error or type(error).__name__})"
        raise PushRefused(msg) from None
    finally:
        connection.close()
    if response.status >= http.HTTPStatus.BAD_REQUEST:
        line = " ".join(text.split())[:200]
        msg = f"the feature store at {host}:{port} answers {response.status}: {line}"
        raise PushRefused(msg)


def _manifest(path: Path) -> Bundle:
    return parse_bundle(path.read_bytes(), str(path.parent))


def _text(time_ns: int) -> str:
    moment = _EPOCH + timedelta(microseconds=time_ns // 1_000)
    return moment.isoformat(timespec="microseconds")
