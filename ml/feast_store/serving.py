"""Feast's own feature server in one process: ``python -m ml.feast_store serve``.

It is the application that ``feast serve`` runs (get-online-features, push, health), on uvicorn
alone: half the memory, gone at once on SIGTERM, configured by our settings and nothing on disk.
"""

import logging
import socket
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ml.errors import LearningError

if TYPE_CHECKING:
    from feast import FeatureStore

HOST, PORT = "127.0.0.1", 16566
_REGISTRY_SECONDS = 5  # after which it serves what another process registered
_GRACE_S = 1

log = logging.getLogger("feast")


class CannotServe(LearningError):
    """The port is taken, or the server cannot start for another reason."""


def application(store: "FeatureStore") -> Any:
    """Return the ASGI application, its registry kept fresh."""
    feature_server: Any = import_module("feast.feature_server")  # takes seconds
    auth: Any = store.config.auth_config
    kind = feature_server.str_to_auth_manager_type(auth.type)
    feature_server.init_security_manager(auth_type=kind, fs=store)
    feature_server.init_auth_manager(
        auth_type=kind,
        server_type=feature_server.ServerType.REST,
        auth_config=auth,
    )
    app: Any = feature_server.get_app(store, _REGISTRY_SECONDS)
    app.add_exception_handler(LearningError, _unavailable)
    return app


def _unavailable(request: Any, error: Exception) -> Any:
    """Answer in one line what Feast would answer with a traceback."""
    from starlette.responses import JSONResponse  # noqa: PLC0415 (comes with Feast)

    log.warning("%s: %s", request.url.path, error)
    return JSONResponse({"detail": str(error)}, status_code=503)


def listening(host: str, port: int) -> socket.socket:
    """Return a bound socket, so that a taken port is found before anything slow.

    Raises:
        CannotServe: it is taken.
    """
    # With its protocol named: asyncio lets small answers wait 40 ms on any other socket.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        msg = f"port {port} on {host} cannot be used ({error.strerror}): choose another with --port"
        raise CannotServe(msg) from error
    return bound


def serve(store: "FeatureStore", bound: socket.socket) -> None:
    """Serve on a socket until SIGTERM or SIGINT."""
    import uvicorn  # noqa: PLC0415 (not needed by who only imports)

    config = uvicorn.Config(
        application(store),
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE_S,
    )
    log.info("serving on http://%s:%d", *bound.getsockname())
    uvicorn.Server(config).run(sockets=[bound])
