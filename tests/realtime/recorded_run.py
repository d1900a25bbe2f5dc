"""A run in lock-step in this process, and every message of it as the streams would hold it."""

import math
from dataclasses import dataclass, replace

import numpy as np

from realtime.clock import SimulatedClock
from realtime.contracts.control_pb2 import Alert, Health
from realtime.contracts.subjects import ORDERS, report_subject, tick_subject
from realtime.model import load_model
from realtime.settings import Settings
from realtime.store.connection import OWNER, RECORDER, connect
from realtime.store.migrate import migrate
from realtime.store.writer import Writer, decode
from realtime.stream_follower import Message
from realtime.warm import build_trader, calendar_span
from tests.fixtures.bundles import logistic_bundle
from tests.parity.outside_broker import OutsideBroker
from tests.parity.scenarios import COSTS, LIMITS, VARIANTS, made_ticks
from tests.realtime.standin_gateway import tick_messages

FEATURES = ("m1_rsi_14", "m1_atr_14", "m5_rsi_14", "tick_spread")
WEIGHTS = (0.12, 0.0, 0.0, 0.0)
CREATED_NS = 1_700_000_000_000_000_000

STREAM_OF = {
    "md.tick": "TICKS", "md.quarantine": "QUARANTINE", "md.bar": "BARS",
    "ml.prediction": "DECISIONS", "trade.decision": "DECISIONS", "trade.consumed": "DECISIONS",
    "trade.order": "ORDERS", "trade.report": "REPORTS", "ops.alert": "OPS", "ops.health": "OPS",
}  # fmt: skip


def stream_of(subject):
    return STREAM_OF[".".join(subject.split(".")[:2])]


@dataclass
class Run:
    settings: Settings
    ticks: np.ndarray
    bundle: object
    messages: list  # (subject, payload), in the order of publishing
    broker: OutsideBroker

    def of(self, prefix, kind):
        return [
            kind.FromString(data) for subject, data in self.messages if subject.startswith(prefix)
        ]


def trading_settings(base, **changed):
    """Settings of a lock-step account that trades a lot."""
    account, account_limits, _ = VARIANTS["netting"]
    return replace(
        base, trade=("EURUSD",), account=account, account_limits=account_limits,
        limits=replace(LIMITS, max_model_age_ns=0), costs=COSTS,
        gateway=replace(base.gateway, account="paper", **changed),
    )  # fmt: skip


def toml_of(settings, path):
    """Write what `trading_settings` and the servers changed as a file for a command line."""
    account, limits = settings.account, settings.limits
    path.write_text(
        f'''trade = ["EURUSD"]
[account]
balance = {account.balance}
[account_limits]
max_daily_loss = {settings.account_limits.max_daily_loss}
[limits]
max_position_lots = {limits.max_position_lots}
max_order_lots = {limits.max_order_lots}
max_spread_points = {limits.max_spread_points}
max_model_age = "0s"
[costs]
slippage_points = {settings.costs.slippage_points}
slippage_spread_fraction = {settings.costs.slippage_spread_fraction}
[gateway]
account = "paper"
lockstep = true
[paths]
var = "{settings.paths.var}"
secrets = "{settings.paths.secrets}"
[nats]
url = "{settings.nats.url}"
[database]
url = "{settings.database.url}"
''',
        encoding="utf-8",
    )
    return path


