"""Open a file by its first bytes: plain, gzip or zip; and say plainly why it cannot be opened."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from realtime.history.errors import (
    FileEmpty,
    FileMalformed,
    FileTruncated,
    FileUnreadable,
    FormatUnknown,
    HistoryError,
)

HEAD_BYTES = 1 << 16
_NAME_SHOWN = 120
_MEMBERS = (".csv", ".txt", ".tsv", ".json")


def shown(path: Path) -> str:
    """Name a file in a message; a huge name is cut in the middle."""
    name = str(path)
    if len(name) <= _NAME_SHOWN:
        return name
    half = _NAME_SHOWN // 2
    return f"{name[:half]}...{name[-half:]}"


@contextmanager
def reading(path: Path) -> Generator[None]:
    """Turn what the operating system and the decompressors raise into `HistoryError`."""
    name = shown(path)
    try:
        yield
    except HistoryError:
        raise
    except FileNotFoundError as error:
        msg = "no such file"
        raise FileUnreadable(msg, file=name, remedy="Check the path.") from error
    except IsADirectoryError as error:
        remedy = "Give one file, or a folder of Dukascopy .bi5 files."
        msg = "is a directory"
        raise FileUnreadable(msg, file=name, remedy=remedy) from error
    except PermissionError as error:
        remedy = "Give this user the right to read it."
        msg = "no permission"
        raise FileUnreadable(msg, file=name, remedy=remedy) from error
    except (EOFError, zlib.error, gzip.BadGzipFile, zipfile.BadZipFile) as error:
        remedy = "Download or copy it again."
        what = f"the compressed data are cut or damaged ({error})"
        raise FileTruncated(what, file=name, remedy=remedy) from error
    except OSError as error:
        remedy = "Check the path and the disk."
        what = f"cannot be read ({error.strerror or error})"
        raise FileUnreadable(what, file=name, remedy=remedy) from error
    except (NotImplementedError, RuntimeError) as error:  # zip: encrypted, unknown method
        remedy = "Unpack it and give the file inside."
        msg = f"cannot be unpacked ({error})"
        raise FileMalformed(msg, file=name, remedy=remedy) from error


def _largest_member(archive: zipfile.ZipFile, path: Path) -> str:
    members = [info for info in archive.infolist() if not info.is_dir()]
    wanted = [info for info in members if info.filename.lower().endswith(_MEMBERS)] or members
    if not wanted:
        msg = "an empty zip"
        raise FileEmpty(msg, file=shown(path), remedy="Download it again.")
    tables = [info for info in wanted if not info.filename.lower().endswith(".txt")] or wanted
    if len(tables) > 1:
        names = ", ".join(info.filename for info in tables[:5])
        remedy = "Unpack it and import the files one by one."
        msg = f"a zip of several files ({names})"
        raise FormatUnknown(msg, file=shown(path), remedy=remedy)
    return tables[0].filename


@contextmanager
def open_stream(path: Path) -> Generator[IO[bytes] | gzip.GzipFile]:
    """Open the bytes of a file, or of what is inside a .gz or .zip.

    Raises:
        HistoryError: the file cannot be opened; also from reads inside the ``with`` block.
    """
    with reading(path), path.open("rb") as plain, ExitStack() as stack:
        magic = plain.read(4)
        plain.seek(0)
        if magic[:2] == b"\x1f\x8b":
            yield stack.enter_context(gzip.GzipFile(fileobj=plain))
        elif magic == b"PK\x03\x04":
            archive = stack.enter_context(zipfile.ZipFile(plain))
            yield stack.enter_context(archive.open(_largest_member(archive, path)))
        else:
            yield plain


def read_head(path: Path) -> bytes:
    """Return the first bytes of the (unpacked) content.

    Raises:
        HistoryError: the file cannot be opened, or holds nothing.
    """
    with open_stream(path) as stream:
        head = stream.read(HEAD_BYTES)
    if not head:
        msg = "the file is empty"
        raise FileEmpty(msg, file=shown(path), remedy="Download or export it again.")
    return head


def read_all(path: Path) -> bytes:
    """Return the whole (unpacked) content; for formats with one file an hour or a few minutes."""
    with open_stream(path) as stream:
        buffer = io.BytesIO(stream.read())
    return buffer.getvalue()
