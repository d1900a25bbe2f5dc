"""Bringing what comes in into order."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.inbox import (
    STRANGER,
    Chunk,
    ReportInbox,
    TickInbox,
    chunk_of,
    live_chunks,
    read_report,
)
from realtime.kernels.layout import TICK
from realtime.tick_wire import CorruptMessage, read_message

ROWS = {"EURUSD": 0, "XAUUSD": 1}


def ticks_message(count=2, **changed):
    fields: dict[str, Any] = {
        "symbol": "XAUUSD", "account": "paper", "first_seq": 7, "first_feed_seq": 40,
        "time_ns": range(100, 100 + count), "bid": [1.5] * count, "ask": [1.75] * count,
        "flags": [6] * count, **changed,
    }  # fmt: skip
    return Ticks(**fields)


@pytest.mark.parametrize("count", [1, 2, 500])
def test_ticks_become_rows_of_the_kernels_own_layout(count):
    chunk = chunk_of(ticks_message(count), ROWS, 9, is_live=True)
    assert chunk.rows.dtype is TICK
    assert (chunk.first, chunk.end, chunk.stranger) == (40, 40 + count, "")
    assert chunk.rows["seq"].tolist() == list(range(7, 7 + count))
    assert chunk.rows["time_ns"].tolist() == list(range(100, 100 + count))
    assert set(chunk.rows["symbol"]) == {1}
    assert np.isnan(chunk.rows["last"]).all()
    assert set(chunk.rows["volume"]) == {0.0}
    given = ticks_message(count, last=[2.5] * count, volume=[3.0] * count)
    rows = chunk_of(given, ROWS, 9, is_live=True).rows
    assert set(rows["last"]) == {2.5}
    assert set(rows["volume"]) == {3.0}


def test_one_tick_is_read_as_many_are():
    many = chunk_of(ticks_message(2, last=[math.nan, 1.0]), ROWS, 0, is_live=True).rows[:1]
    one = chunk_of(ticks_message(1, last=[math.nan]), ROWS, 0, is_live=True).rows
    assert one.tobytes() == many.tobytes()


def test_a_symbol_that_is_not_on_the_desk_is_a_stranger():
    chunk = chunk_of(ticks_message(symbol="GBPJPY"), ROWS, 0, is_live=True)
    assert chunk.stranger == "GBPJPY"
    assert set(chunk.rows["symbol"]) == {STRANGER}


@given(st.data(), st.integers(16, 40))
def test_messages_that_came_together_are_read_as_one_by_one(data, count):
    """Whatever came: other accounts, strangers, gaps, doubles, rubbish."""
    payloads = []
    feed_seq = 1
    for _ in range(count):
        ticks = data.draw(st.integers(1, 3))
        symbol = data.draw(st.sampled_from(["EURUSD", "XAUUSD", "XAUUSD", "GBPJPY"]))
        account = data.draw(st.sampled_from(["paper", "paper", "paper", "live"]))
        message = ticks_message(
            ticks, symbol=symbol, account=account, first_feed_seq=feed_seq,
            last=data.draw(st.sampled_from([[], [math.nan] * ticks, [2.5] * ticks])),
        )  # fmt: skip
        rubbish = data.draw(st.sampled_from([b"", b"", b"", b"\xff"]))
        payloads.append(rubbish or message.SerializeToString())
        feed_seq += data.draw(st.sampled_from([ticks, ticks, ticks, 0, 5]))
    together, refused = live_chunks(payloads, "paper", ROWS, 9)
    alone = [live_chunks([each], "paper", ROWS, 9) for each in payloads]
    assert [at for at, _ in refused] == [at for at, (_, bad) in enumerate(alone) if bad]
    single = [chunk for chunks, _ in alone for chunk in chunks]
    assert sum(len(chunk.rows) for chunk in together) == sum(len(each.rows) for each in single)
    rows = iter(single)
    for chunk in together:
        assert chunk.rows.dtype is TICK
        at = chunk.first
        while at < chunk.end:
            part = next(rows)
            here = chunk.rows[at - chunk.first : part.end - chunk.first]
            assert (part.first, here.tobytes()) == (at, part.rows.tobytes())
            assert (chunk.stranger, chunk.received_ns) == (part.stranger, 9)
            at = part.end
    assert next(rows, None) is None


def test_ticks_of_many_symbols_that_follow_one_another_become_one_chunk():
    symbols = ["EURUSD", "XAUUSD"] * 20
    payloads = [
        ticks_message(1, symbol=symbol, first_feed_seq=1 + at).SerializeToString()
        for at, symbol in enumerate(symbols)
    ]
    (chunk,), refused = live_chunks(payloads, "paper", ROWS, 9)
    assert (chunk.first, chunk.end, refused) == (1, 41, [])
    assert chunk.rows["symbol"].tolist() == [0, 1] * 20


@pytest.mark.parametrize(
    "changed",
    [{"bid": [1.0]}, {"ask": []}, {"flags": [1, 2, 3]}, {"last": [1.0]}, {"volume": [1.0]},
     {"symbol": ""}, {"first_seq": 0}, {"first_feed_seq": 0},
     {"time_ns": [], "bid": [], "ask": [], "flags": []}],
)  # fmt: skip
def test_ticks_that_do_not_match_are_corrupt(changed):
    payload = ticks_message(**changed).SerializeToString()
    with pytest.raises(CorruptMessage):
        read_message(payload)


@pytest.mark.parametrize("payload", [b"", b"\xff\xff", b"\x0a\xff"])
def test_bytes_that_are_no_message_are_corrupt(payload):
    with pytest.raises(CorruptMessage):
        read_message(payload)
    with pytest.raises(CorruptMessage):
        read_report(payload)


def a_chunk(first, end):
    rows = np.zeros(end - first, TICK)
    rows["seq"] = np.arange(first, end)
    return Chunk(rows, first, 0, True)


@given(
    st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12)), max_size=30),
    st.randoms(use_true_random=False),
)
def test_ticks_leave_in_order_once_whatever_comes_how_often(pieces, chance):
    arriving = [*pieces, *((first, 7) for first in range(1, 60, 5))]
    chance.shuffle(arriving)
    inbox, taken = TickInbox(), []
    for first, count in arriving:
        inbox.add(a_chunk(first, first + count))
        while (chunk := inbox.current(len(taken))) is not None:
            assert chunk.first <= len(taken) + 1 < chunk.end
            stop = chance.randint(len(taken) + 2, chunk.end)
            taken += range(len(taken) + 1, stop)
            assert chunk.rows["seq"][taken[-1] - chunk.first] == taken[-1]
    last = max(first + count - 1 for first, count in arriving)
    assert taken == list(range(1, last + 1))
    assert inbox.missing(last) is None


def test_what_is_missing_is_named():
    inbox = TickInbox()
    assert inbox.missing(0) is None
    inbox.add(a_chunk(5, 8))
    assert inbox.missing(0) == (1, 4)
    assert inbox.gap(0) == (1, 4)
    inbox.add(a_chunk(1, 3))
    assert inbox.missing(0) is None
    assert inbox.missing(2) == (3, 4)
    assert inbox.missing(7) is None
    inbox.last_seen = 20
    assert inbox.missing(7) == (8, 20)
    assert inbox.gap(7) is None  # nothing came that shows it was lost on the way


def test_beyond_its_room_an_inbox_forgets_and_says_what_is_missing():
    inbox = TickInbox(most_ticks=10)
    for first in range(1, 41, 5):
        inbox.add(a_chunk(first, first + 5))
    assert inbox.is_full
    taken = 0
    while (chunk := inbox.current(taken)) is not None:
        taken = chunk.end - 1
    assert taken == 10
    assert not inbox.is_full
    assert inbox.missing(taken) == (11, 40)
    assert inbox.gap(taken) is None  # forgotten here, not lost on the way


@given(st.permutations(range(1, 9)), st.integers(0, 8))
def test_reports_leave_in_order_once(order, applied):
    inbox, left = ReportInbox(), []
    for seq in (*order, *order):
        inbox.add(ExecutionReport(report_seq=seq, account="paper"), applied + len(left))
        while (report := inbox.next(applied + len(left))) is not None:
            left.append(report.report_seq)
            inbox.drop(report.report_seq)
    assert left == list(range(applied + 1, 9))


def test_missing_reports_are_named():
    inbox = ReportInbox()
    for seq in (2, 5):
        inbox.add(ExecutionReport(report_seq=seq), 0)
    assert inbox.missing(0) == (1, 4)
    assert inbox.missing(2) == (3, 4)
    assert inbox.missing(5) is None
    assert inbox.missing(5, through=7) == (6, 7)
    assert not inbox.has_through(0, 2)
    assert inbox.has_through(1, 2)
