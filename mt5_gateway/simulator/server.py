"""The simulated terminal behind a socket: any number of clients, one call at a time."""

import contextlib
import logging
import socket
import threading
import time
from typing import Any

from mt5_gateway.simulator.calls import Answer, Calls
from mt5_gateway.simulator.controls import Controls
from mt5_gateway.simulator.errors import ControlRefused, JournalError, NotSimulated
from mt5_gateway.simulator.framing import Message, receive, send
from mt5_gateway.simulator.simulated import SimulatedTerminal
from mt5_gateway.simulator.switches import BROKEN, HANG, LOST

_CONTROL = "control."
_SYNC_EVERY_S = 0.5

_log = logging.getLogger("terminal")


class Broken(ConnectionError):
    """The connection is to be broken, as a fault that was asked for."""


class Server:
    """Serves a terminal.

    Args:
        terminal: what answers.
        listener: a listening socket; closed by `close`.
    """

    def __init__(self, terminal: SimulatedTerminal, listener: socket.socket) -> None:
        self._terminal = terminal
        self._calls = Calls(terminal)
        self._controls = Controls(terminal)
        self._listener = listener
        self._turn = threading.Lock()
        self._ended = threading.Event()
        self._clients: set[socket.socket] = set()

    def start(self) -> None:
        """Serve in the background."""
        threading.Thread(target=self._accept, daemon=True).start()
        if not self._terminal.lockstep:
            threading.Thread(target=self._keep_up, daemon=True).start()

    def close(self) -> None:
        """Break every connection, as the end of a terminal does."""
        self._ended.set()
        self._listener.close()
        for client in list(self._clients):
            _break(client)

    def _keep_up(self) -> None:
        while not self._ended.wait(_SYNC_EVERY_S):
            with self._turn:
                self._terminal.sync()

    def _accept(self) -> None:
        while not self._ended.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            self._clients.add(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            while True:
                send(client, self._answer(receive(client).header))
        except OSError:
            pass  # the client is gone, or is to believe that we are
        finally:
            self._clients.discard(client)
            client.close()

    def _answer(self, request: dict[str, Any]) -> Message:
        name, arguments = str(request.get("call")), list(request.get("arguments", ()))
        try:
            if name.startswith(_CONTROL):
                with self._turn:
                    self._terminal.sync()
                    value = self._controls.answer(name.removeprefix(_CONTROL), arguments)
                return Message({"value": value})
            return _message(self._call(name, arguments))
        except NotSimulated as lacking:
            return Message({"lacking": str(lacking)})
        except ControlRefused as refusal:
            return Message({"refused": str(refusal)})
        except JournalError as error:  # nothing was done: the client gets no answer
            _log.critical("%s", error)
            raise Broken from error
        except (TypeError, ValueError, KeyError) as error:  # a malformed call: answer, go on
            _log.exception("call %s failed", name)
            return Message({"refused": f"{name}: {type(error).__name__}: {error}"})

    def _call(self, name: str, arguments: list[Any]) -> Answer:
        subject: Any = arguments[0] if arguments else ""
        symbol = subject.get("symbol", "") if hasattr(subject, "get") else subject
        with self._turn:
            fault = self._terminal.operator.due(name, symbol)
        if fault is not None and fault.kind == HANG:
            time.sleep(fault.number)
        if fault is not None and fault.kind == BROKEN:
            raise Broken
        with self._turn:
            self._terminal.sync()
            answer = self._calls.answer(name, arguments, fault)
        if fault is not None and fault.kind == LOST:
            raise Broken
        return answer


def _message(answer: Answer) -> Message:
    header: dict[str, Any] = {"value": answer.value, "error": answer.error}
    if answer.rows is None:
        return Message(header)
    return Message(header | {"rows": len(answer.rows)}, answer.rows.tobytes())


def _break(client: socket.socket) -> None:
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
