"""The loop on the wire: tick to order through the real NATS server, and ticks of many symbols.

Both against a floor measured in the same run with the same payloads: two raw nats-py hops for the
latency, a bare nats-py subscriber for the throughput. Servers and services are real processes.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from nats.aio.msg import Msg
from tables import Table, count

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from realtime.connection import Client, connect  # noqa: E402
from realtime.contracts import subjects  # noqa: E402
from realtime.contracts.control_pb2 import Health  # noqa: E402
from realtime.contracts.market_data_pb2 import Ticks  # noqa: E402
from realtime.contracts.orders_pb2 import (  # noqa: E402
    AccountState,
    ExecutionReport,
    OrderRequest,
    Position,
)
from realtime.contracts.predictions_pb2 import Consumed  # noqa: E402
from realtime.service import run_async  # noqa: E402
from realtime.settings import Settings, load_settings  # noqa: E402
from realtime.trader import CONSUMED_TICKS  # noqa: E402
from tests.fixtures.bundles import logistic_bundle, promote  # noqa: E402
from tests.fixtures.servers import running_nats  # noqa: E402

RATE = 1_000
ORDER_EVERY = 3  # ticks, at which the spread that the model looks at changes
SYMBOL = "BTCUSD"  # its market never closes, so this can be measured at any time
ACCOUNT = "paper"


@dataclass(frozen=True, kw_only=True)
class Latency:
    """Microseconds on the wall from the publish of a tick to the arrival of the answer."""

    p50_us: float
    p99_us: float
    answers: int


def percentiles(taken_ns: list[int]) -> Latency:
    """Return what is quoted of a list of latencies; the first tenth is warm-up."""
    kept = np.array(taken_ns[len(taken_ns) // 10 :]) / 1000.0
    p50, p99 = np.percentile(kept, (50, 99))
    return Latency(p50_us=float(p50), p99_us=float(p99), answers=len(kept))


# --- the settings and processes of a run ----------------------------------------------------------


def write_settings(settings: Settings, symbols: Sequence[str], folder: Path) -> Path:
    """Write the TOML files that the processes of a run are started with."""
    catalogue = folder / "symbols.toml"
    made = [name for name in symbols if name != SYMBOL]
    catalogue.write_text("\n".join(f'[symbols.{name}]\nlike = "BTCUSD"' for name in made) + "\n")
    path = folder / "settings.toml"
    path.write_text(
        f"""trade = [{", ".join(f'"{name}"' for name in symbols)}]
