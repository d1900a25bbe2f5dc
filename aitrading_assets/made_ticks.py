"""Ticks made of bars, for symbols and months of which no real ticks were imported.

They lie among the ticks of the lake, and their files say what they were made of. Real ticks of a
month replace them; the two never mix.
"""

import hashlib
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from aitrading_assets.lake_files import drop_files
from aitrading_assets.partitions import month_of_key
from realtime.history.bar_ticks import bar_ticks
from realtime.history.lake import Lake, Month
from realtime.history.timeframe import timeframe_ns
from realtime.symbols import Symbol

_MADE = "made:"
_BARS = "bars_"
_REVISION = "1"  # of what is made of a bar: another one makes all ticks anew


@dataclass(frozen=True, kw_only=True)
class Made:
    """A month whose ticks were made.

    Attributes:
        month: which.
        kind: of the bars, e.g. ``"bars_h1"``.
        bars: how many.
        ticks: made of them.
    """

    month: Month
    kind: str
    bars: int
    ticks: int


def made_of(sources: Sequence[str]) -> str:
    """Return the kind of bars that a month's ticks were made of; empty for real ticks."""
    made = next((source for source in sources if source.startswith(_MADE)), "")
    return made.split(":")[1] if made else ""


def drop_made_ticks(lake: Lake, symbol: str, months: Collection[str]) -> list[Month]:
    """Delete months in which an import of real ticks met made ones; it has to be repeated.

    Args:
        lake: which.
        symbol: whose.
        months: that the import wrote.

    Returns:
        The months that were deleted.
    """
    mixed = [
        month
        for month in map(month_of_key, months)
        if made_of(sources := lake.sources("ticks", symbol, month)) and len(sources) > 1
    ]
    drop_files(lake, [lake.path("ticks", symbol, month) for month in mixed])
    return mixed


def make_ticks(lake: Lake, symbol: Symbol, months: Sequence[Month] | None = None) -> list[Made]:
    """Write ticks for the months that have bars and no real ticks, of the finest bars there are.

    Months whose bars have not changed since are left alone.

    Args:
        lake: where from and where to.
        symbol: whose.
        months: only these; None = all.

    Returns:
        What was written, in order.
    """
    made: list[Made] = []
    kinds = _kinds(lake, symbol.name)
    taken: set[Month] = set()
    for kind in kinds:
        stored = lake.months(kind, symbol.name)
        free = [month for month in stored if month not in taken]
        wanted = [month for month in free if months is None or month in months]
        taken.update(stored)
        stale = [month for month in wanted if _is_stale(lake, kind, symbol.name, month, stored)]
        if stale:
            made += _make(lake, kind, symbol, stored, stale)
    return sorted(made, key=lambda each: each.month)


def _kinds(lake: Lake, symbol: str) -> list[str]:
    """Return the kinds of bars that are stored of a symbol, finest first."""
    kinds = [kind for kind in lake.kinds() if kind.startswith(_BARS) and lake.months(kind, symbol)]
    return sorted(
        kinds, key=lambda kind: timeframe_ns(kind.removeprefix(_BARS).upper(), lake.address)
    )


def _is_stale(lake: Lake, kind: str, symbol: str, month: Month, stored: Sequence[Month]) -> bool:
    sources = lake.sources("ticks", symbol, month)
    is_real = bool(sources) and not made_of(sources)
    return not is_real and sources != [_source(lake, kind, symbol, month, stored)]


def _source(lake: Lake, kind: str, symbol: str, month: Month, stored: Sequence[Month]) -> str:
    """Name what a month's ticks are made of: its bars, and those before (one may reach into it)."""
    at = stored.index(month)
    used = stored[max(at - 1, 0) : at + 1]
    imports = [lake.sources(kind, symbol, each) for each in used]
    digest = hashlib.sha256(json.dumps([_REVISION, imports]).encode()).hexdigest()
    return f"{_MADE}{kind}:{digest[:32]}"


def _make(
    lake: Lake, kind: str, symbol: Symbol, stored: Sequence[Month], stale: Sequence[Month]
) -> list[Made]:
    made: list[Made] = []
    with lake.writing():
        for month in stale:
            used = stored[max(stored.index(month) - 1, 0) : stored.index(month) + 1]
            parts = [lake.read_month(kind, symbol.name, each) for each in used]
            every = bar_ticks(
                np.concatenate(parts),
                point=symbol.point,
                assumed_spread_points=symbol.typical_spread_points,
            )
            ticks = _cut(every, month)
            source = _source(lake, kind, symbol.name, month, stored)
            lake.write_month("ticks", symbol.name, month, ticks, [source])
            made.append(Made(month=month, kind=kind, bars=len(parts[-1]), ticks=len(ticks)))
    return made


def _cut(ticks: NDArray[np.void], month: Month) -> NDArray[np.void]:
    first, last = np.searchsorted(ticks["time_ns"], [month.start_ns, month.next.start_ns])
    return ticks[first:last]
