"""Numbers and times as people read them; what is not a number reads "n/a"."""

import math
from datetime import UTC, datetime, timedelta

NOT_AVAILABLE = "n/a"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def number(value: float, digits: int = 2, *, sign: bool = False) -> str:
    """Digits grouped by thousands; "n/a" for NaN and infinities; no negative zero."""
    if not math.isfinite(value):
        return NOT_AVAILABLE
    if abs(value) >= 1e15:
        return f"{value:.3e}"
    rounded = round(float(value), digits) + 0.0  # -0.0 + 0.0 is 0.0
    return f"{rounded:{'+' if sign and rounded != 0.0 else ''},.{digits}f}"


def percent(fraction: float, digits: int = 2, *, sign: bool = False) -> str:
    """A fraction as a percentage: 0.1234 -> "12.34%"."""
    text = number(fraction * 100.0, digits, sign=sign)
    return text if text == NOT_AVAILABLE else text + "%"


def probability(chance: float) -> str:
    """A probability inferred from data: never rounded to a certainty that no data can give."""
    if chance > 0.999:
        return "over 99.9%"
    return "below 0.1%" if chance < 0.001 else percent(chance, 1)


def moment(time_ns: int, *, seconds: bool = False) -> str:
    """UTC date and time to the minute (or second); "n/a" for a time that is not set."""
    if time_ns <= 0:
        return NOT_AVAILABLE
    when = _EPOCH + timedelta(microseconds=int(time_ns) // 1000)
    return f"{when:%Y-%m-%d %H:%M:%S}" if seconds else f"{when:%Y-%m-%d %H:%M}"


def day(time_ns: int) -> str:
    """UTC date; "n/a" for a time that is not set."""
    return moment(time_ns)[:10] if time_ns > 0 else NOT_AVAILABLE


def duration(length_ns: float) -> str:
    """The two largest units: "3 d 4 h", "2 h 5 min", "12 s", "250 ms"; days alone from 30 on."""
    if not math.isfinite(length_ns):
        return NOT_AVAILABLE
    seconds = float(length_ns) / 1e9
    if seconds < 1.0:
        return f"{seconds * 1000.0:.0f} ms" if seconds > 0.0 else "0 s"
    whole = round(seconds)
    if whole >= 30 * 86_400:
        return f"{whole // 86_400:,} d"
    for unit, size, smaller, step in (("d", 86_400, "h", 3600), ("h", 3600, "min", 60)):
        if whole >= size:
            large, rest = divmod(whole, size)
            small = rest // step
            return f"{large:,} {unit} {small} {smaller}" if small else f"{large:,} {unit}"
    if whole >= 60:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole} s"
