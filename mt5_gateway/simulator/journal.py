"""The journal of the simulated terminal: what it was asked to do, in order.

A terminal that was killed does the same again on the same data and stands where it stood. One line
of JSON an entry, written before the entry is acted on; what is left of a last line that was cut is
dropped. The first line says which account and symbols it belongs to, others on which data it was
written.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from mt5_gateway.simulator.errors import JournalError

NAME = "journal.jsonl"
_REMEDY = "start with --fresh, or remove the file, to begin anew"


class Journal:
    """A journal in a folder, open for appending.

    Args:
        folder: made if need be.
        identity: of symbols, account, costs and kernels.
        fresh: forget what is there.

    Raises:
        JournalError: it belongs to another account, or the folder cannot be used.
    """

    def __init__(self, folder: Path, identity: str, *, fresh: bool = False) -> None:
        self.path = folder / NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if fresh:
                self.path.unlink(missing_ok=True)
            self._keep_whole_lines()
            self._file = self.path.open("a", encoding="utf-8")
        except OSError as error:
            msg = f"{self.path}: cannot be used: {error.strerror}"
            raise JournalError(msg) from error
        if self.path.stat().st_size == 0:
            self.append({"identity": identity})
        first = self._first()
        if first.get("identity") != identity:
            self._file.close()
            raise JournalError(self.foreign("other symbols, settings or code"))

    def append(self, entry: dict[str, Any]) -> None:
        """Write an entry; it is with the operating system when this returns.

        Raises:
            JournalError: it cannot be written.
        """
        try:
            self._file.write(json.dumps(entry, separators=(",", ":")) + "\n")
            self._file.flush()
        except (OSError, ValueError) as error:  # ValueError: closed
            msg = f"{self.path}: cannot be written: {error}"
            raise JournalError(msg) from error

    def entries(self) -> Iterator[dict[str, Any]]:
        """Yield what was written, oldest first."""
        lines = self._lines()
        next(lines)
        yield from lines

    def foreign(self, with_what: str) -> str:
        """Return the line that says that this journal belongs to something else."""
        return f"{self.path} was written with {with_what}: {_REMEDY}"

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def _first(self) -> dict[str, Any]:
        with self.path.open(encoding="utf-8") as file:
            try:
                return json.loads(file.readline())
            except ValueError:
                return {}

    def _lines(self) -> Iterator[dict[str, Any]]:
        with self.path.open(encoding="utf-8") as file:
            for number, line in enumerate(file, start=1):
                try:
                    yield json.loads(line)
                except ValueError:
                    msg = f"{self.path}, line {number}: damaged: {_REMEDY}"
                    raise JournalError(msg) from None

    def _keep_whole_lines(self) -> None:
        if not self.path.exists():
            return
        data = self.path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            with self.path.open("r+b") as file:
                file.truncate(whole)
