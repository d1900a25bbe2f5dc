"""What comes in over the wire, brought into the order of its numbers.

Streams and connections may give a message twice, late, or not at all: `TickInbox` and
`ReportInbox` keep what is early, drop what was there, and name what is missing.
"""

import heapq
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.kernels.layout import TICK
from realtime.tick_wire import CorruptMessage, read_message, read_ticks

#: Row of ticks whose symbol is not on the desk: they count in the feed and are not taken in.
STRANGER = -1
_WORTH_JOINING = 16  # messages, from which on columns are faster than one by one


@dataclass(slots=True)
class Chunk:
    """Ticks that follow one another in the feed.

    Attributes:
        rows: (n,) TICK; `symbol` is the desk's row, or `STRANGER`.
        first: feed_seq of the first.
        received_ns: when it was there, our clock.
        is_live: it came as it was published, not out of a stream.
        stranger: symbol of ticks that no row of the desk is for; empty if there are rows for all.
    """

    rows: NDArray[np.void]
    first: int
    received_ns: int
    is_live: bool
    stranger: str = ""

    @property
    def end(self) -> int:
        """feed_seq after the last."""
        return self.first + len(self.rows)


def chunk_of(ticks: Ticks, rows: Mapping[str, int], received_ns: int, *, is_live: bool) -> Chunk:
    """Return ticks as kernels take them."""
    count = len(ticks.time_ns)
    row = rows.get(ticks.symbol, STRANGER)
    records = np.zeros(count, TICK)
    if count == 1:  # the common case live: no arrays in between
        records[0] = (
            ticks.time_ns[0],
            ticks.first_seq,
            ticks.bid[0],
            ticks.ask[0],
            ticks.last[0] if ticks.last else math.nan,
            ticks.volume[0] if ticks.volume else 0.0,
            ticks.flags[0],
            row,
        )
    else:
        records["time_ns"] = ticks.time_ns
        records["seq"] = np.arange(ticks.first_seq, ticks.first_seq + count)
        records["bid"] = ticks.bid
        records["ask"] = ticks.ask
        records["last"] = ticks.last or math.nan
        records["volume"] = ticks.volume or 0.0
        records["flags"] = ticks.flags
        records["symbol"] = row
    stranger = ticks.symbol if row == STRANGER else ""
    return Chunk(records, ticks.first_feed_seq, received_ns, is_live, stranger)


def live_chunks(
    payloads: Sequence[bytes], account: str, rows: Mapping[str, int], received_ns: int
) -> tuple[list[Chunk], list[tuple[int, str]]]:
    """Return the ticks of messages that came together, joined where they follow one another.

    Args:
        payloads: of Ticks messages, as they came.
        account: whose; messages of others are left out.
        rows: desk rows by symbol.
        received_ns: when the first was there.

    Returns:
        The chunks, and (place in `payloads`, reason) of each message that cannot be read.
    """
    if len(payloads) < _WORTH_JOINING:
        return _one_by_one(payloads, account, rows, received_ns)
    columns = read_ticks(payloads)
    records = np.zeros(len(columns.time_ns), TICK)
    for name in ("time_ns", "bid", "ask", "last", "volume", "flags"):
        records[name] = getattr(columns, name)
    known = np.array([rows.get(name, STRANGER) for name in columns.symbols], np.int64)
    count, symbol, first = columns.count, columns.symbol, columns.first_feed_seq
    ends = np.cumsum(count)
    starts = ends - count
    # Numbers of a message's ticks count up from its first.
    records["seq"] = np.repeat(columns.first_seq - starts, count) + np.arange(len(records))
    records["symbol"] = np.repeat(known[symbol], count)
    is_ours = np.array([name == account for name in columns.accounts], np.bool_)[columns.account]
    is_strange = known[symbol] == STRANGER
    joins = is_ours[1:] & is_ours[:-1] & (first[1:] == first[:-1] + count[:-1])
    joins &= ~is_strange[1:] & ~is_strange[:-1]
    edges = [0, *(np.flatnonzero(~joins) + 1).tolist(), len(count)] if len(count) else []
    chunks = [
        Chunk(
            records[starts[begin] : ends[end - 1]],
            int(first[begin]),
            received_ns,
            True,
            columns.symbols[int(symbol[begin])] if is_strange[begin] else "",
        )
        for begin, end in pairwise(edges)
        if is_ours[begin]
    ]
    return chunks, columns.refused


