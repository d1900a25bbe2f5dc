"""Taking a trader through the record: the same ticks, moments, reports and bundles as it had live.

Whatever mode the loop ran in, what it says depends on nothing else, so what comes out must be what
was recorded: predictions, decisions, orders and bars, to the bit. Only stamps of the machine's
clock are left out of the comparison.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from google.protobuf.message import Message
from numpy.typing import NDArray

from realtime.clock import SimulatedClock
from realtime.contracts.market_data_pb2 import Bar
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.predictions_pb2 import Decision, Prediction
from realtime.contracts.subjects import Outgoing
from realtime.model import Model
from realtime.settings import Settings
from realtime.store.readers import Recorded
from realtime.timeline import Timeline
from realtime.trader import Trader
from realtime.warm import build_trader, calendar_span

_DRAIN_EVERY = 4_096  # ticks
_KINDS: dict[str, tuple[str, type[Message]]] = {
    "ml.prediction.": ("prediction", Prediction),
    "trade.decision.": ("decision", Decision),
    "trade.order.": ("order", OrderRequest),
    "md.bar.": ("bar", Bar),
}
# Stamps of the machine's clock: nothing that is decided depends on them.
_STAMPS = ("received_ns", "features_ns", "predicted_ns", "decided_ns", "sent_ns")


@dataclass(kw_only=True)
class Comparison:
    """How one kind of message compared.

    Attributes:
        kind: prediction, decision, order, bar.
        recorded: how many are in the record.
        equal: how many of them came out again.
        difference: the first that did not, with both values; empty if all did.
    """

    kind: str
    recorded: int
    equal: int = 0
    difference: str = ""


@dataclass(kw_only=True)
class _Expected:
    """Recorded messages of one kind, to be met one by one."""

    messages: Sequence[Message]
    comparison: Comparison
    at: int = 0

    def meet(self, message: Message) -> None:
        """Compare the next message that came out."""
        comparison = self.comparison
        place = self.at
        self.at += 1
        if comparison.difference:
            return
        if place >= len(self.messages):
            comparison.difference = f"{_named(message)} came out and is not recorded"
            return
        name = differing_field(self.messages[place], message)
        if name:
            comparison.difference = (
                f"{_named(message)}: {name} {_value(self.messages[place], name)} recorded,"
                f" {_value(message, name)} came out"
            )
            return
        comparison.equal += 1

    def end(self) -> None:
        """Note what is recorded and did not come out."""
        if not self.comparison.difference and self.at < len(self.messages):
            lacking = self.messages[self.at]
            self.comparison.difference = f"{_named(lacking)} is recorded and did not come out"


@dataclass(kw_only=True)
class _Course:
    """What happens to the trader after which tick."""

    reports: Mapping[int, Sequence[int]]
    swaps: dict[int, list[tuple[str, str]]] = field(
        default_factory=dict[int, list["tuple[str, str]"]]
    )


def retrace(
    settings: Settings,
    recorded: Recorded,
    when: Timeline,
    models: Mapping[str, Model],
    ticks: Iterable[NDArray[np.void]],
    *,
    waits: bool,
    through: int,
    since: int = 1,
) -> list[Comparison]:
    """Take a trader through the record and compare what it says.

    Args:
        settings: of the loop that was recorded.
        recorded: what it said.
        when: what it took in.
        models: by bundle id: all that were in force.
        ticks: chunks of the feed from its first tick on.
        waits: whether it ran in lock-step.
        through: feed_seq to end with.
        since: feed_seq from which on to compare; what is before is taken in all the same.

    Raises:
        TraderError: the record and the settings do not go together.
    """
    messages: dict[str, Sequence[Message]] = {
        "prediction": recorded.predictions,
        "decision": recorded.decisions,
        "order": recorded.orders,
        "bar": recorded.bars,
    }
    expected: dict[str, _Expected] = {}
    for kind, all_of_kind in messages.items():
        chosen = [each for each in all_of_kind if since <= int(_feed_seq(each)) <= through]
        comparison = Comparison(kind=kind, recorded=len(chosen))
        expected[kind] = _Expected(messages=chosen, comparison=comparison)
    told = _say(settings, recorded, when, models, ticks, waits=waits, through=through)
    for outgoing in told:
        found = _read(outgoing)
        if found is not None and since <= _feed_seq(found[1]) <= through:
            expected[found[0]].meet(found[1])
    for each in expected.values():
        each.end()
    return [each.comparison for each in expected.values()]


def _say(
    settings: Settings,
    recorded: Recorded,
    when: Timeline,
    models: Mapping[str, Model],
    ticks: Iterable[NDArray[np.void]],
    *,
    waits: bool,
    through: int,
) -> Iterator[Outgoing]:
    """Yield what the trader says."""
    course = _Course(reports=when.reports_after())
    for feed_seq, symbol, bundle in when.swaps:
        course.swaps.setdefault(feed_seq, []).append((symbol, bundle))
    reports = {report.report_seq: report for report in recorded.reports}
    in_force = _first_models(settings, when, models)
    settings = replace(settings, gateway=replace(settings.gateway, lockstep=waits))
    trader: Trader | None = None
    risk = np.zeros(0)
    feed_seq = 0
    for chunk in ticks:
        if trader is None:
            first_ns = int(chunk["time_ns"][0])
            span = calendar_span(first_ns, first_ns, lockstep=True, symbols=len(settings.trade))
            trader = build_trader(settings, in_force, span, SimulatedClock(0), muted=when.first > 1)
            risk = np.array(trader.desk["risk"])
            _events(trader, course, reports, models, 0)
        for at in range(len(chunk)):
            feed_seq += 1
            if feed_seq > through:
                break
            if feed_seq == when.first > 1:
                _wake(trader, recorded, when, risk)
                _events(trader, course, reports, models, feed_seq - 1)
            _take(trader, chunk, at, feed_seq, when)
            if feed_seq >= when.first:
                _events(trader, course, reports, models, feed_seq)
            if feed_seq % _DRAIN_EVERY == 0:
                yield from trader.drain()
    if trader is not None:
        yield from trader.drain()


def _first_models(
    settings: Settings, when: Timeline, models: Mapping[str, Model]
) -> dict[str, Model]:
    """Return the model of each symbol at the start: those that warm up have the first to come."""
    names = dict(when.bundles)
    for _, symbol, bundle in when.swaps:
        names.setdefault(symbol, bundle)
    return {symbol: models[names[symbol]] for symbol in settings.trade if symbol in names}


def _wake(trader: Trader, recorded: Recorded, when: Timeline, risk: NDArray[Any]) -> None:
    """End the warming up: numbers and the account go on where the record begins."""
    state = trader.state()
    trader.drain()
    state["desk"]["risk"] = risk
    numbers: dict[str, int] = dict(state["numbers"])
    later: dict[str, Sequence[Any]] = {
        "prediction": recorded.predictions,
        "decision": recorded.decisions,
    }
    for name, messages in later.items():
        found = [each.number for each in messages if each.feed_seq >= when.first]
        numbers[name] = min(found, default=1) - 1
    state["numbers"] = numbers
    orders = [each.number for each in recorded.orders if each.feed_seq >= when.first]
    state["order_number"] = min(orders, default=1) - 1
    state["report_seq"] = min(when.reports, default=1) - 1  # the first brings the account
    state["bars"] = [_bars_before(recorded, symbol, when.first) for symbol in trader.symbols]
    trader.restore(state)


def _bars_before(recorded: Recorded, symbol: str, feed_seq: int) -> int:
    later = [bar.seq for bar in recorded.bars if bar.symbol == symbol and bar.feed_seq >= feed_seq]
    return min(later, default=1) - 1


def _take(trader: Trader, chunk: NDArray[np.void], at: int, feed_seq: int, when: Timeline) -> None:
    row = chunk[at]
    if int(row["symbol"]) < 0:  # not traded: counts in the feed and is not taken in
        state = trader.state()
        state["feed_seq"] = feed_seq
        trader.restore(state)
        return
    offset_ns = int(when.offsets_ns[feed_seq - when.first]) if feed_seq >= when.first else 0
    trader.take(chunk, at, feed_seq, int(row["time_ns"]) + offset_ns, 0)


def _events(
    trader: Trader,
    course: _Course,
    reports: Mapping[int, Any],
    models: Mapping[str, Model],
    feed_seq: int,
) -> None:
    for report_seq in course.reports.get(feed_seq, ()):
        if report_seq in reports:
            trader.apply(reports[report_seq])
    for symbol, bundle in course.swaps.get(feed_seq, ()):
        trader.swap(symbol, models[bundle])


# --- comparing --------------------------------------------------------------------------------


def differing_field(recorded: Message, told: Message) -> str:
    """Return the name of the first field in which two messages differ; empty if in none."""
    for each in recorded.DESCRIPTOR.fields:
        if each.name in _STAMPS:
            continue
        left, right = getattr(recorded, each.name), getattr(told, each.name)
        if each.message_type is None:
            if not _same(left, right):
                return each.name
        elif len(left) != len(right) or any(
            differing_field(one, other) for one, other in zip(left, right, strict=True)
        ):
            return each.name
    return ""


def _same(left: Any, right: Any) -> bool:
    if isinstance(left, float):
        return left == right or (math.isnan(left) and math.isnan(right))
    if isinstance(left, str | int):
        return left == right
    if len(left) != len(right):
        return False
    return np.array_equal(np.array(left), np.array(right), equal_nan=True)


def _read(outgoing: Outgoing) -> tuple[str, Message] | None:
    for prefix, (name, kind) in _KINDS.items():
        if outgoing.subject.startswith(prefix):
            return name, kind.FromString(outgoing.payload)
    return None


def _feed_seq(message: Message) -> int:
    return int(getattr(message, "feed_seq", 0))


def _named(message: Any) -> str:
    kind = message.DESCRIPTOR.name.lower()
    number = getattr(message, "number", 0) or getattr(message, "seq", 0)
    return f"{kind} {number} of {message.symbol} at tick {message.feed_seq}"


def _value(message: Any, name: str) -> str:
    value = getattr(message, name)
    return repr(value) if isinstance(value, str | int | float) else repr(list(value))
