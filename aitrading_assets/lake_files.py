"""Frames in the lake beside market data: one Parquet file a symbol and month, written at once."""

import hashlib
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import polars as pl

from ml.feature_files import Partition
from realtime.history.lake import Lake, Month, month_of

EVENT = "event_timestamp"


def frame_path(lake: Lake, kind: str, symbol: str, month: Month) -> str:
    """Return the address of a month's frame."""
    return lake.path(kind, symbol, month)


def write_frame(lake: Lake, kind: str, symbol: str, month: Month, frame: pl.DataFrame) -> bool:
    """Replace a month's frame if it differs; tell whether it did.

    Args:
        lake: where to.
        kind: folder of the lake, e.g. ``"labels/h1"``.
        symbol: whose.
        month: all rows lie in it.
        frame: with a column ``event_timestamp``.
    """
    path = frame_path(lake, kind, symbol, month)
    if lake.files.exists(path) and read_frame(lake, path).equals(frame):
        return False
    buffer = io.BytesIO()
    frame.write_parquet(buffer)
    lake.put(path, buffer.getvalue())
    return True


def read_frame(lake: Lake, path: str) -> pl.DataFrame:
    """Read one file."""
    content: bytes = lake.files.cat_file(path)
    return pl.read_parquet(io.BytesIO(content))


def read_frames(lake: Lake, kind: str, symbol: str) -> pl.DataFrame | None:
    """Return all months of a symbol in order of time, or None if there are none."""
    months = lake.months(kind, symbol)
    frames = [read_frame(lake, frame_path(lake, kind, symbol, month)) for month in months]
    return pl.concat(frames) if frames else None


def frames_by_month(frame: pl.DataFrame) -> Iterator[tuple[Month, pl.DataFrame]]:
    """Cut a frame in order of ``event_timestamp`` into calendar months (UTC)."""
    if frame.height == 0:
        return
    keyed = frame.with_columns(pl.col(EVENT).dt.strftime("%Y-%m").alias("_month"))
    for part in keyed.partition_by("_month", maintain_order=True):
        first = part[EVENT].dt.epoch("us")[0]
        yield month_of(int(first) * 1_000), part.drop("_month")


def sha256_of(lake: Lake, path: str) -> str:
    """Return the hash of a lake file's bytes."""
    content: bytes = lake.files.cat_file(path)
    return hashlib.sha256(content).hexdigest()


def tick_files(lake: Lake, symbols: Sequence[str]) -> list[Partition]:
    """Return the files of ticks of symbols as they are now."""
    found: list[Partition] = []
    for symbol in symbols:
        for month in lake.months("ticks", symbol):
            path = lake.path("ticks", symbol, month)
            with lake.open_parquet(path) as parquet:
                rows = int(parquet.metadata.num_rows)
            digest = sha256_of(lake, path)
            found.append(
                Partition(kind="ticks", symbol=symbol, month=str(month), rows=rows, sha256=digest)
            )
    return found


def drop_files(lake: Lake, paths: Iterable[str]) -> None:
    """Delete lake files; those that are not there are no error."""
    for path in paths:
        if lake.is_local:
            Path(path).unlink(missing_ok=True)
        elif lake.files.exists(path):
            lake.files.rm_file(path)
