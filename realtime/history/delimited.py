"""Rows of a delimited text file as columns: every line accounted for, whatever is in it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.errors import FileMalformed
from realtime.history.files import shown
from realtime.history.head import Head, needs_rows, value_roles
from realtime.history.raw import FILLED, NO_TIME, Kind, Raw, Source, raw
from realtime.history.text import BLOCK_BYTES, Block, blocks
from realtime.history.times import DateOrder, TimeStyle, parse_times, style_of

_EXTRA = "extra"
_MOST_DIGITS = 8
_PRICES = ("bid", "ask", "last", "open", "high", "low", "close", "ask_open", "ask_close")
_COMPARED = 1000  # lines before a last one without an end


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where everything is in a delimited file.

    Attributes:
        format: name of the format.
        kind: what its rows are.
        delimiter: one character.
        header_line: lines up to this number are not data.
        width: fields of a line.
        roles: role to field index; ``time`` always, ``clock`` if the time of day stands apart.
        style: how times are written.
        digits: most decimals of a sampled price.
        decimal_comma: numbers are written 1,2345.
        fill_forward: a blank bid or ask means unchanged.
        zone: ``"UTC"`` where the format or the times say so.
        zone_hint: for the message when the zone cannot be found.
        spread_in_points: the spread column counts points.
        notes: for the report.
    """

    format: str
    kind: Kind
    delimiter: str
    header_line: int
    width: int
    roles: Mapping[str, int]
    style: TimeStyle
    digits: int = 0
    decimal_comma: bool = False
    fill_forward: bool = False
    zone: str | None = None
    zone_hint: str = ""
    spread_in_points: bool = False
    notes: tuple[str, ...] = field(default_factory=tuple)


def delimited_source(path: Path, layout: Layout, block_bytes: int = BLOCK_BYTES) -> Source:
    """Make the source of a delimited file whose layout is known."""
    return Source(
        file=shown(path),
        format=layout.format,
        kind=layout.kind,
        chunks=lambda: _chunks(path, layout, block_bytes),
        zone=layout.zone,
        zone_hint=layout.zone_hint,
        digits=layout.digits,
        spread_in_points=layout.spread_in_points,
        price_only=layout.kind == "ticks" and "bid" not in layout.roles,
        notes=layout.notes,
    )


def _chunks(path: Path, layout: Layout, block_bytes: int) -> Iterator[Raw]:
    last = {"bid": float("nan"), "ask": float("nan")}
    for whole in blocks(path, block_bytes):
        block = _data_lines(whole, layout.header_line)
        if len(block.numbers):
            rows = _parse(block, layout, shown(path))
            yield _fill_forward(rows, last) if layout.fill_forward else rows


def _data_lines(block: Block, header_line: int) -> Block:
    skip = int(np.searchsorted(block.numbers, header_line, side="right"))
    if skip == 0:
        return block
    at = 0
    for _ in range(skip):
        at = block.data.index(b"\n", at) + 1
    return Block(block.data[at:], block.numbers[skip:], block.unfinished)


def _table(block: Block, layout: Layout, file: str) -> pl.DataFrame:
    names = [f"f{index}" for index in range(layout.width)]
    try:
        table = pl.read_csv(
            block.data,
            has_header=False,
            separator=layout.delimiter,
            schema=dict.fromkeys([*names, _EXTRA], pl.String),
            quote_char=None,
            truncate_ragged_lines=True,
            missing_columns="insert",
            extra_columns="ignore",
        )
    except pl.exceptions.PolarsError as error:
        remedy = "Check the lines around it."
        row = int(block.numbers[0])
        msg = f"not a table ({error})"
        raise FileMalformed(msg, file=file, remedy=remedy, row=row) from error
    if table.height != len(block.numbers):
        remedy = "Check the lines around it for stray control characters."
        what = f"{len(block.numbers)} lines were read as {table.height} rows"
        raise FileMalformed(what, file=file, remedy=remedy, row=int(block.numbers[0]))
    return table


