"""Dukascopy .bi5 files: LZMA of big-endian records, one file an hour (ticks) or a day (M1 bars).

Path ``<SYMBOL>/<YYYY>/<MM>/<DD>/<HH>h_ticks.bi5`` or ``BID_candles_min_1.bi5``; the month in the
path counts from 0 (``01`` is February). Times are UTC. Prices are whole points, so the point size
must be known for the symbol. A tick file without bytes is an hour without ticks.
"""

import lzma
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.errors import (
    FileMalformed,
    FileTruncated,
    FileUnreadable,
    FormatUnknown,
    HistoryError,
    SymbolUnknown,
)
from realtime.history.files import read_all, shown
from realtime.history.market import currencies_of
from realtime.history.raw import Kind, Raw, Source, raw

TICK_RECORD = np.dtype(
    [("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")]
)
BAR_RECORD = np.dtype(
    [
        *(("second", ">u4"), ("open", ">u4"), ("close", ">u4"), ("low", ">u4"), ("high", ">u4")),
        ("volume", ">f4"),
    ]
)
_HOUR_MS = 3_600_000
_HELD_BYTES = 1 << 26  # three million ticks
_DAY_S = 86_400
_MINUTE_NS = 60_000_000_000
_PATH = re.compile(
    r"(?:([^/]+)/)?(\d{4})/(\d{2})/(\d{2})/(?:(\d{2})h_ticks|(BID|ASK)_candles_min_1)\.bi5$"
)
_FIVE_DIGITS = frozenset(
    (
        *("EUR", "USD", "GBP", "AUD", "NZD", "CAD", "CHF", "SEK", "NOK", "DKK", "SGD"),
        *("PLN", "TRY", "MXN", "ZAR", "CNH"),
    )
)


@dataclass(frozen=True)
class _Place:
    """What the path of one file says."""

    path: Path
    symbol: str | None
    start_ns: int
    kind: Kind
    side: str


def _place_of(path: Path) -> _Place:
    file = shown(path)
    match = _PATH.search(path.absolute().as_posix())
    if match is None:
        what = "the path of a .bi5 file must end in YYYY/MM/DD/HHh_ticks.bi5 (month from 0)"
        remedy = "Keep the folders of the download; they hold the date."
        raise FormatUnknown(what, file=file, remedy=remedy)
    symbol, year, month, day, hour, side = match.groups()
    try:
        moment = datetime.combine(date(int(year), int(month) + 1, int(day)), datetime.min.time())
        moment = moment.replace(hour=int(hour or 0), tzinfo=UTC)
    except ValueError as error:
        what = f"no such date: {year}/{month}/{day} with months from 00 to 11"
        remedy = "Name the month folders 00 (January) to 11 (December)."
        raise FileMalformed(what, file=file, remedy=remedy) from error
    start_ns = int(moment.timestamp()) * 1_000_000_000
    kind: Kind = "ticks" if hour is not None else "bars"
    return _Place(path, symbol, start_ns, kind, side or "")


def point_of(symbol: str) -> float:
    """Return the size of Dukascopy's price unit, 0 where it cannot be known from the name."""
    pair = currencies_of(symbol)
    if pair is None:
        return 0.0
    base, quote = pair
    if base in ("XAU", "XAG") or quote == "JPY":
        return 1e-3
    return 1e-5 if {base, quote} <= _FIVE_DIGITS else 0.0


def dukascopy_source(
    path: Path, *, symbol: str | None = None, kind: Kind | None = None, point: float = 0.0
) -> Source:
    """Make the source of one .bi5 file or of a folder of them.

    A folder holds one symbol (or `symbol` says which); its files are read in order of time. A
    damaged file in a folder is left out and named in the report; alone it is an error.

    Raises:
        HistoryError: no .bi5 file, a path without its date, or an unknown point size.
    """
    file = shown(path)
    folder = path.is_dir()
    places = [_place_of(found) for found in (_files_in(path) if folder else [path])]
    places = _of_symbol(places, symbol, file)
    kind = kind or ("ticks" if any(p.kind == "ticks" for p in places) else "bars")
    wanted = sorted((p for p in places if p.kind == kind and p.side != "ASK"), key=_start)
    if not wanted:
        remedy = "Ask for the other kind, or download the missing files (bars: BID_candles)."
        msg = f"no .bi5 file of {kind}"
        raise FormatUnknown(msg, file=file, remedy=remedy)
    name = symbol or wanted[0].symbol or ""
    point = point or point_of(name)
    if point <= 0:
        remedy = "Give point=, for example 0.00001 for EURUSD or 0.001 for USDJPY."
        msg = f"the point size of {name!r} is not known"
        raise SymbolUnknown(msg, file=file, remedy=remedy)
    unpacked, damaged = _check(wanted, alone=not folder)
    usable = [place for place in wanted if place.path not in damaged]
    notes = tuple(f"left out: {error}" for error in damaged.values())
    return Source(
        file=file,
        format=f"dukascopy_{kind}",
        kind=kind,
        chunks=lambda: _chunks(usable, unpacked, point),
        symbol=wanted[0].symbol or name or None,
        zone="UTC",
        timeframe_ns=_MINUTE_NS if kind == "bars" else 0,
        point=point,
        notes=(f"{len(usable)} of {len(wanted)} .bi5 files", *notes),
    )


def _start(place: _Place) -> int:
    return place.start_ns


def _files_in(folder: Path) -> Sequence[Path]:
    found = sorted(folder.rglob("*.bi5"))
    if not found:
        remedy = "Give one file, or a folder of Dukascopy .bi5 files."
        msg = "a directory without .bi5 files"
        raise FileUnreadable(msg, file=shown(folder), remedy=remedy)
    return found


