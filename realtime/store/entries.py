"""Messages to rows, for everything but ticks: what arrives one at a time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from google.protobuf.message import DecodeError, Message
from psycopg.types.json import Jsonb

from realtime.contracts.control_pb2 import Alert, Health
from realtime.contracts.market_data_pb2 import Bar, QuarantinedTick
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.contracts.subjects import token
from realtime.store import tables
from realtime.store.sequences import Lane
from realtime.store.tables import Table

CONSUMED_LANE = "consumed"  # counts ticks: the numbers of its messages mean nothing afterwards

_Message = TypeVar("_Message", bound=Message)


class BadMessage(ValueError):
    """A message that cannot be recorded."""


class Raw(Protocol):
    """A message as a stream gives it."""

    @property
    def stream_seq(self) -> int:
        """Its place in the stream."""
        ...

    @property
    def subject(self) -> str:
        """What it was published to."""
        ...

    @property
    def payload(self) -> bytes:
        """What was published."""
        ...


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What one message adds to the record.

    Attributes:
        stream_seq: of the message.
        lane: what it is numbered in; None if it is not numbered.
        number: in that lane, of the first that the message is about.
        count: how many it is about.
        rows: table and values by column; the first is the message itself.
    """

    stream_seq: int
    lane: Lane | None
    number: int
    rows: tuple[tuple[Table, Mapping[str, Any]], ...]
    count: int = 1


def read_entry(raw: Raw, created_ns: int) -> Entry:
    """Read a message by its subject.

    Args:
        raw: the message.
        created_ns: when its stream was made; with its place in it the key of what has no number.

    Raises:
        BadMessage: not a message of that subject, or one without what it must have.
    """
    for prefix, read in _READERS.items():
        if raw.subject.startswith(prefix):
            entry = read(raw, created_ns)
            if entry.lane is not None and entry.number < 1:
                msg = f"{entry.lane[0]} {entry.number}: it counts from 1"
                raise BadMessage(msg)
            return entry
    msg = "no table is for this subject"
    raise BadMessage(msg)


def _parsed(kind: type[_Message], raw: Raw) -> _Message:
    try:
        return kind.FromString(raw.payload)
    except DecodeError:
        msg = f"not a {kind.DESCRIPTOR.name} message"
        raise BadMessage(msg) from None


def _values(message: Message, table: Table, **others: Any) -> dict[str, Any]:
    """Return the fields that a table has columns for, and what is not a field."""
    return {
        name: others[name] if name in others else _plain(getattr(message, name))
        for name in table.columns
    }


def _plain(value: Any) -> Any:
    """Return text without what PostgreSQL's text cannot hold, lists for repeated fields."""
    if isinstance(value, str):
        if "\0" in value:
            msg = "a zero byte in a text"
            raise BadMessage(msg)
        return value
    return value if isinstance(value, int | float | bytes) else list(value)


def _numbered(
    raw: Raw, message: Message, table: Table, kind: str, *name_fields: str, **others: Any
) -> Entry:
    names = [getattr(message, field) for field in name_fields]
    if not all(names):
        msg = f"without {' or '.join(name_fields)}"
        raise BadMessage(msg)
    number = int(getattr(message, kind.rpartition(" ")[2]))
    values = _values(message, table, stream_seq=raw.stream_seq, **others)
    return Entry(
        stream_seq=raw.stream_seq,
        lane=(kind, "/".join(map(token, names))),
        number=number,
        rows=((table, values),),
    )


def _quarantine(raw: Raw, _: int) -> Entry:
    message = _parsed(QuarantinedTick, raw)
    return _numbered(raw, message, tables.QUARANTINE, "number", "account", "symbol")


def _bar(raw: Raw, _: int) -> Entry:
    message = _parsed(Bar, raw)
    return _numbered(raw, message, tables.BARS, "seq", "account", "symbol", "clock")


def _prediction(raw: Raw, _: int) -> Entry:
    message = _parsed(Prediction, raw)
    return _numbered(raw, message, tables.PREDICTIONS, "prediction number", "account")


