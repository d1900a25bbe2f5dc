"""Replays through a real NATS server and a simulated terminal, with a stand-in for the loop."""

import asyncio

import numpy as np
import pytest

from realtime.connection import connect
from realtime.contracts.market_data_pb2 import Ticks
from tests.fixtures.gateway import LoopDouble, plain_report, record_of, stream_of, walk
from tests.fixtures.servers import running_nats

COUNT = 1500
PLACED, FILLED = 1, 4


def market():
    return {"EURUSD": walk(COUNT), "GBPUSD": walk(COUNT, seed=2, price=1.7)}


def play(rig, disturb=None, **options):
    """Play a replay to its end; `disturb` is awaited when the loop has come half way."""

    async def main():
        loop = LoopDouble(rig.settings, **options)
        await loop.open()
        try:
            if disturb is not None:
                await loop.run(until=COUNT)
                await disturb(loop)
            await loop.run()
        finally:
            await loop.close()
        return loop, await record_of(rig.settings)

    return asyncio.run(main())


def reports_of(record):
    return {number: plain_report(report) for number, report in record[2].items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """What a replay gives that nothing disturbs: the measure of those that are disturbed."""
    from tests.fixtures.gateway import Rig

    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "nats").mkdir()
    with running_nats(folder / "nats") as nats:
        rig = Rig(folder, nats, market())
        try:
            rig.start_terminal()
            rig.start_gateway()
            loop, record = play(rig)
            deals = rig.deals()
        finally:
            rig.close()
    return loop, record, deals


def test_the_feed_is_every_tick_of_all_symbols_in_order_of_time(undisturbed):
    _, (ticks, _, _, refused), _ = undisturbed
    assert sorted(ticks) == list(range(1, 2 * COUNT + 1))
    assert not refused
    expected = sorted(
        (int(time_ns), row, seq, float(bid), float(ask))
        for row, name in enumerate(market())
        for seq, (time_ns, bid, ask) in enumerate(
            zip(*(market()[name][key] for key in ("time_ns", "bid", "ask")), strict=True), 1
        )
    )
    names = list(market())
    told = [(t, names.index(s), seq, bid, ask) for s, seq, t, bid, ask in ticks.values()]
    assert told == expected


def test_every_order_is_executed_once_and_every_deal_is_reported_once(undisturbed):
    loop, (_, orders, reports, _), deals = undisturbed
    assert sorted(reports) == list(range(1, len(reports) + 1))
    assert [order.number for order in orders] == list(range(1, loop.order_number + 1))
    answered = [each.order_number for each in reports.values() if each.order_number]
    assert answered == list(range(1, loop.order_number + 1))
    told = [deal.ticket for report in reports.values() for deal in report.deals]
    assert sorted(told) == sorted(deal.ticket for deal in deals)
    assert len(set(told)) == len(told)


def test_what_the_broker_does_by_itself_is_reported_before_the_loop_takes_the_tick(undisturbed):
    _, (_, _, reports, _), deals = undisturbed
    closes = [each for each in reports.values() if each.report_seq > 1 and not each.order_number]
    assert sum(deal.reason in (4, 5) for deal in deals) == len(closes) > 0
    for report in closes:
        (deal,) = report.deals
        assert deal.order_ticket == 0
        assert deal.time_ns == report.account_state.time_ns


def test_each_report_carries_the_account_as_its_deals_left_it(undisturbed):
    _, (_, _, reports, _), _ = undisturbed
    balance = reports[1].account_state.balance
    for report in list(reports.values())[1:]:
        balance += sum(deal.profit + deal.swap + deal.commission for deal in report.deals)
        assert report.account_state.balance == pytest.approx(balance, abs=1e-6)


def disturbed(rigs, undisturbed, how, nats=None):
    rig = rigs(market()) if nats is None else rigs(market(), nats=nats)
    rig.start_terminal()
    rig.start_gateway()

    async def disturb(loop):
        how(rig)

    _, record = play(rig, disturb)
    _, expected, deals = undisturbed
    assert record[0] == expected[0]
    assert [o.SerializeToString() for o in record[1]] == [
        o.SerializeToString() for o in expected[1]
    ]
    assert reports_of(record) == reports_of(expected)
    assert [tuple(deal) for deal in rig.deals()] == [tuple(deal) for deal in deals]
    return rig


