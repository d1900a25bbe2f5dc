"""Tables that read well in a terminal and in Markdown."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Table:
    """One section of the bench.

    Attributes:
        title: heading.
        columns: names; the first column is text, the others are numbers (aligned right).
        rows: cells as text.
        notes: sentences printed under the table.
    """

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: Sequence[str] = field(default_factory=tuple[str, ...])

    def text(self) -> str:
        """Return the table for a terminal."""
        widths = [
            max(len(row[at]) for row in (self.columns, *self.rows))
            for at in range(len(self.columns))
        ]
        lines = [self.title, "-" * len(self.title), _line(self.columns, widths)]
        lines += [_line(row, widths) for row in self.rows]
        return "\n".join([*lines, *self.notes]) + "\n"

    def markdown(self) -> str:
        """Return the table for a page."""
        ruler = ["---", *["---:"] * (len(self.columns) - 1)]
        lines = [f"### {self.title}", ""]
        lines += ["| " + " | ".join(cells) + " |" for cells in (self.columns, ruler, *self.rows)]
        lines += ["", "\n".join(f"{note}  " for note in self.notes).rstrip()]
        return "\n".join(lines).rstrip() + "\n"


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first = cells[0].ljust(widths[0])
    rest = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
    return "  ".join([first, *rest])


def count(number: float) -> str:
    """Write a large number the way people read it: 6.4M, 150k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if abs(number) >= size:
            scaled = number / size
            return f"{scaled:.1f}{unit}" if scaled < 100 else f"{scaled:.0f}{unit}"
    return f"{number:.0f}"
