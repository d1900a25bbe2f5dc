"""Random accounts and questions: what risk allows exceeds no limit, closing stays possible."""

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels import codes
from realtime.kernels.exposure import hedged_lots, lot_notional, net_lots, working_lots
from realtime.kernels.risk import record_order_step, risk_step
from tests.realtime.kernels.desks import (
    DAY,
    EURGBP,
    EURUSD,
    MIDS,
    NOW,
    USDJPY,
    ask_risk,
    random_desk,
    random_question,
    risk_answers_of,
    stale_signal,
)
from tests.realtime.kernels.tick_streams import same_bits, without_compiler

SEEDS = st.integers(0, 2**32 - 1)
FLATTENING = {codes.RISK_KILL_SWITCH, codes.RISK_DAILY_LOSS, codes.RISK_DRAWDOWN}
MARKET = {
    codes.RISK_BAD_INPUT,
    codes.RISK_SESSION_CLOSED,
    codes.RISK_TICK_STALE,
    codes.RISK_ORDER_IN_FLIGHT,
    codes.RISK_BROKER_REFUSED,
}


def notional_after(desk, allowed):
    """Gross and net notional if `allowed` and all working orders that add were filled: by hand."""
    lot = [lot_notional(desk, row) for row in range(4)]
    count = desk["account"]["open_positions"]
    gross = sum(p["volume_lots"] * lot[p["symbol"]] for p in desk["positions"][:count])
    signed = [0.0] * 4
    for position in desk["positions"][:count]:
        signed[position["symbol"]] += position["side"] * position["volume_lots"]
    held, kept = signed[EURUSD], sum(signed[r] * lot[r] for r in (1, 2, 3))
    gross += (abs(allowed) - abs(held)) * lot[EURUSD]
    side = 1 if allowed > 0 else -1
    for order in desk["orders"][: desk["account"]["open_orders"]]:
        row, buys = order["symbol"], order["type"] in (0, 2, 4)
        lots = order["volume_lots"] if buys else -order["volume_lots"]
        if row != EURUSD:
            gross += max(abs(signed[row] + lots) - abs(signed[row]), 0) * lot[row]
        elif (lots > 0) == (side > 0):
            gross += abs(lots) * lot[row]
        if (lots > 0) == (side > 0):
            kept += lots * lot[row]
    return gross, side * (kept + allowed * lot[EURUSD])


def margin_after(desk, held, allowed):
    """Margin of a netting forex account after the order, by hand."""
    account = desk["account"]
    per_lot = 100_000 / account["leverage"]
    side = 1 if allowed > 0 else -1

    def rate(row, side):
        quoted = desk["quotes"][EURUSD if row == EURGBP else row]
        return 1.0 if row == USDJPY else float(quoted["ask"] if side > 0 else quoted["bid"])

    total = 0.0
    for position in desk["positions"][: account["open_positions"]]:
        if position["symbol"] != EURUSD or held * allowed > 0:
            total += position["volume_lots"] * per_lot * position["margin_rate"]
    opened = abs(allowed) - (abs(held) if held * allowed > 0 else 0.0)
    total += opened * per_lot * rate(EURUSD, side)
    for order in desk["orders"][: account["open_orders"]]:
        row, buys = order["symbol"], order["type"] in (0, 2, 4)
        lots = order["volume_lots"] if buys else -order["volume_lots"]
        net = net_lots(desk, row)
        added = max(abs(net + lots) - abs(net), 0.0)
        total += added * per_lot * rate(row, 1 if buys else -1)
    return total


@given(SEEDS)
def test_what_is_allowed_exceeds_no_limit_and_lies_between_position_and_target(seed) -> None:
    rng = np.random.default_rng(seed)
    desk = random_desk(rng)
    target, price, signal, now_ns = random_question(rng)
    held = net_lots(desk, EURUSD)
    margin = float(desk["account"]["margin"])
    allowed, code = ask_risk(desk, target, price=price, signal=signal, now_ns=now_ns)
    assert math.isfinite(allowed)
    assert desk["account"]["margin"] == margin
    goal = 0.0 if code in FLATTENING else target
    if code in MARKET and (math.isnan(target) or math.isinf(target)):
        goal = held
    assert min(held, goal) - 1e-12 <= allowed <= max(held, goal) + 1e-12
    limits, spec = desk["limits"][EURUSD], desk["specs"][EURUSD]
    change = abs(allowed - held)
    step = float(spec["volume_step"])
    if limits["max_order_lots"] > 0:
        assert change <= limits["max_order_lots"] + 1e-9 * step
    assert change <= spec["volume_max"] + 1e-9 * step
    assert allowed == 0.0 or abs(change / step - round(change / step)) < 1e-6
    if code == codes.RISK_OK:
        assert abs(allowed - target) <= 1e-9 * step
    if abs(allowed) > abs(held) or held * allowed < 0:
        assert_opening_is_within_limits(desk, held, allowed, price)


