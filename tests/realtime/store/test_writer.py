"""Rows and position are one: nothing comes twice, nothing is lost, nothing stops the record."""

import math
from dataclasses import replace

import psycopg
import pytest

from realtime.contracts.control_pb2 import Alert, Health
from realtime.contracts.market_data_pb2 import Bar, QuarantinedTick, Ticks
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.store.connection import OWNER, READER, RECORDER, connect
from realtime.store.errors import Fenced, RecordConflict
from realtime.store.readers import read_consumed, read_decisions, read_predictions, read_reports
from realtime.store.tick_reader import read_ticks, recorded_feed
from realtime.store.writer import Writer, decode
from realtime.stream_follower import Message
from tests.realtime.recorded_run import CREATED_NS, migrated


@pytest.fixture
def database(stack_settings):
    with connect(migrated(stack_settings), RECORDER) as connection:
        yield connection


def a_tick(feed, seq=None, symbol="EURUSD", count=1, bid=1.0, **fields):
    base = 1_483_228_800_000_000_000  # 2017-01-01
    return Ticks(
        symbol=symbol, account="paper", first_seq=feed if seq is None else seq,
        first_feed_seq=feed, time_ns=[base + (feed + i) * 1_000_000 for i in range(count)],
        bid=[bid + (feed + i) / 1e5 for i in range(count)],
        ask=[bid + 0.1 + (feed + i) / 1e5 for i in range(count)], flags=[6] * count, **fields,
    )  # fmt: skip


def tick_batch(*messages, start=1, created_ns=CREATED_NS):
    return batch("TICKS", "md.tick.EURUSD", *messages, start=start, created_ns=created_ns)


def batch(stream, subject, *messages, start=1, created_ns=CREATED_NS):
    kept = [
        Message(
            start + at, subject, each if isinstance(each, bytes) else each.SerializeToString(), 0
        )
        for at, each in enumerate(messages)
    ]
    return decode(stream, created_ns, kept)


def feed_seqs(connection):
    rows = connection.execute("SELECT feed_seq FROM ticks ORDER BY feed_seq")
    return [number for (number,) in rows]


def open_gaps(connection):
    rows = connection.execute(
        "SELECT kind, name, first, last FROM gaps WHERE filled_at IS NULL ORDER BY kind, first"
    )
    return rows.fetchall()


def test_ticks_come_back_as_kernels_take_them(database):
    writer = Writer(database, "TICKS")
    done = writer.write(
        tick_batch(
            a_tick(1, 1, count=3, volume=[1.0, 2.0, 3.0]), a_tick(4, 1, "XAUUSD", last=[7.0]),
            a_tick(5, 4, count=2),
        )
    )  # fmt: skip
    assert (done.rows, done.duplicates, done.missing, done.dead) == (6, 0, [], [])
    feed = recorded_feed(database, "paper")
    assert (feed.first, feed.last, feed.symbols) == (1, 6, ("EURUSD", "XAUUSD"))
    for chunk in (100, 4, 1):
        parts = list(read_ticks(database, "paper", ("XAUUSD", "EURUSD"), chunk=chunk))
        rows = [row for part in parts for row in part]
        assert [int(row["symbol"]) for row in rows] == [1, 1, 1, 0, 1, 1]
        assert [int(row["seq"]) for row in rows] == [1, 2, 3, 1, 4, 5]
        assert [float(row["volume"]) for row in rows] == [1.0, 2.0, 3.0, 0.0, 0.0, 0.0]
        assert [math.isnan(row["last"]) for row in rows] == [True] * 3 + [False] + [True] * 2
        assert float(rows[4]["bid"]) == 1.0 + 5 / 1e5
    assert [int(row["symbol"]) for row in next(read_ticks(database, "paper", ("EURUSD",)))] == [
        0, 0, 0, -1, 0, 0,
    ]  # fmt: skip


