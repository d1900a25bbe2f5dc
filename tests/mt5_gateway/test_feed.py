import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.drain import SymbolDrain
from mt5_gateway.feed import MOST_TICKS, Feed, tick_messages
from mt5_gateway.results import TICKS
from mt5_gateway.server_time import ServerClock

UTC = ServerClock("UTC")
START_MS = 1_700_000_000_000


def ticks(offsets, bid=1.1):
    rows = np.zeros(len(offsets), TICKS)
    rows["time_msc"] = START_MS + np.array(offsets, np.int64)
    rows["bid"], rows["ask"] = bid, 1.2
    return rows


def drains(count, rows=1000):
    return [SymbolDrain(str(symbol), UTC, START_MS, rows) for symbol in range(count)]


histories = st.lists(st.lists(st.integers(0, 50), max_size=20).map(sorted), min_size=1, max_size=3)


@given(histories, st.integers(1, 7))
def test_the_feed_is_in_order_of_time_then_symbol_however_it_is_read(offsets, count):
    feed = Feed(len(offsets))
    parts = drains(len(offsets), count)
    seen = []
    for _ in range(60):
        for symbol, drain in enumerate(parts):
            rows = ticks(offsets[symbol])
            _, second, most = drain.wanted
            feed.add(symbol, drain.take(rows[rows["time_msc"] >= second * 1000][:most]))
        stretch = feed.pull([drain.more for drain in parts])
        if stretch is not None:
            assert stretch.feed_seqs.tolist() == [len(seen) + i + 1 for i in range(len(stretch))]
            seen += list(zip(stretch.utc_ms.tolist(), stretch.symbols, stretch.seqs, strict=True))
    expected = [
        (START_MS + offset, symbol, seq)
        for symbol, each in enumerate(offsets)
        for seq, offset in enumerate(each, 1)
    ]
    assert seen == sorted(expected)
    assert feed.waiting == 0


def test_a_refused_tick_has_an_ordinal_but_no_number():
    rows = ticks([0, 1, 2])
    rows["ask"][1] = 1.0
    feed = Feed(1)
    feed.add(0, drains(1)[0].take(rows))
    stretch = feed.pull([False])
    assert stretch is not None
    assert stretch.feed_seqs.tolist() == [1, 1, 2]
    assert stretch.feed().seqs.tolist() == [1, 2]
    assert stretch.feed().ordinals.tolist() == [1, 3]


def test_messages_hold_runs_of_one_symbol_with_gapless_numbers():
    feed = Feed(2, feed_seq=10, seqs=[4, 6])
    for symbol, offsets in enumerate(([0, 1, 5], [2, 3])):
        feed.add(symbol, drains(2)[symbol].take(ticks(offsets)))
    stretch = feed.pull([False, False])
    assert stretch is not None
    messages = tick_messages(stretch, ("EURUSD", "XAUUSD"), "paper", 1, 2)
    told = [(m.symbol, m.first_seq, m.first_feed_seq, len(m.bid)) for m in messages]
    assert told == [("EURUSD", 5, 11, 2), ("XAUUSD", 7, 13, 2), ("EURUSD", 7, 15, 1)]
    assert messages[1].last_server_ms == START_MS + 3
    assert list(messages[0].time_ns) == [START_MS * 10**6, (START_MS + 1) * 10**6]
    assert not messages[0].last
    assert not messages[0].volume


def test_a_long_run_becomes_several_messages():
    feed = Feed(1)
    feed.add(0, drains(1, 10**6)[0].take(ticks(range(MOST_TICKS + 1))))
    stretch = feed.pull([False])
    assert stretch is not None
    messages = tick_messages(stretch, ("EURUSD",), "paper", 1, 2)
    assert [(len(m.bid), m.first_seq) for m in messages] == [(MOST_TICKS, 1), (1, MOST_TICKS + 1)]


def test_a_last_price_of_zero_is_none():
    rows = ticks([0, 1])
    rows["last"] = [0.0, 1.15]
    feed = Feed(1)
    feed.add(0, drains(1)[0].take(rows))
    stretch = feed.pull([False])
    assert stretch is not None
    (message,) = tick_messages(stretch, ("EURUSD",), "paper", 1, 2)
    assert np.isnan(message.last[0])
    assert message.last[1] == 1.15


def test_what_was_published_is_left_out_after_a_restart():
    feed = Feed(1)
    feed.add(0, drains(1)[0].take(ticks([0, 1, 2])))
    stretch = feed.pull([False])
    assert stretch is not None
    assert stretch.feed(2).feed_seqs.tolist() == [3]
    assert len(stretch.feed(0)) == 3
    assert len(stretch.feed(9)) == 0
