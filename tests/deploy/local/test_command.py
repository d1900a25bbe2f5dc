"""``python -m deploy.local`` as people use it: real servers, real signals."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.local.commands import market_of
from deploy.local.nats_server import nats_answers
from deploy.local.ports import port_of
from deploy.local.postgres import postgres_answers
from deploy.local.record import read_records
from realtime.settings import Settings
from tests.fixtures.servers import NatsServer, Postgres, settings_in

ROOT = Path(__file__).resolve().parents[3]
PATIENCE_S = 60.0


_HOLDS = """
import sys, time
from pathlib import Path
from deploy.local.record import UpLock
with UpLock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


@dataclass
class Checkout:
    """Settings of a stack of its own, in a file, and the commands on it."""

    settings: Settings
    config: Path
    started: list["subprocess.Popen[str]"]

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self._command(arguments), cwd=ROOT, capture_output=True, text=True,
            timeout=PATIENCE_S, check=False,
        )  # fmt: skip

    def up(self, *services: str) -> "subprocess.Popen[str]":
        output = self.config.with_suffix(f".{len(self.started)}.txt")
        with output.open("w") as file:
            process = subprocess.Popen(
                self._command(("run", *services)),
                cwd=ROOT, stdout=file, stderr=subprocess.STDOUT, text=True, start_new_session=True,
            )  # fmt: skip
        self.started.append(process)
        until(lambda: process.poll() is not None or "\nup: " in output.read_text())
        assert process.poll() is None, output.read_text()
        return process

    def said(self, number: int = 0) -> str:
        return self.config.with_suffix(f".{number}.txt").read_text()

    def pids(self) -> dict[str, int]:
        records = read_records(self.settings.paths.var / "run" / "services.json")
        return {each.name: each.pid for each in records if each.process is not None}

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        name, *rest = arguments
        return [sys.executable, "-m", "deploy.local", name, "--config", str(self.config), *rest]


