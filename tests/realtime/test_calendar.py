"""Trading days, sessions and holidays; wall clocks to UTC."""

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.calendar import (
    CALENDARS,
    NEVER_NS,
    CalendarError,
    Holiday,
    calendar_named,
    easter,
    wall_to_utc_ns,
)

HOUR_NS = 3_600_000_000_000
DAY_NS = 24 * HOUR_NS
SUNDAY, WEDNESDAY, FRIDAY = 0, 3, 5  # MetaTrader's numbers


def at(text):
    return int(np.datetime64(text, "ns").astype(np.int64))


def utc(time_ns):
    return (
        np.datetime64(int(time_ns), "ns").astype("datetime64[m]").item().isoformat(" ", "minutes")
    )


def rows(name, first, last, **settings):
    """Rows of the trading days from one date to another, by date."""
    calendar = CALENDARS[name] if isinstance(name, str) else name
    table = calendar.days(at(first), at(last), **settings)
    # The middle of a trading day lies on its date in every calendar here.
    dates = (table["start_ns"] + (table["end_ns"] - table["start_ns"]) // 2) // DAY_NS
    wanted = (dates >= at(first) // DAY_NS) & (dates <= at(last) // DAY_NS)
    found = table[wanted]
    assert found.size == (at(last) - at(first)) // DAY_NS + 1
    return found


def day(name, on, **settings):
    return rows(name, on, on, **settings)[0]


# --- the week ------------------------------------------------------------------------------------


def test_the_fx_week_opens_on_sunday_and_closes_on_friday_at_five_in_new_york():
    week = rows("fx", "2024-01-06", "2024-01-12")
    assert week["day_of_week"].tolist() == [5, 6, 0, 1, 2, 3, 4]
    saturday, sunday, monday = week[:3]
    assert saturday["open_ns"] == saturday["close_ns"]
    assert sunday["open_ns"] == sunday["close_ns"]
    assert utc(monday["start_ns"]) == utc(monday["open_ns"]) == "2024-01-07 22:00"
    assert utc(week[-1]["close_ns"]) == utc(week[-1]["end_ns"]) == "2024-01-12 22:00"
    traded = week[2:]
    assert np.all(traded["close_ns"] - traded["open_ns"] == DAY_NS)
    # From every row of the week, the next long closure is Friday's.
    assert {utc(row["long_close_ns"]) for row in week} == {"2024-01-12 22:00"}


def test_metals_pause_for_an_hour_every_evening():
    tuesday = day("metals", "2024-01-09")
    assert utc(tuesday["start_ns"]) == "2024-01-08 22:00"
    assert utc(tuesday["open_ns"]) == "2024-01-08 23:00"
    assert utc(tuesday["close_ns"]) == "2024-01-09 22:00"
    assert utc(tuesday["long_close_ns"]) == "2024-01-12 22:00"


def test_crypto_trades_always_and_turns_at_midnight_utc():
    table = CALENDARS["crypto"].days(at("2024-02-20"), at("2024-03-20"))
    assert np.all(table["open_ns"] == table["start_ns"])
    assert np.all(table["close_ns"] == table["end_ns"])
    assert np.all(table["start_ns"] % DAY_NS == 0)
    assert np.all(table["long_close_ns"] == NEVER_NS)
    assert np.all(table["swap_days"] == 1)


def test_an_index_may_have_hours_of_its_own():
    dax = replace(CALENDARS["index"], name="dax", zone="Europe/Berlin", start_hour=-1, open_hour=1)
    dax = replace(dax, close_hour=22, holidays=())
    winter, summer = day(dax, "2024-01-09"), day(dax, "2024-07-09")
    assert (utc(winter["open_ns"]), utc(winter["close_ns"])) == (
        "2024-01-09 00:00",
        "2024-01-09 21:00",
    )
    assert utc(summer["open_ns"]) == "2024-07-08 23:00"


@pytest.mark.parametrize("name", list(CALENDARS))
def test_rows_are_contiguous_and_cover_the_range_with_its_margin(name):
    first, last = at("2019-12-20"), at("2024-03-20") + 12345
    table = CALENDARS[name].days(first, last, margin_days=10)
    assert np.all(table["end_ns"][:-1] == table["start_ns"][1:])
    assert table["start_ns"][0] <= first - 10 * DAY_NS
    assert table["end_ns"][-1] > last + 10 * DAY_NS
    assert np.all(table["start_ns"] <= table["open_ns"])
    assert np.all(table["open_ns"] <= table["close_ns"])
    assert np.all(table["close_ns"] <= table["end_ns"])
    assert set((table["end_ns"] - table["start_ns"]) // HOUR_NS) <= {23, 24, 25}
    assert np.all(np.diff(table["long_close_ns"]) >= 0)


@given(
    start=st.integers(at("1975-01-01"), at("2090-01-01")),
    length=st.integers(0, 40 * DAY_NS),
    name=st.sampled_from(list(CALENDARS)),
)
def test_any_range_is_covered_and_independent_of_where_it_starts(start, length, name):
    table = CALENDARS[name].days(start, start + length, margin_days=0)
    assert table["start_ns"][0] <= start
    assert start + length < table["end_ns"][-1]
    wider = CALENDARS[name].days(start - 5 * DAY_NS, start + length, margin_days=3)
    same = wider[np.isin(wider["start_ns"], table["start_ns"])]
    assert same.tobytes() == table.tobytes()


def long_closes_by_hand(table):
    traded = [row for row in table if row["open_ns"] < row["close_ns"]]
    closes = [
        int(row["close_ns"])
        for row, after in pairwise(traded)
        if after["open_ns"] - row["close_ns"] >= 12 * HOUR_NS
    ]
    return closes, int(traded[-1]["start_ns"])


@pytest.mark.parametrize("name", ["fx", "metals", "index"])
def test_the_long_close_is_the_next_one_before_half_a_day_without_trading(name):
    table = CALENDARS[name].days(at("2014-11-01"), at("2016-02-01"))
    closes, known_until = long_closes_by_hand(table)
    for row in table[table["start_ns"] < known_until - 30 * DAY_NS]:
        # The row's own early close counts even when the rest of the row is past it.
        assert row["long_close_ns"] == min(each for each in closes if each > row["start_ns"])


# --- daylight saving -----------------------------------------------------------------------------


def test_fx_rolls_over_an_hour_earlier_in_utc_after_the_american_change():
    week = rows("fx", "2024-03-08", "2024-03-11")
    ends = [utc(row["end_ns"]) for row in week]
    # Clocks change on Sunday the 10th at two in the morning: that trading day has 23 hours.
    assert ends == ["2024-03-08 22:00", "2024-03-09 22:00", "2024-03-10 21:00", "2024-03-11 21:00"]
    autumn = rows("fx", "2024-11-01", "2024-11-04")
    assert [int(row["end_ns"] - row["start_ns"]) // HOUR_NS for row in autumn] == [24, 24, 25, 24]
    assert utc(autumn[-1]["open_ns"]) == "2024-11-03 22:00"


@pytest.mark.parametrize(
    ("on", "tokyo", "london", "new_york"),
    [
        # before both changes, between the American and the European, after both
        ("2024-03-08", "00:00-09:00", "08:00-17:00", "13:00-22:00"),
        ("2024-03-13", "00:00-09:00", "08:00-17:00", "12:00-21:00"),
        ("2024-04-03", "00:00-09:00", "07:00-16:00", "12:00-21:00"),
        # in autumn Europe changes first
        ("2024-10-23", "00:00-09:00", "07:00-16:00", "12:00-21:00"),
        ("2024-10-30", "00:00-09:00", "08:00-17:00", "12:00-21:00"),
        ("2024-11-06", "00:00-09:00", "08:00-17:00", "13:00-22:00"),
    ],
)
def test_sessions_follow_their_own_citys_clock(on, tokyo, london, new_york):
    row = day("fx", on)
    for name, expected in (("tokyo", tokyo), ("london", london), ("new_york", new_york)):
        open_at, close_at = utc(row[f"{name}_open_ns"]), utc(row[f"{name}_close_ns"])
        assert open_at[:10] == close_at[:10] == on
        assert f"{open_at[11:]}-{close_at[11:]}" == expected


@pytest.mark.parametrize("name", list(CALENDARS))
def test_sessions_lie_inside_their_row_and_are_empty_where_nobody_trades(name):
    table = CALENDARS[name].days(at("2023-12-01"), at("2024-12-31"))
    for city in ("tokyo", "london", "new_york"):
        opens, closes = table[f"{city}_open_ns"], table[f"{city}_close_ns"]
        assert np.all(table["start_ns"] <= opens)
        assert np.all(closes <= table["end_ns"])
        traded = (table["open_ns"] < table["close_ns"]) & (table["day_of_week"] < 5)
        np.testing.assert_array_equal(opens < closes, traded)


# --- holidays ------------------------------------------------------------------------------------


def test_fx_is_closed_at_christmas_and_new_year():
    eve, christmas, boxing = rows("fx", "2024-12-24", "2024-12-26")
    assert christmas["open_ns"] == christmas["close_ns"]
    assert utc(eve["close_ns"]) == utc(eve["long_close_ns"]) == "2024-12-24 22:00"
    assert utc(boxing["open_ns"]) == "2024-12-25 22:00"
    new_year = day("fx", "2025-01-01")
    assert new_year["open_ns"] == new_year["close_ns"]


def test_a_holiday_at_the_end_of_a_week_makes_one_long_closure():
    # Friday 1 January 2021: closed from Thursday to Sunday evening.
    thursday, friday, saturday = rows("fx", "2020-12-31", "2021-01-02")
    assert utc(thursday["long_close_ns"]) == "2020-12-31 22:00"
    assert friday["open_ns"] == friday["close_ns"]
    assert utc(saturday["long_close_ns"]) == "2021-01-08 22:00"


def test_metals_close_early_after_thanksgiving_and_on_christmas_eve():
    for on, expected in (
        ("2018-11-23", "2018-11-23 18:45"),
        ("2018-12-24", "2018-12-24 18:45"),
        ("2024-11-29", "2024-11-29 18:45"),
    ):
        row = day("metals", on)
        assert utc(row["close_ns"]) == utc(row["long_close_ns"]) == expected
    assert utc(day("index", "2024-11-29")["close_ns"]) == "2024-11-29 18:15"


def test_metals_are_closed_on_good_friday_and_fx_is_not():
    for on in ("2018-03-30", "2024-03-29", "2025-04-18"):
        metals, fx = day("metals", on), day("fx", on)
        assert metals["open_ns"] == metals["close_ns"]
        assert fx["close_ns"] - fx["open_ns"] == DAY_NS


@pytest.mark.parametrize(
    "on", ["1975-03-30", "1981-04-19", "2000-04-23", "2008-03-23", "2011-04-24", "2024-03-31",
           "2025-04-20", "2038-04-25", "2049-04-18", "2076-04-19"],
)  # fmt: skip
def test_easter_falls_on_the_known_sundays(on):
    assert easter(int(on[:4])).isoformat() == on


def test_easter_is_a_sunday_in_spring_in_every_year():
    for year in range(1970, 2100):
        sunday = easter(year)
        assert sunday.weekday() == 6
        assert date(year, 3, 22) <= sunday <= date(year, 4, 25)


def test_a_holiday_can_be_added():
    closed = Holiday(name="audit", on=lambda year: date(year, 6, 4), close=None)
    early = Holiday(name="audit eve", on=lambda year: date(year, 6, 3), close=time(12, 30))
    calendar = replace(CALENDARS["fx"], holidays=(closed, early))
    monday, tuesday = rows(calendar, "2024-06-03", "2024-06-04")
    assert utc(monday["close_ns"]) == utc(monday["long_close_ns"]) == "2024-06-03 16:30"
    assert tuesday["open_ns"] == tuesday["close_ns"]


def test_the_leap_day_is_a_day():
    leap = day("fx", "2024-02-29")
    assert leap["day_of_week"] == 3
    assert utc(leap["end_ns"]) == "2024-02-29 22:00"
    assert rows("fx", "2023-02-28", "2023-03-01").size == 2


@pytest.mark.parametrize(
    ("name", "file"),
    [("fx", "EURUSD_H1_oanda_2007-2018"), ("metals", "XAUUSD_H1_oanda_2006-2019")],
)
def test_real_bars_lie_in_trading_hours(shared_data, name, file):
    """Every hour that Oanda traded is open here but a few, and the rest of its file has gaps.

    From 2016: until September 2015 the evening pause of metals began a quarter past five.
    """
    table = pl.read_parquet(shared_data / "bars" / f"{file}.parquet")
    hours = table.filter(pl.col("time").dt.year().is_between(2016, 2018))["time"]
    hours_ns = hours.dt.epoch("ns").to_numpy()
    days = CALENDARS[name].days(int(hours_ns[0]), int(hours_ns[-1]))
    row = days[np.searchsorted(days["start_ns"], hours_ns, "right") - 1]
    open_here = (row["open_ns"] <= hours_ns) & (hours_ns < row["close_ns"])
    assert np.mean(~open_here) < 0.001
    inside = days[(days["start_ns"] > hours_ns[0]) & (days["end_ns"] < hours_ns[-1])]
    open_hours = ((inside["close_ns"] - inside["open_ns"]) / HOUR_NS).sum()
    assert hours_ns.size == pytest.approx(open_hours, rel=0.05)


# --- swap ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("triple", "expected"),
    [(WEDNESDAY, [1, 1, 3, 1, 1, 0, 0]), (FRIDAY, [1, 1, 1, 1, 3, 0, 0])],
)
def test_a_week_charges_seven_days_of_swap(triple, expected):
    week = rows("fx", "2024-01-08", "2024-01-14", swap_rollover3days=triple)
    assert week["swap_days"].tolist() == expected
    assert sum(expected) == 7


def test_the_triple_day_may_be_any_day_that_metatrader_knows():
    week = rows("fx", "2024-01-08", "2024-01-14", swap_rollover3days=SUNDAY)
    assert week["swap_days"].tolist() == [1, 1, 1, 1, 1, 0, 3]


# --- refusals ------------------------------------------------------------------------------------


def test_an_unknown_calendar_is_refused_and_the_known_ones_listed():
    with pytest.raises(CalendarError, match="'forex'; there are fx, metals, index, crypto"):
        calendar_named("forex")
    assert calendar_named("fx") is CALENDARS["fx"]


@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (("2024-01-02", "2024-01-01"), {}, "ends .* before it starts"),
        (("1970-01-02", "1970-01-05"), {}, "not within 1970-2100"),
        (("2024-01-02", "2101-01-01"), {}, "not within 1970-2100"),
        (("2024-01-02", "2024-01-05"), {"margin_days": -1}, "not within 1970-2100"),
        (("2024-01-02", "2024-01-05"), {"swap_rollover3days": 7}, "0 .Sunday. to 6"),
    ],
)
def test_a_range_or_setting_that_cannot_be_is_refused(arguments, settings, message):
    with pytest.raises(CalendarError, match=message):
        CALENDARS["fx"].days(*map(at, arguments), **settings)


@pytest.mark.parametrize(
    "hours", [{"open_hour": -8}, {"close_hour": 18}, {"open_hour": 17}, {"close_hour": -7}]
)
def test_hours_out_of_order_are_refused(hours):
    with pytest.raises(CalendarError, match="start <= open < close"):
        replace(CALENDARS["fx"], **hours)


def test_calendars_are_frozen():
    with pytest.raises(FrozenInstanceError):
        setattr(CALENDARS["fx"], "zone", "UTC")  # noqa: B010


# --- wall clocks ---------------------------------------------------------------------------------


def wall(*texts):
    return np.array([at(text) for text in texts], np.int64)


@pytest.mark.parametrize(
    ("zone", "given_wall", "expected"),
    [
        ("UTC", "2024-03-10 02:30", "2024-03-10 02:30"),
        ("UTC+3", "2024-03-10 02:30", "2024-03-09 23:30"),
        ("GMT+3", "2024-07-10 02:30", "2024-07-09 23:30"),
        ("Etc/GMT+3", "2024-07-10 02:30", "2024-07-10 05:30"),  # IANA's sign is the other way
        ("America/New_York", "2024-01-05 17:00", "2024-01-05 22:00"),
        ("New_York", "2024-07-05 17:00", "2024-07-05 21:00"),
        # A server on New York + 7: midnight is 17:00 New York all year.
        ("New_York+7", "2024-01-06 00:00", "2024-01-05 22:00"),
        ("New_York+7", "2024-07-06 00:00", "2024-07-05 21:00"),
        # A server with European daylight saving differs from it between the two changes.
        ("Europe/Athens", "2024-03-13 00:00", "2024-03-12 22:00"),
        ("New_York+7", "2024-03-13 00:00", "2024-03-12 21:00"),
        ("Europe/Athens", "2024-10-30 00:00", "2024-10-29 22:00"),
        ("New_York+7", "2024-10-30 00:00", "2024-10-29 21:00"),
        ("Asia/Kolkata", "2024-07-05 05:30", "2024-07-05 00:00"),
    ],
)
def test_wall_clocks_become_utc(zone, given_wall, expected):
    utc_ns, ambiguous, missing = wall_to_utc_ns(wall(given_wall), zone)
    assert utc(utc_ns[0]) == expected
    assert not ambiguous[0]
    assert not missing[0]


def test_the_alias_and_the_shift_are_the_same():
    times = at("2024-01-01") + np.arange(366 * 24) * HOUR_NS
    alias = wall_to_utc_ns(times, "New_York+7")
    shifted = wall_to_utc_ns(times, "America/New_York", shift_hours=7)
    both = wall_to_utc_ns(times, "New_York+9", shift_hours=-2)
    for ours, theirs, third in zip(alias, shifted, both, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, third)


def test_the_repeated_hour_is_ambiguous_and_read_as_its_first_pass():
    times = wall(
        "2024-11-03 00:59:59", "2024-11-03 01:00", "2024-11-03 01:59:59", "2024-11-03 02:00"
    )
    utc_ns, ambiguous, missing = wall_to_utc_ns(times, "America/New_York")
    assert ambiguous.tolist() == [False, True, True, False]
    assert not missing.any()
    assert (utc_ns - times).tolist() == [4 * HOUR_NS, 4 * HOUR_NS, 4 * HOUR_NS, 5 * HOUR_NS]


def test_the_skipped_hour_is_missing_and_read_with_the_offset_before():
    times = wall(
        "2024-03-31 02:59:59", "2024-03-31 03:00", "2024-03-31 03:59:59", "2024-03-31 04:00"
    )
    utc_ns, ambiguous, missing = wall_to_utc_ns(times, "Europe/Athens")
    assert missing.tolist() == [False, True, True, False]
    assert not ambiguous.any()
    assert (times - utc_ns).tolist() == [2 * HOUR_NS, 2 * HOUR_NS, 2 * HOUR_NS, 3 * HOUR_NS]


ZONES = [
    "America/New_York", "Europe/London", "Europe/Athens", "Asia/Tokyo", "UTC", "Africa/Casablanca",
    "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kathmandu", "Pacific/Apia", "Europe/Moscow",
]  # fmt: skip


def offset_of(moment):
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds())


