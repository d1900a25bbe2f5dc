from typing import Any, cast

from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.obstacles import Obstacles

SECOND_NS = 1_000_000_000
HOUR_MS = 3_600_000
NOW_MS = 1_700_000_000_000


class Watched:
    """Obstacles of a clock; switch and account are not asked for health."""

    def __init__(self):
        self.alerts: list[str] = []
        self.offset = ClockOffset(2 * SECOND_NS, "new_york+7")
        nobody = cast("Any", None)
        self.obstacles = Obstacles(
            offset=self.offset,
            kill=nobody,
            watch=nobody,
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
