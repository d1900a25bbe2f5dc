"""The first lines of a text file taken apart: delimiter, header and samples."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from realtime.history.errors import FileEmpty, FileMalformed, FormatUnknown
from realtime.history.raw import BAR_COLUMNS

_DELIMITERS = ("\t", ";", "|", ",")
_NUMBER = re.compile(r"[+-]?(\d+([.,]\d*)?|[.,]\d+)([eE][+-]?\d+)?")
_COMMA_NUMBER = re.compile(r"[+-]?\d+,\d+")
_SAMPLE_ROWS = 400
_MOST_COLUMNS = 500
_PREAMBLE = 3


@dataclass(frozen=True, kw_only=True)
class Head:
    """What the first lines of a text file show.

    Attributes:
        file: for messages.
        delimiter: one character.
        header: column names, or None if the first line is data.
        header_line: line number of the header, 0 without one.
        rows: fields of the first data lines.
        decimal_comma: prices are written 1,2345.
    """

    file: str
    delimiter: str
    header: tuple[str, ...] | None
    header_line: int
    rows: tuple[tuple[str, ...], ...]
    decimal_comma: bool

    @property
    def width(self) -> int:
        """Fields of most data lines (of the header where there are none)."""
        counts = Counter(len(row) for row in self.rows)
        if not counts:
            return len(self.header or ())
        return counts.most_common(1)[0][0]

    def column(self, index: int) -> list[str]:
        """Return one field of every sampled row that has it."""
        return [row[index] for row in self.rows if index < len(row)]


def _delimiter_of(lines: Sequence[str], file: str) -> str:
    best, best_score = "", 0.0
    for delimiter in _DELIMITERS:
        counts = Counter(line.count(delimiter) for line in lines)
        count, lines_with = counts.most_common(1)[0]
        score = lines_with / len(lines) * min(count, 3)
        if count and score > best_score:
            best, best_score = delimiter, score
    if not best:
        remedy = "Separate the fields by tab, comma, semicolon or |."
        what = f"no known delimiter in {lines[0][:60]!r}"
        raise FormatUnknown(what, file=file, remedy=remedy, row=1)
    return best


def _fields(line: str, delimiter: str) -> tuple[str, ...]:
    return tuple(field.strip().strip('"').strip() for field in line.split(delimiter))


def _is_header(fields: Sequence[str]) -> bool:
    words = sum(1 for field in fields if re.search("[A-Za-z]", field) and not _is_data(field))
    return words >= 2 and not any(_NUMBER.fullmatch(field) for field in fields)


def _is_data(field: str) -> bool:
    return bool(re.match(r"\d", field)) or field.lower() in ("nan", "inf", "-inf", "null", "none")


def head_of(lines: Sequence[str], file: str) -> Head:
    """Take the first lines of a file apart.

    Raises:
        FileEmpty: nothing but blank lines.
        FormatUnknown: no delimiter.
        FileMalformed: more columns than any market data has.
    """
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not numbered:
        remedy = "Download or export it again."
        msg = "the file holds only blank lines"
        raise FileEmpty(msg, file=file, remedy=remedy)
    numbered = numbered[: _SAMPLE_ROWS + _PREAMBLE]
    delimiter = _delimiter_of([line for _, line in numbered], file)
    split = [(number, _fields(line, delimiter)) for number, line in numbered]
    start = next((i for i, (_, row) in enumerate(split[:_PREAMBLE]) if _is_header(row)), None)
    header = None if start is None else split[start][1]
    rows = tuple(row for _, row in split[0 if start is None else start + 1 :])
    width = max(len(row) for _, row in split)
    if width > _MOST_COLUMNS:
        remedy = "Give a file with one tick or bar a line."
        msg = f"{width} columns"
        raise FileMalformed(msg, file=file, remedy=remedy)
    comma = 0
    if delimiter != ",":
        comma = sum(1 for row in rows for field in row if _COMMA_NUMBER.fullmatch(field))
    return Head(
        file=file,
        delimiter=delimiter,
        header=header,
        header_line=0 if start is None else split[start][0],
        rows=rows,
        decimal_comma=comma > len(rows) / 2,
    )


def is_numeric(fields: Sequence[str]) -> bool:
    """Tell whether every field is a number."""
    return bool(fields) and all(_NUMBER.fullmatch(field) for field in fields)


def needs_rows(head: Head) -> None:
    """Refuse a file that is a header and nothing else.

    Raises:
        FileEmpty: no data line.
    """
    if not head.rows:
        remedy = "Export it again with a range that holds data."
        msg = "a header and no rows"
        raise FileEmpty(msg, file=head.file, remedy=remedy, row=head.header_line)


def value_roles(kind: str) -> tuple[str, ...]:
    """Columns to read besides the time."""
    return BAR_COLUMNS if kind == "bars" else ("bid", "ask", "last", "volume", "flags")