def test_what_a_publisher_repeats_is_recorded_once(database):
    writer = Writer(database, "TICKS")
    writer.write(tick_batch(*(a_tick(n) for n in range(1, 6))))
    done = writer.write(tick_batch(*(a_tick(n) for n in range(3, 9)), start=6))
    assert (done.rows, done.duplicates) == (3, 3)
    done = writer.write(tick_batch(a_tick(7, count=4), start=12))  # cut elsewhere
    assert (done.rows, done.duplicates) == (2, 2)
    assert feed_seqs(database) == list(range(1, 11))
    assert open_gaps(database) == []


def test_a_batch_offered_again_is_skipped_by_its_position(database):
    first = tick_batch(*(a_tick(n) for n in range(1, 6)))
    writer = Writer(database, "TICKS")
    writer.write(first)
    assert writer.write(first).rows == 0
    longer = tick_batch(*(a_tick(n) for n in range(1, 9)))
    done = Writer(database, "TICKS").write(longer)
    assert (done.rows, done.duplicates) == (3, 0)
    assert feed_seqs(database) == list(range(1, 9))


def test_a_gap_is_noted_and_filled_by_what_comes_late(database):
    writer = Writer(database, "TICKS")
    writer.write(tick_batch(a_tick(1)))
    done = writer.write(tick_batch(a_tick(10), start=2))
    assert sorted((each.lane, each.first, each.last) for each in done.missing) == [
        (("feed_seq", "paper"), 2, 9), (("seq", "paper/EURUSD"), 2, 9),
    ]  # fmt: skip
    done = Writer(database, "TICKS").write(tick_batch(a_tick(4, count=2), a_tick(12), start=3))
    assert [(each.first, each.last) for each in done.missing] == [(11, 11), (11, 11)]
    assert open_gaps(database) == [
        ("feed_seq", "paper", 2, 3), ("feed_seq", "paper", 6, 9), ("feed_seq", "paper", 11, 11),
        ("seq", "paper/EURUSD", 2, 3), ("seq", "paper/EURUSD", 6, 9),
        ("seq", "paper/EURUSD", 11, 11),
    ]  # fmt: skip
    writer = Writer(database, "TICKS")
    writer.write(tick_batch(a_tick(2, count=2), a_tick(6, count=4), a_tick(11), start=5))
    assert open_gaps(database) == []
    assert feed_seqs(database) == list(range(1, 13))


def test_messages_that_the_stream_threw_away_are_a_gap(database):
    writer = Writer(database, "TICKS")
    done = writer.write(tick_batch(a_tick(1), start=501))
    assert [(each.lane[0], each.first, each.last) for each in done.missing] == [
        ("stream_seq", 1, 500)
    ]


def test_a_corrupt_message_is_kept_as_it_came_and_the_record_goes_on(database):
    writer = Writer(database, "TICKS")
    done = writer.write(tick_batch(a_tick(1), b"\xff\x00garbage", a_tick(2)))
    assert (done.rows, [each[0] for each in done.dead]) == (2, [2])
    row = database.execute("SELECT stream_seq, payload, reason FROM dead_letters").fetchone()
    assert row == (2, b"\xff\x00garbage", "not a Ticks message")


def test_what_only_postgresql_refuses_is_found_among_thousands(database):
    orders = [
        OrderRequest(account="paper", number=n, client_order_id=f"o-{n}", symbol="EURUSD")
        for n in range(1, 40)
    ]
    orders[17].client_order_id = "o-3"  # unique in the table
    orders[30].client_order_id = "o-20"
    orders[5].slippage_points = 2**32 - 1
    done = Writer(database, "ORDERS").write(batch("ORDERS", "trade.order.paper.EURUSD", *orders))
    assert sorted(each[0] for each in done.dead) == [18, 31]
    assert done.rows == 37
    numbers = database.execute("SELECT array_agg(number ORDER BY number) FROM orders").fetchone()
    assert numbers == ([n for n in range(1, 40) if n not in (18, 31)],)
    row = database.execute("SELECT slippage_points FROM orders WHERE number = 6").fetchone()
    assert row == (2**32 - 1,)


@pytest.mark.parametrize(
    ("subject", "message"),
    [
        ("trade.order.paper.EURUSD", OrderRequest(number=1)),
        ("trade.order.paper.EURUSD", OrderRequest(account="paper")),
        ("trade.order.paper.EURUSD", OrderRequest(account="pa\0per", number=1)),
        ("trade.decision.EURUSD", Decision(account="a", number=1, refused_retcode=[1])),
        ("md.bar.EURUSD.m1", Bar(account="paper", symbol="EURUSD", seq=1)),
        ("ops.alert.info", Alert(details={"a": "\0"})),
        ("ops.unknown", Alert()),
        ("trade.report.paper.ACCOUNT", b"\x07"),
    ],
)
def test_what_lacks_its_key_is_a_dead_letter(database, subject, message):
    done = Writer(database, "ORDERS").write(batch("ORDERS", subject, message))
    assert len(done.dead) == 1
    assert done.rows == 0


def test_a_second_writer_is_fenced_off(database, stack_settings):
    writer, other = Writer(database, "TICKS"), Writer(database, "TICKS")
    writer.write(tick_batch(a_tick(1)))
    with pytest.raises(Fenced):
        other.write(tick_batch(a_tick(1), a_tick(2)))
    writer.write(tick_batch(a_tick(2), start=2))
    stale = Writer(database, "TICKS")
    writer.write(tick_batch(a_tick(3), start=3))
    with pytest.raises(Fenced):
        stale.write(tick_batch(a_tick(3), start=3))
    assert feed_seqs(database) == [1, 2, 3]


def test_a_stream_made_anew_goes_on_with_the_same_feed(database):
    Writer(database, "TICKS").write(tick_batch(*(a_tick(n) for n in range(1, 6))))
    done = Writer(database, "TICKS").write(
        tick_batch(*(a_tick(n) for n in range(4, 8)), created_ns=CREATED_NS + 1)
    )
    assert (done.rows, done.duplicates, done.missing) == (2, 2, [])
    assert feed_seqs(database) == list(range(1, 8))


def test_another_feed_under_the_same_name_is_refused_whole(database):
    Writer(database, "TICKS").write(tick_batch(*(a_tick(n) for n in range(1, 6))))
    writer = Writer(database, "TICKS")
    with pytest.raises(RecordConflict, match="account 'paper' sends another tick 1"):
        writer.write(tick_batch(*(a_tick(n, bid=3.0) for n in range(1, 9)), created_ns=7))
    assert feed_seqs(database) == list(range(1, 6))


def test_another_order_under_the_same_number_is_kept_apart(database):
    def order(number, name):
        return OrderRequest(account="paper", number=number, client_order_id=name, symbol="EURUSD")

    writer = Writer(database, "ORDERS")
    writer.write(batch("ORDERS", "trade.order.paper.EURUSD", order(1, "a-1"), order(2, "a-2")))
    done = writer.write(
        batch("ORDERS", "trade.order.paper.EURUSD", order(2, "a-2"), order(1, "b-1"), start=3)
    )
    assert done.duplicates == 2
    assert done.dead == [
        (4, "trade.order.paper.EURUSD", "number 1 of orders is another one in the record")
    ]


