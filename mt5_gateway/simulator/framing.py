"""Messages between the simulated terminal and its clients: a JSON header, then raw bytes.

Nothing that is received is ever executed or unpickled.
"""

import json
import socket
import struct
import sys
from pathlib import Path
from typing import Any, NamedTuple, cast

_LENGTHS = struct.Struct("<IQ")  # of the header, of the bytes
_MOST_HEADER = 1 << 26
_MOST_BYTES = 1 << 34
_PORT_FILE = ".port"


class FramingError(ConnectionError):
    """The other side ended, or does not speak this protocol."""


class Message(NamedTuple):
    """A header of plain values, and the bytes of an array."""

    header: dict[str, Any]
    body: bytes | bytearray | memoryview = b""


def send(connection: socket.socket, message: Message) -> None:
    """Send a message.

    Raises:
        OSError: the other side is gone.
    """
    header = json.dumps(message.header, separators=(",", ":")).encode()
    connection.sendall(_LENGTHS.pack(len(header), len(message.body)) + header)
    if len(message.body):
        connection.sendall(message.body)


def receive(connection: socket.socket) -> Message:
    """Wait for a message.

    Raises:
        FramingError: the other side closed the connection, or sent nonsense.
        OSError: the connection broke.
    """
    header_length, body_length = _LENGTHS.unpack(_exactly(connection, _LENGTHS.size))
    if header_length > _MOST_HEADER or body_length > _MOST_BYTES:
        msg = "not the protocol of the simulated terminal"
        raise FramingError(msg)
    try:
        header = json.loads(_exactly(connection, header_length))
    except ValueError as error:
        msg = f"not the protocol of the simulated terminal: {error}"
        raise FramingError(msg) from None
    if not isinstance(header, dict):
        msg = "not the protocol of the simulated terminal"
        raise FramingError(msg)
    return Message(cast("dict[str, Any]", header), _exactly(connection, body_length))


def _exactly(connection: socket.socket, count: int) -> bytearray:
    data = bytearray(count)
    view = memoryview(data)
    while view:
        received = connection.recv_into(view)
        if received == 0:
            msg = "the other side closed the connection"
            raise FramingError(msg)
        view = view[received:]
    return data


def connected(path: Path) -> socket.socket:
    """Connect to the terminal at a path.

    Raises:
        OSError: none listens there.
    """
    if sys.platform == "win32":
        port = int(path.with_name(path.name + _PORT_FILE).read_text(encoding="ascii"))
        return socket.create_connection(("127.0.0.1", port))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(path))
    except OSError:
        connection.close()
        raise
    return connection


def listening(path: Path) -> socket.socket:
    """Listen at a path: a Unix socket or, on Windows, a port of 127.0.0.1 noted beside it.

    Raises:
        OSError: the path cannot be used.
    """
    if sys.platform == "win32":
        listener = socket.create_server(("127.0.0.1", 0))
        port = str(listener.getsockname()[1])
        path.with_name(path.name + _PORT_FILE).write_text(port, encoding="ascii")
        return listener
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    try:
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener
