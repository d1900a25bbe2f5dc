"""A replay in lock-step with the loop: the market may be ahead, the broker never is.

The simulated terminal shows its ticks in chunks, and they are published as they are shown. Its
broker stands still. The loop says how far it has come (`Reached`); the broker is then played up to
that tick, the orders sent there are executed there, and the broker looks ahead, on a copy, for the
next tick on which anything but quotes changes. Up to the tick before it the loop may go (`Permit`).
When it stands there and has heard everything, the broker plays the event, the reports are
published, and the next permit follows.

Every step can be repeated: what was played, executed or reported is not done again. A gateway that
starts anew reads the terminal's history from the beginning, which gives the same ticks the same
numbers, publishes what is missing, and asks the terminal where its broker stands.
"""

import asyncio
import contextlib
import logging
from collections.abc import Sequence

import numpy as np
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from mt5_gateway.drain import SymbolDrain
from mt5_gateway.errors import FeedMismatch
from mt5_gateway.feed import Feed, Stretch
from mt5_gateway.feed_index import START, FeedIndex, Place
from mt5_gateway.snapshot import Standing
from mt5_gateway.terminal_client import Call, TerminalClient, required
from mt5_gateway.tick_publisher import RecordedFeed, TickPublisher
from mt5_gateway.trading import Trading
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.control_pb2 import Permit, Reached
from realtime.contracts.subjects import permit_subject, reached_subject

_CHUNK = 4_096  # ticks shown at a time
_AHEAD = 65_536  # ticks published beyond where the loop stands
_LEAST_LOOK, _MOST_LOOK = 256, 65_536  # ticks looked ahead
_IDLE_S = 0.5
_MS_NS = 1_000_000


