from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.server_time import ServerClock, ServerTimeError

HOUR_MS = 3_600_000
EARLY = datetime(1971, 1, 1)  # noqa: DTZ001 (hypothesis wants naive bounds)
LATE = datetime(2099, 1, 1)  # noqa: DTZ001
NEW_YORK_7 = ServerClock("new_york+7")
ATHENS = ServerClock("Europe/Athens")


def utc_ms(*parts):
    return int(datetime(*parts, tzinfo=UTC).timestamp() * 1000)


def test_new_york_plus_seven_is_two_hours_ahead_in_winter_and_three_in_summer():
    assert NEW_YORK_7.to_server_ms(utc_ms(2024, 1, 15, 12)) == utc_ms(2024, 1, 15, 14)
    assert NEW_YORK_7.to_server_ms(utc_ms(2024, 7, 15, 12)) == utc_ms(2024, 7, 15, 15)
    assert NEW_YORK_7.to_utc_ms(utc_ms(2024, 7, 16, 0)) == utc_ms(2024, 7, 15, 21)


def test_its_clock_changes_with_new_york_and_not_with_europe():
    between = utc_ms(2024, 3, 20, 12)  # New York has changed, Europe has not
    assert NEW_YORK_7.offset_ms(between) == 3 * HOUR_MS
    assert ATHENS.offset_ms(between) == 2 * HOUR_MS


@given(st.datetimes(EARLY, LATE), st.sampled_from(["EET", "UTC"]))
def test_conversion_from_utc_equals_zoneinfo(moment, zone):
    at = moment.replace(tzinfo=UTC, microsecond=moment.microsecond // 1000 * 1000)
    milliseconds = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
    offset = at.astimezone(ZoneInfo(zone)).utcoffset()
    assert offset is not None
    assert ServerClock(zone).offset_ms(milliseconds) == offset // timedelta(milliseconds=1)


@given(st.lists(st.integers(utc_ms(2023, 1, 1), utc_ms(2026, 1, 1)), min_size=1))
def test_scalars_and_arrays_agree_and_come_back(moments):
    moments = np.sort(np.array(moments, np.int64))
    walls = NEW_YORK_7.to_server_all_ms(moments)
    assert walls.tolist() == [NEW_YORK_7.to_server_ms(int(moment)) for moment in moments]
    ambiguous = (walls - HOUR_MS) - NEW_YORK_7.to_utc_all_ms(walls - HOUR_MS) != walls - moments
    back = NEW_YORK_7.to_utc_all_ms(walls)
    assert np.all((back == moments) | ambiguous)


def test_a_feed_through_the_repeated_hour_comes_back_as_it_was():
    # Athens: 2024-10-27 01:00 UTC, from 04:00 back to 03:00.
    moments = np.arange(utc_ms(2024, 10, 26, 22), utc_ms(2024, 10, 27, 4), 20_000)
    walls = ATHENS.to_server_all_ms(moments)
    assert np.any(np.diff(walls) < 0)
    assert np.array_equal(ATHENS.to_utc_all_ms(walls), moments)


@pytest.mark.parametrize("cut", [1, 300, 539, 540, 541, 700, 720, 721])
def test_chunks_of_a_feed_agree_with_the_whole(cut):
    moments = np.arange(utc_ms(2024, 10, 26, 22), utc_ms(2024, 10, 27, 4), 20_000)
    walls = ATHENS.to_server_all_ms(moments)
    first = ATHENS.to_utc_all_ms(walls[:cut])
    second = ATHENS.to_utc_all_ms(walls[cut:], int(first[-1]))
    assert np.array_equal(np.append(first, second), moments)


def test_a_tick_a_little_late_stays_in_its_pass_of_the_repeated_hour():
    first_pass = utc_ms(2024, 10, 27, 0, 30)
    wall = ATHENS.to_server_ms(first_pass)
    assert ATHENS.to_utc_ms(wall - 5_000, first_pass) == first_pass - 5_000
    second_pass = first_pass + HOUR_MS
    assert ATHENS.to_utc_ms(wall - 5_000, second_pass) == second_pass - 5_000


def test_the_first_tick_of_a_feed_is_in_the_first_pass():
    wall = ATHENS.to_server_ms(utc_ms(2024, 10, 27, 1, 30))
    assert ATHENS.to_utc_ms(wall) == utc_ms(2024, 10, 27, 0, 30)


def test_the_skipped_hour_is_read_with_the_offset_before_it():
    wall = utc_ms(2024, 3, 31, 3, 30)  # Athens jumps from 03:00 to 04:00
    assert ATHENS.to_utc_ms(wall) == utc_ms(2024, 3, 31, 1, 30)


@pytest.mark.parametrize("zone", ["new_york+7", "New_York+7", "America/New_York+7"])
def test_the_usual_zone_has_several_spellings(zone):
    assert ServerClock(zone).offset_ms(utc_ms(2024, 1, 1)) == 2 * HOUR_MS


@pytest.mark.parametrize("zone", ["", "new_yrok+7", "GMT+banana", "+7"])
def test_an_unknown_zone_is_refused_in_one_line(zone):
    with pytest.raises(ServerTimeError, match=r"^\[gateway\] server_time: unknown time zone") as e:
        ServerClock(zone)
    assert "\n" not in str(e.value)
