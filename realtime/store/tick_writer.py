"""Writing ticks: which of them are new, and one COPY for all of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, Cursor

from realtime.contracts.subjects import token
from realtime.store.connection import Row
from realtime.store.copying import copy_in, wire_rows
from realtime.store.errors import RecordConflict
from realtime.store.sequences import Lane, Sequences
from realtime.tick_wire import TickColumns

COLUMNS: Mapping[str, str] = {
    "account_id": "i4",
    "feed_seq": "i8",
    "symbol_id": "i4",
    "seq": "i8",
    "time_ns": "i8",
    "bid": "f8",
    "ask": "f8",
    "last": "f8",
    "volume": "f8",
    "flags": "i4",
    "drained_ns": "i8",
    "published_ns": "i8",
}
FEED = "feed_seq"  # kinds of lanes
SYMBOL = "seq"

_OF_MESSAGE = ("drained_ns", "published_ns")
_OF_TICK = ("time_ns", "bid", "ask", "last", "volume", "flags")


def feed_lane(account: str) -> Lane:
    """Return the lane that numbers an account's feed."""
    return FEED, token(account)


def symbol_lane(account: str, symbol: str) -> Lane:
    """Return the lane that numbers a symbol's ticks in an account's feed."""
    return SYMBOL, f"{token(account)}/{token(symbol)}"


class Names:
    """The numbers that stand for accounts and symbols in the table of ticks."""

    def __init__(self) -> None:
        self._ids: dict[tuple[str, str], int] = {}

    def ids(self, connection: Connection[Row], kind: str, names: Sequence[str]) -> NDArray[Any]:
        """Return the number of each name; a name that is new gets one, at once and for good.

        Args:
            connection: in autocommit, outside a transaction.
            kind: ``"account"`` or ``"symbol"``.
            names: to look up.
        """
        for name in names:
            if (kind, name) not in self._ids:
                self._ids[kind, name] = _number_of(connection, kind, name)
        return np.array([self._ids[kind, name] for name in names], np.int32)


@dataclass(frozen=True, kw_only=True)
class NewTicks:
    """Ticks to be written.

    Attributes:
        rows: laid out for COPY, in the order they came.
        duplicates: how many more there were that are recorded already.
    """

    rows: NDArray[np.void]
    duplicates: int


class TickWriter:
    """Writes ticks of the stream TICKS."""

    def __init__(self) -> None:
        self._names = Names()
        self._months: set[np.datetime64] = set()

    def forget_months(self) -> None:
        """Look again which months have partitions."""
        self._months.clear()

    def prepare(self, connection: Connection[Row], ticks: TickColumns) -> dict[str, NDArray[Any]]:
        """See to it that names have numbers and months have partitions; lay the columns out.

        Args:
            connection: in autocommit, outside a transaction.
            ticks: to be written.

        Returns:
            COLUMNS, one value a tick.
        """
        self._ensure_months(connection, ticks.time_ns)
        accounts = self._names.ids(connection, "account", ticks.accounts)
        symbols = self._names.ids(connection, "symbol", ticks.symbols)
        each = np.repeat(np.arange(len(ticks.count)), ticks.count)
        place = np.arange(len(each)) - np.repeat(np.cumsum(ticks.count) - ticks.count, ticks.count)
        values: dict[str, NDArray[Any]] = {name: getattr(ticks, name) for name in _OF_TICK}
        values |= {name: getattr(ticks, name)[each] for name in _OF_MESSAGE}
        values["account_id"] = accounts[ticks.account][each]
        values["symbol_id"] = symbols[ticks.symbol][each]
        values["seq"] = ticks.first_seq[each] + place
        values["feed_seq"] = ticks.first_feed_seq[each] + place
        return values

    def admit(
        self, ticks: TickColumns, values: Mapping[str, NDArray[Any]], sequences: Sequences
    ) -> NewTicks:
        """Pick what is not recorded yet, and note what is missing."""
        if _follow_on(ticks, sequences):
            return NewTicks(rows=wire_rows(COLUMNS, values), duplicates=0)
        keep = _admitted(ticks, sequences)
        kept = {name: column[keep] for name, column in values.items()}
        return NewTicks(rows=wire_rows(COLUMNS, kept), duplicates=int((~keep).sum()))

    def write(self, cursor: Cursor[Row], new: NewTicks) -> None:
        """Append the rows."""
        if len(new.rows) > 0:
            copy_in(cursor, "ticks", new.rows)

    def _ensure_months(self, connection: Connection[Row], time_ns: NDArray[np.int64]) -> None:
        """Make partitions for the months of the ticks, and for the one after the newest."""
        if len(time_ns) == 0:
            return
        ends = np.array([time_ns.min(), time_ns.max()]).astype("M8[ns]").astype("M8[M]")
        if ends[0] == ends[1] and ends[0] in self._months:
            return
        months = set(np.unique(time_ns.astype("M8[ns]").astype("M8[M]")))
        for month in sorted(months - self._months):
            for each in (month, month + 1):
                day = each.astype("M8[D]").astype(object)
                connection.execute("SELECT ensure_tick_month(%s)", (day,))
            self._months.add(month)


