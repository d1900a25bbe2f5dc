"""The compiled kernels of a feature set, and history folded through them in chunks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.catalogue import TICK_CLOCK
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.feeding import NO_DAY, NO_ROOM
from realtime.kernels.layout import BAR, QUOTE, TICK


@dataclass(frozen=True, kw_only=True)
class FusedFeatures:
    """The compiled kernels of a feature set.

    The arguments of `step`: `state` is the record ``state()[0]``, `tick` a TICK of the own symbol
    (a BAR where bars are fed), `days` the DAY table and `day_row` its row in force, `quotes` the
    QUOTE rows of all symbols, this tick's already in, `out` a (columns,) array of floats. The
    result is the sum of the bits of the clocks that finished a bar, 0 if the tick was refused.

    Attributes:
        module_name: importable name of the generated module, for kernels that call it.
        columns: what a row holds, in order.
        feed: ``"tick"``, or the clock whose finished bars are fed.
        state_dtype: dtype of the state.
        clock_bits: bit of each clock in the result of a step.
        step: ``features_step(state, tick, days, day_row, quotes, out) -> bits``, or
            ``features_bar_step``, the same with a BAR; for callers that are kernels.
        live_step: the same with (1,) arrays for state and tick: a call from Python takes a few
            microseconds, where a record takes thirty.
        close_step: ``features_close_step(state, time_ns, quotes, out) -> bits``: finish bars by
            the clock alone, when no tick arrives.
        fold: ``features_fold(state, ticks, symbol, days, first_day, last_day, quotes, emit, out,
            times_ns) -> rows`` over ticks of all symbols; with bars, ``bars, symbols`` in the
            place of `ticks`. `state` is the (1,) array, `emit` the bits of which one must be set
            for a row to be written, `out` (rows, columns) and `times_ns` (rows,) take the rows:
            one a tick at most. `NO_DAY` and `NO_ROOM` are refusals. See `history`.
    """

    module_name: str
    columns: tuple[str, ...]
    feed: str
    state_dtype: np.dtype[Any]
    clock_bits: MappingProxyType[str, int]
    step: Callable[..., int]
    live_step: Callable[..., int]
    close_step: Callable[..., int]
    fold: Callable[..., int]

    def state(self) -> NDArray[np.void]:
        """Return a fresh state: a (1,) array, all zeros, copied by its bytes."""
        return np.zeros(1, self.state_dtype)

    def history(
        self,
        feed: NDArray[np.void],
        days: NDArray[np.void],
        *,
        clock: str,
        state: NDArray[np.void] | None = None,
        symbols: NDArray[np.int64] | None = None,
        symbol: int = 0,
        quotes: NDArray[np.void] | None = None,
        chunk: int = 65_536,
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.float64]]]:
        """Fold history and yield its rows chunk by chunk, whatever its length.

        Args:
            feed: (n,) TICK of all symbols in order of time, or (n,) BAR in order of their ends.
            days: DAY rows of the own symbol's calendar.
            clock: a row is yielded for each of its ticks or finished bars.
            state: (1,) array, advanced in place; fresh if not given.
            symbols: (n,) symbol row of each bar; all the own one if not given. Ticks have it.
            symbol: row of the own symbol.
            quotes: QUOTE rows of all symbols, advanced in place; made if not given.
            chunk: ticks or bars folded at once: memory, never a bit of the result.

        Yields:
            ``(times_ns, rows)``: when each row was known, and (k, columns) features. Both are
            views of buffers that the next chunk overwrites.

        Raises:
            FeatureError: no feature is on that clock, the records are of the wrong kind, or one
                lies outside of the calendar.
        """
        if clock not in self.clock_bits:
            msg = f"no feature is on the clock {clock!r}, only on {', '.join(self.clock_bits)}"
            raise FeatureError(msg)
        wanted = TICK if self.feed == TICK_CLOCK else BAR
        if feed.dtype != wanted:
            msg = f"{self.feed} features take records of {wanted.names}, not {feed.dtype}"
            raise FeatureError(msg)
        state = self.state() if state is None else state
        rows = feed["symbol"] if wanted is TICK else symbols
        if rows is None:
            rows = np.full(len(feed), symbol, np.int64)
        if quotes is None:
            quotes = np.zeros(max(symbol, int(rows.max(initial=0))) + 1, QUOTE)
        times_ns = np.zeros(min(chunk, len(feed)), np.int64)
        out = np.zeros((len(times_ns), len(self.columns)))
        emit = self.clock_bits[clock]
        for start in range(0, len(feed), chunk):
            part = feed[start : start + chunk]
            fed = (part,) if wanted is TICK else (part, rows[start : start + chunk])
            count = self.fold(state, *fed, symbol, days, 0, len(days), quotes, emit, out, times_ns)
            if count in (NO_DAY, NO_ROOM):
                msg = f"{len(days)} days of calendar do not cover all of records {start} and on"
                raise FeatureError(msg)
            yield times_ns[:count], out[:count]
