"""The gateway's side of the worker: calls of the terminal that can be awaited, and time out.

One call is on its way at a time. If it takes longer than allowed the worker is killed and the next
call starts another; what a killed call did is unknown (`WorkerLost`). Before the first call, and
after the terminal was lost, the connection is made again (`initialize`).
"""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.constants import (
    COPY_TICKS_ALL,
    RES_E_INTERNAL_FAIL,
    RES_E_INTERNAL_FAIL_CONNECT,
    RES_E_INTERNAL_FAIL_RECEIVE,
    RES_E_INTERNAL_FAIL_SEND,
    RES_E_INVALID_PARAMS,
)
from mt5_gateway.errors import (
    CallRefused,
    TerminalUnavailable,
    WorkerCannotStart,
    WorkerLost,
    WrongAccount,
)
from mt5_gateway.frames import HEADER, Reply, read_results, write_frame

#: Codes after which the connection to the terminal has to be made again.
LOST = frozenset({RES_E_INTERNAL_FAIL, RES_E_INTERNAL_FAIL_SEND, RES_E_INTERNAL_FAIL_RECEIVE,
                  RES_E_INTERNAL_FAIL_CONNECT})  # fmt: skip
_START_S = 60.0  # to import the package
_LAUNCH_S = 120.0  # MetaTrader may have to be started first
_CLOSE_S = 0.5
_MOST_STARTS = 5  # of a worker that dies before it says hello
_STREAM_LIMIT = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Call:
    """One call of the package: name, positional arguments, keywords."""

    name: str
    arguments: Sequence[Any] = ()
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any])


