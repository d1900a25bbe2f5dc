"""Reports through a real NATS server."""

import asyncio
import contextlib

from google.protobuf.message import DecodeError

import mt5_gateway.reports as module
from mt5_gateway.journal import Journal
from mt5_gateway.reports import Reports
from realtime.clock import SimulatedClock
from realtime.connection import connect
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.outbox import Outbox
from tests.fixtures.gateway import stream_of


def session(settings, path, work, alerts=lambda *_: None):
    """Open reports over a journal, work with them, and return what the stream holds then."""

    async def main():
        client = await connect(settings, "gateway")
        outbox = Outbox(client, lambda code, text: None)
        await outbox.open()
        journal = Journal(path, durable=False)
        reports = Reports("paper", journal, outbox, SimulatedClock(5), ("EURUSD",), alerts)
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


def test_what_is_no_report_is_said_and_left_out(nats_server, tmp_path):
    """One bad message ended the gateway at every start."""
    nats_server.empty()
    session(nats_server.settings, tmp_path / "j", publish("a"))

    async def litter():
        client = await connect(nats_server.settings, "gateway")
        for payload in (b"\xff\xff\xff rubbish", b"", ExecutionReport().SerializeToString()):
            await client.jetstream().publish("trade.report.paper.EURUSD", payload)
        await client.close()

    asyncio.run(litter())
    numbers, alerts = [], []

    def work(reports, journal):
        numbers.append(reports.last_seq)
        assert list(reports.known) == [1]

    with contextlib.suppress(DecodeError):  # the stream still holds it
        session(nats_server.settings, tmp_path / "j", work, lambda *each: alerts.append(each))
    assert numbers == [1]
    ((severity, code, text),) = alerts
    assert (severity, code) == ("critical", "message_corrupt")
    assert text.startswith("3 of the last messages of stream REPORTS cannot be read")


def answer(number, **changes):
    return ExecutionReport(order_number=number, received_ns=5, symbol="EURUSD", **changes)


def test_the_last_answered_order_is_found_behind_many_reports_about_none(
    nats_server, tmp_path, monkeypatch
):
    """Without a journal they hid it, and every old order was read and answered again."""
    monkeypatch.setattr(module, "_TAIL", 10)
    nats_server.empty()

    def orders_and_more(reports, journal):
        for number in range(1, 8):
            reports.publish(answer(number))
        for _ in range(60):
            reports.publish(ExecutionReport())
        reports.publish(ExecutionReport(order_number=2))  # executed late: it is not the last

    session(nats_server.settings, tmp_path / "j", orders_and_more)
    found = []

    def look(reports, journal):
        found.append((reports.handled, journal.recorded.handled))

    session(nats_server.settings, tmp_path / "j", look)
    session(nats_server.settings, tmp_path / "lost", look)
    session(nats_server.settings, tmp_path / "lost", look)
    assert found == [(7, 7)] * 3


def test_memory_holds_the_latest_reports_only(nats_server, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_TAIL", 10)
    nats_server.empty()

    def many(reports, journal):
        for number in range(1, 200):
            reports.publish(answer(number))
            assert len(reports.known) <= 20
        assert list(reports.known)[-10:] == list(range(190, 200))

    session(nats_server.settings, tmp_path / "j", many)
