"""What the MetaTrader5 package returns: numpy arrays of rates or ticks, and their pandas CSV.

Its ``time`` and ``time_msc`` are the broker's server clock written as if it were UTC.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.history.errors import ColumnMissing, FileEmpty, FormatUnknown
from realtime.history.raw import Raw, Source, raw
from realtime.history.times import epochs_to_ns

SERVER_EPOCH = "the MetaTrader5 package counts epochs on the broker's server clock, not in UTC"
_RATES = ("time", "open", "high", "low", "close", "tick_volume", "spread", "real_volume")
_TICKS = ("time", "bid", "ask", "last", "volume", "time_msc", "flags", "volume_real")
_CHUNK = 1 << 18


def format_of(names: Sequence[str]) -> str | None:
    """Recognise the package's column names: ``"mt5_rates"``, ``"mt5_package_ticks"`` or None."""
    if {"time", "open", "tick_volume", "real_volume"} <= set(names):
        return "mt5_rates"
    if {"bid", "ask", "time_msc"} <= set(names):
        return "mt5_package_ticks"
    return None


def array_source(array: NDArray[np.void], file: str = "array") -> Source:
    """Make the source of a rates or ticks array.

    Raises:
        FormatUnknown: not a structured array of either kind.
        ColumnMissing: a field is absent.
        FileEmpty: no rows (the package also returns None then).
    """
    remedy = "Give what copy_rates_* or copy_ticks_* returned; other data as CSV or Parquet."
    names = array.dtype.names
    if names is None or array.ndim != 1:
        msg = "not a one-dimensional structured array"
        raise FormatUnknown(msg, file=file, remedy=remedy)
    kind = format_of(names)
    if kind is None:
        what = f"fields {', '.join(names)} are neither rates nor ticks"
        raise FormatUnknown(what, file=file, remedy=remedy)
    needed = _RATES[:5] if kind == "mt5_rates" else _TICKS[1:3]
    missing = [name for name in needed if name not in names]
    if missing:
        msg = f"no field {', '.join(missing)}"
        raise ColumnMissing(msg, file=file, remedy=remedy)
    if len(array) == 0:
        what = "no rows"
        remedy = "Ask for a range that holds data; check last_error()."
        raise FileEmpty(what, file=file, remedy=remedy)
    chunks = _rates if kind == "mt5_rates" else _ticks
    return Source(
        file=file,
        format=kind,
        kind="bars" if kind == "mt5_rates" else "ticks",
        chunks=lambda: chunks(array),
        zone_hint=SERVER_EPOCH,
        spread_in_points=True,
    )


def _column(part: NDArray[np.void], name: str) -> NDArray[np.float64]:
    return np.ascontiguousarray(part[name], np.float64)


def _parts(array: NDArray[np.void]) -> Iterator[tuple[NDArray[np.int64], NDArray[Any]]]:
    for start in range(0, len(array), _CHUNK):
        part = array[start : start + _CHUNK]
        yield np.arange(start + 1, start + 1 + len(part)), part


def _rates(array: NDArray[np.void]) -> Iterator[Raw]:
    names = array.dtype.names or ()
    for row, part in _parts(array):
        columns = {name: _column(part, name) for name in ("open", "high", "low", "close")}
        for role, name in (("ticks", "tick_volume"), ("volume", "real_volume")):
            columns[role] = _column(part, name)
        if "spread" in names:
            columns["spread"] = _column(part, "spread")
        yield raw(row, epochs_to_ns(part["time"].astype(np.int64), "s"), columns)


def _ticks(array: NDArray[np.void]) -> Iterator[Raw]:
    names = array.dtype.names or ()
    for row, part in _parts(array):
        columns = {name: _column(part, name) for name in ("bid", "ask")}
        for role, name in (("last", "last"), ("flags", "flags")):
            if name in names:
                columns[role] = _column(part, name)
        volumes = [_column(part, name) for name in ("volume_real", "volume") if name in names]
        if volumes:
            columns["volume"] = np.where(volumes[0] != 0, volumes[0], volumes[-1])
        yield raw(row, epochs_to_ns(part["time_msc"].astype(np.int64), "ms"), columns)
