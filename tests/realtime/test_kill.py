"""Throwing and releasing the kill switch."""

import asyncio

import pytest

from realtime import kill
from realtime.connection import connect
from realtime.switch import ALL_ACCOUNTS, KillSwitch, switch_key
from tests.fixtures.servers import nats_server

__all__ = ["nats_server"]


@pytest.mark.parametrize("key", [ALL_ACCOUNTS, switch_key("paper"), switch_key("paper.eu 1")])
def test_what_is_thrown_is_read_by_the_account_and_released_again(nats_server, key):
    nats_server.empty()
    account = "paper.eu 1" if key == switch_key("paper.eu 1") else "paper"

    async def check():
        client = await connect(nats_server.settings, "loop")
        switch = KillSwitch(client, account, lambda on: None)
        seen = [switch.is_known]
        for on in (True, False):
            await kill.throw(nats_server.settings, key, on=on)
            await switch.look()
            seen.append(switch.is_on)
        await client.close()
        assert seen == [False, True, False]

    asyncio.run(asyncio.wait_for(check(), 20))


def test_without_a_server_it_says_so_and_does_not_claim_to_have_stopped_anything(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("AITRADING_NATS__URL", "nats://127.0.0.1:1")
    monkeypatch.setenv("AITRADING_PATHS__SECRETS", str(tmp_path))
    (tmp_path / "nats-operator").write_text("x")
    assert kill.main([]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("kill: ")
