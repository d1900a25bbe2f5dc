"""What `make demo` runs: real hours become a model, and the model paper orders.

Trains on the first part of a file, promotes to paper, replays the rest through the simulated
terminal, NATS, gateway and loop, and compares every order with the backtest over the same ticks.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import psycopg
from rich.console import Console

from aitrading_sensors.inbox import ImportOptions
from deploy.local.check import problems_of
from deploy.local.commands import end_leftovers, stop_on_signals
from deploy.local.demo.learning import NotPromoted
from deploy.local.demo.place import demo_folder, prepare
from deploy.local.demo.show import Show, Stopped
from deploy.local.demo.source import Source, look_through
from deploy.local.errors import StackError
from deploy.local.last_words import with_disk
from deploy.local.record import UpLock
from ml.backtest.demo import demo_file
from ml.backtest.request import BacktestError
from realtime.bundle import BundleError
from realtime.connection import ConnectionRefused
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError
from realtime.settings import Settings, load_settings
from realtime.store.errors import StoreError

_REFUSALS = (
    BacktestError, BundleError, ConnectionRefused, HistoryError, SettingsError, StackError,
    StoreError, OSError, psycopg.Error,
)  # fmt: skip
_SYMBOL = "EURUSD"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run it.

    Returns:
        0 live and backtest agree, 1 they do not, 2 it cannot run, 3 no model may trade, 130 it was
        stopped.
    """
    options = _parser().parse_args(arguments)
    console = Console()
    folder = Path()
    try:
        base = load_settings(options.config)
        folder = demo_folder(base)
        return _run(base, options, console)
    except NotPromoted as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3
    except (Stopped, KeyboardInterrupt):
        console.print("stopped")
        return 130
    except _REFUSALS as error:
        print(f"demo: {' '.join(with_disk(error, folder).split())}", file=sys.stderr)
        return 2


def _run(base: Settings, options: argparse.Namespace, console: Console) -> int:
    with UpLock(demo_folder(base) / "run" / "up.lock"):
        symbol = options.symbol or _SYMBOL
        source = _source(base, options, symbol)
        end_leftovers(demo_folder(base) / "run")
        place = prepare(base, symbol)
        for problem in problems_of(place.settings):
            raise SettingsError(problem)
        show = Show(place, console, stays=not options.once)
        stop_on_signals(show.stopping)
        try:
            return show.run(source)
        finally:
            show.close()


def _source(base: Settings, options: argparse.Namespace, symbol: str) -> Source:
    """Look through what is to be run on; see `look_through`.

    Raises:
        StackError: one of file and symbol is missing, or it cannot be run on.
    """
    if (options.data is None) != (options.symbol is None):
        msg = "a file and its symbol go together: make demo DATA=EURUSD_M15.csv SYMBOL=EURUSD"
        raise StackError(msg)
    named = {item.name: getattr(options, item.name) for item in fields(ImportOptions)}
    said = {name: value for name, value in named.items() if value is not None}
    if options.data is None:
        said["ask_bars"] = True  # the demo's own file
    return look_through(base, options.data or demo_file(), symbol, ImportOptions(**said))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself, without web pages")
    parser.add_argument("--data", type=Path, help="your file of ticks or bars")
    parser.add_argument("--symbol", help="what it is of, as EURUSD")
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    more = parser.add_argument_group("what the file does not say itself (docs/data.md)")
    for item in fields(ImportOptions):
        flag = f"--{item.name.replace('_', '-')}"
        if item.type is bool:
            more.add_argument(flag, action="store_const", const=True)
        else:
            more.add_argument(flag, type=item.type)
    return parser
