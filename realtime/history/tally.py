"""Running totals of an import: every row is counted exactly once, whatever becomes of it."""

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.raw import FILLED, MOVED, NO_TIME, NOISE, REPEATED, Raw, take
from realtime.history.report import Gap, SpreadStats

_REPAIRS = {
    FILLED: reasons.FILLED_FORWARD,
    REPEATED: reasons.AMBIGUOUS_HOUR,
    NOISE: reasons.FLOAT_NOISE,
    MOVED: reasons.SORTED,
}
_EXAMPLES = 3
_EXAMPLE_LENGTH = 160
_KEPT_GAPS = 100
_SAMPLE = 20_000
QUARANTINE_SCHEMA = pl.Schema(
    {
        "file": pl.String,
        "row": pl.Int64,
        "reason": pl.String,
        "time_ns": pl.Int64,
        "raw": pl.String,
        "remedy": pl.String,
    }
)


class Tally:
    """Collects what the checks decide."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.read = 0
        self.kept = 0
        self.first_ns = 0
        self.last_ns = 0
        self.gap_count = 0
        self.gap_seconds = 0.0
        self._counts: dict[int, int] = {}
        self._examples: dict[int, list[str]] = {}
        self._quarantine: list[pl.DataFrame] = []
        self._gaps: list[Gap] = []
        self._spread_sum = 0.0
        self._spread_rows = 0
        self._spread_ends = (float("inf"), float("-inf"))
        self._spread_sample: list[NDArray[np.float64]] = []

    def settle(self, rows: Raw, reason: NDArray[np.int64]) -> None:
        """Count rows by what became of them, and put the bad ones into quarantine."""
        self.read += len(rows)
        bad = reason != 0
        if bad.any():
            for code, count in zip(*np.unique(reason[bad], return_counts=True), strict=True):
                self._count(int(code), int(count))
            out = np.flatnonzero(bad & (reason < reasons.DUPLICATE))
            if len(out):
                self._put_away(take(rows, out), reason[out])
        if rows.repaired.any():
            for bit, code in _REPAIRS.items():
                self._count(code, int(((rows.repaired & bit != 0) & ~bad).sum()))

    def _count(self, code: int, rows: int) -> None:
        if rows:
            self._counts[code] = self._counts.get(code, 0) + rows

    def note(self, code: int, rows: int) -> None:
        """Count kept rows that are odd."""
        self._count(code, rows)

    def _put_away(self, rows: Raw, reason: NDArray[np.int64]) -> None:
        text = rows.text(np.arange(len(rows)))
        table = pl.DataFrame(
            {"row": rows.row, "code": reason, "time_ns": rows.time_ns, "raw": text},
            schema={"row": pl.Int64, "code": pl.Int64, "time_ns": pl.Int64, "raw": pl.String},
        )
        self._quarantine.append(table)
        for code in np.unique(reason).tolist():
            kept = self._examples.setdefault(code, [])
            for at in np.flatnonzero(reason == code)[: _EXAMPLES - len(kept)].tolist():
                kept.append(f"row {rows.row[at]}: {text[at][:_EXAMPLE_LENGTH]}")

    def keep(self, times_ns: NDArray[np.int64]) -> None:
        """Count rows handed on."""
        if len(times_ns) == 0:
            return
        if self.kept == 0:
            self.first_ns = int(times_ns[0])
        self.kept += len(times_ns)
        self.last_ns = int(times_ns[-1])

    def spread(self, spread: NDArray[np.float64]) -> None:
        """Take in the spreads of kept rows; NaN = unknown."""
        known = spread[~np.isnan(spread)]
        if len(known) == 0:
            return
        self._spread_sum += float(known.sum())
        self._spread_rows += len(known)
        least, most = self._spread_ends
        self._spread_ends = (min(least, float(known.min())), max(most, float(known.max())))
        self._spread_sample.append(known[:: max(1, len(known) // _SAMPLE)].copy())

    def gap(self, gap: Gap) -> None:
        """Take in a silence."""
        self.gap_count += 1
        self.gap_seconds += gap.open_seconds
        self._gaps.append(gap)
        if len(self._gaps) > 100 * _KEPT_GAPS:
            self._gaps = list(self.gaps())

    def gaps(self) -> tuple[Gap, ...]:
        """Return the longest silences in order of time."""
        longest = sorted(self._gaps, key=lambda gap: gap.open_seconds, reverse=True)[:_KEPT_GAPS]
        return tuple(sorted(longest, key=lambda gap: gap.start_ns))

    def spread_stats(self) -> SpreadStats | None:
        """Return the spread's statistics; None if no row has one."""
        if self._spread_rows == 0:
            return None
        sample = np.concatenate(self._spread_sample)
        return SpreadStats(
            least=self._spread_ends[0],
            median=float(np.median(sample)),
            mean=self._spread_sum / self._spread_rows,
            p99=float(np.quantile(sample, 0.99)),
            most=self._spread_ends[1],
        )

    def counts(self, first: int, last: int) -> dict[str, int]:
        """Return counts by name of the reasons whose codes lie in a range."""
        found = sorted(code for code in self._counts if first <= code <= last)
        return {reasons.name_of(code): self._counts[code] for code in found}

    def examples(self) -> dict[str, tuple[str, ...]]:
        """Return the first quarantined rows of each reason."""
        return {reasons.name_of(code): tuple(rows) for code, rows in self._examples.items()}

    def quarantine(self) -> pl.DataFrame:
        """Return every quarantined row, in file order (`QUARANTINE_SCHEMA`)."""
        if not self._quarantine:
            return pl.DataFrame(schema=QUARANTINE_SCHEMA)
        table = pl.concat(self._quarantine).sort("row")
        names = {code: reason.name for code, reason in reasons.REASONS.items()}
        remedies = {code: reason.remedy for code, reason in reasons.REASONS.items()}
        code = pl.col("code")
        time = pl.when(pl.col("time_ns") == NO_TIME).then(None).otherwise(pl.col("time_ns"))
        return table.select(
            pl.lit(self.file).alias("file"),
            pl.col("row"),
            code.replace_strict(names, return_dtype=pl.String).alias("reason"),
            time.alias("time_ns"),
            pl.col("raw"),
            code.replace_strict(remedies, return_dtype=pl.String).alias("remedy"),
        )
