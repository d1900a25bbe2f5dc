"""The simulated terminal as a process, and its command line."""

import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from mt5_gateway.simulator.__main__ import main
from tests.mt5_gateway.simulator.conftest import a_request, a_walk, control, mt5, stand_at

FOREVER = (1, 2_000_000_000)


@pytest.fixture
def folder(tmp_path):
    """Data of EURUSD and settings that lead to a socket."""
    np.save(tmp_path / "EURUSD.npy", a_walk(3_000))
    (tmp_path / "settings.toml").write_text(
        f'trade = ["EURUSD"]\n[paths]\nvar = "{tmp_path / "var"}"\n'
        f'lake = "{tmp_path / "lake"}"\n[gateway]\nterminal = "{tmp_path / "t"}"\n',
        encoding="utf-8",
    )
    return tmp_path


@pytest.fixture
def processes():
    running = []
    yield running
    mt5.shutdown()
    for one in running:
        if one.poll() is None:
            one.kill()
        one.communicate()


def options_of(folder, *more, data: str | None = "EURUSD.npy"):
    options = ["--config", str(folder / "settings.toml"), *more]
    if data is not None:
        options += ["--data", str(folder / data), "--symbol", "EURUSD"]
    return options


def started(folder, processes, *more):
    """Start a terminal in lock-step and connect to it as soon as it answers."""
    command = [sys.executable, "-m", "mt5_gateway.simulator", "--lockstep"]
    command += options_of(folder, *more)
    one = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    processes.append(one)
    while not mt5.initialize(str(folder / "t")):
        assert one.poll() is None, one.communicate()[1]
        time.sleep(0.02)
    return one


def everything():
    return (
        control.position(), mt5.positions_get(), mt5.history_deals_get(*FOREVER),
        mt5.history_orders_get(*FOREVER), mt5.account_info(), mt5.symbol_info_tick("EURUSD"),
        mt5.symbol_info("EURUSD"), mt5.terminal_info(),
    )  # fmt: skip


def test_a_killed_terminal_goes_on_where_it_stood_and_ends_on_sigterm(folder, processes):
    one = started(folder, processes)
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 100)
    tick = mt5.symbol_info_tick("EURUSD")
    sent = mt5.order_send(a_request(sl=round(tick.bid - 0.0003, 5)))
    ahead = control.peek(10_000)
    control.commit(ahead.symbol, ahead.ordinal + 1)
    mt5.order_send(a_request(comment="second"))
    before = everything()
    assert len(before[2]) == 3
    assert before[2][0].order == sent.order
    one.kill()
    one.wait()
    assert mt5.account_info() is None
    assert mt5.last_error() in ((-10001, "IPC send failed"), (-10002, "IPC recv failed"))
    assert mt5.account_info() is None
    assert mt5.last_error() == (-10004, "No IPC connection")
    assert mt5.initialize(str(folder / "t")) is False
    assert mt5.last_error()[0] == -10003
    one = started(folder, processes)
    assert everything() == before
    one.send_signal(signal.SIGTERM)
    assert one.wait(2) == 0
    assert mt5.account_info() is None


def refused(capsys, *options):
    """Run a command line that cannot start, and return its single line."""
    assert main(list(options)) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("simulated terminal: ")
    return line


@pytest.mark.parametrize("content", [None, "", "time,open,high,low,close\n", "a,b\n1,2\n"])
def test_a_bad_file_is_one_clear_line(folder, capsys, content):
    if content is not None:
        (folder / "nope.csv").write_text(content, encoding="utf-8")
    assert "nope.csv" in refused(capsys, *options_of(folder, data="nope.csv"))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--lake", "/does/not/exist"], "no ticks of EURUSD"),
        ([], "no ticks of EURUSD"),
        (["--symbol", "NOPE"], "unknown symbol 'NOPE'"),
        (["--bars", "x9"], "x9"),
        (["--config", "/does/not/exist.toml"], "cannot be read"),
    ],
)
def test_a_bad_wish_is_one_clear_line(folder, capsys, options, words):
    assert words in refused(capsys, *options_of(folder, *options, data=None))


def test_other_mistakes_are_one_clear_line(folder, capsys):
    missing = str(folder / "password")
    assert missing in refused(capsys, *options_of(folder, "--password-file", missing))
    config = folder / "settings.toml"
    config.write_text(config.read_text(encoding="utf-8") + 'server_time = "Mars/Base"\n')
    assert "server_time" in refused(capsys, *options_of(folder))


def test_a_path_too_long_for_a_socket_is_one_clear_line(folder, capsys):
    config = folder / "settings.toml"
    text = config.read_text(encoding="utf-8").replace(str(folder / "t"), str(folder / ("t" * 120)))
    config.write_text(text, encoding="utf-8")
    assert "terminal" in refused(capsys, *options_of(folder))


def test_state_of_other_data_is_refused_until_it_is_forgotten(folder, capsys):
    journal = folder / "var" / "terminal" / "journal.jsonl"
    journal.parent.mkdir(parents=True)
    journal.write_text('{"identity":"another"}\n', encoding="utf-8")
    assert "--fresh" in refused(capsys, *options_of(folder))
    assert "symbols, settings or code" in refused(capsys, *options_of(folder))


def test_a_second_terminal_on_one_socket_is_refused(folder, served, capsys):
    running = served()
    config = folder / "settings.toml"
    text = config.read_text(encoding="utf-8").replace(str(folder / "t"), str(running.path))
    config.write_text(text, encoding="utf-8")
    assert "another simulated terminal" in refused(capsys, *options_of(folder))
    assert mt5.account_info() is not None
