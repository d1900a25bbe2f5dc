"""Reports through a real NATS server."""

import asyncio

from mt5_gateway.journal import Journal
from mt5_gateway.reports import Reports
from realtime.clock import SimulatedClock
from realtime.connection import connect
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.outbox import Outbox
from tests.fixtures.gateway import stream_of


def session(settings, path, work):
    """Open reports over a journal, work with them, and return what the stream holds then."""

    async def main():
        client = await connect(settings, "gateway")
        outbox = Outbox(client, lambda code, text: None)
        await outbox.open()
        journal = Journal(path, durable=False)
        reports = Reports("paper", journal, outbox, SimulatedClock(5), ("EURUSD",))
        try:
            await reports.load(client)
            work(reports, journal)
            assert await outbox.flush(5.0)
            return await stream_of(client, "REPORTS", "trade.report.paper.>", ExecutionReport)
        finally:
            journal.close()
            await outbox.close()
            await client.close()

    return asyncio.run(main())


def publish(*comments):
    def work(reports, journal):
        for comment in comments:
            reports.publish(ExecutionReport(comment=comment, symbol="EURUSD"))

    return work


def nothing(reports, journal):
    pass


def told(kept):
    return [(each.report_seq, each.comment) for each in kept]


def test_numbers_go_on_after_a_restart(nats_server, tmp_path):
    nats_server.empty()
    session(nats_server.settings, tmp_path / "j", publish("a", "b"))
    kept = session(nats_server.settings, tmp_path / "j", publish("c"))
    assert told(kept) == [(1, "a"), (2, "b"), (3, "c")]
    assert {each.account for each in kept} == {"paper"}


def test_a_report_that_did_not_reach_the_stream_is_told_again_as_it_was(nats_server, tmp_path):
    nats_server.empty()
    session(nats_server.settings, tmp_path / "j", publish("a"))
    journal = Journal(tmp_path / "j", durable=False)
    journal.write_report(ExecutionReport(report_seq=2, comment="b", account="paper", time_ns=9))
    journal.close()
    kept = session(nats_server.settings, tmp_path / "j", nothing)
    assert told(kept) == [(1, "a"), (2, "b")]
    assert kept[1].time_ns == 9
    assert told(session(nats_server.settings, tmp_path / "j", publish("c")))[2:] == [(3, "c")]


def test_a_lost_journal_goes_on_from_the_stream(nats_server, tmp_path):
    nats_server.empty()
    session(nats_server.settings, tmp_path / "j", publish("a", "b"))
    kept = session(nats_server.settings, tmp_path / "other", publish("c"))
    assert told(kept) == [(1, "a"), (2, "b"), (3, "c")]