def test_ticks_consumed_are_told_once_however_messages_are_cut(database):
    def consumed(number, first, count, reports=()):
        return Consumed(
            account="paper", number=number, first_feed_seq=first,
            now_minus_tick_ns=list(range(first, first + count)), bundle_ids="EURUSD=x",
            report_seq=list(reports), report_after_feed_seq=[first] * len(reports),
        )  # fmt: skip

    writer = Writer(database, "DECISIONS")
    subject = "trade.consumed.paper"
    writer.write(batch("DECISIONS", subject, consumed(1, 1, 10), consumed(2, 11, 5, [1])))
    # The loop restarts from an older state: the same ticks, cut in another way.
    writer.write(
        batch("DECISIONS", subject, consumed(2, 11, 2), consumed(3, 13, 9), consumed(4, 22, 0, [2]),
              start=3)
    )  # fmt: skip
    told = read_consumed(database, "paper")
    assert [(each.first_feed_seq, len(each.now_minus_tick_ns)) for each in told] == [
        (1, 10), (11, 5), (16, 6), (22, 0),
    ]  # fmt: skip
    assert list(told[2].now_minus_tick_ns) == list(range(16, 22))
    assert open_gaps(database) == []


def test_health_is_recorded_when_it_says_something_new_and_once_a_minute(database):
    second = 1_000_000_000
    told = [Health(service="loop", state="running", time_ns=n * second) for n in range(130)]
    told[40].state = "waiting"
    told[50].numbers["latency"] = math.inf
    other = Health(service="gateway", state="running", time_ns=3)
    writer = Writer(database, "OPS")
    writer.write(batch("OPS", "ops.health.loop", *told[:30], other))
    writer.write(batch("OPS", "ops.health.loop", *told[30:], start=32))
    rows = database.execute("SELECT time_ns / 1000000000, state FROM health WHERE service = 'loop'")
    assert rows.fetchall() == [
        (0, "running"), (40, "waiting"), (41, "running"), (101, "running"),
    ]  # fmt: skip


def test_a_transaction_that_fails_leaves_no_trace(database, stack_settings):
    with connect(stack_settings, OWNER) as owner:
        writer = Writer(database, "OPS")
        health = Health(service="loop", state="running", time_ns=1)
        owner.execute("REVOKE INSERT ON health FROM recorder")
        with pytest.raises(psycopg.Error, match="permission denied"):
            writer.write(batch("OPS", "ops.health.loop", health))
        assert database.execute("SELECT count(*) FROM recorded").fetchone() == (0,)
        owner.execute("GRANT INSERT ON health TO recorder")
        assert writer.write(batch("OPS", "ops.health.loop", health)).rows == 1


def test_messages_come_back_as_they_were_published(database, stack_settings):
    nan = math.nan
    prediction = Prediction(
        account="paper", symbol="EURUSD", number=1, feed_seq=9, now_ns=5, bundle_id="b",
        feature_set="f", probability=nan, features=[1.0, nan, -0.0, 1e-310, math.inf], tick_ns=1,
        received_ns=2, features_ns=3, predicted_ns=4,
    )  # fmt: skip
    refused = OrderRequest(symbol="EURUSD", type=1, volume_lots=0.5, created_ns=5, stop_loss=1.5)
    decision = Decision(
        account="paper", symbol="EURUSD", number=1, feed_seq=9, now_ns=5, probability=0.7,
        edge=0.1, cost=0.2, target_lots=-1.0, allowed_lots=0.0, decision_code=2, risk_code=9,
        bundle_id="b", prediction_number=1, decided_ns=6, refused=[refused, refused],
        refused_retcode=[10014, 10019],
    )  # fmt: skip
    report = ExecutionReport(
        account="paper", report_seq=1, client_order_id="c-1", state=4, retcode=10009,
        comment="done", order_ticket=77, filled_lots=0.5, feed_seq=9, time_ns=8, symbol="EURUSD",
        received_ns=1, sent_ns=2, answered_ns=3, published_ns=4, order_number=1,
    )  # fmt: skip
    for ticket in (5, 6):
        report.deals.add(ticket=ticket, order_ticket=77, position_id=3, symbol="EURUSD", side=-1,
                         entry=1, reason=3, volume_lots=0.25, price=1.1, profit=-2.5)  # fmt: skip
    report.account_state.balance = 100.5
    report.account_state.positions.add(id=3, symbol="EURUSD", side=1, comment="x")
    quiet = ExecutionReport(account="paper", report_seq=2)
    writer = Writer(database, "DECISIONS")
    writer.write(batch("DECISIONS", "ml.prediction.EURUSD", prediction))
    writer.write(batch("DECISIONS", "trade.decision.EURUSD", decision, start=2))
    reports = batch("REPORTS", "trade.report.paper.ACCOUNT", report, quiet)
    Writer(database, "REPORTS").write(reports)
    with connect(stack_settings, READER) as reader:
        assert [m.SerializeToString() for m in read_predictions(reader, "paper")] == [
            prediction.SerializeToString()
        ]
        assert read_decisions(reader, "paper") == [decision]
        assert read_reports(reader, "paper") == [report, quiet]
        assert read_reports(reader, "paper", "c-1") == [report]


