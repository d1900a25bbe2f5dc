"""Bars by activity instead of by the clock: ticks, volume, traded value, imbalance of value.

They consume the same pieces as time bars (from `pieces.tick_piece_step`, or finished lower bars)
and give the same BAR records. ``open_ns`` is the time of the first piece, ``end_ns`` the end of the
last one, which for ticks is the time of the last tick: the bar is known from that moment on.
Nothing is carried over a threshold: the piece that crosses it closes the bar, and the next starts
from zero. Bars run across nights and weekends.

The forming bar is ``state["forming"]["bar"]``, real when ``state["forming"]["weight"] > 0``.
Unsound pieces and pieces older than the forming bar's start or the last bar's end are refused with
-1 and change nothing.

Source: M. Lopez de Prado, Advances in Financial Machine Learning (2018), chapter 2.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.bars import NO_ROOM
from realtime.kernels.jit import kernel
from realtime.kernels.pieces import (
    FORMING,
    REFUSED,
    forming_finish,
    forming_merge,
    forming_start,
    piece_is_sound,
    tick_piece_step,
    tick_volume,
)

# What a bar is measured in.
BY_TICKS = 0
BY_VOLUME = 1
BY_VALUE = 2
BY_IMBALANCE = 3

# One layout for all kinds, so that one fold drives them all.
EVENT_PARAMS = np.dtype(
    [
        ("kind", "i8"),
        ("threshold", "f8"),  # ticks, volume or value that closes a bar; unused by imbalance
        ("initial_ticks", "f8"),  # imbalance: length of the first bar and first expectation
        ("min_ticks", "i8"),  # imbalance: no bar closes before
        ("max_ticks", "i8"),  # imbalance: every bar closes here; 0 = no maximum
        ("alpha", "f8"),  # imbalance: weight of the newest bar in both averages, (0, 1]
    ],
    align=True,
)

EVENT_BAR = np.dtype(
    [
        ("forming", FORMING),
        ("filled", "f8"),  # ticks, volume or value so far; for imbalance bars theta
        ("sign", "i8"),  # imbalance: b of the last piece
        ("bars", "i8"),  # imbalance: finished so far
        ("expected_ticks", "f8"),
        ("expected_imbalance", "f8"),  # signed value a tick
    ],
    align=True,
)


@kernel
def _add(state: np.void, piece: np.void) -> int:
    """Merge a piece, or start a bar with it; 0, or `REFUSED` when it is unsound or too old."""
    forming = state["forming"]
    bar = forming["bar"]
    time_ns = int(piece["open_ns"])
    if (
        time_ns < forming["done_ns"]
        or piece["end_ns"] < time_ns
        or (forming["weight"] > 0 and time_ns < bar["open_ns"])
        or not piece_is_sound(piece)
    ):
        return REFUSED
    if forming["weight"] > 0:
        forming_merge(forming, piece)
        bar["end_ns"] = max(int(bar["end_ns"]), int(piece["end_ns"]))
    else:
        forming_start(forming, piece)
        state["filled"] = 0.0
    return 0


@kernel
def _volume(piece: np.void) -> float:
    """Return the piece's volume, or its ticks where the feed has no usable volume."""
    volume = float(piece["volume"])
    if tick_volume(volume) == volume:
        return volume
    return float(max(int(piece["ticks"]), 1))


@kernel
def _close_if(full: bool, state: np.void, out_bar: np.void) -> int:
    if not full:
        return 0
    forming_finish(state["forming"], out_bar)
    return 1


@kernel
def tick_bar_step(state: np.void, piece: np.void, params: np.void, out_bar: np.void) -> int:
    """Close a bar after ``params["threshold"]`` ticks.

    Args:
        state: EVENT_BAR record, zeros at the start.
        piece: BAR record: a tick's piece or a finished lower bar (which is never split).
        params: EVENT_PARAMS record.
        out_bar: BAR record, written when a bar is finished.

    Returns:
        1 if `out_bar` holds a finished bar, 0 if not, `REFUSED` (-1) if the piece was refused.
    """
    if _add(state, piece) == REFUSED:
        return REFUSED
    return _close_if(state["forming"]["weight"] >= params["threshold"], state, out_bar)


@kernel
def volume_bar_step(state: np.void, piece: np.void, params: np.void, out_bar: np.void) -> int:
    """Close a bar once its volume reaches ``params["threshold"]``; see `tick_bar_step`."""
    if _add(state, piece) == REFUSED:
        return REFUSED
    state["filled"] += _volume(piece)
    return _close_if(state["filled"] >= params["threshold"], state, out_bar)


@kernel
def value_bar_step(state: np.void, piece: np.void, params: np.void, out_bar: np.void) -> int:
    """Close a bar once the value traded, volume times closing bid, reaches the threshold.

    AFML's dollar bars, in price units times volume; see `tick_bar_step`.
    """
    if _add(state, piece) == REFUSED:
        return REFUSED
    state["filled"] += _volume(piece) * piece["close"]
    return _close_if(state["filled"] >= params["threshold"], state, out_bar)


