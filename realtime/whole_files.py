"""Files that are there whole or not at all, whatever is killed while they are written."""

import os
from pathlib import Path

#: What a file ends with that a killed writer left.
PARTIAL = ".partial"


def write_whole(path: Path, content: bytes) -> None:
    """Write a file beside its place and move it there; its folder must exist.

    Raises:
        OSError: it could not be written; what was there before is untouched.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        with partial.open("wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except BaseException:  # also Ctrl-C: raised again
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def append_lines(path: Path, lines: list[str]) -> None:
    """Append whole lines and wait until the disk has them; the folder is made.

    A line that an earlier, killed writer left half done is ended first, so that it spoils no other.

    Raises:
        OSError: they could not be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        text = "".join(f"{line}\n" for line in lines)
        content = (("\n" if torn else "") + text).encode()
        if os.write(handle, content) != len(content):  # one write: no lines mix
            msg = f"{path}: the disk took only a part: free some of it"
            raise OSError(msg)
        os.fsync(handle)
    finally:
        os.close(handle)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Wait for the disk, so that a new name itself survives a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
