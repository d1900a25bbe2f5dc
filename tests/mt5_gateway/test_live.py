"""A gateway of a terminal that runs by itself, started where not everything can be read."""

import asyncio

from deploy.local.streams import ensure_streams
from realtime.connection import connect
from tests.fixtures.gateway import walk
from tests.fixtures.servers import running_nats
from tests.mt5_gateway.test_live_orders import FILLED, LIMITS, REJECTED, Live


async def forget_switch(settings):
    client = await connect(settings, "setup")
    await client.jetstream().delete_stream("KV_switch")
    await client.close()


def test_nothing_is_opened_before_the_kill_switch_could_be_read(rigs, tmp_path):
    (tmp_path / "own").mkdir()
    with running_nats(tmp_path / "own") as nats:
        rig = rigs({"EURUSD": walk(4000)}, nats=nats, lockstep=False, **LIMITS)
        asyncio.run(forget_switch(nats.settings))
        rig.start_terminal()
        rig.start_gateway()
        rig.await_log("halted: the kill switch could not be read yet")
        live = Live(rig)
        order = live.order()
        live.publish(order)
        report = live.report(order.number)
        assert (report.state, report.retcode) == (REJECTED, 10027)
        assert "the kill switch could not be read yet" in report.comment
        assert not rig.deals()
        ensure_streams(nats.settings)
        rig.await_log("the kill switch can be read again")
        order = live.order()
        live.publish(order)
        assert live.report(order.number).state == FILLED
