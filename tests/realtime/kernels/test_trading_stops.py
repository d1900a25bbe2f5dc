"""What closes positions without a signal: loss limits, the kill switch, the clock."""

import pytest

from realtime.kernels import codes
from realtime.kernels.trading import needs_decision
from tests.realtime.kernels.desks import DAY, HOUR, NOW, SECOND
from tests.realtime.kernels.floors import EURUSD, USDJPY, XAUUSD, Floor, held_three

MODES = ("netting", "hedging")
LATENCY = {"latency_ns": SECOND // 2}
FRIDAY_CLOSE = NOW + 2 * DAY + 10 * HOUR  # Friday 2023-11-17 17:00 in New York


# --- loss limits and the kill switch ------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("limit", ["max_daily_loss", "max_drawdown"])
def test_a_loss_limit_flattens_every_symbol_at_once(mode, limit) -> None:
    floor = held_three(mode, account_limits={limit: 0.01})
    floor.tick(XAUUSD)
    floor.tick(XAUUSD, 1960.0, 1960.2)  # -1,200 on 100,000
    assert len(floor.positions) == 0
    assert sorted(floor.fills["symbol"].tolist()) == [0, 1, 2]
    code = codes.RISK_DAILY_LOSS if limit == "max_daily_loss" else codes.RISK_DRAWDOWN
    assert (floor.orders["risk_code"] == code).all()
    for row in (EURUSD, USDJPY, XAUUSD):
        floor.signal(0.9, row)
    assert len(floor.positions) == len(floor.working) == 0
    assert (floor.decisions["risk_code"] == code).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_flatten_in_small_orders_goes_on_until_all_is_closed(mode) -> None:
    floor = held_three(mode, limits={"max_order_lots": 0.2})
    floor.desk["risk"]["kill_switch"] = 1
    seen = []
    for _ in range(3):
        floor.tick(EURUSD)
        seen.append([floor.lots(row) for row in range(3)])
    assert seen == [[0.3, -0.3, 0.1], [0.1, -0.1, 0.0], [0.0, 0.0, 0.0]]


@pytest.mark.parametrize("mode", MODES)
def test_a_flatten_goes_on_where_liquidity_is_thin(mode) -> None:
    floor = held_three(mode, costs={"liquidity_lots": 0.2})
    floor.desk["risk"]["kill_switch"] = 1
    seen = []
    for _ in range(3):
        for row in range(3):
            floor.tick(row)
        seen.append(floor.lots(EURUSD))
    assert seen == [0.3, 0.1, 0.0]
    assert codes.STATE_PARTIAL in floor.orders["state"]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("latency_ns", [0, SECOND // 2])
def test_the_kill_switch_flattens_mid_run_and_nothing_opens_after(mode, latency_ns) -> None:
    floor = Floor(account={"mode": mode}, costs={"latency_ns": latency_ns})
    floor.signal(0.7)
    floor.signal(0.3, USDJPY)
    floor.tick()
    floor.tick(USDJPY)
    assert (floor.lots(EURUSD), floor.lots(USDJPY)) == (0.5, -0.5)
    floor.desk["risk"]["kill_switch"] = 1
    floor.tick()
    floor.tick()
    assert len(floor.positions) == 0
    count = len(floor.orders)
    for probability in (0.9, 0.1, 0.9):
        floor.signal(probability)
        floor.signal(probability, USDJPY)
        assert floor.decisions[-1]["allowed_lots"] == 0.0
        assert floor.decisions[-1]["risk_code"] == codes.RISK_KILL_SWITCH
    assert len(floor.orders) == count
    assert len(floor.positions) == len(floor.working) == 0


def test_an_order_in_flight_when_the_kill_switch_is_set_is_closed_after_it_arrived() -> None:
    floor = Floor(costs=LATENCY)
    floor.signal(0.7)
    floor.desk["risk"]["kill_switch"] = 1
    floor.tick()  # arrives, and its close is sent
    floor.tick()
    assert floor.lots() == 0.0
    assert floor.orders["type"].tolist() == [codes.BUY, codes.SELL]


def test_a_flatten_waits_for_a_live_quote_of_the_other_symbol() -> None:
    floor = held_three(limits={"max_tick_age_ns": 5 * SECOND})
    floor.desk["risk"]["kill_switch"] = 1
    floor.tick(EURUSD, after_ns=10 * SECOND)
    assert [floor.lots(row) for row in range(3)] == [0.0, -0.5, 0.3]
    floor.tick(USDJPY)
    assert [floor.lots(row) for row in range(3)] == [0.0, 0.0, 0.3]


def test_after_a_flatten_the_cool_down_runs() -> None:
    floor = Floor(decision={"cool_down_ns": 10 * SECOND})
    floor.signal(0.7)
    floor.desk["risk"]["kill_switch"] = 1
    floor.tick()
    floor.desk["risk"]["kill_switch"] = 0
    floor.signal(0.7)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_COOL_DOWN
    assert floor.lots() == 0.0


# --- the clock ----------------------------------------------------------------------------------


def near(moment_ns, **decision):
    """A floor with a long, a second before the half hour before a moment."""
    floor = Floor(decision=decision)
    floor.hold(EURUSD, 0.5)
    floor.tick(after_ns=moment_ns - HOUR // 2 - SECOND - floor.now_ns)
    assert floor.lots() == 0.5
    return floor


@pytest.mark.parametrize(
    ("rule", "moment_ns", "code"),
    [
        ("flat_before_weekend_ns", FRIDAY_CLOSE, codes.DECISION_FLAT_BEFORE_WEEKEND),
        ("flat_before_rollover_ns", NOW + 10 * HOUR, codes.DECISION_FLAT_BEFORE_ROLLOVER),
    ],
)
def test_a_position_is_closed_in_time_without_a_signal(rule, moment_ns, code) -> None:
    floor = near(moment_ns, **{rule: HOUR // 2})
    floor.tick()
    assert floor.lots() == 0.0
    (decision,) = floor.decisions
    assert decision["decision_code"] == code
    assert len(floor.samples) == 0
    floor.tick()
    assert len(floor.decisions) == 1  # flat: nothing more to decide
    assert not needs_decision(floor.desk, EURUSD, floor.now_ns)
    floor.signal(0.9)
    assert floor.lots() == 0.0


def test_over_the_weekend_a_position_stays_without_the_rule() -> None:
    floor = near(FRIDAY_CLOSE)
    floor.tick(after_ns=HOUR // 2)
    assert floor.lots() == 0.5
    assert len(floor.decisions) == 0


def test_a_close_before_the_weekend_that_travels_is_sent_once() -> None:
    floor = Floor(costs=LATENCY, decision={"flat_before_weekend_ns": HOUR // 2})
    floor.hold(EURUSD, 0.5)
    floor.tick(after_ns=FRIDAY_CLOSE - HOUR // 2 - floor.now_ns)
    floor.tick(after_ns=SECOND // 4)
    assert len(floor.working) == 1
    assert floor.decisions["risk_code"].tolist() == [codes.RISK_OK, codes.RISK_ORDER_IN_FLIGHT]
    floor.tick()
    assert floor.lots() == 0.0


def test_in_a_closed_market_nothing_is_sent_and_the_position_waits() -> None:
    floor = Floor()
    floor.hold(EURUSD, 0.5)
    floor.desk["risk"]["kill_switch"] = 1
    floor.tick(after_ns=FRIDAY_CLOSE + HOUR - floor.now_ns)
    floor.signal(0.1)
    assert floor.lots() == 0.5
    assert len(floor.orders) == len(floor.working) == 0
    assert floor.decisions[-1]["risk_code"] == codes.RISK_SESSION_CLOSED
