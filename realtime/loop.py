"""The loop: ticks in, orders out, around the trading core.

On the way from a tick to its order nothing waits: the message is read, taken in, decided on, the
state written, the order handed to the connection. Everything else (healing gaps, following
champions, health) happens beside it, between two ticks.
"""

import asyncio
import contextlib
import gc
import time
from collections.abc import Sequence
from typing import Any, cast

from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from realtime.bundle import BundleMisplaced
from realtime.champion import Champions
from realtime.contracts.control_pb2 import Permit, Reached
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import (
    ORDERS,
    RESET_DRAWDOWN,
    Outgoing,
    command_subject,
    permit_subject,
    reached_subject,
    token,
)
from realtime.driver import HOLD_S, Driver, Standing
from realtime.healing import Healer
from realtime.inbox import live_chunks, read_report
from realtime.model import Model
from realtime.outbox import Outbox, OutboxError, publish_now
from realtime.recorded_ticks import recorded_ticks
from realtime.service import Service, end_task, run
from realtime.startup import Startup, Stopped, await_first_tick, needs, pause, warm_from_history
from realtime.state import StateFile
from realtime.streams import StreamUnavailable
from realtime.switch import KillSwitch
from realtime.tick_wire import CorruptMessage
from realtime.trader import TraderError
from realtime.warm import differs, risk_values

NAME = "loop"
_REPEAT_S = 0.5  # Reached, while waiting
_TAIL_PATIENCE_S = 0.05  # what was permitted but is not there yet is probably on its way
_LOOK_S = 0.1
_MOST = 4_096  # messages of ticks read together
_SECOND_NS = 1_000_000_000
_UNANSWERED_NS = 30 * _SECOND_NS  # after an order may no longer be sent


def main(arguments: Sequence[str]) -> int:
    """``python -m realtime loop``."""
    return run(NAME, arguments, serve)


async def serve(service: Service) -> None:
    """Trade until the service is stopped.

    Raises:
        CannotStart: settings and models do not go together.
    """
    loop = Loop(service)
    try:
        with contextlib.suppress(Stopped):
            await loop.start()
            await loop.work()
    finally:
        await loop.close()


