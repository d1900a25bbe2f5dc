"""A first look at all times of a source: timeframe, order, and where the trading weeks close."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from realtime.history.raw import Raw
from realtime.history.times import EARLIEST_NS, LATEST_NS

HOUR_NS = 3_600_000_000_000
_WEEKEND_GAP_NS = (36 * HOUR_NS, 100 * HOUR_NS)
_SAMPLE = 4096


@dataclass(kw_only=True)
class Scan:
    """What the times of a source show.

    Attributes:
        rows: rows in the source.
        week_ends_ns: wall time of the last row before each weekend-long silence.
        week_starts_ns: wall time of the first row after it.
        hours: wall hours (since 1970) that hold rows.
        steps: how often each step between neighbouring rows occurs, from the first rows.
        displaced: rows in blocks that are earlier than what was reached before them.
        prices: sample of prices, to see the price grid.
    """

    rows: int = 0
    week_ends_ns: list[int] = field(default_factory=list[int])
    week_starts_ns: list[int] = field(default_factory=list[int])
    hours: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    steps: dict[int, int] = field(default_factory=dict[int, int])
    displaced: int = 0
    prices: list[NDArray[np.float64]] = field(default_factory=list[NDArray[np.float64]])
    _last: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))
    _reached: int = 0

    def add(self, rows: Raw) -> None:
        """Take in the next rows."""
        self.rows += len(rows)
        usable = (rows.reason == 0) & (rows.wall_ns >= EARLIEST_NS) & (rows.wall_ns < LATEST_NS)
        times = rows.wall_ns[usable] if not usable.all() else rows.wall_ns
        if len(times) == 0:
            return
        self._sample_prices(rows, usable)
        self._add_times(times)

    def _sample_prices(self, rows: Raw, usable: NDArray[np.bool_]) -> None:
        if len(self.prices) >= 16:
            return
        for name in ("bid", "open", "close", "last"):
            if name in rows.columns:
                values = rows.columns[name][usable]
                stride = max(1, len(values) // _SAMPLE)
                self.prices.append(values[::stride][:_SAMPLE])

    def _add_times(self, times: NDArray[np.int64]) -> None:
        joined = np.concatenate([self._last, times])
        step = np.diff(joined)
        weekend = (step >= _WEEKEND_GAP_NS[0]) & (step <= _WEEKEND_GAP_NS[1])
        self.week_ends_ns += joined[:-1][weekend].tolist()
        self.week_starts_ns += joined[1:][weekend].tolist()
        hours = times // HOUR_NS
        hours = hours[np.flatnonzero(np.diff(hours, prepend=hours[0] - 1))]
        self.hours = np.unique(np.concatenate([self.hours, hours]))
        if sum(self.steps.values()) < 200_000:
            sizes, counts = np.unique(np.abs(step[step != 0]), return_counts=True)
            for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
                self.steps[size] = self.steps.get(size, 0) + count
        if len(step) and int(step.min()) < 0:
            settled = np.minimum(joined[:-1], joined[1:])
            reached = np.maximum.accumulate(np.maximum(settled, self._reached))
            behind = joined[1:] < reached
            # One row behind the others is an outlier; rows in sequence behind are a block.
            self.displaced += int((behind[1:] & behind[:-1]).sum())
            self._reached = int(reached[-1])
        elif len(joined) > 1:
            self._reached = max(self._reached, int(joined[-2]))
        self._last = times[-1:].copy()


def scan_of(chunks: Iterable[Raw]) -> Scan:
    """Look through all rows once."""
    scan = Scan()
    for rows in chunks:
        scan.add(rows)
    return scan


def digits_of(scan: Scan) -> int:
    """Return the fewest decimals (0 to 8) that write 99% of the sampled prices; -1 if none do."""
    if not scan.prices:
        return -1
    values = np.concatenate(scan.prices)
    values = values[np.isfinite(values) & (values > 0) & (values < 1e9)]
    if len(values) == 0:
        return -1
    for digits in range(9):
        scaled = values * 10.0**digits
        if np.mean(np.abs(scaled - np.rint(scaled)) < 1e-7 + 1e-14 * scaled) >= 0.99:
            return digits
    return -1
