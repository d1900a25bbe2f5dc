"""One import: an opened source, its clock and timeframe found, read through the checks."""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.build import bars_of, in_utc, ticks_of, tidy
from realtime.history.errors import NothingUsable, RowsUnsorted, SymbolUnknown
from realtime.history.market import (
    Market,
    are_different,
    checked_symbol,
    currencies_of,
    market_of,
    symbol_in_name,
)
from realtime.history.quality import Checker, Checks
from realtime.history.raw import MOVED, Kind, Raw, Source, concatenate, take
from realtime.history.report import Report
from realtime.history.scan import Scan, digits_of
from realtime.history.tally import Tally
from realtime.history.timeframe import (
    found_timeframe,
    on_grid,
    timeframe_in_name,
    timeframe_name,
    timeframe_ns,
)
from realtime.history.zones import Clock, ZoneFinding, checked_zone, confirm_zone, detect_zone

#: Noted of bars whose source has none; a backtest assumes one and says so itself.
NO_SPREADS = "no spreads in the source: give assumed_spread to trade on these bars"
_CACHED_ROWS = 3_000_000
_MOST_SORTED_ROWS = 30_000_000
#: Above this share of rows out of order the file is sorted; below it they are quarantined.
_UNSORTED_SHARE = 0.01
_SORTED_CHUNK = 1 << 18


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """What the user says about the rows of a source.

    Attributes:
        symbol: None = from the content or the file's name.
        zone: None = as the file says, or found.
        point: size of a point; 0 = found.
        timeframe: of bars; None = found.
        checks: how strict the checks are.
        check_zone: refuse a zone that the trading weeks clearly contradict.
        assumed_spread: price units, for bars of a source without spreads; None = stays absent.
        opened_with: what else was said when the source was opened, to know an import again.
    """

    symbol: str | None = None
    zone: str | None = None
    point: float = 0.0
    timeframe: str | None = None
    checks: Checks
    check_zone: bool = True
    assumed_spread: float | None = None
    opened_with: tuple[object, ...] = ()


