"""Find a feed's clock from its trading week, and apply it.

Foreign exchange and metals close on Friday at 17:00 New York, whatever clock a file is written in.
Each candidate clock puts the last row of every week at some New York time; the right clock puts
them at 17:00 in summer, in winter, and in the weeks when only one side of the Atlantic has changed
its clocks. Two candidates are told apart by the weeks in which they differ; candidates that give
the same UTC for every row of the file need not be.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import CalendarError, wall_to_utc_ns
from realtime.history.eras import best_path, change_day, eras_of, walls_to_utc
from realtime.history.errors import ZoneContradicted, ZoneUndecided, ZoneUnknown
from realtime.history.raw import NO_TIME
from realtime.history.scan import HOUR_NS, Scan

# In order of preference among clocks that fit equally.
CANDIDATES = (
    *("UTC", "New_York+7", "EET", "New_York", "UTC-5", "London-5", "UTC+2", "UTC+3"),
    *("London", "Europe/Berlin", "UTC+1", "New_York+8", "UTC+8", "Asia/Tokyo", "America/Chicago"),
)
#: Fewer matching weeks are no evidence: any clock fits one week.
LEAST_WEEKS = 2
_DAY_NS = 24 * HOUR_NS
_WEEK_NS = 7 * _DAY_NS
_FRIDAY_CLOSE_NS = _DAY_NS + 17 * HOUR_NS  # since Thursday 00:00, as 1970 began on a Thursday
_EARLY_NS = HOUR_NS // 2
_LATE_NS = HOUR_NS // 12
_LONGEST_STEP_NS = HOUR_NS


@dataclass(frozen=True, kw_only=True)
class ZoneFinding:
    """Which clock a file is in, and why.

    Attributes:
        zone: e.g. ``"New_York+7"``.
        how: ``"given"``, ``"stated"`` by the file or format, or ``"detected"``.
        confidence: share of weeks that close on time under it, 1.0 if given or stated unchecked.
        evidence: sentences for the report.
    """

    zone: str
    how: str
    confidence: float
    evidence: tuple[str, ...]


def checked_zone(zone: str, file: str) -> str:
    """Return the zone if it exists.

    Raises:
        ZoneUnknown: it does not; the message names near ones.
    """
    try:
        for era in eras_of(zone):
            wall_to_utc_ns(np.zeros(1, np.int64), era.zone)
    except (CalendarError, ValueError, KeyError, OSError) as error:
        remedy = f"Usual ones are {', '.join(CANDIDATES[:6])}."
        raise ZoneUnknown(str(error), file=file, remedy=remedy) from error
    return zone


def _new_york_wall(utc_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Convert UTC to New York wall time: try both offsets, keep the one that converts back."""
    winter = utc_ns - 5 * HOUR_NS
    summer = utc_ns - 4 * HOUR_NS
    back, _, _ = wall_to_utc_ns(summer, "America/New_York")
    return np.where(back == utc_ns, summer, winter)


def _on_time(ends_ns: NDArray[np.int64], zone: str) -> NDArray[np.bool_]:
    utc_ns, _, _ = walls_to_utc(ends_ns - 1, zone)  # the last moment of the week, in its era
    utc_ns = utc_ns + 1
    late_ns = _new_york_wall(utc_ns) % _WEEK_NS - _FRIDAY_CLOSE_NS
    return (late_ns >= -_EARLY_NS) & (late_ns <= _LATE_NS)


@dataclass(frozen=True)
class _Trial:
    zone: str
    on_time: NDArray[np.bool_]
    hours_utc: NDArray[np.int64]


def _trials(scan: Scan, step_ns: int) -> list[_Trial]:
    ends_ns = np.array(scan.week_ends_ns, np.int64) + step_ns
    hours_ns = scan.hours * HOUR_NS
    return [
        _Trial(zone, _on_time(ends_ns, zone), wall_to_utc_ns(hours_ns, zone)[0])
        for zone in CANDIDATES
    ]


