"""``python -m realtime explain ORDER``: the chain from an order back to where it came from.

ORDER is a client order id, the broker's ticket of the order or of a deal, or ``last``. Printed are
the order and what became of it, the decision and what risk said, the prediction with every feature,
the last ticks, and of the model bundle: training run, and the data it was trained on.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import psycopg
from psycopg import Connection

from realtime.bundle import Bundle, BundleError, read_bundle
from realtime.bundle_shelf import find_bundle
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Decision, Prediction
from realtime.declarations import SettingsError
from realtime.kernels import codes
from realtime.readable import (
    deal_words,
    decision_words,
    moment,
    named,
    number,
    order_words,
    report_words,
)
from realtime.settings import Settings, load_settings
from realtime.store.connection import READER, Row, connect, one_line
from realtime.store.errors import RecordIncomplete, StoreError
from realtime.store.migrate import require_current
from realtime.store.readers import (
    read_decisions,
    read_orders,
    read_predictions,
    read_reports,
)
from realtime.symbols import load_symbols

_TICKS = 5
_PARTITIONS = 12


def main(arguments: Sequence[str]) -> int:
    """Print the chain; 1 = no such order, 2 = refused, with one line."""
    parser = argparse.ArgumentParser(prog="explain", description=__doc__)
    parser.add_argument("order", help="client order id, ticket, or last")
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings(asked.config)
        with connect(settings, READER) as connection:
            require_current(connection)
            sys.stdout.write("\n".join(explain(settings, connection, asked.order)) + "\n")
    except RecordIncomplete as error:
        sys.stderr.write(f"explain: {error}\n")
        return 1
    except (SettingsError, StoreError) as error:
        sys.stderr.write(f"explain: {error}\n")
        return 2
    except psycopg.Error as error:
        sys.stderr.write(f"explain: {one_line(error)}\n")
        return 2
    return 0


def explain(settings: Settings, connection: Connection[Row], wanted: str) -> Iterator[str]:
    """Yield the chain of an order, line by line.

    Args:
        settings: where bundles are, and specifications of symbols.
        connection: to read with.
        wanted: client order id, ticket of an order or a deal, or ``"last"``.

    Raises:
        RecordIncomplete: no such order is recorded.
    """
    account, order_number = _find(connection, wanted)
    order = read_orders(connection, account, order_number)[0]
    yield f"ORDER {order.client_order_id}: {order_words(order)}"
    yield f"  {moment(order.created_ns)} UTC, account {account}, number {order.number}"
    yield from _stages(order)
    yield from _outcome(read_reports(connection, account, order.client_order_id))
    decision = next(iter(read_decisions(connection, account, order.decision_number)), None)
    yield from _risk(order, decision)
    bundle, why = _bundle(settings, order.bundle_id)
    names = () if bundle is None else bundle.features
    prediction: Prediction | None = None
    if decision is not None:
        yield f"DECISION {decision.number}: {decision_words(decision)}"
        found = read_predictions(connection, account, decision.prediction_number)
        prediction = next(iter(found), None)
    if prediction is not None:
        yield from _prediction(prediction, names)
    yield from _ticks(settings, connection, order)
    yield from _model(order, bundle, why)


def _find(connection: Connection[Row], wanted: str) -> tuple[str, int]:
    """Return account and number of the order that is meant."""
    if wanted == "last":
        query = "SELECT account, number FROM orders ORDER BY created_ns DESC, number DESC LIMIT 1"
        row = connection.execute(query).fetchone()
    else:
        row = connection.execute(
            "SELECT account, number FROM orders WHERE client_order_id = %s", (wanted,)
        ).fetchone()
        if row is None and wanted.isdigit():
            row = connection.execute(
                "SELECT o.account, o.number FROM orders o JOIN reports r"
                " USING (account, client_order_id) WHERE r.order_ticket = %(ticket)s"
                " UNION ALL SELECT o.account, o.number FROM deals d JOIN reports r"
                " USING (account, report_seq) JOIN orders o USING (account, client_order_id)"
                " WHERE d.ticket = %(ticket)s LIMIT 1",
                {"ticket": int(wanted)},
            ).fetchone()
    if row is None:
        what = "no order is recorded" if wanted == "last" else f"no order {wanted} is recorded"
        msg = f"{what}: see python -m realtime tail --last 20 --once 'trade.order.>'"
        raise RecordIncomplete(msg)
    return str(row[0]), int(row[1])


def _stages(order: OrderRequest) -> Iterator[str]:
    stamps = [
        ("tick", order.tick_ns),
        ("received", order.received_ns),
        ("decided", order.decided_ns),
        ("sent", order.sent_ns),
    ]
    given = [(name, time_ns) for name, time_ns in stamps if time_ns > 0]
    yield "  " + ", ".join(f"{name} {moment(time_ns)}" for name, time_ns in given)


def _outcome(reports: Sequence[ExecutionReport]) -> Iterator[str]:
    if not reports:
        yield "OUTCOME: no report of it is recorded"
    for report in reports:
        at = moment(report.time_ns)
        yield f"OUTCOME report {report.report_seq} at {at}: {report_words(report)}"
        for deal in report.deals:
            yield f"  deal {deal.ticket} at {moment(deal.time_ns)}: {deal_words(deal)}"
        if report.HasField("account_state"):
            state = report.account_state
            yield (
                f"  the account after it: balance {number(state.balance)} {state.currency}, equity"
                f" {number(state.equity)}, {len(state.positions)} position(s)"
            )


def _risk(order: OrderRequest, decision: Decision | None) -> Iterator[str]:
    risk = named(codes.RISK_NAMES, order.risk_code)
    yield f"RISK: {risk}"
    if decision is None:
        yield (
            "DECISION: none of the model: the account was flattened by a limit or the kill switch"
            if order.decision_number == 0
            else f"DECISION {order.decision_number}: it is not recorded"
        )


def _prediction(prediction: Prediction, names: Sequence[str]) -> Iterator[str]:
    yield (
        f"PREDICTION {prediction.number}: probability {number(prediction.probability)} of the upper"
        f" barrier, at tick {prediction.feed_seq} ({moment(prediction.now_ns)})"
    )
    values = list(prediction.features)
    labels = (
        list(names) if len(names) == len(values) else [f"feature {i}" for i in range(len(values))]
    )
    width = max(map(len, labels), default=0)
    for label, value in zip(labels, values, strict=True):
        yield f"  {label:{width}} {value!r}"


def _ticks(settings: Settings, connection: Connection[Row], order: OrderRequest) -> Iterator[str]:
    rows = connection.execute(
        "SELECT t.feed_seq, t.seq, t.time_ns, t.bid, t.ask FROM ticks t"
        " JOIN accounts a USING (account_id) JOIN symbols s USING (symbol_id)"
        " WHERE a.account = %s AND s.symbol = %s AND t.feed_seq <= %s"
        " ORDER BY t.feed_seq DESC LIMIT %s",
        (order.account, order.symbol, order.feed_seq, _TICKS),
    ).fetchall()
    if not rows:
        yield f"TICKS: tick {order.feed_seq}, on which it was decided, is not recorded"
        return
    own = settings.paths.specifications
    known = load_symbols(Path(own) if own else None)
    digits = known[order.symbol].digits if order.symbol in known else 5
    yield f"TICKS of {order.symbol}, the last is the one decided on"
    for feed_seq, seq, time_ns, bid, ask in reversed(rows):
        yield (
            f"  {moment(int(time_ns))} bid {bid:.{digits}f} ask {ask:.{digits}f}"
            f" (seq {seq}, feed {feed_seq})"
        )


def _bundle(settings: Settings, bundle_id: str) -> tuple[Bundle | None, str]:
    if not bundle_id:
        return None, "none was in force"
    try:
        return read_bundle(find_bundle(settings, bundle_id)), ""
    except BundleError as error:
        return None, str(error)


def _model(order: OrderRequest, bundle: Bundle | None, why: str) -> Iterator[str]:
    if bundle is None:
        yield f"MODEL {order.bundle_id}: {why}"
        return
    yield (
        f"MODEL {bundle.id}: {bundle.model.family} on {len(bundle.features)} features"
        f" (set {bundle.feature_set[:12]}), stage {bundle.stage}"
    )
    training = bundle.training
    yield "TRAINING RUN " + ", ".join(f"{name} {value}" for name, value in training.items())
    yield f"  trained {moment(bundle.trained_from_ns)} to {moment(bundle.trained_through_ns)}"
    yield f"DATA fingerprint {bundle.data.get('fingerprint', 'unknown')}"
    partitions = cast("list[Mapping[str, Any]]", bundle.data.get("partitions", []))
    for part in partitions[:_PARTITIONS]:
        yield (
            f"  {part.get('kind')} {part.get('symbol')} {part.get('month')}:"
            f" {part.get('rows')} rows, sha256 {str(part.get('sha256'))[:16]}"
        )
    if len(partitions) > _PARTITIONS:
        yield f"  and {len(partitions) - _PARTITIONS} more"