class LockStep:
    """Takes terminal and loop through a replay.

    Args:
        account: name.
        symbols: names, in the order of the desk.
        client: connected to NATS.
        terminal: the simulated one.
        drains: one a symbol, that have taken nothing.
        publisher: of ticks.
        recorded: where the recorded feed ends.
        trading: orders and reports; its inbox open.
        clock: the machine's.
    """

    def __init__(
        self,
        *,
        account: str,
        symbols: Sequence[str],
        client: Client,
        terminal: TerminalClient,
        drains: Sequence[SymbolDrain],
        publisher: TickPublisher,
        recorded: RecordedFeed,
        trading: Trading,
        clock: Clock,
    ) -> None:
        self.broker = START
        self.through = 0  # tick of the feed that the loop may take
        self.is_over = False
        self._account = account
        self._symbols = tuple(symbols)
        self._client = client
        self._terminal = terminal
        self._drains = drains
        self._publisher = publisher
        self._recorded = recorded
        self._trading = trading
        self._clock = clock
        self._feed = Feed(len(symbols))
        self._index = FeedIndex()
        self._is_lost = False  # the terminal may have done what we do not know
        self._is_shown = False  # the market has shown all of its ticks
        self._ahead = START  # last tick before the next event, as far as was looked
        self._is_event = False  # the tick after it is an event
        self._look = _LEAST_LOOK
        self._reached: Reached | None = None
        self._told = asyncio.Event()
        self._log = logging.getLogger("gateway")

    @property
    def reached_seq(self) -> int:
        """Tick of the feed that the loop stands at, as far as is known."""
        return 0 if self._reached is None else self._reached.feed_seq

    @property
    def feed_seq(self) -> int:
        """Last tick of the feed that was shown."""
        return self._feed.feed_seq

    async def open(self) -> None:
        """Listen to the loop."""
        await self._client.subscribe(  # pyright: ignore[reportUnknownMemberType] (an argument we do not use)
            reached_subject(self._account), cb=self._hear
        )

    async def _hear(self, message: Msg) -> None:
        try:
            reached = Reached.FromString(message.data)
        except DecodeError:
            self._log.warning("a message on %s is none of a loop", message.subject)
            return
        self._reached = reached
        self._told.set()

    # --- start --------------------------------------------------------------------------------

    async def start(self) -> None:
        """Read what the market has shown, and bring reports up to where the broker stands.

        Raises:
            TerminalUnavailable: no answer; may be called again.
            FeedMismatch: the recorded ticks are others.
        """
        position = required("position", await self._terminal.call("control.position"))
        self._is_shown = position["revealed"] == position["total"]
        while self._index.end < position["revealed"]:
            if not await self._pump_shown():
                shown = position["revealed"]
                msg = f"the market has shown {shown} ticks, but gives out {self._index.end}"
                raise FeedMismatch(msg)
            await self._publisher.drain()
        while self._feed.feed_seq < self._recorded.feed_seq and not self._is_shown:
            await self._show()
        self._require_recorded()
        await self._find_broker()

    def _require_recorded(self) -> None:
        if self._recorded.feed_seq > self._feed.feed_seq:
            msg = (
                f"stream TICKS holds {self._recorded.feed_seq} ticks of account {self._account!r},"
                f" the terminal has shown {self._feed.feed_seq}: it is not the replay that was"
                " recorded; empty the streams, or restore the terminal's state"
            )
            raise FeedMismatch(msg)

    async def _find_broker(self) -> None:
        """Ask where the broker stands, and report what happened on the way."""
        position = required("position", await self._terminal.call("control.position"))
        ordinal = position["ordinal"]
        symbol = self._symbols.index(position["symbol"]) if ordinal else -1
        self.broker = self._ahead = self._index.named(symbol, ordinal)
        self.through = self.broker.feed_seq
        self._is_event = False
        self._look = _LEAST_LOOK

    async def report_news(self) -> None:
        """Report what the broker did that was not reported: after a start.

        Raises:
            TerminalUnavailable: no answer.
        """
        await self._trading.look(self.standing)
        await self._look_ahead()

    def standing(self) -> Standing:
        """Where the broker stands."""
        place = self.broker
        return Standing(feed_seq=place.event_seq, time_ns=place.time_ns or self._first_ns())

    def _first_ns(self) -> int:
        first = self._index.numbered(1)
        return 0 if first is None else first.time_ns

    # --- market -------------------------------------------------------------------------------

    async def _pump(self) -> None:
        """Show and publish more of the market, while the loop is not too far behind."""
        reached = max(self.reached_seq, self.broker.feed_seq)
        while not self._is_shown and self._feed.feed_seq - reached < _AHEAD:
            await self._show()
            if self._told.is_set():
                return

    async def _show(self) -> None:
        answer = await self._terminal.call("control.open_market", _CHUNK)
        _, self._is_shown = required("open_market", answer)
        while await self._pump_shown():
            await self._publisher.drain()

    async def _pump_shown(self) -> bool:
        """Take what the market has shown; whether there was anything new."""
        arrays = await self._terminal.ticks_from([drain.wanted for drain in self._drains])
        drained_ns = self._clock.now_ns()
        for symbol, (drain, rows) in enumerate(zip(self._drains, arrays, strict=True)):
            drained = drain.take(rows)
            self._publisher.put_quarantine(symbol, drained)
            self._feed.add(symbol, drained)
        more = [drain.more for drain in self._drains]
        stretch = self._feed.pull(more)
        if stretch is not None:
            self._compare(stretch)
            self._index.add(stretch)
            self._publisher.put_feed(stretch, drained_ns)
        return stretch is not None or any(more)

    def _compare(self, stretch: Stretch) -> None:
        """Check that the last recorded ticks are those that the terminal gives now."""
        for name, last in self._recorded.ticks.items():
            if name not in self._symbols:
                continue
            mine = stretch.accepted & (stretch.symbols == self._symbols.index(name))
            at = np.flatnonzero(mine & (stretch.seqs == last.seq))
            if len(at) == 0:
                continue
            row = stretch.rows[int(at[0])]
            if (row["bid"], row["ask"], row["time_msc"]) != (last.bid, last.ask, last.server_ms):
                msg = (
                    f"tick {last.seq} of {name} is recorded as {last.bid}/{last.ask}, the terminal"
                    f" says {row['bid']}/{row['ask']}: it replays other data; empty the streams"
                    " and the terminal's state"
                )
                raise FeedMismatch(msg)

    # --- broker -------------------------------------------------------------------------------

    async def step(self) -> None:
        """Show what may be shown, wait for the loop's word, and answer it.

        Raises:
            TerminalUnavailable: no answer; may be called again.
            StreamUnreadable: orders cannot be read; may be called again.
            FeedMismatch: the terminal is not the one that was recorded.
        """
        if self._is_lost:
            await self._recover()
        self._is_lost = True
        await self._pump()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_IDLE_S):
                await self._told.wait()
        if self._told.is_set():
            self._told.clear()
            await self._answer()
        self._is_lost = False

    async def _recover(self) -> None:
        """After the terminal was away: find out what was done before it went."""
        await self._find_broker()
        await self.report_news()
        self._told.set()

    async def _answer(self) -> None:
        """Do what the loop's last word asks for, and permit what can be permitted."""
        reached = self._reached
        if reached is None:
            return
        if reached.feed_seq >= self.broker.feed_seq:
            await self._go_to(reached)
        await self._confirm_reports()
        await self._permit()

    async def _go_to(self, reached: Reached) -> None:
        """Play the broker to where the loop stands, execute its orders, and look ahead."""
        while self.through < reached.feed_seq:  # permitted before a restart
            if self._is_event or not await self._look_ahead():
                msg = (
                    f"the loop stands at tick {reached.feed_seq}, but must not be beyond"
                    f" {self.through}: it follows another gateway; stop both, restore their state"
                )
                raise FeedMismatch(msg)
        if reached.feed_seq > self.broker.feed_seq:
            await self._commit(self._index.of_feed(reached.feed_seq))
        if await self._execute_through(reached.order_number):
            self._look = _LEAST_LOOK
            await self._look_ahead()
        has_heard = (
            reached.order_number == self._trading.inbox.handled
            and reached.report_seq == self._trading.reports.last_seq
        )
        while self.through <= reached.feed_seq:
            if not self._is_event:
                if not await self._look_ahead():
                    return  # nothing more is shown
            elif has_heard:
                await self._play_event()
                return
            else:
                return  # the loop may still send orders at this tick

    async def _commit(self, place: Place) -> None:
        calls = [
            Call("control.commit", (self._symbols[place.symbol], place.ordinal)),
            Call("control.peek", (self._look,)),
        ]
        committed, ahead = await self._terminal.calls(calls)
        events = required("commit", committed)
        self.broker = place
        self._index.forget(place)
        if events:
            await self._trading.look(self.standing)
        self._see(required("peek", ahead))

    async def _execute_through(self, number: int) -> bool:
        """Execute orders up to a number; whether there were any."""
        inbox = self._trading.inbox
        if number > inbox.handled and inbox.next() is None:
            await inbox.heal()
        done = False
        while inbox.handled < number:
            if not await self._trading.execute_next(self.standing):
                self._log.warning("order %d is not there yet", inbox.handled + 1)
                return done
            done = True
        return done

    async def _play_event(self) -> None:
        """Play the broker through the next tick, which changes something."""
        place = self._index.numbered(self._ahead.number + 1)
        if place is None:
            return
        call = Call("control.commit", (self._symbols[place.symbol], place.ordinal))
        required("commit", (await self._terminal.calls([call]))[0])
        self.broker = place
        await self._trading.look(self.standing)
        self._look = _LEAST_LOOK
        await self._look_ahead()

    async def _look_ahead(self) -> bool:
        """Look for the next event; whether more may be permitted than before."""
        before = self.through
        ahead = required("peek", await self._terminal.call("control.peek", self._look))
        self._see(ahead)
        return self.through > before

    def _see(self, ahead: dict[str, int | str | bool]) -> None:
        ordinal = int(ahead["ordinal"])
        symbol = self._symbols.index(str(ahead["symbol"])) if ordinal else -1
        self._ahead = self._index.named(symbol, ordinal) if ordinal else START
        self._is_event = bool(ahead["is_event"])
        self.through = max(self.broker.feed_seq, self._ahead.feed_seq)
        if not self._is_event:
            self._look = min(self._look * 2, _MOST_LOOK)

    # --- permits ------------------------------------------------------------------------------

    async def _confirm_reports(self) -> None:
        """Wait until every report is in its stream: no permit may rest on one that can be lost."""
        while not await self._trading.outbox.flush(_IDLE_S):
            self._log.warning("waiting for NATS to store reports")

    async def _permit(self) -> None:
        everything = self._is_shown and self._index.end == self._ahead.number
        self.is_over = everything and not self._is_event and self._feed.waiting == 0
        permit = Permit(
            account=self._account,
            through_feed_seq=self.through,
            report_seq=self._trading.reports.last_seq,
            order_number=self._trading.inbox.handled,
            end=self.is_over,
        )
        await self._client.publish(permit_subject(self._account), permit.SerializeToString())
