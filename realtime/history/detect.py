"""Recognise a file by its content and open it with the right reader."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.history import generic, histdata, mt5_bars, mt5_ticks
from realtime.history.delimited import Layout, delimited_source
from realtime.history.dukascopy import dukascopy_source
from realtime.history.errors import FileEmpty, FormatUnknown
from realtime.history.files import read_head, reading, shown
from realtime.history.head import Head, head_of
from realtime.history.mt5_arrays import array_source
from realtime.history.mt5_json import json_source
from realtime.history.raw import Kind, Source
from realtime.history.text import BLOCK_BYTES, decode_head
from realtime.history.times import DateOrder

Input = str | Path | NDArray[np.void] | None
_RECOGNISERS: tuple[Callable[[Head, DateOrder | None], Layout | None], ...] = (
    mt5_bars.layout_of,
    mt5_ticks.layout_of,
    histdata.layout_of,
)


@dataclass(frozen=True, kw_only=True)
class Opening:
    """What the user may say about a file before it is opened.

    Attributes:
        symbol: chooses among the symbols of a Dukascopy folder.
        kind: chooses among ticks and bars of a Dukascopy folder.
        format: the format it must turn out to be; None = any.
        point: size of a point, for formats that store whole points.
        date_order: ``"day"`` or ``"month"``: what comes first in dates like 03/04/2024.
        columns: roles to column names, for headers that use other names.
        block_bytes: how much of a text file is read at a time.
    """

    symbol: str | None = None
    kind: Kind | None = None
    format: str | None = None
    point: float = 0.0
    date_order: DateOrder | None = None
    columns: Mapping[str, str] | None = None
    block_bytes: int = BLOCK_BYTES


def open_source(data: Input, opening: Opening) -> Source:
    """Open a file, a folder of .bi5 files, or an array of the MetaTrader5 package.

    Raises:
        HistoryError: it cannot be opened, or is not the format asked for.
    """
    if data is None:
        remedy = "The MetaTrader5 package returns None on failure: check last_error()."
        msg = "None instead of an array"
        raise FileEmpty(msg, file="array", remedy=remedy)
    source = (
        array_source(data)
        if isinstance(data, np.ndarray)
        else _open_path(Path(data).expanduser(), opening)
    )
    if opening.format is not None and opening.format != source.format:
        remedy = "Leave format out, or give the file that has it."
        what = f"the content is {source.format}, not {opening.format}"
        raise FormatUnknown(what, file=source.file, remedy=remedy)
    return source


def _open_path(path: Path, opening: Opening) -> Source:
    with reading(path):
        folder = path.is_dir()
    if folder or path.suffix.lower() == ".bi5":
        return _dukascopy(path, opening)
    head = read_head(path)
    if head.startswith(b"PAR1"):
        return generic.parquet_source(path, opening.date_order, opening.columns)
    if head[0] == 0x5D and head[1:3] == b"\x00\x00":
        return _dukascopy(path, opening)
    if head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return json_source(path)
    return delimited_source(path, _layout(path, head, opening), opening.block_bytes)


def _dukascopy(path: Path, opening: Opening) -> Source:
    return dukascopy_source(path, symbol=opening.symbol, kind=opening.kind, point=opening.point)


def _layout(path: Path, raw_head: bytes, opening: Opening) -> Layout:
    file = shown(path)
    head = head_of(decode_head(raw_head, file), file)
    if opening.columns is None:
        for recognise in _RECOGNISERS:
            layout = recognise(head, opening.date_order)
            if layout is not None:
                return layout
    layout = generic.layout_of(head, opening.date_order, opening.columns)
    if layout is not None:
        return layout
    first = head.delimiter.join(head.rows[0])[:80]
    remedy = (
        "Add a header line such as time,bid,ask or time,open,high,low,close,volume; without one"
        " only HistData and MetaTrader 4 files are known."
    )
    msg = f"no header and no known layout: {first!r}"
    raise FormatUnknown(msg, file=file, remedy=remedy, row=1)
