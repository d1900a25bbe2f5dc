"""The Parquet lake: one file per symbol and month, on a disk or in an object store.

``<root>/<kind>/<SYMBOL>/<YYYY>-<MM>.parquet``, kind being ``ticks``, ``bars_m1``, ``bars_h1``...
A month is a calendar month in UTC by the tick's time or the bar's start. Each file's metadata
lists the imports that went into it, so that an import which is repeated, or was cut short, writes
only what is missing; a file of ticks also knows which source brought each of them, so that a newer
import of a source replaces what it brought before. A file appears at once and whole: written aside
and renamed on a disk, one put in an object store.
"""

import contextlib
import fcntl
import io
import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import fsspec
import numpy as np
from numpy.typing import NDArray

from realtime.history.arrow import pa, pq
from realtime.history.errors import LakeDamaged, LakeError, LakeWriteFailed
from realtime.history.market import checked_symbol
from realtime.history.merge import OwnedTicks, owned
from realtime.kernels.layout import BAR, TICK
from realtime.whole_files import PARTIAL, write_whole

ROW_GROUP = 1 << 17
_SOURCES = b"aitrading.sources"
_OWNERS = b"aitrading.owners"
_OWNER_COLUMN = "owners"  # of ticks: one bit a source, in the order of the metadata
_VERSION = b"aitrading.lake"
_SECOND_NS = 1_000_000_000
# What a reader fills in by itself is not stored.
_TICK_COLUMNS = ("time_ns", "bid", "ask", "last", "volume", "flags")


