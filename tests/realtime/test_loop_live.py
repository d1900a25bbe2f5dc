"""The loop outside of lock-step: gaps, repetitions, rubbish, restarts, champions, bad clocks."""

import asyncio
import json
import resource
import shutil
from dataclasses import replace

import numpy as np
import pytest

from realtime.clock import SimulatedClock
from realtime.connection import connect
from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import AccountState, ExecutionReport, OrderRequest, Position
from realtime.contracts.subjects import DECISIONS, ORDERS, report_subject, tick_subject
from realtime.kernels.codes import RISK_DRAWDOWN
from realtime.outbox import Outbox, OutboxFull, publish_now
from realtime.reset import reset_drawdown
from tests.fixtures.bundles import logistic_bundle
from tests.fixtures.servers import nats_server, running_nats
from tests.realtime.loop_runs import (
    LoopHere,
    a_bundle,
    assert_recorded_once,
    by_number,
    fold,
    promote,
    records,
    settings_for,
    sound_ticks,
)
from tests.realtime.standin_gateway import tick_messages

__all__ = ["nats_server"]

BALANCE = 10_000.0


def run(coroutine, within_s=25):
    return asyncio.run(asyncio.wait_for(coroutine, within_s))


@pytest.fixture(scope="module")
def ticks():
    return sound_ticks(3_000)


@pytest.fixture
def settings(nats_server, tmp_path):
    nats_server.empty()
    return patient(settings_for(nats_server.settings, tmp_path, lockstep=False))


def patient(settings):
    """Without a limit on the offset of clocks: ours stands still, see `clock_of`."""
    limits = replace(settings.account_limits, max_clock_offset_ns=0)
    return replace(settings, account_limits=limits)


def clock_of(ticks):
    """A clock that stands at the first tick: every tick is decided on at its own time."""
    return SimulatedClock(int(ticks["time_ns"][0]))


class Feed:
    """A gateway that publishes ticks as told, and says what the account holds."""

    def __init__(self, settings, ticks):
        self.settings, self.ticks = settings, ticks
        self.messages = list(tick_messages(ticks, ("EURUSD",), most=20))
        self.orders = []

    async def __aenter__(self):
        self.client = await connect(self.settings, "gateway")
        self.outbox = Outbox(self.client, lambda code, text: None)
        await self.outbox.open()
        await self.client.subscribe("trade.order.>", cb=self._on_order)
        return self

    async def __aexit__(self, *_):
        await self.outbox.close()
        await self.client.close()

    async def _on_order(self, msg):
        self.orders.append(OrderRequest.FromString(msg.data))

    async def say_account(self, number=1, balance=BALANCE, positions=()):
        report = ExecutionReport(
            account="paper",
            report_seq=number,
            account_state=AccountState(
                currency="USD", balance=balance, equity=balance, positions=positions
            ),
        )
        subject = report_subject("paper", "ACCOUNT")
        self.outbox.put(subject, report.SerializeToString(), "REPORTS")
        assert await self.outbox.flush(10)

    async def publish(self, start, stop):
        """Publish messages `start` to `stop`, of twenty ticks each."""
        for message in self.messages[start:stop]:
            self.outbox.put(tick_subject("EURUSD"), message.SerializeToString(), "TICKS")
        assert await self.outbox.flush(10)

    def count(self, messages):
        return sum(len(message.time_ns) for message in self.messages[:messages])


def served(predictions):
    return [(each.tick_ns, tuple(each.features), each.probability) for each in predictions]


async def a_run(settings, ticks, folder, script, clock=None):
    """Promote a bundle, run `script(feed, start_loop)` and return what was predicted."""
    bundle = a_bundle(folder, ticks, warm=200)
    await promote(settings, folder, bundle)
    clock = clock_of(ticks) if clock is None else clock
    async with Feed(settings, ticks) as feed:
        await feed.say_account()
        await script(feed, lambda: LoopHere(settings, clock))
    return await records(settings)


def assert_as_folded(settings, ticks, folder, found):
    predictions, decisions, consumed = found
    folded = fold(settings, ticks, folder)
    through = int(ticks["time_ns"][200])
    asked = folded.times_ns[0] > through
    assert np.count_nonzero(asked) > 50
    told = [tuple(each.features) for _, each in sorted(by_number(predictions).items())]
    assert told == [tuple(row) for row in folded.rows[0][asked].tolist()]
    assert_recorded_once(predictions, decisions, consumed, len(ticks))