def _of_symbol(places: list[_Place], symbol: str | None, file: str) -> list[_Place]:
    symbols = sorted({place.symbol or "" for place in places})
    if len(symbols) == 1:
        return places
    mine = [place for place in places if place.symbol == symbol]
    if not mine:
        remedy = f"Give symbol= (--symbol) as one of {', '.join(symbols)}."
        msg = "files of several symbols"
        raise SymbolUnknown(msg, file=file, remedy=remedy)
    return mine


def _check(
    places: Sequence[_Place], *, alone: bool
) -> tuple[dict[Path, NDArray[np.void]], dict[Path, HistoryError]]:
    """Unpack every file once, so that damage is known before the first row is used.

    Returns:
        Records by file, as far as they fit into a bounded memory, and what is damaged.
    """
    unpacked: dict[Path, NDArray[np.void]] = {}
    damaged: dict[Path, HistoryError] = {}
    held = 0
    for place in places:
        try:
            records = _records(place)
            held += records.nbytes
            if held <= _HELD_BYTES:
                unpacked[place.path] = records
        except HistoryError as error:
            if alone:
                raise
            damaged[place.path] = error
    if len(damaged) == len(places):
        raise next(iter(damaged.values()))
    return unpacked, damaged


def unpack(packed: bytes, file: str) -> bytes:
    """Unpack LZMA.

    Raises:
        FileTruncated: it ends early.
        FileMalformed: it is not LZMA.
    """
    remedy = "Download it again."
    decoder = lzma.LZMADecompressor(memlimit=1 << 28)
    try:
        data = decoder.decompress(packed)
    except lzma.LZMAError as error:
        msg = f"not LZMA ({error})"
        raise FileMalformed(msg, file=file, remedy=remedy) from error
    except MemoryError as error:
        msg = "LZMA of an absurd size"
        raise FileMalformed(msg, file=file, remedy=remedy) from error
    if not decoder.eof:
        msg = "the LZMA data end early"
        raise FileTruncated(msg, file=file, remedy=remedy)
    return data


def _records(place: _Place) -> NDArray[np.void]:
    file = shown(place.path)
    packed = read_all(place.path)
    dtype = TICK_RECORD if place.kind == "ticks" else BAR_RECORD
    if not packed:
        return np.empty(0, dtype)
    data = unpack(packed, file)
    if len(data) % dtype.itemsize:
        what = f"{len(data)} bytes are not whole records of {dtype.itemsize} bytes"
        raise FileMalformed(what, file=file, remedy="Download it again.")
    records = np.frombuffer(data, dtype)
    limit = _HOUR_MS if place.kind == "ticks" else _DAY_S
    times = records["ms" if place.kind == "ticks" else "second"].astype(np.int64)
    if len(records) and np.mean(times < limit) < 0.5:
        what = f"these are not Dukascopy {place.kind}: times outside the file's period"
        raise FileMalformed(what, file=file, remedy="Check the file's name and download it again.")
    return records


def _chunks(
    places: Sequence[_Place], unpacked: dict[Path, NDArray[np.void]], point: float
) -> Iterator[Raw]:
    first_row = 1
    for place in places:
        records = unpacked[place.path] if place.path in unpacked else _records(place)
        if len(records):
            row = np.arange(first_row, first_row + len(records))
            first_row += len(records)
            yield (
                _ticks(records, place, row, point)
                if place.kind == "ticks"
                else _bars(records, place, row, point)
            )


def _price(points: NDArray[np.generic], point: float) -> NDArray[np.float64]:
    # Dividing by a whole number gives the double nearest to the decimal price; * 1e-5 does not.
    per_unit = round(1 / point)
    if abs(per_unit * point - 1) < 1e-9:
        return points.astype(np.float64) / per_unit
    return points.astype(np.float64) * point


def _text(records: NDArray[np.void], place: _Place, at: NDArray[np.int64]) -> list[str]:
    names = records.dtype.names or ()
    return [
        f"{place.path.name} record {index + 1}: "
        + " ".join(f"{name}={records[name][index]}" for name in names)
        for index in at.tolist()
    ]


def _ticks(records: NDArray[np.void], place: _Place, row: NDArray[np.int64], point: float) -> Raw:
    ms = records["ms"].astype(np.int64)
    columns = {
        "bid": _price(records["bid"], point),
        "ask": _price(records["ask"], point),
        "volume": records["bid_volume"].astype(np.float64) + records["ask_volume"],
    }
    reason = np.where(ms < _HOUR_MS, 0, reasons.BAD_TIME)
    wall_ns = place.start_ns + ms * 1_000_000

    def text(at: NDArray[np.int64]) -> list[str]:
        return _text(records, place, at)

    return raw(row, wall_ns, columns, reason=reason, text=text)


def _bars(records: NDArray[np.void], place: _Place, row: NDArray[np.int64], point: float) -> Raw:
    second = records["second"].astype(np.int64)
    columns = {name: _price(records[name], point) for name in ("open", "high", "low", "close")}
    columns["volume"] = records["volume"].astype(np.float64)
    flat = (columns["high"] == columns["low"]) & (columns["volume"] == 0)
    reason = np.where(flat, reasons.NO_TRADES, 0)
    reason[second >= _DAY_S] = reasons.BAD_TIME
    wall_ns = place.start_ns + second * 1_000_000_000

    def text(at: NDArray[np.int64]) -> list[str]:
        return _text(records, place, at)

    return raw(row, wall_ns, columns, reason=reason, text=text)
