"""When a market trades: trading days, sessions, holidays, daylight saving; and wall clocks to UTC.

Everything here runs once, before the loop or a backtest starts; what comes out is plain numbers
(`layout.DAY` rows) that the kernels read. Rules are IANA zones (`zoneinfo`), never fixed offsets:
the United States and Europe change their clocks on different Sundays.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from difflib import get_close_matches
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.layout import DAY

#: ``long_close_ns`` of a market that never closes for long: the year 2116.
NEVER_NS = 2**62

_SECOND_NS = 1_000_000_000
_HOUR_NS = 3600 * _SECOND_NS
_DAY_NS = 24 * _HOUR_NS

_TABLE_YEARS = (1970, 2100)
_NEW_YORK = "America/New_York"
# Short names that traders use for a zone, besides every IANA name.
_ZONE_ALIASES = {"New_York": _NEW_YORK, "London": "Europe/London"}


class CalendarError(ValueError):
    """A calendar, zone or date range that does not exist; the message lists what does."""


class _ClockChanges(NamedTuple):
    """The clock changes of one zone: n transitions between n + 1 offsets."""

    utc_ns: NDArray[np.int64]  # (n,) instants of change
    offset_ns: NDArray[np.int64]  # (n + 1,) wall clock minus UTC


@lru_cache(maxsize=64)
def _zone_and_shift(name: str) -> tuple[ZoneInfo, int]:
    """Resolve an IANA name, an alias, or either followed by whole hours (``"New_York+7"``)."""
    names = available_timezones()
    base, hours = name, 0
    if name not in names and name not in _ZONE_ALIASES:
        match = re.fullmatch(r"(.+?)([+-]\d{1,2})", name)
        if match is not None:
            base, hours = match[1], int(match[2])
    base = _ZONE_ALIASES.get(base, base)
    if base not in names:
        close = get_close_matches(base, sorted(names), n=5, cutoff=0.5)
        msg = (
            f"unknown time zone {name!r}; use one of the {len(names)} IANA names"
            f" (near: {', '.join(close) or 'none'}), an alias"
            f" ({', '.join(sorted(_ZONE_ALIASES))}), or either followed by hours, as in"
            " 'New_York+7' (New York wall clock plus 7 hours, most MetaTrader servers) or 'UTC+3'"
        )
        raise CalendarError(msg)
    return ZoneInfo(base), hours


def _offset_ns(zone: ZoneInfo, second: int) -> int:
    offset = datetime.fromtimestamp(second, zone).utcoffset()
    if offset is None:  # a ZoneInfo always has one
        msg = f"zone {zone.key} has no offset at {second}"
        raise CalendarError(msg)
    return offset // timedelta(microseconds=1) * 1000


@lru_cache(maxsize=64)
def _clock_changes(key: str) -> _ClockChanges:
    """Find every change of a zone's clock by looking daily, then halving down to the second."""
    zone = ZoneInfo(key)
    first, last = (int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in _TABLE_YEARS)
    offsets, changes = [_offset_ns(zone, first)], list[int]()
    for day in range(first + 86_400, last + 1, 86_400):
        if _offset_ns(zone, day) == offsets[-1]:
            continue
        low, high = day - 86_400, day
        while high - low > 1:
            middle = (low + high) // 2
            if _offset_ns(zone, middle) == offsets[-1]:
                low = middle
            else:
                high = middle
        changes.append(high * _SECOND_NS)
        offsets.append(_offset_ns(zone, day))
    return _ClockChanges(np.array(changes, np.int64), np.array(offsets, np.int64))


