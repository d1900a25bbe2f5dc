"""Announcing champions and following them, over servers that come and go."""

import asyncio
import json
import time

import pytest

from realtime.bundle import BundleError, pack
from realtime.champion import (
    Champion,
    Champions,
    fetch_bundle,
    load_champion,
    parse_champion,
    publish_champion,
    read_champion,
)
from realtime.connection import connect
from realtime.contracts.subjects import key
from realtime.model import BundleHashMismatch
from tests.fixtures.bundles import logistic_bundle
from tests.fixtures.servers import nats_server, running_nats

__all__ = ["nats_server"]

ODD = "EUR/USD.m"  # a name that means something in a subject and in a path


def run(coroutine):
    return asyncio.run(asyncio.wait_for(coroutine, 40))


def a_bundle(folder, bias=0.0, **options):
    return logistic_bundle(
        folder, features=("m1_rsi_14", "tick_spread"), weights=(1.0, 2.0), bias=bias, **options
    )


async def publish(settings, folder, bundle):
    return await publish_champion(settings, bundle, pack(folder), time.time_ns(), "test")


def test_what_was_announced_is_read_and_fetched(nats_server, tmp_path):
    nats_server.empty()
    bundle = a_bundle(tmp_path / "made", symbol=ODD)

    async def check():
        announced = await publish(nats_server.settings, tmp_path / "made", bundle)
        client = await connect(nats_server.settings, "loop")
        assert await read_champion(client, "GBPUSD") is None
        champion = await read_champion(client, ODD)
        assert champion is not None
        assert champion == announced
        directory = await fetch_bundle(client, champion, tmp_path / "kept")
        assert directory.parent == tmp_path / "kept"
        assert load_champion(directory, "paper").bundle == bundle
        await client.close()

    run(check())


def test_a_fetched_bundle_is_kept_and_fetched_again_if_it_is_damaged(nats_server, tmp_path):
    nats_server.empty()
    bundle = a_bundle(tmp_path / "made")

    async def check():
        champion = await publish(nats_server.settings, tmp_path / "made", bundle)
        client = await connect(nats_server.settings, "loop")
        directory = await fetch_bundle(client, champion, tmp_path / "kept")
        stamp = (directory / "model.onnx").stat().st_mtime_ns
        await fetch_bundle(client, champion, tmp_path / "kept")
        assert (directory / "model.onnx").stat().st_mtime_ns == stamp
        (directory / "model.onnx").write_bytes(b"damaged")
        await fetch_bundle(client, champion, tmp_path / "kept")
        assert load_champion(directory, "paper").bundle == bundle
        await client.close()

    run(check())


def test_bytes_other_than_the_announced_ones_are_refused(nats_server, tmp_path):
    nats_server.empty()
    bundle = a_bundle(tmp_path / "made")

    async def check():
        champion = await publish(nats_server.settings, tmp_path / "made", bundle)
        platform = await connect(nats_server.settings, "platform")
        store = await platform.jetstream().object_store("models")
        await store.put(champion.object, pack(tmp_path / "made") + b"\0" * 512)
        await platform.close()
        client = await connect(nats_server.settings, "loop")
        with pytest.raises(BundleHashMismatch, match="was announced"):
            await fetch_bundle(client, champion, tmp_path / "kept")
        assert list((tmp_path / "kept").glob("*")) == []
        await client.close()

    run(check())


@pytest.mark.parametrize(
    ("own", "announced", "counts"),
    [("paper", "paper", "paper"), ("live", "paper", "paper"), ("paper", "live", "paper"),
     ("live", "shadow", "shadow"), ("live", "live", "live")],
)  # fmt: skip
def test_a_bundle_counts_as_the_lower_of_its_own_and_the_announced_stage(
    tmp_path, own, announced, counts
):
    a_bundle(tmp_path / "made", stage=own)
    assert load_champion(tmp_path / "made", announced).bundle.stage == counts


@pytest.mark.parametrize("value", [b"", b"{", b"[]", b"\xff", b'{"bundle_id": "x"}'])
def test_an_announcement_that_is_none_is_refused_in_one_line(value):
    with pytest.raises(BundleError, match="EURUSD") as error:
        parse_champion(value, "EURUSD")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["bundle_id", "object", "sha256", "promoted_ns", "by"])
def test_an_announcement_with_a_value_of_another_type_is_refused(name):
    """A number for a name once ended the following of champions for good."""
    champion = Champion(
        bundle_id="a", object="b", sha256="c", stage="paper", symbol="EURUSD", promoted_ns=1, by="d"
    )
    content = json.loads(champion.encode()) | {name: [5]}
    with pytest.raises(BundleError, match=f"{name} that is no"):
        parse_champion(json.dumps(content).encode(), "EURUSD")


