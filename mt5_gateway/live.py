"""A terminal that runs by itself: its ticks out, orders to it, its account watched."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from mt5_gateway.agreement import Agreement
from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.drain import SymbolDrain
from mt5_gateway.errors import TerminalUnavailable, WrongAccount
from mt5_gateway.live_feed import LiveFeed
from mt5_gateway.market_watch import MarketWatch
from mt5_gateway.obstacles import Obstacles
from mt5_gateway.server_time import ServerClock
from mt5_gateway.snapshot import Standing
from mt5_gateway.teller import Teller
from mt5_gateway.terminal_client import TerminalClient
from mt5_gateway.tick_publisher import RecordedFeed, TickPublisher
from mt5_gateway.trading import Trading
from mt5_gateway.validation import FUTURE, REASONS
from realtime.service import CannotStart, Service
from realtime.streams import StreamUnavailable
from realtime.switch import KillSwitch

_SECOND_NS = 1_000_000_000
_MS_NS = 1_000_000
_WATCH_S = 0.2
_HEAL_S = 1.0


class Live:
    """Runs a live account.

    Args:
        service: that it runs in.
        teller: speaks for it.
        terminal: to ask.
        server_clock: the broker's.
        publisher: of ticks.
        recorded: where the recorded feed ends.
        trading: orders and reports.
        agreement: of the broker's account and symbols with ours.
        obstacles: what stands in the way of orders.
        kill: the operator's switch.
        offset: of the broker's clock.
        tell: publishes health, with the last tick of the feed.
    """

    def __init__(
        self,
        *,
        service: Service,
        teller: Teller,
        terminal: TerminalClient,
        server_clock: ServerClock,
        publisher: TickPublisher,
        recorded: RecordedFeed,
        trading: Trading,
        agreement: Agreement,
        obstacles: Obstacles,
        kill: KillSwitch,
        offset: ClockOffset,
        tell: Callable[..., None],
    ) -> None:
        self._service = service
        self._settings = service.settings
        self._teller = teller
        self._terminal = terminal
        self._server_clock = server_clock
        self._publisher = publisher
        self._recorded = recorded
        self._trading = trading
        self._agreement = agreement
        self._obstacles = obstacles
        self._kill = kill
        self._offset = offset
        self._tell = tell

    async def run(
        self, drains: list[SymbolDrain], finish_begun: Callable[..., Awaitable[None]]
    ) -> None:
        """Run until the service is stopped.

        Args:
            drains: one a symbol, that have taken nothing.
            finish_begun: finds out what became of an order that was being sent.

        Raises:
            Stopped: it is, while the terminal is being waited for.
            CannotStart: a setting is wrong.
        """
        service, trading = self._service, self._trading
        await self._begin(drains)
        feed = LiveFeed(
            symbols=self._settings.trade,
            terminal=self._terminal,
            login=trading.watch.login,
            market_watch=MarketWatch(
                terminal=self._terminal,
                login=trading.watch.login,
                say=self._teller.say,
                over=self._teller.over,
            ),
            drains=drains,
            publisher=self._publisher,
            recorded=self._recorded,
            clock=service.clock,
            offset=self._offset,
            interval_s=self._settings.gateway.poll_interval_ns / _SECOND_NS,
        )
        broker_s = await self._broker_ms() // 1000
        await self._teller.until_answered(
            "account", lambda: trading.watch.load(self._now(), broker_s)
        )
        with contextlib.suppress(StreamUnavailable):  # nothing is opened until it can be read
            await self._kill.look()
        self._obstacles.check()
        await trading.inbox.open()
        await finish_begun(self._now)
        service.reconnected.append(trading.inbox.arrived.set)
        again = self._teller.again_and_again
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._kill.follow(service.stopping))
            tasks.create_task(again("orders", self._execute))
            tasks.create_task(again("account", lambda: self._watch_account(feed)))
            tasks.create_task(again("ticks", feed.step))

    async def _begin(self, drains: list[SymbolDrain]) -> None:
        """Put drains where the recorded feed ends, or where the history is to begin."""
        history_from = self._settings.gateway.history_from
        for drain in drains:
            last = self._recorded.ticks.get(drain.symbol)
            if last is not None:
                mid = (last.bid + last.ask) / 2
                drain.resume(last.server_ms, last.taken, last.utc_ms, mid)
                aside = self._recorded.quarantined.get(drain.symbol)
                if aside is not None and aside.reason == REASONS[FUTURE]:
                    drain.future.remember(aside.server_ms, aside.bid, aside.ask, aside.flags)
            elif history_from:
                drain.server_ms = self._server_clock.to_server_ms(_utc_ms(history_from))
            else:
                drain.server_ms = await self._broker_ms()

    async def _broker_ms(self) -> int:
        """Return the broker's time, or an earlier one, as its newest quote has it.

        Our clock may be ahead, and then it is not asked; a quote may be dated in the future.
        """
        newest_ms = 0
        for symbol in self._settings.trade:
            reply = await self._teller.until_answered(
                "quotes", lambda name=symbol: self._terminal.call("symbol_info_tick", name)
            )
            if reply.value is not None:
                newest_ms = max(newest_ms, int(reply.value["time_msc"]))
        now_ms = self._server_clock.to_server_ms(self._service.clock.now_ns() // _MS_NS)
        return min(newest_ms, now_ms) or now_ms

    async def _execute(self) -> None:
        """Execute orders as they come."""
        inbox = self._trading.inbox
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_HEAL_S):
                await inbox.arrived.wait()
        inbox.arrived.clear()
        if inbox.next() is None:
            await inbox.heal()
        await self._compare()
        while await self._trading.execute_next(self._now):
            await self._compare()

    async def _compare(self) -> None:
        """Compare broker and settings if the terminal was lost; if that fails nothing is opened."""
        if not self._agreement.is_current:
            with contextlib.suppress(TerminalUnavailable, WrongAccount):
                await self._agreement.compare()

    async def _watch_account(self, feed: LiveFeed) -> None:
        """Look at the account and the terminal, and say how things are."""
        self._obstacles.check()
        try:
            await self._agreement.keep()
            await self._trading.look(self._now)
        except WrongAccount:
            self._agreement.doubt()
            raise
        finally:
            self._tell(*self._obstacles.health(), feed_seq=feed.feed_seq)
        await asyncio.sleep(_WATCH_S)

    def _now(self) -> Standing:
        return Standing(time_ns=self._service.clock.now_ns())


def _utc_ms(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"[gateway] history_from = {text!r}: must be a time such as 2024-05-01T00:00:00Z"
        raise CannotStart(msg) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)
