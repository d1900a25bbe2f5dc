"""``python -m mt5_gateway.simulator``: the simulated terminal as a process of its own."""

import argparse
import logging
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

from mt5_gateway.server_time import ServerTimeError
from mt5_gateway.simulator.dealer import INSTANT_EXECUTION, MARKET_EXECUTION
from mt5_gateway.simulator.errors import SimulatorError
from mt5_gateway.simulator.framing import connected, listening
from mt5_gateway.simulator.journal import Journal
from mt5_gateway.simulator.loading import Wanted, check_data, identity_of, load_desk, load_market
from mt5_gateway.simulator.server import Server
from mt5_gateway.simulator.simulated import Identity, SimulatedTerminal
from realtime.calendar import CalendarError
from realtime.history.bar_ticks import MODES
from realtime.history.errors import HistoryError
from realtime.kernels.desk import DeskError
from realtime.settings import Settings, SettingsError, load_settings

_WRONG = (SettingsError, ServerTimeError, SimulatorError, HistoryError, CalendarError, DeskError)
_EXECUTIONS = {"market": MARKET_EXECUTION, "instant": INSTANT_EXECUTION}

_log = logging.getLogger("terminal")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mt5_gateway.simulator",
        description="A simulated MetaTrader 5 terminal that replays market data.",
    )
    add = parser.add_argument
    add("--config", type=Path, help="settings (TOML)")
    add("--data", type=Path, action="append", default=[], help="file of ticks or bars; repeatable")
    add("--symbol", action="append", default=[], help="symbol of each file, or of the lake")
    add("--zone", help="clock of the files, e.g. UTC or New_York+7")
    add("--lake", help="folder or address of the lake (that of the settings)")
    add("--bars", default="", help="bars of the lake to turn into ticks, e.g. h1 (its ticks)")
    add("--ticks", choices=MODES, default="ohlc", help="how bars become ticks (ohlc)")
    add("--from", dest="start", type=_time_ns, default=0, help="first time, ISO 8601, UTC")
    add("--to", dest="end", type=_time_ns, help="last time, exclusive")
    add("--speed", type=float, help="market seconds a second (1)")
    add("--lockstep", action="store_true", help="the market waits for the gateway")
    add("--execution", choices=sorted(_EXECUTIONS), default="market", help="of orders (market)")
    add("--login", type=int, default=Identity.login, help="number of the account")
    add("--password-file", type=Path, help="password that a login must give (any)")
    add("--fresh", action="store_true", help="forget what the terminal did before")
    return parser


def _time_ns(text: str) -> int:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000) * 1_000_000


def _wanted(options: argparse.Namespace) -> Wanted:
    return Wanted(
        files=tuple(options.data),
        symbols=tuple(options.symbol),
        lake=options.lake,
        bars=options.bars,
        mode=options.ticks,
        zone=options.zone,
        from_ns=options.start,
        **({} if options.end is None else {"to_ns": options.end}),
    )


def _start(options: argparse.Namespace, settings: Settings, stack: ExitStack) -> None:
    """Load the data, bring the terminal to where it was, and serve it until the stack closes."""
    path = Path(settings.gateway.terminal)
    _refuse_second(path)
    market = load_market(settings, _wanted(options))
    desk = load_desk(settings, market)
    identity = identity_of(settings, market)
    journal = stack.enter_context(
        Journal(settings.paths.var / "terminal", identity, fresh=options.fresh)
    )
    lockstep = options.lockstep or (settings.gateway.lockstep and options.speed is None)
    check_data(journal, market)
    terminal = SimulatedTerminal(
        market,
        desk,
        identity=Identity(
            login=options.login,
            password=_password(options.password_file),
            path=str(path),
            account=settings.account,
            execution=_EXECUTIONS[options.execution],
        ),
        journal=journal,
        speed=None if lockstep else (options.speed or 1.0),
    )
    terminal.warm_up()
    server = Server(terminal, _listener(path))
    stack.callback(server.close)
    server.start()
    names = ", ".join(symbol.name for symbol in market.symbols)
    pace = "in lock-step" if lockstep else f"at speed {options.speed or 1.0:g}"
    _log.info(
        "ready: %s, %d ticks, %d already played, %s, at %s",
        names, len(market), terminal.broker.played, pace, path,
    )  # fmt: skip


def _listener(path: Path) -> socket.socket:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return listening(path)
    except OSError as error:
        reason = error.strerror or error
        msg = f"[gateway] terminal = {str(path)!r}: cannot listen there: {reason}"
        raise SimulatorError(msg) from error


def _refuse_second(path: Path) -> None:
    try:
        connected(path).close()
    except (OSError, ValueError):
        return
    msg = f"another simulated terminal listens at {path}: stop it, or set [gateway] terminal"
    raise SimulatorError(msg)


def _password(file: Path | None) -> str | None:
    if file is None:
        return None
    try:
        return file.read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"{file}: cannot be read: {error.strerror}"
        raise SimulatorError(msg) from error


def _wait_for_signal() -> None:
    ended = threading.Event()

    def end(number: int, frame: object) -> None:
        del number, frame
        ended.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    while not ended.wait(0.2):
        pass


def main(arguments: Sequence[str] | None = None) -> int:
    """Run until SIGTERM or SIGINT; 0, or 2 with one line on standard error."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(name)s %(message)s", stream=sys.stderr
    )
    options = _parser().parse_args(arguments)
    try:
        with ExitStack() as stack:
            _start(options, load_settings(options.config), stack)
            _wait_for_signal()
    except _WRONG as error:
        print(f"simulated terminal: {error}", file=sys.stderr)
        return 2
    _log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
