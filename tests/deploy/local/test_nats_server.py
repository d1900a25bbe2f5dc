"""The embedded NATS server starts, keeps its data, and says what is in its way."""

import asyncio
import json
import socket
import stat
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.child import Child
from deploy.local.errors import AlreadyRunning, NotStarted, PortTaken, StackError
from deploy.local.nats_server import nats_answers, prepare_nats, start_nats
from deploy.local.ports import port_of
from realtime.connection import connect
from realtime.settings import Settings
from tests.fixtures.servers import NatsServer, running_nats, settings_in


def publish(settings: Settings, payload: bytes) -> None:
    async def run() -> None:
        client = await connect(settings, "gateway")
        await client.jetstream().publish("md.tick.EURUSD", payload)
        await client.close()

    asyncio.run(run())


def last_tick(settings: Settings) -> bytes | None:
    async def run() -> bytes | None:
        client = await connect(settings, "loop")
        message = await client.jetstream().get_last_msg("TICKS", "md.tick.EURUSD")
        await client.close()
        return message.data

    return asyncio.run(run())


def test_what_was_acknowledged_survives_a_stop_and_a_kill(tmp_path: Path) -> None:
    with running_nats(tmp_path) as server:
        publish(server.settings, b"before the stop")
        server.restart()
        assert last_tick(server.settings) == b"before the stop"
        publish(server.settings, b"before the kill")
        server.kill9()
        assert not nats_answers(server.settings)
        server.start()
        assert last_tick(server.settings) == b"before the kill"


def test_configuration_and_passwords_are_for_their_owner_only(nats_server: NatsServer) -> None:
    paths = nats_server.settings.paths
    private = [paths.var / "nats" / "server.conf", *paths.secrets.iterdir()]
    assert len(private) >= 8
    for path in private:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert stat.S_IMODE(paths.secrets.stat().st_mode) == 0o700


def test_every_user_has_a_password_of_its_own(nats_server: NatsServer) -> None:
    text = (nats_server.settings.paths.var / "nats" / "server.conf").read_text()
    passwords = [user["password"] for user in json.loads(text)["authorization"]["users"]]
    assert len(set(passwords)) == len(passwords)
    assert all(len(password) >= 32 for password in passwords)


def test_only_this_machine_can_connect(nats_server: NatsServer) -> None:
    port = port_of(nats_server.settings.nats.url, "url")
    for each in {str(info[4][0]) for info in socket.getaddrinfo(socket.gethostname(), port)}:
        if not each.startswith("127."):
            with (
                pytest.raises(ConnectionRefusedError),
                socket.create_connection((each, port), timeout=1),
            ):
                pass


def test_a_port_in_use_is_named_with_its_holder_and_the_setting(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    port = port_of(settings.nats.url, "url")
    with closing(socket.create_server(("127.0.0.1", port))), pytest.raises(PortTaken) as refused:
        start_nats(settings)
    text = str(refused.value)
    assert "\n" not in text
    assert "python" in text
    assert "[nats] url" in text


def test_a_second_start_says_that_it_runs_already(nats_server: NatsServer) -> None:
    with pytest.raises(AlreadyRunning, match="is running already on port"):
        start_nats(nats_server.settings)


def test_a_program_that_ends_at_once_is_quoted(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    launch = prepare_nats(settings)
    broken = replace(launch, command=(launch.command[0], "--config", "absent.conf"))
    child = Child(broken)
    with pytest.raises(NotStarted, match=r"nats ended with code 1 .*absent\.conf"):
        child.await_ready(lambda: False, 10)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.paths.var.parent.mkdir(exist_ok=True)
    settings.paths.var.write_text("a file where the folder should be")
    with pytest.raises(StackError) as refused:
        start_nats(settings)
    assert "\n" not in str(refused.value)


def test_a_url_without_a_port_is_refused(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings = replace(settings, nats=replace(settings.nats, url="nats://127.0.0.1"))
    with pytest.raises(StackError, match=r"\[nats\] url .* has no port"):
        start_nats(settings)