class Import:
    """An opened source: iterate for checked arrays of bounded size, then ask for the report.

    Memory stays bounded for files of any length, except that a file whose rows are out of order
    is sorted in memory (up to 30 million rows).
    """

    def __init__(self, source: Source, wishes: Wishes) -> None:
        self.source = source
        self.file = source.file
        self.kind: Kind = source.kind
        self.symbol = _symbol_of(source, wishes.symbol)
        checks = wishes.checks
        market = market_of(self.symbol) if checks.market is None else checks.market
        self._market: Market = market
        pair = currencies_of(self.symbol)
        if checks.gap_minutes is None and pair is not None and pair[0][0] != "X":
            checks = replace(checks, gap_minutes=15.0)
        self._checks = checks
        self._cache: deque[Raw] = deque()
        self._scan = self._look_through()
        self.digits = digits_of(self._scan)
        if self.digits >= 0:  # text shows decimals that happen to be zero everywhere
            self.digits = max(self.digits, source.digits)
        self._point = wishes.point or source.point
        self._assumed_spread = wishes.assumed_spread
        self._opened_with = wishes.opened_with
        self.timeframe_ns = self._find_timeframe(wishes.timeframe)
        self.clock = self._find_zone(wishes.zone, check=wishes.check_zone)
        self._tally = Tally(source.file)
        self._done = False

    @property
    def timeframe(self) -> str:
        """Name of the bars' timeframe, empty for ticks."""
        return timeframe_name(self.timeframe_ns) if self.kind == "bars" else ""

    def _look_through(self) -> Scan:
        scan = Scan()
        caching = True
        for rows in self.source.chunks():
            scan.add(rows)
            if caching:
                self._cache.append(rows)
            if caching and scan.rows > _CACHED_ROWS:
                caching = False
                self._cache.clear()
        return scan

    def _find_timeframe(self, given: str | None) -> int:
        if self.kind == "ticks":
            return 0
        if given is not None:
            return timeframe_ns(given, self.file)
        if self.source.timeframe_ns:
            return self.source.timeframe_ns
        named = timeframe_in_name(Path(self.file).stem)
        if not self._scan.steps and named is not None:
            return timeframe_ns(named, self.file)
        return found_timeframe(self._scan.steps, self.file)

    def _find_zone(self, given: str | None, *, check: bool) -> ZoneFinding:
        check = check and self._market == "fx"
        for zone, how in ((given, "given"), (self.source.zone, "stated")):
            if zone is not None:
                return confirm_zone(
                    checked_zone(zone, self.file),
                    how,
                    self._scan,
                    self.timeframe_ns,
                    file=self.file,
                    check=check,
                )
        hint = self.source.zone_hint
        if self._market == "always":
            hint = "; ".join(filter(None, [hint, "it trades at weekends, so weeks do not close"]))
        return detect_zone(self._scan, self.timeframe_ns, file=self.file, hint=hint)

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        """Yield checked `layout.TICK` or `layout.BAR` arrays in order of time.

        Raises:
            HistoryError: the file fails while being read, or no row at all is usable.
        """
        checker = Checker(
            self.kind, self._market, self._checks, self.timeframe_ns, self._grid(), self._tally
        )
        unit = self._spread_unit()
        waiting: Raw | None = None
        for rows in self._chunks_in_utc():
            ready = tidy(rows, self.kind, self.digits, unit, self._assumed_spread)
            if waiting is not None:
                yield from self._finished(checker.push(waiting, final=False))
            waiting = ready
        if waiting is not None:
            yield from self._finished(checker.push(waiting, final=True))
        self._done = True
        if self._tally.kept == 0:
            raise self._nothing_usable()

    def _finished(self, rows: Raw) -> Iterator[NDArray[np.void]]:
        if len(rows) == 0:
            return
        if self.kind == "ticks":
            yield ticks_of(rows, self._tally.kept - len(rows))
            return
        off = ~on_grid(rows.wall_ns, self.timeframe_ns)
        self._tally.note(reasons.OFF_GRID_TIME, int(off.sum()))
        yield bars_of(rows, self.timeframe_ns, self.clock.zone)

    def _grid(self) -> float:
        if self._checks.tick_size is not None:
            return self._checks.tick_size
        return 10.0**-self.digits if self.digits >= 0 else 0.0

    def _spread_unit(self) -> float:
        if not self.source.spread_in_points:
            return 1.0
        point = self._point or (10.0**-self.digits if self.digits >= 0 else 0.0)
        return point or float("nan")

    def _chunks(self) -> Iterator[Raw]:
        if not self._cache:
            yield from self.source.chunks()
        while self._cache:
            yield self._cache.popleft()

    def _chunks_in_utc(self) -> Iterator[Raw]:
        clock = Clock(self.clock.zone)
        now_ns = self._checks.now_ns
        if self._scan.displaced <= _UNSORTED_SHARE * self._scan.rows:
            for rows in self._chunks():
                yield in_utc(rows, clock, now_ns)
            return
        if self._scan.rows > _MOST_SORTED_ROWS:
            what = f"{self._scan.displaced:,} of {self._scan.rows:,} rows are out of order"
            remedy = "Sort the file by time, or cut it into files of at most 30 million rows."
            raise RowsUnsorted(what, file=self.file, remedy=remedy)
        whole = concatenate(list(self._chunks()))
        if self._scan.displaced > self._scan.rows / 2:  # newest first: the clock runs backwards
            whole = take(whole, np.arange(len(whole))[::-1])
            whole = replace(whole, repaired=whole.repaired | MOVED)
        yield from _in_order(in_utc(whole, clock, now_ns))

    def _nothing_usable(self) -> NothingUsable:
        counts = self._tally.counts(reasons.UNREADABLE, reasons.UNFINISHED)
        said = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        worst = max(counts, key=lambda name: counts[name], default="")
        codes = {reason.name: reason for reason in reasons.REASONS.values()}
        examples = self._tally.examples().get(worst, ("",))
        remedy = codes[worst].remedy.capitalize() + "." if worst else "Check the file."
        what = f"no usable row among {self._tally.read:,} ({said}; {examples[0]})"
        return NothingUsable(what, file=self.file, remedy=remedy)

    def report(self) -> Report:
        """Return what became of every row; complete once the iteration is over."""
        tally = self._tally
        notes = list(self.source.notes)
        named = symbol_in_name(Path(self.file).name)
        if named is not None and are_different(named, self.symbol):
            notes.append(f"the file's name says {named}, read as {self.symbol}: check that")
        if not self._done:
            notes.append("the import was not finished")
        if self.source.price_only:
            notes.append("no bid or ask in the source: the price stands for both")
        if self.kind == "bars" and tally.kept and tally.spread_stats() is None:
            notes.append(NO_SPREADS)
        if self.kind == "bars" and self._assumed_spread is not None:
            notes.append(f"where the source has no spread {self._assumed_spread:g} is assumed")
        if not self._market:
            notes.append(f"it is not known when {self.symbol} trades: weekends were not checked")
        return Report(
            file=self.file,
            format=self.source.format,
            kind=self.kind,
            symbol=self.symbol,
            timeframe=self.timeframe,
            zone=self.clock.zone,
            zone_how=self.clock.how,
            zone_confidence=self.clock.confidence,
            zone_evidence=self.clock.evidence,
            rows_read=tally.read,
            rows_kept=tally.kept,
            quarantined=tally.counts(reasons.UNREADABLE, reasons.UNFINISHED),
            dropped=tally.counts(reasons.DUPLICATE, reasons.DUPLICATE),
            repaired=tally.counts(reasons.FILLED_FORWARD, reasons.AMBIGUOUS_HOUR),
            noted=tally.counts(reasons.ZERO_SPREAD, reasons.OFF_GRID_TIME),
            examples=tally.examples(),
            first_ns=tally.first_ns,
            last_ns=tally.last_ns,
            digits=self.digits,
            spread=tally.spread_stats(),
            gap_count=tally.gap_count,
            gap_seconds=tally.gap_seconds,
            gaps=tally.gaps(),
            notes=tuple(notes),
        )

    def quarantine(self) -> pl.DataFrame:
        """Return the rows kept out; write it with `write_parquet`."""
        return self._tally.quarantine()

    def identity(self) -> tuple[object, ...]:
        """Return everything besides the bytes that shapes the rows, to know an import again."""
        return (
            *(self.kind, self.symbol, self.source.format, self.timeframe_ns, self.clock.zone),
            *(self._point, self.digits, self._checks, self._assumed_spread),
            *self._opened_with,
        )

    def expected_rows(self) -> int:
        """Return how many rows the source has: no more than these will be kept."""
        return self._scan.rows


def _in_order(rows: Raw) -> Iterator[Raw]:
    order = np.argsort(rows.time_ns, kind="stable")
    moved = np.where(order != np.arange(len(order)), MOVED, 0)
    for start in range(0, len(order), _SORTED_CHUNK):
        part = take(rows, order[start : start + _SORTED_CHUNK])
        yield replace(part, repaired=part.repaired | moved[start : start + _SORTED_CHUNK])


def _symbol_of(source: Source, given: str | None) -> str:
    found = given or source.symbol or symbol_in_name(Path(source.file).name)
    if found is None:
        remedy = "Give symbol= (--symbol), for example 'EURUSD'."
        msg = "its symbol is not known"
        raise SymbolUnknown(msg, file=source.file, remedy=remedy)
    if source.symbol is not None and are_different(source.symbol, found):
        remedy = f"Ask for {source.symbol}, or give the file of {found}."
        msg = f"it holds {source.symbol}, not {found}"
        raise SymbolUnknown(msg, file=source.file, remedy=remedy)
    return checked_symbol(found, source.file)
