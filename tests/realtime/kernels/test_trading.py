"""From signals to orders, by hand: what is sent, what is refused, what is closed and when."""

import math

import numpy as np
import pytest

from realtime.kernels import codes
from tests.realtime.kernels.desks import DAY, SECOND
from tests.realtime.kernels.floors import EURUSD, USDJPY, XAUUSD, Floor, held_three, ids_of

MODES = ("netting", "hedging")
LATENCY = {"latency_ns": SECOND // 2}


@pytest.mark.parametrize("mode", MODES)
def test_a_signal_becomes_a_decision_an_order_and_a_fill_on_the_same_tick(mode) -> None:
    floor = Floor(account={"mode": mode}, decision={"stop_loss_fraction": 0.001})
    floor.signal(0.7)
    (decision,), (order,), (fill,), (sample,) = (
        floor.decisions, floor.orders, floor.fills, floor.samples,
    )  # fmt: skip
    assert decision["decision_code"] == codes.DECISION_ENTER_LONG
    assert decision["target_lots"] == decision["allowed_lots"] == 0.5
    assert (order["type"], order["volume_lots"], order["price"]) == (codes.BUY, 0.5, 1.10010)
    assert order["created_ns"] == order["arrives_ns"] == fill["time_ns"] == floor.now_ns
    assert (fill["price"], fill["order_id"]) == (1.10010, order["id"])
    assert sample["position_lots"] == 0.5
    # 0.5 lots, bought at 1.10010, worth 1.10000: -5.00
    assert sample["equity"] == 99_995.0
    assert ids_of(floor) == [1, 2]


@pytest.mark.parametrize("probability", [0.7, 0.3])
def test_stop_loss_and_take_profit_are_decimal_prices_on_the_grid(probability) -> None:
    """1.10010 * 0.999 = 1.0989999 lies at 1.09900: the double that a quote has, too."""
    floor = Floor(decision={"stop_loss_fraction": 0.001, "take_profit_fraction": 0.002})
    floor.signal(probability)
    (position,) = floor.positions
    price, side = (1.10010, 1) if probability > 0.5 else (1.10000, -1)
    assert position["stop_loss"] == round(price * (1 - side * 0.001), 5)
    assert position["take_profit"] == round(price * (1 + side * 0.002), 5)


@pytest.mark.parametrize("points", range(100, 160, 7))
def test_a_bid_at_the_printed_stop_loss_closes_the_position(points) -> None:
    floor = Floor(decision={"stop_loss_fraction": points * 1e-5})
    floor.signal(0.7)
    level = round(float(floor.positions[0]["stop_loss"]), 5)
    floor.tick(bid=level, ask=level + 0.0001)
    assert floor.lots() == 0.0
    assert floor.fills[-1]["reason"] == codes.REASON_STOP_LOSS


def test_an_order_that_the_broker_refuses_is_written_down_with_its_retcode() -> None:
    """A stop nearer than the spread is on the wrong side of the bid."""
    floor = Floor(decision={"stop_loss_fraction": 0.00002})
    floor.signal(0.7)
    (order,) = floor.orders
    assert order["state"] == codes.STATE_REJECTED
    assert order["retcode"] == codes.INVALID_STOPS
    assert (order["volume_lots"], order["filled_lots"]) == (0.5, 0.0)
    assert order["decision_code"] == codes.DECISION_ENTER_LONG
    assert order["stop_loss"] == 1.10008
    assert len(floor.fills) == len(floor.positions) == len(floor.working) == 0
    floor.signal(0.7)  # still wanted: tried again, under the next number
    assert ids_of(floor) == [1, 2]


def test_without_room_for_an_order_the_refusal_is_written_down() -> None:
    floor = Floor()
    floor.desk["order_capacity"] = 0
    floor.signal(0.7)
    assert floor.orders["retcode"].tolist() == [codes.LIMIT_ORDERS]


def test_a_refused_order_does_not_count_for_the_order_rate() -> None:
    floor = Floor(decision={"stop_loss_fraction": 0.00002})
    floor.signal(0.7)
    assert floor.desk["risk"]["order_count"] == 0


def test_sent_orders_count_for_the_order_rate_and_closing_is_still_allowed() -> None:
    limits = {"max_orders": 2, "rate_window_ns": 60 * SECOND}
    floor = Floor(account_limits=limits)
    for probability in (0.7, 0.55, 0.45, 0.3):
        floor.signal(probability)
    assert floor.decisions["risk_code"].tolist() == [0, 0, 0, codes.RISK_ORDER_RATE]
    assert (len(floor.orders), floor.lots()) == (2, 0.0)
    floor.signal(0.3, after_ns=60 * SECOND)
    assert floor.lots() == -0.5
    floor.signal(0.3, USDJPY)  # the account's limit, not the symbol's
    floor.signal(0.3, XAUUSD)
    assert (floor.lots(USDJPY), floor.lots(XAUUSD)) == (-0.5, 0.0)
    floor.signal(0.6)
    assert floor.lots() == 0.0


# --- changing sides -----------------------------------------------------------------------------


def test_a_netting_account_reverses_with_one_order() -> None:
    floor = Floor()
    floor.signal(0.7)
    floor.signal(0.3)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_REVERSE
    assert floor.orders["volume_lots"].tolist() == [0.5, 1.0]
    assert floor.fills["entry"].tolist() == [codes.ENTRY_IN, codes.ENTRY_INOUT]
    assert floor.lots() == -0.5


def test_a_hedging_account_closes_the_opposite_positions_oldest_first_and_then_opens() -> None:
    floor = Floor(account={"mode": "hedging"})
    for lots in (0.1, 0.3, 0.2):
        floor.hold(EURUSD, lots)
    floor.signal(0.3)
    assert floor.orders["volume_lots"].tolist() == [0.1, 0.3, 0.2, 0.5]
    assert floor.orders["position_id"].tolist() == [1, 2, 3, -1]
    assert (floor.orders["type"] == codes.SELL).all()
    assert floor.positions["side"].tolist() == [-1]
    assert floor.lots() == -0.5


def test_a_hedging_account_reduces_the_oldest_first_and_never_holds_both_sides() -> None:
    floor = Floor(account={"mode": "hedging"}, limits={"max_order_lots": 0.25})
    for lots in (0.1, 0.3, 0.2):
        floor.hold(EURUSD, lots)
    seen = []
    for _ in range(5):
        floor.signal(0.3)
        sides = set(floor.positions["side"].tolist())
        assert len(sides) == 1
        seen.append(floor.lots())
    assert seen == [0.35, 0.1, -0.15, -0.4, -0.5]
    assert floor.orders["volume_lots"].tolist()[:2] == [0.1, 0.15]
    assert floor.decisions["risk_code"].tolist() == [codes.RISK_ORDER_SIZE] * 4 + [codes.RISK_OK]


def test_volumes_of_many_positions_leave_no_dust_behind() -> None:
    """0.55 - 0.31 - 0.24 is not 0 in floating point: an order of 3e-17 lots used to be sent."""
    floor = Floor(account={"mode": "hedging"})
    for lots in (0.31, 0.24, 0.2):
        floor.hold(EURUSD, lots)
    floor.desk["limits"]["max_order_lots"] = 0.55
    floor.signal(0.55 - 0.06)
    assert floor.orders["volume_lots"].tolist() == [0.31, 0.24]
    assert (floor.orders["retcode"] == codes.DONE).all()


@pytest.mark.parametrize("mode", MODES)
def test_a_position_off_the_volume_grid_is_closed_whole(mode) -> None:
    """What a partial fill left may be less than the smallest order: it is closed by its number."""
    floor = Floor(account={"mode": mode})
    floor.hold(EURUSD, 0.004)
    floor.signal(0.45)
    assert floor.lots() == 0.0
    assert floor.orders["position_id"].tolist() == [1]


def test_the_position_of_another_symbol_is_left_alone() -> None:
    floor = Floor(account={"mode": "hedging"})
    floor.hold(USDJPY, 0.3)
    floor.hold(EURUSD, 0.2)
    floor.signal(0.3)
    assert floor.lots(USDJPY) == 0.3
    assert floor.lots(EURUSD) == -0.5


# --- orders in flight ---------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
def test_an_order_in_flight_is_not_sent_twice(mode) -> None:
    floor = Floor(account={"mode": mode}, costs=LATENCY)
    floor.signal(0.7)
    floor.signal(0.7, after_ns=SECOND // 4)
    assert len(floor.working) == 1
    assert floor.decisions["risk_code"].tolist() == [codes.RISK_OK, codes.RISK_ORDER_IN_FLIGHT]
    floor.tick()
    assert floor.lots() == 0.5
    assert len(floor.orders) == 1


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("probability", "after"), [(0.55, 0.0), (0.3, -0.5)])
def test_a_close_that_a_stop_loss_overtook_opens_nothing(mode, probability, after) -> None:
    """The order was sent before the stop was reached: it must not sell what is gone."""
    floor = Floor(
        account={"mode": mode},
        costs=LATENCY,
        decision={"stop_loss_fraction": 0.001, "exit_probability": 0.6},
    )
    floor.signal(0.7)
    floor.tick()
    assert floor.lots() == 0.5
    floor.signal(probability)  # leave, or turn
    floor.tick(bid=1.09, ask=1.0901, after_ns=SECOND // 4)  # the stop is reached first
    assert floor.fills[-1]["reason"] == codes.REASON_STOP_LOSS
    assert floor.lots() == 0.0
    floor.tick()
    assert floor.orders[-1 if after == 0.0 else -2]["retcode"] == codes.POSITION_CLOSED
    assert floor.lots() == after


# --- stops and what is wanted afterwards --------------------------------------------------------


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("reason", "bid"), [(codes.REASON_STOP_LOSS, 1.09), (codes.REASON_TAKE_PROFIT, 1.11)]
)
def test_what_a_stop_or_target_closed_is_not_wanted_any_more(mode, reason, bid) -> None:
    """The signal still holds the long; to open it again takes an entry, after the cool-down."""
    floor = Floor(
        account={"mode": mode},
        decision={
            "stop_loss_fraction": 0.002,
            "take_profit_fraction": 0.002,
            "cool_down_ns": 10 * SECOND,
        },
    )
    floor.signal(0.7)
    floor.signal(0.55, bid=bid, ask=bid + 0.0001)
    assert floor.fills[-1]["reason"] == reason
    assert floor.lots() == 0.0
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_BELOW_THRESHOLD
    floor.signal(0.7)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_COOL_DOWN
    assert floor.lots() == 0.0
    floor.signal(0.7, after_ns=10 * SECOND)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_ENTER_LONG
    assert floor.lots() == 0.5


def test_a_stop_out_ends_what_was_wanted() -> None:
    floor = Floor(account={"balance": 1000.0}, decision={"fixed_lots": 0.5, "max_leverage": 100.0})
    floor.signal(0.7)
    assert floor.lots() == 0.5
    floor.tick(bid=1.082, ask=1.0821)  # -905 on 1,000, margin 550
    assert floor.fills[-1]["reason"] == codes.REASON_STOP_OUT
    assert floor.desk["intents"][EURUSD]["direction"] == 0
    floor.signal(0.55)
    assert floor.lots() == 0.0


def test_a_stop_of_one_of_several_positions_leaves_the_rest_wanted() -> None:
    floor = Floor(account={"mode": "hedging"})
    floor.hold(EURUSD, 0.3)
    floor.hold(EURUSD, 0.2)
    floor.positions[1]["stop_loss"] = 1.095
    floor.tick(bid=1.094, ask=1.0941)
    assert floor.lots() == 0.3
    floor.signal(0.55)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_HOLD
    assert floor.lots() == 0.3


# --- what changes nothing -----------------------------------------------------------------------


@pytest.mark.parametrize("held", [0.5, -0.5])
def test_a_signal_that_is_none_holds(held) -> None:
    floor = Floor()
    floor.hold(EURUSD, held)
    floor.signal(math.nan)
    assert floor.decisions[-1]["decision_code"] == codes.DECISION_NOT_READY
    assert floor.decisions[-1]["allowed_lots"] == held
    assert floor.lots() == held
    assert len(floor.orders) == 0


def test_a_signal_that_is_none_opens_nothing() -> None:
    floor = Floor()
    floor.signal(math.nan)
    assert len(floor.orders) == len(floor.positions) == 0


@pytest.mark.parametrize(
    ("bid", "ask"),
    [
        (math.nan, 1.1), (1.1, math.nan), (1.1002, 1.1001), (0.0, 1.1), (-1.0, 1.1),
        (1.1, math.inf), (math.nan, math.nan),
    ],
)  # fmt: skip
def test_a_tick_without_a_quote_changes_nothing(bid, ask) -> None:
    floor = held_three(account_limits={"max_drawdown": 0.1})
    floor.positions[0]["stop_loss"] = 1.09
    before = floor.desk.tobytes(), floor.tape.tobytes()
    floor.tick(bid=bid, ask=ask)
    assert (floor.desk.tobytes(), floor.tape.tobytes()) == before


@pytest.mark.parametrize("days", [-400, 30])
def test_outside_the_calendar_nothing_is_traded(days) -> None:
    floor = Floor(quoted=False)
    floor.tick(after_ns=days * DAY)
    before = floor.account.tobytes()
    floor.signal(0.9)
    assert floor.account.tobytes() == before
    assert len(floor.orders) == len(floor.decisions) == len(floor.positions) == 0


def test_positions_of_a_symbol_whose_calendar_ended_are_not_touched() -> None:
    floor = Floor()
    floor.hold(EURUSD, 0.5)
    floor.tick(after_ns=30 * DAY)
    floor.signal(0.1)
    assert floor.lots() == 0.5
    assert floor.decisions[-1]["risk_code"] == codes.RISK_SESSION_CLOSED


def test_an_equity_sample_is_the_account_after_the_orders_of_its_tick() -> None:
    floor = Floor()
    floor.signal(0.7)
    floor.signal(0.55, bid=1.1020, ask=1.1021)
    first, second = floor.samples
    assert [first["equity"], second["equity"]] == [99_995.0, 100_095.0]
    assert second["mid"] == pytest.approx(1.10205, abs=1e-12)
    assert second["balance"] == 100_000.0
    assert second["margin"] == pytest.approx(0.5 * 100_000 * 1.1001 / 100, rel=1e-3)
    assert np.array_equal(floor.samples["position_lots"], [0.5, 0.5])
