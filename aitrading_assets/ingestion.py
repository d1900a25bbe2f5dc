"""Ingestion: files of the inbox, or of the run, into the lake, through the checks."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

import dagster as dg

from aitrading_assets.ask_bars import BidOfAskBars
from aitrading_assets.made_ticks import drop_made_ticks
from aitrading_assets.partitions import (
    SYMBOL_MONTHS,
    Ledger,
    Result,
    know_symbols,
    month_key,
    month_of_key,
    partitioned,
    scope_of,
)
from aitrading_assets.specifications import symbols_known
from aitrading_assets.tables import code, table
from aitrading_assets.ticks import stored_symbols
from aitrading_sensors.inbox import (
    SETTLED_NS,
    ImportIndex,
    ImportOptions,
    Inbox,
    InboxFile,
    file_of,
    inbox_folder,
    is_too_dirty,
    look_into,
    quarantined_share,
)
from realtime.clock import WallClock
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError, ZoneUndecided
from realtime.history.lake import Lake
from realtime.history.lake_import import LakeImport, import_file
from realtime.history.read import open_import
from realtime.settings import Settings
from realtime.symbols import Symbol

GROUP = "ingestion"
INBOX = dg.AssetSpec(
    "inbox",
    group_name=GROUP,
    kinds={"file"},
    description="Market data files as they were dropped into `<var>/inbox/<SYMBOL>/`.",
)
_KINDS = {"imported_ticks": "ticks", "imported_bars": "bars"}
_QUARANTINE, _AGREE = "few_rows_quarantined", "imports_agree"


class ImportsFailed(RuntimeError):
    """Some files could not be imported; the others were."""


class ImportConfig(dg.Config):
    """What to import beside the inbox.

    Attributes:
        files: path of a file by symbol.
        options: of those files, as in an ``import.toml``.
        again: read files that are in the lake already, for instance after a month was deleted.
    """

    files: dict[str, str] = {}  # noqa: RUF012  (a pydantic field)
    options: dict[str, Any] = {}  # noqa: RUF012  (a pydantic field)
    again: bool = False


def _spec(name: str, what: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        name,
        deps=[INBOX],
        group_name=GROUP,
        kinds={"parquet"},
        description=f"{what} of the inbox in the lake: checked, in UTC, one file a month.",
    )


@partitioned(
    dg.multi_asset,
    SYMBOL_MONTHS,
    name="imports",
    specs=[_spec("imported_ticks", "Ticks"), _spec("imported_bars", "Bars")],
    check_specs=[
        check
        for name in _KINDS
        for check in (
            dg.AssetCheckSpec(
                _QUARANTINE,
                asset=name,
                blocking=True,
                description="The share of rows that had to be kept out is within what is allowed.",
            ),
            dg.AssetCheckSpec(
                _AGREE,
                asset=name,
                description="No new file contradicts what older ones said (a warning).",
            ),
        )
    ],
)
def imports(
    context: dg.AssetExecutionContext, config: ImportConfig, settings: dg.ResourceParam[Settings]
) -> Iterator[Result]:
    """Import what is new in the inbox.

    A file that cannot be imported stops no other; the run fails when all are done.
    """
    start_s = time.perf_counter()
    lake, index = Lake(settings.paths.lake), ImportIndex(settings)
    index.forget_missing()
    inbox, growing = _inbox(config, settings)
    files = inbox.files
    scope = scope_of(context, dict.fromkeys([*(each.symbol for each in files), *index.symbols()]))
    chosen = [file for file in files if file.symbol in scope.symbols]
    written: list[LakeImport] = []
    failed: list[Exception] = list(inbox.refused)
    new = chosen if config.again else index.new_of(chosen)
    for file in sorted(new, key=lambda each: each.modified_ns):  # the newest has the last word
        try:
            done = _import(lake, file, settings)
        except (HistoryError, SettingsError) as error:
            failed.append(error)
            context.log.warning("%s", error)
            continue
        index.keep(file, _told(done, file.options))
        written.append(done)
        context.log.info("%s: %s", file.path.name, done.report.to_text())
    stored = stored_symbols(lake)
    known = [*settings.trade, *index.symbols()]
    know_symbols(context.instance, [symbol for symbol in known if symbol in stored])
    for name, kind in _KINDS.items():
        mine = [done for done in written if done.kind.startswith(kind)]
        ledger = Ledger(context, name)
        _tell_months(ledger, mine)
        entries = [
            entry
            for symbol in scope.symbols
            for entry in index.entries(symbol)
            if str(entry["kind"]).startswith(kind)
        ]
        metadata = _metadata(mine, entries, settings, time.perf_counter() - start_s)
        metadata |= {"files_failed": len(failed), "files_still_being_written": growing}
        yield ledger.result(metadata, [_judged(name, entries), _agreeing(name, mine, entries)])
    if failed:
        _fail(failed)


def _fail(failed: Sequence[Exception]) -> None:
    """Raise what went wrong, one line a file."""
    if len(failed) == 1:
        raise failed[0]
    lines = [" ".join(str(error).split()) for error in failed]
    msg = f"{len(lines)} files could not be imported:\n" + "\n".join(lines)
    raise ImportsFailed(msg)


def _inbox(config: ImportConfig, settings: Settings) -> tuple[Inbox, int]:
    """Return what may be imported, and how many files may still be being written.

    The files of the run are taken as they are. What has just been dropped is waited for, once.
    """
    options = ImportOptions.read(config.options, "options of the run")
    given = [file_of(symbol, Path(path), options) for symbol, path in config.files.items()]
    clock = WallClock()
    inbox = look_into(settings)
    if inbox.unsettled(clock.now_ns()):
        time.sleep(SETTLED_NS / 1e9)
        inbox = look_into(settings)
    now_ns = clock.now_ns()
    ready = (*inbox.settled(now_ns), *given)
    return Inbox(files=ready, refused=inbox.refused), len(inbox.unsettled(now_ns))


def _import(lake: Lake, file: InboxFile, settings: Settings) -> LakeImport:
    """Bring one file into the lake.

    Raises:
        HistoryError: it cannot be read, or the lake cannot be written; the message says what to do.
        SettingsError: its symbol is unknown, and nothing could be built from it.
    """
    said = file.options
    symbol = _symbol_of(file, settings)
    points = said.spread_points or symbol.typical_spread_points
    try:
        opened = open_import(
            file.path,
            file.symbol,
            zone=said.zone or None,
            format=said.format or None,
            date_order=cast("Literal['day', 'month'] | None", said.date_order or None),
            timeframe=said.timeframe or None,
            point=said.point or None,
            assumed_spread=points * symbol.point or None,
        )
    except ZoneUndecided as error:
        remedy = 'Write zone = "New_York+7" (most MetaTrader servers) into import.toml beside it.'
        raise ZoneUndecided(error.what, file=error.file, remedy=remedy) from None
    if said.ask_bars and opened.kind == "bars":
        opened = BidOfAskBars(opened)
    done = import_file(lake, file.path, opened, said.source)
    if done.kind == "ticks" and drop_made_ticks(lake, file.symbol, done.written):
        # Ticks of bars had stood in for these months: real ones replace them, and never mix.
        again = _import(lake, file, settings)
        months = {*done.written, *again.written}
        done = replace(
            again,
            written=tuple(sorted(months)),
            skipped=tuple(month for month in again.skipped if month not in months),
        )
    return done


def _symbol_of(file: InboxFile, settings: Settings) -> Symbol:
    try:
        return symbols_known(settings, [file.symbol])[0]
    except SettingsError as error:
        msg = f"{file.path}: {error}"
        raise SettingsError(msg) from error


def _told(done: LakeImport, options: ImportOptions) -> dict[str, Any]:
    report = done.report
    return {
        "kind": done.kind,
        "format": report.format,
        "zone": f"{report.zone} ({report.zone_how})",
        "months": sorted({*done.written, *done.skipped}),
        "rows_read": report.rows_read,
        "rows_kept": report.rows_kept,
        "rows_quarantined": report.rows_quarantined,
        "rows_dropped": sum(report.dropped.values()),
        "rows_repaired": sum(report.repaired.values()),
        "quarantined": dict(report.quarantined),
        "gaps": report.gap_count,
        "conflicts": done.conflicts,
        "disputed": done.disputed,
        "max_quarantined_fraction": options.max_quarantined_fraction,
    }


def _tell_months(ledger: Ledger, written: Sequence[LakeImport]) -> None:
    for done in written:
        for month in done.written:
            partition = month_key(done.report.symbol, month_of_key(month))
            told = {"file": Path(done.report.file).name, "lake": done.kind}
            ledger.tell(partition, told, changed=True)


def _metadata(
    written: Sequence[LakeImport],
    entries: Sequence[Mapping[str, Any]],
    settings: Settings,
    seconds: float,
) -> dict[str, Any]:
    metadata: dict[str, Any] = {
        "files": len(entries),
        "files_new": len(written),
        "rows_added": sum(done.added for done in written),
        "rows_kept": sum(int(entry["rows_kept"]) for entry in entries),
        "rows_quarantined": sum(int(entry["rows_quarantined"]) for entry in entries),
        "rows_replaced": sum(done.conflicts for done in written),
        "moments_disputed": sum(int(entry.get("disputed", 0)) for entry in entries),
        "imports": table([_row(entry) for entry in entries]),
        "inbox": dg.MetadataValue.path(str(inbox_folder(settings))),  # pyright: ignore[reportUnknownMemberType]
        "seconds": seconds,
    }
    if written:
        metadata["quality"] = code("\n".join(done.report.to_text() for done in written))
    return metadata


def _row(entry: Mapping[str, Any]) -> dict[str, object]:
    months = cast("list[str]", entry["months"])
    span = f"{months[0]} to {months[-1]}" if months else ""
    names = ("rows_read", "rows_kept", "rows_quarantined", "rows_dropped", "gaps", "conflicts")
    return {
        "symbol": entry["symbol"],
        "lake": entry["kind"],
        "format": entry["format"],
        "clock": entry["zone"],
        "months": span,
        **{name.removeprefix("rows_"): int(entry[name]) for name in names},
    }


def _judged(name: str, entries: Sequence[Mapping[str, Any]]) -> dg.AssetCheckResult:
    """Fail if too large a share of some file was kept out."""
    rows: list[dict[str, object]] = []
    passed = True
    for entry in entries:
        passed = passed and not is_too_dirty(entry)
        why = ", ".join(f"{count:,} {reason}" for reason, count in entry["quarantined"].items())
        rows.append(
            {
                "symbol": entry["symbol"],
                "share": quarantined_share(entry),
                "allowed": float(entry["max_quarantined_fraction"]),
                "reasons": why or "none",
            }
        )
    return dg.AssetCheckResult(
        asset_key=name,
        check_name=_QUARANTINE,
        passed=passed,
        metadata={"files": table(rows)},
        description=""
        if passed
        else "too many rows are broken: mend the file, or raise max_quarantined_fraction in"
        " the import.toml beside it if you trust the rest",
    )


def _agreeing(
    name: str, written: Sequence[LakeImport], entries: Sequence[Mapping[str, Any]]
) -> dg.AssetCheckResult:
    """Warn of rows that this run replaced, and of moments on which two sources disagree."""
    replaced = sum(done.conflicts for done in written)
    disputed = sum(int(entry.get("disputed", 0)) for entry in entries)
    return dg.AssetCheckResult(
        asset_key=name,
        check_name=_AGREE,
        passed=replaced + disputed == 0,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={"rows_replaced": replaced, "moments_disputed": disputed},
        description=f"{replaced:,} stored rows were replaced by newer ones; of {disputed:,} moments"
        " two sources have different ticks, and both stay: if they are one source, give it a name"
        " in import.toml (source), else keep one of them"
        if replaced + disputed
        else "",
    )
