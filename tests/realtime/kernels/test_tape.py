"""The tape never loses a row, whatever happens on a tick."""

import numpy as np
import pytest

from realtime.kernels import codes
from realtime.kernels.layout import TAPE, TAPE_ROWS
from realtime.kernels.tape import has_room
from tests.realtime.kernels.desks import SECOND
from tests.realtime.kernels.floors import EURUSD, Floor, ids_of

COUNTS = ("n_orders", "n_fills", "n_decisions", "n_samples")


def crowded(positions=200):
    """A hedging account with many positions, one order row and the kill switch set.

    On every quote it sends one close and is refused all others: the most that can be written.
    """
    floor = Floor(account={"mode": "hedging"}, position_rows=positions, order_rows=1)
    for _ in range(positions):
        floor.hold(EURUSD, 0.01)
    floor.desk["risk"]["kill_switch"] = 1
    return floor


def fill_up(floor, name):
    """Put the tape's count as high as `has_room` lets it be."""
    low, high = 0, TAPE_ROWS
    while high - low > 1:
        middle = (low + high) // 2
        floor.tape[name] = middle
        if has_room(floor.tape, floor.desk):
            low = middle
        else:
            high = middle
    floor.tape[name] = low
    return low


@pytest.mark.parametrize("name", COUNTS)
def test_where_there_is_room_the_worst_quote_and_decision_fit(name) -> None:
    floor = crowded()
    start = fill_up(floor, name)
    floor.signal(0.9)
    assert start < floor.tape["n_orders"] or name != "n_orders"
    assert all(floor.tape[each] <= TAPE_ROWS for each in COUNTS)


def test_the_worst_quote_needs_most_of_the_room_asked_for() -> None:
    """Refusals on the quote and on the decision: 199 each."""
    floor = crowded()
    start = fill_up(floor, "n_orders")
    floor.signal(0.9)
    assert floor.tape["n_orders"] - start > 0.9 * (TAPE_ROWS - start)


def test_an_empty_tape_has_room_for_the_largest_desk() -> None:
    floor = Floor(position_rows=256, order_rows=256)
    floor.desk["symbols"] = 32
    assert has_room(np.zeros(1, TAPE)[0], floor.desk)


def test_a_full_table_leaves_no_room() -> None:
    for name in COUNTS:
        floor = Floor()
        floor.tape[name] = TAPE_ROWS
        assert not has_room(floor.tape, floor.desk)


def test_every_number_given_out_is_on_the_tape() -> None:
    floor = crowded(positions=30)
    for _ in range(40):
        floor.tick(after_ns=SECOND)
    assert len(floor.positions) == 0
    assert np.count_nonzero(floor.orders["retcode"] == codes.DONE) == 30
    # Positions that came from elsewhere have the numbers below 1000.
    assert ids_of(floor) == list(range(1000, int(floor.account["next_id"])))
