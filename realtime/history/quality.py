"""The checks that every row passes before anything trades on it.

Each row is kept, or quarantined with one reason (the first that applies), or dropped as a repeat;
nothing else can happen to it. Rows are judged with up to `HOLD` rows ahead in view, so the result
does not depend on how a file was cut into chunks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.market import Market
from realtime.history.order import backwards
from realtime.history.raw import Kind, Raw, concatenate, detach, take
from realtime.history.report import Gap
from realtime.history.spikes import BEFORE, spikes
from realtime.history.tally import Tally
from realtime.history.zones import closed_windows

HOLD = 1000
_GAP_MINUTES = 65.0  # longer than the daily break of metals and indices
_MINUTE_NS = 60_000_000_000
_NO_FLOOR = np.iinfo(np.int64).min
_SPIKE_FRACTION = {"ticks": 0.002, "bars": 0.2}
_SPIKE_COLUMNS: dict[str, tuple[str, ...]] = {
    "ticks": ("bid", "ask"),
    "bars": ("high", "low", "close"),
}


@dataclass(frozen=True, kw_only=True)
class Checks:
    """How strict the checks are; the defaults suit currencies, metals and coins.

    Attributes:
        market: ``"fx"`` (closed at weekends), ``"always"``; None = from the symbol's name.
        spike_fraction: smallest jump, as a fraction of the price, that can be a bad print; None =
            0.002 for ticks and 0.2 for bars; 0 keeps them all.
        spike_deviations: and in median absolute changes of the rows around.
        weekend_grace_minutes: rows this close to the weekend's ends are kept.
        gap_minutes: a longer silence while the market is open is reported; None = 15 for currency
            pairs, 65 for what has a daily break.
        tick_size: price grid; None = found from the prices.
        now_ns: later rows are quarantined; None = no limit but the year 2100.
    """

    market: Market | None = None
    spike_fraction: float | None = None
    spike_deviations: float = 50.0
    weekend_grace_minutes: float = 5.0
    gap_minutes: float | None = None
    tick_size: float | None = None
    now_ns: int | None = None


class Checker:
    """Judges the rows of one source, chunk by chunk."""

    def __init__(
        self, kind: Kind, market: Market, checks: Checks, step_ns: int, grid: float, tally: Tally
    ) -> None:
        self._kind: Kind = kind
        self._market: Market = market
        self._checks = checks
        self._step_ns = step_ns
        self._grid = grid
        self._tally = tally
        self._pending: list[Raw] = []
        self._floor_ns = _NO_FLOOR
        self._last: Raw | None = None
        self._context: dict[str, NDArray[np.float64]] = {}

    def push(self, rows: Raw, *, final: bool) -> Raw:
        """Judge the next rows.

        Args:
            rows: with times in UTC; unreadable ones carry their reason.
            final: no more will come: settle everything.

        Returns:
            The rows kept, as far as they could be settled.
        """
        work = concatenate([*self._pending, rows])
        with np.errstate(over="ignore", invalid="ignore"):  # absurd prices are judged, not fatal
            reason = self._judge(work)
        settled = len(work) if final else max(0, len(work) - HOLD)
        # Detached, because a view would keep its whole block of the file in memory.
        self._pending = [] if final else [detach(take(work, slice(settled, None)))]
        head, reason = take(work, slice(0, settled)), reason[:settled]
        self._tally.settle(head, reason)
        good = np.flatnonzero(reason == 0)
        kept = head if len(good) == len(head) else take(head, good)
        self._remember(kept)
        return kept

    def _judge(self, work: Raw) -> NDArray[np.int64]:
        reason = work.reason.copy()
        if self._kind == "ticks":
            _check_ticks(work.columns, reason)
        else:
            _check_bars(work.columns, reason)
        self._check_week(work.time_ns, reason)
        self._each(work, reason, self._check_order)
        self._each(work, reason, self._check_repeats)
        self._each(work, reason, self._check_spikes)
        return reason

    def _each(
        self, work: Raw, reason: NDArray[np.int64], check: Callable[[Raw], NDArray[np.int64]]
    ) -> None:
        good = np.flatnonzero(reason == 0)
        if len(good):
            found = check(work if len(good) == len(work) else take(work, good))
            if found.any():
                reason[good] = found

    def _check_week(self, time_ns: NDArray[np.int64], reason: NDArray[np.int64]) -> None:
        good = np.flatnonzero(reason == 0)
        if self._market != "fx" or len(good) == 0:
            return
        opens = time_ns[good]
        first, last = int(opens.min()), int(opens.max())
        grace = int(self._checks.weekend_grace_minutes * _MINUTE_NS)
        edges = (closed_windows(first, last) + np.array([grace, -grace])).reshape(-1)
        length = max(self._step_ns - 1, 0)
        at = int(np.searchsorted(edges, first, "right"))
        if at == np.searchsorted(edges, last + length, "right"):
            inside = np.full(len(opens), at % 2 == 1)
        else:
            # A bar is at a weekend if all of it is.
            starts = np.searchsorted(edges, opens, "right")
            inside = (starts % 2 == 1) & (starts == np.searchsorted(edges, opens + length, "right"))
        reason[good[inside]] = reasons.WEEKEND

    def _check_order(self, rows: Raw) -> NDArray[np.int64]:
        return np.where(backwards(rows.time_ns, self._floor_ns), reasons.BACKWARDS, 0)

    def _check_repeats(self, rows: Raw) -> NDArray[np.int64]:
        found = np.zeros(len(rows), np.int64)
        times = rows.time_ns
        before = self._last
        if before is not None and int(times[0]) == int(before.time_ns[0]):
            joined = concatenate([before, rows])
        else:
            joined, before = rows, None
        start = 0 if before is None else 1
        same = np.flatnonzero(joined.time_ns[1:] == joined.time_ns[:-1]) + 1
        if len(same) == 0:
            return found
        other = same - 1
        if self._kind == "bars":  # compare with the bar that is kept: the first of that time
            other = np.searchsorted(joined.time_ns, joined.time_ns[same], side="left")
        equal = np.ones(len(same), np.bool_)
        for values in joined.columns.values():
            a, b = values[same], values[other]
            equal &= (a == b) | (np.isnan(a) & np.isnan(b))
        found[same[equal] - start] = reasons.DUPLICATE
        if self._kind == "bars":
            found[same[~equal] - start] = reasons.DUPLICATE_TIME
        return found

    def _check_spikes(self, rows: Raw) -> NDArray[np.int64]:
        fraction = self._checks.spike_fraction
        fraction = _SPIKE_FRACTION[self._kind] if fraction is None else fraction
        marked = np.zeros(len(rows), np.bool_)
        for name in _SPIKE_COLUMNS[self._kind]:
            context = self._context.get(name, np.empty(0))
            marked |= spikes(rows.columns[name], context, fraction, self._checks.spike_deviations)
        return np.where(marked, reasons.SPIKE, 0)

    def _remember(self, kept: Raw) -> None:
        """Carry what the next rows are judged against, and note what is odd about these."""
        self._tally.keep(kept.time_ns)
        if len(kept) == 0:
            return
        self._find_gaps(kept.time_ns)
        self._note_oddities(kept)
        self._floor_ns = int(kept.time_ns[-1])
        self._last = detach(take(kept, slice(len(kept) - 1, None)))
        for name in _SPIKE_COLUMNS[self._kind]:
            joined = np.concatenate([self._context.get(name, np.empty(0)), kept.columns[name]])
            self._context[name] = joined[-BEFORE:].copy()

    def _find_gaps(self, times_ns: NDArray[np.int64]) -> None:
        minutes = self._checks.gap_minutes
        minutes = _GAP_MINUTES if minutes is None else minutes
        limit = max(int(minutes * _MINUTE_NS), self._step_ns // 2)
        known = [] if self._floor_ns == _NO_FLOOR else [self._floor_ns]
        joined = np.concatenate([np.array(known, np.int64), times_ns])
        silent = np.diff(joined) - self._step_ns
        for at in np.flatnonzero(silent > limit).tolist():
            start, end = int(joined[at]) + self._step_ns, int(joined[at + 1])
            open_ns = end - start - self._closed_ns(start, end)
            if open_ns > limit:
                self._tally.gap(Gap(int(joined[at]), end, open_ns / 1e9))

    def _closed_ns(self, start: int, end: int) -> int:
        if self._market != "fx":
            return 0
        windows = closed_windows(start, end)
        inside = np.minimum(windows[:, 1], end) - np.maximum(windows[:, 0], start)
        return int(np.maximum(inside, 0).sum())

    def _note_oddities(self, kept: Raw) -> None:
        columns = kept.columns
        if self._kind == "ticks":
            spread = columns["ask"] - columns["bid"]
            self._tally.note(reasons.ZERO_SPREAD, int((spread == 0).sum()))
            self._tally.spread(spread)
        elif "spread" in columns:
            self._tally.note(reasons.ZERO_SPREAD, int((columns["spread"] == 0).sum()))
            self._tally.spread(columns["spread"])
        if self._grid > 0:
            off = np.zeros(len(kept), np.bool_)
            for name in ("bid", "ask") if self._kind == "ticks" else ("open", "close"):
                units = columns[name] / self._grid
                off |= np.abs(units - np.rint(units)) > 1e-3
            self._tally.note(reasons.OFF_GRID_PRICE, int(off.sum()))


def _mark(reason: NDArray[np.int64], where: NDArray[np.bool_], code: int) -> None:
    reason[where & (reason == 0)] = code


def _check_ticks(columns: Mapping[str, NDArray[np.float64]], reason: NDArray[np.int64]) -> None:
    bid, ask = columns["bid"], columns["ask"]
    fine = (bid > 0) & (ask >= bid) & (ask < np.inf)
    if not fine.all():
        _mark(reason, ~(np.isfinite(bid) & np.isfinite(ask)), reasons.NOT_A_NUMBER)
        _mark(reason, (bid <= 0) | (ask <= 0), reasons.NON_POSITIVE)
        _mark(reason, ask < bid, reasons.CROSSED)
    _check_extras(columns, reason, ("last", "volume", "flags"))


def _check_extras(
    columns: Mapping[str, NDArray[np.float64]], reason: NDArray[np.int64], names: tuple[str, ...]
) -> None:
    """Check what may be absent (NaN): never infinite, and no volume below zero."""
    for name in names:
        if name in columns:
            _mark(reason, np.isinf(columns[name]), reasons.NOT_A_NUMBER)
    for name in ("volume", "ticks"):
        if name in columns:
            _mark(reason, columns[name] < 0, reasons.NEGATIVE_VOLUME)


def _check_bars(columns: Mapping[str, NDArray[np.float64]], reason: NDArray[np.int64]) -> None:
    names = ("open", "high", "low", "close")
    prices = [columns[name] for name in names]
    first, high, low, last = prices
    for price in prices:
        _mark(reason, ~np.isfinite(price), reasons.NOT_A_NUMBER)
    for price in prices:
        _mark(reason, price <= 0, reasons.NON_POSITIVE)
    top, bottom = np.maximum(first, last), np.minimum(first, last)
    _mark(reason, (high < top) | (low > bottom), reasons.INCONSISTENT_OHLC)
    for name in ("spread", "spread_max"):
        if name in columns:
            _mark(reason, columns[name] < 0, reasons.CROSSED)
    _check_extras(columns, reason, ("spread", "spread_max", "volume", "ticks"))
