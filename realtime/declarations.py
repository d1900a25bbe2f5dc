"""Declarations: frozen groups of checked values that a table of a TOML file can fill.

Settings and symbol specifications are made of these. A name that does not exist is refused with
its nearest neighbours, a value out of range with what is allowed.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields, replace
from difflib import get_close_matches
from fractions import Fraction
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
from numpy.typing import NDArray

SECOND_NS = 1_000_000_000
_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": SECOND_NS,
    "m": 60 * SECOND_NS,
    "h": 3600 * SECOND_NS,
    "d": 86_400 * SECOND_NS,
    "w": 7 * 86_400 * SECOND_NS,
}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h|d|w)")
_LONGEST_NS = 2**62


class SettingsError(ValueError):
    """A setting that does not exist or cannot have this value; says where and what is allowed."""


def duration_ns(text: str) -> int:
    """Read a duration: numbers with units ns, us, ms, s, m, h, d, w: ``"1h30m"``, ``"1.5s"``.

    Returns:
        Nanoseconds, exact.

    Raises:
        SettingsError: not a duration, not a whole number of nanoseconds, or beyond 146 years.
    """
    compact = text.replace(" ", "")
    parts = _DURATION_PART.findall(compact)
    total = sum((Fraction(number) * _UNITS_NS[unit] for number, unit in parts), Fraction(0))
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        msg = f'{text!r} is no duration; write a number and a unit such as "15m", "1h30m", "2d"'
        raise SettingsError(msg)
    if total.denominator != 1 or total > _LONGEST_NS:
        msg = f"{text!r} is not a whole number of nanoseconds below 146 years"
        raise SettingsError(msg)
    return int(total)


def unknown_name(kind: str, name: str, known: Sequence[str]) -> str:
    """Say that a name does not exist, and which near ones (or, if few, which ones) do."""
    near = _near(name, known, 3)
    if near:
        return f"unknown {kind} {name!r}; did you mean {' or '.join(near)}?"
    return f"unknown {kind} {name!r}; there are {', '.join(known)}"


def _near(name: str, known: Sequence[str], most: int) -> list[str]:
    """Return what is spelt nearly so, however upper and lower case were mixed up."""
    spelt = {each.lower(): each for each in known}
    if name.lower() in spelt:
        return [spelt[name.lower()]]
    near = get_close_matches(name, known, n=most, cutoff=0.6)
    if near:
        return near
    return [spelt[each] for each in get_close_matches(name.lower(), spelt, n=most, cutoff=0.6)]


def setting(
    default: Any = MISSING,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    codes: Mapping[str, int] | None = None,
) -> Any:
    """Declare a field of a `Declaration`: default, range, and the kernel's codes of choices."""
    bounds = {"least": least, "above": above, "most": most, "below": below, "codes": codes}
    return field(default=default, metadata=bounds)


@dataclass(frozen=True, kw_only=True)
class Declaration:
    """Base of settings and specifications: checks its own fields, whoever makes it.

    Fields are ``bool``, ``int``, ``float``, ``str`` or ``Path``. One that ends in ``_ns`` is a
    duration: its key in a file has no suffix and its value is text (``minimum_hold = "2h"``).
    """

    def __post_init__(self) -> None:
        for item in fields(self):
            value = getattr(self, item.name)
            problem = _problem(value, item.type, item.metadata)
            if problem:
                msg = f"{_key(item.name)} = {value!r}: {problem}"
                raise SettingsError(msg)
        self.check()

    def check(self) -> None:
        """Check what concerns several fields; raises SettingsError."""

    @classmethod
    def keys(cls) -> dict[str, str]:
        """Map the keys that a file may use to field names."""
        return {_key(item.name): item.name for item in fields(cls)}

    @classmethod
    def read(cls, table: Mapping[str, Any], where: str, base: Self | None = None) -> Self:
        """Make a group from a table of a file.

        Args:
            table: keys and plain values.
            where: file and table, for messages.
            base: where other values come from; None for the defaults.

        Raises:
            SettingsError: unknown key, wrong type, value out of range.
        """
        keys = cls.keys()
        types = {item.name: item.type for item in fields(cls)}
        values: dict[str, Any] = {}
        for key, value in table.items():
            if key not in keys:
                msg = f"{where}: {unknown_name('setting', key, list(keys))}"
                raise SettingsError(msg)
            name = keys[key]
            try:
                values[name] = _plain(value, name, types[name])
            except SettingsError as error:
                msg = f"{where}: {key} = {value!r}: {error}"
                raise SettingsError(msg) from None
        try:
            return cls(**values) if base is None else replace(base, **values)
        except SettingsError as error:
            msg = f"{where}: {error}"
            raise SettingsError(msg) from None
        except TypeError as error:  # a field without default is missing
            missing = [k for k, n in keys.items() if repr(n) in str(error)]
            msg = f"{where}: missing {', '.join(missing) or error}"
            raise SettingsError(msg) from None

    def record(self, dtype: np.dtype[Any]) -> NDArray[np.void]:
        """Return (1,) of a kernel's dtype with every field of the same name filled in."""
        row = np.zeros(1, dtype)
        self.fill(row[0])
        return row

    def fill(self, record: np.void) -> None:
        """Write every field that the record has under the same name; choices become codes."""
        names = cast("tuple[str, ...]", record.dtype.names)
        for item in fields(self):
            if item.name in names:
                value = getattr(self, item.name)
                by_name = item.metadata.get("codes")
                record[item.name] = value if by_name is None else by_name[value]


def _key(name: str) -> str:
    return name.removesuffix("_ns")


def _plain(value: Any, name: str, kind: Any) -> Any:
    """Turn a value of a file into the field's type where that loses nothing."""
    if name.endswith("_ns"):
        if isinstance(value, str):
            return duration_ns(value)
        msg = 'a duration is text with a unit, such as "15m", "2h", "1d", "0s"'
        raise SettingsError(msg)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is Path and isinstance(value, str):
        return Path(value)
    return value


def _problem(value: Any, kind: Any, metadata: Mapping[str, Any]) -> str:
    """Say what is wrong with a value, or nothing."""
    number = not isinstance(value, bool) and isinstance(value, int | float)
    if kind in (int, float):
        if not number or (kind is int and isinstance(value, float)):
            return f"must be {'a whole number' if kind is int else 'a number'}"
        return _range_problem(value, metadata)
    if isinstance(kind, type) and not isinstance(value, kind):
        names = {bool: "true or false", str: "text", Path: "a path"}
        return f"must be {names.get(kind, kind.__name__)}"
    choices = metadata.get("codes")
    if choices is not None and value not in choices:
        near = _near(str(value), list(choices), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        return f"must be one of {', '.join(choices)}{hint}"
    return ""


def _range_problem(value: float, metadata: Mapping[str, Any]) -> str:
    least, above = metadata.get("least"), metadata.get("above")
    most, below = metadata.get("most"), metadata.get("below")
    wrong = (
        not math.isfinite(value)
        or (least is not None and value < least)
        or (above is not None and value <= above)
        or (most is not None and value > most)
        or (below is not None and value >= below)
    )
    if not wrong:
        return ""
    bounds = (("at least", least), ("above", above), ("at most", most), ("below", below))
    allowed = " and ".join(f"{word} {bound}" for word, bound in bounds if bound is not None)
    if not math.isfinite(value):
        return f"must be a finite number{', ' if allowed else ''}{allowed}"
    return f"must be {allowed}"