def write_config(path: Path, settings: Settings) -> None:
    path.write_text(
        f'[paths]\nvar = "{settings.paths.var}"\nlake = "{settings.paths.lake}"\n'
        f'secrets = "{settings.paths.secrets}"\n'
        f'[nats]\nurl = "{settings.nats.url}"\n[database]\nurl = "{settings.database.url}"\n'
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    settings = settings_in(tmp_path)
    made = Checkout(settings=settings, config=tmp_path / "settings.toml", started=[])
    write_config(made.config, settings)
    yield made
    for process in made.started:
        if process.poll() is None:
            process.terminate()
        process.wait(PATIENCE_S)
    made.run("down")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_up_starts_the_servers_and_a_signal_ends_them_all(
    checkout: Checkout, number: signal.Signals
) -> None:
    process = checkout.up("streams", "migrations")
    family = psutil.Process(process.pid).children(recursive=True)
    assert {"nats-server", "postgres"} <= {each.name() for each in family}
    status = checkout.run("status")
    assert status.returncode == 0, status.stdout
    assert "postgres        ready" in status.stdout
    process.send_signal(number)
    assert process.wait(PATIENCE_S) == 0
    assert not any(each.is_running() for each in family)
    assert checkout.run("status").returncode == 1


def test_down_ends_a_stack_that_is_up_and_says_if_none_is(checkout: Checkout) -> None:
    process = checkout.up("nats")
    done = checkout.run("down")
    assert (done.returncode, done.stdout) == (0, "the stack is down\n")
    assert process.wait(PATIENCE_S) == 0
    assert not nats_answers(checkout.settings)
    again = checkout.run("down")
    assert (again.returncode, again.stdout) == (0, "nothing was up\n")


def test_a_second_up_of_a_checkout_is_refused_in_one_line(checkout: Checkout) -> None:
    process = checkout.up("nats")
    second = checkout.run("run", "nats")
    assert second.returncode == 2
    assert f"is up already (process {process.pid})" in second.stderr
    assert second.stderr.count("\n") == 1
    assert nats_answers(checkout.settings)


def test_a_stack_that_was_killed_is_cleared_away_by_the_next_one(checkout: Checkout) -> None:
    first = checkout.up("nats", "postgres")
    left = checkout.pids()
    first.kill()
    first.wait()
    assert nats_answers(checkout.settings)
    assert "left over" in checkout.run("status").stdout
    checkout.up("nats", "postgres")
    assert "left over from a stack that was killed" in checkout.said(1)
    assert not set(left.values()) & set(checkout.pids().values())
    assert nats_answers(checkout.settings)
    assert postgres_answers(checkout.settings)


def test_down_does_not_touch_a_process_that_only_has_the_number_of_a_dead_one(
    checkout: Checkout,
) -> None:
    checkout.up("nats").kill()
    records = checkout.settings.paths.var / "run" / "services.json"
    mine = os.getpid()
    (pid,) = [each.pid for each in read_records(records)]
    records.write_text(records.read_text().replace(f'"pid": {pid}', f'"pid": {mine}'))
    (checkout.settings.paths.var / "run" / "up.lock").write_text(
        f'{{"pid": {mine}, "created_s": 1.0}}'
    )
    assert checkout.run("down").stdout == "nothing was up\n"  # and this test goes on
    psutil.Process(pid).terminate()


def test_a_server_that_is_killed_is_started_again_with_its_data(checkout: Checkout) -> None:
    checkout.up("streams", "migrations")
    before = checkout.pids()
    for name in ("nats", "postgres"):
        os.kill(before[name], signal.SIGKILL)
    until(lambda: {"nats", "postgres"} <= set(checkout.pids()))
    until(lambda: nats_answers(checkout.settings) and postgres_answers(checkout.settings))
    after = checkout.pids()
    assert not set(after.values()) & set(before.values())
    assert checkout.said().count("SIGKILL") == 2
    until(lambda: checkout.run("status").returncode == 0)


def test_a_port_in_use_ends_up_with_one_line_and_nothing_left(checkout: Checkout) -> None:
    port = port_of(checkout.settings.database.url, "url")
    with closing(socket.create_server(("127.0.0.1", port))):
        done = checkout.run("run", "nats", "postgres")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert f"port {port} for PostgreSQL is taken" in done.stderr
    assert checkout.pids() == {}
    assert not nats_answers(checkout.settings)


def test_servers_elsewhere_are_used_and_neither_started_nor_ended(
    checkout: Checkout, nats_server: NatsServer, postgres: Postgres
) -> None:
    def with_password(url: str, user: str, name: str, server: Settings) -> str:
        secret = (server.paths.secrets / name).read_text().strip()
        return url.replace("//", f"//{user}:{secret}@")

    nats, database = nats_server.settings, postgres.settings
    config = checkout.config.read_text()
    for ours, theirs in (
        (checkout.settings.nats.url, with_password(nats.nats.url, "setup", "nats-setup", nats)),
        (
            checkout.settings.database.url,
            with_password(database.database.url, "aitrading", "postgres-aitrading", database),
        ),
    ):
        config = config.replace(ours, theirs)
    checkout.config.write_text(config)
    checkout.up("streams", "migrations")
    assert checkout.pids() == {}
    assert checkout.run("down").returncode == 0
    assert nats_answers(nats)
    assert postgres_answers(database)


def test_ports_are_looked_at_before_any_server_starts(checkout: Checkout) -> None:
    """A taken port of MLflow once ended a start of half a minute, without saying how to choose."""
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        done = checkout.run("run", "mlflow", "--mlflow-port", str(port))
    assert done.returncode == 2
    assert f"port {port} for MLflow is taken" in done.stderr
    assert 'make up ARGS="--mlflow-port PORT"' in done.stderr
    assert "ready" not in done.stdout
    assert not (checkout.settings.paths.var / "logs" / "nats.log").exists()
    assert not (checkout.settings.paths.var / "logs" / "postgres.log").exists()


def test_wrong_settings_are_a_line_each_and_nothing_is_started(checkout: Checkout) -> None:
    text = checkout.config.read_text()
    checkout.config.write_text(f'trade = ["eurusd"]\n{text}[gateway]\nserver_time = "Mars"\n')
    done = checkout.run("run", "nats")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 2
    assert "did you mean EURUSD?" in done.stderr
    assert "server_time" in done.stderr
    assert not nats_answers(checkout.settings)


def test_bars_that_are_not_ticks_yet_start_no_terminal(checkout: Checkout, capsys) -> None:
    """`make up` ended between the import of bars and the making of their ticks."""
    lake = checkout.settings.paths.lake
    (lake / "bars_h1" / "EURUSD").mkdir(parents=True)
    assert market_of(checkout.settings, ()) == ()
    assert "no ticks of EURUSD" in capsys.readouterr().out
    (lake / "ticks" / "EURUSD").mkdir(parents=True)
    (lake / "ticks" / "EURUSD" / "2024-01.parquet").touch()
    assert market_of(checkout.settings, ()) == ("--lake", str(lake))


def test_status_and_down_know_the_demo(checkout: Checkout) -> None:
    """`down` said that nothing was up, and `status` that nothing ran, beside a running demo."""
    run = checkout.settings.paths.var / "demo" / "run"
    demo = subprocess.Popen(
        [sys.executable, "-c", _HOLDS, str(run / "up.lock")], cwd=ROOT, stdout=subprocess.PIPE
    )
    try:
        assert demo.stdout is not None
        assert demo.stdout.readline() == b"held\n"
        status = checkout.run("status")
        assert status.returncode == 0, status.stdout
        assert f"the demo is up (process {demo.pid})" in status.stdout
        assert "the stack is not up" in status.stdout
        done = checkout.run("down")
        assert (done.returncode, done.stdout) == (0, "the demo is down\n")
        assert demo.wait(PATIENCE_S) == -signal.SIGTERM
    finally:
        demo.kill()
        demo.communicate()
    assert checkout.run("status").returncode == 1


@pytest.mark.parametrize(
    ("module", "last"),
    [
        ("deploy.local.demo", " deploy.local.interrupted"),
        ("deploy.local.demo", " polars"),  # which puts a handler of its own before ours
        ("deploy.local", " deploy.local.interrupted"),
    ],
)
def test_ctrl_c_while_everything_is_imported_is_no_traceback(
    checkout: Checkout, module: str, last: str
) -> None:
    command = [sys.executable, "-X", "importtime", "-m", module]
    command += ["--once"] if module.endswith("demo") else ["status"]
    process = subprocess.Popen(
        [*command, "--config", str(checkout.config)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:  # one a module that was imported
        if line.rstrip().endswith(last):
            break
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, rest = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert "Traceback" not in rest


def test_a_job_of_a_platform_that_never_ran_is_one_line(checkout: Checkout) -> None:
    done = checkout.run("job", "retrain")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "make up" in done.stderr


def test_a_setting_that_does_not_exist_is_one_line(checkout: Checkout) -> None:
    checkout.config.write_text('[nats]\nurll = "nats://127.0.0.1:1"\n')
    done = checkout.run("run", "nats")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "urll" in done.stderr
