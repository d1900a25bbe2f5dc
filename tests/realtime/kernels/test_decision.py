"""Every outcome of the decision has its reason; sizes and edges are the textbook's."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from realtime.kernels import codes
from realtime.kernels.codes import DECISION_NAMES
from realtime.kernels.decision import (
    decision_exit_step,
    decision_fold,
    decision_step,
    expected_edge,
    round_trip_cost,
)
from realtime.kernels.layout import DAY, DECISION, DECISION_STATE, QUOTE, SPEC
from realtime.kernels.sizing import kelly_leverage, size_lots, whole_lots
from tests.realtime.kernels.desks import (
    HOUR,
    NOW,
    SECOND,
    SETS,
    a_desk,
    a_signal,
    decision_inputs,
    decisions_of,
    decisions_step_by_step,
    params_of,
)
from tests.realtime.kernels.tick_streams import same_bits, without_compiler

LOT = 110_000.0


class Desk:
    """One symbol's decision, asked question after question."""

    def __init__(self, **params) -> None:
        self.params = params_of(**params)
        self.state = np.zeros(1, DECISION_STATE)[0]
        self.spec = np.zeros(1, SPEC)[0]
        self.spec["point"] = 0.00001
        self.spec["volume_min"] = self.spec["volume_step"] = 0.01
        self.quote = np.zeros(1, QUOTE)[0]
        self.quote["bid"], self.quote["ask"] = 1.09995, 1.10005
        self.day = np.zeros(1, DAY)[0]
        self.day["end_ns"], self.day["long_close_ns"] = NOW + 10 * HOUR, NOW + 58 * HOUR
        self.out = np.zeros(1, DECISION)[0]

    def ask(self, probability, *, at=0, volatility=0.1, equity=10_000.0, lot=LOT):
        """Name of the outcome and target."""
        code = decision_step(
            self.params, self.state, a_signal(probability, volatility), self.spec, self.quote,
            self.day, equity, lot, NOW + at, self.out,
        )  # fmt: skip
        assert self.out["decision_code"] == code
        assert self.out["time_ns"] == NOW + at
        return DECISION_NAMES[code], float(self.out["target_lots"])


