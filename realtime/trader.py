"""The trading core without I/O: ticks and reports in, messages out.

One account. `take` shows it a tick: quote, loss limits, features, prediction, decision, risk,
order. `apply` shows it a report of the broker. `drain` gives what is to be published. Nothing here
knows of servers, files or the machine's time, so the same object runs live, in lock-step with a
replay, and in tests.

With `waits` (lock-step) it stops in the middle of a tick until the broker has answered for every
order that the tick sent, and then goes on by itself: such a run equals the backtest to the bit.
Without, it goes on at once, as a live account must.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.clock import Clock
from realtime.contracts import subjects
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Consumed, Decision, Prediction
from realtime.contracts.subjects import Outgoing
from realtime.kernels.codes import (
    DECISION_HOLD,
    MIRRORED_LIVE,
    MIRRORED_WAITS,
    REASON_EXPERT,
    STATE_CANCELED,
    STATE_EXPIRED,
    STATE_FILLED,
    STATE_PARTIAL,
    STATE_REJECTED,
)
from realtime.kernels.engine import DECIDED, SENT, Engine, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import ORDER, TICK
from realtime.kernels.loss_limits import reset_drawdown_step
from realtime.kernels.mirror import UNKNOWN_ORDER, finish_in_flight_step, mirror_account_step
from realtime.kernels.tape import ORDERS_FIRST, RUN_END, RUN_ORDERS_FIRST, RUN_TOLD
from realtime.kernels.trading import follow_server_close_step
from realtime.messages import (
    bar_message,
    decision_message,
    fill_of,
    order_request,
    positions_of,
)
from realtime.model_fold import (
    Predictor,
    apply_decision,
    probability_at,
    seen_through_ns,
    write_signal,
)

FINAL_STATES = frozenset(
    {STATE_CANCELED, STATE_PARTIAL, STATE_FILLED, STATE_REJECTED, STATE_EXPIRED}
)
CONSUMED_TICKS = 512  # one Consumed message for so many ticks
_LONGEST_ACCOUNT = 16  # what an order id has room for: 27 characters with dash and number

# What a restart needs of the desk; settings and calendars bring back the rest.
_KEPT = ("account", "risk")
_REFUSED_KEPT = 8  # refusals that wait for a decision to be written down with: rarely one
_OWN_ACCOUNT = ("leverage", "stop_out_level", "money_digits", "mode", "mirrored")  # of settings
_KEPT_BY_SYMBOL = ("intents", "signals", "quotes", "day_rows")

STAGES = ("shadow", "paper", "live")  # each has passed more than the one before

_NOTHING, _LOOK, _FINISH = 0, 1, 2  # what is left to do of a tick once its orders are settled


class TraderError(ValueError):
    """The trader was put together or fed wrongly."""


@dataclass
class _InFlight:
    order_id: int  # on the desk
    client_order_id: str
    number: int
    answered: bool = False  # the broker has it: the outcome may still be open


class Trader:
    """One account's loop, without I/O.

    Args:
        account: name of the account in subjects and order ids.
        symbols: names, in the order of the desk's rows.
        desk: DESK record; it becomes a mirrored one.
        feature_sets: per symbol.
        clocks: per symbol, the clock whose finished bars are decided on.
        models: per symbol; None until a champion is there.
        waits: lock-step: stop until orders are answered.
        clock: stamps the stages of messages; decisions get their time as an argument.
        order_validity_ns: how long after its decision an order may still be sent; 0 = always.
        stage: the least that a bundle must have passed to trade; one with less only predicts.
    """

    def __init__(
        self,
        *,
        account: str,
        symbols: Sequence[str],
        desk: np.void,
        feature_sets: Sequence[FeatureSet],
        clocks: Sequence[str],
        models: Sequence[Predictor | None],
        waits: bool,
        clock: Clock,
        order_validity_ns: int = 0,
        stage: str = "paper",
    ) -> None:
        self.account = account
        self.symbols = tuple(symbols)
        self.rows: Mapping[str, int] = {name: row for row, name in enumerate(symbols)}
        self.desk = desk
        desk["account"]["mirrored"] = MIRRORED_WAITS if waits else MIRRORED_LIVE
        self.clocks = tuple(clocks)
        self.engine = Engine(
            desk,
            [
                Rule(features=features, clock=name, rows=self._rows_of(features))
                for features, name in zip(feature_sets, clocks, strict=True)
            ],
        )
        self.feature_sets = tuple(feature_sets)
        self.models: list[Predictor | None] = [None] * len(self.symbols)
        self.feed_seq = 0
        self.report_seq = 0
        self.order_number = 0
        self._waits = waits
        self._clock = clock
        self._validity_ns = order_validity_ns
        self._stage = stage
        specs = desk["specs"][: len(self.symbols)]
        self._calendar_end_ns = int(desk["days"][specs["last_day"] - 1]["end_ns"].min())
        self._bundle_ids = ""  # of the models in force, as they are written down
        self._numbers = {"prediction": 0, "decision": 0, "consumed": 0}
        self._bars = [0] * len(self.symbols)
        self._last_order_id = int(desk["account"]["next_id"]) - 1
        self._in_flight: list[_InFlight] = []
        self._outgoing: list[Outgoing] = []
        self._refused: list[np.void] = []
        self._consumed = Consumed()
        self._left = _NOTHING
        self._tick = np.zeros(1, TICK)
        self._now_ns = 0
        self._received_ns = 0
        self._prediction_number = 0
        self._decision_number = 0
        self._finished_bars = [
            self.engine.memory[f"features_{row}"][0][name]["bar"]
            if "bar" in (self.engine.memory[f"features_{row}"].dtype[name].names or ())
            else None
            for row, name in enumerate(self.clocks)
        ]
        for row, model in enumerate(models):
            if model is not None:
                self._put(row, model)
        self._begin_consumed()

    # --- what comes in ------------------------------------------------------------------------

    @property
    def waiting(self) -> bool:
        """Whether a tick is unfinished because its orders are unanswered (lock-step only)."""
        return self._left != _NOTHING

    @property
    def tick_ns(self) -> int:
        """Time of the last tick taken in, UTC; 0 before the first."""
        return int(self._tick["time_ns"][0])

    @property
    def calendar_end_ns(self) -> int:
        """When the first of the desk's calendars ends: nothing is known of later sessions."""
        return self._calendar_end_ns

    def unanswered(self, before_ns: int) -> list[str]:
        """Return the client order ids of orders made before a moment that nobody has answered."""
        made_ns = {
            int(order["id"]): int(order["created_ns"])
            for order in self.desk["orders"][: int(self.desk["account"]["open_orders"])]
        }
        return [
            each.client_order_id
            for each in self._in_flight
            if not each.answered and made_ns.get(each.order_id, before_ns) < before_ns
        ]

    @property
    def in_flight(self) -> tuple[str, ...]:
        """Client order ids that no final report has been applied for."""
        return tuple(each.client_order_id for each in self._in_flight)

    def take(
        self, ticks: NDArray[np.void], i: int, feed_seq: int, now_ns: int, received_ns: int
    ) -> bool:
        """Take in the next tick of the feed.

        Args:
            ticks: TICK rows of `layout.TICK` itself (an equal dtype costs numba 20 us a call).
            i: which row; `symbol` is the desk's row.
            feed_seq: of the tick: one more than the last.
            now_ns: the moment of the decision, UTC.
            received_ns: when it was there, for the stage times.

        Returns:
            Whether orders were sent.

        Raises:
            TraderError: the feed has a gap, or a tick is still unfinished.
        """
        if feed_seq != self.feed_seq + 1:
            msg = f"tick {feed_seq} after tick {self.feed_seq}: the feed has a gap"
            raise TraderError(msg)
        if self._left != _NOTHING:
            msg = f"tick {self.feed_seq} is unfinished: orders {self.in_flight} are in flight"
            raise TraderError(msg)
        code = self.engine.take(ticks, i)
        self._stand_at(ticks, i, feed_seq, now_ns, received_ns)
        self._consumed.now_minus_tick_ns.append(now_ns - int(self._tick["time_ns"][0]))
        sent = False
        if code == ORDERS_FIRST:
            self._send()
            if self._waits:
                self._left = _LOOK
                return True
            sent = True
            code = self.engine.look(ticks, i)
        sent = self._decide(int(self._tick["symbol"][0]), due=code > 0) or sent
        self._write_consumed_if_full()
        return sent

    def take_run(
        self,
        ticks: NDArray[np.void],
        start: int,
        stop: int,
        feed_seq: int,
        now_ns: int,
        received_ns: int,
    ) -> int:
        """Take in ticks that follow one another in the feed, until one sends orders.

        The same as `take` for each, at the speed of a fold where nothing is due.

        Args:
            ticks: TICK rows of `layout.TICK` itself.
            start: first row.
            stop: row after the last.
            feed_seq: of the first row.
            now_ns: the moment of all of them, 0 for each one's own time (lock-step).
            received_ns: when they were there.

        Returns:
            The row after the last that was taken in; less than `stop` only if orders were sent.

        Raises:
            TraderError: as `take`.
        """
        if feed_seq != self.feed_seq + 1:
            msg = f"tick {feed_seq} after tick {self.feed_seq}: the feed has a gap"
            raise TraderError(msg)
        if self._left != _NOTHING:
            msg = f"tick {self.feed_seq} is unfinished: orders {self.in_flight} are in flight"
            raise TraderError(msg)
        at = start
        while at < stop:
            row, why, told = self.engine.run(ticks, at, stop, now_ns)
            taken = row if why == RUN_END else row + 1
            self._note_consumed(ticks, at, taken, now_ns)
            number = feed_seq + taken - 1 - start
            moment_ns = max(now_ns, int(ticks["time_ns"][taken - 1]))
            self._stand_at(ticks, taken - 1, number, moment_ns, received_ns)
            at = taken
            if why != RUN_END and self._act_on(ticks, row, why, told):
                break
        self._write_consumed_if_full()
        return at

    def _act_on(self, ticks: NDArray[np.void], row: int, why: int, told: int) -> bool:
        """Do what a run stopped for; whether orders were sent."""
        symbol = int(self._tick["symbol"][0])
        if why == RUN_TOLD:
            return self._tell(symbol, told)
        sent = False
        due = True
        if why == RUN_ORDERS_FIRST:
            self._send()
            if self._waits:
                self._left = _LOOK
                return True
            sent = True
            due = self.engine.look(ticks, row) > 0
        return self._decide(symbol, due=due) or sent

    def _stand_at(
        self, ticks: NDArray[np.void], i: int, feed_seq: int, now_ns: int, received_ns: int
    ) -> None:
        self.feed_seq = feed_seq
        self._now_ns = now_ns
        self._received_ns = received_ns
        self._tick[0] = ticks[i]

    def _note_consumed(self, ticks: NDArray[np.void], start: int, stop: int, now_ns: int) -> None:
        times_ns = ticks["time_ns"][start:stop]
        late_ns = np.maximum(now_ns - times_ns, 0)
        self._consumed.now_minus_tick_ns.extend(late_ns.tolist())

    def _write_consumed_if_full(self) -> None:
        if len(self._consumed.now_minus_tick_ns) >= CONSUMED_TICKS:
            self._write_consumed()

    def skip(self, feed_seq: int) -> None:
        """Pass over ticks, up to this one, that cannot or shall not be seen."""
        self._write_consumed()
        self.feed_seq = feed_seq
        self._begin_consumed()

    def apply(self, report: ExecutionReport) -> None:
        """Apply the broker's next report; goes on with the tick when all its orders are answered.

        A report that was applied before is ignored.

        Raises:
            TraderError: a report is missing before this one, or there is no room for its account.
        """
        if report.report_seq <= self.report_seq:
            return
        if report.report_seq != self.report_seq + 1:
            msg = f"report {report.report_seq} after report {self.report_seq}: one is missing"
            raise TraderError(msg)
        self.report_seq = report.report_seq
        self._consumed.report_seq.append(report.report_seq)
        self._consumed.report_after_feed_seq.append(self.feed_seq)
        if report.HasField("account_state"):
            state = report.account_state
            positions = positions_of(state, self.rows)
            count = len(positions)
            if count > int(self.desk["position_capacity"]):
                msg = (
                    f"the account holds {count} positions and a desk has room for"
                    f" {int(self.desk['position_capacity'])}: close some at the broker"
                )
                raise TraderError(msg)
            held = positions if len(positions) else np.zeros(1, positions.dtype)
            mirror_account_step(self.desk, state.balance, state.credit, state.margin, held, count)
        self._finish(report)
        for deal in report.deals:
            row = self.rows.get(deal.symbol)
            if row is not None and deal.side != 0 and deal.reason != REASON_EXPERT:
                follow_server_close_step(self.desk, fill_of(deal, row)[0])
        if self._left != _NOTHING and all(each.answered for each in self._in_flight):
            self._go_on()

    def swap(self, symbol: str, model: Predictor) -> None:
        """Put a model in force for a symbol from the next decision on.

        Raises:
            TraderError: it wants other features or another clock than the running ones.
        """
        row = self.rows[symbol]
        self._put(row, model)
        self._consumed.swapped_bundle.append(f"{symbol}={model.bundle.id}")
        self._consumed.swapped_after_feed_seq.append(self.feed_seq)

    def row(self, symbol: str) -> NDArray[np.float64]:
        """Return the latest feature values of a symbol: a view, in the order of its columns."""
        return self.engine.row(self.rows[symbol])

    def drain(self) -> list[Outgoing]:
        """Return the messages to publish, oldest first, and forget them."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def flush(self) -> None:
        """Write down the ticks consumed so far: before a state is kept, and at the end."""
        self._write_consumed()

    # --- what happens on a tick ---------------------------------------------------------------

    def _decide(self, row: int, *, due: bool) -> bool:
        """Predict if a decision is due, decide, send; whether orders were sent."""
        if due:
            self._predict(row)
        sent = self._tell(row, self.engine.decide(row, self._now_ns, due))
        if due:
            self._write_bar(row)
        return sent

    def _tell(self, row: int, told: int) -> bool:
        """Write down decisions and send the orders they left; whether there were any."""
        if told & (SENT | DECIDED):
            self._collect(row)
        if told & SENT:
            self._send()
            if self._waits:
                self._left = _FINISH
        return told & SENT != 0

    def _go_on(self) -> None:
        left, self._left = self._left, _NOTHING
        if left == _LOOK:
            code = self.engine.look(self._tick, 0)
            self._decide(int(self._tick["symbol"][0]), due=code > 0)

    def _predict(self, row: int) -> None:
        time_ns = int(self._tick["time_ns"][0])
        model = self.models[row]
        values = self.engine.row(row)
        features_ns = self._clock.now_ns()
        seen_ns = seen_through_ns(model)
        probability = probability_at(model, values, time_ns, seen_ns)
        acted_on = probability if self._may_trade(model) else math.nan
        write_signal(self.desk["signals"][row], acted_on, time_ns, seen_ns)
        self._prediction_number = 0
        if model is None or time_ns <= seen_ns:
            return
        self._prediction_number = self._next("prediction")
        symbol = self.symbols[row]
        message = Prediction(
            account=self.account,
            symbol=symbol,
            number=self._prediction_number,
            feed_seq=self.feed_seq,
            now_ns=self._now_ns,
            bundle_id=model.bundle.id,
            feature_set=model.bundle.feature_set,
            probability=probability,
            features=values.tolist(),
            tick_ns=time_ns,
            received_ns=self._received_ns,
            features_ns=features_ns,
            predicted_ns=self._clock.now_ns(),
        )
        self._out(subjects.prediction_subject(symbol), message, subjects.DECISIONS)

    def _may_trade(self, model: Predictor | None) -> bool:
        return model is not None and STAGES.index(model.bundle.stage) >= STAGES.index(self._stage)

    def _collect(self, row: int) -> None:
        """Publish decisions written by the kernels, with the orders that were refused here."""
        result = self.engine.drain()
        self._refused += [order for order in result.orders if self._is_refused_here(order)]
        for decision in result.decisions:
            if self._is_idle(row):
                continue
            self._write_decision(decision_message(decision, self.symbols[int(decision["symbol"])]))

    def _is_refused_here(self, order: np.void) -> bool:
        """Tell an order that our own checks stopped from one that the broker ended."""
        return int(order["id"]) > self._last_order_id

    def _is_idle(self, row: int) -> bool:
        """Whether nothing can have been decided: no model yet, or warming up on its own past."""
        model = self.models[row]
        return model is None or int(self._tick["time_ns"][0]) <= seen_through_ns(model)

    def _write_decision(self, message: Decision) -> None:
        self._decision_number = self._next("decision")
        message.account = self.account
        message.number = self._decision_number
        message.feed_seq = self.feed_seq
        message.prediction_number = self._prediction_number
        message.decided_ns = self._clock.now_ns()
        model = self.models[self.rows[message.symbol]]
        message.bundle_id = "" if model is None else model.bundle.id
        for order in self._refused:
            request = order_request(order, self.symbols[int(order["symbol"])])
            message.refused.append(request)
            message.refused_retcode.append(int(order["retcode"]))
        self._refused.clear()
        self._out(subjects.decision_subject(message.symbol), message, subjects.DECISIONS)

    def _send(self) -> None:
        """Turn the new orders on the desk into requests."""
        result = self.engine.drain()  # refusals of a flattening that no decision asked for
        self._refused += [order for order in result.orders if self._is_refused_here(order)]
        for at in range(int(self.desk["account"]["open_orders"])):
            order = self.desk["orders"][at]
            if int(order["id"]) > self._last_order_id:
                self._request(order)
        self._last_order_id = int(self.desk["account"]["next_id"]) - 1

    def _request(self, order: np.void) -> None:
        symbol = self.symbols[int(order["symbol"])]
        self.order_number += 1
        request = order_request(order, symbol)
        request.client_order_id = f"{self.account[:_LONGEST_ACCOUNT]}-{self.order_number:08d}"
        request.account = self.account
        request.number = self.order_number
        request.feed_seq = self.feed_seq
        request.decision_number = (
            0 if int(order["decision_code"]) == DECISION_HOLD else self._decision_number
        )
        if self._validity_ns > 0:
            request.valid_until_ns = int(order["created_ns"]) + self._validity_ns
        model = self.models[int(order["symbol"])]
        request.bundle_id = "" if model is None else model.bundle.id
        self._stamp(request)
        self._in_flight.append(
            _InFlight(int(order["id"]), request.client_order_id, self.order_number)
        )
        self._out(subjects.order_subject(self.account, symbol), request, subjects.ORDERS)

    def _stamp(self, request: OrderRequest) -> None:
        now_ns = self._clock.now_ns()
        request.tick_ns = int(self._tick["time_ns"][0])
        request.received_ns = self._received_ns
        request.decided_ns = now_ns
        request.sent_ns = now_ns

    def _finish(self, report: ExecutionReport) -> None:
        """Note the answer to an order; take that of a final report off the desk."""
        for at, each in enumerate(self._in_flight):
            if each.client_order_id == report.client_order_id:
                each.answered = True
                if report.state not in FINAL_STATES:
                    return
                code = self.engine.follow(
                    finish_in_flight_step,
                    each.order_id,
                    int(report.state),
                    int(report.retcode),
                    float(report.filled_lots),
                )
                if code == UNKNOWN_ORDER:
                    msg = f"order {each.client_order_id} is not on the desk"
                    raise TraderError(msg)
                del self._in_flight[at]
                return

    def _write_bar(self, row: int) -> None:
        bar = self._finished_bars[row]
        if bar is None or self._is_idle(row):
            return
        self._bars[row] += 1
        symbol, name = self.symbols[row], self.clocks[row]
        message = bar_message(bar, symbol, name)
        message.account = self.account
        message.seq = self._bars[row]
        message.feed_seq = self.feed_seq
        self._out(subjects.bar_subject(symbol, name), message, subjects.BARS)

    # --- what is written down -----------------------------------------------------------------

    def _next(self, name: str) -> int:
        self._numbers[name] += 1
        return self._numbers[name]

    def _out(self, subject: str, message: Any, stream: str) -> None:
        self._outgoing.append(Outgoing(subject, message.SerializeToString(), stream))

    def _begin_consumed(self) -> None:
        self._consumed = Consumed(
            account=self.account, first_feed_seq=self.feed_seq + 1, bundle_ids=self._bundle_ids
        )

    def _write_consumed(self) -> None:
        message = self._consumed
        if not (message.now_minus_tick_ns or message.report_seq or message.swapped_bundle):
            return
        message.number = self._next("consumed")
        self._out(subjects.consumed_subject(self.account), message, subjects.DECISIONS)
        self._begin_consumed()

    def _put(self, row: int, model: Predictor) -> None:
        bundle = model.bundle
        if bundle.feature_set != self.feature_sets[row].identity:
            msg = (
                f"bundle {bundle.id} wants another feature set than the running one: restart the"
                " loop to take it"
            )
            raise TraderError(msg)
        if bundle.clock != self.clocks[row]:
            msg = (
                f"bundle {bundle.id} decides on {bundle.clock} bars, the loop runs on"
                f" {self.clocks[row]}: restart the loop to take it"
            )
            raise TraderError(msg)
        apply_decision(self.desk, row, bundle.decision)
        self.models[row] = model
        names = [
            f"{symbol}={each.bundle.id}"
            for symbol, each in zip(self.symbols, self.models, strict=True)
            if each is not None
        ]
        self._bundle_ids = ",".join(names)

    def _rows_of(self, features: FeatureSet) -> tuple[int, ...]:
        missing = [name for name in features.symbols if name not in self.rows]
        if missing:
            msg = f"the features look at {', '.join(missing)}, which the account does not trade"
            raise TraderError(msg)
        return tuple(self.rows[name] for name in features.symbols)

    # --- state ---------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Return everything that a restart needs: arrays, whole numbers and text.

        Calendar days are left out: settings bring them back. Messages that wait are not part of
        it: `drain` after this call, and keep them beside it until they are confirmed.
        """
        self.flush()
        count = len(self.symbols)
        kept = {name: np.array(self.desk[name]) for name in _KEPT}
        kept |= {name: self.desk[name][:count].copy() for name in _KEPT_BY_SYMBOL}
        for name, capacity in (("positions", "position_capacity"), ("orders", "order_capacity")):
            kept[name] = self.desk[name][: int(self.desk[capacity])].copy()
        refused = np.zeros(_REFUSED_KEPT, ORDER)
        for at, order in enumerate(self._refused[:_REFUSED_KEPT]):
            refused[at] = order
        return {
            "desk": kept,
            "first_days": self.desk["specs"][:count]["first_day"].copy(),
            "refused": refused,
            "refused_count": min(len(self._refused), _REFUSED_KEPT),
            "memory": self.engine.memory.copy(),
            "tick": self._tick.copy(),
            "account": self.account,
            "symbols": list(self.symbols),
            "feature_sets": [features.identity for features in self.feature_sets],
            "clocks": list(self.clocks),
            "bundles": [None if model is None else model.bundle.id for model in self.models],
            "feed_seq": self.feed_seq,
            "report_seq": self.report_seq,
            "order_number": self.order_number,
            "last_order_id": self._last_order_id,
            "numbers": dict(self._numbers),
            "bars": list(self._bars),
            "in_flight": [
                [each.order_id, each.client_order_id, each.number, each.answered]
                for each in self._in_flight
            ],
            "left": self._left,
            "now_ns": self._now_ns,
            "received_ns": self._received_ns,
            "prediction_number": self._prediction_number,
            "decision_number": self._decision_number,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` returned; the desk must be made of the same settings.

        Raises:
            TraderError: it belongs to another account, other symbols, features or kernels.
        """
        mine = {
            "account": self.account,
            "symbols": list(self.symbols),
            "feature_sets": [features.identity for features in self.feature_sets],
            "clocks": list(self.clocks),
        }
        for name, value in mine.items():
            if list(state[name]) != list(value):
                msg = f"the kept state has other {name}: {state[name]}, the loop runs {value}"
                raise TraderError(msg)
        kept = state["memory"]
        if kept.dtype != self.engine.memory.dtype:
            msg = "the kept state has another layout: these are not the kernels that wrote it"
            raise TraderError(msg)
        own = [(name, self.desk["account"][name]) for name in _OWN_ACCOUNT]
        for name, value in state["desk"].items():
            if name in _KEPT:
                self.desk[name] = value
            else:
                self.desk[name][: len(value)] = value
        for name, value in own:  # settings may have changed since
            self.desk["account"][name] = value
        # Calendars may reach further by now: a symbol's days then begin at another row.
        count = len(self.symbols)
        moved = self.desk["specs"][:count]["first_day"] - state["first_days"]
        rows = self.desk["day_rows"][:count]
        rows[:] = np.where(rows < 0, rows, rows + moved)
        self._refused = list(state["refused"][: int(state["refused_count"])])
        self.engine.memory[:] = kept
        self._tick[:] = state["tick"]
        self.feed_seq = int(state["feed_seq"])
        self.report_seq = int(state["report_seq"])
        self.order_number = int(state["order_number"])
        self._last_order_id = int(state["last_order_id"])
        self._numbers = {name: int(value) for name, value in state["numbers"].items()}
        self._bars = [int(value) for value in state["bars"]]
        self._in_flight = [
            _InFlight(int(order_id), str(client_order_id), int(number), bool(answered))
            for order_id, client_order_id, number, answered in state["in_flight"]
        ]
        self._left = int(state["left"])
        self._now_ns = int(state["now_ns"])
        self._received_ns = int(state["received_ns"])
        self._prediction_number = int(state["prediction_number"])
        self._decision_number = int(state["decision_number"])
        self._begin_consumed()
        for row, model in enumerate(self.models):
            if model is not None:  # decision parameters of the bundle in force
                apply_decision(self.desk, row, model.bundle.decision)

    def set_kill_switch(self, *, on: bool) -> None:
        """Set or release the operator's kill switch; wins over everything from the next tick on."""
        self.desk["risk"]["kill_switch"] = 1 if on else 0

    def reset_drawdown(self) -> None:
        """Release the drawdown latch: losses count from the equity of now. The operator's doing."""
        reset_drawdown_step(self.desk["risk"], float(self.desk["account"]["equity"]))

    def set_clock_offset(self, offset_ns: int) -> None:
        """Tell how far the broker's clock is ahead of ours; beyond the limit nothing is opened."""
        self.desk["risk"]["clock_offset_ns"] = offset_ns