@pytest.mark.parametrize("zone", ZONES)
@given(second=st.integers(0, at("2099-12-01") // 1_000_000_000))
def test_any_wall_clock_reads_as_zoneinfo_does(zone, second):
    naive = datetime(1970, 1, 3) + timedelta(seconds=second)  # noqa: DTZ001
    first, second_pass = (naive.replace(tzinfo=ZoneInfo(zone), fold=fold) for fold in (0, 1))
    utc_ns, ambiguous, missing = wall_to_utc_ns(wall(naive.isoformat()), zone)
    assert utc_ns[0] == round(first.timestamp()) * 1_000_000_000
    change = offset_of(first) - offset_of(second_pass)
    assert ambiguous[0] == (change > 0)
    assert missing[0] == (change < 0)


@pytest.mark.parametrize("zone", ZONES)
def test_utc_to_wall_and_back_is_the_same_away_from_the_changes(zone):
    utc_ns = at("1990-01-01") + np.arange(2_000) * 137 * HOUR_NS
    offsets = [
        offset_of(datetime.fromtimestamp(each // 1_000_000_000, UTC).astimezone(ZoneInfo(zone)))
        for each in utc_ns.tolist()
    ]
    walls = utc_ns + np.array(offsets) * 1_000_000_000
    back, ambiguous, missing = wall_to_utc_ns(walls, zone)
    assert not missing.any()
    np.testing.assert_array_equal(back[~ambiguous], utc_ns[~ambiguous])


def test_sorted_wall_times_stay_sorted_and_nanoseconds_survive():
    times = at("2024-01-01") + np.arange(20_000) * (HOUR_NS // 2) + 123_456_789
    for zone in ZONES:
        utc_ns, _, missing = wall_to_utc_ns(times, zone)
        assert np.all(np.diff(utc_ns[~missing]) >= 0)
        assert np.all(utc_ns % 1_000_000_000 == 123_456_789)


def test_no_rows_and_rows_outside_the_table_are_converted():
    utc_ns, ambiguous, missing = wall_to_utc_ns(np.zeros(0, np.int64), "New_York+7")
    assert utc_ns.size == ambiguous.size == missing.size == 0
    far = wall("1901-01-01", "2200-07-01")
    utc_ns, ambiguous, missing = wall_to_utc_ns(far, "America/New_York")
    assert (utc_ns - far).tolist() == [5 * HOUR_NS, 5 * HOUR_NS]
    assert not ambiguous.any()
    assert not missing.any()


@pytest.mark.parametrize("zone", ["Amerca/New_York", "", "New York", "EST5EDT7", "New_York+123"])
def test_an_unknown_zone_is_refused_with_what_there_is(zone):
    with pytest.raises(CalendarError, match="IANA names"):
        wall_to_utc_ns(wall("2024-01-01"), zone)


def test_a_misspelt_zone_is_told_its_neighbours():
    with pytest.raises(CalendarError, match=r"near: America/New_York"):
        wall_to_utc_ns(wall("2024-01-01"), "America/New_Yrk")
