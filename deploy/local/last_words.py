"""Why a program ended, out of its log: the line that names the cause, which seldom is the last."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

from deploy.local.errors import StackError

_TAIL_BYTES = 16_384
_DISK_FULL = re.compile(r"no space left on device|disk full|DiskFull", re.IGNORECASE)
# An exception of Python, a level of PostgreSQL or nats-server, a program that names itself.
_CAUSE = re.compile(
    r"^(?:[A-Za-z_]\w*\.)*[A-Z]\w*(?:Error|Exception|Interrupt|Refused|Failed|Unusable)\b"
    r"|\b(?:FATAL|PANIC|ERROR):|\[FTL\]|\[ERR\]|\berror: "
)
_LEAST_FREE_BYTES = 32 * 1024 * 1024


def telling_line(log: Path, since_bytes: int = 0) -> str:
    """Return the line of a log that says most about an end.

    Args:
        log: file; may be missing.
        since_bytes: how long it was before the program began: what stands there is of others.
    """
    lines = _lines(log, since_bytes)
    for pattern in (_DISK_FULL, _CAUSE):
        found = next((line for line in reversed(lines) if pattern.search(line)), "")
        if found:
            return found
    return lines[-1] if lines else "it said nothing"


def telling_of(lines: Sequence[str]) -> str:
    """Return the line of what a program said that names the cause; the last if none does."""
    said = [line.strip() for line in lines if line.strip()]
    for pattern in (_DISK_FULL, _CAUSE):
        found = [line for line in said if pattern.search(line)]
        if found:
            return found[0]
    return said[-1] if said else "it said nothing"


def last_line(log: Path, since_bytes: int = 0) -> str:
    """Return the last line of a log that is not empty: what a program is doing."""
    lines = _lines(log, since_bytes)
    return lines[-1] if lines else "it said nothing"


def with_disk(error: Exception, folder: Path) -> str:
    """Return what an error says, and that the disk is full where it is."""
    text = str(error)
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < _LEAST_FREE_BYTES or _DISK_FULL.search(text):
        text += f" (the disk of {folder} is full: {free // 2**20} MB are free)"
    return text


def one_line(error: OSError, doing: str) -> StackError:
    """Return an error of the operating system as a refusal in one line."""
    where = "" if error.filename is None else f"{error.filename}: "
    return StackError(f"{where}{doing}: {error.strerror or error}")


def _lines(log: Path, since_bytes: int) -> list[str]:
    try:
        size = log.stat().st_size
        with log.open("rb") as file:
            file.seek(max(since_bytes if since_bytes <= size else 0, size - _TAIL_BYTES))
            text = file.read().decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