def test_ticks_that_come_live_are_served_as_a_backtest_would(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == []

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)


def test_a_loop_that_was_away_serves_the_same_as_one_that_never_stopped(settings, tmp_path, ticks):
    async def script(feed, start):
        for begin, end in ((0, 50), (50, 51), (60, 100)):
            async with start() as loop:
                await loop.until(lambda loop: loop.health.state == "running")
                await feed.publish(begin, end)
                await loop.until(loop.has_taken(feed.count(end)))
            if end == 51:
                await feed.publish(51, 60)  # while it is away
        async with start() as loop:
            await feed.publish(100, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == []

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)


def test_a_loop_without_its_state_warms_up_on_the_stream_and_trades_nothing_of_it(
    settings, tmp_path, ticks
):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 70)
            await loop.until(loop.has_taken(feed.count(70)))
        orders = len(feed.orders)
        shutil.rmtree(settings.paths.var / "loop" / "paper")
        await feed.publish(70, 80)
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await loop.until(loop.has_taken(feed.count(80)))
            assert len(feed.orders) == orders
            await feed.publish(80, None)
            await loop.until(loop.has_taken(len(ticks)))

    predictions, decisions, consumed = run(a_run(settings, ticks, tmp_path / "b", script))
    folded = fold(settings, ticks, tmp_path / "b")
    wanted = dict(zip(folded.times_ns[0].tolist(), folded.rows[0].tolist(), strict=True))
    assert len(predictions) > 50
    for each in predictions:
        assert list(each.features) == wanted[each.tick_ns]
    for messages in (predictions, decisions, consumed):  # numbers go on where they stood
        numbers = [each.number for each in messages]
        assert numbers == list(range(1, len(numbers) + 1))


