import pytest
from hypothesis import given
from hypothesis import strategies as st

import mt5_gateway.journal as module
from mt5_gateway.errors import JournalDamaged
from mt5_gateway.journal import Account, Journal
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest

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
    read(path)
    recorded = read(path)
    assert path.stat().st_size < before
    assert recorded.account == ACCOUNT
    assert (recorded.seen, recorded.begun_s) == ([5, 6], 77)
    assert sorted(recorded.intents) == sorted(recorded.reports) == list(range(31, 41))
