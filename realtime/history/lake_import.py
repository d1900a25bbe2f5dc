"""Bring files into the lake: checked, cut by month, merged with what is there, resumable."""

import hashlib
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.history.files import reading
from realtime.history.importing import Import
from realtime.history.lake import Lake, Month, month_of, time_name
from realtime.history.merge import merge_bars, merge_ticks
from realtime.history.report import Report

_READ_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class LakeImport:
    """What an import into the lake did.

    Attributes:
        report: what became of every row.
        kind: folder of the lake, e.g. ``"ticks"`` or ``"bars_m1"``.
        written: months written.
        skipped: months that held this import already.
        added: rows that the lake did not have.
        conflicts: bars that differ from the stored bar of the same time (which stays).
    """

    report: Report
    kind: str
    written: tuple[str, ...]
    skipped: tuple[str, ...]
    added: int
    conflicts: int


def fingerprint_of(path: Path, opened: Import) -> str:
    """Return a hash of a file's (or folder's) bytes and of everything that shapes what is read."""
    digest = hashlib.blake2b(digest_size=16)
    with reading(path):
        files = sorted(path.rglob("*.bi5")) if path.is_dir() else [path]
        for file in files:
            digest.update(file.name.encode())
            with file.open("rb") as stream:
                while block := stream.read(_READ_BYTES):
                    digest.update(block)
    digest.update(repr(opened.identity()).encode())
    return digest.hexdigest()


def import_file(lake: Lake, path: Path, opened: Import) -> LakeImport:
    """Write a file's checked rows into the lake.

    A month that already holds this very import is left alone, so an import that was cut short
    goes on where it stopped. Rows that another import brought are not repeated.

    Args:
        lake: where to.
        path: the file or folder, to know it again.
        opened: the same, opened with `open_import`.

    Raises:
        HistoryError: the file cannot be read, or the lake cannot be written; months written
            before stay, and whole.
    """
    fingerprint = fingerprint_of(path, opened)
    kind = "ticks" if opened.kind == "ticks" else f"bars_{opened.timeframe.lower()}"
    written: list[str] = []
    skipped: list[str] = []
    added = conflicts = 0
    with lake.writing():
        for month, rows in by_month(opened, time_name(kind)):
            sources = lake.sources(kind, opened.symbol, month)
            if fingerprint in sources:
                skipped.append(str(month))
                continue
            old = lake.read_month(kind, opened.symbol, month)
            merged, differing = _merge(kind, old, rows)
            lake.write_month(kind, opened.symbol, month, merged, [*sources, fingerprint])
            written.append(str(month))
            added += len(merged) - len(old)
            conflicts += differing
        report = opened.report()
        _keep_record(lake, fingerprint, opened, report)
    return LakeImport(
        report=report,
        kind=kind,
        written=tuple(written),
        skipped=tuple(skipped),
        added=added,
        conflicts=conflicts,
    )


def _merge(kind: str, old: NDArray[np.void], new: NDArray[np.void]) -> tuple[NDArray[np.void], int]:
    return (merge_ticks(old, new), 0) if kind == "ticks" else merge_bars(old, new)


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
