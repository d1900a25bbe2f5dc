"""Thousands of messages at once are read as the protobuf library reads them one by one."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime.contracts.market_data_pb2 import Ticks
from realtime.tick_wire import read_ticks

TIMES = st.integers(-(2**62), 2**62)
PRICES = st.floats(allow_nan=True, allow_infinity=True)


@st.composite
def messages(draw):
    count = draw(st.integers(1, 4))
    column = st.lists(PRICES, min_size=count, max_size=count)
    return Ticks(
        symbol=draw(st.sampled_from(["EURUSD", "XAUUSD", "E", "Ö.m"])),
        account=draw(st.sampled_from(["paper", "live"])),
        first_seq=draw(st.integers(1, 2**40)),
        first_feed_seq=draw(st.integers(1, 2**40)),
        time_ns=draw(st.lists(TIMES, min_size=count, max_size=count)),
        bid=draw(column),
        ask=draw(column),
        last=draw(st.one_of(st.just([]), column)),
        volume=draw(st.one_of(st.just([]), column)),
        flags=draw(st.lists(st.integers(0, 300), min_size=count, max_size=count)),
        drained_ns=draw(st.sampled_from([0, 5, 2**50])),
        published_ns=draw(st.sampled_from([0, 6])),
        last_server_ms=draw(st.sampled_from([0, 2**41])),
        taken_of_last_ms=draw(st.sampled_from([0, 1, 200])),
    )


def same(left, right):
    return np.array_equal(np.asarray(left), np.asarray(right), equal_nan=True)


@given(st.lists(messages(), max_size=30))
def test_columns_are_those_of_the_library(given_messages):
    found = read_ticks([message.SerializeToString() for message in given_messages])
    assert found.refused == []
    assert found.message.tolist() == list(range(len(given_messages)))
    at = 0
    for row, message in enumerate(given_messages):
        count = len(message.time_ns)
        place = slice(at, at + count)
        at += count
        assert found.symbols[found.symbol[row]] == message.symbol
        assert found.accounts[found.account[row]] == message.account
        assert found.count[row] == count
        for name in ("first_seq", "first_feed_seq", "drained_ns", "published_ns"):
            assert getattr(found, name)[row] == getattr(message, name)
        for name in ("time_ns", "bid", "ask", "flags"):
            assert same(getattr(found, name)[place], getattr(message, name))
        assert same(found.last[place], message.last or [math.nan] * count)
        assert same(found.volume[place], message.volume or [0.0] * count)
    assert len(found.time_ns) == at


GOOD = Ticks(symbol="EURUSD", account="paper", first_seq=1, first_feed_seq=1, time_ns=[1],
             bid=[1.0], ask=[1.1], flags=[6])  # fmt: skip


def changed(**fields):
    message = Ticks()
    message.CopyFrom(GOOD)
    for name, value in fields.items():
        message.ClearField(name)
        if isinstance(value, list):
            getattr(message, name).extend(value)
        elif value is not None:
            setattr(message, name, value)
    return message.SerializeToString()


def test_what_is_no_valid_message_is_left_out_and_named():
    good = GOOD.SerializeToString()
    bad = [
        b"", b"\xff\xff\xff", b"garbage", good[:-3], changed(symbol=None), changed(account=None),
        changed(bid=[1.0, 2.0]), changed(ask=[]), changed(first_seq=0), changed(first_feed_seq=-4),
        changed(time_ns=[]), changed(flags=[2**31]), changed(flags=[]),
        changed(symbol="a\0b"), changed(last=[1.0, 2.0]),
    ]  # fmt: skip
    found = read_ticks([good, *bad, good])
    assert found.message.tolist() == [0, len(bad) + 1]
    assert [place for place, _ in found.refused] == list(range(1, len(bad) + 1))
    assert all(reason for _, reason in found.refused)
    assert found.bid.tolist() == [1.0, 1.0]


@given(st.lists(st.one_of(st.binary(max_size=60), messages().map(Ticks.SerializeToString))))
def test_no_bytes_at_all_get_in_the_way_of_the_others(payloads):
    found = read_ticks(payloads)
    assert sorted([*found.message.tolist(), *(place for place, _ in found.refused)]) == list(
        range(len(payloads))
    )
    assert int(found.count.sum()) == len(found.time_ns)


def test_fields_of_a_newer_gateway_are_skipped():
    newer = GOOD.SerializeToString() + b"\x9a\x06\x03new"  # field 99
    found = read_ticks([newer, GOOD.SerializeToString()])
    assert found.refused == []
    assert found.ask.tolist() == [1.1, 1.1]
