import pytest
from hypothesis import given
from hypothesis import strategies as st

import mt5_gateway.journal as module
from mt5_gateway.errors import JournalDamaged
from mt5_gateway.journal import Account, Journal, latest_reports
from mt5_gateway.line_file import JournalUnwritable
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from tests.mt5_gateway.test_line_file import disk_of

ACCOUNT = Account(login=1, server="Broker-Demo")


def written(path, *, orders=3):
    journal = Journal(path, durable=True)
    journal.write_account(ACCOUNT)
    journal.write_seen([5, 6], 77)
    for number in range(1, orders + 1):
        journal.write_intent(OrderRequest(number=number, client_order_id=f"a-{number}"), number)
        journal.write_report(ExecutionReport(report_seq=number, order_number=number))
    journal.close()
    return path


def read(path):
    journal = Journal(path, durable=False)
    journal.close()
    return journal.recorded


def shorten(path, unconfirmed=0):
    journal = Journal(path, durable=False)
    journal.unconfirmed = unconfirmed
    journal.make_room()
    journal.close()


def test_what_was_written_is_read_back(tmp_path):
    recorded = read(written(tmp_path / "j"))
    assert recorded.account == ACCOUNT
    assert (recorded.seen, recorded.begun_s) == ([5, 6], 77)
    assert recorded.intents[2] == OrderRequest(number=2, client_order_id="a-2")
    assert recorded.intent_ns == {1: 1, 2: 2, 3: 3}
    assert recorded.reports[3].order_number == 3


@given(st.data())
def test_a_journal_cut_anywhere_keeps_every_whole_line(tmp_path_factory, data):
    path = written(tmp_path_factory.mktemp("cut") / "j")
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    recorded = read(path)
    lines = whole[:cut].count(b"\n")
    kept = (recorded.account is not None) + (recorded.seen is not None)
    assert kept + len(recorded.intents) + len(recorded.reports) == lines
    journal = Journal(path, durable=False)
    journal.write_report(ExecutionReport(report_seq=99))
    journal.close()
    assert 99 in read(path).reports


def test_a_damaged_line_stops_the_gateway_and_says_what_to_do(tmp_path):
    path = written(tmp_path / "j")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"garbage\n", *lines[3:]]))
    with pytest.raises(JournalDamaged, match=r"line 4 cannot be read .* restore the file"):
        Journal(path, durable=False)


def test_a_long_journal_is_made_short_and_keeps_the_latest(tmp_path, monkeypatch):
    path = written(tmp_path / "j", orders=40)
    monkeypatch.setattr(module, "_ROTATE_BYTES", 100)
    monkeypatch.setattr(module, "_KEPT", 10)
    before = path.stat().st_size
    shorten(path)
    recorded = read(path)
    assert path.stat().st_size < before
    assert recorded.account == ACCOUNT
    assert (recorded.seen, recorded.begun_s) == ([5, 6], 77)
    assert sorted(recorded.intents) == sorted(recorded.reports) == list(range(31, 41))
    assert recorded.handled == 40


def test_a_journal_that_becomes_long_is_made_short_while_it_is_used(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROTATE_BYTES", 20_000)
    monkeypatch.setattr(module, "_KEPT", 10)
    path = tmp_path / "j"
    journal = Journal(path, durable=False)
    journal.write_account(ACCOUNT)
    journal.unconfirmed = 0
    for number in range(1, 1_001):
        journal.make_room()
        journal.write_intent(OrderRequest(number=number), number)
        journal.write_report(ExecutionReport(report_seq=number, order_number=number))
    assert len(journal.recorded.reports) < 200
    assert len(journal.recorded.intents) < 200
    journal.close()
    assert path.stat().st_size < 40_000
    recorded = read(path)
    assert recorded.account == ACCOUNT
    assert set(range(991, 1_001)) <= set(recorded.intents) & set(recorded.reports)


def test_the_last_answered_order_survives_reports_that_are_about_none(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROTATE_BYTES", 100)
    monkeypatch.setattr(module, "_KEPT", 10)
    path = written(tmp_path / "j", orders=7)
    journal = Journal(path, durable=False)
    for number in range(8, 60):
        journal.write_report(ExecutionReport(report_seq=number))
    journal.close()
    shorten(path)
    recorded = read(path)
    assert not any(report.order_number for report in recorded.reports.values())
    assert recorded.handled == 7


def test_reports_that_no_stream_has_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "_ROTATE_BYTES", 100)
    monkeypatch.setattr(module, "_KEPT", 10)
    journal = Journal(written(tmp_path / "j", orders=1), durable=False)
    for number in range(2, 60):
        journal.write_report(ExecutionReport(report_seq=number))
    journal.make_room()  # it is not known yet what the stream has
    journal.close()
    path = tmp_path / "j"
    assert sorted(read(path).reports) == list(range(1, 60))
    shorten(path, unconfirmed=30)
    assert sorted(read(path).reports) == list(range(30, 60))


def test_the_report_of_an_order_that_is_open_at_the_broker_is_kept():
    def report(seq, ticket, state):
        return ExecutionReport(
            report_seq=seq, order_number=ticket, order_ticket=ticket, state=state
        )

    states = [(1, 1, 1), (2, 2, 1), (3, 2, 4), (4, 3, 4), (5, 4, 4)]
    told = {seq: report(seq, ticket, state) for seq, ticket, state in states}
    assert list(latest_reports(told, 2)) == [1, 4, 5]


def test_an_intent_on_a_full_disk_is_no_intent(tmp_path):
    """A part of it was written, the order was sent, and sent again by every start."""
    path = written(tmp_path / "j")
    journal = Journal(path, durable=True)
    with disk_of(path.stat().st_size + 60), pytest.raises(JournalUnwritable):
        journal.write_intent(OrderRequest(number=4), 4)
    assert 4 not in journal.recorded.intents
    journal.write_intent(OrderRequest(number=5), 5)
    journal.close()
    assert sorted(read(path).intents) == [1, 2, 3, 5]


def test_the_report_of_an_intent_fits_on_a_disk_that_became_full(tmp_path):
    path = written(tmp_path / "j")
    journal = Journal(path, durable=True)
    journal.write_intent(OrderRequest(number=4), 4)
    with disk_of(path.stat().st_size):
        journal.write_report(ExecutionReport(report_seq=4, comment="x" * 150_000))
    journal.close()
    assert 4 in read(path).reports


@given(st.data())
def test_a_journal_cut_in_its_room_keeps_every_whole_line(tmp_path_factory, data):
    path = written(tmp_path_factory.mktemp("cut") / "j")
    whole = path.read_bytes()
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut] + bytes(300))
    recorded = read(path)
    kept = (recorded.account is not None) + (recorded.seen is not None)
    assert kept + len(recorded.intents) + len(recorded.reports) == whole[:cut].count(b"\n")


def test_reports_that_a_power_cut_tore_are_dropped_but_an_order_behind_zeros_stops(tmp_path):
    path = written(tmp_path / "j")
    whole = path.read_bytes()
    path.write_bytes(whole + bytes(40) + b'rest"}\n{"kind":"report"}\n')
    assert sorted(read(path).reports) == [1, 2, 3]
    path.write_bytes(whole + bytes(40) + b'{"kind":"intent"}\n')
    with pytest.raises(JournalDamaged, match="zeros before an order"):
        Journal(path, durable=False)
