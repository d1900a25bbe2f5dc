"""What comes in over the wire, brought into the order of its numbers.

Streams and connections may give a message twice, late, or not at all: `TickInbox` and
`ReportInbox` keep what is early, drop what was there, and name what is missing.
"""

import heapq
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.kernels.layout import TICK

#: Row of ticks whose symbol is not on the desk: they count in the feed and are not taken in.
STRANGER = -1


class CorruptMessage(ValueError):
    """A message that cannot be what was published."""


@dataclass(slots=True)
class Chunk:
    """Ticks that follow one another in the feed.

    Attributes:
        rows: (n,) TICK; `symbol` is the desk's row.
        first: feed_seq of the first.
        received_ns: when it was there, our clock.
        is_live: it came as it was published, not out of a stream.
        row: of the symbol on the desk, or `STRANGER`.
        symbol: name.
    """

    rows: NDArray[np.void]
    first: int
    received_ns: int
    is_live: bool
    row: int
    symbol: str

    @property
    def end(self) -> int:
        """feed_seq after the last."""
        return self.first + len(self.rows)


def read_ticks(payload: bytes) -> Ticks:
    """Read a message of ticks and check that it is whole.

    Raises:
        CorruptMessage: it is not.
    """
    ticks = Ticks()
    try:
        ticks.ParseFromString(payload)
    except DecodeError as error:
        msg = f"ticks that are no message: {error}"
        raise CorruptMessage(msg) from None
    count = len(ticks.time_ns)
    columns = (ticks.bid, ticks.ask, ticks.flags)
    optional = (ticks.last, ticks.volume)
    if (
        count == 0
        or not ticks.symbol
        or ticks.first_feed_seq < 1
        or ticks.first_seq < 1
        or any(len(column) != count for column in columns)
        or any(len(column) not in (0, count) for column in optional)
    ):
        msg = f"ticks of {ticks.symbol!r} from {ticks.first_feed_seq} on whose columns do not match"
        raise CorruptMessage(msg)
    return ticks


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
    return Chunk(records, ticks.first_feed_seq, received_ns, is_live, row, ticks.symbol)


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
        last = max(self.last_seen, through)
        lacking = [seq for seq in range(applied + 1, last + 1) if seq not in self._early]
        return (lacking[0], lacking[-1]) if lacking else None


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
