"""Text files as blocks of complete, numbered lines in UTF-8 with one kind of line ending."""

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.history.errors import FileMalformed, FormatUnknown
from realtime.history.files import HEAD_BYTES, open_stream, shown

BLOCK_BYTES = 1 << 24
_LONGEST_LINE = 1 << 20
_NEWLINE = 10
# Bytes that text may hold: blanks, printable ASCII, and letters beyond it.
_PRINTABLE = bytes([9, 10, 11, 12, 13, *range(32, 127), *range(128, 256)])
_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True)
class Block:
    """Complete lines.

    Attributes:
        data: the lines, each ended by a line feed; no blank ones, no quotes.
        numbers: (n,) 1-based line number in the file of each line.
        unfinished: the last line had no end in the file: it may be cut.
    """

    data: bytes
    numbers: NDArray[np.int64]
    unfinished: bool = False

    @cached_property
    def _ends(self) -> NDArray[np.int64]:
        return np.flatnonzero(np.frombuffer(self.data, np.uint8) == _NEWLINE)

    def lines(self, at: NDArray[np.int64]) -> list[str]:
        """Return the text of lines by position in this block."""
        ends = self._ends
        return [
            self.data[(0 if i == 0 else int(ends[i - 1]) + 1) : int(ends[i])].decode()
            for i in at.tolist()
        ]


def encoding_of(head: bytes, file: str) -> tuple[str, int]:
    """Return the encoding and the length of the byte order mark.

    Raises:
        FormatUnknown: binary data.
    """
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            return encoding, len(mark)
    sample = head[:4096]
    controls = len(sample.translate(None, _PRINTABLE))
    if controls > len(sample) / 50:
        # Text in UTF-16 without a mark has a zero in every second byte.
        half = len(sample) // 2
        if half and sample[1::2].count(0) > 0.9 * half and sample[0::2].count(0) < 0.1 * half:
            return "utf-16-le", 0
        if half and sample[0::2].count(0) > 0.9 * half and sample[1::2].count(0) < 0.1 * half:
            return "utf-16-be", 0
        remedy = "Give a CSV, Parquet, .bi5 or JSON file of ticks or bars."
        msg = "binary data of no known format"
        raise FormatUnknown(msg, file=file, remedy=remedy)
    return "utf-8", 0


def decode_head(head: bytes, file: str) -> list[str]:
    """Return the lines of a file's first bytes, without the one that may be cut."""
    encoding, skip = encoding_of(head, file)
    text = head[skip:].decode(encoding, errors="replace")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    longest = max(len(line) for line in lines)
    if longest > HEAD_BYTES // 4:
        remedy = "Give a text file with one tick or bar a line."
        msg = f"a line of more than {longest:,} characters"
        raise FileMalformed(msg, file=file, remedy=remedy)
    return lines[:-1] if len(head) >= HEAD_BYTES and len(lines) > 1 else lines


def _to_utf8(chunk: bytes, decoder: codecs.IncrementalDecoder, *, ascii_like: bool) -> bytes:
    half_a_character = bool(decoder.getstate()[0])
    if ascii_like and not half_a_character and chunk.isascii():
        return chunk
    return decoder.decode(chunk).encode()


def _without_blank_lines(data: bytes, numbers: NDArray[np.int64]) -> Block:
    if not (data.startswith(b"\n") or b"\n\n" in data):
        return Block(data, numbers)
    lines = data.split(b"\n")[:-1]
    used = np.array([bool(line) for line in lines], np.bool_)
    return Block(b"".join(line + b"\n" for line in lines if line), numbers[used])


def _tidy(data: bytes, first_line: int) -> tuple[Block, int]:
    """Number the lines of a block of complete lines; return it and the next line number."""
    if b"\x00" in data:  # the CSV parser stops at one; the row stays unreadable without it
        data = data.replace(b"\x00", b"?")
    if b'"' in data:
        data = data.replace(b'"', b"")
    count = data.count(b"\n")
    numbers = np.arange(first_line, first_line + count)
    return _without_blank_lines(data, numbers), first_line + count


def blocks(path: Path, block_bytes: int = BLOCK_BYTES) -> Iterator[Block]:
    r"""Read a text file as blocks of complete lines.

    Handles UTF-8 and UTF-16 with or without a mark, ``\n``, ``\r\n`` and ``\r`` in any mixture,
    quoted fields (the quotes are dropped: market data has no delimiter inside a field), blank
    lines, and a last line without an end.

    Raises:
        HistoryError: the file cannot be read, or holds a line longer than 1 MB.
    """
    first_line, rest = 1, b""
    with open_stream(path) as stream:
        head = stream.read(4096)
        encoding, skip = encoding_of(head, shown(path))
        decoder = codecs.getincrementaldecoder(encoding)(errors="replace")
        chunk = head[skip:]
        while chunk:
            more = stream.read(block_bytes)
            data = rest + _to_utf8(chunk, decoder, ascii_like=encoding == "utf-8")
            if not more:
                data += decoder.decode(b"", final=True).encode()
            # A carriage return at the end may be the first half of "\r\n".
            held = b"\r" if more and data.endswith(b"\r") else b""
            data = data[: len(data) - len(held)]
            if b"\r" in data:
                data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
            unfinished = bool(not more and data and not data.endswith(b"\n"))
            if unfinished:
                data += b"\n"
            cut = data.rfind(b"\n") + 1
            rest = data[cut:] + held
            if len(rest) > _LONGEST_LINE:
                remedy = "Give a text file with one tick or bar a line."
                what = "a line longer than 1 MB"
                raise FileMalformed(what, file=shown(path), remedy=remedy, row=first_line)
            if cut:
                block, first_line = _tidy(data[:cut], first_line)
                if len(block.numbers):
                    yield replace(block, unfinished=unfinished)
            chunk = more
