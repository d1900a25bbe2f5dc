"""Ticks of a terminal that runs by itself: asked for again and again, published at once."""

import asyncio
import logging
from collections.abc import Sequence

from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.drain import SymbolDrain
from mt5_gateway.feed import Feed
from mt5_gateway.frames import Reply
from mt5_gateway.market_watch import MarketWatch
from mt5_gateway.terminal_client import TerminalClient, rows_of
from mt5_gateway.tick_publisher import RecordedFeed, TickPublisher
from realtime.clock import Clock

_FIRST_ANSWER_S = 60.0  # the first question for a symbol may start a download
_MS_NS = 1_000_000


class LiveFeed:
    """Drains a terminal into the feed.

    Args:
        symbols: names.
        terminal: to ask.
        login: of our account: the ticks of another one are another broker's.
        market_watch: looks after symbols that do not stream.
        drains: one a symbol, where they were left.
        publisher: of ticks.
        recorded: where the recorded feed ends.
        clock: the machine's.
        offset: told of fresh ticks.
        interval_s: between two questions.
    """

    def __init__(
        self,
        *,
        symbols: Sequence[str],
        terminal: TerminalClient,
        login: int | None,
        market_watch: MarketWatch,
        drains: Sequence[SymbolDrain],
        publisher: TickPublisher,
        recorded: RecordedFeed,
        clock: Clock,
        offset: ClockOffset,
        interval_s: float,
    ) -> None:
        self._terminal = terminal
        self._login = login
        self._market_watch = market_watch
        self._drains = drains
        self._publisher = publisher
        self._clock = clock
        self._offset = offset
        self._interval_s = interval_s
        seqs = [0 if (last := recorded.ticks.get(name)) is None else last.seq for name in symbols]
        self._feed = Feed(len(symbols), recorded.feed_seq, seqs)
        self._was_fresh = False
        self._is_first = True
        self._log = logging.getLogger("gateway")

    @property
    def feed_seq(self) -> int:
        """Last tick published."""
        return self._feed.feed_seq

    async def step(self) -> None:
        """Ask once, publish, and wait until it is time to ask again.

        Raises:
            TerminalUnavailable: no answer; nothing is lost.
            WrongAccount: somebody else is logged in; nothing was taken.
        """
        loop = asyncio.get_running_loop()
        started_s = loop.time()
        await self.poll()
        await self._publisher.drain()
        left_s = self._interval_s - (loop.time() - started_s)
        has_more = any(drain.more for drain in self._drains)
        await asyncio.sleep(0 if has_more else max(left_s, 0))

    async def poll(self) -> int:
        """Ask once and publish what is new; return how many ticks of the feed that were.

        Raises:
            TerminalUnavailable: no answer; nothing is lost.
            WrongAccount: somebody else is logged in; nothing was taken.
        """
        timeout_s = _FIRST_ANSWER_S if self._is_first else None
        wanted = [drain.wanted for drain in self._drains]
        replies = await self._terminal.tick_replies(wanted, login=self._login, timeout_s=timeout_s)
        drained_ns = self._clock.now_ns()
        self._is_first = False
        newest_ms = self._take(replies, drained_ns // _MS_NS)
        count = self._publish(newest_ms, drained_ns)
        for drain, reply in zip(self._drains, replies, strict=True):
            if rows_of(reply) is None:
                await self._market_watch.mend(drain.symbol, reply, is_new=drain.ordinal == 0)
        return count

    def _take(self, replies: Sequence[Reply], now_ms: int) -> int:
        """Take what is new; return when the newest tick of the feed among it was, UTC."""
        newest_ms = 0
        feed_ms = max(drain.accepted.utc_ms or 0 for drain in self._drains)
        for symbol, (drain, reply) in enumerate(zip(self._drains, replies, strict=True)):
            rows = rows_of(reply)
            if rows is None:
                drain.more = False  # the other symbols do not wait for it
                continue
            self._market_watch.streams(drain.symbol)
            drained = drain.take(rows, now_ms, feed_ms)
            if len(drained):
                self._publisher.put_quarantine(symbol, drained)
                self._feed.add(symbol, drained)
                newest_ms = max(newest_ms, drain.accepted.utc_ms or 0)
        return newest_ms

    def _publish(self, newest_ms: int, drained_ns: int) -> int:
        more = [drain.more for drain in self._drains]
        stretch = self._feed.pull(more)
        count = 0
        if stretch is not None:
            before = self._publisher.counts["ticks"]
            self._publisher.put_feed(stretch, drained_ns)
            count = self._publisher.counts["ticks"] - before
        if count and self._was_fresh and not any(more):
            self._offset.add(newest_ms, drained_ns)
        self._was_fresh = not any(more)
        return count
