"""Result types and name filters: like the package's own, with what they lack."""

import pickle
from typing import Any, cast

import pytest

from mt5_gateway.simulator.groups import matches
from mt5_gateway.simulator.structures import OrderSendResult, Structure, Tick, TradeRequest
from tests.mt5_gateway.simulator.conftest import mt5

VALUES = (1, 1.1, 1.2, 0.0, 0, 1000, 6, 0.0)


def test_a_structure_is_a_tuple_with_names():
    tick = Tick(VALUES)
    assert tick == VALUES
    assert isinstance(tick, tuple)
    assert (tick.bid, tick.time_msc, tick[2]) == (1.1, 1000, 1.2)
    assert tick._asdict()["ask"] == 1.2
    assert repr(tick).startswith("Tick(time=1, bid=1.1, ask=1.2, ")
    assert mt5.Tick is Tick


def test_a_structure_is_no_named_tuple():
    tick: Any = Tick(VALUES)
    for name in ("_fields", "_replace", "_make", "__dict__"):
        assert not hasattr(tick, name)
    with pytest.raises(AttributeError):
        tick.bid = 2.0
    with pytest.raises(TypeError, match=r"mt5.Tick\(\) takes a 8-sequence \(7-sequence given\)"):
        Tick(VALUES[:7])
    with pytest.raises(TypeError):
        cast("Any", Tick)(*VALUES)
    assert pickle.loads(pickle.dumps(tick)) == tick


def test_a_dictionary_of_a_structure_is_shallow():
    request = TradeRequest.with_values({"symbol": "EURUSD"})
    result = OrderSendResult.with_values({"retcode": 10009, "request": request})
    assert isinstance(result._asdict()["request"], TradeRequest)
    assert request.volume == 0.0
    assert isinstance(request, Structure)
    with pytest.raises(KeyError, match="vollume"):
        TradeRequest.with_values({"vollume": 1.0})


@pytest.mark.parametrize(
    ("name", "group", "passes"),
    [
        ("EURUSD", "EURUSD", True),
        ("EURUSD", "eurusd", False),
        ("EURUSD", "EUR", False),
        ("EURUSD", "EUR*", True),
        ("EURUSD", "*USD", True),
        ("EURUSD", "*RU*", True),
        ("EURUSD", "E*R*D", True),
        ("EURUSD", "*", True),
        ("EURUSD", "GBPUSD, EUR* ", True),
        ("EURUSD", "*,!*USD", False),
        ("EURUSD", "!*JPY", False),
        ("EURUSD", "", False),
        ("EURUSD", "EURUS?", False),
        ("AAAB", "*AAB", False),
        ("AAB", "*AAB", True),
        ("USDUSD", "*USD", True),
        ("", "*", True),
    ],
)
def test_a_filter_of_names(name, group, passes):
    assert matches(name, group) is passes
