"""The front door: market data of any known format as checked, UTC, structured arrays.

>>> imported = read_ticks("EURUSD_ticks.csv", "EURUSD")  # doctest: +SKIP
>>> imported.rows["bid"], imported.report.to_text()  # doctest: +SKIP
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypedDict, Unpack

import numpy as np
import polars as pl
from numpy.typing import NDArray

from realtime.history.detect import Input, Opening, open_source
from realtime.history.errors import FormatUnknown
from realtime.history.importing import Import, Wishes
from realtime.history.market import checked_symbol
from realtime.history.quality import Checks
from realtime.history.raw import Kind
from realtime.history.report import Report
from realtime.history.text import BLOCK_BYTES
from realtime.history.times import DateOrder
from realtime.kernels.layout import BAR, TICK

_DEFAULT = Checks()


@dataclass(frozen=True, kw_only=True)
class Imported:
    """One file, checked.

    Attributes:
        rows: (n,) `layout.TICK` or `layout.BAR` in order of time.
        symbol: what they are of.
        timeframe: e.g. ``"M1"``; empty for ticks.
        report: what became of every row of the source.
        quarantine: rows kept out: file, row, reason, time_ns, raw, remedy.
    """

    rows: NDArray[np.void]
    symbol: str
    timeframe: str
    report: Report
    quarantine: pl.DataFrame


class Options(TypedDict, total=False):
    """Keyword arguments of every reader; `open_import` says what they mean."""

    zone: str | None
    format: str | None
    point: float | None
    timeframe: str | None
    date_order: DateOrder | None
    columns: Mapping[str, str] | None
    checks: Checks
    check_zone: bool
    assumed_spread: float | None
    block_bytes: int


def open_import(  # noqa: PLR0913  one place for everything that may be said about a file
    data: Input,
    symbol: str | None = None,
    *,
    kind: Kind | None = None,
    zone: str | None = None,
    format: str | None = None,  # noqa: A002  the word a user looks for
    point: float | None = None,
    timeframe: str | None = None,
    date_order: DateOrder | None = None,
    columns: Mapping[str, str] | None = None,
    checks: Checks = _DEFAULT,
    check_zone: bool = True,
    assumed_spread: float | None = None,
    block_bytes: int = BLOCK_BYTES,
) -> Import:
    """Open market data for checked reading in chunks.

    Args:
        data: path of a file, a folder of Dukascopy files, or an array of the MetaTrader5 package.
        symbol: e.g. ``"EURUSD"``; None = from the content or the file's name.
        kind: what it must hold; None = whatever it holds.
        zone: the file's clock: ``"UTC"``, an IANA name, or one with hours added, as in
            ``"New_York+7"``; None = as the file says, or found from its trading weeks.
        format: the format it must be; None = recognised.
        point: size of a point where prices or spreads are whole points; None = found.
        timeframe: of bars, e.g. ``"M5"``; None = found.
        date_order: ``"day"`` or ``"month"`` first in dates such as 03/04/2024.
        columns: roles to column names, e.g. ``{"bid": "B1"}``, for unusual headers.
        checks: how strict the checks are.
        check_zone: refuse a given or stated zone that the trading weeks clearly contradict.
        assumed_spread: price units, for bars of a source without spreads; None = stays absent
            (NaN), and such bars cannot be traded on.
        block_bytes: how much of a text file is read at a time.

    Returns:
        An `Import`: iterate it, then ask for its report.

    Raises:
        HistoryError: see `realtime.history.errors`; the message says what to do.
    """
    given = None if symbol is None else checked_symbol(symbol, "the request")
    opening = Opening(
        symbol=given,
        kind=kind,
        format=format,
        point=point or 0.0,
        date_order=date_order,
        columns=columns,
        block_bytes=block_bytes,
    )
    source = open_source(data, opening)
    if kind is not None and source.kind != kind:
        remedy = f"Use read_{source.kind}."
        msg = f"it holds {source.kind}, not {kind}"
        raise FormatUnknown(msg, file=source.file, remedy=remedy)
    wishes = Wishes(
        symbol=given,
        zone=zone,
        point=point or 0.0,
        timeframe=timeframe,
        checks=checks,
        check_zone=check_zone,
        assumed_spread=assumed_spread,
        opened_with=(date_order, *sorted((columns or {}).items())),
    )
    return Import(source, wishes)


def read_any(
    data: Input,
    symbol: str | None = None,
    *,
    kind: Kind | None = None,
    **options: Unpack[Options],
) -> Imported:
    """Read ticks or bars, whatever the data hold, into memory.

    Args:
        data: path of a file, a folder of Dukascopy files, or an array of the MetaTrader5 package.
        symbol: e.g. ``"EURUSD"``; None = from the content or the file's name.
        kind: what it must hold; None = whatever it holds.
        options: as `open_import`.

    Raises:
        HistoryError: see `realtime.history.errors`; the message says what to do.
    """
    opened = open_import(data, symbol, kind=kind, **options)
    # One array of the right size from the start: joining chunks would need twice the memory.
    rows = np.empty(opened.expected_rows(), TICK if opened.kind == "ticks" else BAR)
    filled = 0
    for part in opened:
        rows[filled : filled + len(part)] = part
        filled += len(part)
    return Imported(
        rows=rows[:filled],
        symbol=opened.symbol,
        timeframe=opened.timeframe,
        report=opened.report(),
        quarantine=opened.quarantine(),
    )


def read_ticks(data: Input, symbol: str | None = None, **options: Unpack[Options]) -> Imported:
    """Read ticks into memory as `layout.TICK`; arguments and errors as `read_any`."""
    return read_any(data, symbol, kind="ticks", **options)


def read_bars(data: Input, symbol: str | None = None, **options: Unpack[Options]) -> Imported:
    """Read bars into memory as `layout.BAR`; arguments and errors as `read_any`."""
    return read_any(data, symbol, kind="bars", **options)
