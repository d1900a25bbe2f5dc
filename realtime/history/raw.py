"""What every format's reader hands on: numbered rows as columns, and which were unreadable."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

Kind = Literal["ticks", "bars"]
Text = Callable[[NDArray[np.int64]], list[str]]

#: Column names that checks and layouts know; a reader gives the ones its file has.
TICK_COLUMNS = ("bid", "ask", "last", "volume", "flags")
BAR_COLUMNS = (
    *("open", "high", "low", "close", "ticks", "volume"),
    *("spread", "spread_max", "ask_open", "ask_close", "realised_variance", "imbalance"),
)

#: Bits of `Raw.repaired`.
FILLED = 1  # a blank price was filled forward
REPEATED = 2  # in the repeated hour of an autumn clock change
NOISE = 4  # float noise was rounded off
MOVED = 8  # sorted into place
#: No time could be read.
NO_TIME = np.iinfo(np.int64).min


@dataclass(frozen=True, kw_only=True)
class Raw:
    """A run of n source rows.

    Attributes:
        row: (n,) 1-based number in the source: line of a text file, record of a binary one.
        wall_ns: (n,) time as the source writes it; `NO_TIME` where unreadable.
        time_ns: (n,) the same in UTC, once the zone is applied; before that equal to `wall_ns`.
        columns: (n,) f8 each, named as in `TICK_COLUMNS` or `BAR_COLUMNS`; NaN = absent.
        reason: (n,) 0, or the code of why the row could not be read.
        text: maps positions in this run to the raw text of those rows.
        repaired: (n,) sum of `FILLED`, `REPEATED`, `NOISE`, `MOVED` for what was changed.
    """

    row: NDArray[np.int64]
    wall_ns: NDArray[np.int64]
    time_ns: NDArray[np.int64]
    columns: Mapping[str, NDArray[np.float64]]
    reason: NDArray[np.int64]
    text: Text
    repaired: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, kw_only=True)
class Source:
    """An opened file or array: what it is, and its rows as often as asked.

    Attributes:
        file: name for messages.
        format: ``"mt5_ticks"``, ``"dukascopy_ticks"``, ``"parquet"``...
        kind: what its rows are.
        chunks: starts reading from the beginning.
        symbol: what the content says it is, if it does.
        zone: what the content says its clock is (``"UTC"``), None if it does not.
        zone_hint: what the content says about its clock without settling it.
        timeframe_ns: what the content says, if it does; 0 = unknown.
        point: size of a point, where the content says it; 0 = unknown.
        digits: decimals that prices are written with; 0 = unknown.
        spread_in_points: the spread column counts points, not price.
        price_only: ticks have one price, neither bid nor ask.
        notes: for the report.
    """

    file: str
    format: str
    kind: Kind
    chunks: Callable[[], Iterator[Raw]]
    symbol: str | None = None
    zone: str | None = None
    zone_hint: str = ""
    timeframe_ns: int = 0
    point: float = 0.0
    digits: int = 0
    spread_in_points: bool = False
    price_only: bool = False
    notes: tuple[str, ...] = field(default_factory=tuple)


def raw(
    row: NDArray[np.int64],
    wall_ns: NDArray[np.int64],
    columns: Mapping[str, NDArray[np.float64]],
    *,
    reason: NDArray[np.int64] | None = None,
    text: Text | None = None,
    repaired: NDArray[np.int64] | None = None,
) -> Raw:
    """Make a `Raw` with nothing wrong unless said; its text is then its values."""
    count = len(row)
    return Raw(
        row=row,
        wall_ns=wall_ns,
        time_ns=wall_ns,
        columns=columns,
        reason=np.zeros(count, np.int64) if reason is None else reason,
        text=_values_text(wall_ns, columns) if text is None else text,
        repaired=np.zeros(count, np.int64) if repaired is None else repaired,
    )


def _values_text(wall_ns: NDArray[np.int64], columns: Mapping[str, NDArray[np.float64]]) -> Text:
    def text(at: NDArray[np.int64]) -> list[str]:
        frame = pl.DataFrame({"wall_ns": wall_ns[at]} | {k: v[at] for k, v in columns.items()})
        parts = [pl.format(name + "={}", pl.col(name).cast(pl.String)) for name in frame.columns]
        return frame.select(pl.concat_str(parts, separator=" ")).to_series().to_list()

    return text


def concatenate(parts: Sequence[Raw]) -> Raw:
    """Join runs of rows that have the same columns."""
    if len(parts) == 1:
        return parts[0]
    starts = np.cumsum([0, *(len(part) for part in parts)])

    def text(at: NDArray[np.int64]) -> list[str]:
        lines = np.empty(len(at), dtype=object)
        owner = np.searchsorted(starts, at, side="right") - 1
        for index in np.unique(owner):
            mine = owner == index
            lines[mine] = parts[index].text(at[mine] - starts[index])
        return lines.tolist()

    names = parts[0].columns
    return Raw(
        row=np.concatenate([part.row for part in parts]),
        wall_ns=np.concatenate([part.wall_ns for part in parts]),
        time_ns=np.concatenate([part.time_ns for part in parts]),
        columns={k: np.concatenate([part.columns[k] for part in parts]) for k in names},
        reason=np.concatenate([part.reason for part in parts]),
        text=text,
        repaired=np.concatenate([part.repaired for part in parts]),
    )


def take(rows: Raw, at: NDArray[np.int64] | slice) -> Raw:
    """Select rows by position or slice; their text stays reachable."""
    positions = np.arange(len(rows))[at] if isinstance(at, slice) else at
    return Raw(
        row=rows.row[at],
        wall_ns=rows.wall_ns[at],
        time_ns=rows.time_ns[at],
        columns={name: values[at] for name, values in rows.columns.items()},
        reason=rows.reason[at],
        text=lambda wanted: rows.text(positions[wanted]),
        repaired=rows.repaired[at],
    )


def detach(rows: Raw) -> Raw:
    """Copy rows and their text, so that the block of file they came from can be freed."""
    lines = rows.text(np.arange(len(rows)))
    return Raw(
        row=rows.row.copy(),
        wall_ns=rows.wall_ns.copy(),
        time_ns=rows.time_ns.copy(),
        columns={name: values.copy() for name, values in rows.columns.items()},
        reason=rows.reason.copy(),
        text=lambda at: [lines[index] for index in at.tolist()],
        repaired=rows.repaired.copy(),
    )