def test_quarantined_ticks_and_bars_are_recorded(database):
    bad = QuarantinedTick(
        symbol="EURUSD", account="paper", reason="crossed", number=1, bid=math.nan
    )
    Writer(database, "QUARANTINE").write(batch("QUARANTINE", "md.quarantine.EURUSD", bad))
    row = database.execute("SELECT reason, bid FROM quarantine").fetchone()
    assert row[0] == "crossed"
    assert math.isnan(row[1])
    bar = Bar(symbol="EURUSD", account="paper", clock="h1", seq=1, open=1.5, ticks=7)
    done = Writer(database, "BARS").write(batch("BARS", "md.bar.EURUSD.h1", bar, bar))
    assert (done.rows, done.duplicates) == (1, 1)


def test_names_with_slashes_and_dots_keep_apart(database):
    messages = [
        Ticks(symbol=symbol, account=account, first_seq=1, first_feed_seq=1, time_ns=[1], bid=[1.0],
              ask=[2.0], flags=[2])
        for account, symbol in (("a/b", "c"), ("a", "b/c"), ("a.b", "c%2F"))
    ]  # fmt: skip
    done = Writer(database, "TICKS").write(tick_batch(*messages))
    assert (done.rows, done.missing) == (3, [])
    assert recorded_feed(database, "a/b").symbols == ("c",)
    assert recorded_feed(database, "a").symbols == ("b/c",)
    assert recorded_feed(database, "a.b").symbols == ("c%2F",)


def test_ticks_of_many_months_find_their_partitions(database):
    month = 31 * 86_400 * 1_000_000_000
    messages = []
    for n in range(1, 25):
        message = a_tick(n)
        message.time_ns[0] += n * month
        messages.append(message)
    assert Writer(database, "TICKS").write(tick_batch(*messages)).rows == 24
    (rows,) = read_ticks(database, "paper", ("EURUSD",))
    assert rows["seq"].tolist() == list(range(1, 25))


def test_ticks_of_a_month_that_was_dropped_meanwhile_are_recorded(database, stack_settings):
    writer = Writer(database, "TICKS")
    writer.write(tick_batch(a_tick(1)))
    with connect(stack_settings, OWNER) as owner:
        owner.execute("DROP TABLE ticks_2017_01")
    assert writer.write(tick_batch(a_tick(2), start=2)).rows == 1
    assert feed_seqs(database) == [2]
    assert database.execute("SELECT count(*) FROM dead_letters").fetchone() == (0,)


def test_a_batch_halved_for_a_bad_message_keeps_its_numbers(database):
    writer = Writer(database, "ORDERS")
    good = OrderRequest(account="paper", number=1, client_order_id="x", symbol="E")
    twin = OrderRequest(account="paper", number=2, client_order_id="x", symbol="E")
    writer.write(batch("ORDERS", "trade.order.paper.E", good, twin))
    again = Writer(database, "ORDERS")
    assert again.position == replace(writer.position, stream_seq=2)
    assert again.write(batch("ORDERS", "trade.order.paper.E", good, start=3)).duplicates == 1
