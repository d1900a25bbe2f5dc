from typing import Any

import pytest

from mt5_gateway.order_search import find_order
from mt5_gateway.snapshot import Snapshot
from realtime.contracts.orders_pb2 import OrderRequest

ORDER = OrderRequest(
    client_order_id="paper-00000003", symbol="EURUSD", type=1, volume_lots=0.2, magic=7, number=3
)
ALIKE = {
    "ticket": 11,
    "comment": "rewritten by the broker",
    "symbol": "EURUSD",
    "type": 1,
    "volume_initial": 0.2,
    "magic": 7,
    "reason": 3,
    "time_setup_msc": 5000,
}


def found(*, working=(), recent=(), deals=(), known=(), since_ms=4000):
    snapshot = Snapshot(
        info={}, positions=(), working=working, deals=deals, finished={}, recent=recent
    )
    return find_order(ORDER, snapshot, known, since_ms)


def test_nothing_is_found_where_nothing_is():
    assert found() == 0


@pytest.mark.parametrize("where", ["working", "recent"])
def test_an_order_is_found_by_its_comment(where):
    mine = ALIKE | {"comment": "paper-00000003", "ticket": 9, "magic": 0}
    books: dict[str, Any] = {where: [ALIKE, mine]}
    assert found(**books) == 9


def test_an_order_is_found_by_the_comment_of_its_deal():
    assert found(deals=[{"comment": "paper-00000003", "order": 8}]) == 8


def test_an_order_whose_comment_was_rewritten_is_found_by_everything_else():
    assert found(recent=[ALIKE]) == 11


@pytest.mark.parametrize(
    "change",
    [
        {"magic": 8},
        {"reason": 4},  # a stop loss of ours
        {"symbol": "GBPUSD"},
        {"type": 0},
        {"volume_initial": 0.1},
        {"time_setup_msc": 3999},
    ],
)
def test_an_order_that_differs_is_somebody_elses(change):
    assert found(recent=[ALIKE | change]) == 0


def test_an_order_that_was_reported_under_another_id_is_not_taken_for_this_one():
    assert found(recent=[ALIKE], known={11}) == 0