class TerminalClient:
    """A terminal, through a worker that can be killed.

    Args:
        terminal: ``[gateway] terminal``.
        lock: file that says whose worker it is.
        timeout_s: longest call.
    """

    def __init__(self, *, terminal: str, lock: Path, timeout_s: float) -> None:
        self.terminal = terminal
        self.worker_starts = 0
        self.connections = 0  # that were made with the terminal
        self._failed_starts = 0  # in a row
        self._is_program = terminal.lower().endswith(".exe")
        self._lock_file = lock
        self._timeout_s = timeout_s
        self._process: asyncio.subprocess.Process | None = None
        self._initialized = False
        self._turn = asyncio.Lock()
        self._log = logging.getLogger("gateway")

    @property
    def worker_pid(self) -> int | None:
        """Process number of the worker, None while there is none."""
        process = self._process
        return None if process is None or process.returncode is not None else process.pid

    async def calls(
        self, calls: Sequence[Call], *, login: int | None = None, timeout_s: float | None = None
    ) -> list[Reply]:
        """Make several calls, with nothing between them.

        Args:
            calls: made in order, whatever the earlier ones say.
            login: if given, only if the terminal is logged in to this account.
            timeout_s: another limit than usual, for all of them together.

        Raises:
            TerminalUnavailable: nothing was called.
            WorkerLost: the worker died or was killed meanwhile: anything may have been called.
            WrongAccount: another account is logged in; nothing was called.
            CallRefused: the package refuses the arguments.
            WorkerCannotStart: it cannot be started.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s
        async with self._turn:
            try:
                await self._connect()
            except WorkerLost as error:  # what was asked for was not sent yet
                raise TerminalUnavailable(str(error)) from error
            replies = await self._exchange(calls, login, limit_s)
        for call, reply in zip(calls, replies, strict=True):
            if reply.code in LOST:
                self._initialized = False
            if reply.raised:
                msg = f"MetaTrader5 refuses the arguments of {call.name}: {reply.raised}"
                raise CallRefused(msg)
        return replies

    async def call(self, name: str, *arguments: Any, **keywords: Any) -> Reply:
        """Make one call; see `calls`."""
        return (await self.calls([Call(name, arguments, keywords)]))[0]

    async def require(self, name: str, *arguments: Any, **keywords: Any) -> Any:
        """Make one call that must succeed, and return its value.

        Raises:
            TerminalUnavailable: it failed; see `calls` for the others.
        """
        reply = await self.call(name, *arguments, **keywords)
        return required(name, reply)

    async def ticks_from(
        self, wanted: Sequence[tuple[str, int, int]], timeout_s: float | None = None
    ) -> list[NDArray[np.void]]:
        """Copy ticks of several symbols: for each (symbol, from server second, most rows).

        Returns:
            One `TICKS` array each, read-only, oldest first.

        Raises:
            TerminalUnavailable: no answer, or an error for any of them.
        """
        replies = await self.tick_replies(wanted, timeout_s=timeout_s)
        arrays = [rows_of(reply) for reply in replies]
        for (symbol, _, _), reply, rows in zip(wanted, replies, arrays, strict=True):
            if rows is None:
                raise TerminalUnavailable(no_ticks(symbol, reply))
        return [rows for rows in arrays if rows is not None]

    async def tick_replies(
        self,
        wanted: Sequence[tuple[str, int, int]],
        *,
        login: int | None = None,
        timeout_s: float | None = None,
    ) -> list[Reply]:
        """Ask for ticks as `ticks_from` does, but return the answers: one may be an error.

        Args:
            wanted: for each symbol its name, server second to begin at, most rows.
            login: if given, only if the terminal is logged in to this account.
            timeout_s: another limit than usual.

        Raises:
            TerminalUnavailable: the terminal is gone; see `calls` for the others.
        """
        calls = [
            Call("copy_ticks_from", (symbol, max(second, 1), count, COPY_TICKS_ALL))
            for symbol, second, count in wanted
        ]
        replies = await self.calls(calls, login=login, timeout_s=timeout_s)
        for reply in replies:
            if reply.code in LOST:
                msg = f"the terminal is gone ({reply.code}, {reply.text})"
                raise TerminalUnavailable(msg)
        return replies

    async def close(self) -> None:
        """End the worker, after the call that it makes if that ends soon; the terminal runs on."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S), self._turn:
                pass
        await self._kill()

    # --- the worker ---------------------------------------------------------------------------

    async def _connect(self) -> None:
        if self.worker_pid is None:
            await self._start()
        if self._initialized:
            return
        keywords = {"timeout": int(self._timeout_s * 1000)}
        call = Call("initialize", (self.terminal,), keywords)
        limit_s = max(self._timeout_s, _LAUNCH_S) if self._is_program else self._timeout_s
        reply = (await self._exchange([call], None, limit_s))[0]
        if reply.value is not True:
            msg = (
                f"no terminal at {self.terminal} ({reply.code}, {reply.text}): start it, log in,"
                " or set [gateway] terminal"
            )
            raise TerminalUnavailable(msg)
        self._initialized = True
        self.connections += 1

    async def _start(self) -> None:
        self._initialized = False
        self.worker_starts += 1
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mt5_gateway.worker", "--terminal", self.terminal,
            "--lock", str(self._lock_file), "--parent", str(os.getpid()),
            stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=_STREAM_LIMIT,
        )  # fmt: skip
        self._process = process
        try:
            async with asyncio.timeout(_START_S):
                message, _ = await self._read(process)
        except (TimeoutError, asyncio.IncompleteReadError) as error:
            await self._kill()
            self._failed_starts += 1
            msg = "the worker of the gateway does not start: see its lines above in the log"
            if self._failed_starts < _MOST_STARTS:
                raise TerminalUnavailable(msg) from error
            raise WorkerCannotStart(msg) from error
        if "failed" in message:
            await self._kill()
            raise WorkerCannotStart(message["failed"])
        self._failed_starts = 0

    async def _exchange(
        self, calls: Sequence[Call], login: int | None, limit_s: float
    ) -> list[Reply]:
        process = self._process
        assert process is not None
        request = {
            "calls": [[call.name, list(call.arguments), dict(call.keywords)] for call in calls],
            "login": login,
        }
        try:
            async with asyncio.timeout(limit_s):
                await self._write(process, write_frame(request))
                message, blob = await self._read(process)
        except TimeoutError:
            await self._kill()
            names = ", ".join(dict.fromkeys(call.name for call in calls))
            msg = f"the terminal did not answer {names} within {limit_s:g} s: its worker was killed"
            raise WorkerLost(msg) from None
        except (asyncio.IncompleteReadError, OSError):
            await self._kill()
            msg = "the worker of the gateway died during a call"
            raise WorkerLost(msg) from None
        except asyncio.CancelledError:
            await self._kill()  # its answer would be taken for that of the next call
            raise
        if message["results"] is None:
            if message["login"] is None:  # the pipe broke, or nobody is logged in: connect anew
                self._initialized = False
                msg = "the terminal does not say which account it is logged in to"
                raise TerminalUnavailable(msg)
            raise WrongAccount(not_ours(message["login"], login))
        return read_results(message, blob)

    async def _write(self, process: asyncio.subprocess.Process, frame: bytes) -> None:
        assert process.stdin is not None
        process.stdin.write(frame)
        await process.stdin.drain()

    async def _read(self, process: asyncio.subprocess.Process) -> tuple[dict[str, Any], bytes]:
        assert process.stdout is not None
        text_size, blob_size = HEADER.unpack(await process.stdout.readexactly(HEADER.size))
        text = await process.stdout.readexactly(text_size)
        blob = await process.stdout.readexactly(blob_size) if blob_size else b""
        return json.loads(text), blob

    async def _kill(self) -> None:
        process, self._process = self._process, None
        self._initialized = False
        if process is None:
            return
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
        await process.wait()


def required(name: str, reply: Reply) -> Any:
    """Return the value of a call that must succeed.

    Raises:
        TerminalUnavailable: it failed.
    """
    if reply.value is None or reply.value is False:
        hint = " (a bug of the gateway)" if reply.code == RES_E_INVALID_PARAMS else ""
        msg = f"the terminal answers {name} with error {reply.code}, {reply.text}{hint}"
        raise TerminalUnavailable(msg)
    return reply.value


def rows_of(reply: Reply) -> NDArray[np.void] | None:
    """Return the array of an answer; None if it is an error."""
    return cast("NDArray[np.void]", reply.value) if hasattr(reply.value, "dtype") else None


def no_ticks(symbol: str, reply: Reply) -> str:
    """Say that a symbol's ticks cannot be asked for."""
    return f"the terminal gives no ticks of {symbol} ({reply.code}, {reply.text})"


def not_ours(found: int | None, wanted: int | None) -> str:
    """Say that somebody else is logged in."""
    return f"the terminal is logged in to account {found}, not to {wanted}: log in to that one"