def test_a_gap_is_said_and_healed_from_the_stream(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            await loop.until(loop.has_taken(feed.count(30)))
            deaf = loop.service.client._subs
            sid = next(sid for sid, sub in deaf.items() if sub.subject == "md.tick.>")
            sub = deaf.pop(sid)  # as a slow consumer drops them
            await feed.publish(30, 40)
            await asyncio.sleep(0.2)
            deaf[sid] = sub
            await feed.publish(40, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["feed_gap"]
            first, last = feed.count(30) + 1, feed.count(40)
            assert f"ticks {first} to {last}" in loop.alerts[0][1]

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)


def test_ticks_that_come_twice_are_taken_once(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            for begin in range(0, len(feed.messages), 10):
                await feed.publish(begin, begin + 10)
                await feed.publish(max(begin - 5, 0), begin + 7)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == []

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)


@pytest.mark.parametrize(
    "payload", [b"\xff\xfe rubbish", b"", Ticks(symbol="EURUSD", account="paper", first_seq=1,
                first_feed_seq=5, time_ns=[1, 2], bid=[1.0]).SerializeToString()]
)  # fmt: skip
def test_rubbish_among_the_ticks_is_said_and_changes_nothing(settings, tmp_path, ticks, payload):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            publish_now(feed.client, tick_subject("EURUSD"), payload)
            await feed.publish(30, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["corrupt_message"]

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)


def test_ticks_that_are_rubbish_in_the_stream_too_halt_the_loop(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            publish_now(feed.client, tick_subject("EURUSD"), b"\xff rubbish instead of 30")
            await feed.publish(31, None)
            await loop.until(lambda loop: loop.health.state == "halted")
            assert "cannot be read in stream TICKS either" in loop.health.text
            assert "\n" not in loop.health.text
            assert loop.codes[-1] == "halted"
            await asyncio.sleep(0.3)
            assert loop.health.numbers["feed_seq"] == feed.count(30)

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_ticks_of_a_symbol_that_is_not_traded_are_said_once_and_count_in_the_feed(
    settings, tmp_path, ticks
):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            for number in range(1, 7):
                message = Ticks()
                message.CopyFrom(feed.messages[0])
                del message.time_ns[1:], message.bid[1:], message.ask[1:], message.flags[1:]
                del message.volume[1:]
                message.symbol = "EURUSD" if number % 2 else "GBPJPY"
                message.first_feed_seq = number
                feed.outbox.put(tick_subject(message.symbol), message.SerializeToString(), "TICKS")
            await loop.until(loop.has_taken(6))
            assert loop.codes == ["unknown_symbol"]
            assert "GBPJPY" in loop.alerts[0][1]

    _, _, consumed = run(a_run(settings, ticks, tmp_path / "b", script))
    assert sum(len(each.now_minus_tick_ns) for each in consumed) == 3


def test_a_clock_that_is_off_by_an_hour_opens_nothing_and_is_said_once(settings, tmp_path, ticks):
    hour_ns = 3_600_000_000_000
    late = SimulatedClock(int(ticks["time_ns"][-1]) + hour_ns)
    limits = replace(settings.account_limits, max_clock_offset_ns=hour_ns // 3600)
    settings = replace(settings, account_limits=limits)

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["clock_offset"]
            assert "behind this machine's clock" in loop.alerts[0][1]
            assert feed.orders == []

    _, decisions, _ = run(a_run(settings, ticks, tmp_path / "b", script, clock=late))
    assert {each.allowed_lots for each in decisions} == {0.0}
    assert any(each.target_lots != 0 for each in decisions)


def test_nats_killed_and_back_costs_no_tick(tmp_path, ticks):
    async def check(server):
        settings = patient(settings_for(server.settings, tmp_path, lockstep=False))

        async def script(feed, start):
            async with start() as loop:
                await loop.until(lambda loop: loop.health.state == "running")
                await feed.publish(0, 30)
                await loop.until(loop.has_taken(feed.count(30)))
                await asyncio.to_thread(server.kill9)
                await loop.until(lambda loop: "gone" in loop.health.text)
                for message in feed.messages[30:60]:
                    payload = message.SerializeToString()
                    feed.outbox.put(tick_subject("EURUSD"), payload, "TICKS")
                await asyncio.to_thread(server.start)
                await loop.until(loop.has_taken(feed.count(60)))
                await feed.publish(60, None)
                await loop.until(loop.has_taken(len(ticks)))

        return settings, await a_run(settings, ticks, tmp_path / "b", script)

    with running_nats(tmp_path / "server") as server:
        settings, found = run(check(server))
        assert_as_folded(settings, ticks, tmp_path / "b", found)


# --- champions --------------------------------------------------------------------------------


def test_a_loop_waits_for_its_first_champion(settings, tmp_path, ticks):
    async def check():
        async with Feed(settings, ticks) as feed, LoopHere(settings, clock_of(ticks)) as loop:
            await feed.say_account()
            await loop.until(lambda loop: loop.health.state == "waiting")
            assert loop.health.text == "no champion for EURUSD"
            await promote(settings, tmp_path / "b", a_bundle(tmp_path / "b", ticks))
            await loop.until(lambda loop: loop.health.state == "running")

    run(check())


def test_a_new_champion_takes_over_between_two_ticks_and_none_is_missed(settings, tmp_path, ticks):
    second = a_bundle(tmp_path / "second", ticks, weight=0.1, warm=200)

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 60)
            await promote(settings, tmp_path / "second", second)
            for begin in range(60, len(feed.messages)):
                await feed.publish(begin, begin + 1)
                await asyncio.sleep(0.01)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["champion"]

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert_as_folded(settings, ticks, tmp_path / "b", found)
    predictions, _, consumed = found
    ids = [each.bundle_id for each in predictions]
    changes = sum(one != other for one, other in zip(ids[1:], ids, strict=False))
    assert changes == 1
    assert ids[-1] == second.id
    swaps = [list(each.swapped_bundle) for each in consumed if each.swapped_bundle]
    assert [name for names in swaps for name in names][-1] == f"EURUSD={second.id}"


def test_a_swapped_champion_is_in_force_after_a_restart(settings, tmp_path, ticks):
    second = a_bundle(tmp_path / "second", ticks, weight=0.1, warm=200)

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 60)
            await loop.until(loop.has_taken(feed.count(60)))
        await promote(settings, tmp_path / "second", second)
        async with start() as loop:
            await feed.publish(60, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["champion"]
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            assert loop.codes == []

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert found[0][-1].bundle_id == second.id
    assert_as_folded(settings, ticks, tmp_path / "b", found)


async def announce(settings, **changed):
    """Announce what is in force, with something wrong about it."""
    client = await connect(settings, "platform")
    js = client.jetstream()
    entry = await js.get_last_msg("KV_champion", "$KV.champion.EURUSD")
    content = {**json.loads(entry.data or b""), **changed}
    await js.publish("$KV.champion.EURUSD", json.dumps(content).encode())
    await client.close()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"bundle_id": "EURUSD-m1-000000000000", "sha256": "0" * 64}, "was announced"),
        ({"bundle_id": "EURUSD-m1-000000000000"}, "announced was EURUSD-m1-000000000000"),
        ({"bundle_id": "EURUSD-m1-1", "object": "nothing.tar"}, "no 'nothing.tar'"),
        ({"symbol": "USDJPY"}, "one of 'USDJPY'"),
        ({"stage": "glorious"}, "stage 'glorious'"),
        ({"surprise": 1}, "not a table of"),
    ],
)
def test_a_champion_that_is_not_what_it_says_is_refused_and_the_old_one_stays(
    settings, tmp_path, ticks, changed, said
):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 60)
            await announce(settings, **changed)
            await loop.until(lambda loop: loop.codes)
            assert loop.codes == ["bundle_refused"]
            assert said in loop.alerts[0][1]
            assert "stays" in loop.alerts[0][1]
            assert "\n" not in loop.alerts[0][1]
            await feed.publish(60, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == ["bundle_refused"]

    found = run(a_run(settings, ticks, tmp_path / "b", script))
    assert len({each.bundle_id for each in found[0]}) == 1
    assert_as_folded(settings, ticks, tmp_path / "b", found)


def test_a_champion_with_other_features_waits_for_a_restart_which_warms_up_for_it(
    settings, tmp_path, ticks
):
    from tests.fixtures.bundles import logistic_bundle

    other = logistic_bundle(
        tmp_path / "other", features=("m1_rsi_7",), weights=(0.3,), bias=-15.0,
        trained_through_ns=int(ticks["time_ns"][200]),
    )  # fmt: skip

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 60)
            await promote(settings, tmp_path / "other", other)
            await loop.until(lambda loop: loop.codes)
            assert loop.codes == ["bundle_refused"]
            assert "restart the loop to take it" in loop.alerts[0][1]
            await feed.publish(60, 100)
            await loop.until(loop.has_taken(feed.count(100)))
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            assert loop.codes == ["state_refused"]
            assert "other feature sets" in loop.alerts[0][1]
            await feed.publish(100, None)
            await loop.until(loop.has_taken(len(ticks)))

    predictions, _, _ = run(a_run(settings, ticks, tmp_path / "b", script))
    mine = [each for each in predictions if each.bundle_id == other.id]
    folded = fold(settings, ticks, tmp_path / "other")
    wanted = dict(zip(folded.times_ns[0].tolist(), folded.rows[0].tolist(), strict=True))
    assert len(mine) > 10
    for each in mine:
        assert list(each.features) == wanted[each.tick_ns]


