"""What an `up` writes down about its processes, and how a later command finds them again."""

import fcntl
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import psutil

from deploy.local.child import same_process
from deploy.local.errors import AlreadyRunning, StackError


@dataclass(frozen=True, kw_only=True)
class Record:
    """A service as it was at the last change.

    Attributes:
        name: of the service.
        state: see `deploy.local.supervisor`.
        pid: of its process; 0 = none.
        created_s: when the machine made that process; tells it from a later one of its number.
        since_ns: when it was started, UTC.
        restarts: how often since the stack was started.
        url: where to look at it.
    """

    name: str
    state: str
    pid: int
    created_s: float
    since_ns: int
    restarts: int
    url: str

    @property
    def process(self) -> psutil.Process | None:
        """The process, if it still is the one."""
        return same_process(self.pid, self.created_s) if self.pid else None


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write all records, at once or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    draft.write_text(json.dumps([asdict(each) for each in records], indent=1), encoding="utf-8")
    draft.replace(path)


def read_records(path: Path) -> list[Record]:
    """Read what was written last; nothing if there is no such file or it makes no sense."""
    try:
        rows: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
        return [Record(**row) for row in rows]
    except (OSError, ValueError, TypeError):
        return []


class UpLock:
    """Held by the one `up` of a checkout; the machine lets go of it however that ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: int | None = None

    def __enter__(self) -> Self:
        """Take it.

        Raises:
            AlreadyRunning: another `up` holds it.
            StackError: the file cannot be written.
        """
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            msg = f"{self._path}: cannot be written: {error.strerror}"
            raise StackError(msg) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            holder = self.holder()
            who = f"process {holder.pid}" if holder is not None else "another process"
            msg = (
                f"the stack of {self._path.parent.parent} is up already ({who}): make down ends it"
            )
            raise AlreadyRunning(msg) from None
        me = psutil.Process()
        os.ftruncate(file, 0)
        os.write(file, json.dumps({"pid": me.pid, "created_s": me.create_time()}).encode())
        self._file = file
        return self

    def __exit__(self, *_: object) -> None:
        """Let go."""
        if self._file is not None:
            os.ftruncate(self._file, 0)
            os.close(self._file)
            self._file = None

    def holder(self) -> psutil.Process | None:
        """Return the process of the `up` that runs; None if none does."""
        try:
            written = json.loads(self._path.read_text(encoding="utf-8"))
            return same_process(int(written["pid"]), float(written["created_s"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