def detect_zone(scan: Scan, step_ns: int, *, file: str, hint: str = "") -> ZoneFinding:
    """Find the clock of a feed that closes for the weekend at 17:00 New York.

    Args:
        scan: first look at the times.
        step_ns: length of a bar, 0 for ticks.
        file: for messages.
        hint: what the file says about its clock, for the message.

    Returns:
        The clock; a feed that changed its clock for good gets one a period (`eras`).

    Raises:
        ZoneUndecided: too few weeks, or several clocks fit equally well.
    """
    reason = _cannot_tell(scan, step_ns)
    if reason:
        raise _undecided(reason, file, hint)
    trials = _trials(scan, step_ns)
    path = best_path(np.stack([trial.on_time for trial in trials]))
    starts = np.flatnonzero(np.diff(path, prepend=-1)).tolist()
    stops = [*starts[1:], len(path)]
    names = [
        trials[int(path[start])].zone
        + (f" until {_change_after(scan, stop - 1)}" if stop < len(path) else "")
        for start, stop in zip(starts, stops, strict=True)
    ]
    zone = ", ".join(names)
    evidence: list[str] = []
    matched = 0
    for start, stop in zip(starts, stops, strict=True):
        best, weeks = trials[int(path[start])], slice(start, stop)
        found, doubt = _compare(scan, trials, best, weeks)
        if doubt:
            what = f"{doubt}; the likeliest is {zone!r}"
            raise _undecided(what, file, hint)
        evidence += found
        matched += int(best.on_time[weeks].sum())
    if len(names) > 1:
        evidence.append("the feed changed its clock: check this against another source")
    return ZoneFinding(
        zone=zone,
        how="detected",
        confidence=matched / len(path),
        evidence=tuple(evidence),
    )


def _change_after(scan: Scan, week: int) -> str:
    return change_day(scan.week_ends_ns[week], scan.week_starts_ns[week])


def _compare(
    scan: Scan, trials: Sequence[_Trial], best: _Trial, weeks: slice
) -> tuple[list[str], str]:
    """Compare a clock with every rival over some weeks: evidence for it, and what leaves doubt.

    There is doubt if half of the weeks or a rival that gives another UTC speak against it.
    """
    on_time = best.on_time[weeks]
    matched, count = int(on_time.sum()), len(on_time)
    if matched < LEAST_WEEKS or matched < count / 2:
        return [], f"only {matched} of {count} weeks close at 17:00 New York under {best.zone}"
    evidence = [f"{matched} of {count} weeks close at 17:00 New York if the clock is {best.zone}"]
    hours = _hours_of(scan, weeks)
    same: list[str] = []
    for rival in trials:
        if rival.zone == best.zone:
            continue
        if np.array_equal(rival.hours_utc[hours], best.hours_utc[hours]):
            same.append(rival.zone)
            continue
        won = int((on_time & ~rival.on_time[weeks]).sum())
        lost = int((~on_time & rival.on_time[weeks]).sum())
        if won == 0 or won < 2 * lost:
            return (
                [],
                f"{best.zone} and {rival.zone} fit about equally well ({won} weeks to {lost})",
            )
        if won + lost <= count / 2:
            evidence.append(f"{won} weeks speak for it against {rival.zone}, {lost} the other way")
    if same:
        evidence.append(f"{', '.join(same)} would give the same UTC for every row")
    return evidence, ""


def _hours_of(scan: Scan, weeks: slice) -> slice:
    """Return which of the scan's hours belong to some weeks and their surroundings."""
    first = 0 if weeks.start == 0 else scan.week_starts_ns[weeks.start - 1] // HOUR_NS
    whole = weeks.stop == len(scan.week_ends_ns)
    last = scan.hours[-1] if whole else scan.week_ends_ns[weeks.stop - 1] // HOUR_NS
    at = np.searchsorted(scan.hours, [first, last + 1])
    return slice(int(at[0]), int(at[1]))


def _cannot_tell(scan: Scan, step_ns: int) -> str:
    if step_ns > _LONGEST_STEP_NS:
        return "bars longer than an hour do not show when a week closes"
    if len(scan.week_ends_ns) < LEAST_WEEKS:
        return f"it holds {len(scan.week_ends_ns)} closed weeks, at least {LEAST_WEEKS} are needed"
    return ""


def _undecided(what: str, file: str, hint: str) -> ZoneUndecided:
    said = f" ({hint})" if hint else ""
    remedy = (
        "Give zone= (--zone): 'UTC', an IANA name, or a broker's clock such as 'New_York+7' (most"
        " MetaTrader servers) or 'EET' (those that follow European daylight saving)."
    )
    return ZoneUndecided(f"its time zone is not known{said}: {what}", file=file, remedy=remedy)