def _short_lines(block: Block, layout: Layout) -> NDArray[np.bool_] | None:
    """Find lines with too few fields; None if a count over the block shows that there are none."""
    delimiter = layout.delimiter.encode()
    expected = layout.width - 1
    if block.data.count(delimiter) == expected * len(block.numbers):
        return None
    data = np.frombuffer(block.data, np.uint8)
    ends = np.flatnonzero(data == ord("\n"))
    found = np.searchsorted(np.flatnonzero(data == ord(delimiter)), ends)
    return np.diff(found, prepend=0) < expected


def _may_be_cut(block: Block, layout: Layout) -> bool:
    """Tell whether a last line without an end may lack the end of its last field.

    It is whole if that field is as long as the longest of the lines before. Otherwise nobody can
    say: 1.08 is a price, and the beginning of 1.08012. Behind the prices only a count can be cut.
    """
    roles = [role for role, index in layout.roles.items() if index == layout.width - 1]
    if not any(role in _PRICES for role in roles):
        return False
    rows = len(block.numbers)
    lines = block.lines(np.arange(max(rows - _COMPARED, 0), rows))
    *others, last = [len(line.rpartition(layout.delimiter)[2].rstrip()) for line in lines]
    if not others:
        return int(block.numbers[0]) > layout.header_line + 1
    return last < max(others)


def _number(text: pl.Series, *, decimal_comma: bool) -> pl.Series:
    if decimal_comma:
        text = text.str.replace(",", ".", literal=True)
    numbers = text.cast(pl.Float64, strict=False)
    if numbers.null_count() > text.null_count():
        numbers = text.str.strip_chars().cast(pl.Float64, strict=False)
    return numbers


def _mark(reason: NDArray[np.int64], where: NDArray[np.bool_], code: int) -> None:
    """Give a reason to rows that have none yet."""
    reason[where & (reason == 0)] = code


def _wall_ns(table: pl.DataFrame, layout: Layout, reason: NDArray[np.int64]) -> NDArray[np.int64]:
    time = table[f"f{layout.roles['time']}"].str.strip_chars()
    clock = layout.roles.get("clock")
    if clock is not None:
        both = pl.concat_str(pl.col("d"), pl.col("c"), separator=" ")
        day = pl.DataFrame({"d": time, "c": table[f"f{clock}"].str.strip_chars()})
        time = day.select(both).to_series()
    wall_ns = parse_times(time, layout.style)
    _mark(reason, time.is_null().to_numpy(), reasons.MISSING_FIELDS)
    _mark(reason, wall_ns == NO_TIME, reasons.BAD_TIME)
    return wall_ns


def _required(layout: Layout) -> tuple[str, ...]:
    if layout.kind == "bars":
        return ("open", "high", "low", "close")
    if layout.fill_forward:
        return ()
    return ("bid", "ask") if "bid" in layout.roles else ("last",)


def _parse(block: Block, layout: Layout, file: str) -> Raw:
    table = _table(block, layout, file)
    reason = np.zeros(table.height, np.int64)
    extra = table[_EXTRA]
    if extra.null_count() < table.height:
        _mark(reason, extra.is_not_null().to_numpy(), reasons.EXTRA_FIELDS)
    short = _short_lines(block, layout)
    if short is not None:
        _mark(reason, short, reasons.MISSING_FIELDS)
    wall_ns = _wall_ns(table, layout, reason)
    if block.unfinished and _may_be_cut(block, layout):
        reason[-1] = reason[-1] or reasons.UNFINISHED
    columns: dict[str, NDArray[np.float64]] = {}
    for role in value_roles(layout.kind):
        index = layout.roles.get(role)
        if index is None:
            continue
        text = table[f"f{index}"]
        numbers = _number(text, decimal_comma=layout.decimal_comma)
        if role in _required(layout):
            _mark(reason, text.is_null().to_numpy(), reasons.MISSING_FIELDS)
        if numbers.null_count() > text.null_count():
            bad = (numbers.is_null() & text.is_not_null()).to_numpy()
            _mark(reason, bad, reasons.UNREADABLE)
        columns[role] = numbers.fill_null(float("nan")).to_numpy()
        if layout.fill_forward and role in ("bid", "ask"):
            columns[f"{role}_blank"] = text.is_null().to_numpy().astype(np.float64)
    return raw(block.numbers, wall_ns, columns, reason=reason, text=block.lines)


