"""FiniexTestingIDE tick files: JSON with ``metadata`` and ``ticks`` collected from MT5.

``time_msc`` is the server clock written as if it were UTC. The metadata's offset is not to be
trusted (files say 0 for servers that are hours ahead), so the zone must be given or found.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.errors import ColumnMissing, FileEmpty, FileMalformed, FileTruncated
from realtime.history.files import read_all, shown
from realtime.history.raw import NO_TIME, Raw, Source, raw
from realtime.history.times import epochs_to_ns

NAME = "mt5_ticks_json"
_FLAGS = {"BID": 2, "ASK": 4, "LAST": 8, "VOLUME": 16, "BUY": 32, "SELL": 64}


def json_source(path: Path) -> Source:
    """Make the source of a JSON tick file.

    Raises:
        HistoryError: not JSON, cut off, or without ticks.
    """
    file = shown(path)
    document = _load(path)
    if not isinstance(document, dict) or "ticks" not in document:
        remedy = "Give a file with metadata and ticks, as FiniexTestingIDE writes it."
        msg = "JSON without a list 'ticks'"
        raise ColumnMissing(msg, file=file, remedy=remedy)
    table = cast("dict[str, Any]", document)
    ticks = table["ticks"]
    if not isinstance(ticks, list):
        remedy = "Export it again."
        msg = "'ticks' is not a list"
        raise FileMalformed(msg, file=file, remedy=remedy)
    if not ticks:
        msg = "'ticks' is empty"
        raise FileEmpty(msg, file=file, remedy="Collect again.")
    entries = cast("list[Any]", ticks)
    found: Any = table.get("metadata")
    metadata = cast("dict[str, Any]", found) if isinstance(found, dict) else {}
    symbol = metadata.get("symbol")
    point = _point(metadata)
    return Source(
        file=file,
        format=NAME,
        kind="ticks",
        chunks=lambda: _chunks(entries),
        symbol=symbol if isinstance(symbol, str) else None,
        zone_hint=_zone_hint(metadata, entries),
        point=point,
    )


def _load(path: Path) -> object:
    file = shown(path)
    try:
        return json.loads(read_all(path).decode("utf-8-sig", errors="replace"))
    except json.JSONDecodeError as error:
        what = f"not complete JSON ({error.msg} at line {error.lineno})"
        remedy = "Collect or copy it again."
        raise FileTruncated(what, file=file, remedy=remedy, row=error.lineno) from error
    except (RecursionError, ValueError) as error:
        remedy = "Collect or copy it again."
        msg = f"not usable JSON ({error})"
        raise FileMalformed(msg, file=file, remedy=remedy) from error


def _point(metadata: Mapping[str, Any]) -> float:
    info: Any = metadata.get("symbol_info")
    point: Any = cast("dict[str, Any]", info).get("point_value") if isinstance(info, dict) else 0
    number = _number(point)
    return number if np.isfinite(number) and number > 0 else 0.0


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return float("nan")
    try:
        return float(value)
    except OverflowError:
        return float("inf")


def _zone_hint(metadata: Mapping[str, Any], ticks: list[Any]) -> str:
    first = cast("dict[str, Any]", ticks[0]) if isinstance(ticks[0], dict) else {}
    ahead_s = (_number(first.get("time_msc")) - _number(first.get("collected_msc"))) / 1000
    hint = f"metadata says offset {metadata.get('broker_utc_offset_hours')} hours"
    if np.isfinite(ahead_s):
        hint += f", but the server clock is {ahead_s / 3600:+.2f} hours from the collector's"
    return hint


def _flag_bits(value: object) -> float:
    if isinstance(value, str):
        return float(sum({_FLAGS.get(word, 0) for word in value.replace("|", " ").split()}))
    number = _number(value)
    return number if np.isfinite(number) else 0.0


def _chunks(ticks: list[Any]) -> Iterator[Raw]:
    entries = [cast("dict[str, Any]", t) if isinstance(t, dict) else {} for t in ticks]
    columns = {
        name: np.array([_number(entry.get(name)) for entry in entries], np.float64)
        for name in ("bid", "ask", "last")
    }
    columns["volume"] = np.array([_number(e.get("real_volume", 0)) for e in entries], np.float64)
    columns["flags"] = np.array([_flag_bits(e.get("tick_flags")) for e in entries], np.float64)
    reason = np.zeros(len(entries), np.int64)
    absent = np.array([not {"time_msc", "bid", "ask"} <= e.keys() for e in entries], np.bool_)
    reason[absent] = reasons.MISSING_FIELDS
    for name in ("bid", "ask"):
        texts = np.array([isinstance(e.get(name), str | list | dict) for e in entries], np.bool_)
        reason[texts & (reason == 0)] = reasons.UNREADABLE
    wall_ns = _times(entries)
    reason[(wall_ns == NO_TIME) & (reason == 0)] = reasons.BAD_TIME
    row = np.arange(1, len(entries) + 1)

    def text(at: NDArray[np.int64]) -> list[str]:
        return [json.dumps(ticks[index]) for index in at.tolist()]

    yield raw(row, wall_ns, columns, reason=reason, text=text)


def _times(entries: list[dict[str, Any]]) -> NDArray[np.int64]:
    numbers = np.array([_number(entry.get("time_msc")) for entry in entries], np.float64)
    usable = np.isfinite(numbers)
    whole = np.where(usable, np.clip(numbers, -1, 1e15), 0).astype(np.int64)
    return np.where(usable, epochs_to_ns(whole, "ms"), NO_TIME)
