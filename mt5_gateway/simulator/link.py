"""The client's end: one connection to one terminal, and one error, as the package has them."""

import socket
import threading
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt5_gateway import constants
from mt5_gateway.simulator.arguments import ArgumentError
from mt5_gateway.simulator.errors import ControlRefused, NotSimulated
from mt5_gateway.simulator.framing import Message, connected, receive, send

NO_CONNECTION = (constants.RES_E_INTERNAL_FAIL_CONNECT, "No IPC connection")
_SENDING = (constants.RES_E_INTERNAL_FAIL_SEND, "IPC send failed")
_RECEIVING = (constants.RES_E_INTERNAL_FAIL_RECEIVE, "IPC recv failed")
_SUCCESS = (constants.RES_S_OK, "Success")


class CallFailed(Exception):
    """A call did not succeed; `Link.error` says why."""


class Link:
    """A connection that is made by `connect` and lost with the terminal."""

    def __init__(self) -> None:
        self.error: tuple[int, str] = _SUCCESS
        self._connection: socket.socket | None = None
        self._turn = threading.RLock()

    def connect(self, path: Path) -> None:
        """Connect to the terminal at a path, after dropping what there was.

        Raises:
            CallFailed: none listens there.
        """
        self.drop()
        try:
            self._connection = connected(path)
        except (OSError, ValueError):
            code = constants.RES_E_INTERNAL_FAIL_INIT
            text = f"IPC initialize failed, no simulated terminal listens at '{path}'"
            raise self.failed((code, text)) from None

    def drop(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()

    def failed(self, error: tuple[int, str]) -> CallFailed:
        """Set the error; what is to be raised then."""
        self.error = error
        return CallFailed(error[1])

    def refuse(self, error: ArgumentError) -> None:
        """Set the error to that of an argument."""
        self.error = (error.code, str(error))

    def begin(self) -> None:
        """Forget the error of the call before."""
        self.error = _SUCCESS

    def exchange(self, call: str, *arguments: Any) -> Message:
        """Ask, and wait for the answer as long as it takes.

        Raises:
            CallFailed: there is no connection, or it broke.
            NotSimulated: the terminal cannot do this.
            ControlRefused: it refuses a control call.
        """
        with self._turn:
            connection = self._connection
            if connection is None:
                raise self.failed(NO_CONNECTION)
            error = _SENDING
            try:
                send(connection, Message({"call": call, "arguments": arguments}))
                error = _RECEIVING
                answer = receive(connection)
            except OSError:
                self.drop()
                raise self.failed(error) from None
        if "lacking" in answer.header:
            raise NotSimulated(answer.header["lacking"])
        if "refused" in answer.header:
            raise ControlRefused(answer.header["refused"])
        return answer

    def ask(self, call: str, *arguments: Any) -> Any:
        """Return the value that the terminal answers.

        Raises:
            CallFailed: there is none.
            NotSimulated: the terminal cannot do this.
        """
        answer = self.exchange(call, *arguments)
        self._take_error(answer)
        return answer.header["value"]

    def ask_rows(self, dtype: np.dtype[Any], call: str, *arguments: Any) -> NDArray[np.void]:
        """Return the array that the terminal answers, read-only; raises as `ask`."""
        answer = self.exchange(call, *arguments)
        self._take_error(answer)
        rows: NDArray[np.void] = np.frombuffer(bytes(answer.body), dtype)
        return rows

    def _take_error(self, answer: Message) -> None:
        code, text = answer.header["error"]
        if (code, text) != _SUCCESS:
            raise self.failed((code, text))


#: The connection of this process: like the package, one.
LINK = Link()
