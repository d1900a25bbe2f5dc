"""Starting and ending services: exit codes, one line, health."""

import argparse
import asyncio
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from realtime.__main__ import COMMANDS, main
from realtime.clock import WallClock
from realtime.service import Service
from realtime.settings import load_settings
from tests.fixtures.servers import nats_server, settings_in
from tests.realtime.loop_runs import ROOT, LoopProcess, listening, settings_for

__all__ = ["nats_server"]


def run_loop(settings, folder):
    process = LoopProcess(settings, folder).start()
    code = process.process.wait(30)
    return code, process.said.splitlines()


def test_without_a_nats_server_the_loop_says_so_in_one_line(tmp_path, nats_server):
    settings = settings_for(nats_server.settings, tmp_path)
    nowhere = settings_in(tmp_path).nats
    settings = replace(settings, nats=replace(nowhere, timeout_ns=10**9))
    code, said = run_loop(settings, tmp_path)
    assert code == 2
    assert len(said) == 1
    assert "no NATS server answers at 127.0.0.1" in said[0]


def test_with_a_wrong_password_the_loop_says_so_in_one_line(tmp_path, nats_server):
    settings = settings_for(nats_server.settings, tmp_path)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "nats-loop").write_text("wrong")
    settings = replace(settings, paths=replace(settings.paths, secrets=secrets))
    code, said = run_loop(settings, tmp_path)
    assert code == 2
    assert len(said) == 1
    assert "wrong password" in said[0]


def test_with_wrong_settings_the_loop_says_so_in_one_line(tmp_path):
    config = tmp_path / "wrong.toml"
    config.write_text("[loop]\nstate_evry = '5s'\n")
    ended = subprocess.run(
        [sys.executable, "-m", "realtime", "loop", "--config", str(config)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert "state_every" in ended.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_loop_that_waits_tells_how_it_is_and_ends_when_told(tmp_path, nats_server, number):
    nats_server.empty()
    settings = settings_for(nats_server.settings, tmp_path)

    async def check():
        async with listening(settings) as (_, health):
            process = LoopProcess(settings, tmp_path).start()
            try:
                async with asyncio.timeout(30):
                    while not any("no champion" in each.text for each in health):  # noqa: ASYNC110
                        await asyncio.sleep(0.02)
                seen = len(health)
                await asyncio.sleep(1.3)
                assert len(health) > seen  # every second
                began = time.monotonic()
                process.process.send_signal(number)
                code = await asyncio.to_thread(process.process.wait, 10)
                assert code == 0
                assert time.monotonic() - began < 5
            finally:
                process.stop()
            assert {each.service for each in health} == {"loop"}
            assert health[-1].state == "stopping"

    asyncio.run(check())


def test_a_service_that_ends_does_not_say_that_it_waits(tmp_path):
    """What was under way when it was told to end once had the last word."""
    service = Service("loop", load_settings(environ={}), argparse.Namespace(), WallClock())
    service.health("waiting", "no champion")
    service.stop()
    service.health("stopping")
    service.health("waiting", "no champion")
    assert (service._health.state, service._health.text) == ("stopping", "")


def test_commands_are_listed_and_unknown_ones_refused(capsys):
    assert main([]) == 2
    assert main(["--help"]) == 0
    assert main(["dance"]) == 2
    said = capsys.readouterr()
    assert all(name in said.out for name in COMMANDS)
    assert "there is no command 'dance'" in said.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name, "--help"])
    assert ended.value.code == 0
    assert "usage" in capsys.readouterr().out


def test_only_what_a_command_needs_is_loaded():
    code = (
        "import sys, realtime.__main__; print('onnxruntime' in sys.modules, 'nats' in sys.modules)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == ["False", "False"]
