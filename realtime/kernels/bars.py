"""Time bars from ticks and from lower bars: one implementation, because everything is a *piece*.

A piece is a tick as a degenerate bar or a finished lower bar (`realtime.kernels.pieces`). So M5
bars come from M1 bars or from ticks through the same kernel, and OHLC, ticks and imbalance are
equal to the bit.

Callers do three things for every piece, in this order::

    time_bar_close_step(state, time_ns, out)  # 1: the forming bar was over before this piece
    tick_piece_step(piece_state, tick, piece)  # ticks only
    time_bar_add_step(state, piece, anchor_ns, timeframe_ns, out)  # 1: out holds a finished bar

(`time_bars_step` is the three in one) and may close by the clock alone when no tick arrives.
The forming bar is ``state["bar"]``, complete at any time and real when ``state["weight"] > 0``. An
interval without ticks makes no bar, as in MetaTrader. The bar that nothing has closed yet is not
written by a fold: flush it with `time_bar_close_step` and its own ``end_ns``.

Who filters: importers and the gateway. What still reaches these kernels broken is refused with -1
and changes nothing: a price that is not a positive finite number, a crossed quote, a piece older
than the forming bar or than the end of the last finished one, a bar longer than the timeframe.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.days import OUTSIDE, bar_anchor_ns, day_row_step
from realtime.kernels.jit import kernel
from realtime.kernels.pieces import (
    FORMING,
    PIECE_STATE,
    REFUSED,
    direction,
    forming_finish,
    forming_merge,
    forming_merge_values,
    forming_start,
    piece_is_sound,
    quote_is_sound,
    squared_return,
    tick_piece_step,
    tick_volume,
)

__all__ = [  # PIECE_STATE, REFUSED and tick_piece_step belong to whoever builds bars
    "NO_DAY",
    "NO_ROOM",
    "PIECE_STATE",
    "REFUSED",
    "TIMEFRAMES_NS",
    "TIME_BAR",
    "bars_merge_fold",
    "bars_merge_step",
    "tick_piece_step",
    "time_bar_add_step",
    "time_bar_close_step",
    "time_bars_fold",
    "time_bars_step",
]

_MINUTE_NS = 60_000_000_000

#: Name of every timeframe and its length. Weekly bars start on Sunday, as in MetaTrader.
TIMEFRAMES_NS = {
    **{f"M{n}": n * _MINUTE_NS for n in (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30)},
    **{f"H{n}": n * 60 * _MINUTE_NS for n in (1, 2, 3, 4, 6, 8, 12)},
    "D1": 1440 * _MINUTE_NS,
    "W1": 7 * 1440 * _MINUTE_NS,
}

NO_DAY = -2  # a fold: a tick lies outside the table of days
NO_ROOM = -3  # a fold: out_bars is too short

_BLOCK = 128  # ticks read ahead by a fold

#: State of a builder of time bars.
TIME_BAR = FORMING


@kernel
def time_bar_close_step(state: np.void, time_ns: int, out_bar: np.void) -> int:
    """Finish the forming bar if its interval ended at or before a moment.

    Args:
        state: TIME_BAR record, zeros at the start.
        time_ns: now, or the time of the next piece.
        out_bar: BAR record, written when a bar is finished.

    Returns:
        1 if `out_bar` holds a finished bar, else 0.
    """
    if state["weight"] == 0 or time_ns < state["bar"]["end_ns"]:
        return 0
    forming_finish(state, out_bar)
    return 1


@kernel
def time_bar_add_step(
    state: np.void, piece: np.void, day_start_ns: int, timeframe_ns: int, out_bar: np.void
) -> int:
    """Merge a piece into the bar of its interval, starting that bar if it is the first.

    Intervals are ``day_start_ns + [k, k + 1) * timeframe_ns``: aligned to the trading day, so that
    H4 and D1 turn at 17:00 New York as on most MetaTrader servers, which up to H1 is the same as
    alignment to UTC. A piece belongs to the interval in which it opens. When a day is not a whole
    number of intervals (25 hours in autumn) the next day's first piece ends the last one early.

    Equals polars ``group_by_dynamic(every=timeframe, offset=day start)`` over the ticks.

    Args:
        state: TIME_BAR record, zeros at the start.
        piece: BAR record: a tick's piece or a finished lower bar.
        day_start_ns: where intervals are counted from, see `days.bar_anchor_ns`.
        timeframe_ns: length of the bar.
        out_bar: BAR record, written when a bar is finished.

    Returns:
        1 if `out_bar` holds a finished bar: the piece's own (a lower bar that reaches the end of
        the interval), or the forming one if the piece lies beyond it. 0 if not. `REFUSED` (-1) for
        an unsound piece, one older than the forming bar or than the last finished one, or one
        longer than the timeframe; nothing changes then.
    """
    bar = state["bar"]
    time_ns = int(piece["open_ns"])
    piece_end_ns = int(piece["end_ns"])
    if (
        time_ns < state["done_ns"]
        or piece_end_ns < time_ns
        or piece_end_ns - time_ns > timeframe_ns
        or not piece_is_sound(piece)
    ):
        return REFUSED
    finished = 0
    if state["weight"] > 0:
        if time_ns < bar["open_ns"]:
            return REFUSED
        if time_ns < bar["end_ns"] and day_start_ns <= bar["open_ns"]:
            forming_merge(state, piece)
            if piece_end_ns > time_ns and piece_end_ns >= bar["end_ns"]:
                forming_finish(state, out_bar)
                return 1
            return 0
    start_ns = day_start_ns + (time_ns - day_start_ns) // timeframe_ns * timeframe_ns
    if state["weight"] > 0:
        bar["end_ns"] = min(int(bar["end_ns"]), start_ns)
        forming_finish(state, out_bar)
        finished = 1
    forming_start(state, piece)
    bar["open_ns"] = start_ns
    bar["end_ns"] = start_ns + timeframe_ns
    if finished == 0 and piece_end_ns > time_ns and piece_end_ns >= bar["end_ns"]:
        forming_finish(state, out_bar)
        finished = 1
    return finished


@kernel
def _tick_elsewhere(
    state: np.void,
    piece_state: np.void,
    tick: np.void,
    day_start_ns: int,
    timeframe_ns: int,
    out_bar: np.void,
) -> int:
    closed = time_bar_close_step(state, int(tick["time_ns"]), out_bar)
    piece = piece_state["piece"]
    if tick_piece_step(piece_state, tick, piece) == REFUSED:
        return REFUSED if closed == 0 else closed
    added = time_bar_add_step(state, piece, day_start_ns, timeframe_ns, out_bar)
    return added if closed == 0 else closed


@kernel
def time_bars_step(
    state: np.void,
    piece_state: np.void,
    tick: np.void,
    day_start_ns: int,
    timeframe_ns: int,
    out_bar: np.void,
) -> int:
    """Close, make a piece, add: the three calls for a tick in one, and the quickest way.

    The tick that falls into the forming bar, nearly every one, is merged without ever becoming a
    record; all others take the three calls. Both ways end in the same bits. Arguments as there.

    Returns:
        1 if `out_bar` holds a finished bar (at most one: a tick finishes only what was before it),
        0 if not, `REFUSED` (-1) if the tick was refused and no bar was finished.
    """
    time_ns = int(tick["time_ns"])
    bar = state["bar"]
    if (
        state["weight"] > 0
        and bar["open_ns"] <= time_ns
        and time_ns < bar["end_ns"]
        and day_start_ns <= bar["open_ns"]
    ):
        bid, ask = float(tick["bid"]), float(tick["ask"])
        if not quote_is_sound(bid, ask):
            return REFUSED
        mid, last = 0.5 * (bid + ask), float(piece_state["last_mid"])
        piece_state["last_mid"] = mid
        forming_merge_values(
            state,
            bid,
            bid,
            bid,
            ask - bid,
            ask - bid,
            tick_volume(float(tick["volume"])),
            squared_return(mid, last),
            1,
            1,
            direction(mid, last),
        )
        return 0
    return _tick_elsewhere(state, piece_state, tick, day_start_ns, timeframe_ns, out_bar)


@kernel
def _time_span(ticks: NDArray[np.void], start: int, stop: int) -> tuple[int, int]:
    """Return the earliest and the latest time of some ticks.

    Reading ahead in so short a loop keeps many cache lines on their way at once, which the long
    loop after it cannot: it halves the time of a fold over more ticks than fit into the cache.
    """
    earliest_ns = latest_ns = int(ticks[start]["time_ns"])
    for i in range(start + 1, stop):
        time_ns = int(ticks[i]["time_ns"])
        earliest_ns = min(earliest_ns, time_ns)
        latest_ns = max(latest_ns, time_ns)
    return earliest_ns, latest_ns


@kernel
def time_bars_fold(
    state: np.void,
    piece_state: np.void,
    ticks: NDArray[np.void],
    days: NDArray[np.void],
    first_day: int,
    last_day: int,
    timeframe_ns: int,
    out_bars: NDArray[np.void],
) -> int:
    """Build the bars of one timeframe from many ticks; chunks of any size give the same bars.

    Args:
        state: TIME_BAR record, carried from chunk to chunk.
        piece_state: PIECE_STATE record, carried likewise.
        ticks: (n,) TICK records in order of time; refused ticks are left out.
        days: DAY records, see `realtime.calendar`.
        first_day: first row of this symbol's calendar.
        last_day: one past its last row.
        timeframe_ns: length of the bars.
        out_bars: BAR records; n + 1 always suffice (untouched memory costs nothing).

    Returns:
        How many bars were finished and written; the forming one stays in `state`. `NO_DAY` (-2) if
        a tick lies outside the table of days, `NO_ROOM` (-3) if `out_bars` is full: both are
        mistakes of the caller, and the state is then that of the moment.
    """
    row, count, room = OUTSIDE, 0, out_bars.size
    for start in range(0, ticks.size, _BLOCK):
        stop = min(start + _BLOCK, ticks.size)
        earliest_ns, latest_ns = _time_span(ticks, start, stop)
        row = day_row_step(days, row, first_day, last_day, earliest_ns)
        one_day = row != OUTSIDE and latest_ns < days[row]["end_ns"]
        for i in range(start, stop):
            tick = ticks[i]
            if not one_day:
                row = day_row_step(days, row, first_day, last_day, int(tick["time_ns"]))
            if row == OUTSIDE:
                return NO_DAY
            if count == room:
                return NO_ROOM
            anchor_ns = bar_anchor_ns(days, row, first_day, timeframe_ns)
            written = time_bars_step(
                state, piece_state, tick, anchor_ns, timeframe_ns, out_bars[count]
            )
            count += max(written, 0)
    return count


@kernel
def bars_merge_step(
    state: np.void,
    piece: np.void,
    day_start_ns: int,
    timeframe_ns: int,
    out_bars: NDArray[np.void],
    at: int,
) -> int:
    """Close, then add a finished lower bar; it may finish the bar before it and its own.

    Returns:
        How many bars (0, 1 or 2) were written to ``out_bars[at]`` and ``out_bars[at + 1]``.
    """
    count = time_bar_close_step(state, int(piece["open_ns"]), out_bars[at])
    out_bar = out_bars[at + count]
    return count + max(time_bar_add_step(state, piece, day_start_ns, timeframe_ns, out_bar), 0)


@kernel
def bars_merge_fold(
    state: np.void,
    bars: NDArray[np.void],
    days: NDArray[np.void],
    first_day: int,
    last_day: int,
    timeframe_ns: int,
    out_bars: NDArray[np.void],
) -> int:
    """Build the bars of a higher timeframe from n lower ones; the rest as `time_bars_fold`.

    A finished lower bar that reaches the end of the interval finishes the higher one at once, so
    nothing waits for the next bar. The lower timeframe should divide the higher one; a bar that
    straddles belongs to the interval in which it opens. Here n + 2 rows of `out_bars` suffice.
    """
    row, count, room = OUTSIDE, 0, out_bars.size
    for i in range(bars.size):
        row = day_row_step(days, row, first_day, last_day, int(bars[i]["open_ns"]))
        if row == OUTSIDE:
            return NO_DAY
        if count + 2 > room:
            return NO_ROOM
        anchor_ns = bar_anchor_ns(days, row, first_day, timeframe_ns)
        count += bars_merge_step(state, bars[i], anchor_ns, timeframe_ns, out_bars, count)
    return count
