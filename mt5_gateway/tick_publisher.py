"""Ticks and quarantined ticks on their way to their streams, and where a gateway goes on.

So much is unconfirmed at most that a restart finds the end of the feed by reading the last messages
of the stream: what an outbox sends again after a lost connection makes a stream go back, but not
further than this.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError

from mt5_gateway.drain import Drained
from mt5_gateway.errors import FeedMismatch
from mt5_gateway.feed import Stretch, tick_messages
from mt5_gateway.recorded import last_message, last_readable, read_tail, say_rubbish
from mt5_gateway.validation import ACCEPTED, REASONS
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.market_data_pb2 import QuarantinedTick, Ticks
from realtime.contracts.subjects import quarantine_subject, tick_subject
from realtime.outbox import Outbox
from realtime.tick_wire import CorruptMessage, read_message

TICKS_STREAM = "TICKS"
QUARANTINE_STREAM = "QUARANTINE"
MOST_UNCONFIRMED = 1_024  # messages
_TAIL = 2 * MOST_UNCONFIRMED
_WAIT_S = 1.0
_MS_NS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LastTick:
    """The last tick of a symbol that is recorded.

    Attributes:
        seq: within the symbol.
        server_ms: time on the broker's clock.
        taken: of that millisecond.
        utc_ms: time.
        bid: of its quote.
        ask: likewise.
    """

    seq: int
    server_ms: int
    taken: int
    utc_ms: int
    bid: float
    ask: float


@dataclass(frozen=True, kw_only=True)
class RecordedFeed:
    """Where the recorded feed ends.

    Attributes:
        feed_seq: of its last tick; 0 if there is none.
        ticks: per symbol its last tick.
        quarantined: per symbol its last quarantined tick.
    """

    feed_seq: int
    ticks: Mapping[str, LastTick]
    quarantined: Mapping[str, QuarantinedTick]


async def recorded_feed(
    client: Client,
    account: str,
    symbols: Sequence[str],
    alert: Callable[[str, str, str], None],
) -> RecordedFeed:
    """Find the end of the recorded feed; messages that cannot be read are said and left out.

    Raises:
        StreamUnreadable: a stream cannot be read.
        FeedMismatch: a symbol's ticks are those of another account.
    """
    latest, rubbish = await _tail_of(client, account)
    for symbol in symbols:
        if symbol not in latest:
            ticks, count = await last_readable(
                client, TICKS_STREAM, tick_subject(symbol), _read_ticks
            )
            rubbish = max(rubbish, count)  # or those of the tail would be counted again
            if ticks is not None and not _keep_latest(latest, ticks, account):
                msg = (
                    f"stream {TICKS_STREAM} holds {symbol} of account {ticks.account!r}, this"
                    f" gateway is {account!r}: a symbol has one feed; use that account, or empty"
                    " the stream"
                )
                raise FeedMismatch(msg)
    say_rubbish(alert, TICKS_STREAM, rubbish)
    quarantined: dict[str, QuarantinedTick] = {}
    for symbol in symbols:
        refused, count = await last_readable(
            client, QUARANTINE_STREAM, quarantine_subject(symbol), _read_quarantined
        )
        say_rubbish(alert, QUARANTINE_STREAM, count)
        if refused is not None:
            quarantined[symbol] = refused
    ends = [each.first_feed_seq + len(each.time_ns) - 1 for each in latest.values()]
    return RecordedFeed(
        feed_seq=max(ends, default=0),
        ticks={symbol: _last_tick(each) for symbol, each in latest.items()},
        quarantined=quarantined,
    )


async def _tail_of(client: Client, account: str) -> tuple[dict[str, Ticks], int]:
    """Return the last message of each symbol at the end of the stream, and how many are rubbish."""
    latest: dict[str, Ticks] = {}
    rubbish = 0
    newest = await last_message(client, TICKS_STREAM, "md.tick.>")
    if newest is None:
        return latest, rubbish
    for kept in await read_tail(client, TICKS_STREAM, "md.tick.>", newest, _TAIL):
        ticks = _read_ticks(kept.payload)
        if ticks is None:
            rubbish += 1
        else:
            _keep_latest(latest, ticks, account)
    return latest, rubbish


def _read_ticks(payload: bytes) -> Ticks | None:
    try:
        return read_message(payload)
    except CorruptMessage:
        return None


def _read_quarantined(payload: bytes) -> QuarantinedTick | None:
    try:
        refused = QuarantinedTick.FromString(payload)
    except DecodeError:
        return None
    return refused if refused.number >= 1 else None


def _keep_latest(latest: dict[str, Ticks], ticks: Ticks, account: str) -> bool:
    """Keep a message if it is of this account and the latest of its symbol; is it ours?"""
    if ticks.account != account:
        return False
    known = latest.get(ticks.symbol)
    if known is None or ticks.first_seq + len(ticks.bid) > known.first_seq + len(known.bid):
        latest[ticks.symbol] = ticks
    return True


def _last_tick(ticks: Ticks) -> LastTick:
    return LastTick(
        seq=ticks.first_seq + len(ticks.time_ns) - 1,
        server_ms=ticks.last_server_ms,
        taken=ticks.taken_of_last_ms,
        utc_ms=ticks.time_ns[-1] // _MS_NS,
        bid=ticks.bid[-1],
        ask=ticks.ask[-1],
    )


class TickPublisher:
    """Publishes ticks.

    Args:
        account: whose feed it is.
        symbols: names, by index.
        outbox: open; of ticks only.
        clock: the machine's.
        recorded: where the feed ends.
        is_replay: the terminal's history is read from its beginning at every start.
    """

    def __init__(
        self,
        *,
        account: str,
        symbols: Sequence[str],
        outbox: Outbox,
        clock: Clock,
        recorded: RecordedFeed,
        is_replay: bool,
    ) -> None:
        self.counts = {"ticks": 0, "quarantined": 0}
        self._account = account
        self._symbols = tuple(symbols)
        self._outbox = outbox
        self._clock = clock
        self._recorded = recorded
        self._is_replay = is_replay
        last = {name: tick.number for name, tick in recorded.quarantined.items()}
        self._told = [last.get(name, 0) for name in symbols]  # quarantined, per symbol
        self._numbers = [0] * len(symbols) if is_replay else list(self._told)
        self._log = logging.getLogger("gateway")

    def put_feed(self, stretch: Stretch, drained_ns: int) -> None:
        """Publish the ticks of the feed that are not recorded yet.

        Args:
            stretch: refused ones are left out.
            drained_ns: when the terminal had answered.
        """
        feed = stretch.feed(self._recorded.feed_seq if self._is_replay else 0)
        if len(feed) == 0:
            return
        messages = tick_messages(
            feed, self._symbols, self._account, drained_ns, self._clock.now_ns()
        )
        last = len(messages) - 1
        for index, message in enumerate(messages):
            self._outbox.put(
                tick_subject(message.symbol),
                message.SerializeToString(),
                TICKS_STREAM,
                more=index < last and index % 256 != 255,
            )
        self.counts["ticks"] += len(feed)

    def put_quarantine(self, symbol: int, drained: Drained) -> None:
        """Publish the refused ticks of a symbol, with their reasons."""
        refused = np.flatnonzero(drained.codes != ACCEPTED).tolist()
        for index in refused:
            row = drained.rows[index]
            message = QuarantinedTick(
                symbol=self._symbols[symbol],
                account=self._account,
                server_ms=int(row["time_msc"]),
                time_ns=int(drained.utc_ms[index]) * _MS_NS,
                bid=float(row["bid"]),
                ask=float(row["ask"]),
                last=float(row["last"]),
                volume=float(row["volume_real"]),
                flags=int(row["flags"]),
                reason=REASONS[int(drained.codes[index])],
            )
            if self._is_told(symbol, message):
                continue
            self._numbers[symbol] += 1
            message.number = self._numbers[symbol]
            self.counts["quarantined"] += 1
            subject = quarantine_subject(message.symbol)
            self._outbox.put(subject, message.SerializeToString(), QUARANTINE_STREAM)

    def _is_told(self, symbol: int, message: QuarantinedTick) -> bool:
        """Whether a refused tick was published before this start."""
        if self._is_replay:
            told = self._numbers[symbol] < self._told[symbol]
            self._numbers[symbol] += told
            return told
        last = self._recorded.quarantined.get(self._symbols[symbol])
        if last is None or message.server_ms > last.server_ms:
            return False
        before = self._recorded.ticks.get(self._symbols[symbol])
        if before is not None and message.server_ms < before.server_ms:
            return False  # it came late: the position of the drain is behind it
        if message.server_ms < last.server_ms:
            return True
        return (message.bid, message.ask, message.flags) == (last.bid, last.ask, last.flags)

    async def drain(self) -> None:
        """Wait while too much is unconfirmed; the terminal keeps its history meanwhile."""
        while len(self._outbox) > MOST_UNCONFIRMED:
            if not await self._outbox.flush(_WAIT_S):
                await asyncio.sleep(0)