class Following:
    """Somebody who follows, and what was handed over."""

    def __init__(self, client, folder, symbols=("EURUSD",)):
        self.taken, self.alerts = [], []
        self.champions = Champions(
            client, symbols, folder,
            lambda symbol, model: self.taken.append((symbol, model.bundle.id)),
            lambda code, text: self.alerts.append((code, text)),
        )  # fmt: skip


def test_each_announcement_is_handed_over_once(nats_server, tmp_path):
    nats_server.empty()
    first, second = (a_bundle(tmp_path / name, bias) for name, bias in (("1", 0.0), ("2", 1.0)))

    async def check():
        client = await connect(nats_server.settings, "loop")
        following = Following(client, tmp_path / "kept", ("EURUSD", "USDJPY"))
        await following.champions.look()
        assert following.taken == []
        await publish(nats_server.settings, tmp_path / "1", first)
        for _ in range(3):
            await following.champions.look()
        await publish(nats_server.settings, tmp_path / "2", second)
        await following.champions.look()
        await publish(nats_server.settings, tmp_path / "1", first)  # rolled back
        await following.champions.look()
        assert following.taken == [("EURUSD", each.id) for each in (first, second, first)]
        assert following.alerts == []
        await client.close()

    run(check())


def test_a_champion_that_is_withdrawn_changes_nothing(nats_server, tmp_path):
    nats_server.empty()
    bundle = a_bundle(tmp_path / "made")

    async def check():
        client = await connect(nats_server.settings, "loop")
        following = Following(client, tmp_path / "kept")
        await publish(nats_server.settings, tmp_path / "made", bundle)
        await following.champions.look()
        platform = await connect(nats_server.settings, "platform")
        bucket = await platform.jetstream().key_value("champion")
        await bucket.delete("EURUSD")
        await platform.close()
        await following.champions.look()
        assert following.taken == [("EURUSD", bundle.id)]
        assert following.alerts == []
        await client.close()

    run(check())


def test_a_refused_announcement_is_said_once(nats_server, tmp_path):
    nats_server.empty()

    async def check():
        client = await connect(nats_server.settings, "loop")
        following = Following(client, tmp_path / "kept")
        platform = await connect(nats_server.settings, "platform")
        content = {"bundle_id": "../../etc", "object": "none.tar", "sha256": "0", "stage": "paper",
                   "symbol": "EURUSD", "promoted_ns": 1, "by": "nobody"}  # fmt: skip
        await platform.jetstream().publish("$KV.champion.EURUSD", json.dumps(content).encode())
        await platform.close()
        for _ in range(3):
            await following.champions.look()
        assert [code for code, _ in following.alerts] == ["bundle_refused"]
        assert "no 'none.tar'" in following.alerts[0][1]
        await client.close()

    run(check())


def test_following_goes_on_after_the_server_was_killed(tmp_path):
    bundle = a_bundle(tmp_path / "made")

    async def check(server):
        client = await connect(server.settings, "loop")
        following = Following(client, tmp_path / "kept")
        task = asyncio.create_task(following.champions.follow())
        await asyncio.sleep(0.1)
        await asyncio.to_thread(server.kill9)
        await asyncio.sleep(0.7)
        await asyncio.to_thread(server.start)
        await publish(server.settings, tmp_path / "made", bundle)
        async with asyncio.timeout(20):
            while not following.taken:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert following.taken == [("EURUSD", bundle.id)]
        while not task.done():
            task.cancel()
            await asyncio.wait({task}, timeout=0.1)
        await client.close()

    with running_nats(tmp_path / "server") as server:
        run(check(server))


@pytest.mark.parametrize("symbol", ["EURUSD.m", "#AAPL", "XAU+USD", "Ö"])
def test_a_symbol_of_any_name_has_a_key_that_buckets_take(nats_server, tmp_path, symbol):
    """The key of EURUSD.m was one that no bucket takes, and nothing could be promoted for it."""
    nats_server.empty()
    champion = Champion(
        bundle_id="a", object="b", sha256="c", stage="paper", symbol=symbol, promoted_ns=1, by="d"
    )

    async def check():
        platform = await connect(nats_server.settings, "platform")
        bucket = await platform.jetstream().key_value("champion")
        await bucket.put(key(symbol), champion.encode())
        await platform.close()
        loop = await connect(nats_server.settings, "loop")
        assert await read_champion(loop, symbol) == champion
        await loop.close()

    asyncio.run(check())
