"""Handing served rows to a feature store that answers, refuses, sleeps and comes back."""

import argparse
import asyncio
import json
import math
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from realtime.bundle import pack
from realtime.champion import publish_champion
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.predictions_pb2 import Prediction
from realtime.contracts.subjects import prediction_subject, token
from realtime.outbox import publish_now
from realtime.push import NAME, Pusher, PushRefused, Row, push_body, view_name
from realtime.service import Service
from tests.fixtures.bundles import logistic_bundle
from tests.fixtures.servers import nats_server
from tests.realtime.loop_runs import FEATURES, settings_for

__all__ = ["nats_server"]

NOON = 1_700_000_000_123_456_789


class Store:
    """An HTTP server that takes pushes as `feast serve` does."""

    def __init__(self):
        self.bodies, self.status, self.hold = [], 200, threading.Event()
        self.hold.set()
        store = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                store.hold.wait(10)
                if store.status == 200:
                    store.bodies.append((self.path, json.loads(body)))
                text = b"" if store.status == 200 else b'{"detail": "no such push source"}'
                self.send_response(store.status)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, format, *args):  # noqa: A002 (the base class's)
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.port = self.server.server_port
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,))
        self.thread.start()

    def close(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def store():
    served = Store()
    yield served
    served.close()


@pytest.fixture
def bundle(tmp_path):
    return logistic_bundle(tmp_path / "bundle", features=FEATURES, weights=(1.0, 1.0, 1.0))


def a_row(bundle, **changed):
    fields: dict[str, Any] = {
        "symbol": "EURUSD", "bundle_id": bundle.id, "event_ns": NOON, "created_ns": NOON + 5,
        "values": (1.5, math.nan, -2.0), "heard_s": 0.0, **changed,
    }  # fmt: skip
    return Row(**fields)


def test_a_row_becomes_what_feast_wants(bundle):
    body = json.loads(push_body(a_row(bundle), bundle))
    assert body == {
        "push_source_name": f"m1_{bundle.feature_set[:8]}_push",
        "to": "online",
        "df": {
            "event_timestamp": ["2023-11-14T22:13:20.123456+00:00"],
            "created_timestamp": ["2023-11-14T22:13:20.123456+00:00"],
            "symbol": ["EURUSD"],
            "m1_rsi_14": [1.5],
            "m1_atr_14": [None],
            "tick_spread": [-2.0],
        },
    }


def test_the_view_has_the_name_that_the_feature_repository_gives_it(bundle):
    feature_files = pytest.importorskip("ml.feature_files")
    assert view_name("m1", bundle.feature_set) == feature_files.view_name("m1", bundle.chosen)


def test_a_row_of_another_length_than_the_bundles_is_refused(bundle):
    with pytest.raises(PushRefused, match="2 features"):
        push_body(a_row(bundle, values=(1.0, 2.0)), bundle)


class Pushing:
    """The service in this process, and somebody who predicts."""

    def __init__(self, settings, port):
        self.service = Service(NAME, settings, argparse.Namespace(), WallClock())
        self.settings, self.port, self.alerts = settings, port, []
        self.service.alert = lambda severity, code, text, **_: self.alerts.append((code, text))

    async def __aenter__(self):
        await self.service.open()
        self.loop = await connect(self.settings, "loop")
        self.pusher = Pusher(self.service, "127.0.0.1", self.port)
        await self.pusher.listen()
        for _ in range(2):  # the first PING may overtake the subscription
            await self.service.client.flush()
        self.task = asyncio.create_task(self.pusher.work())
        return self

    async def __aexit__(self, *_):
        self.service.stop()
        await self.task
        await self.loop.close()
        await self.service.close()

    def predict(self, bundle, number, symbol="EURUSD"):
        said = Prediction(
            symbol=symbol, number=number, bundle_id=bundle.id, tick_ns=NOON + number * 1_000_000,
            feature_set=bundle.feature_set, features=[float(number), 2.0, 3.0],
            predicted_ns=NOON + number * 1_000_000,
        )  # fmt: skip
        publish_now(self.loop, prediction_subject(symbol), said.SerializeToString())

    async def until(self, condition):
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110 (of a server, there is no event)
                await asyncio.sleep(0.01)


@pytest.fixture
def settings(nats_server, tmp_path, bundle):
    settings = settings_for(nats_server.settings, tmp_path)
    place = settings.paths.var / "loop" / "paper" / "bundles" / token(bundle.id)
    shutil.copytree(tmp_path / "bundle", place)
    return settings


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 30))