def a_run(base, count=12_000, latency=None, bias=-6.0, swap_at=None):
    """Trade made-up ticks; `latency` is what passes between a tick and its decision, in ns."""
    settings = trading_settings(base, lockstep=latency is None)
    latency = latency or (lambda feed_seq: 0)
    ticks = made_ticks(count)
    shelf = settings.paths.var / "loop" / "paper" / "bundles"

    def bundle_of(name, bias):
        through_ns = int(ticks["time_ns"][count // 5])
        made = logistic_bundle(
            shelf / name, features=FEATURES, weights=WEIGHTS, bias=bias,
            trained_through_ns=through_ns,
            data={"fingerprint": "f00d", "partitions": [
                {"kind": "ticks", "symbol": "EURUSD", "month": "2017-01", "rows": 7,
                 "sha256": "ab" * 32}]},
            training={"mlflow_run_id": "run-1", "model_version": "3", "dagster_run_id": "dag-1",
                      "seed": 0},
        )  # fmt: skip
        (shelf / name).rename(shelf / made.id)
        return load_model(shelf / made.id)

    model = bundle_of("a", bias)
    other = None if swap_at is None else bundle_of("b", bias + 1.0)
    first_ns, last_ns = int(ticks["time_ns"][0]), int(ticks["time_ns"][-1])
    span = calendar_span(first_ns, last_ns, lockstep=True)
    trader = build_trader(settings, {"EURUSD": model}, span, SimulatedClock(last_ns), muted=False)
    outside = build_trader(settings, {"EURUSD": model}, span, SimulatedClock(0), muted=False).desk
    outside["account"]["mirrored"] = 0
    run = Run(settings, ticks, model.bundle, [], OutsideBroker(outside, ("EURUSD",)))
    for message in tick_messages(ticks, ("EURUSD",), most=7):
        run.messages.append((tick_subject("EURUSD"), message.SerializeToString()))
    _trade(run, trader, latency, swap_at, other)
    for number in range(3):
        alert = Alert(severity="info", service="loop", code="x", text=f"n {number}", time_ns=number)
        run.messages.append(("ops.alert.info", alert.SerializeToString()))
        health = Health(service="loop", state="running", time_ns=number, numbers={"a": math.nan})
        run.messages.append(("ops.health.loop", health.SerializeToString()))
    return run


def _trade(run, trader, latency, swap_at, other):
    tickets = {}

    def report(found, feed_seq, time_ns):
        for each in found:
            each.feed_seq = feed_seq if run.settings.gateway.lockstep else 0
            each.time_ns = time_ns
            each.symbol = "EURUSD"
            for deal in each.deals:
                tickets.setdefault(each.client_order_id, deal.order_ticket)
            each.order_ticket = tickets.get(each.client_order_id, 0)
            data = each.SerializeToString()
            run.messages.append((report_subject("paper", "ACCOUNT"), data))
            trader.apply(each)

    def settle(feed_seq, time_ns):
        while outgoing := trader.drain():
            run.messages += [(each.subject, each.payload) for each in outgoing]
            for each in outgoing:
                if each.stream == ORDERS:
                    report(run.broker.order(each.payload), feed_seq, time_ns)

    for i in range(len(run.ticks)):
        time_ns = int(run.ticks["time_ns"][i])
        report(run.broker.tick(run.ticks[i]), i + 1, time_ns)
        trader.take(run.ticks, i, i + 1, time_ns + latency(i + 1), time_ns)
        settle(i + 1, time_ns)
        if swap_at == i + 1:
            trader.swap("EURUSD", other)
    trader.flush()
    settle(len(run.ticks), int(run.ticks["time_ns"][-1]))


def batches(messages, size=1_000, created_ns=CREATED_NS):
    """Messages as (stream, batch) in the order of the streams."""
    by_stream = {}
    for subject, payload in messages:
        kept = by_stream.setdefault(stream_of(subject), [])
        kept.append(Message(len(kept) + 1, subject, payload, 0))
    for stream, kept in by_stream.items():
        for at in range(0, len(kept), size):
            yield stream, decode(stream, created_ns, kept[at : at + size])


def migrated(settings):
    with connect(settings, OWNER) as connection:
        migrate(connection)
    return settings


def recorded(settings, messages):
    """Migrate the database and write messages into it as the recorder would."""
    migrated(settings)
    with connect(settings, RECORDER) as connection:
        writers = {}
        for stream, batch in batches(messages):
            writer = writers.setdefault(stream, Writer(connection, stream))
            done = writer.write(batch)
            assert (done.missing, done.dead, done.duplicates) == ([], [], 0), done
