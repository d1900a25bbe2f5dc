"""Time features against zoneinfo and datetime, over the clock changes of both continents."""

import math
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.kernels.features import timing
from realtime.kernels.layout import BAR, DAY
from tests.realtime.kernels.features.folds import UNWRITTEN, Run, same_bits, without_compiler

KERNELS = {kernel.name: kernel for kernel in timing.KERNELS}
NEW_YORK = ZoneInfo("America/New_York")
SESSIONS = {
    "tokyo": (ZoneInfo("Asia/Tokyo"), time(9), time(18)),
    "london": (ZoneInfo("Europe/London"), time(8), time(17)),
    "new_york": (NEW_YORK, time(8), time(17)),
}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def ns(moment):
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def trading_day(day):
    """The FX trading day of a date: from 17:00 New York of the day before; no trade on weekends."""
    row = np.zeros((), DAY)
    start = datetime.combine(day - timedelta(days=1), time(17), NEW_YORK)
    end = datetime.combine(day, time(17), NEW_YORK)
    friday = day + timedelta(days=(4 - day.weekday()) % 7)
    row["start_ns"], row["end_ns"] = ns(start), ns(end)
    row["open_ns"] = row["close_ns"] = ns(start)
    if day.weekday() < 5:
        row["close_ns"] = ns(end)
    row["long_close_ns"] = ns(datetime.combine(friday, time(17), NEW_YORK))
    for name, (zone, opens, closes) in SESSIONS.items():
        row[f"{name}_open_ns"] = ns(datetime.combine(day, opens, zone))
        row[f"{name}_close_ns"] = ns(datetime.combine(day, closes, zone))
        if day.weekday() >= 5:
            row[f"{name}_close_ns"] = row[f"{name}_open_ns"]
    row["day_of_week"] = day.weekday()
    return row


def trading_date(moment):
    """The trading day that a moment belongs to; the rollover moment belongs to the next."""
    local = moment.astimezone(NEW_YORK)
    return local.date() + timedelta(days=1 if local.time() >= time(17) else 0)


def rows_for(moments):
    bars, days = np.zeros(len(moments), BAR), np.zeros(len(moments), DAY)
    for i, moment in enumerate(moments):
        bars[i]["end_ns"] = ns(moment)
        bars[i]["open_ns"] = ns(moment) - 60 * 10**9
        days[i] = trading_day(trading_date(moment))
    return bars, days


def features(moments):
    bars, days = rows_for(moments)
    columns = {}
    for kernel in timing.KERNELS:
        out = Run(kernel).fold(bars, days)
        columns.update(zip((o.name for o in kernel.outputs), out.T, strict=True))
    return columns


def every_half_hour(first, count):
    return [first + timedelta(minutes=30 * i) for i in range(count)]


WEEKS = {
    "an ordinary week": datetime(2024, 5, 5, tzinfo=UTC),
    "New York changes, London has not": datetime(2024, 3, 9, tzinfo=UTC),
    "London changes": datetime(2024, 3, 30, tzinfo=UTC),
    "London changes back, New York has not": datetime(2024, 10, 26, tzinfo=UTC),
    "New York changes back": datetime(2024, 11, 2, tzinfo=UTC),
    "the turn of the year": datetime(2023, 12, 29, tzinfo=UTC),
}


@pytest.mark.parametrize("first", WEEKS.values(), ids=WEEKS)
class TestAgainstWallClocks:
    def test_minute_and_day_are_places_on_a_circle(self, first):
        moments = every_half_hour(first, 400)
        found = features(moments)
        for i, moment in enumerate(moments):
            turn = 2 * math.pi * (moment.hour * 60 + moment.minute) / 1440
            assert found["minute_of_day_sin"][i] == pytest.approx(math.sin(turn), abs=1e-12)
            assert found["minute_of_day_cos"][i] == pytest.approx(math.cos(turn), abs=1e-12)
            week = 2 * math.pi * trading_date(moment).weekday() / 7
            assert found["day_of_week_sin"][i] == pytest.approx(math.sin(week), abs=1e-12)
            assert found["day_of_week_cos"][i] == pytest.approx(math.cos(week), abs=1e-12)

    def test_sessions_are_those_of_their_cities(self, first):
        moments = every_half_hour(first, 400)
        found = features(moments)
        for i, moment in enumerate(moments):
            on = {}
            for name, (zone, opens, closes) in SESSIONS.items():
                local = moment.astimezone(zone)
                on[name] = local.weekday() < 5 and opens <= local.time() < closes
                assert found[f"in_{name}"][i] == float(on[name]), (moment, name)
            assert found["in_overlap"][i] == float(on["london"] and on["new_york"])

    def test_minutes_are_those_between_the_moments(self, first):
        moments = every_half_hour(first, 400)
        found = features(moments)
        minute = timedelta(minutes=1)
        for i, moment in enumerate(moments):
            day = trading_date(moment)
            start = datetime.combine(day - timedelta(days=1), time(17), NEW_YORK).astimezone(UTC)
            end = datetime.combine(day, time(17), NEW_YORK).astimezone(UTC)
            trades = day.weekday() < 5
            assert found["minutes_to_rollover"][i] == (end - moment) / minute
            assert found["minutes_to_close"][i] == ((end - moment) / minute if trades else 0.0)
            assert found["minutes_since_open"][i] == ((moment - start) / minute if trades else 0.0)
            friday = day + timedelta(days=(4 - day.weekday()) % 7)
            close = datetime.combine(friday, time(17), NEW_YORK).astimezone(UTC)
            assert found["minutes_to_long_close"][i] == (close - moment) / minute