@dataclass(frozen=True, order=True)
class Month:
    """A calendar month in UTC."""

    year: int
    month: int

    def __str__(self) -> str:
        return f"{self.year:04d}-{self.month:02d}"

    @property
    def next(self) -> "Month":
        """The month after."""
        return Month(self.year + self.month // 12, self.month % 12 + 1)

    @property
    def start_ns(self) -> int:
        """First moment."""
        return int(datetime(self.year, self.month, 1, tzinfo=UTC).timestamp()) * _SECOND_NS


def month_of(time_ns: int) -> Month:
    """Return the month that a UTC time falls in."""
    moment = datetime.fromtimestamp(time_ns // _SECOND_NS, UTC)
    return Month(moment.year, moment.month)


def time_name(kind: str) -> str:
    """Return the field that orders rows of a kind: ``"time_ns"`` or ``"open_ns"``."""
    return "time_ns" if kind == "ticks" else "open_ns"


def stored_columns(kind: str) -> tuple[str, ...]:
    """Return the fields that lake files of a kind hold."""
    return _TICK_COLUMNS if kind == "ticks" else tuple(BAR.names or ())


def layout_of_kind(kind: str) -> np.dtype[Any]:
    """Return the layout of a kind's rows."""
    return TICK if kind == "ticks" else BAR


@dataclass(frozen=True, kw_only=True)
class Owners:
    """Who brought the ticks of a month.

    Attributes:
        names: of the sources, each with a bit; the first bit is that of an unknown source.
        bits: (n,) uint64, one set for each source that has the tick.
    """

    names: Sequence[str]
    bits: NDArray[np.uint64]


class Lake:
    """A lake at a path or an fsspec address such as ``s3://bucket/lake`` or ``memory://lake``.

    Args:
        root: where; folders are made as needed.
        storage_options: for fsspec, e.g. endpoint and credentials of an object store.
    """

    def __init__(self, root: str | Path, storage_options: Mapping[str, Any] | None = None) -> None:
        self.address = str(root)
        options = dict(storage_options or {})
        try:
            self.files, self.root = cast(
                "tuple[Any, str]", fsspec.core.url_to_fs(self.address, **options)
            )
        except (ValueError, ImportError) as error:
            remedy = "Use a path, memory://, or install the fsspec package of the store."
            msg = f"no such store ({error})"
            raise LakeError(msg, file=self.address, remedy=remedy) from error
        protocol: Any = self.files.protocol
        self.is_local = "file" in ((protocol,) if isinstance(protocol, str) else tuple(protocol))

    def path(self, kind: str, symbol: str, month: Month) -> str:
        """Return the address of a month's file."""
        return f"{self.root}/{kind}/{checked_symbol(symbol, self.address)}/{month}.parquet"

    def months(self, kind: str, symbol: str) -> list[Month]:
        """Return the months that are stored, in order."""
        found: list[Month] = []
        for name in self._names(f"{self.root}/{kind}/{checked_symbol(symbol, self.address)}"):
            year, dash, rest = name.partition("-")
            month, dot, suffix = rest.partition(".")
            if dash and dot and suffix == "parquet" and year.isdigit() and month.isdigit():
                found.append(Month(int(year), int(month)))
        return sorted(found)

    def kinds(self) -> list[str]:
        """Return the kinds that are stored."""
        return sorted(n for n in self._names(self.root) if n == "ticks" or n.startswith("bars_"))

    def symbols(self, kind: str) -> list[str]:
        """Return the symbols that are stored of a kind."""
        return sorted(self._names(f"{self.root}/{kind}"))

    def _names(self, folder: str) -> list[str]:
        try:
            found: list[str] = self.files.ls(folder, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            msg = "cannot be listed"
            raise self._failed(msg, folder, error) from error
        return [address.rstrip("/").rsplit("/", 1)[-1] for address in found]

    def _failed(self, what: str, path: str, error: Exception) -> LakeError:
        remedy = (
            "Check the disk, the address and the rights; no stored row is lost, and a repeated"
            " import goes on where it stopped."
        )
        return LakeWriteFailed(f"{what} ({error})", file=path, remedy=remedy)

    @contextlib.contextmanager
    def open_parquet(self, path: str) -> Generator[Any]:
        """Open a lake file.

        Raises:
            LakeDamaged: it is not a Parquet file of the lake.
        """
        remedy = "Delete the file and import its month again."
        try:
            with (
                self.files.open(path, "rb") as stream,
                pq.ParquetFile(stream, page_checksum_verification=True) as parquet,
            ):
                if _VERSION not in (parquet.schema_arrow.metadata or {}):
                    msg = "not a file of this lake"
                    raise LakeDamaged(msg, file=path, remedy=remedy)
                yield parquet
        except (pa.ArrowException, OSError) as error:
            msg = f"cannot be read ({error})"
            raise LakeDamaged(msg, file=path, remedy=remedy) from error

    def sources(self, kind: str, symbol: str, month: Month) -> list[str]:
        """Return the fingerprints of the imports in a month; empty if it is not stored."""
        path = self.path(kind, symbol, month)
        if not self.files.exists(path):
            return []
        with self.open_parquet(path) as parquet:
            metadata = parquet.schema_arrow.metadata or {}
        found: list[str] = json.loads(metadata.get(_SOURCES, b"[]"))
        return found

    def read_month(self, kind: str, symbol: str, month: Month) -> NDArray[np.void]:
        """Return all rows of a month; empty if it is not stored."""
        path = self.path(kind, symbol, month)
        if not self.files.exists(path):
            return np.empty(0, layout_of_kind(kind))
        with self.open_parquet(path) as parquet:
            return rows_of(parquet.read(columns=list(stored_columns(kind))), kind)

    def read_owned(self, symbol: str, month: Month) -> tuple[OwnedTicks, list[str]]:
        """Return a month's ticks with who brought them, and the names behind the owners' bits.

        The first bit, which has no name, is that of an unknown source.
        """
        path = self.path("ticks", symbol, month)
        if not self.files.exists(path):
            return owned(np.empty(0, TICK)), []
        with self.open_parquet(path) as parquet:
            table = parquet.read()
            metadata = parquet.schema_arrow.metadata or {}
        rows = rows_of(table, "ticks")
        if _OWNER_COLUMN not in table.column_names:
            return owned(rows), []
        owners = table.column(_OWNER_COLUMN).to_numpy().astype(np.uint64)
        return OwnedTicks(rows, owners), json.loads(metadata.get(_OWNERS, b"[]"))

    def write_month(
        self,
        kind: str,
        symbol: str,
        month: Month,
        rows: NDArray[np.void],
        sources: Sequence[str] = (),
        owners: Owners | None = None,
    ) -> None:
        """Replace a month's file, at once and whole.

        Args:
            kind: ``"ticks"`` or ``"bars_m1"``...
            symbol: whose.
            month: all rows must lie in it.
            rows: (n,) in order of time.
            sources: fingerprints of the imports that they came from.
            owners: of ticks, who brought them; None = unknown.

        Raises:
            LakeWriteFailed: the store refused; what was there before is untouched.
        """
        times = rows[time_name(kind)]
        if len(rows) and not month.start_ns <= times[0] <= times[-1] < month.next.start_ns:
            remedy = "Cut rows by month before writing."
            msg = f"rows outside {month}"
            raise LakeError(msg, file=self.address, remedy=remedy)
        self.put(self.path(kind, symbol, month), encode(kind, rows, sources, owners))

    def put(self, path: str, content: bytes) -> None:
        """Write a file at once and whole.

        Raises:
            LakeWriteFailed: the store refused; what was there before is untouched.
        """
        try:
            if self.is_local:
                Path(path).parent.mkdir(parents=True, exist_ok=True)
                write_whole(Path(path), content)
            else:
                self.files.pipe_file(path, content)
        except OSError as error:
            msg = "cannot be written"
            raise self._failed(msg, path, error) from error

    @contextlib.contextmanager
    def writing(self) -> Generator[None]:
        """Hold the lake for one writer (on a disk; an object store must have one by agreement).

        Raises:
            LakeWriteFailed: another process is writing, or the folder cannot be made.
        """
        if not self.is_local:
            yield
            return
        root = Path(self.root)
        try:
            root.mkdir(parents=True, exist_ok=True)
            lock = (root / ".writer").open("w")
        except OSError as error:
            msg = "cannot be made"
            raise self._failed(msg, self.root, error) from error
        with lock:
            try:
                # The kernel lets go of it when the process ends, however it ends.
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                msg = "another process is writing to it"
                raise self._failed(msg, self.root, error) from error
            for orphan in root.glob(f"*/*/*{PARTIAL}"):
                orphan.unlink(missing_ok=True)
            yield


def encode(
    kind: str, rows: NDArray[np.void], sources: Sequence[str], owners: Owners | None = None
) -> bytes:
    """Return rows as the bytes of a Parquet file."""
    columns = {name: pa.array(np.ascontiguousarray(rows[name])) for name in stored_columns(kind)}
    metadata = {_VERSION: b"1", _SOURCES: json.dumps(list(sources)).encode()}
    if owners is not None:
        columns[_OWNER_COLUMN] = pa.array(owners.bits)
        metadata[_OWNERS] = json.dumps(list(owners.names)).encode()
    table = pa.table(columns)
    buffer = io.BytesIO()
    pq.write_table(
        table.replace_schema_metadata(metadata),
        buffer,
        row_group_size=ROW_GROUP,
        compression="zstd",
        write_page_checksum=True,  # a flipped bit is an error, never another price
        use_dictionary=[name for name in columns if name not in (time_name(kind), "end_ns")],
        column_encoding={time_name(kind): "DELTA_BINARY_PACKED"},
    )
    return buffer.getvalue()


def rows_of(table: Any, kind: str) -> NDArray[np.void]:
    """Return the rows of a lake table; `seq` and `symbol` of ticks are 0.

    Raises:
        LakeDamaged: a column is missing.
    """
    dtype = layout_of_kind(kind)
    rows = np.zeros(table.num_rows, dtype)
    for name in stored_columns(kind):
        if name not in table.column_names:
            remedy = "Delete the file and import its month again."
            msg = f"no column {name}"
            raise LakeDamaged(msg, file="a lake file", remedy=remedy)
        rows[name] = table.column(name).to_numpy()
    return rows