[account]
balance = 1_000_000
[account_limits]
max_orders = 0
max_daily_loss = 0
max_drawdown = 0
max_clock_offset = "0s"
max_gross_leverage = 0
max_net_leverage = 0
max_margin_use = 0
[limits]
max_tick_age = "0s"
max_feature_age = "0s"
max_model_age = "0s"
[paths]
var = "{settings.paths.var}"
secrets = "{settings.paths.secrets}"
{f'specifications = "{catalogue}"' if made else ""}
[nats]
url = "{settings.nats.url}"
[gateway]
account = "{ACCOUNT}"
"""
    )
    return path


@contextmanager
def process(*command: str, log: Path) -> Generator[subprocess.Popen[bytes]]:
    """Run a Python process of the project until the block ends."""
    with log.open("ab") as stream:
        started = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            stdout=stream,
            stderr=stream,
            env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{Path(__file__).parent}"},
        )
        try:
            yield started
        finally:
            started.terminate()
            started.wait(10)


async def loop_is_running(client: Client) -> None:
    """Wait until the loop says that it runs."""
    ready = asyncio.Event()

    async def heard(message: Msg) -> None:
        if Health.FromString(message.data).state == "running":
            ready.set()

    subscription = await client.subscribe(subjects.health_subject("loop"), cb=heard)
    await client.flush()
    await asyncio.wait_for(ready.wait(), 120)
    await subscription.unsubscribe()


def a_tick(symbol: str, seq: int, feed_seq: int, time_ns: int, spread: float) -> bytes:
    """Return one tick as the gateway publishes it."""
    bid = 60_000.0 + seq % 50
    return Ticks(
        symbol=symbol,
        account=ACCOUNT,
        first_seq=seq,
        first_feed_seq=feed_seq,
        time_ns=[time_ns],
        bid=[bid],
        ask=[bid + spread],
        volume=[0.0],
        flags=[6],
        drained_ns=time_ns,
        published_ns=time_ns,
        last_server_ms=time_ns // 1_000_000,
        taken_of_last_ms=1,
    ).SerializeToString()


# --- tick to order --------------------------------------------------------------------------------


class Broker:
    """Answers every order at once, as a gateway whose broker takes no time."""

    def __init__(self) -> None:
        self.lots = 0.0
        self.reports = 0

    def first(self) -> bytes:
        """The account as it stands before any order: no loop trades without knowing it."""
        self.reports += 1
        state = AccountState(balance=1_000_000.0, leverage=100)
        return ExecutionReport(
            account=ACCOUNT, report_seq=self.reports, symbol="ACCOUNT", account_state=state
        ).SerializeToString()

    def report(self, order: OrderRequest) -> bytes:
        """Fill an order; the account after it."""
        side = 1 if order.type == 0 else -1
        self.lots = round(self.lots + side * order.volume_lots, 8)
        self.reports += 1
        held = [
            Position(
                id=1,
                symbol=order.symbol,
                side=1 if self.lots > 0 else -1,
                open_ns=order.created_ns,
                volume_lots=abs(self.lots),
                open_price=order.price,
                magic=1,
            )
        ]
        return ExecutionReport(
            account=ACCOUNT,
            report_seq=self.reports,
            client_order_id=order.client_order_id,
            state=4,
            retcode=10009,
            filled_lots=order.volume_lots,
            symbol=order.symbol,
            order_number=order.number,
            account_state=AccountState(
                balance=1_000_000.0, leverage=100, positions=held if self.lots != 0.0 else []
            ),
        ).SerializeToString()


async def tick_to_order(settings: Settings, ticks: int) -> tuple[Latency, dict[str, int]]:
    """Publish ticks at `RATE` a second to the running loop; the time until each order."""
    client = await connect(settings, "gateway")
    watcher = await connect(settings, "operator")
    sent_at: dict[int, int] = {}
    taken: list[int] = []
    sizes: dict[str, int] = {}
    broker = Broker()

    async def ordered(message: Msg) -> None:
        now = time.perf_counter_ns()
        order = OrderRequest.FromString(message.data)
        taken.append(now - sent_at[order.feed_seq])
        sizes["order"] = len(message.data)
        subject = subjects.report_subject(ACCOUNT, order.symbol)
        await client.publish(subject, broker.report(order))

    await client.subscribe(subjects.order_subject(ACCOUNT, SYMBOL), cb=ordered)
    await client.publish(subjects.report_subject(ACCOUNT, "ACCOUNT"), broker.first())
    await loop_is_running(watcher)
    start = time.perf_counter()
    for seq in range(1, ticks + 1):
        await asyncio.sleep(max(0.0, start + seq / RATE - time.perf_counter()))
        spread = 3.0 if seq // ORDER_EVERY % 2 else 1.0
        payload = a_tick(SYMBOL, seq, seq, time.time_ns(), spread)
        sizes["tick"] = len(payload)
        sent_at[seq] = time.perf_counter_ns()
        await client.publish(subjects.tick_subject(SYMBOL), payload)
    await asyncio.sleep(0.5)
    await client.close()
    await watcher.close()
    return percentiles(taken), sizes


async def two_hops(settings: Settings, ticks: int, sizes: dict[str, int]) -> Latency:
    """Publish payloads of the same sizes at the same rate to a bare echo; the time until each."""
    client = await connect(settings, "gateway")
    sent_at: list[int] = []
    taken: list[int] = []
    answered = asyncio.Event()

    async def echoed(_: Msg) -> None:
        answered.set()
        if sent_at:
            taken.append(time.perf_counter_ns() - sent_at[len(taken)])

    await client.subscribe(subjects.order_subject(ACCOUNT, SYMBOL), cb=echoed)
    subject, payload = subjects.tick_subject(SYMBOL), b"t" * sizes["tick"]
    quiet = b"q" * sizes["tick"]
    while not answered.is_set():  # until the echo is there
        await client.publish(subject, payload)
        await asyncio.sleep(0.05)
    await asyncio.sleep(1)
    start = time.perf_counter()
    for seq in range(1, ticks + 1):
        await asyncio.sleep(max(0.0, start + seq / RATE - time.perf_counter()))
        asks = seq % ORDER_EVERY == 0  # as often as the loop orders
        if asks:
            sent_at.append(time.perf_counter_ns())
        await client.publish(subject, payload if asks else quiet)
    await asyncio.sleep(0.5)
    await client.close()
    return percentiles(taken)


async def echo(config: Path, size: int) -> None:
    """Be the bare second hop: answer ticks that ask with an order's number of bytes."""
    client = await connect(load_settings(config), "loop")
    subject, payload = subjects.order_subject(ACCOUNT, SYMBOL), b"o" * size

    async def heard(message: Msg) -> None:
        if message.data.startswith(b"t"):
            await client.publish(subject, payload)

    await client.subscribe(subjects.tick_subject(SYMBOL), cb=heard)
    await asyncio.Event().wait()


