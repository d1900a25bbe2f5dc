"""The file that the demonstration runs on, looked through before anything of the last run goes."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np

from aitrading_sensors.inbox import ImportOptions
from deploy.local.errors import StackError
from realtime.declarations import SettingsError
from realtime.history import errors
from realtime.history.importing import Import
from realtime.history.market import are_different, currencies_of, symbol_in_name
from realtime.history.read import open_import
from realtime.history.report import Report
from realtime.settings import Settings
from realtime.symbols import Symbol, chosen_symbols, load_symbols, spec_table

#: Decimals that brokers disagree about: more are of another symbol.
_SAME_DIGITS = 1
_MOST_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Spreads:
    """Which spread the ticks of bars are made with.

    Attributes:
        rows: bars in the file; 0 for a file of ticks, which have their own.
        without: of them, with no spread or one of 0.
        assumed_points: for those.
        assumed_from: ``"catalogue"`` or ``"given"``.
        median_points: of the others; 0 if there are none.
    """

    rows: int = 0
    without: int = 0
    assumed_points: float = 0.0
    assumed_from: str = "catalogue"
    median_points: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Source:
    """A file that can be run on.

    Attributes:
        path: absolute.
        symbol: what it is of.
        options: what it does not say itself.
        first_ns: time of the first row, UTC.
        last_ns: of the last.
        report: what became of every row.
        spreads: of its bars.
    """

    path: Path
    symbol: str
    options: ImportOptions
    first_ns: int
    last_ns: int
    report: Report
    spreads: Spreads

    def said(self) -> dict[str, Any]:
        """Return the options that differ from their defaults, by key."""
        default = ImportOptions()
        names = (item.name for item in fields(ImportOptions))
        values = {name: getattr(self.options, name) for name in names}
        return {name: value for name, value in values.items() if value != getattr(default, name)}


def look_through(settings: Settings, path: Path, symbol: str, options: ImportOptions) -> Source:
    """Read a file once from beginning to end, and refuse what could not be run on.

    Raises:
        StackError: it cannot; says in one line what to do, in words of the demonstration.
    """
    spec = _specification(settings, symbol)
    try:
        return _look(path, spec, options)
    except errors.HistoryError as error:
        raise StackError(in_words_of_the_demo(error)) from error


def _look(path: Path, symbol: Symbol, options: ImportOptions) -> Source:
    _refuse_other_name(path, symbol.name)
    opened = _open(path, symbol, options)
    first_ns = last_ns = rows = without = 0
    spreads: list[float] = []
    for part in opened:
        bars = "open_ns" in (part.dtype.names or ())
        times = part["open_ns"] if bars else part["time_ns"]
        first_ns = first_ns or int(times[0])
        last_ns = int(times[-1])
        if bars:
            has = part["spread_mean"] > 0
            rows, without = rows + len(part), without + int((~has).sum())
            spreads += (part["spread_mean"][has] / symbol.point).tolist()
    report = opened.report()
    _refuse_other_scale(path, report, symbol)
    _refuse_dirt(path, report, options.max_quarantined_fraction)
    given = options.spread_points > 0 and report.spread is None  # else the file has a column
    return Source(
        path=path.resolve(),
        symbol=symbol.name,
        options=options,
        first_ns=first_ns,
        last_ns=last_ns,
        report=report,
        spreads=Spreads(
            rows=rows,
            without=without,
            assumed_points=options.spread_points if given else symbol.typical_spread_points,
            assumed_from="given" if given else "catalogue",
            median_points=float(np.median(spreads)) if spreads else 0.0,
        ),
    )


def _open(path: Path, symbol: Symbol, options: ImportOptions) -> Import:
    return open_import(
        path,
        symbol.name,
        zone=options.zone or None,
        format=options.format or None,
        date_order=cast("Literal['day', 'month'] | None", options.date_order or None),
        timeframe=options.timeframe or None,
        point=options.point or None,
    )


def _specification(settings: Settings, symbol: str) -> Symbol:
    own = settings.paths.specifications
    try:
        known = load_symbols(Path(own) if own else None)
        found = chosen_symbols([symbol], known)[0]
    except SettingsError as error:
        raise StackError(str(error)) from error
    try:
        spec_table([found], settings.account.currency, known=known)
    except SettingsError:
        msg = (
            f"the demo has quotes of {symbol} alone, which do not turn its money into"
            f" {settings.account.currency}: set AITRADING_ACCOUNT__CURRENCY={found.currency_profit}"
        )
        raise StackError(msg) from None
    return found


def _refuse_other_name(path: Path, symbol: str) -> None:
    named = symbol_in_name(path.name)
    if named is not None and are_different(named, symbol):
        msg = f"{path}: its name says {named}, not {symbol}: give SYMBOL={named}, or rename it"
        raise StackError(msg)


def _refuse_other_scale(path: Path, report: Report, symbol: Symbol) -> None:
    """Refuse prices with other decimals than the pair's: they are of something else."""
    apart = abs(report.digits - symbol.digits)
    if report.digits >= 0 and apart > _SAME_DIGITS and currencies_of(symbol.name) is not None:
        msg = (
            f"{path}: its prices have {report.digits} decimals, those of {symbol.name}"
            f" {symbol.digits}: is it a file of another symbol? If not, describe yours in a file of"
            " [paths] specifications"
        )
        raise StackError(msg)


def _refuse_dirt(path: Path, report: Report, most: float) -> None:
    if report.rows_quarantined <= most * max(report.rows_read, 1):
        return
    worst = sorted(report.quarantined.items(), key=lambda item: -item[1])[:_MOST_SHOWN]
    why = ", ".join(f"{count:,} {name}" for name, count in worst)
    share = report.rows_quarantined / report.rows_read
    msg = (
        f"{path}: {report.rows_quarantined:,} of {report.rows_read:,} rows ({share:.1%}) are"
        f" broken, more than {most:.0%} ({why}; docs/data.md says what they mean): mend the file,"
        f' or run on the others with ARGS="--max-quarantined-fraction {_above(share):g}"'
    )
    raise StackError(msg)


def _above(share: float) -> float:
    return min(1.0, (int(share * 100) + 1) / 100)


# What an importer's remedy calls arguments, in the words of `make demo`.
_REMEDIES: Mapping[type[errors.HistoryError], str] = {
    errors.ZoneUndecided: 'Give its clock: ARGS="--zone New_York+7" (most MetaTrader servers),'
    ' "--zone UTC", or any of docs/data.md',
    errors.ZoneContradicted: 'Give another clock with ARGS="--zone ZONE", see docs/data.md',
    errors.TimeframeUnknown: 'Give ARGS="--timeframe H1", or M1, M5, M15, H4, D1...',
    errors.DateAmbiguous: 'Give ARGS="--date-order day" or "--date-order month"',
}
_RENAME = "Name the columns in its first line as these are named"


def in_words_of_the_demo(error: errors.HistoryError) -> str:
    """Return an importer's refusal with a remedy that can be followed where it is read."""
    place = error.file if error.row is None else f"{error.file}, row {error.row}"
    remedy = _REMEDIES.get(type(error), error.remedy)
    if isinstance(error, errors.ColumnMissing):
        remedy = f"{remedy.split('. Name them')[0].split('. Give')[0]}. {_RENAME}."
    remedy = remedy.replace("symbol= (--symbol)", "SYMBOL=").replace("point=", "--point in ARGS")
    return " ".join(f"{place}: {error.what}. {remedy}".split())
