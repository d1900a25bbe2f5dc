"""The data that a first try runs on: real EURUSD hours of 2017, inside a package on the registry.

The file belongs to gym-anytrading (MIT licence); the package is installed for it and never
imported. Its bars are of the ask and have no spread.
"""

from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from ml.backtest.request import BacktestError, Request

_PACKAGE = "gym-anytrading"
_FILE = "FOREX_EURUSD_1H_ASK.csv"


def demo_file() -> Path:
    """Return the path of the file.

    Raises:
        BacktestError: it is not installed.
    """
    try:
        listed = files(_PACKAGE) or []
    except PackageNotFoundError:
        listed = []
    for each in listed:
        if each.name == _FILE:
            return Path(str(each.locate()))
    msg = f"the demo's data are missing: run `make setup`, or `pip install --no-deps {_PACKAGE}`"
    raise BacktestError(msg)


def demo_request() -> Request:
    """Return the demo's backtest: a 10/30 crossover on hourly bars."""
    return Request(files=(demo_file(),), symbols=("EURUSD",), ask_bars=True)
