"""Read the lake: ticks of several symbols in one order of time, in chunks of bounded size."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.history.errors import LakeEmpty
from realtime.history.lake import Lake, rows_of, stored_columns, time_name
from realtime.history.timeframe import timeframe_ns
from realtime.kernels.layout import TICK

_CHUNK_ROWS = 1 << 18
_FOREVER = np.iinfo(np.int64).max


def read_lake_ticks(
    lake: Lake,
    symbols: Sequence[str],
    start_ns: int = 0,
    end_ns: int = _FOREVER,
    chunk_rows: int = _CHUNK_ROWS,
) -> Iterator[NDArray[np.void]]:
    """Yield ticks of symbols in one order.

    The order is time, then the order of `symbols`, then the order in which they were stored; it
    does not depend on `chunk_rows`. `symbol` is the position in `symbols`, `seq` counts each
    symbol's ticks from 0 at `start_ns`.

    Args:
        lake: where from.
        symbols: e.g. ``["EURUSD", "XAUUSD"]``.
        start_ns: first time, inclusive.
        end_ns: last time, exclusive.
        chunk_rows: most rows of an array.

    Raises:
        LakeEmpty: a symbol has no ticks in the range.
        LakeDamaged: a file cannot be read.
    """
    streams = [
        _stamped(lake, symbol, position, start_ns, end_ns)
        for position, symbol in enumerate(symbols)
    ]
    for rows in _merged(streams):
        for at in range(0, len(rows), chunk_rows):
            yield rows[at : at + chunk_rows]


def read_lake_bars(
    lake: Lake, symbol: str, timeframe: str, start_ns: int = 0, end_ns: int = _FOREVER
) -> NDArray[np.void]:
    """Return a symbol's bars whose start lies in ``[start_ns, end_ns)``.

    Raises:
        LakeEmpty: there are none.
        TimeframeUnknown: no such timeframe.
    """
    timeframe_ns(timeframe, lake.address)
    kind = f"bars_{timeframe.lower()}"
    return np.concatenate(list(_rows(lake, kind, symbol, start_ns, end_ns)))


def stored(lake: Lake) -> list[dict[str, str | int]]:
    """Return what the lake holds: one row a kind and symbol, with its first and last month."""
    found: list[dict[str, str | int]] = []
    for kind in lake.kinds():
        for symbol in lake.symbols(kind):
            months = lake.months(kind, symbol)
            if months:
                found.append(
                    {
                        "kind": kind,
                        "symbol": symbol,
                        "first": str(months[0]),
                        "last": str(months[-1]),
                        "months": len(months),
                    }
                )
    return found


def _rows(
    lake: Lake, kind: str, symbol: str, start_ns: int, end_ns: int
) -> Iterator[NDArray[np.void]]:
    """Yield a symbol's rows of a time range, one row group at a time."""
    time = time_name(kind)
    any_row = False
    for month in lake.months(kind, symbol):
        if month.next.start_ns <= start_ns or month.start_ns >= end_ns:
            continue
        with lake.open_parquet(lake.path(kind, symbol, month)) as parquet:
            for group in _groups(parquet, time, start_ns, end_ns):
                table = parquet.read_row_group(group, columns=list(stored_columns(kind)))
                rows = rows_of(table, kind)
                first, last = np.searchsorted(rows[time], [start_ns, end_ns])
                if last > first:
                    any_row = True
                    yield rows[first:last]
    if not any_row:
        months = lake.months(kind, symbol)
        held = f"{months[0]} to {months[-1]}" if months else "nothing"
        remedy = f"It holds {held} of {symbol}; import what is missing."
        what = f"no {kind} of {symbol} in the range"
        raise LakeEmpty(what, file=lake.address, remedy=remedy)


def _groups(parquet: Any, time: str, start_ns: int, end_ns: int) -> Iterator[int]:
    metadata = parquet.metadata
    column = parquet.schema_arrow.get_field_index(time)
    for group in range(metadata.num_row_groups):
        statistics: Any = metadata.row_group(group).column(column).statistics
        unknown = statistics is None or not statistics.has_min_max
        if unknown or _overlap(statistics, start_ns, end_ns):
            yield group


def _overlap(statistics: Any, start_ns: int, end_ns: int) -> bool:
    return bool(statistics.max >= start_ns and statistics.min < end_ns)


def _stamped(
    lake: Lake, symbol: str, position: int, start_ns: int, end_ns: int
) -> Iterator[NDArray[np.void]]:
    seq = 0
    for rows in _rows(lake, "ticks", symbol, start_ns, end_ns):
        rows["symbol"] = position
        rows["seq"] = np.arange(seq, seq + len(rows))
        seq += len(rows)
        yield rows


def _merged(streams: Sequence[Iterator[NDArray[np.void]]]) -> Iterator[NDArray[np.void]]:
    """Merge streams by time; at equal times the earlier stream comes first."""
    if len(streams) == 1:
        yield from streams[0]
        return
    held = [np.empty(0, TICK) for _ in streams]
    running = [True for _ in streams]
    while True:
        for index, stream in enumerate(streams):
            if running[index] and len(held[index]) == 0:
                running[index] = _refill(held, index, stream)
        # Rows before the end of what every stream has shown can be ordered for good; a stream
        # may still bring rows at that very time.
        limits = [int(rows["time_ns"][-1]) for i, rows in enumerate(held) if running[i]]
        limit = min(limits, default=_FOREVER)
        cuts = [int(np.searchsorted(rows["time_ns"], limit)) for rows in held]
        if not limits:
            cuts = [len(rows) for rows in held]
        ready = np.concatenate([rows[:cut] for rows, cut in zip(held, cuts, strict=True)])
        if len(ready):
            yield ready[np.argsort(ready["time_ns"], kind="stable")]
        if not limits:
            return
        held = [rows[cut:] for rows, cut in zip(held, cuts, strict=True)]
        for index, stream in enumerate(streams):
            if running[index] and int(held[index]["time_ns"][-1]) == limit:
                running[index] = _refill(held, index, stream)


def _refill(held: list[NDArray[np.void]], index: int, stream: Iterator[NDArray[np.void]]) -> bool:
    """Append a stream's next rows to what is held of it; False at its end."""
    more = next(stream, None)
    if more is None:
        return False
    held[index] = np.concatenate([held[index], more])
    return True
