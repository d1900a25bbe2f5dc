"""The market of a backtest: files read, checked and put in one order of time."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ml.backtest.request import BacktestError, Request
from ml.backtest.run import DataSource, Finding
from realtime.history.importing import NO_SPREADS
from realtime.history.read import read_any
from realtime.history.report import Report
from realtime.kernels.layout import TICK
from realtime.symbols import Symbol


@dataclass(frozen=True, kw_only=True)
class Market:
    """Everything the engine is fed.

    Attributes:
        rows: TICK or BAR rows of all symbols in order of time (of bars: their end).
        symbols: (n,) row of each bar's symbol; for ticks the same as their own field.
        timeframe: ``"tick"``, or the bars' as a clock, e.g. ``"m5"``.
        sources: what was read, for the report.
    """

    rows: NDArray[np.void]
    symbols: NDArray[np.int64]
    timeframe: str
    sources: tuple[DataSource, ...]

    @property
    def of_ticks(self) -> bool:
        """Whether the rows are ticks."""
        return self.timeframe == "tick"

    @property
    def start_ns(self) -> int:
        """Time of the first row."""
        return int(self.rows["time_ns" if self.of_ticks else "open_ns"].min())

    @property
    def end_ns(self) -> int:
        """Time of the last row."""
        return int(self.rows["time_ns" if self.of_ticks else "end_ns"].max())


def read_market(request: Request, specifications: Sequence[Symbol]) -> Market:
    """Read the files of a request.

    Raises:
        HistoryError: a file cannot be read; the message says what to do.
        BacktestError: the files do not go together.
    """
    parts: list[NDArray[np.void]] = []
    sources: list[DataSource] = []
    frames: list[str] = []
    for file, symbol in zip(request.files, specifications, strict=True):
        imported = read_any(
            file,
            symbol.name,
            zone=request.zone,
            format=request.format,
            date_order=request.date_order,
        )
        findings: list[Finding] = []
        rows = imported.rows
        if rows.dtype != TICK:
            rows, findings = with_spread(rows, symbol, request)
        parts.append(rows)
        frames.append(imported.timeframe.lower() or "tick")
        sources.append(described(file, imported.report, findings))
    if len(set(frames)) != 1:
        pairs = ", ".join(f"{s.file}: {f}" for s, f in zip(sources, frames, strict=True))
        msg = f"the files must all be ticks, or bars of one timeframe; they are {pairs}"
        raise BacktestError(msg)
    return _merged(parts, frames[0], tuple(sources))


def _merged(
    parts: Sequence[NDArray[np.void]], timeframe: str, sources: tuple[DataSource, ...]
) -> Market:
    symbols = np.repeat(np.arange(len(parts)), [len(part) for part in parts]).astype(np.int64)
    rows = np.concatenate(parts) if len(parts) > 1 else parts[0]
    time = "time_ns" if timeframe == "tick" else "end_ns"
    if len(parts) > 1:
        order = np.argsort(rows[time], kind="stable")  # at the same time: in the order given
        rows, symbols = rows[order], symbols[order]
    if timeframe == "tick":
        rows["symbol"] = symbols
    return Market(rows=rows, symbols=symbols, timeframe=timeframe, sources=sources)


def with_spread(
    bars: NDArray[np.void], symbol: Symbol, request: Request
) -> tuple[NDArray[np.void], list[Finding]]:
    """Give every bar a spread to pay, and turn bars of the ask into bars of the bid.

    A feed without spreads would trade for free; the symbol's typical spread stands in, and the
    report says for how many bars.
    """
    points = request.spread_points
    assumed = symbol.typical_spread_points if points is None else points
    missing = ~(bars["spread_mean"] > 0.0)
    findings: list[Finding] = []
    if missing.any():
        bars["spread_mean"][missing] = assumed * symbol.point
        bars["spread_max"][missing] = assumed * symbol.point
        findings.append(
            Finding(
                reason="no spread in the data",
                rows=int(missing.sum()),
                action="assumed",
                detail=f"{assumed:g} points; set --spread-points to what you pay",
            )
        )
    if request.ask_bars:
        for price in ("open", "high", "low", "close"):
            bars[price] -= bars["spread_mean"]
        findings.append(
            Finding(
                reason="bars of the ask",
                rows=len(bars),
                action="repaired",
                detail="bid = ask - spread",
            )
        )
    return bars, findings


def described(file: Path, report: Report, more: Sequence[Finding]) -> DataSource:
    """Return an import's report as the backtest's report shows it."""
    findings = [
        Finding(
            reason=reason,
            rows=rows,
            action=action,
            detail="; ".join(report.examples.get(reason, ())[:1]),
        )
        for action, counts in (
            ("quarantined", report.quarantined),
            ("dropped", report.dropped),
            ("repaired", report.repaired),
            ("kept", report.noted),
        )
        for reason, rows in counts.items()
    ]
    notes = [
        Finding(reason=note, rows=report.rows_kept, action="noted")
        for note in report.notes
        if note != NO_SPREADS
    ]
    return DataSource(
        file=file.name,
        format=f"{report.format} ({report.kind})",
        zone=f"{report.zone}, {report.zone_how}",
        rows_read=report.rows_read,
        rows_kept=report.rows_kept,
        rows_repaired=sum(report.repaired.values()),
        rows_quarantined=report.rows_quarantined,
        first_ns=report.first_ns,
        last_ns=report.last_ns,
        findings=(*findings, *notes, *more),
    )
