"""Running the loop for tests: in this process or in one that can be killed; and its backtest."""

import argparse
import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np

from realtime.bundle import pack
from realtime.champion import publish_champion
from realtime.clock import WallClock
from realtime.connection import connect
from realtime.contracts.control_pb2 import Alert, Health
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.desk import desk_of
from realtime.loop import serve
from realtime.model import load_model
from realtime.model_fold import apply_decision, fold_models
from realtime.service import Service
from realtime.streams import StreamReader
from realtime.warm import calendar_span
from tests.fixtures.bundles import logistic_bundle
from tests.parity.scenarios import made_ticks

ROOT = Path(__file__).resolve().parents[2]
FEATURES = ("m1_rsi_14", "m1_atr_14", "tick_spread")


def sound_ticks(count, seed=5):
    """Made ticks as a gateway lets them through: sound quotes, whole milliseconds, in order."""
    ticks = made_ticks(count, seed)
    ticks = ticks[(ticks["bid"] > 0) & (ticks["ask"] >= ticks["bid"])]
    ticks["time_ns"] = np.sort(ticks["time_ns"] // 1_000_000 * 1_000_000)
    ticks["last"], ticks["volume"], ticks["flags"] = np.nan, 0.0, 6
    return ticks


def settings_for(settings, folder, *, lockstep=True, **loop):
    """Settings of a loop with files of its own."""
    secrets = settings.paths.secrets
    return replace(
        settings,
        paths=replace(settings.paths, var=folder / "var", secrets=secrets),
        gateway=replace(settings.gateway, lockstep=lockstep),
        loop=replace(settings.loop, **loop),
    )


def a_bundle(folder, ticks, *, weight=0.3, warm=1000, **options):
    """A bundle that trades on momentum after the first ticks."""
    return logistic_bundle(
        folder,
        features=FEATURES,
        weights=(weight, 0.0, 0.0),
        bias=-50.0 * weight,
        trained_through_ns=int(ticks["time_ns"][warm]),
        **options,
    )


async def promote(settings, folder, bundle):
    await publish_champion(settings, bundle, pack(folder), time.time_ns(), "test")


def desk(settings, ticks, folder=None):
    span = calendar_span(int(ticks["time_ns"][0]), 0, lockstep=True)
    made = desk_of(settings, start_ns=span[0], end_ns=span[1])
    if folder is not None:
        apply_decision(made, 0, load_model(folder).bundle.decision)
    return made


def fold(settings, ticks, folder):
    """The backtest of one bundle on these ticks."""
    model = load_model(folder)
    return fold_models(
        desk(settings, ticks, folder),
        feature_sets=[model.bundle.chosen],
        clocks=[model.bundle.clock],
        models=[model],
        ticks=ticks,
    )


def assert_fills_equal(broker, folded):
    fills = np.concatenate([part for part in broker.all_fills if len(part)])
    assert len(fills) == len(folded.result.fills) > 10
    for name in fills.dtype.names or ():
        if name not in ("id", "order_id", "position_id"):
            assert np.array_equal(fills[name], folded.result.fills[name]), name


class LoopHere:
    """A loop in this process."""

    def __init__(self, settings, clock=None):
        clock = WallClock() if clock is None else clock
        self.service = Service("loop", settings, argparse.Namespace(), clock)
        self.alerts = []
        said = self.service.alert

        def alert(severity, code, text, **details):
            self.alerts.append((code, text))
            said(severity, code, text, **details)

        self.service.alert = alert

    @property
    def codes(self):
        return [code for code, _ in self.alerts]

    @property
    def health(self):
        return self.service._health

    async def __aenter__(self):
        await self.service.open()
        self.telling = asyncio.create_task(self.service.tell_health())
        self.task = asyncio.create_task(serve(self.service))
        return self

    async def __aexit__(self, *_):
        await self.stop()

    async def stop(self):
        if not self.service.stopping.is_set():
            self.service.stop()
            await self.task
            self.telling.cancel()
            await self.service.close()

    async def until(self, condition, within_s=20):
        async with asyncio.timeout(within_s):
            while not condition(self):
                if self.task.done():
                    self.task.result()
                await asyncio.sleep(0.01)

    def has_taken(self, feed_seq):
        return lambda loop: loop.health.numbers.get("feed_seq", 0) >= feed_seq


class LoopProcess:
    """A loop in a process of its own, that can be killed."""

    def __init__(self, settings, folder, more=""):
        self.config = folder / "loop.toml"
        self.log = folder / "loop.log"
        self.config.write_text(
            f"""
trade = {list(settings.trade)!r}
[nats]
url = "{settings.nats.url}"
[paths]
var = "{settings.paths.var}"
secrets = "{settings.paths.secrets}"
[gateway]
lockstep = {str(settings.gateway.lockstep).lower()}
[loop]
state_every = "{settings.loop.state_every_ns}ns"
{more}
"""
        )
        self.started: subprocess.Popen | None = None

    def start(self):
        with self.log.open("ab") as log:
            self.started = subprocess.Popen(
                [sys.executable, "-m", "realtime", "loop", "--config", str(self.config)],
                cwd=ROOT, stderr=log, env={**os.environ},
            )  # fmt: skip
        return self

    @property
    def process(self) -> subprocess.Popen:
        assert self.started is not None
        return self.started

    def kill9(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        """End it in good order; its exit code."""
        if self.process.poll() is not None:
            return self.process.returncode
        self.process.terminate()
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    @property
    def said(self):
        return self.log.read_text()


async def everything(settings, stream, subject, kind):
    """Every message of a kind that a stream holds, in its order."""
    client = await connect(settings, "operator")
    try:
        reader = StreamReader(client, stream)
        return [
            kind.FromString(stored.payload)
            async for part in reader.read(1, subject)
            for stored in part
        ]
    finally:
        await client.close()


def by_number(messages):
    """Messages without repetitions, by number; repetitions must be equal but for stage times."""
    found = {}
    for message in messages:
        found.setdefault(message.number, message)
    return found


def assert_recorded_once(predictions, decisions, consumed, count):
    """Every number is there, and every tick was consumed exactly once."""
    for messages in (predictions, decisions, consumed):
        assert sorted(by_number(messages)) == list(range(1, len(by_number(messages)) + 1))
    at = 1
    for _, message in sorted(by_number(consumed).items()):
        assert message.first_feed_seq == at
        at += len(message.now_minus_tick_ns)
    assert at == count + 1


async def records(settings):
    return (
        await everything(settings, "DECISIONS", "ml.prediction.>", Prediction),
        await everything(settings, "DECISIONS", "trade.decision.>", Decision),
        await everything(settings, "DECISIONS", "trade.consumed.>", Consumed),
    )


@contextlib.asynccontextmanager
async def listening(settings):
    """Alerts and health as they pass."""
    client = await connect(settings, "operator")
    alerts, health = [], []

    async def on_alert(msg):
        alerts.append(Alert.FromString(msg.data))

    async def on_health(msg):
        health.append(Health.FromString(msg.data))

    await client.subscribe("ops.alert.>", cb=on_alert)
    await client.subscribe("ops.health.>", cb=on_health)
    try:
        yield alerts, health
    finally:
        await client.close()
