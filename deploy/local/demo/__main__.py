"""``python -m deploy.local.demo``: real hours become a model, and the model paper orders.

Trains on the first part of a file, promotes to paper, replays the rest through the simulated
terminal, NATS, gateway and loop, and compares every order with the backtest over the same ticks.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.local.commands import end_leftovers, stop_on_signals
from deploy.local.demo.learning import NotPromoted
from deploy.local.demo.place import demo_folder, prepare
from deploy.local.demo.show import Show, Stopped
from deploy.local.errors import StackError
from deploy.local.record import UpLock
from ml.backtest.demo import demo_file
from ml.backtest.request import BacktestError
from realtime.bundle import BundleError
from realtime.connection import ConnectionRefused
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError
from realtime.settings import load_settings
from realtime.store.errors import StoreError

_REFUSALS = (
    BacktestError, BundleError, ConnectionRefused, HistoryError, SettingsError, StackError,
    StoreError,
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
    try:
        base = load_settings(options.config)
        if (options.data is None) != (options.symbol is None):
            msg = "--data and --symbol go together: a file of ticks or bars, and what it is of"
            raise StackError(msg)
        if options.data is not None and not options.data.exists():
            msg = f"there is no {options.data}"
            raise StackError(msg)
        with UpLock(demo_folder(base) / "run" / "up.lock"):
            place = prepare(base, options.symbol or _SYMBOL)
            end_leftovers(place.settings)
            show = Show(place, console, stays=not options.once)
            stop_on_signals(show.stopping)
            try:
                return show.run(options.data or demo_file(), ask_bars=options.data is None)
            finally:
                show.close()
    except NotPromoted as error:
        print(f"demo: {error}", file=sys.stderr)
        return 3
    except Stopped:
        console.print("stopped")
        return 130
    except _REFUSALS as error:
        print(f"demo: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description=__doc__)
    parser.add_argument("--once", action="store_true", help="end by itself, without web pages")
    parser.add_argument("--data", type=Path, help="your file of ticks or bars")
    parser.add_argument("--symbol", help="what it is of, as EURUSD")
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    return parser


if __name__ == "__main__":
    sys.exit(main())
