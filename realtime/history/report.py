"""What an import did, row by row accounted for: for people, for JSON, and as a table."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from realtime.history.reasons import REASONS

_BY_NAME = {reason.name: reason for reason in REASONS.values()}
_SHOWN_GAPS = 10


@dataclass(frozen=True)
class Gap:
    """A silence while the market is open."""

    start_ns: int  # last row before
    end_ns: int  # first row after
    open_seconds: float  # of it while the market is open


@dataclass(frozen=True, kw_only=True)
class SpreadStats:
    """Spread of the kept rows in price units; quantiles come from an even sample."""

    least: float
    median: float
    mean: float
    p99: float
    most: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was read, and what became of every row.

    ``rows_kept + sum(quarantined) + sum(dropped) == rows_read``, always.

    Attributes:
        file: file, folder or array.
        format: e.g. ``"mt5_ticks"``.
        kind: ``"ticks"`` or ``"bars"``.
        symbol: symbol of all rows.
        timeframe: e.g. ``"M1"``, empty for ticks.
        zone: the clock the file is in.
        zone_how: ``"given"``, ``"stated"`` or ``"detected"``.
        zone_confidence: share of weeks that close on time under it.
        zone_evidence: sentences.
        rows_read: rows in the source.
        rows_kept: rows handed on.
        quarantined: reason name to rows kept out.
        dropped: reason name to rows that repeat the row before.
        repaired: reason name to rows kept after a repair.
        noted: reason name to rows kept as they are.
        examples: reason name to the first quarantined rows (number and raw text).
        first_ns: time of the first kept row, UTC.
        last_ns: time of the last.
        digits: decimals of the prices, -1 if they have no common grid.
        spread: None if the source has no spread.
        gap_count: silences while the market is open.
        gap_seconds: their open time together.
        gaps: the longest of them, in order of time.
        notes: other things to know.
    """

    file: str
    format: str
    kind: str
    symbol: str
    timeframe: str
    zone: str
    zone_how: str
    zone_confidence: float
    zone_evidence: tuple[str, ...]
    rows_read: int
    rows_kept: int
    quarantined: Mapping[str, int]
    dropped: Mapping[str, int]
    repaired: Mapping[str, int]
    noted: Mapping[str, int]
    examples: Mapping[str, tuple[str, ...]]
    first_ns: int
    last_ns: int
    digits: int
    spread: SpreadStats | None
    gap_count: int
    gap_seconds: float
    gaps: tuple[Gap, ...]
    notes: tuple[str, ...]

    @property
    def rows_quarantined(self) -> int:
        """Rows kept out."""
        return sum(self.quarantined.values())

    def to_dict(self) -> dict[str, Any]:
        """Return plain values only, ready for JSON."""
        return asdict(self) | {"rows_quarantined": self.rows_quarantined}

    def to_json(self) -> str:
        """Return the report as JSON."""
        return json.dumps(self.to_dict(), indent=2)

    def to_text(self) -> str:
        """Return the report for a person."""
        lines = [*self._source_lines(), *self._count_lines(), *self._gap_lines()]
        lines += [f"note        {note}" for note in self.notes]
        return "\n".join(lines) + "\n"

    def _source_lines(self) -> list[str]:
        frame = f" {self.timeframe}" if self.timeframe else ""
        lines = [
            f"file        {self.file}",
            f"format      {self.format} ({self.symbol}{frame} {self.kind})",
            f"clock       {self.zone}, {self.zone_how}"
            + (f", confidence {self.zone_confidence:.0%}" if self.zone_evidence else ""),
        ]
        lines += [f"            {sentence}" for sentence in self.zone_evidence]
        lines.append(f"range       {utc_text(self.first_ns)} to {utc_text(self.last_ns)} UTC")
        if self.digits >= 0:
            lines.append(f"prices      {self.digits} decimals")
        if self.spread is not None:
            s = self.spread
            lines.append(
                f"spread      least {s.least:.6g}, median {s.median:.6g}, mean {s.mean:.6g},"
                f" 99% {s.p99:.6g}, most {s.most:.6g}"
            )
        return lines

    def _count_lines(self) -> list[str]:
        counts = (
            f"rows        {self.rows_read:,} read = {self.rows_kept:,} kept"
            f" + {self.rows_quarantined:,} quarantined + {sum(self.dropped.values()):,} dropped"
        )
        lines = [counts]
        groups = (
            ("quarantined", self.quarantined),
            ("dropped", self.dropped),
            ("repaired", self.repaired),
            ("noted", self.noted),
        )
        for title, counts in groups:
            for name, count in counts.items():
                lines.append(f"{title:<11} {count:,} {name}: {_BY_NAME[name].meaning}")
                if title == "quarantined":
                    lines += [f"            {example}" for example in self.examples[name]]
                    lines.append(f"            remedy: {_BY_NAME[name].remedy}")
        return lines

    def _gap_lines(self) -> list[str]:
        if not self.gap_count:
            return ["gaps        none while the market is open"]
        hours = self.gap_seconds / 3600
        lines = [f"gaps        {self.gap_count:,} while the market is open, {hours:,.1f} hours"]
        longest = sorted(self.gaps, key=lambda gap: gap.open_seconds, reverse=True)[:_SHOWN_GAPS]
        lines += [
            f"            {utc_text(gap.start_ns)} to {utc_text(gap.end_ns)}:"
            f" {gap.open_seconds / 3600:.2f} h"
            for gap in sorted(longest, key=lambda gap: gap.start_ns)
        ]
        return lines


def utc_text(time_ns: int) -> str:
    """Write a UTC time for a person, to the millisecond."""
    moment = datetime.fromtimestamp(time_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{time_ns // 1_000_000 % 1000:03d}"