def _follow_on(ticks: TickColumns, sequences: Sequences) -> bool:
    """Tell whether everything follows what is recorded without a gap, and then move on."""
    moves: dict[Lane, int] = {}
    for lane, rows, firsts in _lanes(ticks):
        counts = ticks.count[rows]
        ends = firsts + counts - 1
        if firsts[0] != sequences.last(lane) + 1 or (firsts[1:] != ends[:-1] + 1).any():
            return False
        moves[lane] = int(ends[-1])
    for lane, last in moves.items():
        sequences.advance(lane, last)
    return True


def _lanes(ticks: TickColumns) -> list[tuple[Lane, NDArray[np.intp], NDArray[np.int64]]]:
    """Return each lane with its messages and their first numbers."""
    lanes: list[tuple[Lane, NDArray[np.intp], NDArray[np.int64]]] = []
    pairs = ticks.account * max(len(ticks.symbols), 1) + ticks.symbol
    order = np.argsort(pairs, kind="stable")
    starts = np.flatnonzero(np.diff(pairs[order], prepend=-1))
    for rows in np.split(order, starts[1:]) if len(order) > 0 else []:
        account = ticks.accounts[int(ticks.account[rows[0]])]
        lane = symbol_lane(account, ticks.symbols[int(ticks.symbol[rows[0]])])
        lanes.append((lane, rows, ticks.first_seq[rows]))
    for at, account in enumerate(ticks.accounts):
        rows = np.flatnonzero(ticks.account == at)
        if len(rows) > 0:
            lanes.append((feed_lane(account), rows, ticks.first_feed_seq[rows]))
    return lanes


def _admitted(ticks: TickColumns, sequences: Sequences) -> NDArray[np.bool_]:
    """Go through the messages one by one; feed_seq decides, seq is only looked at."""
    keep = np.zeros(int(ticks.count.sum()), np.bool_)
    at = 0
    for row in range(len(ticks.count)):
        count = int(ticks.count[row])
        feed = int(ticks.first_feed_seq[row])
        account = ticks.accounts[int(ticks.account[row])]
        symbol = ticks.symbols[int(ticks.symbol[row])]
        for first, last in sequences.admit(feed_lane(account), feed, count):
            keep[at + first - feed : at + last - feed + 1] = True
            offset = int(ticks.first_seq[row]) - feed
            span = last - first + 1
            sequences.admit(symbol_lane(account, symbol), first + offset, span)
        at += count
    return keep


def require_same(
    connection: Connection[Row], ticks: TickColumns, values: Mapping[str, NDArray[Any]]
) -> None:
    """Check that what comes a second time says what is recorded.

    Args:
        connection: to read with.
        ticks: with messages that may be recorded already.
        values: as `TickWriter.prepare` laid them out.

    Raises:
        RecordConflict: another feed under the same account.
    """
    for account_id in np.unique(values["account_id"]):
        mine = values["account_id"] == account_id
        feed_seq = values["feed_seq"][mine]
        rows = connection.execute(
            "SELECT feed_seq, time_ns, bid, ask FROM ticks WHERE account_id = %s"
            " AND feed_seq = ANY(%s)",
            (int(account_id), [int(feed_seq[0]), int(feed_seq[len(feed_seq) // 2])]),
        ).fetchall()
        for number, *recorded in rows:
            at = int(np.flatnonzero(mine)[np.flatnonzero(feed_seq == number)[0]])
            arrived = [values[name][at] for name in ("time_ns", "bid", "ask")]
            if recorded != arrived:
                account = ticks.accounts[int(ticks.account[0])]
                msg = (
                    f"account {account!r} sends another tick {number} than the recorded one: its"
                    " feed began anew; give it a new name ([gateway] account) or use a new database"
                )
                raise RecordConflict(msg)


def _number_of(connection: Connection[Row], kind: str, name: str) -> int:
    queries: dict[str, tuple[LiteralString, LiteralString]] = {
        "account": (
            "INSERT INTO accounts (account) VALUES (%s) ON CONFLICT DO NOTHING",
            "SELECT account_id FROM accounts WHERE account = %s",
        ),
        "symbol": (
            "INSERT INTO symbols (symbol) VALUES (%s) ON CONFLICT DO NOTHING",
            "SELECT symbol_id FROM symbols WHERE symbol = %s",
        ),
    }
    insert, select = queries[kind]
    row = connection.execute(select, (name,)).fetchone()
    if row is None:
        connection.execute(insert, (name,))
        row = connection.execute(select, (name,)).fetchone()
    assert row is not None  # just inserted, by us or by another
    return int(row[0])
