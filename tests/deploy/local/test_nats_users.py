"""Every NATS user can do what its service does, and nothing that is another's."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from realtime.connection import ConnectionRefused, connect
from realtime.contracts.subjects import (
    CHAMPION_BUCKET,
    MODEL_STORE,
    RISK_BUCKET,
    STREAMS,
    SWITCH_BUCKET,
    USERS,
)
from realtime.settings import Settings
from tests.fixtures.servers import NatsServer

WAIT_S = 5.0


class Person:
    """A connected user, and what the server refused it."""

    def __init__(self, client: Client, refusals: "asyncio.Queue[str]") -> None:
        self.client = client
        self.js = client.jetstream(timeout=WAIT_S)
        self.refusals = refusals

    async def is_refused(self, act: Callable[[], Awaitable[object]]) -> bool:
        """Act, then ask the server something: refusals come before its answer."""
        await act()
        await self.client.flush()
        await self.client.flush()
        refused = not self.refusals.empty()
        while not self.refusals.empty():
            assert "permissions violation" in self.refusals.get_nowait().lower()
        return refused

    async def may_not_publish(self, subject: str) -> None:
        assert await self.is_refused(lambda: self.client.publish(subject, b"forged")), subject

    async def may_publish(self, subject: str) -> None:
        assert not await self.is_refused(lambda: self.client.publish(subject, b"x")), subject

    async def may_not_subscribe(self, subject: str) -> None:
        assert await self.is_refused(lambda: self.client.subscribe(subject)), subject

    async def read(self, stream: str, subject: str) -> list[bytes]:
        """Read all messages of a stream through a consumer that does not last."""
        subscription = await self.js.subscribe(
            subject,
            stream=stream,
            ordered_consumer=True,
            config=ConsumerConfig(deliver_policy=DeliverPolicy.ALL, flow_control=True),
            idle_heartbeat=1.0,
        )
        count = (await self.js.stream_info(stream)).state.messages
        messages = [(await subscription.next_msg(WAIT_S)).data for _ in range(count)]
        await subscription.unsubscribe()
        return messages


@asynccontextmanager
async def as_user(settings: Settings, name: str):
    refusals: asyncio.Queue[str] = asyncio.Queue()

    async def note(error: Exception) -> None:
        refusals.put_nowait(str(error))

    client = await connect(settings, name, on_error=note)
    try:
        yield Person(client, refusals)
    finally:
        await client.close()


@pytest.fixture
def settings(nats_server: NatsServer) -> Settings:
    nats_server.empty()
    return nats_server.settings


ALL_SUBJECTS = {
    "md.tick.EURUSD", "md.quarantine.EURUSD", "md.bar.EURUSD.h1", "ml.prediction.EURUSD",
    "trade.decision.EURUSD", "trade.consumed.paper", "trade.order.paper.EURUSD",
    "trade.report.paper.EURUSD", "ops.alert.info", "ops.health.loop", "ctl.lockstep.paper.reached",
    "ctl.lockstep.paper.permit", "ctl.loop.pause", "ctl.gateway.flatten",
    f"$KV.{CHAMPION_BUCKET}.EURUSD", f"$KV.{RISK_BUCKET}.EURUSD", f"$KV.{SWITCH_BUCKET}.kill",
    f"$O.{MODEL_STORE}.C.x", f"$O.{MODEL_STORE}.M.x", "anything.else", "$JS.API.STREAM.CREATE.X",
    "$JS.API.STREAM.DELETE.TICKS", "$JS.API.STREAM.PURGE.ORDERS", "$JS.API.STREAM.UPDATE.TICKS",
    "$JS.API.STREAM.MSG.DELETE.ORDERS", "$SYS.REQ.SERVER.PING",
}  # fmt: skip
OPS = {"ops.alert.info", "ops.health.loop"}
MAY_PUBLISH = {
    "setup": {each for each in ALL_SUBJECTS if each.startswith("$JS.API")},
    "gateway": OPS | {"md.tick.EURUSD", "md.quarantine.EURUSD", "trade.report.paper.EURUSD",
                      "ctl.lockstep.paper.permit"},
    "loop": OPS | {"md.bar.EURUSD.h1", "ml.prediction.EURUSD", "trade.decision.EURUSD",
                   "trade.consumed.paper", "trade.order.paper.EURUSD",
                   "ctl.lockstep.paper.reached"},
    "recorder": OPS,
    "push": OPS,
    "platform": OPS | {f"$KV.{CHAMPION_BUCKET}.EURUSD", f"$O.{MODEL_STORE}.C.x",
                       f"$O.{MODEL_STORE}.M.x"},
    "operator": {"ctl.loop.pause", "ctl.gateway.flatten", f"$KV.{RISK_BUCKET}.EURUSD",
                 f"$KV.{SWITCH_BUCKET}.kill", f"$KV.{CHAMPION_BUCKET}.EURUSD"},
}  # fmt: skip


def test_every_user_is_looked_at() -> None:
    assert {user.name for user in USERS} == set(MAY_PUBLISH)


@pytest.mark.parametrize("name", sorted(MAY_PUBLISH))
def test_a_user_publishes_its_own_subjects_and_no_other(settings: Settings, name: str) -> None:
    async def look() -> None:
        async with as_user(settings, name) as person:
            for subject in sorted(ALL_SUBJECTS - MAY_PUBLISH[name]):
                await person.may_not_publish(subject)
            for subject in sorted(MAY_PUBLISH[name]):
                if not subject.startswith("$JS.API"):
                    await person.may_publish(subject)

    asyncio.run(look())


@pytest.mark.parametrize("name", [user.name for user in USERS if user.name != "setup"])
def test_a_user_hears_nothing_but_its_own(settings: Settings, name: str) -> None:
    user = next(each for each in USERS if each.name == name)

    async def look() -> None:
        async with as_user(settings, name) as person:
            await person.may_not_subscribe(">")
            await person.may_not_subscribe("_INBOX.>")
            await person.may_not_subscribe("_INBOX.loop2.>")
            await person.may_not_subscribe("$JS.>")
            for subject in user.subscribes:
                assert not await person.is_refused(lambda at=subject: person.client.subscribe(at))

    asyncio.run(look())


def test_a_wrong_password_is_one_clear_line(settings: Settings, tmp_path) -> None:
    (tmp_path / "nats-loop").write_text("not the password\n", encoding="utf-8")
    wrong = replace(settings, paths=replace(settings.paths, secrets=tmp_path))
    with pytest.raises(ConnectionRefused, match="refuses user 'loop': wrong password"):
        asyncio.run(connect(wrong, "loop"))


def test_the_gateway_is_told_that_its_ticks_are_kept_and_the_loop_reads_them(
    settings: Settings,
) -> None:
    async def run() -> None:
        async with as_user(settings, "gateway") as gateway, as_user(settings, "loop") as loop:
            for number in range(3):
                ack = await gateway.js.publish("md.tick.EURUSD", b"tick %d" % number)
                assert (ack.stream, ack.seq) == ("TICKS", number + 1)
            assert await loop.read("TICKS", "md.tick.>") == [b"tick 0", b"tick 1", b"tick 2"]
            last = await loop.js.get_last_msg("TICKS", "md.tick.EURUSD")
            assert last.data == b"tick 2"
            first = await loop.js.get_msg("TICKS", seq=1, direct=True)
            assert first.data == b"tick 0"
            assert loop.refusals.empty()
            assert gateway.refusals.empty()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["gateway", "loop", "recorder", "operator"])
def test_a_reader_fetches_batches_through_a_consumer_of_its_own(
    settings: Settings, name: str
) -> None:
    stream, subject = "REPORTS", "trade.report.>"

    async def run() -> None:
        async with as_user(settings, "gateway") as gateway, as_user(settings, name) as reader:
            for number in range(5):
                await gateway.js.publish("trade.report.paper.EURUSD", b"%d" % number)
            pull = await reader.js.pull_subscribe(subject, stream=stream)
            messages = await pull.fetch(5, timeout=WAIT_S)
            assert [message.data for message in messages] == [b"0", b"1", b"2", b"3", b"4"]
            for message in messages:
                await message.ack_sync(WAIT_S)
            await pull.unsubscribe()
            assert reader.refusals.empty()

    asyncio.run(run())


def test_the_recorder_keeps_durable_consumers_that_nobody_else_can_touch(
    settings: Settings,
) -> None:
    async def run() -> None:
        async with as_user(settings, "recorder") as recorder, as_user(settings, "loop") as loop:
            for stream in STREAMS:
                made = await recorder.js.add_consumer(
                    stream.name,
                    ConsumerConfig(durable_name="recorder", ack_policy=AckPolicy.EXPLICIT),
                )
                assert made.name == "recorder"
            for request in (
                "$JS.API.CONSUMER.DELETE.ORDERS.recorder",
                "$JS.API.CONSUMER.MSG.NEXT.ORDERS.recorder",
                "$JS.API.CONSUMER.CREATE.ORDERS.recorder",
                "$JS.API.CONSUMER.CREATE.ORDERS.recorder.trade.order.>",
                "$JS.ACK.ORDERS.recorder.1.1.1.1.0",
            ):
                await loop.may_not_publish(request)
            assert (await recorder.js.consumer_info("ORDERS", "recorder")).name == "recorder"
            assert recorder.refusals.empty()

    asyncio.run(run())


def test_promotion_puts_a_bundle_and_names_a_champion_and_the_loop_follows(
    settings: Settings,
) -> None:
    bundle = bytes(range(256)) * 2000  # several chunks

    async def run() -> None:
        async with as_user(settings, "platform") as platform, as_user(settings, "loop") as loop:
            store = await platform.js.object_store(MODEL_STORE)
            await store.put("a.tar", b"an older one")
            await store.put("a.tar", bundle)
            watched = await (await loop.js.key_value(CHAMPION_BUCKET)).watchall()
            assert await watched.updates(WAIT_S) is None
            await (await platform.js.key_value(CHAMPION_BUCKET)).put("EURUSD", b"{}")
            update: Any = await watched.updates(WAIT_S)
            assert update.value == b"{}"
            fetched = await (await loop.js.object_store(MODEL_STORE)).get("a.tar")
            assert fetched.data == bundle
            await watched.stop()
            assert loop.refusals.empty()
            assert platform.refusals.empty()

    asyncio.run(run())


def test_the_operator_throws_the_switch_and_the_loop_and_the_gateway_see_it(
    settings: Settings,
) -> None:
    async def run() -> None:
        async with as_user(settings, "operator") as operator:
            for bucket in (RISK_BUCKET, SWITCH_BUCKET, CHAMPION_BUCKET):
                await (await operator.js.key_value(bucket)).put("kill", b"1")
            for name in ("loop", "gateway"):
                async with as_user(settings, name) as service:
                    switch = await service.js.key_value(SWITCH_BUCKET)
                    assert (await switch.get("kill")).value == b"1"
                    assert service.refusals.empty()

    asyncio.run(run())


@pytest.mark.parametrize("name", ["loop", "gateway"])
def test_a_service_answers_the_operator_s_command_and_may_not_write_to_others(
    settings: Settings, name: str
) -> None:
    async def run() -> None:
        async with as_user(settings, "operator") as operator, as_user(settings, name) as service:

            async def answer(message) -> None:
                await message.respond(b"done")

            await service.client.subscribe(f"ctl.{name}.>", cb=answer)
            await service.client.flush()
            reply = await operator.client.request(f"ctl.{name}.pause", b"", timeout=WAIT_S)
            assert reply.data == b"done"
            await service.may_not_publish("_INBOX.operator.anything")

    asyncio.run(run())


def test_the_loop_and_the_gateway_keep_step_with_each_other(settings: Settings) -> None:
    async def run() -> None:
        async with as_user(settings, "loop") as loop, as_user(settings, "gateway") as gateway:
            permits = await loop.client.subscribe("ctl.lockstep.*.permit")
            reached = await gateway.client.subscribe("ctl.lockstep.*.reached")
            await loop.client.flush()
            await gateway.client.flush()
            await loop.client.publish("ctl.lockstep.paper.reached", b"7")
            assert (await reached.next_msg(WAIT_S)).data == b"7"
            await gateway.client.publish("ctl.lockstep.paper.permit", b"9")
            assert (await permits.next_msg(WAIT_S)).data == b"9"

    asyncio.run(run())
