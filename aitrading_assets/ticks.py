"""Ticks of every symbol: what everything after is computed from."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg
import numpy as np

from aitrading_assets.made_ticks import made_of, make_ticks
from aitrading_assets.partitions import (
    SYMBOL_MONTHS,
    Ledger,
    Result,
    Scope,
    know_symbols,
    month_key,
    partitioned,
    scope_of,
)
from aitrading_assets.plots import bar_plot
from aitrading_assets.specifications import symbols_known
from aitrading_assets.tables import table
from realtime.history.lake import Lake, Month
from realtime.settings import Settings
from realtime.symbols import Symbol

GROUP = "market_data"
_SOUND = "quotes_are_sound"


@dataclass(frozen=True, kw_only=True)
class TickMonth:
    """What a month of ticks looks like.

    Attributes:
        symbol: whose.
        month: which.
        source: ``"real"``, or the bars that they were made of.
        ticks: how many.
        crossed: with an ask below the bid.
        unusable: with a price that is not a number, or not above 0.
        backwards: older than the one before.
        spread_points: median.
    """

    symbol: str
    month: Month
    source: str
    ticks: int
    crossed: int
    unusable: int
    backwards: int
    spread_points: float

    @property
    def broken(self) -> int:
        """Ticks that nothing may be computed from."""
        return self.crossed + self.unusable + self.backwards


def stored_symbols(lake: Lake) -> list[str]:
    """Return the symbols of which the lake has ticks or bars, in order of name."""
    return sorted({name for kind in lake.kinds() for name in lake.symbols(kind)})


@partitioned(
    dg.asset,
    SYMBOL_MONTHS,
    group_name=GROUP,
    kinds={"parquet"},
    deps=["imported_ticks", "imported_bars"],
    check_specs=[
        dg.AssetCheckSpec(
            _SOUND,
            asset="ticks",
            blocking=True,
            description="No tick is crossed, without a price, or older than the one before.",
        )
    ],
)
def ticks(context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]) -> Result:
    """Ticks of every symbol: the real ones, or made of the finest bars there are.

    Ticks of bars follow MetaTrader's tester; the simulated terminal makes the same.
    """
    start_s = time.perf_counter()
    lake = Lake(settings.paths.lake)
    scope = scope_of(context, stored_symbols(lake) or settings.trade)
    ledger, months, made = Ledger(context, "ticks"), list[TickMonth](), 0
    stored = stored_symbols(lake)
    there = [name for name in scope.symbols if name in stored]
    know_symbols(context.instance, there)
    for symbol in symbols_known(settings, there):
        asked = None if scope.months is None else sorted(scope.months[symbol.name])
        written = {each.month: each.ticks for each in make_ticks(lake, symbol, asked)}
        made += sum(written.values())
        for month in scope.only(symbol.name, lake.months("ticks", symbol.name)):
            found = look_at(lake, symbol, month)
            months.append(found)
            told = {"ticks": found.ticks, "source": found.source, "broken": found.broken}
            ledger.tell(month_key(symbol.name, month), told, changed=month in written)
    metadata: dict[str, Any] = {
        "ticks": sum(each.ticks for each in months),
        "ticks_made": made,
        "months": len(months),
        "symbols": table(_tick_rows(scope, months)),
        "seconds": time.perf_counter() - start_s,
    }
    if months:
        metadata["plot"] = _plot(months)
    return ledger.result(metadata, [_judged_ticks(months)])


def look_at(lake: Lake, symbol: Symbol, month: Month) -> TickMonth:
    """Count what is in a month of ticks, and what is wrong with it.

    Raises:
        LakeDamaged: the file cannot be read.
    """
    rows = lake.read_month("ticks", symbol.name, month)
    bid, ask = rows["bid"], rows["ask"]
    sound = (bid > 0) & (ask > 0) & np.isfinite(bid) & np.isfinite(ask)
    spread = (ask - bid)[sound] / symbol.point
    return TickMonth(
        symbol=symbol.name,
        month=month,
        source=made_of(lake.sources("ticks", symbol.name, month)) or "real",
        ticks=len(rows),
        crossed=int((sound & (ask < bid)).sum()),
        unusable=int((~sound).sum()),
        backwards=int((np.diff(rows["time_ns"]) < 0).sum()),
        spread_points=float(np.median(spread)) if len(spread) else float("nan"),
    )


def _tick_rows(scope: Scope, months: Sequence[TickMonth]) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = []
    for symbol in scope.symbols:
        mine = [each for each in months if each.symbol == symbol]
        sources = Counter(each.source for each in mine)
        rows.append(
            {
                "symbol": symbol,
                "ticks": sum(each.ticks for each in mine),
                "months": f"{mine[0].month} to {mine[-1].month}" if mine else "none",
                "source": ", ".join(
                    f"{source} ({count} months)" for source, count in sources.items()
                ),
                "median spread, points": float(np.median([m.spread_points for m in mine]))
                if mine
                else float("nan"),
                "broken": sum(each.broken for each in mine),
            }
        )
    return rows


def _plot(months: Sequence[TickMonth]) -> dg.MarkdownMetadataValue:
    names = sorted({each.month for each in months})
    stacks: dict[str, list[float]] = {}
    for symbol in dict.fromkeys(each.symbol for each in months):
        mine = {each.month: each.ticks for each in months if each.symbol == symbol}
        stacks[symbol] = [float(mine.get(name, 0)) for name in names]
    return bar_plot("Ticks a month", names, stacks)


def _judged_ticks(months: Sequence[TickMonth]) -> dg.AssetCheckResult:
    broken = [each for each in months if each.broken]
    rows: list[dict[str, object]] = [
        {
            "symbol": each.symbol,
            "month": str(each.month),
            "crossed": each.crossed,
            "no price": each.unusable,
            "backwards": each.backwards,
        }
        for each in broken
    ]
    return dg.AssetCheckResult(
        check_name=_SOUND,
        passed=not broken,
        metadata={"months_looked_at": len(months), "broken": table(rows)},
        description=f"delete {broken[0].symbol}/{broken[0].month}.parquet in the lake's ticks and"
        " import it again"
        if broken
        else "",
    )