def test_a_gateway_that_is_killed_loses_and_doubles_nothing(rigs, undisturbed):
    def kill(rig):
        rig.kill9_gateway()
        rig.start_gateway()

    rig = disturbed(rigs, undisturbed, kill)
    assert asyncio.run(published_ticks(rig.settings)) == 2 * COUNT


async def published_ticks(settings):
    client = await connect(settings, "operator")
    try:
        return sum(len(each.bid) for each in await stream_of(client, "TICKS", "md.tick.>", Ticks))
    finally:
        await client.close()


def test_a_terminal_and_a_nats_server_that_are_killed_lose_and_double_nothing(
    rigs, undisturbed, tmp_path
):
    (tmp_path / "own").mkdir()
    with running_nats(tmp_path / "own") as nats:

        def kill(rig):
            rig.kill9_terminal()
            rig.start_terminal()
            nats.kill9()
            nats.start()

        disturbed(rigs, undisturbed, kill, nats)


def test_everything_killed_at_once_loses_and_doubles_nothing(rigs, undisturbed, tmp_path):
    (tmp_path / "own").mkdir()
    with running_nats(tmp_path / "own") as nats:

        def kill(rig):
            rig.kill9_gateway()
            rig.kill9_terminal()
            nats.kill9()
            nats.start()
            rig.start_terminal()
            rig.start_gateway()

        disturbed(rigs, undisturbed, kill, nats)


def test_a_loop_that_has_lost_its_memory_gets_the_same_answers(rigs, undisturbed):
    rig = rigs(market())
    rig.start_terminal()
    rig.start_gateway()

    async def main():
        for until in (COUNT, 10 * COUNT):
            loop = LoopDouble(rig.settings)
            await loop.open()
            try:
                await loop.run(until=until)
            finally:
                await loop.close()
        return await record_of(rig.settings)

    record = asyncio.run(main())
    assert reports_of(record) == reports_of(undisturbed[1])
    assert len(rig.deals()) == len(undisturbed[2])


def test_dirty_ticks_go_to_quarantine_and_the_rest_is_gapless(rigs):
    ticks = market()
    dirty = ticks["EURUSD"]
    dirty["ask"][100:110] = dirty["bid"][100:110] - 0.0001
    dirty["bid"][200] = np.nan
    dirty["bid"][300] = dirty["ask"][300] = 0.0
    dirty["bid"][400], dirty["ask"][400] = 13.8, 13.9
    rig = rigs(ticks)
    rig.start_terminal()
    rig.start_gateway()

    async def kill(loop):
        rig.kill9_gateway()
        rig.start_gateway()

    loop, (told, _, reports, refused) = play(rig, kill)
    assert sorted(told) == list(range(1, 2 * COUNT - 13 + 1))
    reasons = sorted(reason for (_, _), reason in refused.items())
    assert reasons == sorted(["crossed"] * 10 + ["not_a_number", "not_positive", "jump"])
    assert sorted(number for _, number in refused) == list(range(1, 14))
    assert [each.order_number for each in reports.values() if each.order_number] == list(
        range(1, loop.order_number + 1)
    )


def test_an_order_on_its_way_is_reported_when_it_is_placed_and_when_it_is_filled(rigs):
    rig = rigs(market(), costs={"latency": "700ms"})
    rig.start_terminal()
    rig.start_gateway()

    async def kill(loop):
        rig.kill9_gateway()
        rig.start_gateway()

    loop, (_, _, reports, _) = play(rig, kill)
    assert loop.order_number > 70
    for number in range(1, loop.order_number):  # the last may still be on its way at the end
        told = [each for each in reports.values() if each.order_number == number]
        assert len(told) == 2, (number, loop.order_number, [(e.state, e.retcode) for e in told])
        placed, filled = told
        assert (placed.state, placed.retcode, len(placed.deals)) == (PLACED, 10008, 0)
        assert (filled.state, filled.retcode) == (FILLED, 10009)
        assert filled.client_order_id == placed.client_order_id
        assert filled.feed_seq > placed.feed_seq
        assert sum(deal.volume_lots for deal in filled.deals) == filled.filled_lots == 0.1


def test_a_gateway_refuses_streams_that_hold_another_replay(rigs):
    first = rigs(market())
    first.start_terminal()
    first.start_gateway()
    play(first)
    first.close()
    second = rigs({"EURUSD": walk(COUNT, seed=8), "GBPUSD": walk(COUNT, seed=9, price=1.7)})
    second.start_terminal()
    assert second.start_gateway().wait(30) == 2
    assert "it replays other data" in second.log()
