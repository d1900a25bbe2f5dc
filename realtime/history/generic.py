"""CSV with a header and Parquet: columns found by the names that brokers and packages use."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.arrow import pa, pq
from realtime.history.columns import assign, key_of, kind_of
from realtime.history.delimited import Layout, layout_from
from realtime.history.errors import FileEmpty, FileMalformed, FormatUnknown
from realtime.history.files import reading, shown
from realtime.history.head import Head, needs_rows, value_roles
from realtime.history.mt5_arrays import SERVER_EPOCH, format_of
from realtime.history.mt5_bars import SERVER_CLOCK
from realtime.history.raw import NO_TIME, Kind, Raw, Source, raw
from realtime.history.times import (
    DateOrder,
    TimeStyle,
    epoch_unit,
    epochs_to_ns,
    float_epochs_to_ns,
    parse_times,
    style_of,
)

_UTC_NAMES = ("time_ns", "open_ns", "gmt_time", "utc_time", "time_utc", "utc", "gmt")
_BATCH_ROWS = 1 << 18
_SAMPLE_ROWS = 4096


def layout_of(
    head: Head, order: DateOrder | None = None, columns: Mapping[str, str] | None = None
) -> Layout | None:
    """Lay out a CSV by its header; None without one.

    Raises:
        HistoryError: columns are missing, or times cannot be read.
    """
    if head.header is None:
        return None
    names = [name or f"column {index + 1}" for index, name in enumerate(head.header)]
    found = assign(names, head.file, columns)
    kind = kind_of(found, names, head.file)
    needs_rows(head)
    roles = {role: names.index(name) for role, name in found.items()}
    name, hint = _csv_flavour(head, [key_of(name) for name in names])
    layout = layout_from(
        head,
        name=name,
        kind="bars" if kind == "bars" else "ticks",
        roles=roles,
        order=order,
        zone="UTC" if key_of(found["time"]) in _UTC_NAMES else None,
        zone_hint=hint,
        spread_in_points=name != "csv" or _whole_spreads(head, roles.get("spread")),
        notes=_ignored(names, found),
    )
    if layout.style.unit and name == "csv":
        # Epoch numbers count from 1970 in UTC, unless MetaTrader wrote them.
        return replace(layout, zone="UTC")
    return layout


def _csv_flavour(head: Head, keys: list[str]) -> tuple[str, str]:
    if format_of(keys) is not None:
        return "mt5_python", SERVER_EPOCH
    dotted = bool(head.rows) and head.rows[0][0][4:5] == "."
    if "tickvol" in keys and dotted:
        return "mt5_csv", SERVER_CLOCK
    return "csv", ""


def _whole_spreads(head: Head, index: int | None) -> bool:
    if index is None:
        return False
    values = head.column(index)
    return all(value.isdigit() for value in values) and any(value != "0" for value in values)


def _ignored(names: list[str], found: Mapping[str, str]) -> tuple[str, ...]:
    ignored = [name for name in names if name not in found.values()]
    return (f"columns not used: {', '.join(ignored)}",) if ignored else ()


def parquet_source(
    path: Path, order: DateOrder | None = None, columns: Mapping[str, str] | None = None
) -> Source:
    """Make the source of a Parquet file.

    Raises:
        HistoryError: not readable as Parquet, columns missing, or no rows.
    """
    file = shown(path)
    with _parquet(path), pq.ParquetFile(path) as parquet:
        schema = parquet.schema_arrow
        names = list(schema.names)
        found = assign(names, file, columns)
        kind: Kind = "bars" if kind_of(found, names, file) == "bars" else "ticks"
        if parquet.metadata.num_rows == 0:
            remedy = "Write it again with a range that holds data."
            msg = "a Parquet file without rows"
            raise FileEmpty(msg, file=file, remedy=remedy)
        first = next(parquet.iter_batches(_SAMPLE_ROWS, columns=list(found.values())))
    style, zone, zone_notes = _parquet_time(schema, first, found, file, order)
    package = format_of([key_of(name) for name in names])
    if package is not None and style is not None and style.unit:
        zone = None
    return Source(
        file=file,
        format="parquet",
        kind=kind,
        chunks=lambda: _parquet_chunks(path, kind, found, style),
        zone=zone,
        zone_hint=SERVER_EPOCH if package is not None else "",
        spread_in_points=package is not None,
        price_only=kind == "ticks" and "bid" not in found,
        notes=(*_ignored(names, found), *zone_notes),
    )


@contextmanager
def _parquet(path: Path) -> Generator[None]:
    """Turn what Arrow raises into `HistoryError`."""
    with reading(path):
        try:
            yield
        except (pa.ArrowException, pl.exceptions.PolarsError, OverflowError) as error:
            remedy = "Write or copy it again."
            what = f"not readable as Parquet ({error})"
            raise FileMalformed(what, file=shown(path), remedy=remedy) from error


def _parquet_time(
    schema: Any, first: Any, found: Mapping[str, str], file: str, order: DateOrder | None
) -> tuple[TimeStyle | None, str | None, tuple[str, ...]]:
    """Return how times are stored (None: as timestamps), the zone stated, and notes."""
    name = found["time"]
    kind = schema.field(name).type
    stated = "UTC" if key_of(name) in _UTC_NAMES else None
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            return None, stated, (f"times are stored as {kind}, without a zone",)
        # Arrow stores UTC whatever zone the column shows.
        return None, "UTC", (f"times are stored as {kind}",)
    if pa.types.is_date(kind):
        return None, stated, ("times are dates",)
    values = cast("pl.DataFrame", pl.from_arrow(first))[name].drop_nulls()
    if values.is_empty():
        remedy = "Write the times as timestamps."
        msg = f"the column {name!r} holds no time"
        raise FormatUnknown(msg, file=file, remedy=remedy)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):
        unit = epoch_unit(values.cast(pl.Float64).to_numpy())
        return TimeStyle(unit=unit), "UTC", (f"times are epoch numbers in {unit}",)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        style = style_of(values.to_list(), file, order)
        zone = "UTC" if style.zoned or style.unit else stated
        return style, zone, (f"times are written as {style}",)
    remedy = "Write the times as timestamps."
    msg = f"times of type {kind}"
    raise FormatUnknown(msg, file=file, remedy=remedy)


def _parquet_chunks(
    path: Path, kind: Kind, found: Mapping[str, str], style: TimeStyle | None
) -> Iterator[Raw]:
    row = 1
    with _parquet(path), pq.ParquetFile(path) as parquet:
        wanted = list(dict.fromkeys(found.values()))
        for batch in parquet.iter_batches(_BATCH_ROWS, columns=wanted):
            if batch.num_rows == 0:
                continue
            frame = cast("pl.DataFrame", pl.from_arrow(batch))
            yield _frame_rows(frame, kind, found, style, row)
            row += frame.height


def _frame_rows(
    frame: pl.DataFrame, kind: Kind, found: Mapping[str, str], style: TimeStyle | None, row: int
) -> Raw:
    reason = np.zeros(frame.height, np.int64)
    time = frame[found["time"]]
    wall_ns = _column_times(time, style)
    if "clock" in found:
        clock = frame[found["clock"]].cast(pl.Time, strict=False).cast(pl.Int64)
        reason[clock.is_null().to_numpy()] = reasons.BAD_TIME
        wall_ns = np.where(wall_ns == NO_TIME, NO_TIME, wall_ns + clock.fill_null(0).to_numpy())
    reason[wall_ns == NO_TIME] = reasons.BAD_TIME
    if time.null_count():
        reason[time.is_null().to_numpy()] = reasons.MISSING_FIELDS
    columns: dict[str, NDArray[np.float64]] = {}
    for role in value_roles(kind):
        if role not in found:
            continue
        series = frame[found[role]]
        numbers = series.cast(pl.Float64, strict=False)
        if numbers.null_count():
            bad = (numbers.is_null() & series.is_not_null()).to_numpy()
            reason[bad & (reason == 0)] = reasons.UNREADABLE
            numbers = numbers.fill_null(float("nan"))
        columns[role] = numbers.to_numpy()
    return raw(np.arange(row, row + frame.height), wall_ns, columns, reason=reason)


def _column_times(time: pl.Series, style: TimeStyle | None) -> NDArray[np.int64]:
    if time.dtype == pl.Date:
        days = time.cast(pl.Int64).fill_null(NO_TIME // 86_400).to_numpy()
        seconds = np.where(days == NO_TIME // 86_400, NO_TIME, days * 86_400)
        return epochs_to_ns(seconds, "s")
    if isinstance(time.dtype, pl.Datetime):
        counts = time.to_physical().fill_null(NO_TIME).to_numpy()
        return epochs_to_ns(counts, time.dtype.time_unit)
    if style is None or time.dtype == pl.String:
        return parse_times(time.cast(pl.String), style or TimeStyle(unit="s"))
    if time.dtype.is_float():
        return float_epochs_to_ns(
            time.cast(pl.Float64).fill_null(float("nan")).to_numpy(), style.unit
        )
    return epochs_to_ns(time.cast(pl.Int64, strict=False).fill_null(NO_TIME).to_numpy(), style.unit)
