from types import SimpleNamespace
from typing import Any, cast

import pytest

from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.obstacles import Obstacles
from mt5_gateway.trade_link import TradeLink
from realtime.contracts.orders_pb2 import AccountState, OrderRequest, Position

SECOND_NS = 1_000_000_000
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


class Watched:
    """Obstacles of a clock, an account and a switch; the terminal is not asked."""

    def __init__(self, *, mode=0, is_known=True, complaint=""):
        self.alerts: list[str] = []
        self.offset = ClockOffset(2 * SECOND_NS, "new_york+7")
        nobody = cast("Any", None)
        self.kill = SimpleNamespace(is_known=is_known, is_on=False)
        held = Position(id=1, symbol="EURUSD", side=1, volume_lots=0.5)
        state = AccountState(mode=mode, positions=[held])
        agreement = SimpleNamespace(complaint=lambda: complaint)
        self.obstacles = Obstacles(
            offset=self.offset,
            kill=cast("Any", self.kill),
            watch=cast("Any", SimpleNamespace(state=state)),
            link=TradeLink(nobody),
            agreement=cast("Any", agreement),
            alert=lambda severity, code, _text: self.alerts.append(f"{severity} {code}"),
        )

    def measure(self, offset_ms):
        for _ in range(20):  # all that are remembered
            self.offset.add(NOW_MS + offset_ms, NOW_MS * 1_000_000)
        self.obstacles.check_clock()
        return self.obstacles.health()


def test_an_offset_that_drifts_is_said_once():
    watched = Watched()
    first = watched.measure(-80 * HOUR_MS)
    assert first[0] == "halted"
    assert "-80.0 h" in first[1]
    assert watched.measure(-70 * HOUR_MS) == first
    assert watched.alerts == ["critical clock_offset"]


def test_a_clock_that_is_right_again_is_well_and_wrong_again_is_news():
    watched = Watched()
    watched.measure(HOUR_MS)
    assert watched.measure(0) == ("running", "")
    assert "+3.0 h" in watched.measure(3 * HOUR_MS)[1]
    assert watched.alerts == ["critical clock_offset", "info clock_offset", "critical clock_offset"]


OPENS = OrderRequest(number=1, symbol="EURUSD", type=0, volume_lots=0.1)
CLOSES = OrderRequest(number=2, symbol="EURUSD", type=1, volume_lots=0.5)


def test_a_kill_switch_that_was_never_read_lets_close_and_opens_nothing():
    watched = Watched(is_known=False)
    refusal = watched.obstacles.refusal(OPENS)
    assert refusal is not None
    assert "the kill switch could not be read yet" in refusal.text
    assert watched.obstacles.refusal(CLOSES) is None
    assert watched.obstacles.health()[0] == "halted"
    watched.kill.is_known = True
    assert watched.obstacles.refusal(OPENS) is None
    assert watched.alerts == ["critical kill_switch_unknown", "info kill_switch_unknown"]


def test_an_account_that_is_not_that_of_the_settings_lets_close_and_opens_nothing():
    watched = Watched(complaint="the broker's account has leverage 5, [account] has 100")
    refusal = watched.obstacles.refusal(OPENS)
    assert refusal is not None
    assert "the broker's account has leverage 5" in refusal.text
    assert watched.obstacles.refusal(CLOSES) is None
    assert watched.obstacles.health()[0] == "halted"


@pytest.mark.parametrize(("mode", "is_refused"), [(0, False), (2, True)])
def test_on_a_hedging_account_an_order_that_names_no_position_opens_one(mode, is_refused):
    watched = Watched(mode=mode, complaint="something differs")
    assert (watched.obstacles.refusal(CLOSES) is not None) == is_refused
    named = OrderRequest(number=3, symbol="EURUSD", type=1, volume_lots=0.5, position_id=1)
    assert watched.obstacles.refusal(named) is None
