"""A trader with a broker outside equals the fold to the bit: orders, fills, features, decisions."""

import math
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from realtime.clock import ReplayClock
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.predictions_pb2 import Decision, Prediction
from realtime.kernels.codes import REASON_STOP_LOSS, REASON_TAKE_PROFIT, RISK_DAILY_LOSS
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import TICK
from realtime.model_fold import apply_decision, fold_models
from realtime.trader import Trader
from tests.parity.outside_broker import OutsideBroker, trade, trade_in_runs
from tests.parity.scenarios import THREE, VARIANTS, a_desk, made_ticks, made_ticks_of_three

ONE = FeatureSet(features=("m1_rsi_14", "m1_atr_14", "m5_rsi_14", "tick_spread"))
CROSSED = FeatureSet(
    features=("m1_rsi_14", "m1_atr_14", "m1_cross_ratio_100_1_300", "tick_spread"),
    symbols=("XAUUSD", "EURUSD"),
)


class Oracle:
    """Says something that wanders with the features, so that it trades."""

    def __init__(self, features, decision, trained_through_ns=0, name="oracle", stage="paper"):
        self.bundle: Any = SimpleNamespace(
            id=name, feature_set=features.identity, clock="m1", stage=stage, decision=decision,
            trained_through_ns=trained_through_ns,
            evaluated_through_ns=trained_through_ns,
        )  # fmt: skip

    def predict(self, row):
        if np.isnan(row).any():
            return math.nan
        return 0.5 + 0.49 * math.tanh((float(row[0]) - 50.0) / 8.0)


