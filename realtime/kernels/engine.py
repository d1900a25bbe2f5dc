"""The engine: one account, many symbols, from ticks to orders, fills, positions and equity.

`Engine` composes the kernels for the features and rules chosen and compiles the composition once:
``engine_step`` for live and replay, ``engine_fold`` over history, which is the backtester. Both are
generated, because which features exist decides what is called; what they call is not.

Order of events on a tick: the broker acts (orders that arrived, rollover, new quote, stop-out,
SL/TP, pending orders), loss limits are checked, features see the tick, and if the deciding clock
finished a bar, the rule or model is asked, the decision taken and limited, the order sent; an order
without latency fills on this same tick.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.bar_quotes import CLOSE
from realtime.kernels.engine_source import Part, engine_source
from realtime.kernels.features.catalogue import TICK_CLOCK
from realtime.kernels.features.feature_set import FeatureSet, FusedFeatures
from realtime.kernels.jit import generated_module
from realtime.kernels.layout import BAR, DECISION, DESK, EQUITY, FILL, ORDER, SIGNAL, TAPE, TICK
from realtime.kernels.tape import (
    NO_ROOM,
    NO_SYMBOL,
    ORDERS_FIRST,
    RUN_END,
    RUN_NO_ROOM,
    RUN_NO_SYMBOL,
    RUN_TOLD,
)
from realtime.kernels.written_rows import WrittenRows

_known_dtypes: dict[np.dtype[Any], np.dtype[Any]] = {}
SENT = 2
DECIDED = 4
_NOT_LIVE = "a live engine is fed ticks: choose FeatureSet(feed='tick')"
_TABLES = {"orders": ORDER, "fills": FILL, "decisions": DECISION, "samples": EQUITY}
_COUNTS = {name: f"n_{name}" for name in _TABLES}  # on the tape


class EngineError(ValueError):
    """An engine was put together or fed wrongly."""


@dataclass(frozen=True, kw_only=True)
class Rule:
    """Where the signal of a symbol comes from.

    Attributes:
        features: what is computed for the symbol.
        clock: the clock whose finished bars ask for a decision, e.g. ``"m1"``; ``"tick"`` for
            every tick.
        columns: for a crossover, the fast and the slow column; empty if signals are given from
            outside (a model's predictions), one a decision, in order.
        rows: desk rows of the symbols that the features refer to, own first; only needed with
            cross-symbol features.
    """

    features: FeatureSet
    clock: str
    columns: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What an engine wrote down, oldest first."""

    orders: NDArray[np.void]
    fills: NDArray[np.void]
    decisions: NDArray[np.void]
    equity: NDArray[np.void]


class Engine:
    """One account's kernels, their memory and what they wrote down.

    Args:
        desk: DESK record as `assemble_desk` returns it: account, specifications, limits and
            calendars of all symbols. Used in place: it always shows the account as it stands.
        rules: one a symbol, in the order of the desk's rows.
    """

    def __init__(self, desk: np.void, rules: Sequence[Rule]) -> None:
        symbols = int(desk["symbols"])
        if len(rules) != symbols:
            msg = f"{symbols} symbols on the desk need as many rules, got {len(rules)}"
            raise EngineError(msg)
        if len({rule.features.feed == TICK_CLOCK for rule in rules}) != 1:
            msg = "all symbols must be fed alike: either ticks or finished bars"
            raise EngineError(msg)
        for row, rule in enumerate(rules):
            _require_rows(rule, row, symbols)
        fused = [rule.features.compile(rule.rows) for rule in rules]
        self.desk = desk
        self._desks = _array_of(desk)
        self.rules = tuple(rules)
        self._fed_by_ticks = rules[0].features.feed == TICK_CLOCK
        parts = [_part(rule, each) for rule, each in zip(rules, fused, strict=True)]
        module = generated_module("engine", engine_source(parts, self._fed_by_ticks))
        self._fold: Callable[..., int] = module.engine_fold
        self._observe: Callable[..., int] | None = getattr(module, "live_observe", None)
        self._run_live: Callable[..., None] | None = getattr(module, "live_run", None)
        self._place = np.zeros(3, np.int64)
        self._look: Callable[..., int] | None = getattr(module, "live_look", None)
        self._decide: Callable[..., int] | None = getattr(module, "live_decide", None)
        self.memory = _new_memory(fused)
        self._taken = np.zeros(symbols, np.int64)
        self._last_end_ns = -1
        self._no_signals = tuple(np.zeros(0, SIGNAL) for _ in rules)
        self._tape = np.zeros(1, TAPE)
        self._written = {name: WrittenRows(dtype) for name, dtype in _TABLES.items()}

    def observe(self, ticks: NDArray[np.void], i: int = 0) -> bool:
        """Take in one tick, as live does: broker, loss limits, features.

        Args:
            ticks: TICK rows; only row `i` is read.
            i: which row.

        Returns:
            Whether a decision is due. A crossover has then set the symbol's signal itself; for a
            model the caller writes ``desk["signals"][symbol]``. Either way `decide` comes next.
        """
        due = self.take(ticks, i)
        if due == ORDERS_FIRST:
            due = self.look(ticks, i)
        return due > 0

    def take(self, ticks: NDArray[np.void], i: int = 0) -> int:
        """Take in one tick; with a mirrored account, stop before the features if orders were sent.

        Returns:
            1 if a decision is due, 0 if not, as in `observe`. `ORDERS_FIRST` if a stopped account
            is being flattened: the orders are in flight on the desk, and `look` comes next.
        """
        if self._observe is None:
            raise EngineError(_NOT_LIVE)
        due = self._observe(self.memory, self._desks, ticks, i, self._tape)
        if due == NO_ROOM:
            self._empty_tape()
            due = self._observe(self.memory, self._desks, ticks, i, self._tape)
        if due == NO_SYMBOL:
            self._require_symbols(ticks["symbol"][i : i + 1])
        return due

    def run(
        self, ticks: NDArray[np.void], start: int, stop: int, now_ns: int = 0
    ) -> tuple[int, int, int]:
        """Take in ticks until something has to be asked or told outside: live with a backlog.

        Equal to `take` and `decide` tick by tick.

        Args:
            ticks: TICK rows.
            start: first row.
            stop: row after the last.
            now_ns: the moment of all of them, 0 for each one's own time; never before the tick's.

        Returns:
            (row, why, told). Why is RUN_END (row is `stop`), RUN_DUE (features have seen the row:
            a signal, then `decide`), RUN_ORDERS_FIRST (as `take`), or RUN_TOLD (the row is done;
            `told` is what `decide` returns).
        """
        if self._run_live is None:
            raise EngineError(_NOT_LIVE)
        while True:
            self._run_live(
                self.memory, self._desks, ticks, start, stop, now_ns, self._tape, self._place
            )
            row, why, told = self._place.tolist()
            if why == RUN_NO_SYMBOL:
                self._require_symbols(ticks["symbol"][row : row + 1])
            if why == RUN_NO_ROOM or (why == RUN_TOLD and told & 1):
                self._empty_tape()
            if why == RUN_NO_ROOM:
                start = row
            elif why == RUN_TOLD and told & (SENT | DECIDED) == 0:
                start = row + 1
                if start >= stop:
                    return stop, RUN_END, 0
            else:
                return row, why, told & (SENT | DECIDED)

    def look(self, ticks: NDArray[np.void], i: int = 0) -> int:
        """Show a tick to the features after `ORDERS_FIRST`; 1 if a decision is due, else 0."""
        if self._look is None:
            raise EngineError(_NOT_LIVE)
        return self._look(self.memory, self._desks, ticks, i)

    def decide(self, symbol: int, now_ns: int, due: bool) -> int:
        """Decide on the symbol's latest signal if one is due, send orders, write the tape.

        To be called after every `observe`: orders without latency fill here, and a position that
        must be closed before the weekend does not wait for a signal.

        Returns:
            A sum: `SENT` if a mirrored account sent orders (they are on the desk, in flight),
            `DECIDED` if a decision was written.
        """
        if self._decide is None:
            raise EngineError(_NOT_LIVE)
        told = self._decide(self._desks, symbol, now_ns, due, self._tape)
        if told & 1:
            self._empty_tape()
        return told & (SENT | DECIDED)

    def follow(self, follow: Callable[..., int], *values: Any) -> int:
        """Let a kernel that reports something of the broker's write to the tape.

        Args:
            follow: called with ``(desk, *values, orders, n_orders)``; returns the new `n_orders`.
            values: what it takes.
        """
        self._empty_tape()
        tape = self._tape[0]
        count = follow(self.desk, *values, tape["orders"], 0)
        if count > 0:
            tape["n_orders"] = count
        return count

    def row(self, symbol: int) -> NDArray[np.float64]:
        """Return the latest feature values of a symbol: a view, in the order of its columns."""
        values: NDArray[np.float64] = self.memory[f"row_{symbol}"][0]
        return values

    def fold(
        self, ticks: NDArray[np.void], given: tuple[NDArray[np.void], ...] | None = None
    ) -> None:
        """Feed ticks of all symbols, time-ordered; may be called again with the next ones.

        Args:
            ticks: (n,) TICK, ordered by time.
            given: per symbol, the SIGNAL rows of all decisions, counted from the first tick ever
                fed; only read for symbols whose rule has no columns.
        """
        if not self._fed_by_ticks:
            msg = "these features are fed finished bars: use fold_bars, or FeatureSet(feed='tick')"
            raise EngineError(msg)
        self._require(ticks, TICK)
        self._require_symbols(ticks["symbol"])
        self._run(given, ticks)

    def fold_bars(
        self,
        bars: NDArray[np.void],
        symbols: NDArray[np.int64] | None = None,
        given: tuple[NDArray[np.void], ...] | None = None,
        path: int = 1,
    ) -> None:
        """Feed finished bars instead of ticks; may be called again with the next ones.

        Args:
            bars: (n,) BAR, ordered by end. Bars that end at the same moment are played together,
                quote by quote, so all of a moment must come in one call.
            symbols: (n,) row of each bar's symbol; None if there is one symbol.
            given: as in `fold`.
            path: 1 quotes only the close; 4 quotes open, both extremes (low first in a rising
                bar) and close, so that stops and limits inside the bar are honoured.
        """
        if self._fed_by_ticks:
            msg = "these features are fed ticks: use fold, or FeatureSet(feed='m1') and the like"
            raise EngineError(msg)
        if path not in (1, 4):
            msg = f"path must be 1 (close) or 4 (open, extremes, close), got {path}"
            raise EngineError(msg)
        self._require(bars, BAR)
        rows = np.zeros(len(bars), np.int64) if symbols is None else symbols
        if rows.dtype != np.int64 or rows.shape != bars.shape:
            msg = f"{len(bars)} bars need as many int64 symbols, got {rows.dtype} {rows.shape}"
            raise EngineError(msg)
        self._require_symbols(rows)
        for name in ("decisions", "samples"):
            self._written[name].reserve(len(bars))
        self._require_new_moment(bars)
        place = np.array([CLOSE + 1 - path, 0], np.int64)
        self._run(given, bars, rows, np.zeros(1, TICK), place, path)

    def result(self) -> Result:
        """Return everything written down so far, or since `drain`."""
        self._empty_tape()
        return _result({name: written.all() for name, written in self._written.items()})

    def drain(self) -> Result:
        """Return what was written down since the last call, and forget it.

        With this after every `fold`, history of any length needs no more memory than one chunk.
        """
        if any(len(written) for written in self._written.values()):
            result = self.result()
            for written in self._written.values():
                written.clear()
            return result
        rows: dict[str, NDArray[np.void]] = {}  # live: a row or two, straight from the tape
        tape = self._tape[0]
        for name in _TABLES:
            count = int(tape[_COUNTS[name]])
            rows[name] = tape[name][:count].copy()
            if count > 0:
                tape[_COUNTS[name]] = 0
        return _result(rows)

    def _require(self, rows: NDArray[np.void], dtype: np.dtype[Any]) -> None:
        if rows.dtype != dtype or rows.ndim != 1:
            msg = f"expected a 1-d array of {dtype.names}, got {rows.ndim}-d {rows.dtype}"
            raise EngineError(msg)

    def _require_new_moment(self, bars: NDArray[np.void]) -> None:
        if len(bars) == 0:
            return
        if int(bars["end_ns"][0]) == self._last_end_ns:
            msg = (
                f"bars ending at {self._last_end_ns} ns were fed before: feed all bars of one"
                " moment in one call"
            )
            raise EngineError(msg)
        self._last_end_ns = int(bars["end_ns"][-1])

    def _require_symbols(self, rows: NDArray[np.int64]) -> None:
        count = len(self.rules)
        if len(rows) > 0 and not 0 <= int(rows.min()) <= int(rows.max()) < count:
            outside = sorted({int(row) for row in rows} - set(range(count)))
            msg = f"symbol rows {outside} are not among the desk's {count}"
            raise EngineError(msg)

    def _require_given(self, given: tuple[NDArray[np.void], ...]) -> None:
        if len(given) != len(self.rules):
            msg = f"signals were given for {len(given)} symbols, the desk has {len(self.rules)}"
            raise EngineError(msg)
        for rows in given:
            self._require(rows, SIGNAL)

    def _run(self, given: tuple[NDArray[np.void], ...] | None, *feed: Any) -> None:
        signals = self._no_signals if given is None else given
        self._require_given(signals)
        start, count = 0, len(feed[0])
        while start < count:
            start = self._fold(
                self.memory, self._desks, *feed, start, signals, self._taken, self._tape
            )
            if start < 0:
                self._refuse(-start - 1)
            self._empty_tape()

    def _refuse(self, symbol: int) -> None:
        msg = (
            f"symbol row {symbol} has more decisions than signals were given: "
            f"decision {self._taken[symbol]} has none"
        )
        raise EngineError(msg)

    def _empty_tape(self) -> None:
        tape = self._tape[0]
        for name, written in self._written.items():
            count = int(tape[_COUNTS[name]])
            if count > 0:
                written.add(tape[name][:count])
                tape[_COUNTS[name]] = 0


def _result(rows: Mapping[str, NDArray[np.void]]) -> Result:
    return Result(
        orders=rows["orders"],
        fills=rows["fills"],
        decisions=rows["decisions"],
        equity=rows["samples"],
    )


def _array_of(desk: np.void) -> NDArray[np.void]:
    """Return the (1,) array that a record lives in: kernels take arrays."""
    array = desk.base
    if array is None or array.dtype != DESK or array.shape != (1,):
        msg = "the desk must be the record of a (1,) array of DESK, as assemble_desk returns it"
        raise EngineError(msg)
    return array


def _require_rows(rule: Rule, row: int, symbols: int) -> None:
    named = rule.features.symbols
    rows = rule.rows or tuple(range(len(named)))
    if named and (len(rows) != len(named) or rows[0] != row):
        msg = f"symbol row {row}: rows must name the desk rows of {named}, {row} first, got {rows}"
        raise EngineError(msg)
    if any(each < 0 or each >= symbols for each in rows):
        msg = f"symbol row {row}: rows {rows} are not all among the desk's {symbols}"
        raise EngineError(msg)


def _one_object(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """Return the first of equal dtypes: numba recognises that object at once in a live call.

    An equal one costs it twenty microseconds of comparing fields.
    """
    return _known_dtypes.setdefault(dtype, dtype)


def _new_memory(fused: Sequence[FusedFeatures]) -> NDArray[np.void]:
    fields: list[tuple[Any, ...]] = []
    for row, each in enumerate(fused):
        fields.append((f"features_{row}", each.state_dtype))
        fields.append((f"row_{row}", "f8", (len(each.columns),)))
    return np.zeros(1, _one_object(np.dtype(fields, align=True)))


def _part(rule: Rule, fused: FusedFeatures) -> Part:
    columns = list(rule.features.columns)
    missing = [column for column in rule.columns if column not in columns]
    if missing:
        msg = f"the rule uses {missing}, not among the chosen features {columns}"
        raise EngineError(msg)
    if rule.clock not in fused.clock_bits:
        msg = f"no feature is on the deciding clock {rule.clock!r}: {sorted(fused.clock_bits)}"
        raise EngineError(msg)
    return Part(
        module=fused.module_name,
        bit=fused.clock_bits[rule.clock],
        columns=tuple(columns.index(column) for column in rule.columns),
    )