# --- state ------------------------------------------------------------------------------------


def test_a_corrupt_state_is_put_aside_and_the_stream_warms_the_loop(settings, tmp_path, ticks):
    folder = settings.paths.var / "loop" / "paper"

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 60)
            await loop.until(loop.has_taken(feed.count(60)))
        for path in folder.glob("state-?"):
            data = bytearray(path.read_bytes())
            data[500] ^= 1  # a shorter state leaves the end of a longer one behind it
            path.write_bytes(data)
        async with start() as loop:
            await feed.publish(60, None)
            await loop.until(loop.has_taken(len(ticks)))
            await loop.until(lambda loop: loop.codes != [])
            assert loop.codes == ["state_corrupt"]
            assert "\n" not in loop.alerts[0][1]

    predictions, _, _ = run(a_run(settings, ticks, tmp_path / "b", script))
    assert sorted(path.name for path in folder.glob("*.corrupt-1")) == [
        "state-0.corrupt-1",
        "state-1.corrupt-1",
    ]
    folded = fold(settings, ticks, tmp_path / "b")
    wanted = dict(zip(folded.times_ns[0].tolist(), folded.rows[0].tolist(), strict=True))
    for each in predictions:
        assert list(each.features) == wanted[each.tick_ns]


def test_a_disk_that_keeps_no_state_halts_the_loop_before_it_orders(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 10)
            await loop.until(loop.has_taken(feed.count(10)))
            allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, allowed[1]))
            try:
                await feed.publish(10, None)
                await loop.until(lambda loop: loop.health.state == "halted")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
            assert "the disk took only a part of the state" in loop.health.text
            assert feed.orders == []

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_a_disk_that_is_full_while_nothing_happens_halts_the_loop_and_does_not_end_it(
    settings, tmp_path, ticks
):
    settings = replace(settings, loop=replace(settings.loop, state_every_ns=100_000_000))

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, allowed[1]))
            try:
                await loop.until(lambda loop: loop.health.state == "halted")
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
            assert "the disk took only a part of the state" in loop.health.text
            assert not loop.task.done()

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_records_that_find_no_room_after_their_order_halt_the_loop(
    settings, tmp_path, ticks, monkeypatch
):
    """They leave in a turn of their own, where nobody would have heard of it."""
    put_all = Outbox.put_all
    ordered = []
    refused = []

    def no_room(outbox, messages):
        ordered.extend(each for each in messages if each.stream == ORDERS)
        if ordered and not refused and any(each.stream == DECISIONS for each in messages):
            refused.extend(messages)
            msg = "no room"
            raise OutboxFull(msg)
        put_all(outbox, messages)

    async def script(feed, start):
        monkeypatch.setattr(Outbox, "put_all", no_room)
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, None)
            await loop.until(lambda loop: loop.health.state == "halted")
            assert loop.health.text == "OutboxFull: no room"
            assert len(feed.orders) == 1

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_nothing_is_traded_before_the_gateway_has_said_what_the_account_holds(
    settings, tmp_path, ticks
):
    async def check():
        await promote(settings, tmp_path / "b", a_bundle(tmp_path / "b", ticks, warm=200))
        async with Feed(settings, ticks) as feed, LoopHere(settings, clock_of(ticks)) as loop:
            await feed.publish(0, 40)
            await loop.until(lambda loop: loop.health.state == "waiting")
            assert "no report of the account" in loop.health.text
            await feed.say_account(balance=77_000.0)
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(40, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.health.numbers["report_seq"] == 1

    run(check())


def test_the_settings_of_the_account_do_not_outlive_the_brokers_word(settings, tmp_path, ticks):
    settings = replace(settings, account=replace(settings.account, balance=1.0))

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, None)
            await loop.until(loop.has_taken(len(ticks)))
        assert len(feed.orders) > 0  # with one dollar there would be no margin

    run(a_run(settings, ticks, tmp_path / "b", script))


