"""The whole spine as processes: servers, simulated terminal, gateway, loop, recorder.

Started the way a user starts them, in lock-step, on files of the test; any of them can be killed
and started again. What was recorded is compared with the fold over the same ticks.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString

import numpy as np

from realtime.bundle import Bundle
from realtime.connection import connect
from realtime.contracts import subjects
from realtime.contracts.control_pb2 import Permit, Reached
from realtime.desk import desk_of
from realtime.history.lake import Lake, month_of
from realtime.history.lake_read import read_lake_ticks
from realtime.kernels.features.feature_set import FeatureSet
from realtime.model import load_model
from realtime.model_fold import Folded, apply_decision, fold_models
from realtime.settings import Settings, load_settings
from tests.fixtures.bundles import logistic_bundle, promote
from tests.fixtures.servers import NatsServer, Postgres, running_nats, running_postgres

ROOT = Path(__file__).resolve().parents[2]
DAY_NS = 86_400_000_000_000
ACCOUNT = "paper"
FEATURES = ("m1_rsi_14", "m1_natr_14", "m5_rsi_14", "m1_spread_z_100")
WEIGHTS = (0.12, 0.0, 0.02, 0.0)
BIAS = -7.0
DECISION = {
    "enter_probability": 0.6,
    "exit_probability": 0.5,
    "edge_cost_ratio": 0.0,
    "fixed_lots": 0.5,
    "stop_loss_fraction": 0.0008,
    "take_profit_fraction": 0.0011,
}
COMMANDS = {
    "terminal": ("-m", "mt5_gateway.simulator"),
    "gateway": ("-m", "mt5_gateway"),
    "loop": ("-m", "realtime", "loop"),
    "recorder": ("-m", "realtime", "recorder"),
}
_TOML = """trade = [{symbols}]
[account]
balance = 100_000
mode = "{mode}"
[account_limits]
max_orders = 0
[limits]
max_model_age = "0s"
{more}
[paths]
var = "{var}"
lake = "{lake}"
secrets = "{secrets}"
[nats]
url = "{nats}"
[database]
url = "{database}"
[gateway]
account = "paper"
terminal = "{terminal}"
lockstep = true
history_from = "2000-01-01"
"""


class Spine:
    """One run of everything in a folder."""

    def __init__(
        self, folder: Path, nats: NatsServer, postgres: Postgres, symbols: Sequence[str],
        *, mode: str = "netting", more: str = "",
    ) -> None:  # fmt: skip
        self.folder, self.nats, self.postgres = folder, nats, postgres
        self.symbols = tuple(symbols)
        self.lake = Lake(folder / "lake")
        self.config = folder / "settings.toml"
        self.restarts = 0  # how often a service that ended by itself is started again
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self.bundles: dict[str, tuple[Path, Bundle]] = {}
        secrets = folder / "secrets"
        secrets.mkdir(mode=0o700)
        for server in (nats, postgres):
            for each in server.settings.paths.secrets.iterdir():
                (secrets / each.name).write_bytes(each.read_bytes())
        self.config.write_text(
            _TOML.format(
                symbols=", ".join(f'"{name}"' for name in symbols), mode=mode, more=more,
                var=folder / "var", lake=folder / "lake", secrets=secrets,
                nats=nats.settings.nats.url, database=postgres.settings.database.url,
                terminal=folder / "terminal.socket",
            )
        )  # fmt: skip
        self.run_tool("-m", "realtime.store", "migrate")

    @property
    def settings(self) -> Settings:
        return load_settings(self.config, {})

    # --- data and models ------------------------------------------------------------------------

    def store_ticks(self, symbol: str, ticks: np.ndarray) -> None:
        """Put ticks into the lake that the terminal plays."""
        months = [month_of(int(t)) for t in ticks["time_ns"]]
        with self.lake.writing():
            for month in sorted(set(months)):
                own = np.array([each == month for each in months])
                self.lake.write_month("ticks", symbol, month, ticks[own])

    def promote(self, symbol: str, trained_through_ns: int, **more: Any) -> Bundle:
        """Make a champion that trades on RSI."""
        place = self.folder / "bundles" / f"{symbol}-{len(self.bundles)}"
        given: dict[str, Any] = {
            "features": FEATURES,
            "weights": WEIGHTS,
            "bias": BIAS,
            "decision": DECISION,
        }
        bundle = logistic_bundle(
            place, symbol=symbol, trained_through_ns=trained_through_ns, **{**given, **more}
        )
        asyncio.run(promote(self.settings, place))
        self.bundles[symbol] = (place, bundle)
        return bundle

    def ticks(self) -> np.ndarray:
        """All ticks in the order of the feed."""
        return np.concatenate(list(read_lake_ticks(self.lake, self.symbols)))

    def fold(self) -> Folded:
        """The backtest over the same ticks."""
        ticks = self.ticks()
        desk = desk_of(
            self.settings,
            start_ns=int(ticks["time_ns"][0]) - DAY_NS,
            end_ns=int(ticks["time_ns"][-1]) + DAY_NS,
        )
        models = [load_model(self.bundles[name][0]) for name in self.symbols]
        for row, model in enumerate(models):
            apply_decision(desk, row, model.bundle.decision)
        sets = [FeatureSet(features=model.bundle.features) for model in models]
        clocks = [model.bundle.clock for model in models]
        return fold_models(desk, feature_sets=sets, clocks=clocks, models=models, ticks=ticks)

    # --- processes --------------------------------------------------------------------------------

    def start(self, *names: str) -> None:
        """Start services."""
        for name in names:
            command = [sys.executable, *COMMANDS[name], "--config", str(self.config)]
            if name == "terminal":
                command += ["--lake", str(self.folder / "lake")]
            with self.log(name).open("ab") as log:
                self.processes[name] = subprocess.Popen(
                    command, cwd=ROOT, stdout=log, stderr=log,
                    env={**os.environ, "PYTHONPATH": str(ROOT)}, start_new_session=True,
                )  # fmt: skip

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def kill9(self, name: str) -> None:
        """Kill a service with everything it started, as power or the kernel would."""
        process = self.processes[name]
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)

    def stop(self) -> None:
        """Stop all that runs."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(10)

    def run_tool(self, *arguments: str) -> str:
        """Run a command of the project; what it printed."""
        done = subprocess.run(
            [sys.executable, *arguments, "--config", str(self.config)],
            cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True,
            check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    # --- waiting --------------------------------------------------------------------------------

    def await_end(self, within_s: float) -> int:
        """Wait until the loop has reached the end of the replay; the last number of the feed."""
        return asyncio.run(self._await_end(within_s))

    def await_feed(self, feed_seq: int, within_s: float) -> int:
        """Wait until the loop has reached a number of the feed."""
        return asyncio.run(self._await(within_s, lambda seen: seen["reached"] >= feed_seq))

    async def _await_end(self, within_s: float) -> int:
        return await self._await(within_s, lambda seen: 0 < seen["end"] <= seen["reached"])

    async def _await(self, within_s: float, is_done: Callable[[dict[str, int]], bool]) -> int:
        seen = {"end": 0, "reached": 0}
        done = asyncio.Event()
        client = await connect(self.settings, "operator")

        async def permitted(message) -> None:
            permit = Permit.FromString(message.data)
            if permit.end:
                seen["end"] = permit.through_feed_seq
            if is_done(seen):
                done.set()

        async def reached(message) -> None:
            seen["reached"] = max(seen["reached"], Reached.FromString(message.data).feed_seq)
            if is_done(seen):
                done.set()

        await client.subscribe(subjects.permit_subject(ACCOUNT), cb=permitted)
        await client.subscribe(subjects.reached_subject(ACCOUNT), cb=reached)
        try:
            await asyncio.wait_for(self._watched(done), within_s)
        except TimeoutError:
            msg = f"not there within {within_s} s: {seen}\n{self.tails()}"
            raise AssertionError(msg) from None
        finally:
            await client.close()
        return seen["reached"]

    async def _watched(self, done: asyncio.Event) -> None:
        while not done.is_set():
            dead = [n for n, p in self.processes.items() if p.poll() not in (None, -9)]
            if (
                self.restarts > 0 and dead
            ):  # a server that it needs was not there: as `make up` does
                self.restarts -= len(dead)
                self.start(*dead)
                dead = []
            assert not dead, f"{dead} ended\n{self.tails()}"
            await asyncio.sleep(0.1)

    def await_recorded(self, within_s: float = 60.0) -> None:
        """Wait until the recorder has written everything that the streams hold."""
        time.sleep(1.0)  # what the loop wrote last is on its way
        held = asyncio.run(self._held())
        end = time.monotonic() + within_s
        behind = dict(held)
        while behind and time.monotonic() < end:
            time.sleep(0.2)
            with self.postgres.connect() as connection:
                rows = connection.execute("select stream, last_stream_seq from recorded").fetchall()
            written = {str(stream): int(seq) for stream, seq in rows}
            behind = {name: seq for name, seq in held.items() if written.get(name, 0) < seq}
        assert not behind, f"not recorded within {within_s} s: {behind}\n{self.tails()}"

    async def _held(self) -> dict[str, int]:
        client = await connect(self.settings, "operator")
        try:
            js = client.jetstream()
            names = ("TICKS", "BARS", "DECISIONS", "ORDERS", "REPORTS")
            return {name: (await js.stream_info(name)).state.last_seq for name in names}
        finally:
            await client.close()

    def one(self, query: LiteralString) -> int:
        with self.postgres.connect() as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return int(row[0])

    def tails(self, lines: int = 12) -> str:
        """The last lines of every log."""
        parts = []
        for name in COMMANDS:
            if self.log(name).exists():
                tail = self.log(name).read_text(errors="replace").splitlines()[-lines:]
                parts.append(f"--- {name}\n" + "\n".join(tail))
        return "\n".join(parts)

    def report(self) -> str:
        return json.dumps({name: p.poll() for name, p in self.processes.items()})


@contextmanager
def running_spine(folder: Path, symbols: Sequence[str], **settings: str) -> Generator[Spine]:
    """Run servers of its own and give the rest to be started."""
    for name in ("nats", "postgres", "run"):
        (folder / name).mkdir()
    with running_nats(folder / "nats") as nats, running_postgres(folder / "postgres") as postgres:
        spine = Spine(folder / "run", nats, postgres, symbols, **settings)
        try:
            yield spine
        finally:
            spine.stop()
