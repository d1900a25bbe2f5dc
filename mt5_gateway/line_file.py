"""A file of lines that has room ahead: what is announced in it can always be finished in it.

Behind the lines lie zeros. They are written before the room is needed, so that a full disk is found
out while nothing depends on it yet; lines then take their place. A line is written whole, or not at
all: what a failed write leaves is cut off again.
"""

import contextlib
import os
from pathlib import Path

from mt5_gateway.errors import GatewayError

_AHEAD_BYTES = 1024 * 1024  # made at once, beyond what is asked for


class JournalUnwritable(GatewayError):
    """The disk takes no more; what was to be written is not in the file."""


class LineFile:
    """Lines on disk.

    Args:
        path: of the file; made if it is not there.
        kept: bytes of whole lines at its beginning; the rest is dropped.
    """

    def __init__(self, path: Path, kept: int) -> None:
        self.end = kept  # of the last line
        self._path = path
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._size = kept
        self._is_broken = False
        self._file.seek(kept)
        rest = self._file.read()
        if rest.strip(b"\0"):
            self._file.truncate(kept)
        else:
            self._size += len(rest)  # room that was made before a kill

    @property
    def room(self) -> int:
        """Bytes that can be written for certain."""
        return self._size - self.end

    def append(self, line: bytes) -> None:
        """Write a line.

        Raises:
            JournalUnwritable: it is not in the file.
        """
        self._put(line, self.end)
        self.end += len(line)
        self._size = max(self._size, self.end)

    def make_room(self, count: int, *, durable: bool) -> None:
        """See to it that so many bytes can be written.

        Raises:
            JournalUnwritable: the disk has not got them.
        """
        if self.room >= count:
            return
        size = self.end + count + _AHEAD_BYTES
        self._put(bytes(size - self._size), self._size)
        self._size = size
        if durable:
            self.sync()

    def sync(self) -> None:
        """Wait for the disk.

        Raises:
            JournalUnwritable: it failed.
        """
        try:
            os.fsync(self._file.fileno())
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Cut the room off and close the file."""
        with contextlib.suppress(OSError):
            self._file.truncate(self.end)
        self._file.close()

    def _put(self, data: bytes, at: int) -> None:
        """Write all of it, or nothing."""
        if self._is_broken:
            why = "a cut line could not be taken out"
            raise self._unwritable(why)
        done = 0
        try:
            self._file.seek(at)
            while done < len(data):  # a full disk takes a part first, and says so next time
                done += self._file.write(data[done:]) or 0
        except OSError as error:
            try:
                self._file.truncate(at)
                self._size = at
            except OSError:
                self._is_broken = True
            raise self._unwritable(error) from error

    def _unwritable(self, why: object) -> JournalUnwritable:
        return JournalUnwritable(
            f"{self._path} cannot be written ({why}): no order is sent and no report is told until"
            " it can; free its disk"
        )