# --- the operator -----------------------------------------------------------------------------


async def throw(settings, key, value):
    client = await connect(settings, "operator")
    await client.jetstream().publish(f"$KV.switch.{key}", value)
    await client.close()


@pytest.mark.parametrize("key", ["kill", "kill.paper"])
def test_nothing_is_opened_while_the_kill_switch_is_on_even_over_a_restart(
    settings, tmp_path, ticks, key
):
    async def script(feed, start):
        await throw(settings, key, b"on")
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            assert loop.codes == ["kill_switch"]
            await feed.publish(0, 60)
            await loop.until(loop.has_taken(feed.count(60)))
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(60, 100)
            await loop.until(loop.has_taken(feed.count(100)))
            assert feed.orders == []
            await throw(settings, key, b"off")
            await loop.until(lambda loop: loop.codes == ["kill_switch"])
            await feed.publish(100, None)
            await loop.until(loop.has_taken(len(ticks)))
        assert len(feed.orders) > 0

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_an_account_that_cannot_see_the_kill_switch_does_not_trade(tmp_path, ticks):
    """A bucket that could not be read once counted as a switch that is off."""
    with running_nats(tmp_path / "server") as server:
        settings = patient(settings_for(server.settings, tmp_path, lockstep=False))

        async def check():
            setup = await connect(server.settings, "setup")
            await setup.jetstream().delete_stream("KV_switch")
            await setup.close()
            await promote(settings, tmp_path / "b", a_bundle(tmp_path / "b", ticks))
            async with Feed(settings, ticks) as feed, LoopHere(settings, clock_of(ticks)) as loop:
                await feed.say_account()
                await loop.until(lambda loop: "kill switch cannot be read" in loop.health.text)
                await feed.publish(0, 60)
                await asyncio.sleep(0.5)
                assert loop.health.state == "waiting"
                assert feed.orders == []

        run(check())