def _fill_forward(rows: Raw, last: dict[str, float]) -> Raw:
    """Fill blank bids and asks with the last good one; `last` carries it to the next block."""
    columns = dict(rows.columns)
    reason = rows.reason.copy()
    repaired = rows.repaired.copy()
    usable = reason == 0
    for role in ("bid", "ask"):
        values = columns[role]
        blank = columns.pop(f"{role}_blank") > 0
        good = usable & np.isfinite(values) & (values > 0)
        at = np.maximum.accumulate(np.where(good, np.arange(len(rows)), -1))
        known = np.where(at >= 0, values[at], last[role])
        columns[role] = np.where(blank, known, values)
        _mark(reason, blank & np.isnan(known), reasons.NO_PREVIOUS_PRICE)
        repaired |= np.where(blank & (reason == 0), FILLED, 0)
        if at[-1] >= 0:
            last[role] = float(values[at[-1]])
    return raw(rows.row, rows.wall_ns, columns, reason=reason, text=rows.text, repaired=repaired)


def _check_width(head: Head) -> None:
    """Refuse rows that have more fields than the header: nothing tells which field is which."""
    named = len(head.header or ())
    if head.header is None or head.width <= named:
        return
    wide = next(row for row in head.rows if len(row) == head.width)
    if any(field for field in wide[named:]):
        remedy = "Name every column, and write numbers with a decimal point between commas."
        what = f"rows of {head.width} fields under a header of {named}"
        raise FileMalformed(what, file=head.file, remedy=remedy, row=head.header_line + 1)


def _digits(head: Head, roles: Mapping[str, int]) -> int:
    """Return the most decimals of a sampled price; more than 8 are float noise and not counted."""
    found = 0
    for role in ("bid", "ask", "open", "high", "low", "close", "last"):
        for text in head.column(roles[role]) if role in roles else ():
            _, _, decimals = text.replace(",", ".").partition(".")
            if decimals.isdigit() and len(decimals) <= _MOST_DIGITS:
                found = max(found, len(decimals))
    return found


def layout_from(
    head: Head,
    *,
    name: str,
    kind: Kind,
    roles: Mapping[str, int],
    order: DateOrder | None,
    zone: str | None = None,
    zone_hint: str = "",
    fill_forward: bool = False,
    spread_in_points: bool = False,
    notes: tuple[str, ...] = (),
) -> Layout:
    """Complete a layout from the sampled rows: how times are written, width, decimal comma.

    Raises:
        HistoryError: no rows, or times that cannot be read.
    """
    needs_rows(head)
    _check_width(head)
    time, clock = roles["time"], roles.get("clock")
    samples = [
        row[time] if clock is None else f"{row[time]} {row[clock]}"
        for row in head.rows
        if len(row) > max(time, clock or 0)
    ]
    style = style_of(samples, head.file, order)
    if head.decimal_comma:
        notes = (*notes, "numbers are written with a decimal comma")
    return Layout(
        format=name,
        kind=kind,
        delimiter=head.delimiter,
        header_line=head.header_line,
        width=max(head.width, max(roles.values()) + 1),
        roles=roles,
        style=style,
        digits=_digits(head, roles),
        decimal_comma=head.decimal_comma,
        fill_forward=fill_forward,
        zone="UTC" if style.zoned else zone,
        zone_hint=zone_hint,
        spread_in_points=spread_in_points,
        notes=(*notes, f"times are written as {style}"),
    )