def a_run(variant, ticks, symbols, features, **decision):
    each = VARIANTS[variant][2]
    changed = replace(each.decision, **decision)
    timeless = replace(each.limits, max_model_age_ns=0)
    settings = {name: replace(each, limits=timeless) for name in symbols}
    models = [Oracle(one, changed, int(ticks["time_ns"][len(ticks) // 5])) for one in features]

    def desk():
        made = a_desk(variant, ticks, symbols, **settings)
        for row in range(len(symbols)):
            apply_decision(made, row, changed)
        return made

    return desk, models


def a_trader(desk, symbols, features, models):
    return Trader(
        account="paper", symbols=symbols, desk=desk, feature_sets=features,
        clocks=["m1"] * len(symbols), models=models, waits=True, clock=ReplayClock(),
    )  # fmt: skip


def of(published, subject, message):
    return [
        message.FromString(each.payload) for each in published if each.subject.startswith(subject)
    ]


def assert_same(folded, published, broker, trader):
    result = folded.result
    requests = of(published, "trade.order.", OrderRequest)
    decisions = of(published, "trade.decision.", Decision)
    refused = [order for decision in decisions for order in decision.refused]
    orders = result.orders[np.argsort(result.orders["id"], kind="stable")]
    wanted = [
        (int(o["created_ns"]), int(o["symbol"]), int(o["type"]), float(o["volume_lots"]),
         float(o["price"]), int(o["decision_code"]), int(o["risk_code"]))
        for o in orders
    ]  # fmt: skip
    made = sorted(
        [
            (o.created_ns, trader.rows[o.symbol], o.type, o.volume_lots, o.price, o.decision_code,
             o.risk_code)
            for o in [*requests, *refused]
        ]
    )  # fmt: skip
    assert len(wanted) > 20
    assert made == sorted(wanted)
    fills = np.concatenate([f for f in broker.all_fills if len(f)])
    assert len(fills) == len(result.fills)
    for name in ("time_ns", "symbol", "side", "entry", "reason", "volume_lots", "price", "profit",
                 "swap", "commission", "balance"):  # fmt: skip
        assert np.array_equal(fills[name], result.fills[name]), name
    predictions = of(published, "ml.prediction.", Prediction)
    for row, symbol in enumerate(trader.symbols):
        own = [p for p in predictions if p.symbol == symbol]
        asked = folded.times_ns[row] > trader.models[row].bundle.trained_through_ns
        assert [p.tick_ns for p in own] == folded.times_ns[row][asked].tolist()
        features = np.array([list(p.features) for p in own])
        assert features.tobytes() == folded.rows[row][asked].tobytes()
        told = np.array([p.probability for p in own])
        assert told.tobytes() == folded.probabilities[row][asked].tobytes()


@pytest.mark.parametrize("variant", ["netting", "hedging"])
def test_a_trader_with_a_broker_outside_equals_the_fold(variant):
    ticks = made_ticks(30_000)
    desk, models = a_run(variant, ticks, ("EURUSD",), (ONE,))
    folded = fold_models(desk(), feature_sets=[ONE], clocks=["m1"], models=models, ticks=ticks)
    trader = a_trader(desk(), ("EURUSD",), [ONE], models)
    broker = OutsideBroker(desk(), ("EURUSD",))
    published = trade(trader, broker, ticks)
    assert_same(folded, published, broker, trader)
    if variant == "netting":
        assert trader.desk["account"]["equity"] == broker.desk["account"]["equity"]


@pytest.mark.parametrize("variant", ["netting", "hedging"])
def test_three_symbols_on_one_account_equal_the_fold(variant):
    ticks = made_ticks_of_three(9_000)
    features = (ONE, CROSSED, ONE)
    desk, models = a_run(variant, ticks, THREE, features)
    folded = fold_models(
        desk(), feature_sets=features, clocks=["m1"] * 3, models=models, ticks=ticks,
        rows=((), (1, 0), ()),
    )  # fmt: skip
    trader = a_trader(desk(), THREE, features, models)
    broker = OutsideBroker(desk(), THREE)
    published = trade(trader, broker, ticks)
    assert_same(folded, published, broker, trader)


@pytest.mark.parametrize("variant", ["netting", "hedging"])
@pytest.mark.parametrize("chunk", [1, 7, 5_000])
def test_runs_of_ticks_equal_one_tick_after_the_other(variant, chunk):
    ticks = made_ticks_of_three(4_000)
    features = (ONE, CROSSED, ONE)
    near = {"stop_loss_fraction": 0.0001, "take_profit_fraction": 0.00015}
    desk, models = a_run(variant, ticks, THREE, features, **near)
    one, two = (a_trader(desk(), THREE, features, models) for _ in range(2))
    single = trade(one, OutsideBroker(desk(), THREE), ticks)
    runs = trade_in_runs(two, OutsideBroker(desk(), THREE), ticks, chunk)
    for subject in ("trade.order.", "trade.decision.", "ml.prediction.", "md.bar."):
        expected = [without_received(e) for e in single if e.subject.startswith(subject)]
        assert [without_received(e) for e in runs if e.subject.startswith(subject)] == expected
        assert len(expected) > 50
    one.flush()
    two.flush()
    assert two.feed_seq == one.feed_seq
    assert one.engine.memory.tobytes() == two.engine.memory.tobytes()


def without_received(each):
    """A message without the time at which its tick came in, which is the test's own."""
    kinds = {"trade.order": OrderRequest, "ml.prediction": Prediction}
    kind = next((kinds[name] for name in kinds if each.subject.startswith(name)), None)
    if kind is None:
        return each.payload
    message = kind.FromString(each.payload)
    message.received_ns = 0
    return message.SerializeToString()


def test_a_trader_restored_from_its_state_at_any_tick_goes_on_as_if_it_had_never_stopped():
    ticks = made_ticks(12_000)
    desk, models = a_run("hedging", ticks, ("EURUSD",), (ONE,))
    whole = trade(
        a_trader(desk(), ("EURUSD",), [ONE], models), OutsideBroker(desk(), ("EURUSD",)), ticks
    )
    first, broker = a_trader(desk(), ("EURUSD",), [ONE], models), OutsideBroker(desk(), ("EURUSD",))
    cut = 7_001
    before = trade(first, broker, ticks[:cut])
    state = first.state()
    second = a_trader(desk(), ("EURUSD",), [ONE], models)
    second.restore(state)
    after = trade(second, broker, ticks, start=cut)
    for subject in ("trade.order.", "trade.decision.", "ml.prediction.", "md.bar."):
        one = [e.payload for e in whole if e.subject.startswith(subject)]
        two = [e.payload for e in [*before, *after] if e.subject.startswith(subject)]
        assert len(one) > 50
        assert one == two, subject


def test_a_latched_loss_limit_flattens_through_the_broker_outside():
    ticks = made_ticks(20_000)
    desk, models = a_run("netting", ticks, ("EURUSD",), (ONE,), fixed_lots=2.0)
    tight = desk()
    tight["account_limits"]["max_daily_loss"] = 0.0005
    folded = fold_models(tight, feature_sets=[ONE], clocks=["m1"], models=models, ticks=ticks)
    codes = set(folded.result.decisions["risk_code"].tolist())
    assert RISK_DAILY_LOSS in codes
    made = desk()
    made["account_limits"]["max_daily_loss"] = 0.0005
    trader = a_trader(made, ("EURUSD",), [ONE], models)
    broker = OutsideBroker(desk(), ("EURUSD",))
    published = trade(trader, broker, ticks)
    assert_same(folded, published, broker, trader)


@pytest.mark.parametrize("variant", ["netting", "hedging"])
def test_stop_losses_and_take_profits_at_the_broker_change_what_is_wanted(variant):
    ticks = made_ticks(30_000)
    near = {
        "stop_loss_fraction": 0.0001,
        "take_profit_fraction": 0.00015,
        "minimum_hold_ns": 0,
        "exit_probability": 0.1,
    }
    desk, models = a_run(variant, ticks, ("EURUSD",), (ONE,), **near)
    folded = fold_models(desk(), feature_sets=[ONE], clocks=["m1"], models=models, ticks=ticks)
    reasons = folded.result.fills["reason"].tolist()
    assert reasons.count(REASON_STOP_LOSS) > 5
    assert reasons.count(REASON_TAKE_PROFIT) > 5
    trader = a_trader(desk(), ("EURUSD",), [ONE], models)
    broker = OutsideBroker(desk(), ("EURUSD",))
    published = trade(trader, broker, ticks)
    assert_same(folded, published, broker, trader)


def test_a_bundle_that_has_passed_less_than_the_account_asks_predicts_and_never_orders():
    ticks = made_ticks(12_000)
    desk, models = a_run("netting", ticks, ("EURUSD",), (ONE,))
    shadow = Oracle(
        ONE, models[0].bundle.decision, models[0].bundle.trained_through_ns, "s", "shadow"
    )
    trader = a_trader(desk(), ("EURUSD",), [ONE], [shadow])
    published = trade(trader, OutsideBroker(desk(), ("EURUSD",)), ticks)
    assert len(of(published, "ml.prediction.", Prediction)) > 100
    assert of(published, "trade.order.", OrderRequest) == []


def test_ticks_must_follow_one_another():
    ticks = np.zeros(2, TICK)
    ticks["bid"], ticks["ask"] = 1.1, 1.1001
    ticks["time_ns"] = made_ticks(2)["time_ns"]
    desk, models = a_run("netting", made_ticks(50), ("EURUSD",), (ONE,))
    trader = a_trader(desk(), ("EURUSD",), [ONE], models)
    with pytest.raises(ValueError, match="gap"):
        trader.take(ticks, 0, 2, 0, 0)
