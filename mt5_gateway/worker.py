"""The process that owns the MetaTrader5 package, because the package can hang.

Its calls hold the interpreter's lock, know no time-out, and cannot be interrupted: a terminal that
is stuck would freeze whoever called it. So they are made here, one after the other, and the gateway
kills this process if one takes too long. Requests come on standard input, answers go to what was
standard output (see `frames`); anything the package prints goes to standard error.

A lock file says whose worker this is: two processes must never send orders for one account, and
after a kill -9 of the gateway its old worker must be gone before a new one may look what became of
an order. The process ends with its parent.
"""

import argparse
import contextlib
import ctypes
import importlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, cast

from mt5_gateway.frames import HEADER, Reply, write_frame, write_results
from mt5_gateway.terminal import Terminal

# Everything the gateway may ask for; `control.` is the simulated terminal's own.
NAMES = frozenset(
    {
        "account_info", "copy_ticks_from", "history_deals_get", "history_orders_get", "initialize",
        "order_calc_margin", "order_check", "order_send", "orders_get", "positions_get", "shutdown",
        "symbol_info", "symbol_info_tick", "symbol_select", "symbols_get", "terminal_info",
        "version",
        "control.commit", "control.open_market", "control.ordinal", "control.peek",
        "control.position",
    }
)  # fmt: skip
_LOCK_TRIES = 50
_LOCK_WAIT_S = 0.1
_PARENT_DEATH_SIGNAL = 1  # PR_SET_PDEATHSIG of Linux


class NotOurs(RuntimeError):
    """Another process works for this account, or there is no package: one line."""


def load_package(path: str) -> tuple[Terminal, Any]:
    """Return the package for a terminal, and the control of a simulated one (else None).

    Args:
        path: ``[gateway] terminal``; a program (``.exe``) is MetaTrader, else it is a socket.

    Raises:
        NotOurs: the package is not installed here.
    """
    if not path.lower().endswith(".exe"):
        package = importlib.import_module("mt5_gateway.simulator.metatrader5")
        return cast("Terminal", package), importlib.import_module("mt5_gateway.simulator.control")
    try:
        return cast("Terminal", importlib.import_module("MetaTrader5")), None
    except ImportError as error:
        msg = (
            f"[gateway] terminal = {path!r} needs the MetaTrader5 package ({error}): it exists for"
            " Windows only; elsewhere give the socket of the simulated terminal"
        )
        raise NotOurs(msg) from None


class Caller:
    """Makes calls of the package, in the forms that it accepts.

    Args:
        package: ``MetaTrader5`` or the simulated one.
        control: of the simulated terminal, or None.
    """

    def __init__(self, package: Terminal, control: Any = None) -> None:
        self._package = package
        self._control = control

    def call(self, name: str, arguments: Sequence[Any], keywords: dict[str, Any]) -> Reply:
        """Make one call and ask for its error right after, while nothing can come between."""
        if name not in NAMES:
            return Reply(None, raised=f"the gateway never calls {name!r}")
        owner = self._control if name.startswith("control.") else self._package
        function = cast("Callable[..., Any]", getattr(owner, name.removeprefix("control.")))
        try:
            # Some functions refuse keywords even if there are none: do not pass an empty dict.
            value = function(*arguments, **keywords) if keywords else function(*arguments)
        except Exception as error:  # noqa: BLE001 (the package's bugs are answers here)
            return Reply(None, raised=f"{name}: {type(error).__name__}: {error}")
        code, text = self._package.last_error()
        return Reply(value, code, text)

    def login(self) -> int | None:
        """Return who is logged in; None if that cannot be told."""
        info = self._package.account_info()
        return None if info is None else info.login

    def answer(self, request: dict[str, Any]) -> bytes:
        """Return the frame that answers a request."""
        wanted = request.get("login")
        if wanted is not None:
            found = self.login()
            if found != wanted:
                return write_frame({"results": None, "login": found})
        return write_results([self.call(*call) for call in request["calls"]])


def serve(caller: Caller, source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until there are no more."""
    while True:
        header = source.read(HEADER.size)
        if len(header) < HEADER.size:
            return
        length, _ = HEADER.unpack(header)
        sink.write(caller.answer(json.loads(source.read(length))))
        sink.flush()


@contextlib.contextmanager
def held(path: Path) -> Any:
    """Hold the lock of an account while this process lives.

    Raises:
        NotOurs: another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        for attempt in range(_LOCK_TRIES):
            if _try_lock(file):
                break
            if attempt == _LOCK_TRIES - 1:
                file.seek(0)
                owner = file.read().decode(errors="replace").strip()
                msg = f"another gateway (worker process {owner}) works for this account: stop it"
                raise NotOurs(msg)
            time.sleep(_LOCK_WAIT_S)
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()).encode())
        file.flush()
        yield


def _try_lock(file: BinaryIO) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt  # noqa: PLC0415 (Windows only)

            file.seek(1024)  # a locked byte cannot be read by others: not one of the number
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl  # noqa: PLC0415 (not on Windows)

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def die_with_parent(parent: int) -> None:
    """End when the parent does, even in the middle of a call (Linux; elsewhere at its end)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
        if os.getppid() != parent:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> int:
    """Run the worker; see `terminal_client` for who starts it."""
    parser = argparse.ArgumentParser(prog="mt5_gateway.worker")
    parser.add_argument("--terminal", required=True)
    parser.add_argument("--lock", type=Path, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    die_with_parent(options.parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the gateway, which ends us
    source = sys.stdin.buffer
    sink = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        with held(options.lock):
            caller = Caller(*load_package(options.terminal))
            sink.write(write_frame({"hello": os.getpid()}))
            sink.flush()
            serve(caller, source, sink)
    except NotOurs as error:
        sink.write(write_frame({"failed": str(error)}))
        sink.flush()
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
