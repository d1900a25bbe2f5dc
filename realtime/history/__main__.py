"""``python -m realtime.history import|inspect|list``: market data into the lake, or looked at."""

import argparse
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import polars as pl

from realtime.history.detect import Input
from realtime.history.errors import FileUnreadable, HistoryError
from realtime.history.importing import Import
from realtime.history.lake import Lake
from realtime.history.lake_import import import_file
from realtime.history.lake_read import stored
from realtime.history.quality import Checks
from realtime.history.read import open_import
from realtime.history.tally import QUARANTINE_SCHEMA
from realtime.history.timeframe import TIMEFRAMES_NS


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m realtime.history", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    bring = commands.add_parser("import", help="check files and write them into the lake")
    look = commands.add_parser("inspect", help="check files and print the reports, write nothing")
    for command in (bring, look):
        command.add_argument("files", nargs="+", metavar="FILE", type=Path)
        command.add_argument("--symbol", help="e.g. EURUSD; else from the content or file name")
        command.add_argument("--zone", help="UTC, an IANA name, New_York+7, EET...; else found")
        command.add_argument("--kind", choices=("ticks", "bars"), help="of a Dukascopy folder")
        command.add_argument(
            "--timeframe", choices=tuple(TIMEFRAMES_NS), help="of bars; else found"
        )
        command.add_argument("--point", type=float, help="size of a point; else found")
        command.add_argument("--assumed-spread", type=float, help="price; for bars without one")
        command.add_argument("--date-order", choices=("day", "month"), help="in 03/04/2024")
        command.add_argument("--market", choices=("fx", "always"), help="fx closes at weekends")
        command.add_argument("--no-zone-check", action="store_true")
        command.add_argument("--json", action="store_true", help="print reports as JSON")
        command.add_argument("--quarantine", type=Path, help="write quarantined rows (Parquet)")
    bring.add_argument("--lake", required=True, help="folder or fsspec address")
    show = commands.add_parser("list", help="show what the lake holds")
    show.add_argument("--lake", required=True)
    return parser


def _open(path: Input, options: argparse.Namespace) -> Import:
    return open_import(
        path,
        options.symbol,
        kind=options.kind,
        zone=options.zone,
        timeframe=options.timeframe,
        point=options.point,
        assumed_spread=options.assumed_spread,
        date_order=options.date_order,
        checks=Checks(market=options.market),
        check_zone=not options.no_zone_check,
    )


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")


def _one_file(path: Path, options: argparse.Namespace, quarantines: list[pl.DataFrame]) -> None:
    opened = _open(path, options)
    if options.command == "import":
        done = import_file(Lake(options.lake), path, opened)
        report = done.report
    else:
        for _ in opened:
            pass
        done, report = None, opened.report()
    _print(report.to_json() if options.json else report.to_text())
    quarantines.append(opened.quarantine())
    if done is not None and not options.json:
        _print(
            f"lake        {options.lake}/{done.kind}/{report.symbol}: {done.added:,} rows added,"
            f" months written {', '.join(done.written) or 'none'},"
            f" already there {', '.join(done.skipped) or 'none'}"
        )
        if done.conflicts:
            _print(f"            {done.conflicts:,} stored rows were replaced by other ones")
        if done.disputed:
            _print(f"            {done.disputed:,} moments have other ticks of another source")


def _check_folder(table: Path) -> None:
    """Refuse a quarantine table that cannot be written, before anything is read or stored."""
    if not table.parent.is_dir():
        msg = "its folder does not exist"
        raise FileUnreadable(msg, file=str(table), remedy="Make it, or name another place.")


def _write_quarantine(table: Path, quarantines: Sequence[pl.DataFrame]) -> None:
    try:
        pl.concat(quarantines).write_parquet(table)
    except OSError as error:
        msg = f"cannot be written ({error})"
        raise FileUnreadable(msg, file=str(table), remedy="Name another place.") from error


def _list(address: str) -> None:
    rows = stored(Lake(address))
    if not rows:
        _print(f"{address} holds nothing: `import FILE --lake {address}` brings market data")
    for row in rows:
        _print(
            f"{row['kind']:<10} {row['symbol']:<12} {row['first']} to {row['last']}"
            f" ({row['months']} months)"
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit code (1 if any file failed)."""
    options = _parser().parse_args(arguments)
    quarantines = [pl.DataFrame(schema=QUARANTINE_SCHEMA)]
    if options.command == "list":
        jobs: list[Callable[[], None]] = [partial(_list, options.lake)]
    else:
        jobs = [partial(_one_file, path, options, quarantines) for path in options.files]
        if options.quarantine is not None:
            table: Path = options.quarantine
            jobs.append(partial(_write_quarantine, table, quarantines))
    if (
        options.command != "list"
        and options.quarantine is not None
        and _failed(partial(_check_folder, options.quarantine))
    ):
        return 1
    return 1 if sum([_failed(job) for job in jobs]) else 0


def _failed(job: Callable[[], None]) -> bool:
    try:
        job()
    except HistoryError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return True
    return False


if __name__ == "__main__":
    sys.exit(main())
