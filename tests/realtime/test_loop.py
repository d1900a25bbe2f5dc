"""The loop on a real server: in lock-step, live, killed, starved, lied to."""

import asyncio
import random

import pytest

from realtime.contracts.orders_pb2 import OrderRequest
from tests.fixtures.servers import nats_server
from tests.realtime.loop_runs import (
    LoopHere,
    LoopProcess,
    a_bundle,
    assert_fills_equal,
    assert_recorded_once,
    desk,
    everything,
    fold,
    promote,
    records,
    settings_for,
    sound_ticks,
)
from tests.realtime.standin_gateway import StandIn

__all__ = ["nats_server"]

EURUSD = ("EURUSD",)


def run(coroutine, within_s=90):
    return asyncio.run(asyncio.wait_for(coroutine, within_s))


@pytest.fixture(scope="module")
def ticks():
    return sound_ticks(5_000)


async def a_stand_in(settings, ticks, **options):
    stand_in = StandIn(settings, desk(settings, ticks), EURUSD, ticks)
    await stand_in.open(**options)
    return stand_in


# --- lock-step --------------------------------------------------------------------------------


def test_a_replay_over_the_wire_equals_the_backtest(nats_server, tmp_path, ticks):
    nats_server.empty()
    settings = settings_for(nats_server.settings, tmp_path)
    bundle = a_bundle(tmp_path / "bundle", ticks)

    async def check():
        await promote(settings, tmp_path / "bundle", bundle)
        stand_in = await a_stand_in(settings, ticks)
        async with LoopHere(settings) as loop:
            await stand_in.over.wait()
            await loop.until(lambda loop: loop.health.text == "the replay is over")
            assert loop.alerts == []
        await stand_in.close()
        folded = fold(settings, ticks, tmp_path / "bundle")
        assert_fills_equal(stand_in.broker, folded)
        predictions, decisions, consumed = await records(settings)
        assert_recorded_once(predictions, decisions, consumed, len(ticks))
        asked = folded.times_ns[0] > bundle.trained_through_ns
        features = [list(each.features) for each in predictions]
        assert features == folded.rows[0][asked].tolist()
        assert [each.probability for each in predictions] == folded.probabilities[0][asked].tolist()

    run(check())


def test_a_loop_killed_again_and_again_sends_the_same_orders_once(nats_server, tmp_path, ticks):
    nats_server.empty()
    settings = settings_for(nats_server.settings, tmp_path, state_every_ns=300_000_000)
    bundle = a_bundle(tmp_path / "bundle", ticks)
    chance = random.Random(7)

    async def check():
        await promote(settings, tmp_path / "bundle", bundle)
        stand_in = await a_stand_in(settings, ticks)
        process = LoopProcess(settings, tmp_path).start()
        try:
            for kill in range(2):
                goal = (kill + 1) * len(ticks) // 3 + chance.randrange(200)
                while stand_in.reached is None or stand_in.reached.feed_seq < goal:
                    await asyncio.sleep(0)
                    assert process.process.poll() is None, process.said
                await asyncio.sleep(chance.random() * 0.02)
                process.kill9()
                process.start()
            await stand_in.over.wait()
            await asyncio.sleep(0.3)  # for the last records
        finally:
            code = process.stop()
        await stand_in.close()
        assert code == 0
        assert_fills_equal(stand_in.broker, fold(settings, ticks, tmp_path / "bundle"))
        assert "state of tick" in process.said
        predictions, decisions, consumed = await records(settings)
        assert_recorded_once(predictions, decisions, consumed, len(ticks))
        orders = await everything(settings, "ORDERS", "trade.order.>", OrderRequest)
        assert {each.number for each in orders} == set(range(1, len(stand_in.orders) + 1))

    run(check())