def pushed(store, symbol="EURUSD"):
    found = [body["df"] for _, body in store.bodies]
    return [each["m1_rsi_14"][0] for each in found if each["symbol"] == [symbol]]


def test_what_is_predicted_on_is_pushed(settings, store, bundle):
    async def check():
        async with Pushing(settings, store.port) as pushing:
            pushing.predict(bundle, 1)
            pushing.predict(bundle, 2, "USDJPY")
            await pushing.until(lambda: len(store.bodies) == 2)
            assert {path for path, _ in store.bodies} == {"/push"}
            assert pushed(store) == [1.0]
            assert pushed(store, "USDJPY") == [2.0]

    run(check())


def test_rows_that_come_faster_than_the_store_takes_them_are_skipped(settings, store, bundle):
    async def check():
        async with Pushing(settings, store.port) as pushing:
            store.hold.clear()
            for number in range(1, 51):
                pushing.predict(bundle, number)
                await asyncio.sleep(0.002)
            store.hold.set()
            await pushing.until(lambda: pushed(store)[-1:] == [50.0])
            assert len(pushed(store)) <= 3
            assert pushing.alerts == []

    run(check())


def test_a_store_that_refuses_is_said_once_and_gets_the_latest_when_it_takes_it(
    settings, store, bundle, monkeypatch
):
    monkeypatch.setattr("realtime.push._RETRY_S", 0.05)

    async def check():
        async with Pushing(settings, store.port) as pushing:
            store.status = 422
            pushing.predict(bundle, 1)
            await pushing.until(lambda: pushing.alerts)
            pushing.predict(bundle, 2)
            await asyncio.sleep(0.3)
            assert [code for code, _ in pushing.alerts] == ["push_failed"]
            assert "answers 422" in pushing.alerts[0][1]
            assert "no such push source" in pushing.alerts[0][1]
            store.status = 200
            await pushing.until(lambda: pushed(store) == [2.0])

    run(check())


def test_a_store_that_is_away_is_said_in_one_line(settings, store, bundle):
    async def check():
        async with Pushing(settings, 1) as pushing:
            pushing.predict(bundle, 1)
            await pushing.until(lambda: pushing.alerts)
            code, text = pushing.alerts[0]
            assert code == "push_failed"
            assert "no feature store answers at 127.0.0.1:1" in text
            assert "\n" not in text

    run(check())


def test_rows_older_than_they_are_worth_are_dropped(settings, store, bundle, monkeypatch):
    monkeypatch.setattr("realtime.push._MOST_AGE_S", 0.1)
    monkeypatch.setattr("realtime.push._RETRY_S", 0.05)

    async def check():
        async with Pushing(settings, 1) as pushing:
            pushing.predict(bundle, 1)
            await pushing.until(lambda: pushing.pusher.dropped == 1)

    run(check())


def test_rubbish_on_the_wire_is_said_and_passed_over(settings, store, bundle):
    async def check():
        async with Pushing(settings, store.port) as pushing:
            publish_now(pushing.loop, prediction_subject("EURUSD"), b"\xff\xff")
            pushing.predict(bundle, 1)
            await pushing.until(lambda: pushed(store) == [1.0])
            assert [code for code, _ in pushing.alerts] == ["corrupt_message"]

    run(check())


def test_the_columns_of_a_bundle_that_is_not_here_come_out_of_the_store_of_models(
    nats_server, store, bundle, tmp_path
):
    nats_server.empty()
    settings = settings_for(nats_server.settings, tmp_path)

    async def check():
        await publish_champion(settings, bundle, pack(tmp_path / "bundle"), NOON, "test")
        async with Pushing(settings, store.port) as pushing:
            pushing.predict(bundle, 1)
            await pushing.until(lambda: pushed(store) == [1.0])

    run(check())
