"""Messages as lines that people read: names for codes, moments for nanoseconds."""

import math
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError, Message

from realtime.contracts.control_pb2 import Alert, Health, Permit, Reached
from realtime.contracts.market_data_pb2 import Bar, QuarantinedTick, Ticks
from realtime.contracts.orders_pb2 import Deal, ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.kernels import codes

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SHOWN_FEATURES = 6


def names_of(prefix: str) -> dict[int, str]:
    """Return the names of `kernels.codes` that begin so, by number."""
    return {
        value: name.removeprefix(prefix).lower()
        for name, value in vars(codes).items()
        if name.startswith(prefix) and isinstance(value, int)
    }


TYPES = {
    codes.BUY: "buy",
    codes.SELL: "sell",
    codes.BUY_LIMIT: "buy limit",
    codes.SELL_LIMIT: "sell limit",
    codes.BUY_STOP: "buy stop",
    codes.SELL_STOP: "sell stop",
}
STATES = names_of("STATE_")
ENTRIES = names_of("ENTRY_")
SIDES = {1: "bought", -1: "sold", 0: "neither"}


def moment(time_ns: int) -> str:
    """Return a time as ``2017-03-01 14:30:00.123`` UTC, with more digits where there are more."""
    at = _EPOCH + timedelta(microseconds=time_ns // 1_000)
    digits = "microseconds" if at.microsecond % 1_000 else "milliseconds"
    return at.isoformat(sep=" ", timespec=digits).removesuffix("+00:00")


def named(names: dict[int, str], code: int) -> str:
    """Return the name of a code, and the number where it has none."""
    return names.get(code, str(code))


def number(value: float) -> str:
    """Return a price or amount without digits that say nothing."""
    return "-" if math.isnan(value) else f"{value:.10g}"


def line(subject: str, payload: bytes) -> str:
    """Return one line for a message; what cannot be read is said to be so."""
    for prefix, suffix, kind, write in _WRITERS:
        if subject.startswith(prefix) and subject.endswith(suffix):
            try:
                message = kind.FromString(payload)
            except DecodeError:
                return f"{subject}: {len(payload)} bytes that are no {kind.DESCRIPTOR.name}"
            return write(message)
    shown = payload[:200].decode("utf-8", errors="replace")
    return f"{subject}: {shown!r}"


def _ticks(ticks: Ticks) -> str:
    count = len(ticks.time_ns)
    if count == 0:
        return f"{'':23} ticks {ticks.symbol} without ticks"
    many = f" and {count - 1} more" if count > 1 else ""
    return (
        f"{moment(ticks.time_ns[0])} tick {ticks.symbol} bid {number(ticks.bid[0])} ask"
        f" {number(ticks.ask[0])} seq {ticks.first_seq} feed {ticks.first_feed_seq}{many}"
        f" ({ticks.account})"
    )


def _quarantined(tick: QuarantinedTick) -> str:
    return (
        f"{moment(tick.time_ns)} quarantine {tick.symbol} {tick.reason}: bid {number(tick.bid)} ask"
        f" {number(tick.ask)} ({tick.account} {tick.number})"
    )


def _bar(bar: Bar) -> str:
    return (
        f"{moment(bar.end_ns)} bar {bar.symbol} {bar.clock} from {moment(bar.open_ns)}:"
        f" {number(bar.open)} {number(bar.high)} {number(bar.low)} {number(bar.close)},"
        f" {bar.ticks} ticks, spread {number(bar.spread_mean)} ({bar.account} {bar.seq})"
    )


def _prediction(prediction: Prediction) -> str:
    shown = " ".join(map(number, prediction.features[:_SHOWN_FEATURES]))
    more = len(prediction.features) - _SHOWN_FEATURES
    return (
        f"{moment(prediction.now_ns)} prediction {prediction.symbol} p"
        f" {number(prediction.probability)} by {prediction.bundle_id} at tick"
        f" {prediction.feed_seq}; features {shown}{f' and {more} more' if more > 0 else ''}"
        f" ({prediction.account} {prediction.number})"
    )


def decision_words(decision: Decision) -> str:
    """Return what was decided, and what risk made of it."""
    reason = named(codes.DECISION_NAMES, decision.decision_code)
    risk = named(codes.RISK_NAMES, decision.risk_code)
    return (
        f"{reason}: p {number(decision.probability)}, edge {number(decision.edge)} over cost"
        f" {number(decision.cost)}, target {number(decision.target_lots)} lots, allowed"
        f" {number(decision.allowed_lots)} (risk: {risk})"
    )


def _decision(decision: Decision) -> str:
    refused = "".join(
        f"; refused here: {order_words(order)} ({named(codes.RETCODE_NAMES, retcode)})"
        for order, retcode in zip(decision.refused, decision.refused_retcode, strict=False)
    )
    return (
        f"{moment(decision.now_ns)} decision {decision.symbol} {decision_words(decision)}{refused}"
        f" ({decision.account} {decision.number})"
    )


def _consumed(consumed: Consumed) -> str:
    count = len(consumed.now_minus_tick_ns)
    last = consumed.first_feed_seq + count - 1
    what = f"ticks {consumed.first_feed_seq} to {last}" if count else "no tick"
    swapped = (
        f", swapped in {', '.join(consumed.swapped_bundle)}" if consumed.swapped_bundle else ""
    )
    return (
        f"{'':23} consumed {what}, {len(consumed.report_seq)} reports{swapped}"
        f" ({consumed.account} {consumed.number})"
    )


def order_words(order: OrderRequest) -> str:
    """Return what an order asks for."""
    levels = "".join(
        f" {name} {number(level)}"
        for name, level in (("sl", order.stop_loss), ("tp", order.take_profit))
        if level != 0.0
    )
    closes = f" to close position {order.position_id}" if order.position_id else ""
    return (
        f"{named(TYPES, order.type)} {number(order.volume_lots)} {order.symbol} at"
        f" {number(order.price)}{levels}{closes}"
    )


def _order(order: OrderRequest) -> str:
    return (
        f"{moment(order.created_ns)} order {order.client_order_id} {order_words(order)} because"
        f" {named(codes.DECISION_NAMES, order.decision_code)}, tick {order.feed_seq}"
        f" ({order.account} {order.number})"
    )


def report_words(report: ExecutionReport) -> str:
    """Return what a report says became of an order, or of the account."""
    if not report.client_order_id and not report.deals:
        return report.comment or "the account as it stands"
    if not report.client_order_id:
        return f"by the server itself {report.comment}".rstrip()
    return (
        f"{report.client_order_id} {named(STATES, report.state)}"
        f" ({named(codes.RETCODE_NAMES, report.retcode)}), filled {number(report.filled_lots)}"
        f" lots, ticket {report.order_ticket} {report.comment}".rstrip()
    )


def deal_words(deal: Deal) -> str:
    """Return what a deal was."""
    what = (
        f"{SIDES.get(deal.side, str(deal.side))} {number(deal.volume_lots)} {deal.symbol} at"
        f" {number(deal.price)} ({named(ENTRIES, deal.entry)},"
        f" {named(codes.REASON_NAMES, deal.reason)})"
    )
    money = [
        f"{name} {number(value)}"
        for name, value in (
            ("profit", deal.profit),
            ("swap", deal.swap),
            ("commission", deal.commission),
        )
        if value != 0.0
    ]
    return ", ".join((what, *money))


def _report(report: ExecutionReport) -> str:
    deals = "".join(f"; {deal_words(deal)}" for deal in report.deals)
    state = report.account_state
    account = (
        f"; balance {number(state.balance)} equity {number(state.equity)},"
        f" {len(state.positions)} position(s)"
        if report.HasField("account_state")
        else ""
    )
    return (
        f"{moment(report.time_ns)} report {report_words(report)}{deals}{account}"
        f" ({report.account} {report.report_seq})"
    )


def _alert(alert: Alert) -> str:
    what = f"{alert.severity.upper()} {alert.service} {alert.code}"
    return f"{moment(alert.time_ns)} {what}: {alert.text}"


def _health(health: Health) -> str:
    numbers = " ".join(f"{name}={number(value)}" for name, value in sorted(health.numbers.items()))
    text = f": {health.text}" if health.text else ""
    return (
        f"{moment(health.time_ns)} health {health.service} {health.state}{text} {numbers}".rstrip()
    )


def _reached(reached: Reached) -> str:
    return (
        f"{'':23} reached tick {reached.feed_seq}, order {reached.order_number}, report"
        f" {reached.report_seq} ({reached.account})"
    )


def _permit(permit: Permit) -> str:
    return (
        f"{'':23} permit through tick {permit.through_feed_seq} after report {permit.report_seq},"
        f" order {permit.order_number}{', the end' if permit.end else ''} ({permit.account})"
    )


def _writers() -> Iterator[tuple[str, str, type[Message], Callable[[Any], str]]]:
    yield "md.tick.", "", Ticks, _ticks
    yield "md.quarantine.", "", QuarantinedTick, _quarantined
    yield "md.bar.", "", Bar, _bar
    yield "ml.prediction.", "", Prediction, _prediction
    yield "trade.decision.", "", Decision, _decision
    yield "trade.consumed.", "", Consumed, _consumed
    yield "trade.order.", "", OrderRequest, _order
    yield "trade.report.", "", ExecutionReport, _report
    yield "ops.alert.", "", Alert, _alert
    yield "ops.health.", "", Health, _health
    yield "ctl.lockstep.", ".reached", Reached, _reached
    yield "ctl.lockstep.", ".permit", Permit, _permit


_WRITERS = tuple(_writers())
