"""Addresses of the embedded servers: which are ours to start, and whether they are free."""

import errno
import socket
from contextlib import closing
from urllib.parse import urlsplit

import psutil

from deploy.local.errors import PortTaken, StackError

_LOCAL = ("127.0.0.1", "localhost")
HOST = "127.0.0.1"


def is_embedded(url: str) -> bool:
    """Say whether a server's url is one for us to start: on this machine, without a password."""
    parts = urlsplit(url)
    return parts.hostname in _LOCAL and parts.username is None


def port_of(url: str, setting: str) -> int:
    """Return the port of a url.

    Raises:
        StackError: it has none.
    """
    try:
        port = urlsplit(url).port
    except ValueError:
        port = None
    if not port:
        msg = f"{setting} = {url!r} has no port: write it as in scheme://127.0.0.1:PORT"
        raise StackError(msg)
    return port


def is_free(port: int) -> bool:
    """Say whether nothing listens on a port of this machine's loopback."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            if error.errno in (errno.EADDRINUSE, errno.EACCES):
                return False
            raise
    return True


def require_free(port: int, what: str, remedy: str) -> None:
    """Check that a server of ours can listen there.

    Args:
        port: of 127.0.0.1.
        what: the server, for the message.
        remedy: how another port is chosen, as ``set [nats] url to another port``.

    Raises:
        PortTaken: it cannot; says who listens, as far as this user may know.
    """
    if is_free(port):
        return
    if port < 1024:
        msg = f"port {port} for {what} is not for ordinary users: {remedy}, above 1023"
        raise PortTaken(msg)
    msg = f"port {port} for {what} is taken by {_listener(port)}: end it, or {remedy}"
    raise PortTaken(msg)


def free_port() -> int:
    """Return a port that nothing listens on at this moment."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_STREAM)) as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def accepts(port: int, timeout_s: float = 0.5) -> bool:
    """Say whether something accepts connections on a port of the loopback."""
    try:
        with socket.create_connection((HOST, port), timeout=timeout_s):
            return True
    except OSError:
        return False


def _listener(port: int) -> str:
    try:
        for connection in psutil.net_connections(kind="tcp4"):
            listens = connection.status == psutil.CONN_LISTEN
            if listens and tuple(connection.laddr)[1:] == (port,) and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (process {connection.pid})"
    except psutil.Error:  # macOS and ordinary users see only their own
        pass
    return "another program"
