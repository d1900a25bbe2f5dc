"""How a file writes its times, found from samples, and their fast conversion to nanoseconds."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history.errors import DateAmbiguous, FormatUnknown, OptionUnknown
from realtime.history.raw import NO_TIME

DateOrder = Literal["day", "month"]
_SECOND_NS = 1_000_000_000
#: Times outside are quarantined: no market data is older than free-floating currencies.
EARLIEST_NS = int(datetime(1971, 1, 1, tzinfo=UTC).timestamp()) * _SECOND_NS
LATEST_NS = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) * _SECOND_NS

_UNIT_NS = {"s": _SECOND_NS, "ms": 1_000_000, "us": 1_000, "ns": 1}
_NUMBER = re.compile(r"[+-]?\d+(\.\d*)?([eE][+-]?\d+)?")
_YEAR_FIRST = re.compile(r"(\d{4})([.\-/])(\d{1,2})\2(\d{1,2})")
_YEAR_LAST = re.compile(r"(\d{1,2})([.\-/])(\d{1,2})\2(\d{4}|\d{2})(?!\d)")
_COMPACT = re.compile(r"(19|20)\d{6}(?!\d)")
_CLOCK = re.compile(r"(\d{1,2}):(\d{2})(:\d{2})?([.,]\d+)?")
_COMPACT_CLOCK = re.compile(r"\d{6}(\d{3})?(?!\d)")
_ZONE = re.compile(r"\s?(Z|UTC|GMT|[+-]\d{2}:?\d{2})")


@dataclass(frozen=True, kw_only=True)
class TimeStyle:
    """How times are written.

    Attributes:
        unit: ``"s"``, ``"ms"``, ``"us"``, ``"ns"`` for epoch numbers, ``""`` for text.
        pattern: strptime pattern for text.
        zoned: each time carries its offset from UTC.
        fine: digits beyond microseconds occur.
    """

    unit: str = ""
    pattern: str = ""
    zoned: bool = False
    fine: bool = False

    def __str__(self) -> str:
        return f"epoch in {self.unit}" if self.unit else self.pattern


def epoch_unit(values: NDArray[np.float64]) -> str:
    """Tell the unit of epoch numbers by their size: the median must lie between 1973 and 2100."""
    usable = np.abs(values[np.isfinite(values)])
    middle = float(np.median(usable)) if len(usable) else 0.0
    if middle < 1e10:
        return "s"
    if middle < 1e13:
        return "ms"
    return "us" if middle < 1e16 else "ns"


def _order_of(samples: Sequence[str], file: str, order: DateOrder | None) -> DateOrder:
    """Day or month first: dots are always day first; otherwise a number above 12 decides."""
    if order is not None:
        return order
    first, second, separator = 0, 0, "."
    for sample in samples:
        match = _YEAR_LAST.match(sample)
        if match is not None:
            separator = match[2]
            first, second = max(first, int(match[1])), max(second, int(match[3]))
    if first > 12 and second <= 12:
        return "day"
    if second > 12 and first <= 12:
        return "month"
    if separator == ".":
        return "day"
    remedy = "Give date_order='day' or date_order='month' (--date-order day)."
    what = f"day and month cannot be told apart in dates like {samples[0]!r}"
    raise DateAmbiguous(what, file=file, remedy=remedy, row=None)


def _date_pattern(sample: str, samples: Sequence[str], file: str, order: DateOrder | None) -> str:
    match = _YEAR_FIRST.match(sample)
    if match is not None:
        return f"%Y{match[2]}%m{match[2]}%d"
    match = _YEAR_LAST.match(sample)
    if match is not None:
        if len(match[4]) == 2:
            what = f"two-digit years, as in {sample!r}"
            raise DateAmbiguous(what, file=file, remedy="Export it with four-digit years.")
        day_first = _order_of(samples, file, order) == "day"
        first, second = ("%d", "%m") if day_first else ("%m", "%d")
        return f"{first}{match[2]}{second}{match[2]}%Y"
    return "%Y%m%d" if _COMPACT.match(sample) else ""


def _date_length(sample: str) -> int:
    for pattern in (_YEAR_FIRST, _YEAR_LAST, _COMPACT):
        match = pattern.match(sample)
        if match is not None:
            return match.end()
    return 0


def _clock_pattern(rest: str) -> tuple[str, int, bool] | None:
    """Return the pattern of a time of day, its length and whether it is finer than 1 us."""
    match = _CLOCK.match(rest)
    if match is not None:
        fraction = match[4] or ""
        pattern = "%H:%M" + ("%S%.f" if match[3] is None and fraction else "")
        if match[3] is not None:
            pattern = "%H:%M:%S%.f"
        return pattern, match.end(), len(fraction) > 7
    match = _COMPACT_CLOCK.match(rest)
    if match is not None:
        return "%H%M%S" + ("%3f" if match[1] else ""), match.end(), False
    return None


def _text_style(
    sample: str, samples: Sequence[str], file: str, order: DateOrder | None
) -> TimeStyle | None:
    date = _date_pattern(sample, samples, file, order)
    if not date:
        return None
    rest = sample[_date_length(sample) :]
    if not rest:
        return TimeStyle(pattern=date)
    gap = "T" if rest[0] in "Tt" else " "
    clock = _clock_pattern(rest[1:]) if rest[0] in "Tt _" else None
    if clock is None:
        return None
    pattern, length, fine = clock
    tail = rest[1 + length :]
    zone = _ZONE.fullmatch(tail)
    if tail and zone is None:
        return None
    if zone is None:
        return TimeStyle(pattern=f"{date}{gap}{pattern}", fine=fine)
    space = " " if tail.startswith(" ") else ""
    letters = zone[1].isalpha()
    suffix = zone[1] if letters else "%#z"
    return TimeStyle(pattern=f"{date}{gap}{pattern}{space}{suffix}", zoned=True, fine=fine)


def style_of(samples: Sequence[str], file: str, order: DateOrder | None = None) -> TimeStyle:
    """Find how times are written.

    Args:
        samples: time fields of the first rows (date and time of day joined by a space).
        file: for messages.
        order: what comes first in dates like 03/04/2024, if the user says it.

    Raises:
        DateAmbiguous: two-digit years, or day and month cannot be told apart.
        FormatUnknown: no known way of writing times.
        OptionUnknown: `order` is neither ``"day"`` nor ``"month"``.
    """
    if order not in (None, "day", "month"):
        remedy = "Use 'day', 'month' or None."
        msg = f"no date_order {order!r}"
        raise OptionUnknown(msg, file=file, remedy=remedy)
    usable = [sample.strip() for sample in samples if sample.strip()]
    numbers = [s for s in usable if _NUMBER.fullmatch(s) and not _COMPACT.fullmatch(s)]
    if len(numbers) > len(usable) / 2:
        values = np.array([float(number) for number in numbers], np.float64)
        return TimeStyle(unit=epoch_unit(values))
    votes: dict[TimeStyle, int] = {}
    for sample in usable:
        style = _text_style(sample, usable, file, order)
        if style is not None:
            votes[style] = votes.get(style, 0) + 1
    if not votes:
        remedy = "Write times like 2024-01-31 13:45:00.123 or as epoch numbers."
        shown = repr(usable[0][:60]) if usable else "nothing"
        msg = f"no known way of writing times: {shown}"
        raise FormatUnknown(msg, file=file, remedy=remedy)
    return max(votes, key=lambda style: votes[style])


def parse_times(text: pl.Series, style: TimeStyle) -> NDArray[np.int64]:
    """Convert time texts to nanoseconds; `NO_TIME` where a text is not in the style."""
    if style.unit:
        return _parse_epochs(text, style.unit)
    parsed = _parse_text(text, style, "us")
    micros = parsed.fill_null(NO_TIME).to_numpy()
    usable = (micros >= EARLIEST_NS // 1000) & (micros < LATEST_NS // 1000)
    if style.fine:
        nanos = _parse_text(text, style, "ns").fill_null(NO_TIME).to_numpy()
    else:
        nanos = np.where(usable, micros, 0) * 1000
    # What was read but is no year of ours must stay visible as such, and not overflow.
    strange = np.where(micros == NO_TIME, NO_TIME, np.where(micros < 0, -1, LATEST_NS))
    strange = np.where((micros >= 0) & (micros < EARLIEST_NS // 1000), micros * 1000, strange)
    return np.where(usable, nanos, strange)


def _parse_text(text: pl.Series, style: TimeStyle, unit: Literal["us", "ns"]) -> pl.Series:
    zone = "UTC" if "%#z" in style.pattern else None
    parsed = text.str.to_datetime(style.pattern, time_unit=unit, time_zone=zone, strict=False)
    return parsed.cast(pl.Int64)


def _parse_epochs(text: pl.Series, unit: str) -> NDArray[np.int64]:
    whole = text.cast(pl.Int64, strict=False)
    result = epochs_to_ns(whole.fill_null(NO_TIME).to_numpy(), unit)
    if whole.null_count():
        part = text.cast(pl.Float64, strict=False).fill_null(float("nan")).to_numpy()
        result = np.where(whole.is_null().to_numpy(), float_epochs_to_ns(part, unit), result)
    return result


def epochs_to_ns(values: NDArray[np.int64], unit: str) -> NDArray[np.int64]:
    """Convert epoch integers; out of range becomes an implausible time instead of overflowing."""
    factor = _UNIT_NS[unit]
    inside = np.clip(values, -1, LATEST_NS // factor) * factor
    return np.where(values == NO_TIME, NO_TIME, inside)


def float_epochs_to_ns(values: NDArray[np.float64], unit: str) -> NDArray[np.int64]:
    """Convert epoch numbers with a fraction, to the microsecond that a double still holds."""
    factor = _UNIT_NS[unit]
    finite = np.isfinite(values)
    bounded = np.clip(np.where(finite, values, 0.0), -1.0, LATEST_NS / factor)
    micros = np.rint(bounded * (factor / 1000)).astype(np.int64)
    return np.where(finite, np.minimum(micros * 1000, LATEST_NS), NO_TIME)
