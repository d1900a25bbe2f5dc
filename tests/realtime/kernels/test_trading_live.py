"""A broker outside that may do anything before our order is there, or refuse it."""

import numpy as np
import pytest

from realtime.kernels import codes
from realtime.kernels.layout import ORDER
from realtime.kernels.mirror import finish_in_flight_step
from tests.realtime.kernels.desks import SECOND
from tests.realtime.kernels.floors import EURUSD, Floor

INVALID, DONE = 10013, 10009


def live_floor(mode="netting", held_lots=0.5):
    floor = Floor(account={"mode": mode})
    floor.desk["account"]["mirrored"] = codes.MIRRORED_LIVE
    if held_lots:
        floor.hold(EURUSD, held_lots)
    return floor


def answer(floor, state, retcode=INVALID):
    """The broker's report on the oldest order in flight."""
    order_id = int(floor.working[0]["id"])
    finish_in_flight_step(floor.desk, order_id, state, retcode, 0.0, np.zeros(8, ORDER), 0)


@pytest.mark.parametrize("mode", ["netting", "hedging"])
def test_a_turn_is_two_orders_of_which_the_first_can_only_close(mode) -> None:
    """One of double size opened twice what it should where a stop loss was faster."""
    floor = live_floor(mode)
    floor.signal(0.1)
    lots = [round(float(each["volume_lots"]), 8) for each in floor.working]
    assert lots == [0.5, 0.5]
    assert floor.working[0]["position_id"] == floor.positions[0]["id"]
    assert floor.working[1]["position_id"] == -1


def asked_in(floor, seconds):
    """How many orders are sent while the broker refuses each at once."""
    asked = 0
    for _ in range(seconds * 10):
        floor.tick(after_ns=SECOND // 10)
        while len(floor.working) > 0:
            asked += 1
            answer(floor, codes.STATE_REJECTED)
    return asked


def test_a_broker_that_refuses_is_asked_again_after_one_second_then_two_then_four_then_eight():
    floor = live_floor()
    floor.desk["risk"]["kill_switch"] = 1
    assert asked_in(floor, 1) == 1
    assert asked_in(floor, 6) == 2  # 1 s and 3 s after the first
    assert asked_in(floor, 24) == 3


def test_a_filled_order_ends_the_wait() -> None:
    floor = live_floor(held_lots=0)
    floor.signal(0.9)
    answer(floor, codes.STATE_REJECTED)
    floor.signal(0.9, after_ns=SECOND // 2)
    assert floor.decisions["risk_code"][-1] == codes.RISK_BROKER_REFUSED
    assert len(floor.working) == 0
    floor.signal(0.9, after_ns=SECOND)
    answer(floor, codes.STATE_FILLED, DONE)
    floor.signal(0.9, after_ns=1)
    assert len(floor.working) == 1
