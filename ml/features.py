"""Features of history: the live kernels folded over ticks, as a frame."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.errors import TrainingRefused
from realtime.calendar import calendar_named
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import QUOTE
from realtime.symbols import Symbol, chosen_symbols

_DAY_NS = 86_400_000_000_000
EVENT_TYPE = pl.Datetime("us", "UTC")


def chunks_of(
    ticks: NDArray[np.void] | Iterable[NDArray[np.void]],
) -> Iterator[NDArray[np.void]]:
    """Yield ticks as chunks, whether they came as one array or as many."""
    if isinstance(ticks, np.ndarray):
        yield cast("NDArray[np.void]", ticks)
    else:
        yield from ticks


def event_times(times_ns: NDArray[np.int64]) -> pl.Series:
    """Return UTC nanoseconds as the timestamps of frames, whole microseconds.

    Raises:
        TrainingRefused: a time is not a whole microsecond: it would come back as another one.
    """
    if len(times_ns) and bool(np.any(times_ns % 1_000)):
        first = int(times_ns[np.flatnonzero(times_ns % 1_000)[0]])
        msg = f"the time {first} ns is not a whole microsecond: ticks have milliseconds"
        raise TrainingRefused(msg)
    return pl.Series("event_timestamp", times_ns // 1_000).cast(EVENT_TYPE)


def times_ns_of(events: pl.Series) -> NDArray[np.int64]:
    """Return timestamps of a frame as UTC nanoseconds."""
    return events.dt.epoch("us").to_numpy().astype(np.int64) * 1_000


def calendar_days(
    symbol: str, start_ns: int, end_ns: int, known: Mapping[str, Symbol] | None = None
) -> NDArray[np.void]:
    """Return the DAY rows of a symbol's calendar over a range of time.

    Args:
        symbol: whose.
        start_ns: of the range, UTC.
        end_ns: of the range.
        known: catalogue with the user's own symbols; None for the shipped one.

    Raises:
        SettingsError: the symbol is unknown.
    """
    calendar = calendar_named(chosen_symbols([symbol], known)[0].calendar)
    return calendar.days(start_ns - _DAY_NS, end_ns + _DAY_NS)


def _days_around(ticks: object, symbol: str) -> NDArray[np.void]:
    if not isinstance(ticks, np.ndarray) or ticks.size == 0:
        msg = "no ticks in one array: chunks of them need their days, see calendar_days"
        raise TrainingRefused(msg)
    times_ns = cast("NDArray[np.int64]", ticks["time_ns"])
    return calendar_days(symbol, int(times_ns.min()), int(times_ns.max()))


def feature_rows(
    ticks: NDArray[np.void] | Iterable[NDArray[np.void]],
    feature_set: FeatureSet,
    clock: str,
    symbol: str,
    *,
    days: NDArray[np.void] | None = None,
    row: int = 0,
    rows: Sequence[int] = (),
) -> pl.DataFrame:
    """Fold history through features: one row a finished bar of the deciding clock.

    Args:
        ticks: (n,) TICK in the order of the feed, or chunks of it.
        feature_set: what to compute.
        clock: whose bars ask for a row.
        symbol: written into the frame, and whose calendar it is.
        days: DAY rows; those of the symbol's calendar if not given (then `ticks` is one array).
        row: desk row of the symbol: what ``ticks["symbol"]`` says.
        rows: desk rows of `feature_set.symbols`, own first, where there are such.

    Returns:
        ``event_timestamp`` (us, UTC; when the row was known), ``symbol``, float64 columns; NaN
        while a feature is not warm. Equal to what the loop computes live, to the bit.

    Raises:
        FeatureError: ticks outside of the calendar, or no feature on the clock.
    """
    days = _days_around(ticks, symbol) if days is None else days
    fused = feature_set.compile(tuple(rows))
    state = fused.state()
    quotes = np.zeros(max((row, *rows)) + 1, QUOTE)
    times_ns: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    values: list[NDArray[np.float64]] = [np.zeros((0, len(fused.columns)))]
    for chunk in chunks_of(ticks):
        for due_ns, block in fused.history(
            chunk, days, clock=clock, state=state, symbol=row, quotes=quotes
        ):
            times_ns.append(due_ns.copy())
            values.append(block.copy())
    table = np.concatenate(values)
    events = event_times(np.concatenate(times_ns))
    columns = {name: table[:, k] for k, name in enumerate(feature_set.columns)}
    return pl.DataFrame({"event_timestamp": events, **columns}).select(
        "event_timestamp", pl.lit(symbol).alias("symbol"), *feature_set.columns
    )