def test_new_york_opens_an_hour_nearer_to_london_between_the_two_changes():
    def overlap_minutes(day):
        midnight = datetime.combine(day, time(0), UTC)
        found = features([midnight + timedelta(minutes=i) for i in range(1440)])
        return found["in_overlap"].sum()

    assert overlap_minutes(date(2024, 3, 6)) == 240
    assert overlap_minutes(date(2024, 3, 13)) == 300
    assert overlap_minutes(date(2024, 4, 3)) == 240


def test_a_session_holds_its_opening_moment_and_not_its_closing_one():
    london = [datetime(2024, 1, 10, hour, tzinfo=UTC) for hour in (8, 17)]
    nearly = [moment - timedelta(microseconds=1) for moment in london]
    assert features(london)["in_london"].tolist() == [1.0, 0.0]
    assert features(nearly)["in_london"].tolist() == [0.0, 1.0]


def test_a_holiday_has_no_session_no_close_and_no_open():
    bars, days = rows_for(every_half_hour(datetime(2024, 12, 25, tzinfo=UTC), 40))
    days["close_ns"] = days["open_ns"]
    for name in SESSIONS:
        days[f"{name}_close_ns"] = days[f"{name}_open_ns"]
    assert not Run(KERNELS["sessions"]).fold(bars, days).any()
    hours = Run(KERNELS["trading_hours"]).fold(bars, days)
    assert not hours[:, [0, 3]].any()
    assert (hours[:, 2] > 0).all()


def test_a_market_that_never_closes_is_ten_days_from_its_close():
    bars, days = rows_for([datetime(2024, 5, 8, 12, tzinfo=UTC)])
    days["long_close_ns"] = np.iinfo(np.int64).max
    assert Run(KERNELS["trading_hours"]).fold(bars, days)[0, 1] == 14_400


def test_a_moment_outside_of_its_row_counts_as_the_nearest_edge():
    day = trading_day(date(2024, 5, 8))
    bars, days = np.zeros(2, BAR), np.array([day, day])
    bars["end_ns"] = [day["start_ns"] - 10**15, day["end_ns"] + 10**15]
    hours = Run(KERNELS["trading_hours"]).fold(bars, days)
    assert hours[:, 2].tolist() == [1440.0, 0.0]
    assert not Run(KERNELS["sessions"]).fold(bars, days).any()


def test_an_empty_row_is_no_day():
    bars, days = np.zeros(1, BAR), np.zeros(1, DAY)
    bars["end_ns"] = ns(datetime(2024, 5, 8, tzinfo=UTC))
    for name in ("day_of_week", "sessions", "trading_hours"):
        assert np.isnan(Run(KERNELS[name]).fold(bars, days)).all()
    assert np.isfinite(Run(KERNELS["minute_of_day"]).fold(bars)).all()


@settings(max_examples=50)
@given(st.datetimes(datetime(1990, 1, 1), datetime(2090, 1, 1)))  # noqa: DTZ001 - UTC is added
def test_values_are_in_bounds_at_any_moment(naive):
    found = features([naive.replace(tzinfo=UTC)])
    for name, column in found.items():
        low, high = (0, 14_400) if name.startswith("minutes") else (-1, 1)
        assert low <= column[0] <= high, name
    for circle in ("minute_of_day", "day_of_week"):
        radius = math.hypot(found[f"{circle}_sin"][0], found[f"{circle}_cos"][0])
        assert radius == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("kernel", timing.KERNELS, ids=lambda kernel: kernel.name)
def test_steps_folds_prefixes_and_chunks_have_the_same_bits(kernel):
    bars, days = rows_for(every_half_hour(datetime(2024, 3, 8, tzinfo=UTC), 300))
    whole = Run(kernel).fold(bars, days)
    assert not (whole == UNWRITTEN).any()
    assert same_bits(Run(kernel).steps(bars, days), whole)
    for cut in np.random.default_rng(0).integers(1, 300, 20):
        assert same_bits(Run(kernel).fold(bars[:cut], days[:cut]), whole[:cut])
    run = Run(kernel)
    parts = [run.fold(bars[a:b], days[a:b]) for a, b in ((0, 1), (1, 120), (120, 300))]
    assert same_bits(np.concatenate(parts), whole)


_PLAIN = """
import sys
import numpy as np
from realtime.kernels.jit import jit_is_on
from tests.realtime.kernels.features.test_timing import some_moments, features
assert not jit_is_on()
np.save(sys.argv[1], np.column_stack(list(features(some_moments()).values())))
"""


def some_moments():
    return every_half_hour(datetime(2024, 3, 8, 0, 17, 3, 123_456, tzinfo=UTC), 200)


def test_plain_python_gives_the_bits_of_compiled_code(tmp_path):
    compiled = np.column_stack(list(features(some_moments()).values()))
    assert same_bits(compiled, without_compiler(_PLAIN, tmp_path / "plain.npy"))
