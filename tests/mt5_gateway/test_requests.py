import math
from typing import Any

import pytest

from mt5_gateway.closing import is_opening
from mt5_gateway.requests import check_request, filling_for, trade_request
from realtime.contracts.orders_pb2 import OrderRequest

FOK, IOC, RETURN = 0, 1, 2


def order(**changes):
    fields: dict[str, Any] = {
        "client_order_id": "paper-00000001",
        "account": "paper",
        "symbol": "EURUSD",
        "number": 1,
        "type": 0,
        "filling": IOC,
        "volume_lots": 0.1,
        "price": 1.1,
        "magic": 7,
    }
    return OrderRequest(**fields | changes)


def refusal(**changes):
    return check_request(order(**changes), "paper", {"EURUSD"})


def test_a_right_order_is_not_refused():
    assert refusal() is None
    assert refusal(type=3, stop_loss=1.0, take_profit=1.2, position_id=5) is None


@pytest.mark.parametrize(
    ("changes", "retcode"),
    [
        ({"account": "live"}, 10013),
        ({"client_order_id": ""}, 10013),
        ({"client_order_id": "x" * 28}, 10013),
        ({"client_order_id": "é"}, 10013),
        ({"symbol": "GBPUSD"}, 10013),
        ({"type": 6}, 10035),
        ({"volume_lots": 0.0}, 10014),
        ({"volume_lots": math.nan}, 10014),
        ({"volume_lots": -1.0}, 10014),
        ({"price": 0.0}, 10015),
        ({"price": math.inf}, 10015),
        ({"stop_loss": math.nan}, 10016),
        ({"take_profit": -1.0}, 10016),
        ({"magic": -1}, 10013),
        ({"position_id": -1}, 10013),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_code(changes, retcode):
    found = refusal(**changes)
    assert found is not None
    assert found.retcode == retcode
    assert found.text.startswith("not sent: order 1 ")


def test_a_request_has_the_exact_types_of_the_package_and_leaves_out_what_is_not_meant():
    request = trade_request(order(volume_lots=1, price=1), IOC, 0)
    assert not {"sl", "tp", "position"} & set(request)
    kinds = {name: type(value) for name, value in request.items()}
    assert {kinds[name] for name in ("volume", "price")} == {float}
    assert {kinds[name] for name in ("action", "type", "magic", "deviation")} == {int}
    closing = trade_request(order(stop_loss=1, take_profit=2, position_id=9), IOC, 77)
    assert (closing["sl"], closing["tp"], closing["position"]) == (1.0, 2.0, 77)
    assert isinstance(closing["sl"], float)
    assert len(request["comment"].encode()) <= 27


def test_a_pending_order_rests_until_it_is_cancelled():
    request = trade_request(order(type=2), FOK, 0)
    assert (request["action"], request["type_filling"], request["type_time"]) == (5, RETURN, 0)


@pytest.mark.parametrize(
    ("wanted", "mask", "mode", "chosen"),
    [
        (IOC, 3, 2, IOC),
        (FOK, 3, 2, FOK),
        (RETURN, 3, 2, IOC),
        (RETURN, 1, 2, FOK),
        (IOC, 1, 2, FOK),
        (RETURN, 3, 3, RETURN),
        (RETURN, 0, 2, RETURN),
        (IOC, 4, 2, IOC),
    ],
)
def test_a_filling_that_the_symbol_does_not_offer_is_replaced(wanted, mask, mode, chosen):
    assert filling_for(wanted, {"filling_mode": mask, "trade_exemode": mode}) == chosen


@pytest.mark.parametrize(
    ("changes", "net", "opens"),
    [
        ({}, 0.0, True),
        ({}, 0.1, True),
        ({}, -0.1, False),
        ({}, -0.05, True),  # through zero to the other side
        ({}, -0.2, False),
        ({"volume_lots": 0.3}, -0.1, True),
        ({"type": 1}, 0.1, False),
        ({"position_id": 4}, 0.1, False),
        ({"type": 2}, -1.0, True),
    ],
)
def test_an_order_opens_unless_it_only_takes_from_the_position(changes, net, opens):
    assert is_opening(order(**changes), net) == opens
