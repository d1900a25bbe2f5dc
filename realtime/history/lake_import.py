"""Bring files into the lake: checked, cut by month, merged with what is there, resumable."""

import hashlib
import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.history.files import reading
from realtime.history.importing import Import
from realtime.history.lake import Lake, Month, Owners, month_of, time_name
from realtime.history.merge import (
    corrected_bars,
    merge_bars,
    owned,
    replace_ticks,
)
from realtime.history.report import Report
from realtime.kernels.layout import BAR

_READ_BYTES = 1 << 20
_MOST_SOURCES = 62  # of a month's ticks that are told apart; those beyond are merged only


@dataclass(frozen=True, kw_only=True)
class LakeImport:
    """What an import into the lake did.

    Attributes:
        report: what became of every row.
        kind: folder of the lake, e.g. ``"ticks"`` or ``"bars_m1"``.
        written: months written.
        skipped: months that held this import already.
        added: rows that the lake did not have.
        conflicts: stored rows that were replaced: bars with other prices (not the newest, which
            was still forming), ticks that their source does not have any more.
        disputed: moments of which another source has other ticks, which stay beside.
    """

    report: Report
    kind: str
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    added: int
    conflicts: int
    disputed: int = 0


def fingerprint_of(path: Path, opened: Import, source: str = "") -> str:
    """Return a hash of a file's (or folder's) bytes and of everything that was said about it."""
    digest = hashlib.blake2b(digest_size=16)
    with reading(path):
        files = sorted(path.rglob("*.bi5")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(_READ_BYTES):
                    digest.update(block)
    digest.update(repr(opened.identity()).encode())
    digest.update(source.encode())
    return digest.hexdigest()


def import_file(lake: Lake, path: Path, opened: Import, source: str = "") -> LakeImport:
    """Write a file's checked rows into the lake.

    A month of which this very import was the last to speak is left alone, so an import that was
    cut short goes on where it stopped. Rows that another import brought are not repeated. Of two
    bars of one time the newer import's stays; ticks replace those that the same source brought
    before of the time that they cover.

    Args:
        lake: where to.
        path: the file or folder, to know it again.
        opened: the same, opened with `open_import`.
        source: who the ticks are from; empty = see `source_of`.

    Raises:
        HistoryError: the file cannot be read, or the lake cannot be written; months written
            before stay, and whole.
    """
    fingerprint = fingerprint_of(path, opened, source)
    kind = "ticks" if opened.kind == "ticks" else f"bars_{opened.timeframe.lower()}"
    tally = _Months()
    with lake.writing():
        writer = _Writer(lake, kind, opened.symbol, fingerprint, source or source_of(path, opened))
        for month, rows in by_month(opened, time_name(kind)):
            writer.take(month, rows, tally)
        report = opened.report()
        _keep_record(lake, fingerprint, opened, report)
    return LakeImport(
        report=report,
        kind=kind,
        written=tuple(tally.written),
        skipped=tuple(tally.skipped),
        added=tally.added,
        conflicts=tally.conflicts,
        disputed=tally.disputed,
    )


def source_of(path: Path, opened: Import) -> str:
    """Name the source of a file: its format, and its name without digits.

    ``EURUSD_202401010000_202402010000.csv`` is of the same source as the export of another month.
    """
    return f"{opened.source.format}:{re.sub(r'[0-9]+', '', path.name)}"


@dataclass(kw_only=True)
class _Months:
    """What became of an import's months."""

    written: list[str] = field(default_factory=list[str])
    skipped: list[str] = field(default_factory=list[str])
    added: int = 0
    conflicts: int = 0
    disputed: int = 0


class _Writer:
    """Joins an import with what the lake holds, month by month."""

    def __init__(self, lake: Lake, kind: str, symbol: str, fingerprint: str, source: str) -> None:
        self._lake = lake
        self._kind = kind
        self._symbol = symbol
        self._fingerprint = fingerprint
        self._source = source
        self._newest_ns = _newest_bar(lake, kind, symbol)

    def take(self, month: Month, rows: NDArray[np.void], tally: _Months) -> None:
        """Join one month, unless this import was the last to speak of it."""
        sources = self._lake.sources(self._kind, self._symbol, month)
        if sources[-1:] == [self._fingerprint]:
            tally.skipped.append(str(month))
            return
        join = self._ticks if self._kind == "ticks" else self._bars
        old, new, owners = join(month, rows, tally)
        if self._fingerprint in sources and old.tobytes() == new.tobytes():
            tally.skipped.append(str(month))
            return
        others = [each for each in sources if each != self._fingerprint]
        kept = [*others, self._fingerprint]
        self._lake.write_month(self._kind, self._symbol, month, new, kept, owners)
        tally.written.append(str(month))
        tally.added += max(len(new) - len(old), 0)

    def _bars(
        self, month: Month, rows: NDArray[np.void], tally: _Months
    ) -> tuple[NDArray[np.void], NDArray[np.void], None]:
        old = self._lake.read_month(self._kind, self._symbol, month)
        differ = corrected_bars(old, rows)
        # The newest bar of an export was still forming: that it is whole now is no contradiction.
        tally.conflicts += int((differ != self._newest_ns).sum())
        return old, merge_bars(old, rows)[0], None

    def _ticks(
        self, month: Month, rows: NDArray[np.void], tally: _Months
    ) -> tuple[NDArray[np.void], NDArray[np.void], Owners]:
        old, names = self._lake.read_owned(self._symbol, month)
        if self._source not in names and len(names) < _MOST_SOURCES:
            names = [*names, self._source]
        place = names.index(self._source) + 1 if self._source in names else 0
        done = replace_ticks(old, owned(rows, np.uint64(1 << place)))
        tally.conflicts += done.gone
        tally.disputed += done.disputed
        return old.rows, done.ticks.rows, Owners(names=names, bits=done.ticks.owners)


def _newest_bar(lake: Lake, kind: str, symbol: str) -> int:
    """Return the start of the newest stored bar; -1 if there is none."""
    months = lake.months(kind, symbol) if kind != "ticks" else []
    rows = lake.read_month(kind, symbol, months[-1]) if months else np.empty(0, BAR)
    return int(rows["open_ns"][-1]) if len(rows) else -1


def by_month(opened: Import, time: str) -> Iterator[tuple[Month, NDArray[np.void]]]:
    """Cut a stream of arrays in order of time into whole months."""
    parts: list[NDArray[np.void]] = []
    month: Month | None = None
    for chunk in opened:
        rest = chunk
        while len(rest):
            this = month_of(int(rest[time][0]))
            if month is not None and this != month:
                yield month, np.concatenate(parts)
                parts = []
            month = this
            cut = int(np.searchsorted(rest[time], month.next.start_ns))
            parts.append(rest[:cut])
            rest = rest[cut:]
    if month is not None:
        yield month, np.concatenate(parts)


def _keep_record(lake: Lake, fingerprint: str, opened: Import, report: Report) -> None:
    """Leave the report and the quarantined rows beside the data."""
    folder = f"{lake.root}/imports"
    lake.put(f"{folder}/{fingerprint}.json", json.dumps(report.to_dict(), indent=2).encode())
    quarantine = opened.quarantine()
    if quarantine.height:
        buffer = io.BytesIO()
        quarantine.write_parquet(buffer)
        lake.put(f"{folder}/{fingerprint}.quarantine.parquet", buffer.getvalue())