def assert_opening_is_within_limits(desk, held, allowed, price) -> None:
    limits, account_limits = desk["limits"][EURUSD], desk["account_limits"]
    equity = float(desk["account"]["equity"])
    slack = 1e-9 * float(desk["specs"][EURUSD]["volume_step"])
    money = slack * lot_notional(desk, EURUSD) + 1e-9 * equity
    if limits["max_position_lots"] > 0:
        assert abs(allowed) <= limits["max_position_lots"] + slack
    volume_limit = desk["specs"][EURUSD]["volume_limit"]
    if volume_limit > 0:
        side = 1 if allowed > 0 else -1
        volume = abs(allowed) + hedged_lots(desk, EURUSD) + working_lots(desk, EURUSD, side)
        assert volume <= volume_limit + slack
    gross, net = notional_after(desk, allowed)
    if account_limits["max_gross_leverage"] > 0:
        assert gross <= account_limits["max_gross_leverage"] * equity + money
    if account_limits["max_net_leverage"] > 0:
        assert net <= account_limits["max_net_leverage"] * equity + money
    if account_limits["max_margin_use"] > 0 and desk["account"]["mode"] == codes.NETTING:
        used = margin_after(desk, held, allowed)
        assert used <= account_limits["max_margin_use"] * equity + money
    if limits["max_spread_points"] > 0:
        assert limits["max_spread_points"] >= 10.0
    if limits["collar_fraction"] > 0:
        assert abs(price / MIDS[EURUSD] - 1) <= limits["collar_fraction"] + 1e-12


@given(SEEDS)
def test_what_was_allowed_is_allowed_in_full_when_asked_for(seed) -> None:
    rng = np.random.default_rng(seed)
    desk = random_desk(rng)
    target, price, signal, now_ns = random_question(rng)
    first, code = ask_risk(desk, target, price=price, signal=signal, now_ns=now_ns)
    again, second = ask_risk(desk, first, price=price, signal=signal, now_ns=now_ns)
    assert again == first
    if code not in FLATTENING:
        assert second == codes.RISK_OK


@given(SEEDS, st.floats(0, 1))
def test_closing_is_always_possible_in_a_live_market(seed, part) -> None:
    desk = random_desk(np.random.default_rng(seed))
    desk["account"]["open_orders"] = 0
    desk["limits"]["max_order_lots"] = 0.0
    desk["specs"]["volume_max"] = 1000.0
    desk["risk"]["clock_offset_ns"] = DAY
    for _ in range(3):
        record_order_step(desk["risk"], NOW)
    held = net_lots(desk, EURUSD)
    target = held * part
    allowed, code = ask_risk(desk, target, price=2.0, signal=stale_signal())
    step = float(desk["specs"][EURUSD]["volume_step"])
    assert abs(target) - 1e-9 <= abs(allowed) < abs(target) + step
    assert code in (codes.RISK_OK, codes.RISK_VOLUME_STEP)
    assert ask_risk(desk, 0.0, price=math.nan, signal=stale_signal()) == (0.0, codes.RISK_OK)


@given(SEEDS)
def test_a_step_equals_the_fold_bit_for_bit(seed) -> None:
    rng = np.random.default_rng(seed)
    desk = random_desk(rng)
    target, price, signal, now_ns = random_question(rng)
    answer = risk_step(desk, EURUSD, target, price, signal, now_ns)
    folded = risk_answers_of([seed])[0]
    risk = desk["risk"]
    assert np.array([answer[0]]).tobytes() == np.array([folded["allowed"]]).tobytes()
    assert (answer[1], risk["latches"], risk["peak_equity"]) == tuple(folded)[1:]


def test_compiled_and_plain_python_give_the_same_bits(tmp_path) -> None:
    seeds = np.arange(400)
    compiled = risk_answers_of(seeds)
    assert len(set(compiled["code"].tolist())) > 12
    assert same_bits(compiled, without_compiler(risk_answers_of, seeds, tmp_path))