def wall_to_utc_ns(
    wall_ns: NDArray[np.int64], zone: str, shift_hours: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
    """Convert naive wall-clock times to UTC.

    The wall clock shows ``zone`` plus ``shift_hours``: a MetaTrader server on "New York + 7" is
    ``zone="America/New_York", shift_hours=7`` or, the same, ``zone="New_York+7"``.

    An *ambiguous* time (the hour that the autumn change repeats) is read as its first occurrence; a
    *missing* time (the hour that the spring change skips, which no clock ever showed: the zone is
    likely wrong) is read with the offset before the change, so 02:30 means half an hour after it.
    Both are Python's ``fold=0``. Foreign exchange is closed at both; for what trades through them
    (crypto) the caller decides by order of arrival: in the second pass over the repeated hour,
    ``utc_ns`` is an hour later. The masks say which rows these are. The order of sorted times is
    kept, except among missing ones.

    Outside 1970-2100 the first or last known offset holds.

    Args:
        wall_ns: (n,) nanoseconds since 1970-01-01 00:00 on that wall clock.
        zone: IANA name, alias, or either plus hours, see above.
        shift_hours: added by the broker on top of `zone`.

    Returns:
        ``(utc_ns, ambiguous, missing)``, each (n,).

    Raises:
        CalendarError: unknown zone.
    """
    info, zone_shift = _zone_and_shift(zone)
    utc_ns, offset_ns = _clock_changes(info.key)
    local = np.asarray(wall_ns, np.int64) - (shift_hours + zone_shift) * _HOUR_NS
    step_ns = np.diff(offset_ns)
    # With fold=0 the offset before a change holds until the later of the two readings of it.
    threshold = utc_ns + np.maximum(offset_ns[:-1], offset_ns[1:])
    after = np.searchsorted(threshold, local, side="right")
    utc = local - offset_ns[after]
    no_change = np.iinfo(np.int64).max
    ambiguous_from = np.append(np.where(step_ns < 0, threshold + step_ns, no_change), no_change)
    missing_from = np.append(np.where(step_ns > 0, threshold - step_ns, no_change), no_change)
    return utc, local >= ambiguous_from[after], local >= missing_from[after]


def easter(year: int) -> date:
    """Return Easter Sunday of the Gregorian calendar (the Meeus/Jones/Butcher rule)."""
    century, rest = divmod(year, 100)
    golden = year % 19
    epact = (19 * golden + century - century // 4 - (8 * century + 13) // 25 + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - epact - rest % 4) % 7
    late = (golden + 11 * epact + 22 * weekday) // 451
    month, day = divmod(epact + weekday - 7 * late + 114, 31)
    return date(year, month, day + 1)


def _christmas(year: int) -> date:
    return date(year, 12, 25)


def _new_year(year: int) -> date:
    return date(year, 1, 1)


def _christmas_eve(year: int) -> date:
    return date(year, 12, 24)


def _good_friday(year: int) -> date:
    return easter(year) - timedelta(days=2)


def _day_after_thanksgiving(year: int) -> date:
    first = date(year, 11, 1)
    return first + timedelta(days=(3 - first.weekday()) % 7 + 22)


@dataclass(frozen=True, kw_only=True)
class Holiday:
    """A trading day on which a market stays closed or closes early.

    Attributes:
        name: for people.
        on: the date in a year; that of the trading day, so 25 December is closed from 17:00 New
            York on the 24th.
        close: early close, wall clock of the calendar's zone; None = closed all day.
    """

    name: str
    on: Callable[[int], date]
    close: time | None = None


class _Session(NamedTuple):
    name: str
    zone: str
    open_hour: int
    close_hour: int


# The foreign exchange convention: the desks of a city work from nine to six, eight to five.
_SESSIONS = (
    _Session("tokyo", "Asia/Tokyo", 9, 18),
    _Session("london", "Europe/London", 8, 17),
    _Session("new_york", _NEW_YORK, 8, 17),
)

_LONG_CLOSURE_NS = 12 * _HOUR_NS
_LOOK_AHEAD_DAYS = 30  # further than any closure lasts
_WEEKDAYS = (0, 1, 2, 3, 4)


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """When one kind of market trades.

    Hours count from midnight (wall clock of `zone`) of the trading day's date and may be negative:
    Monday's foreign exchange day starts at -7, on Sunday at 17:00. Change one with
    ``dataclasses.replace``.

    Attributes:
        name: as in `CALENDARS`.
        zone: IANA zone of the hours.
        start_hour: rollover at which the trading day begins; it ends where the next one begins.
        open_hour: first hour of trading, at or after `start_hour`.
        close_hour: end of trading, at most 24 hours after `start_hour`.
        trading_days: weekdays with trading, 0 = Monday.
        holidays: rules; several may fall on one day, the earliest close wins.
        swap_every_day: swap is charged once at every rollover and never three times.
    """

    name: str
    zone: str
    start_hour: int
    open_hour: int
    close_hour: int
    trading_days: tuple[int, ...] = _WEEKDAYS
    holidays: tuple[Holiday, ...] = ()
    swap_every_day: bool = False

    def __post_init__(self) -> None:
        end_hour = self.start_hour + 24
        if not self.start_hour <= self.open_hour < self.close_hour <= end_hour:
            msg = (
                f"calendar {self.name!r}: hours must be start <= open < close <= start + 24, not"
                f" {self.start_hour}, {self.open_hour}, {self.close_hour}"
            )
            raise CalendarError(msg)

    def days(
        self, start_ns: int, end_ns: int, *, swap_rollover3days: int = 3, margin_days: int = 10
    ) -> NDArray[np.void]:
        """Return the trading days around a range as the table that kernels read.

        Sessions are Tokyo 09:00-18:00, London 08:00-17:00 and New York 08:00-17:00, each by its own
        clock on the row's date, whatever the market's hours; empty (open == close) at weekends and
        where the market is closed all day. Bank holidays of a single city are not modelled.

        Swap as in MetaTrader: one day at the end of Monday to Friday, three at the end of
        `swap_rollover3days`, none at weekends; holidays charge like other days.

        Args:
            start_ns: first moment that must be covered, UTC.
            end_ns: last moment that must be covered, UTC.
            swap_rollover3days: the symbol's, in MetaTrader's numbers: 0 = Sunday, 3 = Wednesday
                (foreign exchange), 5 = Friday (many CFDs).
            margin_days: whole trading days added on both sides.

        Returns:
            (rows,) DAY records, contiguous: each ends where the next begins. Rows without trading
            have ``open_ns == close_ns``. ``long_close_ns`` is the end of trading of the first row
            from this one on that is followed by at least 12 hours without trading (in the past
            after this row's own early close), or `NEVER_NS`.

        Raises:
            CalendarError: the range is empty or leaves 1970-2100, or the settings are no such day.
        """
        if swap_rollover3days not in range(7):
            msg = f"swap_rollover3days is 0 (Sunday) to 6 (Saturday), not {swap_rollover3days}"
            raise CalendarError(msg)
        dates = self._dates(start_ns, end_ns, margin_days)
        rows = np.zeros(dates.size, DAY)
        weekday = (dates + 3) % 7  # 1970-01-01 was a Thursday
        rows["day_of_week"] = weekday
        rows["start_ns"] = self._hour_ns(dates, self.start_hour, self.zone)
        rows["end_ns"] = self._hour_ns(dates + 1, self.start_hour, self.zone)
        self._set_trading(rows, dates)
        traded = rows["open_ns"] < rows["close_ns"]
        for session in _SESSIONS:
            opens = self._hour_ns(dates, session.open_hour, session.zone)
            closes = self._hour_ns(dates, session.close_hour, session.zone)
            rows[f"{session.name}_open_ns"] = opens
            rows[f"{session.name}_close_ns"] = np.where(traded & (weekday < 5), closes, opens)
        if self.swap_every_day:
            rows["swap_days"] = 1
        else:
            rows["swap_days"] = np.where(weekday < 5, 1, 0)
            rows["swap_days"][weekday == (swap_rollover3days + 6) % 7] = 3
        return rows[:-_LOOK_AHEAD_DAYS].copy()

    @staticmethod
    def _hour_ns(dates: NDArray[np.int64], hour: int, zone: str) -> NDArray[np.int64]:
        """Convert hours after midnight of dates (days since 1970) to UTC."""
        return wall_to_utc_ns(dates * _DAY_NS + hour * _HOUR_NS, zone)[0]

    def _dates(self, start_ns: int, end_ns: int, margin_days: int) -> NDArray[np.int64]:
        """Return the trading days' dates, days since 1970, with room to look ahead."""
        if not start_ns <= end_ns:
            msg = f"calendar {self.name!r}: range ends ({end_ns}) before it starts ({start_ns})"
            raise CalendarError(msg)
        # One day more on both sides: the zone and the rollover shift dates by less than that.
        first = start_ns // _DAY_NS - margin_days - 1
        last = end_ns // _DAY_NS + margin_days + 2
        limits = [(date(year, 1, 1) - date(1970, 1, 1)).days for year in _TABLE_YEARS]
        if margin_days < 0 or first < limits[0] or last + _LOOK_AHEAD_DAYS > limits[1]:
            msg = (
                f"calendar {self.name!r}: {start_ns} to {end_ns} ns with {margin_days} days of"
                f" margin is not within {_TABLE_YEARS[0]}-{_TABLE_YEARS[1]}; times are UTC"
                " nanoseconds since 1970"
            )
            raise CalendarError(msg)
        return np.arange(first, last + _LOOK_AHEAD_DAYS, dtype=np.int64)

    def _set_trading(self, rows: NDArray[np.void], dates: NDArray[np.int64]) -> None:
        """Set when each row trades, and when the next long closure begins."""
        rows["open_ns"] = self._hour_ns(dates, self.open_hour, self.zone)
        rows["close_ns"] = self._hour_ns(dates, self.close_hour, self.zone)
        first = date(1970, 1, 1) + timedelta(days=int(dates[0]))
        last = first + timedelta(days=int(dates.size) - 1)
        for year in range(first.year, last.year + 1):
            for holiday in self.holidays:
                row = (holiday.on(year) - first).days
                if 0 <= row < dates.size:
                    self._close_early(rows, dates, row, holiday.close)
        closed = ~np.isin(rows["day_of_week"], self.trading_days)
        closed |= rows["close_ns"] <= rows["open_ns"]
        rows["open_ns"][closed] = rows["start_ns"][closed]
        rows["close_ns"][closed] = rows["start_ns"][closed]
        rows["long_close_ns"] = NEVER_NS
        traded = np.flatnonzero(~closed)
        pause_ns = rows["open_ns"][traded[1:]] - rows["close_ns"][traded[:-1]]
        long = traded[:-1][pause_ns >= _LONG_CLOSURE_NS]
        rows["long_close_ns"][long] = rows["close_ns"][long]
        backwards = rows["long_close_ns"][::-1]
        rows["long_close_ns"] = np.minimum.accumulate(backwards)[::-1]

    def _close_early(
        self, rows: NDArray[np.void], dates: NDArray[np.int64], row: int, close: time | None
    ) -> None:
        close_ns = int(rows["open_ns"][row])
        if close is not None:
            minute_ns = close.minute * 60 * _SECOND_NS
            at_hour = self._hour_ns(dates[row : row + 1], close.hour, self.zone)
            close_ns = int(at_hour[0]) + minute_ns
        rows["close_ns"][row] = min(int(rows["close_ns"][row]), close_ns)


_CHRISTMAS = Holiday(name="Christmas", on=_christmas)
_NEW_YEAR = Holiday(name="New Year", on=_new_year)
_GOOD_FRIDAY = Holiday(name="Good Friday", on=_good_friday)


def _early(close: time) -> tuple[Holiday, ...]:
    return (
        Holiday(name="day after Thanksgiving", on=_day_after_thanksgiving, close=close),
        Holiday(name="Christmas Eve", on=_christmas_eve, close=close),
    )


#: The calendars by name. Early closes are those of CME Globex (12:45 Chicago for metals, 12:15 for
#: equity indices); those of metals, and the closed days, agree with Oanda's hourly bars of
#: 2012-2018. Not modelled: the pauses of a few hours on other United States holidays (another hour
#: every few years, and trading resumes the same evening), and what a broker decides year by year
#: (foreign exchange on 24, 26 and 31 December).
CALENDARS = {
    "fx": Calendar(
        name="fx",
        zone=_NEW_YORK,
        start_hour=-7,
        open_hour=-7,
        close_hour=17,
        holidays=(_CHRISTMAS, _NEW_YEAR),
    ),
    "metals": Calendar(
        name="metals",
        zone=_NEW_YORK,
        start_hour=-7,
        open_hour=-6,
        close_hour=17,
        holidays=(_CHRISTMAS, _NEW_YEAR, _GOOD_FRIDAY, *_early(time(13, 45))),
    ),
    "index": Calendar(
        name="index",
        zone=_NEW_YORK,
        start_hour=-7,
        open_hour=-6,
        close_hour=17,
        holidays=(_CHRISTMAS, _NEW_YEAR, _GOOD_FRIDAY, *_early(time(13, 15))),
    ),
    "crypto": Calendar(
        name="crypto",
        zone="UTC",
        start_hour=0,
        open_hour=0,
        close_hour=24,
        trading_days=(0, 1, 2, 3, 4, 5, 6),
        swap_every_day=True,
    ),
}


def calendar_named(name: str) -> Calendar:
    """Return one of `CALENDARS`.

    Raises:
        CalendarError: there is none of that name; the message lists them.
    """
    try:
        return CALENDARS[name]
    except KeyError:
        msg = f"unknown calendar {name!r}; there are {', '.join(CALENDARS)}"
        raise CalendarError(msg) from None