@kernel
def imbalance_bar_step(state: np.void, piece: np.void, params: np.void, out_bar: np.void) -> int:
    r"""Close a bar when buying or selling outweighs the other side more than expected.

    AFML 2.3.2.1-2 (dollar imbalance bars). With ``b_t`` the sign of the mid's last change and
    ``v_t`` volume times closing bid of piece t, a bar of T ticks closes at the first t where

        |theta| >= E[T] * |E[b v]|,      theta = sum of b_t v_t over the bar,

    and both expectations are exponentially weighted over finished bars:

        E[T]   <- (1 - alpha) E[T]   + alpha * T
        E[b v] <- (1 - alpha) E[b v] + alpha * theta / T.

    Initially ``E[T] = initial_ticks``; the first bar closes after that many ticks and its theta / T
    is the first ``E[b v]``. A piece of several ticks has ``b`` = its imbalance over its ticks; a
    single tick without a change keeps the sign before it (0 at the start).

    The recursion as published can run away, to bars of one tick or to bars without end. So, in
    addition, no bar closes before ``min_ticks`` and every bar closes at ``max_ticks`` (0 = never).

    Arguments and result as `tick_bar_step`.
    """
    if _add(state, piece) == REFUSED:
        return REFUSED
    piece_ticks = max(int(piece["ticks"]), 1)
    share = float(piece["imbalance"]) / piece_ticks
    if piece_ticks == 1:
        if piece["imbalance"] != 0:
            state["sign"] = 1 if piece["imbalance"] > 0 else -1
        share = float(state["sign"])
    state["filled"] += share * (_volume(piece) * piece["close"])
    theta, ticks = float(state["filled"]), int(state["forming"]["weight"])
    if state["bars"] == 0:
        full = ticks >= params["initial_ticks"]
    else:
        full = abs(theta) >= state["expected_ticks"] * abs(state["expected_imbalance"])
    full = full and ticks >= params["min_ticks"]
    full = full or (params["max_ticks"] > 0 and ticks >= params["max_ticks"])
    if full:
        alpha = float(params["alpha"])
        if state["bars"] == 0:
            state["expected_ticks"] = params["initial_ticks"]
            state["expected_imbalance"] = theta / ticks
        else:
            state["expected_imbalance"] += alpha * (theta / ticks - state["expected_imbalance"])
        state["expected_ticks"] += alpha * (ticks - state["expected_ticks"])
        state["bars"] += 1
    return _close_if(full, state, out_bar)


@kernel
def event_pieces_step(state: np.void, piece: np.void, params: np.void, out_bar: np.void) -> int:
    """Step the kind of bar that ``params["kind"]`` names; the rest as `tick_bar_step`."""
    kind = params["kind"]
    if kind == BY_TICKS:
        return tick_bar_step(state, piece, params, out_bar)
    if kind == BY_VOLUME:
        return volume_bar_step(state, piece, params, out_bar)
    if kind == BY_VALUE:
        return value_bar_step(state, piece, params, out_bar)
    return imbalance_bar_step(state, piece, params, out_bar)


@kernel
def event_pieces_fold(
    state: np.void, pieces: NDArray[np.void], params: np.void, out_bars: NDArray[np.void]
) -> int:
    """Build event bars from finished lower bars; the rest as `event_bars_fold`."""
    count, room = 0, out_bars.size
    for i in range(pieces.size):
        if count == room:
            return NO_ROOM
        count += max(event_pieces_step(state, pieces[i], params, out_bars[count]), 0)
    return count


@kernel
def event_bars_step(
    state: np.void, piece_state: np.void, tick: np.void, params: np.void, out_bar: np.void
) -> int:
    """Make a piece of a tick and step with it; the rest as `tick_bar_step`."""
    piece = piece_state["piece"]
    if tick_piece_step(piece_state, tick, piece) == REFUSED:
        return REFUSED
    return event_pieces_step(state, piece, params, out_bar)


@kernel
def event_bars_fold(
    state: np.void,
    piece_state: np.void,
    ticks: NDArray[np.void],
    params: np.void,
    out_bars: NDArray[np.void],
) -> int:
    """Build the event bars of many ticks; chunks of any size give the same bars.

    Args:
        state: EVENT_BAR record, carried from chunk to chunk.
        piece_state: PIECE_STATE record, carried likewise.
        ticks: (n,) TICK records in order of time; refused ticks are left out.
        params: EVENT_PARAMS record.
        out_bars: BAR records; n always suffice.

    Returns:
        How many bars were finished and written; the forming one stays in `state`. `NO_ROOM` (-3) if
        `out_bars` is full, the state is then that of the moment.
    """
    count, room = 0, out_bars.size
    for i in range(ticks.size):
        if count == room:
            return NO_ROOM
        written = event_bars_step(state, piece_state, ticks[i], params, out_bars[count])
        count += max(written, 0)
    return count
