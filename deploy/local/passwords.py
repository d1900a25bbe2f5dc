"""Passwords of the embedded servers: made once, one file each, readable by their owner only."""

import os
import secrets
from pathlib import Path

from deploy.local.errors import StackError

_BYTES = 24


def password(folder: Path, name: str) -> str:
    """Return the password kept in a file; the first call makes it.

    Args:
        folder: ``settings.paths.secrets``.
        name: as ``nats-loop`` or ``postgres-recorder``.

    Raises:
        StackError: the file cannot be read or written.
    """
    path = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists() or not path.stat().st_size:
            _write(path, secrets.token_urlsafe(_BYTES) + "\n")
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"{path}: the password cannot be kept there: {error.strerror}"
        raise StackError(msg) from error


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read, at once or not at all.

    Raises:
        StackError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, text)
    except OSError as error:
        msg = f"{path}: cannot be written: {error.strerror}"
        raise StackError(msg) from error


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
