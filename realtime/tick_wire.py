"""Messages of ticks read and checked: one, or to columns, thousands of messages at once.

Messages of one symbol, account and number of ticks are laid out alike: only values differ. So one
of them is taken apart by hand, which says at which byte each value stands; all that have the same
bytes elsewhere are then read together, by slicing a table of bytes. What does not fit (flags above
127, fields that a newer gateway adds) is read by the protobuf library, one by one: the result is
the same, only slower.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from realtime.contracts.market_data_pb2 import Ticks

_SYMBOL, _ACCOUNT = 1, 2  # fields that are names
_VARINT, _FIXED64, _BYTES = 0, 1, 2
_PACKED = {5: "time_ns", 6: "bid", 7: "ask", 8: "last", 9: "volume"}
_SINGLE = {3: "first_seq", 4: "first_feed_seq", 11: "drained_ns", 12: "published_ns"}
_KINDS = {"time_ns": "<i8", "bid": "<f8", "ask": "<f8", "last": "<f8", "volume": "<f8"}
_FLAGS, _LAST_SERVER_MS, _TAKEN = 10, 13, 14
_MOST_FLAGS = 2**31 - 1
_PRICES = ("bid", "ask", "last", "volume")


class CorruptMessage(ValueError):
    """A message that cannot be what was published."""


@dataclass(frozen=True, kw_only=True)
class TickColumns:
    """Ticks of many messages, in the order of the messages.

    Attributes:
        symbols: names that `symbol` counts in.
        accounts: names that `account` counts in.
        message: (m,) which of the messages given, ascending: those that could be read.
        account: (m,) of each message.
        symbol: (m,) of each message.
        first_seq: (m,) of each message's first tick, per symbol.
        first_feed_seq: (m,) the same, over all symbols of the account.
        count: (m,) ticks of each message.
        drained_ns: (m,) when the terminal's answer was there.
        published_ns: (m,) when the message was sent.
        time_ns: (n,) of each tick, UTC.
        bid: (n,) price.
        ask: (n,) price.
        last: (n,) price, NaN = none.
        volume: (n,) lots or contracts, 0 = none.
        flags: (n,) MetaTrader's TICK_FLAG_*.
        refused: (message, reason) of each that could not be read.
    """

    symbols: list[str]
    accounts: list[str]
    message: NDArray[np.int64]
    account: NDArray[np.int64]
    symbol: NDArray[np.int64]
    first_seq: NDArray[np.int64]
    first_feed_seq: NDArray[np.int64]
    count: NDArray[np.int64]
    drained_ns: NDArray[np.int64]
    published_ns: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    bid: NDArray[np.float64]
    ask: NDArray[np.float64]
    last: NDArray[np.float64]
    volume: NDArray[np.float64]
    flags: NDArray[np.int64]
    refused: list[tuple[int, str]]


@dataclass(frozen=True, kw_only=True)
class _Shape:
    """Where the values of one kind of message stand."""

    names: tuple[tuple[int, int], tuple[int, int]]  # symbol, account: position and length
    count: int
    fixed: NDArray[np.int64]  # positions of bytes that are the same in all of them
    values: NDArray[np.uint8]  # those bytes
    singles: dict[str, int]  # position by name
    packed: dict[str, int]
    flags: int  # position
    varint: int  # position of the one free varint byte, -1 = none


@dataclass
class _Columns:
    """What is being filled in: per message first, per tick once the counts are known."""

    of_messages: dict[str, NDArray[np.int64]]
    shapes: list[tuple[_Shape, NDArray[np.int64], NDArray[np.uint8]]] = field(
        default_factory=list["tuple[_Shape, NDArray[np.int64], NDArray[np.uint8]]"]
    )
    slow: dict[int, Ticks] = field(default_factory=dict[int, Ticks])


def read_message(payload: bytes) -> Ticks:
    """Read a message of ticks and check that it is whole.

    Raises:
        CorruptMessage: it is not.
    """
    try:
        message = Ticks.FromString(payload)
    except DecodeError:
        msg = "not a Ticks message"
        raise CorruptMessage(msg) from None
    _check(message)
    return message


def read_ticks(payloads: Sequence[bytes]) -> TickColumns:
    """Read the payloads of Ticks messages; what is not one is left out and named in `refused`."""
    names = (*_SINGLE.values(), "count", "symbol", "account")
    found = _Columns(of_messages={name: np.zeros(len(payloads), np.int64) for name in names})
    symbols: dict[str, int] = {}
    accounts: dict[str, int] = {}
    refused: list[tuple[int, str]] = []
    lengths = np.fromiter(map(len, payloads), np.int64, len(payloads))
    for length in np.unique(lengths):
        alike = np.flatnonzero(lengths == length)
        _read_alike(payloads, alike, int(length), found, refused)
    for shape, rows, table in found.shapes:
        _fill_messages(found.of_messages, shape, rows, table, symbols, accounts)
    for row, message in found.slow.items():
        _fill_message(found.of_messages, row, message, symbols, accounts)
    return _gather(found, refused, list(symbols), list(accounts))


def _read_alike(
    payloads: Sequence[bytes],
    rows: NDArray[np.int64],
    length: int,
    found: _Columns,
    refused: list[tuple[int, str]],
) -> None:
    """Read messages of equal length: shape after shape, until none is left."""
    if length == 0:
        refused += [(int(row), "an empty message") for row in rows]
        return
    joined = b"".join([payloads[int(row)] for row in rows])
    table = np.frombuffer(joined, np.uint8).reshape(len(rows), length)
    while len(rows) > 0:
        shape = _shape_of(payloads[int(rows[0])])
        fits = np.zeros(len(rows), np.bool_)
        if shape is not None:
            fits = (table[:, shape.fixed] == shape.values).all(axis=1)
            fits &= (table[:, shape.flags : shape.flags + shape.count] < 128).all(axis=1)
            if shape.varint >= 0:
                fits &= table[:, shape.varint] < 128
            for at, size in shape.names:
                fits &= _has_text(table, at, size)
        if shape is None or not fits[0]:
            _read_slowly(payloads, int(rows[0]), found, refused)
            fits = np.zeros(len(rows), np.bool_)
            fits[0] = True
        else:
            found.shapes.append((shape, rows[fits], table[fits]))
        rows, table = rows[~fits], table[~fits]


def _read_slowly(
    payloads: Sequence[bytes], row: int, found: _Columns, refused: list[tuple[int, str]]
) -> None:
    try:
        found.slow[row] = read_message(payloads[row])
    except CorruptMessage as error:
        refused.append((row, str(error)))


def _check(message: Ticks) -> None:
    count = len(message.time_ns)
    for name in ("bid", "ask", "flags", "last", "volume"):
        given = len(getattr(message, name))
        if given != count and not (given == 0 and name in ("last", "volume")):
            msg = f"{given} values of {name} for {count} ticks"
            raise CorruptMessage(msg)
    if not message.symbol or not message.account or count == 0:
        msg = "without symbol, account or ticks"
        raise CorruptMessage(msg)
    if "\0" in message.symbol or "\0" in message.account:
        msg = "a zero byte in a name"
        raise CorruptMessage(msg)
    if max(message.flags) > _MOST_FLAGS:
        msg = f"flags {max(message.flags)}: more than MetaTrader has"
        raise CorruptMessage(msg)
    if message.first_seq < 1 or message.first_feed_seq < 1:
        msg = f"seq {message.first_seq}, feed_seq {message.first_feed_seq}: they count from 1"
        raise CorruptMessage(msg)


class _Parts:
    """One message, field by field."""

    def __init__(self, payload: bytes) -> None:
        self.payload = payload
        self.free = np.zeros(len(payload), np.bool_)  # bytes that may differ
        self.seen: set[int] = set()
        self.names: dict[int, tuple[int, int]] = {}
        self.singles: dict[str, int] = {}
        self.packed: dict[str, tuple[int, int]] = {}
        self.flags = (-1, 0)
        self.varint = -1

    def take(self, at: int) -> int:
        """Take the field that begins at a byte; return where the next begins, -1 if unusual."""
        number, kind = self.payload[at] >> 3, self.payload[at] & 7
        if number in self.seen:  # legal, and merged by the library
            return -1
        self.seen.add(number)
        at += 1
        if kind == _FIXED64 and number in (*_SINGLE, _LAST_SERVER_MS):
            if number in _SINGLE:
                self.singles[_SINGLE[number]] = at
            return self._leave_free(at, 8)
        if kind == _VARINT and number == _TAKEN and self.payload[at] < 128:
            self.varint = at
            return self._leave_free(at, 1)
        return self._take_bytes(number, at) if kind == _BYTES else -1

    def _take_bytes(self, number: int, at: int) -> int:
        size, at = _varint(self.payload, at)
        if number in (_SYMBOL, _ACCOUNT):
            self.names[number] = (at, size)
        elif number == _FLAGS:
            self.flags = (at, size)
        elif number in _PACKED and size % 8 == 0:
            self.packed[_PACKED[number]] = (at, size // 8)
        else:
            return -1
        return self._leave_free(at, size)

    def _leave_free(self, at: int, size: int) -> int:
        self.free[at : at + size] = True
        return at + size

    @property
    def count(self) -> int:
        """Ticks of the message, 0 if it is not of the usual make."""
        count = self.packed.get("time_ns", (0, 0))[1]
        regular = (
            {"bid", "ask"} <= self.packed.keys()
            and all(size == count for _, size in self.packed.values())
            and self.flags[1] == count
            and {"first_seq", "first_feed_seq"} <= self.singles.keys()
            and len(self.names) == 2
            and all(size > 0 for _, size in self.names.values())
        )
        return count if regular else 0


def _shape_of(payload: bytes) -> _Shape | None:
    """Take one message apart; None if it is not of the usual make."""
    parts = _Parts(payload)
    at = 0
    try:
        while 0 <= at < len(payload):
            at = parts.take(at)
    except IndexError:
        return None
    if at != len(payload) or parts.count == 0:
        return None
    fixed = np.flatnonzero(~parts.free)
    return _Shape(
        names=(parts.names[_SYMBOL], parts.names[_ACCOUNT]),
        count=parts.count,
        fixed=fixed,
        values=np.frombuffer(payload, np.uint8)[fixed],
        singles=parts.singles,
        packed={name: place for name, (place, _) in parts.packed.items()},
        flags=parts.flags[0],
        varint=parts.varint,
    )


def _varint(payload: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = payload[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7


def _fill_messages(
    columns: dict[str, NDArray[np.int64]],
    shape: _Shape,
    rows: NDArray[np.int64],
    table: NDArray[np.uint8],
    symbols: dict[str, int],
    accounts: dict[str, int],
) -> None:
    for name, at in shape.singles.items():
        columns[name][rows] = _sliced(table, at, 1, "<i8")[:, 0]
    columns["count"][rows] = shape.count
    for column, known, (at, size) in zip(
        ("symbol", "account"), (symbols, accounts), shape.names, strict=True
    ):
        names, which = _distinct(table, at, size)
        numbers = [known.setdefault(name.decode("utf-8"), len(known)) for name in names]
        columns[column][rows] = np.array(numbers)[which]


def _distinct(table: NDArray[np.uint8], at: int, size: int) -> tuple[list[bytes], NDArray[np.intp]]:
    """Return the different texts in some columns of bytes, and which of them each row has."""
    texts = np.ascontiguousarray(table[:, at : at + size])
    if size <= 8:  # as numbers, which sort ten times as fast as bytes
        wide = np.zeros((len(texts), 8), np.uint8)
        wide[:, :size] = texts
        found, which = np.unique(wide.view(np.uint64)[:, 0], return_inverse=True)
    else:
        found, which = np.unique(texts.view(f"V{size}")[:, 0], return_inverse=True)
    return [each.tobytes()[:size] for each in found], which


def _has_text(table: NDArray[np.uint8], at: int, size: int) -> NDArray[np.bool_]:
    """Tell which rows have text in some columns of bytes that a database can hold."""
    names, which = _distinct(table, at, size)
    return np.array([_is_text(name) for name in names])[which]


def _is_text(name: bytes) -> bool:
    try:
        return "\0" not in name.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _fill_message(
    columns: dict[str, NDArray[np.int64]],
    row: int,
    message: Ticks,
    symbols: dict[str, int],
    accounts: dict[str, int],
) -> None:
    for name in _SINGLE.values():
        columns[name][row] = getattr(message, name)
    columns["count"][row] = len(message.time_ns)
    columns["symbol"][row] = symbols.setdefault(message.symbol, len(symbols))
    columns["account"][row] = accounts.setdefault(message.account, len(accounts))


def _sliced(table: NDArray[np.uint8], at: int, count: int, kind: str) -> NDArray[Any]:
    return np.ascontiguousarray(table[:, at : at + 8 * count]).view(kind)


def _gather(
    found: _Columns, refused: list[tuple[int, str]], symbols: list[str], accounts: list[str]
) -> TickColumns:
    of_messages = found.of_messages
    counts = of_messages["count"]
    starts = np.cumsum(counts) - counts
    total = int(counts.sum())
    ticks: dict[str, NDArray[Any]] = {name: np.zeros(total) for name in _PRICES}
    ticks["last"][:] = np.nan
    ticks["time_ns"] = np.zeros(total, np.int64)
    ticks["flags"] = np.zeros(total, np.int64)
    for shape, rows, table in found.shapes:
        places = starts[rows][:, None] + np.arange(shape.count)
        for name, at in shape.packed.items():
            ticks[name][places] = _sliced(table, at, shape.count, _KINDS[name])
        ticks["flags"][places] = table[:, shape.flags : shape.flags + shape.count]
    for row, message in found.slow.items():
        place = slice(int(starts[row]), int(starts[row] + counts[row]))
        for name, column in ticks.items():
            values = getattr(message, name)
            if len(values) > 0:
                column[place] = values
    usable, late = _usable(of_messages, counts)
    refused += [(int(row), "seq or feed_seq below 1: they count from 1") for row in late]
    keep = np.repeat(usable, counts)
    return TickColumns(
        symbols=symbols,
        accounts=accounts,
        message=np.flatnonzero(usable),
        **{name: values[usable] for name, values in of_messages.items()},
        **{name: values[keep] for name, values in ticks.items()},
        refused=sorted(refused),
    )


def _usable(
    of_messages: dict[str, NDArray[np.int64]], counts: NDArray[np.int64]
) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Tell which messages were read, and which of those number their ticks wrongly."""
    numbered = (of_messages["first_seq"] >= 1) & (of_messages["first_feed_seq"] >= 1)
    return (counts > 0) & numbered, np.flatnonzero((counts > 0) & ~numbered)
