"""The engine: one account, many symbols, from ticks to orders, fills, positions and equity.

`Engine` composes the kernels for the features and rules chosen and compiles the composition once:
``engine_step`` for live and replay, ``engine_fold`` over history, which is the backtester. Both are
generated, because which features exist decides what is called; what they call is not.

Order of events on a tick: the broker acts (orders that arrived, rollover, new quote, stop-out,
SL/TP, pending orders), loss limits are checked, features see the tick, and if the deciding clock
finished a bar, the rule or model is asked, the decision taken and limited, the order sent; an order
without latency fills on this same tick.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.engine_source import Part, engine_source
from realtime.kernels.features.catalogue import TICK_CLOCK
from realtime.kernels.features.feature_set import FeatureSet, FusedFeatures
from realtime.kernels.jit import generated_module
from realtime.kernels.layout import (
    BAR,
    DECISION,
    EQUITY,
    FILL,
    ORDER,
    SIGNAL,
    TAPE,
    TAPE_ROWS,
    TICK,
)

_TABLES = ("orders", "fills", "decisions", "samples")


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
    """What an engine did so far, oldest first."""

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
        fused = [rule.features.compile(rule.rows) for rule in rules]
        self.desk = desk
        self._desks: NDArray[np.void] = desk.base  # the array that the record lives in
        self.rules = tuple(rules)
        self._fed_by_ticks = rules[0].features.feed == TICK_CLOCK
        parts = [_part(rule, each) for rule, each in zip(rules, fused, strict=True)]
        module = generated_module("engine", engine_source(parts, self._fed_by_ticks))
        self._fold: Callable[..., int] = module.engine_fold
        self._observe: Callable[..., bool] | None = getattr(module, "live_observe", None)
        self._decide: Callable[..., None] | None = getattr(module, "live_decide", None)
        self.memory = _new_memory(fused)
        self._taken = np.zeros(symbols, np.int64)
        self._no_signals = tuple(np.zeros(0, SIGNAL) for _ in rules)
        self._tape = np.zeros(1, TAPE)
        self._drained: dict[str, list[NDArray[np.void]]] = {name: [] for name in _TABLES}

    def observe(self, ticks: NDArray[np.void], i: int = 0) -> bool:
        """Take in one tick, as live does: broker, loss limits, features.

        Args:
            ticks: TICK rows; only row `i` is read.
            i: which row.

        Returns:
            Whether a decision is due. A crossover has then set the symbol's signal itself; for a
            model the caller writes ``desk["signals"][symbol]``. Either way `decide` comes next.
        """
        if self._observe is None:
            msg = "a live engine is fed ticks: choose FeatureSet(feed='tick')"
            raise EngineError(msg)
        due = self._observe(self.memory, self._desks, ticks, i, self._tape)
        return bool(due)

    def decide(self, symbol: int, now_ns: int, due: bool) -> None:  # noqa: FBT001 - as in the kernel
        """Decide on the symbol's latest signal if one is due, send orders, write the tape.

        To be called after every `observe`: orders without latency fill here, and a position that
        must be closed before the weekend does not wait for a signal.
        """
        if self._decide is None:
            msg = "a live engine is fed ticks: choose FeatureSet(feed='tick')"
            raise EngineError(msg)
        self._decide(self._desks, symbol, now_ns, due, self._tape)
        if self._tape[0]["n_decisions"] > TAPE_ROWS // 2 or self._tape[0]["n_fills"] > 0:
            self._drain()

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
            bars: (n,) BAR, ordered by end.
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
        self._run(given, bars, rows, np.zeros(1, TICK), path)

    def result(self) -> Result:
        """Return everything written down so far."""
        self._drain()
        return Result(
            orders=_joined(self._drained["orders"], ORDER),
            fills=_joined(self._drained["fills"], FILL),
            decisions=_joined(self._drained["decisions"], DECISION),
            equity=_joined(self._drained["samples"], EQUITY),
        )

    def _require(self, rows: NDArray[np.void], dtype: np.dtype[Any]) -> None:
        if rows.dtype != dtype:
            msg = f"expected an array of {dtype.names}, got {rows.dtype}"
            raise EngineError(msg)

    def _run(self, given: tuple[NDArray[np.void], ...] | None, *feed: Any) -> None:
        signals = self._no_signals if given is None else given
        start, count = 0, len(feed[0])
        while start < count:
            start = self._fold(
                self.memory, self._desks, *feed, start, signals, self._taken, self._tape
            )
            if start < 0:
                self._refuse(-start - 1)
            self._drain()

    def _refuse(self, symbol: int) -> None:
        msg = (
            f"symbol row {symbol} has more decisions than signals were given: "
            f"decision {self._taken[symbol]} has none"
        )
        raise EngineError(msg)

    def _drain(self) -> None:
        tape = self._tape[0]
        for name in _TABLES:
            count = int(tape[f"n_{name}"])
            if count > 0:
                self._drained[name].append(tape[name][:count].copy())
                tape[f"n_{name}"] = 0


def _joined(parts: Sequence[NDArray[np.void]], dtype: np.dtype[Any]) -> NDArray[np.void]:
    return np.concatenate(parts) if parts else np.zeros(0, dtype)


def _new_memory(fused: Sequence[FusedFeatures]) -> NDArray[np.void]:
    fields: list[tuple[Any, ...]] = []
    for row, each in enumerate(fused):
        fields.append((f"features_{row}", each.state_dtype))
        fields.append((f"row_{row}", "f8", (len(each.columns),)))
    return np.zeros(1, np.dtype(fields, align=True))


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
