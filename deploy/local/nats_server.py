"""The embedded NATS server: one file of configuration, one process, files under ``var/nats``."""

import hashlib
import json
import socket
import sysconfig
from pathlib import Path
from typing import Any

from deploy.local.child import Child, Launch
from deploy.local.errors import AlreadyRunning, StackError
from deploy.local.nats_users import permissions
from deploy.local.passwords import password, write_private
from deploy.local.ports import HOST, accepts, is_free, port_of, require_free
from realtime.contracts.subjects import STREAMS, USERS
from realtime.settings import Settings

SETTING = "[nats] url (AITRADING_NATS__URL)"
START_S = 20.0
# Acknowledged messages survive the end of the process at once, and a power cut after this.
_SYNC_INTERVAL = "2s"
_MAX_PENDING_BYTES = 256 * 1024 * 1024
_BUCKETS_GIB = 16.0  # KV buckets and the object store together


def start_nats(settings: Settings) -> Child:
    """Start the server and wait until it answers; see `prepare_nats`.

    Raises:
        NotStarted: it ended or does not answer.
        StackError: see `prepare_nats`.
    """
    child = Child(prepare_nats(settings))
    child.await_ready(lambda: nats_answers(settings), START_S)
    return child


def prepare_nats(settings: Settings) -> Launch:
    """Write configuration and passwords, and say how the server is started.

    Raises:
        AlreadyRunning: this folder's server does already.
        PortTaken: another program listens on the port of ``[nats] url``.
        StackError: no server program is installed; the folder cannot be written.
    """
    check_nats(settings)
    home = _home(settings)
    config = home / "server.conf"
    write_private(config, json.dumps(configuration(settings), indent=1) + "\n")
    return Launch(
        name="nats",
        command=(str(nats_program()), "--config", str(config)),
        log=settings.paths.var.resolve() / "logs" / "nats.log",
        folder=home,
        stop_within_s=20.0,
    )


def check_nats(settings: Settings) -> None:
    """Check that the server can listen.

    Raises:
        AlreadyRunning: this folder's server does already.
        PortTaken: another program listens on the port of ``[nats] url``.
    """
    port = port_of(settings.nats.url, SETTING)
    if not is_free(port) and nats_answers(settings):
        msg = f"the NATS server of {_home(settings)} is running already on port {port}: make down"
        raise AlreadyRunning(msg)
    require_free(port, "the NATS server", f"set {SETTING} to another port")


def nats_answers(settings: Settings) -> bool:
    """Say whether the server of this ``var`` folder answers: it greets with its name."""
    port = port_of(settings.nats.url, SETTING)
    if not accepts(port):
        return False
    try:
        with socket.create_connection((HOST, port), timeout=1.0) as connection:
            line = connection.makefile("rb").readline()
        greeting: dict[str, Any] = json.loads(line.removeprefix(b"INFO "))
    except (OSError, ValueError):
        return False
    return greeting.get("server_name") == server_name(settings)


def configuration(settings: Settings) -> dict[str, Any]:
    """Return the server's configuration: loopback only, one user for each service."""
    secrets = settings.paths.secrets
    users = [
        {
            "user": user.name,
            "password": password(secrets, f"nats-{user.name}"),
            "permissions": permissions(user),
        }
        for user in USERS
    ]
    return {
        "server_name": server_name(settings),
        "listen": f"{HOST}:{port_of(settings.nats.url, SETTING)}",
        "jetstream": {
            "store_dir": str(_home(settings)),
            "max_file_store": _max_file_store_bytes(),
            "sync_interval": _SYNC_INTERVAL,
        },
        "max_pending": _MAX_PENDING_BYTES,
        "authorization": {"users": users},
    }


def _max_file_store_bytes() -> int:
    """Room for every stream at its limit; by default the server takes what the disk has today."""
    return int((sum(stream.max_gib for stream in STREAMS) + _BUCKETS_GIB) * 2**30)


def server_name(settings: Settings) -> str:
    """Return a name that tells this folder's server from any other on the machine."""
    digest = hashlib.sha256(str(_home(settings)).encode()).hexdigest()[:12]
    return f"aitrading-{digest}"


def nats_program() -> Path:
    """Return the path of ``nats-server``.

    Raises:
        StackError: it is not installed.
    """
    path = Path(sysconfig.get_path("scripts")) / "nats-server"
    if not path.is_file():
        msg = f"no NATS server at {path}: run `make setup`, or set {SETTING} to a server that runs"
        raise StackError(msg)
    return path


def _home(settings: Settings) -> Path:
    return settings.paths.var.resolve() / "nats"