# name: (parameters, questions as (time, probability) and what must come of them)
STORIES = {
    "a long is entered at the upper threshold and left below the lower one": (
        {},
        [(0, 0.59, "below_threshold", 0.0), (1, 0.6, "enter_long", 0.5), (2, 0.55, "hold", 0.5),
         (3, 0.5, "hold", 0.5), (4, 0.49, "exit_signal", 0.0), (5, 0.59, "below_threshold", 0.0)],
    ),
    "a short is the mirror of it": (
        {},
        [(0, 0.41, "below_threshold", 0.0), (1, 0.4, "enter_short", -0.5), (2, 0.45, "hold", -0.5),
         (3, 0.5, "hold", -0.5), (4, 0.51, "exit_signal", 0.0)],
    ),
    "a signal on the other side reverses": (
        {}, [(0, 0.7, "enter_long", 0.5), (1, 0.2, "reverse", -0.5), (2, 0.8, "reverse", 0.5)],
    ),
    "with a cool-down a reversal is an exit and waits": (
        {"cool_down_ns": 10 * SECOND},
        [(0, 0.7, "enter_long", 0.5), (1, 0.2, "exit_signal", 0.0), (10, 0.2, "cool_down", 0.0),
         (11, 0.2, "enter_short", -0.5)],
    ),
    "the minimum hold delays exits and reversals": (
        {"minimum_hold_ns": 10 * SECOND},
        [(0, 0.7, "enter_long", 0.5), (1, 0.45, "minimum_hold", 0.5), (9, 0.1, "minimum_hold", 0.5),
         (10, 0.1, "reverse", -0.5), (19, 0.9, "minimum_hold", -0.5), (20, 0.55, "exit_signal", 0)],
    ),
    "a side that is not allowed is never entered": (
        {"allow_short": False}, [(0, 0.1, "below_threshold", 0.0), (1, 0.9, "enter_long", 0.5),
                                 (2, 0.1, "exit_signal", 0.0)],
    ),
    "no view at one half where both thresholds meet": (
        {"enter_probability": 0.5}, [(0, 0.5, "below_threshold", 0.0), (1, 0.51, "enter_long", 0.5),
                                     (2, 0.5, "hold", 0.5), (3, 0.49, "reverse", -0.5)],
    ),
    "what is held stays held while the signal is not ready": (
        {},
        [(0, math.nan, "not_ready", 0.0), (1, 0.7, "enter_long", 0.5),
         (2, math.nan, "not_ready", 0.5), (3, 1.01, "not_ready", 0.5),
         (4, -0.01, "not_ready", 0.5), (5, 0.5, "hold", 0.5)],
    ),
    "flat before the weekend, without a signal, and nothing is opened": (
        {"flat_before_weekend_ns": HOUR, "minimum_hold_ns": 100 * HOUR},
        [(0, 0.7, "enter_long", 0.5), (57 * 3600 - 1, 0.7, "hold", 0.5),
         (57 * 3600, math.nan, "flat_before_weekend", 0.0),
         (57 * 3600 + 1, 0.9, "flat_before_weekend", 0.0)],
    ),
    "flat before rollover": (
        {"flat_before_rollover_ns": HOUR},
        [(0, 0.2, "enter_short", -0.5), (9 * 3600, 0.2, "flat_before_rollover", 0.0),
         (9 * 3600 + 1, 0.2, "flat_before_rollover", 0.0)],
    ),
    "an edge below its cost opens nothing": (
        {"edge_cost_ratio": 1.0, "gain_fraction": 0.0004, "loss_fraction": 0.0004},
        # edge 0.0004 * (2 p - 1), cost 0.0001 / 1.1 = 0.0000909
        [(0, 0.61, "edge_below_cost", 0.0), (1, 0.62, "enter_long", 0.5),
         (2, 0.39, "exit_signal", 0.0), (3, 0.38, "enter_short", -0.5)],
    ),
    "a size below the smallest volume is no position": (
        {"sizing": "volatility_target", "target_volatility": 0.01},
        [(0, 0.7, "size_below_minimum", 0.0)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_stories(name) -> None:
    params, questions = STORIES[name]
    desk = Desk(**params)
    for at, probability, outcome, target in questions:
        assert desk.ask(probability, at=at * SECOND) == (outcome, target), at


def test_the_stories_and_resizing_reach_every_code() -> None:
    reached = {row[2] for _, questions in STORIES.values() for row in questions}
    assert reached | {"resize"} == set(DECISION_NAMES.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"equity": math.nan}, {"equity": 0.0}, {"equity": -5.0}, {"equity": math.inf},
        {"lot": math.nan}, {"lot": 0.0}, {"lot": math.inf},
    ],
)  # fmt: skip
def test_without_equity_or_conversion_nothing_changes(changes) -> None:
    desk = Desk()
    assert desk.ask(0.9, **changes) == ("not_ready", 0.0)
    desk.ask(0.9)
    before = desk.state.tobytes()
    assert desk.ask(0.1, **changes) == ("not_ready", 0.5)
    assert desk.state.tobytes() == before
    assert math.isnan(desk.out["edge"])
    assert math.isnan(desk.out["cost"])


@pytest.mark.parametrize(
    ("bid", "ask"), [(math.nan, 1.1), (1.1, math.nan), (0.0, 1.1), (1.1, 1.0), (1.1, math.inf)]
)
def test_without_a_valid_quote_nothing_changes(bid, ask) -> None:
    desk = Desk()
    desk.quote["bid"], desk.quote["ask"] = bid, ask
    assert desk.ask(0.9) == ("not_ready", 0.0)


def test_an_exit_needs_no_volatility_but_an_entry_by_volatility_does() -> None:
    desk = Desk(sizing="volatility_target", resize_fraction=0.1)
    assert desk.ask(0.9, volatility=math.nan) == ("not_ready", 0.0)
    assert desk.ask(0.9, volatility=0.0) == ("not_ready", 0.0)
    assert desk.ask(0.9, volatility=0.1) == ("enter_long", 0.09)
    assert desk.ask(0.9, volatility=math.nan) == ("not_ready", 0.09)
    assert desk.ask(0.1, volatility=math.nan) == ("exit_signal", 0.0)


def test_a_position_is_resized_when_its_size_moved_enough_and_closed_when_too_small() -> None:
    desk = Desk(sizing="volatility_target", resize_fraction=0.2, max_leverage=50.0)
    assert desk.ask(0.9, volatility=0.02) == ("enter_long", 0.45)
    assert desk.ask(0.9, volatility=0.024) == ("hold", 0.45)  # 0.37
    assert desk.ask(0.9, volatility=0.026) == ("resize", 0.34)
    assert desk.ask(0.9, volatility=0.02) == ("resize", 0.45)
    assert desk.ask(0.9, volatility=2.0) == ("size_below_minimum", 0.0)
    assert desk.state["direction"] == 0


def test_a_position_too_small_now_waits_for_the_minimum_hold() -> None:
    desk = Desk(sizing="volatility_target", resize_fraction=0.2, minimum_hold_ns=SECOND)
    desk.ask(0.9)
    assert desk.ask(0.9, volatility=2.0) == ("minimum_hold", 0.09)
    assert desk.ask(0.9, volatility=2.0, at=SECOND) == ("size_below_minimum", 0.0)


def test_after_a_stop_the_decision_wants_nothing_until_its_cool_down_is_over() -> None:
    desk = Desk(cool_down_ns=10 * SECOND)
    desk.ask(0.9)
    decision_exit_step(desk.state, NOW + SECOND)
    assert desk.ask(0.9, at=2 * SECOND) == ("cool_down", 0.0)
    assert desk.ask(0.9, at=11 * SECOND) == ("enter_long", 0.5)


# --- formulas -----------------------------------------------------------------------------------


def test_the_edge_of_a_long_and_of_a_short() -> None:
    assert expected_edge(0.6, 1, 0.01, 0.02) == pytest.approx(0.6 * 0.01 - 0.4 * 0.02)
    assert expected_edge(0.3, -1, 0.01, 0.02) == pytest.approx(0.7 * 0.01 - 0.3 * 0.02)


def test_the_cost_of_a_round_trip_is_what_two_deals_pay() -> None:
    desk = Desk()
    spec, quote = desk.spec, desk.quote
    assert round_trip_cost(spec, quote, 2.0, LOT) == pytest.approx(0.0001 / 1.1)
    spec["commission_mode"], spec["commission_rate"] = codes.COMMISSION_PER_LOT, 3.5
    assert round_trip_cost(spec, quote, 2.0, LOT) == pytest.approx(0.0001 / 1.1 + 7 / 110_000)
    spec["commission_mode"], spec["commission_rate"] = codes.COMMISSION_OF_NOTIONAL, 0.00005
    assert round_trip_cost(spec, quote, 2.0, LOT) == pytest.approx(0.0001 / 1.1 + 0.0001)
    spec["commission_mode"] = codes.COMMISSION_NONE
    spec["slippage_points"], spec["slippage_points_per_lot"] = 3.0, 1.0
    spec["slippage_spread_fraction"] = 0.1
    slippage = (3 + 2 * 1) * 0.00001 + 0.1 * 0.0001
    cost = (0.0001 + 2 * slippage) / 1.1
    assert round_trip_cost(spec, quote, 2.0, LOT) == pytest.approx(cost)


@given(st.floats(0.01, 0.99), st.floats(0.001, 0.1), st.floats(0.001, 0.1))
def test_kelly_leverage_maximises_expected_log_growth(p, gain, loss) -> None:
    leverage = kelly_leverage(p, gain, loss)

    def growth(f):
        return p * math.log1p(f * gain) + (1 - p) * math.log1p(-f * loss)

    if leverage == 0.0:
        assert p * gain <= (1 - p) * loss + 1e-12
        return
    best: Any = minimize_scalar(
        lambda f: -growth(f), bounds=(0, (1 - 1e-9) / loss), method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    assert leverage == pytest.approx(best.x, rel=1e-3, abs=1e-3 / loss)
    assert growth(leverage) >= -best.fun - 1e-12


def test_a_worked_kelly_bet() -> None:
    # 60% to win or lose 1%: 0.6 / 0.01 - 0.4 / 0.01 = 20 times equity; a quarter of it is 5.
    assert kelly_leverage(0.6, 0.01, 0.01) == pytest.approx(20.0)
    desk = Desk(sizing="kelly", kelly_fraction=0.25, gain_fraction=0.01, loss_fraction=0.01)
    assert desk.ask(0.6) == ("enter_long", 0.45)  # 50,000 / 110,000
    desk = Desk(sizing="kelly", kelly_fraction=0.25, gain_fraction=0.01, loss_fraction=0.01)
    assert desk.ask(0.4) == ("enter_short", -0.45)
    assert kelly_leverage(0.5, 0.01, 0.01) == 0.0
    assert kelly_leverage(0.9, 0.0, 0.01) == 0.0


@given(
    st.sampled_from(["fixed", "volatility_target", "kelly"]),
    st.floats(0, 1),
    st.floats(1e-6, 5),
    st.floats(1, 1e9),
    st.floats(1e-3, 1e9),
    st.sampled_from([0.01, 0.1, 1.0, 0.15, 10.0]),
)
def test_a_size_is_on_the_grid_and_within_the_leverage_asked_for(
    sizing, probability, volatility, equity, lot, step
) -> None:
    params = params_of(sizing=sizing, max_leverage=3.0, fixed_lots=7.77)
    spec = np.zeros(1, SPEC)[0]
    spec["volume_step"] = step
    lots = size_lots(params, probability, volatility, spec, equity, lot)
    assert 0.0 <= lots <= 3.0 * equity / lot + 1e-8 * step + 1e-9 * lots
    if lots / step < 1e9:
        assert abs(lots / step - round(lots / step)) < 1e-6


@given(st.floats(-1e6, 1e6), st.sampled_from([0.01, 0.1, 1.0, 0.001, 0.25, 10.0]))
def test_whole_lots_round_toward_zero_by_less_than_a_step(lots, step) -> None:
    rounded = whole_lots(lots, step)
    assert rounded * lots >= 0.0
    assert abs(rounded) <= abs(lots) + 2e-9 * step + 1e-9
    assert abs(lots) - abs(rounded) < step * (1 + 1e-9)
    assert whole_lots(rounded, step) == rounded


@pytest.mark.parametrize("steps", range(0, 500, 7))
def test_whole_lots_are_decimals(steps) -> None:
    assert whole_lots(steps * 0.01, 0.01) == float(f"{steps / 100:.2f}")
    assert whole_lots(-(steps * 0.1), 0.1) == -float(f"{steps / 10:.1f}")


# --- properties -----------------------------------------------------------------------------------


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(SETS)))
def test_what_every_decision_keeps_to(seed, name) -> None:
    count = 300
    out, _ = decisions_step_by_step(seed, SETS[name], count)
    params = params_of(**SETS[name])
    held, entered_ns, exited_ns = 0.0, 0, 0
    for row in out:
        target, now_ns = float(row["target_lots"]), int(row["time_ns"])
        outcome = DECISION_NAMES[int(row["decision_code"])]
        flat_rule = outcome.startswith("flat_before")
        changed = target != held
        assert changed == (
            outcome in {"enter_long", "enter_short", "exit_signal", "reverse", "resize"}
            or (outcome in {"size_below_minimum"} and held != 0.0)
            or (flat_rule and held != 0.0)
        )
        entered = target != 0.0 and np.sign(target) != np.sign(held)
        left = held != 0.0 and np.sign(target) != np.sign(held)
        if left and not flat_rule:
            assert now_ns - entered_ns >= params["minimum_hold_ns"]
        if entered:
            assert held != 0.0 or exited_ns == 0 or now_ns - exited_ns >= params["cool_down_ns"]
            p = float(row["probability"])
            assert (p if target > 0 else 1 - p) >= params["enter_probability"]
            if params["edge_cost_ratio"] > 0:
                assert row["edge"] > params["edge_cost_ratio"] * row["cost"]
            entered_ns = now_ns
        if left:
            exited_ns = now_ns
        held = target