# --- many symbols ---------------------------------------------------------------------------------


async def publish_all(config: Path, ticks: int) -> None:
    """Publish ticks of all symbols in turn, as fast as nats-py can."""
    settings = load_settings(config)
    names = settings.trade
    client = await connect(settings, "gateway")
    start_ns = time.time_ns()
    payloads = [
        (
            subjects.tick_subject(names[i % len(names)]),
            a_tick(names[i % len(names)], i // len(names) + 1, i + 1, start_ns + i * 1_000, 1.0),
        )
        for i in range(ticks)
    ]
    for at, (subject, payload) in enumerate(payloads):
        await client.publish(subject, payload)
        if at % 512 == 511:
            await asyncio.sleep(0)
    await client.flush(60)
    await client.close()


async def count_all(config: Path, ticks: int) -> None:
    """Be the bare subscriber: count, and say when all are there."""
    client = await connect(load_settings(config), "loop")
    seen = 0
    done = asyncio.Event()

    async def heard(_: Msg) -> None:
        nonlocal seen
        seen += 1
        if seen == ticks:
            done.set()

    await client.subscribe("md.tick.>", cb=heard)
    await client.publish("ops.health.counter", b"")
    await done.wait()
    await client.publish("ops.health.counter", b"done")
    await client.flush()
    await asyncio.Event().wait()


async def first_word(client: Client, subject: str, until: Callable[[bytes], bool]) -> None:
    """Wait for a message that ends the measurement."""
    done = asyncio.Event()

    async def heard(message: Msg) -> None:
        if until(message.data):
            done.set()

    await client.subscribe(subject, cb=heard)
    await client.flush()
    await asyncio.wait_for(done.wait(), 300)


def consumed_through(ticks: int) -> Callable[[bytes], bool]:
    """Tell whether a Consumed message reaches the last tick that makes one full."""

    def reached(data: bytes) -> bool:
        message = Consumed.FromString(data)
        last = message.first_feed_seq + len(message.now_minus_tick_ns) - 1
        return last >= ticks - CONSUMED_TICKS

    return reached


async def rate_of(
    settings: Settings, config: Path, ticks: int, folder: Path, *, bare: bool
) -> float:
    """Return ticks a second from the first publish until the consumer has had them all."""
    watcher = await connect(settings, "operator")
    if bare:
        subject, until = "ops.health.counter", lambda data: data == b"done"
    else:
        subject, until = subjects.consumed_subject(ACCOUNT), consumed_through(ticks)
    end = asyncio.create_task(first_word(watcher, subject, until))
    await asyncio.sleep(1)
    publisher = [str(Path(__file__)), "publish", str(config), str(ticks)]
    with process(*publisher, log=folder / "publisher.log"):
        taken = await _timed(watcher, end)
    await watcher.close()
    return ticks / taken


async def _timed(watcher: Client, end: "asyncio.Task[None]") -> float:
    """Return the seconds from the first tick on the wire to the end."""
    begun = asyncio.Event()

    async def heard(_: Msg) -> None:
        begun.set()

    subscription = await watcher.subscribe("md.tick.>", cb=heard)
    await subscription.unsubscribe(1)
    await begun.wait()
    start = time.perf_counter()
    await end
    return time.perf_counter() - start


# --- the tables -----------------------------------------------------------------------------------


def latency_section(*, quick: bool) -> Table:
    """Return the table of tick to order."""
    ticks = 4_000 if quick else 20_000
    model = (("tick_spread",), (10.0,), -20.0, "tick")
    with scratch((SYMBOL,), *model) as (settings, config, folder):
        command = ["-m", "realtime", "loop", "--config", str(config)]
        with process(*command, log=folder / "loop.log"):
            ours, sizes = run_async(tick_to_order(settings, ticks))
    with scratch((SYMBOL,)) as (settings, config, folder):
        command = [str(Path(__file__)), "echo", str(config), str(sizes["order"])]
        with process(*command, log=folder / "echo.log"):
            floor = run_async(two_hops(settings, ticks, sizes))
    rows = [
        (
            what,
            f"{each.answers:,}",
            f"{each.p50_us:.0f}",
            f"{each.p99_us:.0f}",
            f"{each.p50_us / floor.p50_us:.2f}x",
            f"{each.p99_us / floor.p99_us:.2f}x",
        )
        for what, each in (
            ("tick to order", ours),
            ("two raw nats-py hops", floor),
        )
    ]
    sizes_said = f"payloads of {sizes['tick']} and {sizes['order']} bytes"
    return Table(
        title="Tick to order on the wire",
        columns=("what", "orders", "p50 us", "p99 us", "of the floor (p50)", "of the floor (p99)"),
        rows=rows,
        notes=[
            f"{ticks:,} ticks at {RATE:,} a second, {sizes_said}; streams keep every message.",
            "The loop predicts and decides on every tick, orders on every third.",
            "Decode, quote, limits, features, ONNX, decision, risk, state kept, order.",
            "Aim: 1.5x and 2x.",
        ],
    )


def rate_section(*, quick: bool) -> Table:
    """Return the table of many symbols."""
    ticks = 30_000 if quick else 100_000
    names = tuple(f"S{row:03d}" for row in range(100))
    features = ("m1_rsi_14", "m1_atr_14", "m5_rsi_14", "tick_spread")
    with scratch(names, features, (0.01, 1.0, 0.01, 1.0), 0.0, "m1") as (settings, config, folder):
        command = ["-m", "realtime", "loop", "--config", str(config)]
        with process(*command, log=folder / "loop.log"):
            run_async(_await_loop(settings))
            ours = run_async(rate_of(settings, config, ticks, folder, bare=False))
    with scratch(names) as (settings, config, folder):
        command = [str(Path(__file__)), "count", str(config), str(ticks)]
        with process(*command, log=folder / "count.log"):
            time.sleep(3)
            floor = run_async(rate_of(settings, config, ticks, folder, bare=True))
    return Table(
        title="Ticks of a hundred symbols",
        columns=("consumer", "ticks/s", "ours is"),
        rows=[
            ("the loop", count(ours), ""),
            ("a bare nats-py subscriber", count(floor), f"{ours / floor:.0%}"),
        ],
        notes=[
            (
                f"{ticks:,} messages of one tick each, one account, one process; none lost: the"
                " loop takes them in by number."
            ),
            "Publisher, server and consumer share the machine. Aim: 50%.",
        ],
    )


async def _await_loop(settings: Settings) -> None:
    watcher = await connect(settings, "operator")
    gateway = await connect(settings, "gateway")
    await gateway.publish(subjects.report_subject(ACCOUNT, "ACCOUNT"), Broker().first())
    await loop_is_running(watcher)
    await watcher.close()
    await gateway.close()


@contextmanager
def scratch(
    symbols: Sequence[str],
    features: Sequence[str] = (),
    weights: Sequence[float] = (),
    bias: float = 0.0,
    clock: str = "m1",
) -> Generator[tuple[Settings, Path, Path]]:
    """Run a NATS server in a folder of its own, with a champion for every symbol if asked."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with running_nats(folder) as server:
            config = write_settings(server.settings, symbols, folder)
            for symbol in symbols if features else ():
                place = folder / "bundles" / symbol
                logistic_bundle(
                    place, features=features, weights=weights, bias=bias, symbol=symbol, clock=clock
                )
                run_async(promote(server.settings, place))
            yield server.settings, config, folder


def main(arguments: Sequence[str]) -> None:
    """Be one of the processes of a run."""
    role, config, number = arguments
    roles = {"echo": echo, "count": count_all, "publish": publish_all}
    run_async(roles[role](Path(config), int(number)))


if __name__ == "__main__":
    main(sys.argv[1:])
