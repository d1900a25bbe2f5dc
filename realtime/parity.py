"""Recorded against folded: the same orders, fills, decisions and features, to the bit.

The record is what loop, gateway and terminal said on the wire; the fold is the backtest over the
same ticks. Numbers are compared as they are. Ids are given out by different hands, so they are
compared as a mapping: the k-th order here is the k-th order there, and everything that names one
names the other.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.contracts.orders_pb2 import Deal, ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Decision, Prediction
from realtime.kernels.codes import STATE_PLACED, STATE_REJECTED, STATE_STARTED
from realtime.messages import level_sent
from realtime.model_fold import Folded, Predictor, seen_through_ns
from realtime.store.readers import Recorded

Facts = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Parity:
    """What a comparison found.

    Attributes:
        orders_equal: every order, sent or refused by our own checks, and what became of it.
        fills_equal: every deal, in order.
        decisions_equal: every decision with probability, edge, cost, target and reasons.
        features_bit_equal: every row that was predicted on, and what the model said of it.
        orders: compared, refused ones included.
        fills: compared.
        decisions: compared.
        predictions: compared.
        unfinished: recorded orders without a final answer, which a fold does not write down.
        first_difference: where and how the first one differs; empty if none does.
    """

    orders_equal: bool
    fills_equal: bool
    decisions_equal: bool
    features_bit_equal: bool
    orders: int
    fills: int
    decisions: int
    predictions: int
    unfinished: int
    first_difference: str

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return not self.first_difference


def parity(
    recorded: Recorded,
    folded: Folded,
    *,
    symbols: Sequence[str],
    models: Sequence[Predictor | None],
) -> Parity:
    """Compare a recorded run with the fold over its ticks.

    Args:
        recorded: as `read_recorded` returns it.
        folded: as `fold_models` returns it.
        symbols: names, in the order of the desk's rows.
        models: per symbol, those that were folded: nothing is recorded of what lies at or before
            the end of their training, and nothing at all where there is none.
    """
    final = _final_reports(recorded.reports)
    unfinished = [order for order in recorded.orders if order.client_order_id not in final]
    orders = list(_recorded_orders(recorded, final))
    fills = [_deal_facts(deal) for deal in recorded.deals if deal.side != 0]
    folded_orders = _folded_orders(folded, symbols)
    pairs = _paired_orders(orders, folded_orders)
    differences = {
        "orders": _first_difference("order", pairs),
        "fills": _first_difference("fill", zip_longest(fills, _folded_fills(folded, symbols))),
        "decisions": _first_difference(
            "decision",
            zip_longest(
                map(_decision_facts, recorded.decisions), _folded_decisions(folded, symbols, models)
            ),
        ),
        "features": _feature_difference(recorded.predictions, folded, symbols, models),
    }
    if not differences["orders"] and not differences["fills"]:
        differences["fills"] = _id_difference(recorded, folded, final)
    first = next((text for text in differences.values() if text), "")
    return Parity(
        orders_equal=not differences["orders"],
        fills_equal=not differences["fills"],
        decisions_equal=not differences["decisions"],
        features_bit_equal=not differences["features"],
        orders=len(folded_orders),
        fills=len(fills),
        decisions=len(recorded.decisions),
        predictions=len(recorded.predictions),
        unfinished=len(unfinished),
        first_difference=first,
    )


# --- orders -----------------------------------------------------------------------------------


def _final_reports(reports: Sequence[ExecutionReport]) -> dict[str, ExecutionReport]:
    """Return the last report of each order that has come to its end."""
    open_states = (STATE_STARTED, STATE_PLACED)
    return {
        report.client_order_id: report
        for report in reports
        if report.client_order_id and report.state not in open_states
    }


def _recorded_orders(recorded: Recorded, final: dict[str, ExecutionReport]) -> Iterator[Facts]:
    """Yield sent orders in the order of sending, then those that our own checks refused."""
    for order in recorded.orders:
        report = final.get(order.client_order_id)
        if report is not None:
            yield _order_facts(order) | {
                "refused": False,
                "state": report.state,
                "retcode": report.retcode,
                "filled_lots": report.filled_lots,
            }
    for decision in recorded.decisions:
        for order, retcode in zip(decision.refused, decision.refused_retcode, strict=True):
            yield _order_facts(order) | {
                "refused": True,
                "state": STATE_REJECTED,
                "retcode": retcode,
                "filled_lots": 0.0,
            }


def _order_facts(order: OrderRequest) -> Facts:
    return {
        "symbol": order.symbol,
        "type": order.type,
        "filling": order.filling,
        "volume_lots": order.volume_lots,
        "price": order.price,
        "stop_loss": order.stop_loss,
        "take_profit": order.take_profit,
        "magic": order.magic,
        "decision_code": order.decision_code,
        "risk_code": order.risk_code,
        "created_ns": order.created_ns,
    }


def _folded_orders(folded: Folded, symbols: Sequence[str]) -> list[Facts]:
    """Return the orders of a fold in the order of sending; the tape has them as they ended."""
    orders = folded.result.orders
    found: list[Facts] = []
    for row in np.argsort(orders["id"], kind="stable"):
        order = orders[int(row)]
        facts: Facts = {
            name: int(order[name])
            for name in ("type", "filling", "magic", "decision_code", "risk_code", "created_ns",
                         "state", "retcode")
        }  # fmt: skip
        facts |= {name: float(order[name]) for name in ("volume_lots", "price", "filled_lots")}
        facts["symbol"] = symbols[int(order["symbol"])]
        facts["stop_loss"] = level_sent(float(order["stop_loss"]))
        facts["take_profit"] = level_sent(float(order["take_profit"]))
        found.append(facts)
    return found


def _paired_orders(
    recorded: Sequence[Facts], folded: Sequence[Facts]
) -> Iterator[tuple[Facts | None, Facts | None]]:
    """Pair orders: a rejected one of the fold may have been refused here or by the broker."""
    sent = iter([facts for facts in recorded if not facts["refused"]])
    refused = [facts for facts in recorded if facts["refused"]]
    for facts in folded:
        if refused and facts["state"] == STATE_REJECTED and not _differing(refused[0], facts):
            yield refused.pop(0), facts
        else:
            yield next(sent, None), facts
    for facts in (*sent, *refused):
        yield facts, None


# --- fills ------------------------------------------------------------------------------------


def _deal_facts(deal: Deal) -> Facts:
    return {
        "time_ns": deal.time_ns,
        "symbol": deal.symbol,
        "side": deal.side,
        "entry": deal.entry,
        "reason": deal.reason,
        "volume_lots": deal.volume_lots,
        "price": deal.price,
        "profit": deal.profit,
        "swap": deal.swap,
        "commission": deal.commission,
    }


def _folded_fills(folded: Folded, symbols: Sequence[str]) -> Iterator[Facts]:
    whole = ("time_ns", "side", "entry", "reason")
    decimal = ("volume_lots", "price", "profit", "swap", "commission")
    for fill in folded.result.fills:
        facts: Facts = {name: int(fill[name]) for name in whole}
        facts |= {name: float(fill[name]) for name in decimal}
        facts["symbol"] = symbols[int(fill["symbol"])]
        yield facts


def _id_difference(recorded: Recorded, folded: Folded, final: dict[str, ExecutionReport]) -> str:
    """Check that deals name the same orders and positions, whatever these are called."""
    deals = [deal for deal in recorded.deals if deal.side != 0]
    ours = {report.order_ticket for report in final.values() if report.order_ticket > 0}
    known = {int(order_id) for order_id in folded.result.orders["id"]}
    positions: dict[int, int] = {}
    orders: dict[int, int] = {}
    for k, (deal, fill) in enumerate(zip(deals, folded.result.fills, strict=True), start=1):
        position = int(fill["position_id"])
        if positions.setdefault(deal.position_id, position) != position:
            return f"fill {k}: position {deal.position_id} is {position} and another in the fold"
        order = int(fill["order_id"])
        if (deal.order_ticket in ours) != (order in known):
            return f"fill {k}: of order {deal.order_ticket} recorded, {order} folded"
        if order in known and orders.setdefault(deal.order_ticket, order) != order:
            return f"fill {k}: order {deal.order_ticket} is {order} and another in the fold"
    for name, pairs in (("position", positions), ("order", orders)):
        if len(set(pairs.values())) != len(pairs):
            return f"two recorded {name}s are one in the fold: {pairs}"
    return ""


# --- decisions and features -------------------------------------------------------------------


def _decision_facts(decision: Decision) -> Facts:
    return {
        "time_ns": decision.now_ns,
        "symbol": decision.symbol,
        "probability": decision.probability,
        "edge": decision.edge,
        "cost": decision.cost,
        "target_lots": decision.target_lots,
        "allowed_lots": decision.allowed_lots,
        "decision_code": decision.decision_code,
        "risk_code": decision.risk_code,
    }


def _folded_decisions(
    folded: Folded, symbols: Sequence[str], models: Sequence[Predictor | None]
) -> Iterator[Facts]:
    decimal = ("probability", "edge", "cost", "target_lots", "allowed_lots")
    for decision in folded.result.decisions:
        row, time_ns = int(decision["symbol"]), int(decision["time_ns"])
        model = models[row]
        if model is None or time_ns <= seen_through_ns(model):
            continue
        facts: Facts = {"time_ns": time_ns, "symbol": symbols[row]}
        facts |= {name: float(decision[name]) for name in decimal}
        facts |= {name: int(decision[name]) for name in ("decision_code", "risk_code")}
        yield facts


def _feature_difference(
    predictions: Sequence[Prediction],
    folded: Folded,
    symbols: Sequence[str],
    models: Sequence[Predictor | None],
) -> str:
    for row, symbol in enumerate(symbols):
        mine = [prediction for prediction in predictions if prediction.symbol == symbol]
        model = models[row]
        times_ns = folded.times_ns[row]
        asked = np.zeros(len(times_ns), np.bool_)
        if model is not None:
            asked = times_ns > seen_through_ns(model)
        difference = _row_difference(
            mine,
            times_ns[asked],
            folded.rows[row][asked],
            folded.probabilities[row][asked],
            () if model is None else tuple(getattr(model.bundle, "features", ())),
        )
        if difference:
            return f"{symbol} {difference}"
    return ""


def _row_difference(
    predictions: Sequence[Prediction],
    times_ns: NDArray[np.int64],
    rows: NDArray[np.float64],
    probabilities: NDArray[np.float64],
    names: Sequence[str],
) -> str:
    for k, (prediction, time_ns) in enumerate(zip(predictions, times_ns, strict=False)):
        where = f"prediction {k + 1} (number {prediction.number}, tick {prediction.feed_seq})"
        if prediction.tick_ns != time_ns:
            return f"{where}: at {prediction.tick_ns} recorded, {time_ns} folded"
        features = np.array(prediction.features)
        if features.shape != rows[k].shape:
            return f"{where}: {len(features)} features recorded, {len(rows[k])} folded"
        differing = np.flatnonzero(features.view(np.int64) != rows[k].view(np.int64))
        if len(differing) > 0:
            at = int(differing[0])
            name = names[at] if at < len(names) else f"feature {at}"
            return f"{where}: {name} {features[at]!r} recorded, {rows[k][at]!r} folded"
        if not _same(prediction.probability, float(probabilities[k])):
            return (
                f"{where}: probability {prediction.probability!r} recorded,"
                f" {float(probabilities[k])!r} folded"
            )
    if len(predictions) != len(times_ns):
        return f"has {len(predictions)} predictions recorded, {len(times_ns)} folded"
    return ""


# --- comparing --------------------------------------------------------------------------------


def _first_difference(noun: str, pairs: Iterable[tuple[Facts | None, Facts | None]]) -> str:
    for k, (recorded, folded) in enumerate(pairs, start=1):
        if recorded is None or folded is None:
            have, lack = ("folded", "recorded") if recorded is None else ("recorded", "folded")
            facts = folded if recorded is None else recorded
            return f"{noun} {k} is {have} and not {lack}: {_shown(facts or {})}"
        name = _differing(recorded, folded)
        if name:
            return (
                f"{noun} {k}: {name} {recorded[name]!r} recorded, {folded[name]!r} folded"
                f" ({_shown(folded)})"
            )
    return ""


def _differing(recorded: Facts, folded: Facts) -> str:
    """Return the name of a fact that differs; empty if none does."""
    return next((name for name in folded if not _same(recorded[name], folded[name])), "")


def _same(left: Any, right: Any) -> bool:
    """Compare exactly; any NaN is like any other, and zeros of both signs are zero."""
    if isinstance(left, float) and isinstance(right, float) and math.isnan(left):
        return math.isnan(right)
    return bool(left == right)


def _shown(facts: Facts) -> str:
    return ", ".join(f"{name} {value}" for name, value in facts.items() if name != "refused")
