"""Bars of the deciding clock, built from ticks by the kernel that builds them live."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from aitrading_assets.feed import with_ticks
from aitrading_assets.partitions import (
    SYMBOL_MONTHS,
    Ledger,
    Result,
    month_key,
    partitioned,
    scope_of,
)
from aitrading_assets.plots import Line, line_plot
from aitrading_assets.resources import Recipes
from aitrading_assets.specifications import days_of, symbols_known
from aitrading_assets.tables import table
from aitrading_assets.ticks import stored_symbols
from realtime.history.lake import Lake, Month, month_of
from realtime.history.lake_read import read_lake_ticks
from realtime.history.report import utc_text
from realtime.kernels.bars import PIECE_STATE, TIME_BAR, time_bars_fold
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.kernels.layout import BAR
from realtime.settings import Settings
from realtime.symbols import Symbol

_SOUND = "bars_are_sound"


@dataclass(frozen=True, kw_only=True)
class Built:
    """The bars of one symbol."""

    symbol: str
    clock: str
    bars: NDArray[np.void]

    @property
    def broken(self) -> int:
        """Bars whose prices contradict each other, or that overlap."""
        bars = self.bars
        high = np.maximum(bars["open"], bars["close"])
        low = np.minimum(bars["open"], bars["close"])
        wrong = ~((bars["low"] <= low) & (high <= bars["high"]) & (bars["low"] > 0))
        wrong[1:] |= bars["open_ns"][1:] < bars["end_ns"][:-1]
        return int(wrong.sum())


@partitioned(
    dg.asset,
    SYMBOL_MONTHS,
    group_name="market_data",
    kinds={"numba", "parquet"},
    deps=["ticks"],
    check_specs=[
        dg.AssetCheckSpec(
            _SOUND,
            asset="bars",
            blocking=True,
            description="Low <= open, close <= high, and no two bars overlap.",
        )
    ],
)
def bars(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    recipes: dg.ResourceParam[Recipes],
) -> Result:
    """Bars of the bid on the deciding clock: what the live loop publishes as it goes."""
    start_s = time.perf_counter()
    lake = Lake(settings.paths.lake)
    scope = scope_of(context, stored_symbols(lake) or settings.trade)
    ledger, built = Ledger(context, "bars"), list[Built]()
    for symbol in symbols_known(settings, with_ticks(lake, scope.symbols)):
        clock = recipes.of(symbol.name).clock
        rows = build_bars(lake, symbol, clock)
        built.append(Built(symbol=symbol.name, clock=clock, bars=rows))
        for month, part in _by_month(rows):
            if scope.wants(symbol.name, month):
                changed = _write(lake, clock, symbol.name, month, part)
                told = {"bars": len(part), "clock": clock}
                ledger.tell(month_key(symbol.name, month), told, changed=changed)
    metadata: dict[str, Any] = {
        "bars": sum(len(each.bars) for each in built),
        "symbols": table([_row(each) for each in built]),
        "seconds": time.perf_counter() - start_s,
    }
    for each in built:
        closes = Line(name="", x=each.bars["end_ns"] / 1e9, y=each.bars["close"])
        title = f"{each.symbol} {each.clock}, close of the bid"
        metadata[f"close_{each.symbol}"] = line_plot(title, [closes], of_time=True)
    return ledger.result(metadata, [_judged(built)])


def bars_kind(clock: str) -> str:
    """Return the folder of the lake with bars that were built; imported ones lie elsewhere."""
    return f"built_{clock}"


def build_bars(lake: Lake, symbol: Symbol, clock: str) -> NDArray[np.void]:
    """Build a symbol's finished bars from all its ticks in the lake.

    Raises:
        LakeEmpty: there are no ticks.
    """
    months = lake.months("ticks", symbol.name)
    days = days_of(symbol, months[0].start_ns, months[-1].next.start_ns) if months else None
    state, piece = np.zeros(1, TIME_BAR)[0], np.zeros(1, PIECE_STATE)[0]
    parts = [np.zeros(0, BAR)]
    for chunk in read_lake_ticks(lake, [symbol.name]):
        assert days is not None  # ticks have months
        out = np.empty(len(chunk) + 1, BAR)
        count = time_bars_fold(state, piece, chunk, days, 0, len(days), CLOCKS_NS[clock], out)
        assert count >= 0  # the calendar covers the months, and there is room
        parts.append(out[:count].copy())
    return np.concatenate(parts)


def _by_month(rows: NDArray[np.void]) -> Iterator[tuple[Month, NDArray[np.void]]]:
    start = 0
    while start < len(rows):
        month = month_of(int(rows["open_ns"][start]))
        stop = int(np.searchsorted(rows["open_ns"], month.next.start_ns))
        yield month, rows[start:stop]
        start = stop


def _write(lake: Lake, clock: str, symbol: str, month: Month, rows: NDArray[np.void]) -> bool:
    """Replace a month's bars if they differ; tell whether they did."""
    old = lake.read_month(bars_kind(clock), symbol, month)
    if old.tobytes() == rows.tobytes():
        return False
    lake.write_month(bars_kind(clock), symbol, month, rows)
    return True


def _row(built: Built) -> dict[str, object]:
    bars = built.bars
    return {
        "symbol": built.symbol,
        "clock": built.clock,
        "bars": len(bars),
        "first": utc_text(int(bars["open_ns"][0])) if len(bars) else "",
        "last": utc_text(int(bars["end_ns"][-1])) if len(bars) else "",
        "ticks a bar": float(bars["ticks"].mean()) if len(bars) else float("nan"),
        "broken": built.broken,
    }


def _judged(built: Sequence[Built]) -> dg.AssetCheckResult:
    broken = sum(each.broken for each in built)
    return dg.AssetCheckResult(
        check_name=_SOUND,
        passed=broken == 0,
        metadata={"bars": sum(len(each.bars) for each in built), "broken": broken},
    )
