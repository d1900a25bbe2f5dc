import pytest

from mt5_gateway.clock_offset import ClockOffset

SECOND_NS = 1_000_000_000
NOW_MS = 1_700_000_000_000


def measured(offsets_ms, limit_s=2):
    offset = ClockOffset(limit_s * SECOND_NS, "new_york+7")
    for offset_ms in offsets_ms:
        offset.add(NOW_MS + offset_ms, NOW_MS * 1_000_000)
    return offset


def test_late_ticks_do_not_make_a_clock_wrong():
    offset = measured([-900, -9000, -30, -4000])
    assert offset.offset_ns == -30_000_000
    assert offset.complaint() == ""


def test_an_hour_is_complained_about_with_what_to_do():
    text = measured([3_599_950] * 3).complaint()
    assert text.startswith("the broker's clock is +1.0 h off ours: set [gateway] server_time")
    assert "-2.0 h" in measured([-7_200_010] * 5).complaint()


def test_a_few_seconds_are_a_machine_without_time_synchronisation():
    assert "+3.0 s" in measured([3_000] * 3).complaint()


@pytest.mark.parametrize("samples", [[], [3_600_000], [3_600_000] * 2])
def test_two_ticks_are_no_measurement(samples):
    assert measured(samples).complaint() == ""


def test_it_is_well_again_when_the_ticks_say_so():
    assert measured([3_600_000] * 5 + [0] * 20).complaint() == ""


def test_a_limit_of_zero_switches_it_off():
    assert measured([3_600_000] * 5, limit_s=0).complaint() == ""
