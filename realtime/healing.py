"""Fetching what did not come over the wire: from the streams, and beyond them from the database."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Mapping

from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.subjects import token
from realtime.driver import Driver
from realtime.inbox import Chunk, chunk_of, read_report
from realtime.recorded_ticks import RecordUnavailable
from realtime.streams import StreamReader, StreamUnavailable
from realtime.tick_wire import CorruptMessage, read_message
from realtime.warm import first_tick

_TICK_SUBJECT = "md.tick.>"
_BACK = 5_000  # messages that a search may miss by, where ticks were published twice
_TRIES = 3  # of reading rubbish, before the loop halts
_PATIENCE = 10  # fruitless attempts before anybody is told
_WAIT_S = 0.5


class Healer:
    """Fills the inboxes of a driver with what they miss; one attempt at a time.

    Args:
        client: connected as a user that reads TICKS and REPORTS.
        account: whose feed and reports.
        driver: its inboxes.
        rows: desk rows by symbol.
        clock: stamps what was fetched.
        advance: lets the driver go on.
        alert: told of trouble as (severity, code, one line).
        from_database: ticks of the account from one feed_seq to another, for what the stream has
            already forgotten; raises `RecordUnavailable`.
    """

    def __init__(
        self,
        client: Client,
        account: str,
        driver: Driver,
        *,
        rows: Mapping[str, int],
        clock: Clock,
        advance: Callable[[], None],
        alert: Callable[[str, str, str], None],
        from_database: Callable[[int, int], Iterable[Chunk]],
    ) -> None:
        self._ticks = StreamReader(client, "TICKS")
        self._reports = StreamReader(client, "REPORTS")
        self._client = client
        self._account = account
        self._report_subject = f"trade.report.{token(account)}.>"
        self._driver = driver
        self._rows = rows
        self._clock = clock
        self._advance = advance
        self._alert = alert
        self._from_database = from_database
        self._fruitless = 0
        self._corrupt = 0

    async def note_ends(self) -> None:
        """Learn how far the feed and the reports go by now.

        Raises:
            StreamUnavailable: no answer.
        """
        driver = self._driver
        driver.ticks.last_seen = max(driver.ticks.last_seen, await self._last_tick())
        if not driver.is_muted:  # the past of an account is not applied to a warm-up
            driver.reports.last_seen = max(driver.reports.last_seen, await self.last_report())

    async def last_report(self) -> int:
        """Return the report_seq of the account's last report in the stream; 0 if there is none.

        Raises:
            StreamUnavailable: no answer.
        """
        stored = await self._reports.last(self._report_subject)
        return 0 if stored is None else (_report_number(stored.payload) or 0)

    async def oldest_reachable(self) -> int:
        """Return the lowest feed_seq from which on everything can be had; 1 if nothing is known.

        Raises:
            StreamUnavailable: no answer.
        """
        found = await first_tick(self._client, self._account)
        if found is None or found[0] == 1:
            return 1
        try:
            parts = iter(self._from_database(1, 1))
            has_first = await asyncio.to_thread(next, parts, None) is not None
        except RecordUnavailable:
            has_first = False
        return 1 if has_first else found[0]

    async def heal(self) -> None:
        """Fetch until nothing is known to be missing, or the driver cannot take more."""
        driver = self._driver
        while not driver.halted and self._client.is_connected:
            trader = driver.trader
            before = (trader.feed_seq, trader.report_seq)
            try:
                reports = driver.reports.missing(trader.report_seq)
                if reports is not None:
                    await self._fetch_reports(*reports)
                    self._advance()
                ticks = driver.ticks.missing(trader.feed_seq)
                if ticks is not None:
                    await self._fetch_ticks(*ticks)
                    self._advance()
            except StreamUnavailable as error:
                self._complain("stream_unavailable", str(error))
                await asyncio.sleep(_WAIT_S)
                continue
            if not self._is_lacking():
                self._fruitless = 0
                return
            if before == (trader.feed_seq, trader.report_seq):
                self._give_up_slowly()
                await asyncio.sleep(_WAIT_S if self._fruitless > 1 else 0.05)

    def _is_lacking(self) -> bool:
        driver, trader = self._driver, self._driver.trader
        return (
            driver.ticks.missing(trader.feed_seq) is not None
            or driver.reports.missing(trader.report_seq) is not None
        )

    def _give_up_slowly(self) -> None:
        """Say what stays missing; halt if the stream itself holds rubbish in its place."""
        self._fruitless += 1
        driver, trader = self._driver, self._driver.trader
        ticks = driver.ticks.missing(trader.feed_seq)
        if ticks is not None and self._corrupt and self._fruitless >= _TRIES:
            driver.halt(
                f"ticks {ticks[0]} to {ticks[1]} cannot be read in stream TICKS either: the feed is"
                " broken there; start again behind it, with a fresh state"
            )
        elif self._fruitless == _PATIENCE:
            reports = driver.reports.missing(trader.report_seq)
            what = f"ticks {ticks[0]} to {ticks[1]}" if ticks else f"reports {reports}"
            self._complain(
                "feed_gap_stays",
                f"{what} are neither on the wire nor in a stream: nothing is decided until they"
                " come; is the gateway up?",
            )

    def _complain(self, code: str, text: str) -> None:
        if self._client.is_connected:
            self._alert("critical", code, text)

    # --- ticks --------------------------------------------------------------------------------

    async def _fetch_ticks(self, first: int, last: int) -> None:
        self._corrupt = 0
        position = await self._ticks.find(_TICK_SUBJECT, self._tick_number, first)
        for back in (0, _BACK):
            oldest = await self._read_ticks(max(position - back, 1), first, last)
            missing = self._driver.ticks.missing(self._driver.trader.feed_seq)
            if missing is None or missing[0] > first:
                return
        if oldest is None or oldest > first:
            until = last if oldest is None else oldest - 1
            with contextlib.suppress(RecordUnavailable):  # not there: it is said that they lack
                await self._read_database(first, until)

    async def _read_ticks(self, position: int, first: int, last: int) -> int | None:
        """Add what the stream holds; return the lowest feed_seq found."""
        oldest: int | None = None
        async for part in self._ticks.read(position, _TICK_SUBJECT):
            for stored in part:
                try:
                    ticks = read_message(stored.payload)
                except CorruptMessage:
                    self._corrupt += 1
                    continue
                start = ticks.first_feed_seq
                if ticks.account != self._account or start + len(ticks.time_ns) <= first:
                    continue
                oldest = start if oldest is None else min(oldest, start)
                self._add(chunk_of(ticks, self._rows, self._clock.now_ns(), is_live=False))
                if start > last:
                    return oldest
            self._advance()
            await asyncio.sleep(0)
            if self._driver.halted or self._driver.ticks.is_full:
                return oldest
        return oldest

    async def _read_database(self, first: int, last: int) -> None:
        parts = iter(self._from_database(first, last))
        while (chunk := await asyncio.to_thread(next, parts, None)) is not None:
            self._add(chunk)
            self._advance()
            if self._driver.halted or self._driver.ticks.is_full:
                return

    def _add(self, chunk: Chunk) -> None:
        self._driver.add(chunk)

    async def _last_tick(self) -> int:
        """Return the feed_seq of the account's last tick in the stream; 0 if there is none."""
        first, last = await self._ticks.bounds()
        span = 1
        while last >= first:
            at = max(last - span + 1, first)
            newest = 0
            async for part in self._ticks.read(at, _TICK_SUBJECT):
                numbers = [self._tick_number(stored.payload) or 0 for stored in part]
                newest = max(newest, *numbers)
            if newest or at == first:
                return newest
            span *= 16
        return 0

    def _tick_number(self, payload: bytes) -> int | None:
        """Return the feed_seq of the last tick of a message of this account."""
        try:
            ticks = read_message(payload)
        except CorruptMessage:
            return None
        if ticks.account != self._account:
            return None
        return ticks.first_feed_seq + len(ticks.time_ns) - 1

    # --- reports ------------------------------------------------------------------------------

    async def _fetch_reports(self, first: int, last: int) -> None:
        subject = self._report_subject
        position = await self._reports.find(subject, _report_number, first)
        for back in (0, _BACK):
            async for part in self._reports.read(max(position - back, 1), subject):
                for stored in part:
                    self._add_report(stored.payload)
            missing = self._driver.reports.missing(self._driver.trader.report_seq, last)
            if missing is None or missing[0] > first:
                return

    def _add_report(self, payload: bytes) -> None:
        try:
            report = read_report(payload)
        except CorruptMessage:
            return
        if report.account == self._account:
            self._driver.reports.add(report, self._driver.trader.report_seq)


def _report_number(payload: bytes) -> int | None:
    try:
        return read_report(payload).report_seq
    except CorruptMessage:
        return None
