"""Recorded ticks as the arrays that kernels take, in the order of the feed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from psycopg import Connection, sql

from realtime.contracts.subjects import name_of, token
from realtime.kernels.layout import TICK
from realtime.store.connection import Row
from realtime.store.copying import copy_out
from realtime.store.errors import RecordIncomplete

CHUNK = 250_000

_COLUMNS: Mapping[str, str] = {
    "feed_seq": "i8",
    "symbol_id": "i4",
    "time_ns": "i8",
    "seq": "i8",
    "bid": "f8",
    "ask": "f8",
    "last": "f8",
    "volume": "f8",
    "flags": "i4",
}


@dataclass(frozen=True, kw_only=True)
class Feed:
    """What is recorded of an account's feed.

    Attributes:
        account: its name.
        first: lowest feed_seq.
        last: highest.
        symbols: names, by their letters.
    """

    account: str
    first: int
    last: int
    symbols: tuple[str, ...]


def recorded_feed(connection: Connection[Row], account: str) -> Feed:
    """Return what is recorded of a feed.

    Raises:
        RecordIncomplete: nothing is.
    """
    row = connection.execute(
        "SELECT min(feed_seq), max(feed_seq) FROM ticks"
        " WHERE account_id = (SELECT account_id FROM accounts WHERE account = %s)",
        (account,),
    ).fetchone()
    if row is None or row[0] is None:
        known = [str(name) for (name,) in connection.execute("SELECT account FROM accounts")]
        msg = f"no tick of account {account!r} is recorded; accounts: {', '.join(known) or 'none'}"
        raise RecordIncomplete(msg)
    symbols = connection.execute(
        "SELECT split_part(name, '/', 2) FROM sequences"
        " WHERE stream = 'TICKS' AND kind = 'seq' AND split_part(name, '/', 1) = %s ORDER BY name",
        (token(account),),
    ).fetchall()
    return Feed(
        account=account,
        first=int(row[0]),
        last=int(row[1]),
        symbols=tuple(name_of(str(name)) for (name,) in symbols),
    )


def read_ticks(
    connection: Connection[Row],
    account: str,
    symbols: Sequence[str],
    *,
    first: int = 1,
    last: int | None = None,
    chunk: int = CHUNK,
) -> Iterator[NDArray[np.void]]:
    """Yield the ticks of a feed in its order: tick i of all that is yielded is `first` + i.

    Args:
        connection: to read with.
        account: whose feed.
        symbols: names, in the order of the desk's rows: what `symbol` counts in.
        first: feed_seq to begin with.
        last: feed_seq to end with; None = the highest that is recorded.
        chunk: ticks in an array, at most.

    Yields:
        (n,) TICK; `symbol` is -1 for a symbol that is not named.

    Raises:
        RecordIncomplete: ticks are missing in between.
    """
    feed = recorded_feed(connection, account)
    end = feed.last if last is None else min(last, feed.last)
    rows_of = _rows(connection, symbols)
    for start in range(first, end + 1, chunk):
        stop = min(start + chunk - 1, end)
        query = sql.SQL(
            "SELECT {} FROM ticks WHERE account_id ="
            " (SELECT account_id FROM accounts WHERE account = {})"
            " AND feed_seq BETWEEN {} AND {} ORDER BY feed_seq"
        ).format(
            sql.SQL(", ").join(map(sql.Identifier, _COLUMNS)),
            sql.Literal(account),
            sql.Literal(start),
            sql.Literal(stop),
        )
        with connection.cursor() as cursor:
            found = copy_out(cursor, query, _COLUMNS)
        _require_all(found["feed_seq"], account, start, stop)
        yield _ticks(found, rows_of)


def _rows(connection: Connection[Row], symbols: Sequence[str]) -> NDArray[np.int64]:
    """Return desk rows by symbol_id; -1 where a symbol is not on the desk."""
    found = connection.execute("SELECT symbol_id, symbol FROM symbols").fetchall()
    rows = np.full(max((int(each) for each, _ in found), default=0) + 1, -1, np.int64)
    for symbol_id, name in found:
        if name in symbols:
            rows[int(symbol_id)] = list(symbols).index(str(name))
    return rows


def _require_all(feed_seq: NDArray[np.int64], account: str, first: int, last: int) -> None:
    if len(feed_seq) == last - first + 1 and (np.diff(feed_seq) == 1).all():
        return
    expected = np.arange(first, last + 1)
    missing = np.setdiff1d(expected, feed_seq)
    if len(missing) == 0:
        msg = f"ticks of account {account!r} are recorded twice between {first} and {last}"
    else:
        msg = (
            f"the record of account {account!r} lacks {len(missing)} tick(s), the first is"
            f" {missing[0]}: see python -m realtime.store status"
        )
    raise RecordIncomplete(msg)


def _ticks(found: NDArray[np.void], rows_of: NDArray[np.int64]) -> NDArray[np.void]:
    ticks = np.zeros(len(found), TICK)
    for name in ("time_ns", "seq", "bid", "ask", "last", "volume", "flags"):
        ticks[name] = found[name]
    ticks["symbol"] = rows_of[found["symbol_id"]]
    return ticks