def confirm_zone(
    zone: str, how: str, scan: Scan, step_ns: int, *, file: str, check: bool
) -> ZoneFinding:
    """Accept a zone given or stated, unless the trading weeks clearly say another.

    Raises:
        ZoneContradicted: four or more weeks fit another clock, and at most a tenth fit this one.
    """
    if not check or _cannot_tell(scan, step_ns):
        return ZoneFinding(zone=zone, how=how, confidence=1.0, evidence=())
    ends_ns = np.array(scan.week_ends_ns, np.int64) + step_ns
    mine, weeks = int(_on_time(ends_ns, zone).sum()), len(ends_ns)
    trials = _trials(scan, step_ns)
    best = max(trials, key=lambda trial: int(trial.on_time.sum()))
    matched = int(best.on_time.sum())
    if matched >= 4 and matched >= 0.8 * weeks and mine <= 0.1 * weeks:
        what = (
            f"the zone {how} is {zone}, but {matched} of {weeks} weeks close at 17:00 New York"
            f" only if it is {best.zone} ({mine} under {zone})"
        )
        remedy = (
            f"Give zone={best.zone!r} (--zone), or check_zone=False (--no-zone-check) if the feed"
            " really closes then."
        )
        raise ZoneContradicted(what, file=file, remedy=remedy)
    evidence = (f"{mine} of {weeks} weeks close at 17:00 New York under it",)
    return ZoneFinding(zone=zone, how=how, confidence=mine / weeks, evidence=evidence)


def repeated_hours(
    wall_ns: NDArray[np.int64], ambiguous: NDArray[np.bool_], before_ns: int, *, second: bool
) -> tuple[NDArray[np.bool_], bool]:
    """Tell which rows of a repeated hour are its second pass: those after the clock jumps back.

    Args:
        wall_ns: (n,) wall times in file order.
        ambiguous: (n,) rows inside a repeated hour.
        before_ns: wall time of the row before.
        second: the second pass had begun before these rows.

    Returns:
        Mask of second-pass rows, and whether a second pass is still running at the end.
    """
    if not ambiguous.any():
        return np.zeros(len(wall_ns), np.bool_), False
    back = np.diff(wall_ns, prepend=before_ns) < -_EARLY_NS
    start = np.where(ambiguous & back, 1, 0)
    stop = np.where(~ambiguous, 2, 0)
    event = np.maximum(start, stop)
    at = np.maximum.accumulate(np.where(event > 0, np.arange(len(wall_ns)), -1))
    running = np.where(at >= 0, event[at] == 1, second)
    return running & ambiguous, bool(running[-1])


class Clock:
    """Turns a feed's wall times into UTC, chunk by chunk in file order."""

    def __init__(self, zone: str) -> None:
        self.zone = zone
        self._utc = zone == "UTC"
        self._before_ns = 0
        self._second = False

    def to_utc(
        self, wall_ns: NDArray[np.int64], usable: NDArray[np.bool_]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.bool_]]:
        """Convert wall times.

        Args:
            wall_ns: (n,) wall times; `NO_TIME` stays as it is.
            usable: (n,) rows whose time was read.

        Returns:
            ``(utc_ns, ambiguous, missing)``, each (n,).
        """
        none = np.zeros(len(wall_ns), np.bool_)
        if self._utc or len(wall_ns) == 0:
            return wall_ns, none, none
        safe = np.where(usable, wall_ns, 0)
        utc_ns, ambiguous, missing = walls_to_utc(safe, self.zone)
        ambiguous &= usable
        if ambiguous.any() or self._second:
            at = np.flatnonzero(usable)
            second, self._second = repeated_hours(
                wall_ns[at], ambiguous[at], self._before_ns, second=self._second
            )
            utc_ns[at[second]] += HOUR_NS
        if usable.any():
            self._before_ns = int(wall_ns[np.flatnonzero(usable)[-1]])
        return np.where(usable, utc_ns, NO_TIME), ambiguous, missing & usable


def closed_windows(first_ns: int, last_ns: int) -> NDArray[np.int64]:
    """Return (weeks, 2) UTC starts and ends of the weekends around a range of UTC times."""
    week = np.arange(first_ns // _WEEK_NS - 1, last_ns // _WEEK_NS + 2) * _WEEK_NS
    start = week + _FRIDAY_CLOSE_NS
    walls: Sequence[NDArray[np.int64]] = (start, start + 2 * _DAY_NS)
    return np.stack([wall_to_utc_ns(wall, "America/New_York")[0] for wall in walls], axis=1)
