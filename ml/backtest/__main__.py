"""`python -m ml.backtest --data FILE --symbol EURUSD --strategy sma`: backtest and report."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ml.backtest.demo import demo_request
from ml.backtest.report import write_report
from ml.backtest.request import STRATEGIES, BacktestError, Request
from ml.backtest.run import Run
from ml.backtest.simulate import simulate
from ml.backtest.statistics import statistics
from ml.backtest.summary import text_summary
from realtime.calendar import CalendarError
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError
from realtime.kernels.codes import DECISION_NAMES, RISK_NAMES
from realtime.settings import Settings, load_settings

_REFUSALS = (BacktestError, HistoryError, SettingsError, CalendarError)


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml.backtest",
        description="Backtest a strategy with the kernels that trade live, and write a report.",
    )
    add = made.add_argument
    add("--demo", action="store_true", help="use the EURUSD H1 2017 file that is installed with us")
    add(
        "--data",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="ticks or bars; repeat with --symbol",
    )
    add(
        "--symbol", action="append", default=[], metavar="NAME", help="symbol of the file before it"
    )
    add(
        "--quotes-only",
        action="append",
        default=[],
        metavar="NAME",
        help="converts currencies, is not traded",
    )
    add("--strategy", choices=STRATEGIES, default="sma", help="what decides (default: sma)")
    add("--fast", type=int, default=10, metavar="BARS", help="fast average (default: 10)")
    add("--slow", type=int, default=30, metavar="BARS", help="slow average (default: 30)")
    add(
        "--predictions",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="for --strategy model: time and probability, Parquet or CSV",
    )
    add(
        "--timeframe",
        metavar="TF",
        help="of the deciding bars, e.g. m15 (default: the data's; m1 for ticks)",
    )
    add(
        "--zone",
        help='clock of the files, e.g. UTC or "New_York+7" (default: as they say, or found)',
    )
    add("--date-order", choices=("day", "month"), help="what comes first in 03/04/2024")
    add("--format", help="format of the files (default: recognised)")
    add(
        "--spread-points",
        type=float,
        metavar="N",
        help="where bars have no spread (default: the symbol's typical one)",
    )
    add("--ask-bars", action="store_true", help="bars are of the ask, not of the bid")
    add(
        "--close-only", action="store_true", help="no prices inside bars: decide and fill at closes"
    )
    add("--settings", type=Path, metavar="FILE", help="TOML with account, limits, decision, costs")
    add("--balance", type=float, help="of the account at the start")
    add("--currency", help="of the account")
    add("--lots", type=float, help="fixed size of a position")
    add(
        "--out",
        type=Path,
        default=Path("var/backtest"),
        metavar="DIR",
        help="where the report goes (default: var/backtest)",
    )
    return made


def request_of(options: argparse.Namespace) -> Request:
    """Return what the command line asks for."""
    settings = _settings(options)
    if options.demo:
        return replace(
            demo_request(),
            strategy=options.strategy,
            fast=options.fast,
            slow=options.slow,
            settings=settings,
            predictions=tuple(options.predictions),
        )
    return Request(
        files=tuple(options.data),
        symbols=tuple(options.symbol),
        quotes_only=tuple(options.quotes_only),
        strategy=options.strategy,
        fast=options.fast,
        slow=options.slow,
        timeframe=options.timeframe,
        predictions=tuple(options.predictions),
        zone=options.zone,
        date_order=options.date_order,
        format=options.format,
        spread_points=options.spread_points,
        ask_bars=options.ask_bars,
        close_only=options.close_only,
        settings=settings,
    )


def _settings(options: argparse.Namespace) -> Settings:
    settings = load_settings(options.settings)
    account = settings.account
    if options.balance is not None:
        account = replace(account, balance=options.balance)
    if options.currency is not None:
        account = replace(account, currency=options.currency)
    settings = replace(settings, account=account)
    if options.lots is not None:
        settings = replace(settings, decision=replace(settings.decision, fixed_lots=options.lots))
    return settings


def why_nothing_was_traded(run: Run) -> str:
    """Name the commonest answers of decision and risk, for a run without a single deal."""
    if run.decisions.size == 0:
        return "No bar of the deciding timeframe was finished: the data are too short for it.\n"
    said: list[str] = []
    for field, names in (("decision_code", DECISION_NAMES), ("risk_code", RISK_NAMES)):
        values, counts = np.unique(run.decisions[field], return_counts=True)
        most = int(counts.argmax())
        said.append(f"{names[int(values[most])]} ({counts[most]:,} of {run.decisions.size:,})")
    return f"Nothing was traded. The decision mostly said {said[0]}, risk {said[1]}.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a backtest; 0, or 2 with one clear line if it cannot be run as asked."""
    options = parser().parse_args(arguments)
    out: Path = Path("var/demo") if options.demo else options.out
    try:
        request = request_of(options)
        names = ", ".join(request.symbols)
        print(f"Reading {names} and running it through the engine (the first run compiles kernels,")
        print("which takes about a minute; later ones start at once).", flush=True)
        run = simulate(request)
        out.mkdir(parents=True, exist_ok=True)
        written = write_report(run, out / "report.html")
    except _REFUSALS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error}: check that {out} can be written to", file=sys.stderr)
        return 2
    print()
    print(text_summary(statistics(run)))
    print()
    if run.fills.size == 0:
        print(why_nothing_was_traded(run))
    rows = sum(source.rows_kept for source in run.data)
    print(f"{rows:,} rows in {run.wall_seconds:.2f} s, with compiling if it was needed.")
    print("Open in a browser:")
    for path in written:
        print(f"  {path.resolve()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
