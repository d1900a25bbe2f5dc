"""What a refusal and a stopped account leave behind: nothing that could open later."""

import numpy as np
import pytest

from realtime.kernels import codes
from tests.realtime.kernels.desks import work
from tests.realtime.kernels.floors import EURUSD, USDJPY, Floor


def test_an_entry_that_risk_refused_is_forgotten() -> None:
    """The next signal has to pass the entry threshold again, not just stay above the exit."""
    floor = Floor(limits={"max_spread_points": 20.0})

    floor.signal(0.9, bid=1.1000, ask=1.1010)
    assert floor.decisions["risk_code"][-1] == codes.RISK_SPREAD
    floor.signal(0.51, bid=1.1000, ask=1.1001)

    assert len(floor.fills) == 0
    assert floor.decisions["decision_code"][-1] == codes.DECISION_BELOW_THRESHOLD
    floor.signal(0.9)
    assert floor.lots() == 0.5


def test_an_entry_refused_by_the_kill_switch_does_not_open_when_it_is_released() -> None:
    floor = Floor()
    floor.desk["risk"]["kill_switch"] = 1
    floor.signal(0.9)
    floor.desk["risk"]["kill_switch"] = 0

    floor.signal(0.51)

    assert len(floor.fills) == 0


def test_a_reversal_whose_opening_half_is_refused_ends_flat() -> None:
    floor = Floor(limits={"max_spread_points": 20.0})
    floor.signal(0.9)
    assert floor.lots() == 0.5

    floor.signal(0.1, bid=1.1000, ask=1.1005)
    assert floor.lots() == 0.0
    floor.signal(0.49, bid=1.1000, ask=1.1001)

    assert floor.lots() == 0.0


@pytest.mark.parametrize("long_lots", [0.5, 1.0])
def test_the_kill_switch_closes_both_sides_of_a_hedged_pair(long_lots) -> None:
    """Held by hand or from before: their net is small or nothing, the positions are not."""
    floor = Floor(account={"mode": "hedging"})
    floor.hold(EURUSD, long_lots)
    floor.hold(EURUSD, -0.5)
    floor.hold(USDJPY, 0.5)
    floor.desk["risk"]["kill_switch"] = 1

    floor.tick(EURUSD)
    floor.tick(USDJPY)

    assert len(floor.positions) == 0
    assert set(floor.orders["risk_code"].tolist()) == {codes.RISK_KILL_SWITCH}


def test_a_hedged_pair_is_closed_in_orders_of_the_allowed_size() -> None:
    floor = Floor(account={"mode": "hedging"}, limits={"max_order_lots": 0.2})
    floor.hold(EURUSD, 0.5)
    floor.hold(EURUSD, -0.5)
    floor.desk["risk"]["kill_switch"] = 1

    for _ in range(5):
        floor.tick()

    assert len(floor.positions) == 0
    assert floor.orders["volume_lots"].max() <= 0.2


def test_the_kill_switch_cancels_working_orders() -> None:
    floor = Floor()
    work(floor.desk, EURUSD, codes.BUY_LIMIT, 0.5)
    order = floor.working[-1]
    order["state"], order["price"] = codes.STATE_PLACED, 1.09
    order["stop_loss"] = order["take_profit"] = np.nan
    floor.desk["risk"]["kill_switch"] = 1

    floor.tick()
    floor.tick(bid=1.0880, ask=1.0881)

    assert len(floor.working) == 0
    assert len(floor.fills) == 0
    assert floor.orders["state"].tolist() == [codes.STATE_CANCELED]
