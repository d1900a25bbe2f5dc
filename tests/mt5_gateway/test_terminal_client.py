"""The worker: a real process with a real simulated terminal, hung, killed and locked out."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest

from mt5_gateway.errors import (
    CallRefused,
    TerminalUnavailable,
    WorkerCannotStart,
    WorkerLost,
    WrongAccount,
)
from mt5_gateway.frames import Reply, read_results, write_results
from mt5_gateway.results import TICKS
from mt5_gateway.simulator import control
from mt5_gateway.terminal_client import Call, TerminalClient
from mt5_gateway.worker import Caller
from tests.fixtures.gateway import Rig, walk
from tests.fixtures.servers import running_nats


@pytest.fixture(scope="module")
def rig(tmp_path_factory):
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "nats").mkdir()
    with running_nats(folder / "nats") as nats:
        rig = Rig(folder, nats, {"EURUSD": walk(500)})
        try:
            rig.start_terminal()
            rig.await_log("ready", name="terminal")
            yield rig
        finally:
            rig.close()


def client_of(rig, *, lock="lock", timeout_s=5.0):
    terminal = rig.settings.gateway.terminal
    return TerminalClient(terminal=terminal, lock=rig.folder / lock, timeout_s=timeout_s)


def with_client(rig, work, **options):
    async def main():
        client = client_of(rig, **options)
        try:
            return await work(client)
        finally:
            await client.close()

    return asyncio.run(main())


def test_results_come_as_plain_values_and_arrays(rig):
    async def work(client):
        await client.call("symbol_select", "EURUSD", True)
        await client.call("control.open_market", 100)
        return await client.calls(
            [
                Call("account_info"),
                Call("positions_get"),
                Call("copy_ticks_from", ("EURUSD", 1, 10, -1)),
                Call("symbol_info", ("NOSUCH",)),
            ]
        )

    info, positions, ticks, unknown = with_client(rig, work)
    assert info.value["login"] == 5_000_001
    assert positions.value == []
    assert ticks.value.dtype == TICKS
    assert len(ticks.value) == 10
    assert unknown.value is None
    assert unknown.code != 1


def test_arguments_that_the_package_refuses_are_a_bug_and_not_a_silence(rig):
    async def work(client):
        with pytest.raises(CallRefused, match="symbol_info"):
            await client.call("symbol_info", symbol="EURUSD")
        with pytest.raises(CallRefused, match="never calls 'login'"):
            await client.call("login", 1)
        return await client.require("account_info")

    assert with_client(rig, work)["login"] == 5_000_001


def test_calls_for_one_account_are_not_made_on_another(rig):
    async def work(client):
        with pytest.raises(WrongAccount, match="account 5000001, not to 7"):
            await client.calls([Call("account_info")], login=7)

    with_client(rig, work)


def test_a_connection_that_broke_is_not_taken_for_another_account_and_is_made_anew(rig):
    async def work(client):
        await client.call("account_info")
        with rig.terminal_link():
            control.fault("account_info", "broken")
        with pytest.raises(TerminalUnavailable, match="does not say which account"):
            await client.calls([Call("positions_get")], login=5_000_001)
        (reply,) = await client.calls([Call("positions_get")], login=5_000_001)
        assert reply.value == []
        assert client.connections == 2

    with_client(rig, work)


def test_a_worker_that_hangs_is_killed_and_the_next_call_has_another(rig):
    async def work(client):
        await client.call("account_info")
        first = client.worker_pid
        os.kill(first, signal.SIGSTOP)
        with pytest.raises(WorkerLost, match="did not answer account_info within"):
            await client.call("account_info")
        assert client.worker_pid is None
        assert (await client.require("account_info"))["login"] == 5_000_001
        assert client.worker_pid != first
        assert client.worker_starts == 2

    with_client(rig, work, timeout_s=0.5)


def test_a_worker_that_dies_in_a_call_is_told_from_one_that_was_not_asked(rig):
    async def work(client):
        await client.call("account_info")
        os.kill(client.worker_pid, signal.SIGSTOP)
        call = asyncio.create_task(client.call("account_info"))
        await asyncio.sleep(0.1)
        os.kill(client.worker_pid, signal.SIGKILL)
        with pytest.raises(WorkerLost, match="died during a call"):
            await call

    with_client(rig, work)


def test_a_terminal_that_is_not_there_is_said_with_what_to_do(tmp_path):
    async def main():
        client = TerminalClient(terminal=str(tmp_path / "none"), lock=tmp_path / "l", timeout_s=5)
        try:
            with pytest.raises(TerminalUnavailable, match=r"no terminal at .* start it, log in"):
                await client.call("account_info")
        finally:
            await client.close()

    asyncio.run(main())


def test_two_workers_never_work_for_one_account(rig):
    async def work(client):
        await client.call("account_info")
        second = client_of(rig)
        with pytest.raises(WorkerCannotStart, match=f"worker process {client.worker_pid}"):
            await second.call("account_info")

    with_client(rig, work)


def test_a_worker_ends_with_its_parent_even_inside_a_call(rig, tmp_path):
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from mt5_gateway.terminal_client import TerminalClient\n"
        "async def main():\n"
        "    client = TerminalClient(terminal=sys.argv[1], lock=Path(sys.argv[2]), timeout_s=60)\n"
        "    await client.call('account_info')\n"
        "    print(client.worker_pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    command = [sys.executable, "-c", script, rig.settings.gateway.terminal, str(tmp_path / "l")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        worker = int(parent.stdout.readline())
        os.kill(worker, signal.SIGSTOP)  # as a call that hangs
        parent.kill()
        parent.wait(10)
    until = time.monotonic() + 10
    while _is_alive(worker):
        assert time.monotonic() < until
        time.sleep(0.02)


def _is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


class Package:
    """Looks at how it is called, as C functions do."""

    def last_error(self):
        return (1, "Success")

    def account_info(self):
        return None

    def order_send(self, *arguments, **keywords):
        return (arguments, keywords)

    def symbol_info(self, symbol):
        raise SystemError(symbol)


def test_no_empty_keywords_are_passed_and_what_a_call_raises_is_an_answer():
    caller = Caller(cast("Any", Package()))
    assert caller.call("order_send", [{"a": 1}], {}).value == (({"a": 1},), {})
    assert caller.call("symbol_info", ["X"], {}).raised == "symbol_info: SystemError: X"


def test_replies_come_back_from_their_frame_as_they_were():
    rows = np.zeros(3, TICKS)
    rows["bid"] = [1.5, np.nan, np.inf]
    replies = [
        Reply(rows),
        Reply(None, -2, "Invalid"),
        Reply({"a": [1, 2.5, "x"]}),
        Reply(rows[:1]),
    ]
    frame = write_results(replies)
    text, blob = int.from_bytes(frame[:4], "big"), int.from_bytes(frame[4:8], "big")
    back = read_results(json.loads(frame[8 : 8 + text]), frame[8 + text : 8 + text + blob])
    assert back[0].value.tobytes() == rows.tobytes()
    assert (back[1].value, back[1].code, back[1].text) == (None, -2, "Invalid")
    assert back[2].value == {"a": [1, 2.5, "x"]}
    assert back[3].value.tobytes() == rows[:1].tobytes()