# --- what an account must not forget ----------------------------------------------------------


def test_a_drawdown_outlives_a_state_that_is_put_aside_until_an_operator_resets_it(
    settings, tmp_path, ticks
):
    """A champion with other features once released it by the restart that it asks for."""
    limits = replace(settings.account_limits, max_drawdown=0.2)
    settings = replace(settings, account_limits=limits)

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            await loop.until(loop.has_taken(feed.count(30)))
            await feed.say_account(2, balance=BALANCE / 2)
            await feed.publish(30, 60)
            await loop.until(loop.has_taken(feed.count(60)))
        orders = len(feed.orders)
        features = ("m1_rsi_14", "tick_spread")
        other = logistic_bundle(
            tmp_path / "other", features=features, weights=(0.3, 0.0), bias=-15.0,
            trained_through_ns=int(ticks["time_ns"][200]),
        )  # fmt: skip
        await promote(settings, tmp_path / "other", other)
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            assert any("loss limits go on" in text for _, text in loop.alerts)
            await feed.publish(60, 100)
            await loop.until(loop.has_taken(feed.count(100)))
            assert len(feed.orders) == orders
            assert "limit" in await reset_drawdown(settings)
            await feed.publish(100, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert len(feed.orders) > orders

    _, decisions, _ = run(a_run(settings, ticks, tmp_path / "b", script), within_s=90)
    assert RISK_DRAWDOWN in {each.risk_code for each in decisions}


def test_nothing_is_decided_while_a_report_of_the_account_is_missing(settings, tmp_path, ticks):
    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            await loop.until(loop.has_taken(feed.count(30)))
            await feed.say_account(3)
            await feed.publish(30, 60)
            await asyncio.sleep(0.5)
            assert loop.health.numbers["feed_seq"] == feed.count(30)
            await feed.say_account(2)
            await loop.until(loop.has_taken(feed.count(60)))

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_more_positions_than_a_desk_has_room_for_halt_the_loop(settings, tmp_path, ticks):
    """Those beyond were once left out without a word."""
    held = [
        Position(id=number, symbol="EURUSD", side=1, volume_lots=0.1, open_price=1.1)
        for number in range(1, 66)
    ]

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.say_account(2, positions=held)
            await loop.until(lambda loop: loop.health.state == "halted")
            assert "65 positions and a desk has room for 64" in loop.health.text

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_a_feed_whose_numbers_begin_anew_halts_the_loop(settings, tmp_path, ticks):
    """Streams that were emptied under a kept state once left a loop that took no tick, silently."""

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, 30)
            await loop.until(loop.has_taken(feed.count(30)))
            later = Ticks()
            later.CopyFrom(feed.messages[0])
            newest_ns = int(ticks["time_ns"][-1])
            later.time_ns[:] = [newest_ns] * len(later.time_ns)
            publish_now(feed.client, tick_subject("EURUSD"), later.SerializeToString())
            await loop.until(lambda loop: loop.health.state == "halted")
            assert "began anew" in loop.health.text

    run(a_run(settings, ticks, tmp_path / "b", script))


def test_an_order_that_nobody_answers_is_said_once(settings, tmp_path, ticks):
    clock = clock_of(ticks)

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(0, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert len(feed.orders) == 1
            clock.advance(int(ticks["time_ns"][-1] - ticks["time_ns"][0]) + 3_600_000_000_000)
            await loop.until(lambda loop: "order_unanswered" in loop.codes)
            await asyncio.sleep(0.3)
            assert loop.codes.count("order_unanswered") == 1

    run(a_run(settings, ticks, tmp_path / "b", script, clock=clock))


def test_a_tick_beyond_the_calendar_halts_the_loop(settings, tmp_path, ticks):
    """Every session once counted as closed there, and nobody said why nothing was traded."""

    async def script(feed, start):
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            late = Ticks()
            late.CopyFrom(feed.messages[0])
            for at in range(len(late.time_ns)):
                late.time_ns[at] += 500 * 86_400 * 1_000_000_000
            publish_now(feed.client, tick_subject("EURUSD"), late.SerializeToString())
            await loop.until(lambda loop: loop.health.state == "halted")
            assert "calendar of trading sessions ends" in loop.health.text

    run(a_run(settings, ticks, tmp_path / "b", script))