@given(st.integers(0, 2**32 - 1), st.sampled_from(sorted(SETS)))
def test_a_step_equals_the_fold_bit_for_bit(seed, name) -> None:
    out, returned = decisions_step_by_step(seed, SETS[name], 200)
    at = list(SETS).index(name)
    folded = decisions_of([seed], 200)[200 * at : 200 * (at + 1)]
    assert same_bits(out, folded)
    assert returned == out["decision_code"].tolist()


def test_a_fold_over_truncated_history_is_a_prefix_of_the_whole() -> None:
    signals, quotes, now_ns, equity, notional = decision_inputs(7, 2000)
    desk = a_desk(end_ns=int(now_ns[-1]))
    rows = (
        np.searchsorted(desk["days"]["start_ns"][: desk["specs"][0]["last_day"]], now_ns, "right")
        - 1
    )

    def folded(count):
        out = np.zeros(count, DECISION)
        decision_fold(
            params_of(**SETS["volatility"]), np.zeros(1, DECISION_STATE)[0], signals[:count],
            desk["specs"][0], quotes[:count], desk["days"], rows[:count], equity[:count],
            notional[:count], now_ns[:count], out,
        )  # fmt: skip
        return out

    whole = folded(2000)
    for count in np.linspace(0, 2000, 20, dtype=int):
        assert same_bits(folded(count), whole[:count])


def test_compiled_and_plain_python_give_the_same_bits(tmp_path) -> None:
    seeds = np.arange(8)
    compiled = decisions_of(seeds)
    assert len(set(compiled["decision_code"].tolist())) >= 12
    assert same_bits(compiled, without_compiler(decisions_of, seeds, tmp_path))
