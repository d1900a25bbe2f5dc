"""Recorded messages, as they were published: what went in comes out, to the bit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from google.protobuf.message import Message
from psycopg import Connection, sql

from realtime.contracts.market_data_pb2 import Bar
from realtime.contracts.orders_pb2 import (
    AccountState,
    Deal,
    ExecutionReport,
    OrderRequest,
    Position,
)
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.store import tables
from realtime.store.connection import Row
from realtime.store.tables import Table

_Message = TypeVar("_Message", bound=Message)


@dataclass(frozen=True, kw_only=True)
class Recorded:
    """Everything that one account's loop and gateway said, each in the order of its numbers."""

    account: str
    predictions: Sequence[Prediction]
    decisions: Sequence[Decision]
    orders: Sequence[OrderRequest]
    reports: Sequence[ExecutionReport]
    consumed: Sequence[Consumed]
    bars: Sequence[Bar]

    @property
    def deals(self) -> list[Deal]:
        """Every deal once, in the order in which reports brought them."""
        by_ticket: dict[int, Deal] = {}
        for report in self.reports:
            for deal in report.deals:
                by_ticket.setdefault(deal.ticket, deal)
        return list(by_ticket.values())


def read_recorded(connection: Connection[Row], account: str) -> Recorded:
    """Read what an account's loop and gateway said."""
    return Recorded(
        account=account,
        predictions=read_predictions(connection, account),
        decisions=read_decisions(connection, account),
        orders=read_orders(connection, account),
        reports=read_reports(connection, account),
        consumed=read_consumed(connection, account),
        bars=read_bars(connection, account),
    )


def read_predictions(
    connection: Connection[Row], account: str, number: int | None = None
) -> list[Prediction]:
    """Return an account's predictions by number, or the one of a number."""
    return [
        _message(Prediction, row)
        for row in _rows(connection, tables.PREDICTIONS, account, "number", number=number)
    ]


def read_decisions(
    connection: Connection[Row], account: str, number: int | None = None
) -> list[Decision]:
    """Return an account's decisions by number, or one, with the orders that checks refused."""
    decisions = {
        int(row["number"]): _message(Decision, row)
        for row in _rows(connection, tables.DECISIONS, account, "number", number=number)
    }
    order = ("decision_number", "place")
    for row in _rows(connection, tables.REFUSED_ORDERS, account, *order, decision_number=number):
        decision = decisions[int(row["decision_number"])]
        known = {name: row[name] for name in row if name not in (*order, "retcode", "account")}
        decision.refused.append(_message(OrderRequest, known))
        decision.refused_retcode.append(int(row["retcode"]))
    return list(decisions.values())


def read_orders(
    connection: Connection[Row], account: str, number: int | None = None
) -> list[OrderRequest]:
    """Return an account's orders by number, or the one of a number."""
    return [
        _message(OrderRequest, row)
        for row in _rows(connection, tables.ORDERS, account, "number", number=number)
    ]


def read_reports(
    connection: Connection[Row], account: str, client_order_id: str | None = None
) -> list[ExecutionReport]:
    """Return an account's reports by report_seq, or an order's, with deals and positions."""
    reports = {
        int(row["report_seq"]): _message(ExecutionReport, row)
        for row in _rows(
            connection, tables.REPORTS, account, "report_seq", client_order_id=client_order_id
        )
    }
    only = None if client_order_id is None else list(reports)
    order = ("report_seq", "place")
    for row in _rows(connection, tables.DEALS, account, *order, report_seq=only):
        reports[int(row["report_seq"])].deals.append(_message(Deal, row))
    for row in _rows(connection, tables.ACCOUNT_STATES, account, "report_seq", report_seq=only):
        state = _message(AccountState, row)
        reports[int(row["report_seq"])].account_state.CopyFrom(state)
    for row in _rows(connection, tables.POSITIONS, account, *order, report_seq=only):
        position = _message(Position, {**row, "id": row["position_id"]})
        reports[int(row["report_seq"])].account_state.positions.append(position)
    return list(reports.values())


def read_consumed(connection: Connection[Row], account: str) -> list[Consumed]:
    """Return what an account's loop took in, in the order of the feed."""
    order = ("first_feed_seq", "created_ns", "stream_seq")
    rows = list(_rows(connection, tables.CONSUMED, account, *order))
    # What was told between two ticks belongs before the message that begins with the second.
    rows.sort(key=lambda row: (row["first_feed_seq"], row["ticks"] > 0))
    return [_message(Consumed, row) for row in rows]


def read_bars(connection: Connection[Row], account: str) -> list[Bar]:
    """Return the bars that an account's loop finished, in the order of the feed."""
    rows = _rows(connection, tables.BARS, account, "feed_seq", "symbol", "clock", "seq")
    return [_message(Bar, row) for row in rows]


def _rows(
    connection: Connection[Row],
    table: Table,
    account: str,
    *order: str,
    **wanted: int | str | list[int] | None,
) -> Iterator[Mapping[str, Any]]:
    """Yield rows of an account; only those with the wanted values, where they are given."""
    asked = {name: value for name, value in wanted.items() if value is not None}
    conditions = [
        sql.SQL("{} = ANY(%s)" if isinstance(value, list) else "{} = %s").format(
            sql.Identifier(name)
        )
        for name, value in asked.items()
    ]
    query = sql.SQL("SELECT {} FROM {} WHERE {} ORDER BY {}").format(
        sql.SQL(", ").join(map(sql.Identifier, table.columns)),
        sql.Identifier(table.name),
        sql.SQL(" AND ").join([sql.SQL("account = %s"), *conditions]),
        sql.SQL(", ").join(map(sql.Identifier, order)),
    )
    names = tuple(table.columns)
    with connection.cursor(binary=True) as cursor:
        for row in cursor.execute(query, (account, *asked.values())):
            yield dict(zip(names, row, strict=True))


def _message(kind: type[_Message], row: Mapping[str, Any]) -> _Message:
    """Fill the fields that a row has, and that are not messages themselves."""
    return kind(
        **{
            field.name: row[field.name]
            for field in kind.DESCRIPTOR.fields
            if field.name in row and field.message_type is None
        }
    )