def _decision(raw: Raw, _: int) -> Entry:
    message = _parsed(Decision, raw)
    entry = _numbered(raw, message, tables.DECISIONS, "decision number", "account")
    if len(message.refused) != len(message.refused_retcode):
        msg = f"{len(message.refused_retcode)} codes for {len(message.refused)} refused orders"
        raise BadMessage(msg)
    key = {"account": message.account, "decision_number": message.number}
    rows = _places(tables.REFUSED_ORDERS, message.refused, key | {"retcode": 0})
    for (_table, values), retcode in zip(rows, message.refused_retcode, strict=True):
        values["retcode"] = retcode
    return replace(entry, rows=(*entry.rows, *rows))


def _consumed(raw: Raw, created_ns: int) -> Entry:
    message = _parsed(Consumed, raw)
    ticks = len(message.now_minus_tick_ns)
    entry = _numbered(
        raw,
        message,
        tables.CONSUMED,
        "first_feed_seq",
        "account",
        ticks=ticks,
        created_ns=created_ns,
    )
    name = "" if entry.lane is None else entry.lane[1]
    return replace(entry, lane=(CONSUMED_LANE, name) if ticks > 0 else None, count=ticks)


def _order(raw: Raw, _: int) -> Entry:
    return _numbered(raw, _parsed(OrderRequest, raw), tables.ORDERS, "number", "account")


def _report(raw: Raw, _: int) -> Entry:
    message = _parsed(ExecutionReport, raw)
    entry = _numbered(
        raw, message, tables.REPORTS, "report_seq", "account", deals=len(message.deals)
    )
    key = {"account": message.account, "report_seq": message.report_seq}
    rows = [*entry.rows, *_places(tables.DEALS, message.deals, key)]
    if message.HasField("account_state"):
        state = message.account_state
        values = _values(state, tables.ACCOUNT_STATES, positions=len(state.positions), **key)
        rows.append((tables.ACCOUNT_STATES, values))
        rows += _places(tables.POSITIONS, state.positions, key, position_id="id")
    return replace(entry, rows=tuple(rows))


def _places(
    table: Table, messages: Iterable[Message], key: Mapping[str, Any], **renamed: str
) -> list[tuple[Table, dict[str, Any]]]:
    rows: list[tuple[Table, dict[str, Any]]] = []
    for place, message in enumerate(messages):
        others = {column: getattr(message, field) for column, field in renamed.items()}
        rows.append((table, _values(message, table, place=place, **key, **others)))
    return rows


def _alert(raw: Raw, created_ns: int) -> Entry:
    message = _parsed(Alert, raw)
    return _unnumbered(raw, message, tables.ALERTS, created_ns, details=_json(message.details))


def _health(raw: Raw, created_ns: int) -> Entry:
    message = _parsed(Health, raw)
    return _unnumbered(raw, message, tables.HEALTH, created_ns, numbers=_json(message.numbers))


def _unnumbered(raw: Raw, message: Message, table: Table, created_ns: int, **others: Any) -> Entry:
    values = _values(message, table, stream_seq=raw.stream_seq, created_ns=created_ns, **others)
    return Entry(stream_seq=raw.stream_seq, lane=None, number=0, rows=((table, values),))


def _json(values: Mapping[str, Any]) -> Jsonb:
    """Return a map as JSON, which has neither NaN nor infinities: those as text."""
    plain = {
        name: str(value) if isinstance(value, float) and value - value != 0.0 else value
        for name, value in values.items()
    }
    if any("\0" in text for pair in plain.items() for text in pair if isinstance(text, str)):
        msg = "a zero byte in a text"
        raise BadMessage(msg)
    return Jsonb(plain)


_READERS: dict[str, Callable[[Raw, int], Entry]] = {
    "md.quarantine.": _quarantine,
    "md.bar.": _bar,
    "ml.prediction.": _prediction,
    "trade.decision.": _decision,
    "trade.consumed.": _consumed,
    "trade.order.": _order,
    "trade.report.": _report,
    "ops.alert.": _alert,
    "ops.health.": _health,
}