def _one_by_one(
    payloads: Sequence[bytes], account: str, rows: Mapping[str, int], received_ns: int
) -> tuple[list[Chunk], list[tuple[int, str]]]:
    chunks: list[Chunk] = []
    refused: list[tuple[int, str]] = []
    for at, payload in enumerate(payloads):
        try:
            ticks = read_message(payload)
        except CorruptMessage as error:
            refused.append((at, str(error)))
            continue
        if ticks.account == account:
            chunks.append(chunk_of(ticks, rows, received_ns, is_live=True))
    return chunks, refused


class TickInbox:
    """Ticks of one feed, handed out in the order of feed_seq.

    Args:
        most_ticks: kept until it is their turn; what comes beyond is forgotten, and missing later.
    """

    def __init__(self, most_ticks: int = 500_000) -> None:
        self._early: list[tuple[int, int, Chunk]] = []  # heap
        self._added = 0
        self._kept = 0
        self._most = most_ticks
        self._has_dropped = False
        #: Highest feed_seq known to exist.
        self.last_seen = 0

    @property
    def is_full(self) -> bool:
        """Whether no more ticks are kept until some are taken."""
        return self._kept >= self._most

    def add(self, chunk: Chunk) -> None:
        """Keep ticks until it is their turn."""
        self.last_seen = max(self.last_seen, chunk.end - 1)
        if self._kept >= self._most and chunk.first > self._early[0][0]:
            self._has_dropped = True
            return
        self._added += 1
        self._kept += len(chunk.rows)
        heapq.heappush(self._early, (chunk.first, self._added, chunk))

    def current(self, taken: int) -> Chunk | None:
        """Return the ticks that hold the one after `taken`; None if it is not there.

        Args:
            taken: feed_seq of the last tick taken in; what is older is forgotten.
        """
        early = self._early
        while early:
            chunk = early[0][2]
            if chunk.end > taken + 1:
                return chunk if chunk.first <= taken + 1 else None
            heapq.heappop(early)
            self._kept -= len(chunk.rows)
        if taken >= self.last_seen:
            self._has_dropped = False
        return None

    def gap(self, taken: int) -> tuple[int, int] | None:
        """Return what is missing before ticks that came live: something was lost on the way."""
        missing = self.missing(taken)
        if missing is None or not self._early or not self._early[0][2].is_live or self._has_dropped:
            return None
        return missing

    def missing(self, taken: int) -> tuple[int, int] | None:
        """Return the first and last feed_seq that are missing before what is there."""
        if self.current(taken) is not None:
            return None
        last = self._early[0][0] - 1 if self._early else self.last_seen
        return (taken + 1, last) if last > taken else None


class ReportInbox:
    """Reports of one account, handed out in the order of report_seq."""

    def __init__(self) -> None:
        self._early: dict[int, ExecutionReport] = {}
        self.last_seen = 0

    def add(self, report: ExecutionReport, applied: int) -> None:
        """Keep a report until it is its turn; those applied before are dropped."""
        self.last_seen = max(self.last_seen, report.report_seq)
        if report.report_seq > applied:
            self._early.setdefault(report.report_seq, report)

    def next(self, applied: int) -> ExecutionReport | None:
        """Return the report after `applied`, if it is there; it stays until `drop`."""
        return self._early.get(applied + 1)

    def drop(self, through: int) -> None:
        """Forget reports that were applied."""
        self._early.pop(through, None)

    def has_through(self, applied: int, through: int) -> bool:
        """Whether every report after `applied` and up to `through` is there."""
        return all(seq in self._early for seq in range(applied + 1, through + 1))

    def missing(self, applied: int, through: int = 0) -> tuple[int, int] | None:
        """Return the first and last report_seq missing, up to the latest known or `through`."""
        first, last = applied + 1, max(self.last_seen, through)
        while first in self._early:
            first += 1
        while last in self._early:
            last -= 1
        return (first, last) if first <= last else None


def read_report(payload: bytes) -> ExecutionReport:
    """Read a report.

    Raises:
        CorruptMessage: it is none.
    """
    report = ExecutionReport()
    try:
        report.ParseFromString(payload)
    except DecodeError as error:
        msg = f"a report that is no message: {error}"
        raise CorruptMessage(msg) from None
    if report.report_seq < 1 or not report.account:
        msg = "a report without its number or account"
        raise CorruptMessage(msg)
    return report
