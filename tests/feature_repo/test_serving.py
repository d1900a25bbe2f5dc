"""The whole way: real hours, feature files, training rows, online rows, pushes, HTTP."""

import json
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from feature_repo.declarations import declared
from ml.backtest.demo import demo_request
from ml.backtest.market import read_market
from ml.config import TrainingConfig
from ml.dataset import training_set
from ml.feast_store.__main__ import main
from ml.feast_store.repository import apply, materialize, opened
from ml.feature_files import EVENT, read_features, view_name, write_features
from ml.features import feature_rows
from realtime.history.bar_ticks import bar_ticks
from realtime.settings import PathSettings, Settings
from realtime.symbols import chosen_symbols, load_symbols
from tests.fixtures.servers import Postgres, running_postgres

ROOT = Path(__file__).resolve().parents[2]
CONFIG = TrainingConfig(symbol="EURUSD", clock="h1")
VIEW = view_name(CONFIG.clock, CONFIG.feature_set)


@dataclass(frozen=True, kw_only=True)
class Served:
    """A server under test, and the rows that it should know."""

    url: str
    process: subprocess.Popen[bytes]
    rows: pl.DataFrame
    settings: Settings
    database: Postgres

    def post(self, path: str, body: dict[str, Any]) -> tuple[int, Any]:
        request = urllib.request.Request(
            self.url + path,
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                content = answer.read()
                return answer.status, json.loads(content) if content else None
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.loads(error.read())

    def features(self, symbol: str = "EURUSD") -> dict[str, Any]:
        asked = {"feature_service": "EURUSD_h1", "entities": {"symbol": [symbol]}}
        status, answer = self.post("/get-online-features", asked)
        assert status == 200, answer
        names = answer["metadata"]["feature_names"]
        return {
            name: (each["values"][0], each["event_timestamps"][0])
            for name, each in zip(names, answer["results"], strict=True)
        }


def free_port() -> int:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        return bound.getsockname()[1]


def written_settings(folder: Path, server: Postgres) -> tuple[Settings, Path]:
    paths = PathSettings(
        var=folder / "var", lake=folder / "lake", secrets=server.settings.paths.secrets
    )
    settings = replace(server.settings, paths=paths)
    file = folder / "settings.toml"
    file.write_text(
        f'[paths]\nvar = "{paths.var}"\nlake = "{paths.lake}"\nsecrets = "{paths.secrets}"\n'
        f'[database]\nurl = "{settings.database.url}"\n'
    )
    return settings, file


def start(file: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "ml.feast_store", "serve"]
    command += ["--config", str(file), "--port", str(port)]
    with file.with_suffix(".log").open("wb") as log:
        process = subprocess.Popen(command, cwd=ROOT, stderr=log)
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                return process
        except OSError:
            time.sleep(0.1)
    process.kill()
    process.wait()
    raise AssertionError(file.with_suffix(".log").read_text())


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The demo's year of real hours: folded, in a lake, registered, materialised, served."""
    folder = tmp_path_factory.mktemp("served")
    request = demo_request()
    market = read_market(request, chosen_symbols(request.symbols, load_symbols()))
    ticks = bar_ticks(market.rows, point=1e-5)
    rows = feature_rows(ticks, CONFIG.feature_set, CONFIG.clock, "EURUSD")
    with running_postgres(folder) as server:
        settings, file = written_settings(folder, server)
        for (month,), part in rows.group_by(pl.col(EVENT).dt.strftime("%Y-%m")):
            write_features(settings.paths.lake, VIEW, "EURUSD", str(month), part)
        with opened(settings) as store:
            apply(store, declared([CONFIG]))
            materialize(store)
        port = free_port()
        process = start(file, port)
        try:
            url = f"http://127.0.0.1:{port}"
            yield Served(url=url, process=process, rows=rows, settings=settings, database=server)
        finally:
            process.terminate()
            process.wait(timeout=30)


def test_training_rows_are_the_folds_rows_bit_for_bit(served: Served):
    labels = served.rows.select(EVENT, "symbol", label_end=pl.col(EVENT) + timedelta(hours=1))
    with opened(served.settings) as store:
        made = training_set(store, labels, view=VIEW, features=CONFIG.features)
    warm = served.rows.filter(pl.all_horizontal(pl.col(CONFIG.features).is_not_nan()))
    assert len(warm) > 5_000
    ours = made.frame.select(CONFIG.features).to_numpy()
    assert ours.tobytes() == warm.select(CONFIG.features).to_numpy().tobytes()
    assert made.dropped == {"no_row": 0, "not_warm": len(served.rows) - len(warm)}


def test_the_last_bar_is_served_bit_for_bit(served: Served):
    last = served.rows.row(-1, named=True)
    found = served.features()
    for name in CONFIG.features:
        value, moment = found[name]
        assert np.float64(value).tobytes() == np.float64(last[name]).tobytes()
        assert moment == f"{last[EVENT]:%Y-%m-%dT%H:%M:%S.%f}".rstrip("0").rstrip(".") + "Z"
    assert set(found) == {"symbol", *CONFIG.features}
    assert {value for value, _ in served.features("GBPUSD").values()} == {None, "GBPUSD"}


def test_what_the_loop_pushes_is_what_is_served(served: Served):
    """As the loop's push does it: JSON with the moment as text, null for a NaN."""
    moment: Any = served.rows.row(-1, named=True)[EVENT] + timedelta(hours=1)
    random = np.random.default_rng(0)
    values = dict(zip(CONFIG.features, random.normal(size=len(CONFIG.features)), strict=True))
    values[CONFIG.features[2]] = None
    text = moment.isoformat().replace("+00:00", "Z")
    row = {EVENT: [text], "created_timestamp": [text], "symbol": ["EURUSD"]}
    row |= {name: [value] for name, value in values.items()}
    body = {"push_source_name": f"{VIEW}_push", "df": row, "to": "online"}
    status, answer = served.post("/push", body)
    assert status == 200, answer
    assert {name: served.features()[name][0] for name in CONFIG.features} == values
    # an older bar, pushed again after a restart, or materialised, changes nothing
    old = {EVENT: ["2017-02-01T00:00:00Z"], "created_timestamp": ["2017-02-01T00:00:00Z"]}
    assert served.post("/push", {**body, "df": {**row, **old}})[0] == 200
    with opened(served.settings) as store:
        materialize(store)
    assert {name: served.features()[name][0] for name in CONFIG.features} == values


def test_rows_pushed_to_the_lake_are_there_for_training(served: Served):
    moment: Any = served.rows.row(-1, named=True)[EVENT] + timedelta(hours=2)
    text = moment.isoformat()
    row = {EVENT: [text], "created_timestamp": [text], "symbol": ["EURUSD"]}
    row |= {name: [0.25] for name in CONFIG.features}
    body = {"push_source_name": f"{VIEW}_push", "df": row, "to": "offline"}
    status, answer = served.post("/push", body)
    assert status == 200, answer
    stored = read_features(served.settings.paths.lake, VIEW, "EURUSD")
    assert stored[EVENT][-1] == moment
    assert stored[CONFIG.features[0]][-1] == 0.25


def test_many_readers_at_once_are_answered(served: Served):
    with ThreadPoolExecutor(8) as several:
        answers = list(several.map(lambda _: served.features(), range(64)))
    assert all(answer == answers[0] for answer in answers)


def test_a_view_registered_later_is_served_without_a_restart(served: Served):
    other = TrainingConfig(symbol="GBPUSD", clock="m5", features=("rsi_14", "close_volatility_50"))
    with opened(served.settings) as store:
        apply(store, declared([other]))
    asked = {"feature_service": "GBPUSD_m5", "entities": {"symbol": ["GBPUSD"]}}
    until = time.monotonic() + 30
    while (status := served.post("/get-online-features", asked)[0]) != 200:
        assert time.monotonic() < until, status
        time.sleep(0.5)


def test_while_the_database_is_away_it_says_so_and_goes_on_after(served: Served):
    before = served.features()
    served.database.kill9()
    asked = {"feature_service": "EURUSD_h1", "entities": {"symbol": ["EURUSD"]}}
    status, answer = served.post("/get-online-features", asked)
    assert status in (500, 503)
    assert "cannot be reached" in json.dumps(answer) or "refused" in json.dumps(answer)
    served.database.start()
    assert served.features() == before


def test_a_taken_port_is_one_clear_line(served: Served, tmp_path: Path):
    _, file = written_settings(tmp_path, served.database)
    port = served.url.rpartition(":")[2]
    command = [sys.executable, "-m", "ml.feast_store", "serve", "--config", str(file)]
    done = subprocess.run(
        [*command, "--port", port], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port} on 127.0.0.1 cannot be used" in done.stderr


def test_a_database_that_is_away_at_the_start_is_one_clear_line(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    _, file = written_settings(tmp_path, served.database)
    here = served.settings.database.url
    away = here.replace(here.rpartition(":")[2], f"{free_port()}/aitrading")
    file.write_text(file.read_text().replace(here, away))
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert main(["materialize", "--config", str(file)]) == 2
    finally:
        for number, handler in kept.items():
            signal.signal(number, handler)
    said = capsys.readouterr().err
    assert said.startswith("feast: the database cannot be used: ")
    assert said.count("\n") == 1
    assert "password" not in said


def test_it_ends_at_once_and_in_order_when_asked(served: Served):
    """The last test: nothing is served after it."""
    served.process.send_signal(signal.SIGTERM)
    assert served.process.wait(timeout=10) == 0