class Loop:
    """One account's loop on NATS.

    Args:
        service: that it runs in.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service = service
        self._client = service.client
        self._account = settings.gateway.account
        self._lockstep = settings.gateway.lockstep
        self._folder = settings.paths.var / NAME / token(self._account)
        self._state_file = StateFile(self._folder)
        self._outbox = Outbox(self._client, self._warn)
        self._models: dict[str, Model] = {}
        self._swaps: dict[str, Model] = {}  # that wait for the end of a tick
        self._champions = Champions(
            self._client, settings.trade, self._folder / "bundles", self._take_model, self._warn
        )
        self._switch = KillSwitch(self._client, self._account, self._turn_switch)
        self._driver: Driver | None = None
        self._healer: Healer
        self._first_ns = 0
        self._sent_before: dict[int, OrderRequest] = {}
        self._said: Standing | None = None
        self._said_s = 0.0
        self._kept_s = 0.0
        self._rest: list[Outgoing] = []  # kept with an order that has just left, not yet put
        self._unanswered: set[str] = set()  # orders that were complained of
        self._is_over = False
        self._scheduled: asyncio.TimerHandle | None = None  # the next turn
        self._feed: Subscription | None = None
        self._arrived: list[Msg] = []  # ticks that came together
        self._received_ns = 0  # the first of them
        self._healing: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    # --- start --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Wait for champions and ticks, take back the state, catch up, and listen.

        Raises:
            CannotStart: settings and models do not go together.
            Stopped: the service is to end.
        """
        service = self._service
        await self._outbox.open()
        await self._await_champions()
        first_ns = await self._await_ticks()
        started = await Startup(service, self._state_file, self._models).run(first_ns)
        self._first_ns = started.first_ns
        self._models, self._swaps = dict(started.models), dict(started.swaps)
        self._sent_before = dict(started.sent_before)
        self._driver = driver = Driver(
            started.trader,
            lockstep=self._lockstep,
            clock=service.clock,
            keep=self._keep,
            publish=self._publish,
            alert=service.alert,
        )
        self._healer = Healer(
            self._client,
            self._account,
            driver,
            rows=started.trader.rows,
            clock=service.clock,
            advance=self._go,
            alert=service.alert,
            from_database=lambda first, last: recorded_ticks(service.settings, first, last),
        )
        self._outbox.put_all(started.messages)
        if not started.is_restored and not self._lockstep:
            await warm_from_history(service, driver, self._healer, self._models)
        self._switch.is_on = bool(driver.trader.desk["risk"]["kill_switch"])  # as it was kept
        await self._await_switch()
        gc.collect()
        gc.freeze()  # what is there by now stays: not worth looking through again
        await self._listen()
        self._tasks.append(asyncio.create_task(self._champions.follow(), name="champions"))
        self._tasks.append(
            asyncio.create_task(self._switch.follow(service.stopping), name="switch")
        )
        service.reconnected.append(self._look_for_more)
        self._look_for_more()

    async def work(self) -> None:
        """Look after everything until the service is stopped."""
        stopping = self._service.stopping
        while not stopping.is_set():
            self._look_after_tasks()
            self._report_health()
            self._look_around()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await stopping.wait()

    async def close(self) -> None:
        """Keep the state and send what waits."""
        for task in (*self._tasks, *([self._healing] if self._healing else [])):
            await end_task(task)
        if self._driver is not None:
            self._driver.finish()
            self._publish_rest()
        await self._outbox.flush(0.5)
        await self._outbox.close()
        self._state_file.close()

    async def _await_champions(self) -> None:
        while True:
            await self._champions.look()
            missing = [each for each in self._service.settings.trade if each not in self._models]
            if not missing:
                return
            self._service.health("waiting", f"no champion for {', '.join(missing)}")
            await pause(self._service)

    async def _await_switch(self) -> None:
        """Read the kill switch: whoever cannot see it does not trade."""
        while not self._switch.is_known:
            try:
                await self._switch.look()
            except StreamUnavailable as error:
                self._service.health("waiting", f"the kill switch cannot be read: {error}")
                await pause(self._service)

    async def _await_ticks(self) -> int:
        """Return the time of the first tick of the feed, or now where none is needed."""
        while True:
            try:
                first_ns = await await_first_tick(self._service)
            except StreamUnavailable as error:
                self._service.health("waiting", str(error))
            else:
                if first_ns is not None:
                    return first_ns
                if self._lockstep:
                    self._service.health("waiting", "no ticks of the replay yet")
                    self._say_reached(Standing(0, 0, 0))
                elif self._service.settings.gateway.history_from:
                    # Calendars begin at the first tick: history before them would not be seen.
                    self._service.health("waiting", "no ticks of the history yet")
                else:
                    return self._service.clock.now_ns()
            await pause(self._service)

    async def _listen(self) -> None:
        account = token(self._account)
        subscribe = cast("Any", self._client).subscribe  # one of its arguments has no type
        self._feed = await subscribe("md.tick.>", cb=self._on_ticks)
        await subscribe(f"trade.report.{account}.>", cb=self._on_report)
        await subscribe(command_subject(self._account), cb=self._on_command)
        if self._lockstep:
            await subscribe(permit_subject(self._account), cb=self._on_permit)

    # --- what comes in ------------------------------------------------------------------------

    async def _on_ticks(self, msg: Msg) -> None:
        if not self._arrived:
            self._received_ns = self._service.clock.now_ns()
        self._arrived.append(msg)
        subscription = self._feed
        if subscription is None or not subscription.pending_msgs or len(self._arrived) >= _MOST:
            self._take_in()  # else what follows at once is read with it

    def _take_in(self) -> None:
        driver = self._driver
        assert driver is not None
        arrived, self._arrived = self._arrived, []
        payloads = [msg.data for msg in arrived]
        rows = driver.trader.rows
        chunks, refused = live_chunks(payloads, self._account, rows, self._received_ns)
        for at, reason in refused:
            self._corrupt(arrived[at].subject, reason)
        for chunk in chunks:
            driver.add(chunk)
        if chunks:
            self._go()

    async def _on_report(self, msg: Msg) -> None:
        driver = self._driver
        assert driver is not None
        try:
            report = read_report(msg.data)
        except CorruptMessage as error:
            self._corrupt(msg.subject, str(error))
            return
        if report.account == self._account:
            driver.reports.add(report, driver.trader.report_seq)
            self._go()

    async def _on_permit(self, msg: Msg) -> None:
        driver = self._driver
        assert driver is not None
        permit = Permit.FromString(msg.data)
        if permit.account == self._account:
            driver.obey(permit)
            self._go()

    async def _on_command(self, msg: Msg) -> None:
        driver = self._driver
        assert driver is not None
        if msg.data.decode(errors="replace") != RESET_DRAWDOWN:
            self._service.alert("warning", "command_unknown", f"on {msg.subject}: not understood")
            return
        driver.trader.reset_drawdown()
        driver.finish()
        equity = float(driver.trader.desk["account"]["equity"])
        text = f"an operator released the drawdown limit: it counts from equity {equity:.2f} on"
        self._service.alert("warning", RESET_DRAWDOWN, text, account=self._account)

    def _corrupt(self, subject: str, reason: str) -> None:
        self._service.alert(
            "warning", "corrupt_message", f"on {subject}: {reason}; dropped, healed from the stream"
        )
        self._look_for_more()

    def _take_model(self, symbol: str, model: Model) -> None:
        """Take a champion: at the start, or between two ticks."""
        driver = self._driver
        if driver is None:
            self._models[symbol] = model
            return
        if needs(model) != needs(self._models[symbol]):
            msg = (
                f"bundle {model.bundle.id} has other features or another clock than the loop runs"
                " on: restart the loop to take it"
            )
            raise BundleMisplaced(msg)
        self._swaps[symbol] = model
        self._go()

    def _turn_switch(self, on: bool) -> None:  # noqa: FBT001 (a callback)
        driver = self._driver
        assert driver is not None
        driver.trader.set_kill_switch(on=on)
        text = "the kill switch is off"
        if on and driver.halted:
            text = (
                "the kill switch is on, but trading is halted: nothing is opened, and nothing is"
                " closed either; close what is open at the broker"
            )
        elif on:
            text = "the kill switch is on: what is open is being closed, nothing is opened"
        self._service.alert("critical" if on else "warning", "kill_switch", text)

    # --- one turn -----------------------------------------------------------------------------

    def _go(self) -> None:
        """Do all that can be done now."""
        driver = self._driver
        assert driver is not None
        if self._swaps and not driver.trader.waiting and not driver.is_muted:
            self._swap(driver)
        has_more = driver.advance()
        if (has_more or driver.is_holding) and self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_later(
                0.0 if has_more else HOLD_S, self._go_again
            )
        if has_more:
            return
        if self._lockstep and driver.is_at_rest and not driver.is_muted:
            standing = driver.standing
            if standing != self._said:
                self._say_reached(standing)
        if driver.ticks.missing(driver.trader.feed_seq) is not None or self._lacks_reports(driver):
            self._heal(driver)

    def _go_again(self) -> None:
        self._scheduled = None
        self._go()

    def _lacks_reports(self, driver: Driver) -> bool:
        return driver.reports.missing(driver.trader.report_seq) is not None

    def _swap(self, driver: Driver) -> None:
        swaps, self._swaps = self._swaps, {}
        for symbol, model in swaps.items():
            try:
                driver.trader.swap(symbol, model)
            except TraderError as error:
                self._warn("bundle_refused", str(error))
                continue
            self._models[symbol] = model
            text = f"{model.bundle.id} is in force after tick {driver.trader.feed_seq}"
            self._service.alert("info", "champion", text, symbol=symbol)
        driver.finish()

    def _say_reached(self, standing: Standing) -> None:
        if not self._client.is_connected:
            return
        self._said, self._said_s = standing, time.monotonic()
        reached = Reached(
            account=self._account,
            feed_seq=standing.feed_seq,
            order_number=standing.order_number,
            report_seq=standing.report_seq,
        )
        with contextlib.suppress(NatsError):
            publish_now(self._client, reached_subject(self._account), reached.SerializeToString())

    # --- what leaves --------------------------------------------------------------------------

    def _keep(self, outgoing: list[Outgoing]) -> list[Outgoing]:
        """Write the state with what is about to leave; return that."""
        driver = self._driver
        assert driver is not None
        trader = driver.trader
        state = trader.state()
        outgoing = outgoing + trader.drain()
        messages = [*self._outbox.unconfirmed(), *self._rest, *outgoing]
        stages = {symbol: model.bundle.stage for symbol, model in self._models.items()}
        beside = {
            "first_ns": self._first_ns,
            "stages": stages,
            "risk": risk_values(trader.desk["risk"]),
        }
        self._state_file.write(state, messages, beside)
        self._kept_s = time.monotonic()
        return outgoing

    def _publish(self, outgoing: list[Outgoing]) -> None:
        """Put orders on the wire now, and what only records them after the connection's turn."""
        if self._sent_before:
            self._compare(outgoing)
        self._publish_rest()
        orders = [each for each in outgoing if each.stream == ORDERS]
        if orders and len(orders) < len(outgoing):
            self._rest = [each for each in outgoing if each.stream != ORDERS]
            asyncio.get_running_loop().call_soon(self._publish_rest_now)
            outgoing = orders
        self._outbox.put_all(outgoing)

    def _publish_rest(self) -> None:
        rest, self._rest = self._rest, []
        self._outbox.put_all(rest)

    def _publish_rest_now(self) -> None:
        try:
            self._publish_rest()
        except OutboxError as error:  # nobody above would hear of it
            driver = self._driver
            assert driver is not None
            driver.halt(f"{type(error).__name__}: {error}")

    def _compare(self, outgoing: list[Outgoing]) -> None:
        """Halt before an order leaves that another one of its number was sent instead of."""
        for each in outgoing:
            if each.stream != ORDERS:
                continue
            order = OrderRequest.FromString(each.payload)
            sent = self._sent_before.pop(order.number, None)
            if sent is not None and differs(order, sent):
                msg = (
                    f"order {order.number} of this replay is not the one that was sent before (tick"
                    f" {order.feed_seq}, then {sent.feed_seq}): start with the bundles of then, or"
                    " with empty streams"
                )
                raise TraderError(msg)

    # --- beside it ----------------------------------------------------------------------------

    def _look_for_more(self) -> None:
        """Learn what there is in the streams, and fetch what is missing."""
        if self._healing is None or self._healing.done():
            self._healing = asyncio.create_task(self._heal_all(), name="healing")

    async def _heal_all(self) -> None:
        with contextlib.suppress(StreamUnavailable):
            await self._healer.note_ends()
        await self._healer.heal()
        self._go()

    def _heal(self, driver: Driver) -> None:
        if self._healing is not None and not self._healing.done():
            return
        gap = driver.ticks.gap(driver.trader.feed_seq)
        if gap is not None:
            self._service.alert(
                "warning",
                "feed_gap",
                f"ticks {gap[0]} to {gap[1]} of the feed did not arrive: fetching them from stream"
                " TICKS",
            )
        wait_s = 0.0 if gap is not None else _TAIL_PATIENCE_S
        self._healing = asyncio.create_task(self._heal_after(wait_s), name="healing")

    async def _heal_after(self, wait_s: float) -> None:
        await asyncio.sleep(wait_s)
        await self._healer.heal()

    def _look_after_tasks(self) -> None:
        """Halt if something that trading relies on has ended."""
        driver = self._driver
        assert driver is not None
        healing = [] if self._healing is None else [self._healing]
        for task in (*self._tasks, *healing):
            if not task.done() or task.cancelled():
                continue
            error = task.exception()
            if error is not None:
                driver.halt(f"{task.get_name()} ended: {type(error).__name__}: {error}")

    def _complain_of_silence(self, driver: Driver) -> None:
        """Tell of orders that nobody has answered: their symbol trades no more until then."""
        settings = self._service.settings.loop
        before_ns = self._service.clock.now_ns() - settings.order_validity_ns - _UNANSWERED_NS
        for name in driver.trader.unanswered(before_ns):
            if name not in self._unanswered:
                self._unanswered.add(name)
                text = (
                    f"order {name} has had no answer: nothing more is sent in its symbol until the"
                    " gateway reports on it; is the gateway up? look at the account"
                )
                self._service.alert("critical", "order_unanswered", text)

    def _look_around(self) -> None:
        """What is done every tenth of a second."""
        driver = self._driver
        assert driver is not None
        now_s = time.monotonic()
        if driver.halted:
            return
        if not self._lockstep:
            self._complain_of_silence(driver)
        if self._lockstep and driver.is_at_rest and now_s - self._said_s > _REPEAT_S:
            self._say_reached(driver.standing)
        if self._lockstep and driver.is_over and not self._is_over:
            self._is_over = True
            driver.finish()
        every_s = self._service.settings.loop.state_every_ns / _SECOND_NS
        if now_s - self._kept_s > every_s and not driver.is_over:
            driver.finish()
        self._go()

    def _report_health(self) -> None:
        driver = self._driver
        assert driver is not None
        trader = driver.trader
        permit = driver.permit
        state, text = "running", ""
        if driver.halted:
            state, text = "halted", driver.halted
        elif not self._client.is_connected:
            state, text = "waiting", "the connection to NATS is gone; nothing is decided"
        elif self._healing is not None and not self._healing.done():
            missing = driver.ticks.missing(trader.feed_seq)
            if missing is not None:
                state, text = "waiting", f"for ticks up to {missing[1]}"
        elif driver.is_over:
            state, text = "waiting", "the replay is over"
        self._service.health(
            state,
            text,
            feed_seq=trader.feed_seq,
            report_seq=trader.report_seq,
            order_number=trader.order_number,
            unconfirmed=len(self._outbox),
            permitted=0 if permit is None else permit.through_feed_seq,
            late_ms=driver.late_ns / 1e6,
        )

    def _warn(self, code: str, text: str) -> None:
        self._service.alert("critical", code, text)
