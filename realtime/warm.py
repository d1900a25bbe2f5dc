"""Putting a trader together: calendars, kept state, numbers that go on where they stood."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from google.protobuf.message import DecodeError
from numpy.typing import NDArray

from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts import subjects
from realtime.contracts.market_data_pb2 import Bar
from realtime.contracts.orders_pb2 import AccountState, Deal, ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.desk import desk_of
from realtime.kernels.codes import REASON_STOP_OUT, STATE_CANCELED
from realtime.kernels.layout import TICK
from realtime.kernels.mirror import finish_in_flight_step
from realtime.model import Model
from realtime.settings import Settings
from realtime.state import Kept, StateForeign
from realtime.streams import StreamReader
from realtime.symbols import load_symbols
from realtime.tick_wire import CorruptMessage, read_message
from realtime.trader import Trader, TraderError

_DAY_NS = 86_400 * 1_000_000_000
_BEFORE_NS = 40 * _DAY_NS
_LONGEST_REPLAY_DAYS = 30 * 365
_SHORTEST_REPLAY_DAYS = 6 * 365  # many symbols share their calendars
_REPLAY_DAYS = 15_000  # of all calendars: a desk has room for 16,384
_AHEAD_NS = 400 * _DAY_NS
_NO_ORDER = -1
_TAIL = 5_000  # messages looked through for the last one of this account

Span = tuple[int, int]


def calendar_span(first_ns: int, now_ns: int, *, lockstep: bool, symbols: int = 1) -> Span:
    """Return from when until when calendars must reach.

    Args:
        first_ns: the first tick.
        now_ns: now; not used in a replay, whose time is that of its ticks.
        lockstep: whether it is a replay: how long it will be nobody knows.
        symbols: each may have a calendar of its own, and a desk has room for so many days.
    """
    if lockstep:
        days = min(_LONGEST_REPLAY_DAYS, max(_REPLAY_DAYS // symbols, _SHORTEST_REPLAY_DAYS))
        return first_ns - _BEFORE_NS, first_ns + days * _DAY_NS
    return min(first_ns, now_ns) - _BEFORE_NS, now_ns + _AHEAD_NS


def build_trader(
    settings: Settings, models: Mapping[str, Model], span: Span, clock: Clock, *, muted: bool
) -> Trader:
    """Make a trader of the settings and of one model a symbol.

    Args:
        settings: symbols, account, limits, costs.
        models: by symbol: they say what features are computed and on what clock.
        span: from `calendar_span`.
        clock: the machine's.
        muted: leave the models out: features only, for warming up.

    Raises:
        TraderError: features that look at symbols which are not traded.
        DeskError: the calendars do not fit.
    """
    own = settings.paths.specifications
    known = load_symbols(Path(own) if own else None)
    chosen = [models[symbol] for symbol in settings.trade]
    return Trader(
        account=settings.gateway.account,
        symbols=settings.trade,
        desk=desk_of(settings, start_ns=span[0], end_ns=span[1], known=known),
        feature_sets=[model.bundle.chosen for model in chosen],
        clocks=[model.bundle.clock for model in chosen],
        models=[None] * len(chosen) if muted else chosen,
        waits=settings.gateway.lockstep,
        clock=clock,
        order_validity_ns=0 if settings.gateway.lockstep else settings.loop.order_validity_ns,
        stage=settings.loop.stage,
    )


def load_code(
    settings: Settings, models: Mapping[str, Model], span: Span, time_ns: int, clock: Clock
) -> None:
    """Let a trader that is thrown away take ticks: what is compiled is compiled now."""
    trader = build_trader(settings, models, span, clock, muted=True)
    symbols = settings.trade
    rows = np.zeros(4 * len(symbols), TICK)
    for at in range(len(rows)):
        # A tick, one that finishes bars of every length up to a day, and more.
        day = (at // len(symbols)) * _DAY_NS
        rows[at] = (time_ns + day, 1 + at, 1.0, 1.0001, 1.0, 0.0, 0, at % len(symbols))
    half = len(rows) // 2
    for at in range(half):
        trader.take(rows, at, at + 1, int(rows["time_ns"][at]), 0)
    trader.take_run(rows, half, len(rows), half + 1, 0, 0)
    trader.engine.look(rows, len(rows) - 1)
    trader.apply(_stop_out(settings))
    trader.engine.follow(finish_in_flight_step, _NO_ORDER, STATE_CANCELED, 0, 0.0)
    trader.state()


def _stop_out(settings: Settings) -> ExecutionReport:
    """Return a report of a position that the broker closed."""
    account, symbol = settings.gateway.account, settings.trade[0]
    return ExecutionReport(
        account=account,
        report_seq=1,
        symbol=symbol,
        account_state=AccountState(balance=1.0, leverage=1),
        deals=[Deal(symbol=symbol, side=-1, reason=REASON_STOP_OUT)],
    )


def risk_values(risk: np.void) -> dict[str, Any]:
    """Return a RISK_STATE by name: it outlives a state whose layout is no longer ours."""
    return {name: risk[name].tolist() for name in risk.dtype.names or ()}


def take_over_risk(trader: Trader, values: Mapping[str, Any]) -> None:
    """Let latched losses, peak and order rate of a state that was set aside go on."""
    risk = trader.desk["risk"]
    for name in risk.dtype.names or ():
        if name in values and np.shape(values[name]) == np.shape(risk[name]):
            risk[name] = values[name]


def restore(trader: Trader, kept: Kept) -> None:
    """Give a new trader the kept state.

    Raises:
        StateForeign: it belongs to another account, other symbols, features or kernels.
    """
    state = kept.state(trader.state())
    try:
        trader.restore(state)
    except TraderError as error:
        raise StateForeign(str(error)) from None


async def first_tick(client: Client, account: str) -> tuple[int, int] | None:
    """Return feed_seq and time of the account's first tick in the stream; None if there is none.

    Raises:
        StreamUnavailable: no answer.
    """
    reader = StreamReader(client, "TICKS")
    seq = 1
    while (stored := await reader.at_or_after(seq, "md.tick.>")) is not None:
        seq = stored.seq + 1
        try:
            ticks = read_message(stored.payload)
        except CorruptMessage:
            continue
        if ticks.account == account:
            return int(ticks.first_feed_seq), int(ticks.time_ns[0])
    return None


async def sent_orders(client: Client, account: str, after: int) -> dict[int, OrderRequest]:
    """Return the orders in the stream whose number is above one, by number.

    Raises:
        StreamUnavailable: no answer.
    """
    reader = StreamReader(client, "ORDERS")
    subject = f"trade.order.{subjects.token(account)}.>"
    position = await reader.find(subject, _order_number, after + 1)
    found: dict[int, OrderRequest] = {}
    async for part in reader.read(position, subject):
        for stored in part:
            try:
                order = OrderRequest.FromString(stored.payload)
            except DecodeError:
                continue  # no order; the gateway says so
            if order.number > after:
                found.setdefault(order.number, order)
    return found


async def adopt_numbers(
    client: Client, trader: Trader, risk: NDArray[np.void], last_report: int
) -> None:
    """Let a warmed-up trader without a past go on with the numbers of the one before it.

    Args:
        client: connected as the user of the loop.
        trader: warmed up, without a model.
        risk: RISK_STATE of a fresh desk: losses count from now on.
        last_report: report_seq of the last report, the first to be applied: it brings the account.

    Raises:
        StreamUnavailable: no answer.
    """
    account = trader.account
    state = trader.state()
    trader.drain()
    decisions, bars = StreamReader(client, "DECISIONS"), StreamReader(client, "BARS")
    numbers: dict[str, int] = dict(state["numbers"])
    for symbol in trader.symbols:
        for name, subject, kind in (
            ("prediction", subjects.prediction_subject(symbol), Prediction),
            ("decision", subjects.decision_subject(symbol), Decision),
        ):
            number = await _last_number(decisions, subject, kind, account, "number")
            numbers[name] = max(numbers[name], number)
    subject = subjects.consumed_subject(account)
    numbers["consumed"] = await _last_number(decisions, subject, Consumed, account, "number")
    state["numbers"] = numbers
    state["bars"] = [
        await _last_number(bars, subjects.bar_subject(symbol, name), Bar, account, "seq")
        for symbol, name in zip(trader.symbols, trader.clocks, strict=True)
    ]
    orders = await sent_orders(client, account, 0)
    state["order_number"] = max(orders, default=0)
    state["report_seq"] = last_report - 1
    state["desk"]["risk"] = risk
    trader.restore(state)


async def _last_number(
    reader: StreamReader, subject: str, kind: Any, account: str, field: str
) -> int:
    last = await reader.last(subject)
    if last is None:
        return 0
    highest = 0
    async for part in reader.read(max(last.seq - _TAIL, 1), subject):
        for stored in part:
            try:
                message = kind.FromString(stored.payload)
            except DecodeError:
                continue
            if message.account == account:
                highest = max(highest, int(getattr(message, field)))
    return highest


def _order_number(payload: bytes) -> int | None:
    try:
        return OrderRequest.FromString(payload).number
    except DecodeError:
        return None


def differs(order: OrderRequest, sent: OrderRequest) -> bool:
    """Whether two orders of one number would do different things."""
    names: Sequence[str] = (
        "symbol", "type", "volume_lots", "price", "stop_loss", "take_profit", "position_id",
        "feed_seq",
    )  # fmt: skip
    return any(getattr(order, name) != getattr(sent, name) for name in names)
