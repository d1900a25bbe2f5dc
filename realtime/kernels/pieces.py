"""Pieces: what every kind of bar is built from, and the bar in the making.

A piece is a BAR record. `tick_piece_step` turns a tick into a degenerate one (``end_ns ==
open_ns``, one tick); a finished lower bar is a piece as it is. The ``forming_*`` kernels are what
time bars and event bars have in common; their `state` is a FORMING record.
"""

import math

import numpy as np

from realtime.kernels.jit import kernel
from realtime.kernels.layout import BAR

REFUSED = -1  # a step: the piece was refused, nothing changed

_LIMIT = 1e300  # prices and volumes above cannot be summed; no market is there

PIECE_STATE = np.dtype(
    [("last_mid", "f8"), ("piece", BAR)],  # `piece`: room for the callers' current one
    align=True,
)

#: The bar in the making. One dtype for all builders: numba takes a record whose first fields are
#: those of another for its subtype, and warns.
FORMING = np.dtype(
    [
        ("bar", BAR),
        ("spread_sum", "f8"),  # sum of spread_mean * ticks
        ("weight", "i8"),  # sum of max(ticks, 1); 0 = no bar is forming
        ("done_ns", "i8"),  # end of the last finished bar
    ],
    align=True,
)


@kernel
def quote_is_sound(bid: float, ask: float) -> bool:
    """Tell whether a quote is two positive finite prices that do not cross."""
    return bid > 0.0 and ask >= bid and ask < _LIMIT


@kernel
def tick_volume(volume: float) -> float:
    """Return a tick's volume, or 1 where the feed has none."""
    return volume if 0.0 < volume < _LIMIT else 1.0


@kernel
def direction(mid: float, last: float) -> int:
    """Return the sign of the mid's change, 0 when there is no previous one."""
    if last <= 0.0:
        return 0
    return int(mid > last) - int(mid < last)


@kernel
def squared_return(mid: float, last: float) -> float:
    """Return ``log(mid / last) ** 2``, or 0 when there is no previous mid.

    For the usual small move by ``log(a / b) = 2 atanh(z)``, ``z = (a - b) / (a + b)``, whose series
    is exact to the last bit or two after three terms, where the logarithm has lost half of the
    digits to the rounding of the ratio; and it is several times faster.
    """
    if last <= 0.0:
        return 0.0
    z = (mid - last) / (mid + last)
    square = z * z
    if square > 1e-6:
        change = math.log(mid / last)
        return change * change
    series = 1.0 + square * (1.0 / 3.0 + square * 0.2)
    return 4.0 * square * (series * series)


@kernel
def tick_piece_step(state: np.void, tick: np.void, out_bar: np.void) -> int:
    """Turn a tick into a piece.

    OHLC is the bid, ``spread`` is ask minus bid, ``imbalance`` the sign of the mid's change since
    the previous tick (0 for the first), ``realised_variance`` the squared log return of the mid
    since the previous tick, ``volume`` the tick's own or 1 where the feed has none.

    Args:
        state: PIECE_STATE record, zeros at the start of a feed.
        tick: TICK record.
        out_bar: BAR record that receives the piece.

    Returns:
        0, or `REFUSED` (-1) when the quote is NaN, infinite, not positive or crossed: nothing is
        written then and the tick must not be added to a bar.
    """
    bid, ask = float(tick["bid"]), float(tick["ask"])
    if not quote_is_sound(bid, ask):
        return REFUSED
    mid, last = 0.5 * (bid + ask), float(state["last_mid"])
    state["last_mid"] = mid
    out_bar["open_ns"] = tick["time_ns"]
    out_bar["end_ns"] = tick["time_ns"]
    out_bar["open"] = bid
    out_bar["high"] = bid
    out_bar["low"] = bid
    out_bar["close"] = bid
    out_bar["spread_mean"] = ask - bid
    out_bar["spread_max"] = ask - bid
    out_bar["volume"] = tick_volume(float(tick["volume"]))
    out_bar["realised_variance"] = squared_return(mid, last)
    out_bar["ticks"] = 1
    out_bar["imbalance"] = direction(mid, last)
    return 0


@kernel
def copy_bar(source: np.void, target: np.void) -> None:
    """Copy a BAR record, field by field: records are assigned by key only."""
    target["open_ns"] = source["open_ns"]
    target["end_ns"] = source["end_ns"]
    target["open"] = source["open"]
    target["high"] = source["high"]
    target["low"] = source["low"]
    target["close"] = source["close"]
    target["spread_mean"] = source["spread_mean"]
    target["spread_max"] = source["spread_max"]
    target["volume"] = source["volume"]
    target["realised_variance"] = source["realised_variance"]
    target["ticks"] = source["ticks"]
    target["imbalance"] = source["imbalance"]


@kernel
def piece_is_sound(piece: np.void) -> bool:
    """Tell whether a piece's prices are positive finite numbers with low <= open, close <= high."""
    low, high = piece["low"], piece["high"]
    return (
        low > 0.0
        and high < _LIMIT
        and low <= piece["open"]
        and piece["open"] <= high
        and low <= piece["close"]
        and piece["close"] <= high
    )


@kernel
def forming_start(state: np.void, piece: np.void) -> None:
    """Begin a bar with its first piece; the caller then sets ``open_ns`` and ``end_ns``."""
    copy_bar(piece, state["bar"])
    weight = max(int(piece["ticks"]), 1)
    state["weight"] = weight
    state["spread_sum"] = piece["spread_mean"] * weight


@kernel
def forming_merge_values(
    state: np.void,
    high: float,
    low: float,
    close: float,
    spread_sum: float,
    spread_max: float,
    volume: float,
    variance: float,
    weight: int,
    ticks: int,
    imbalance: int,
) -> None:
    """Add a piece, given as numbers, to the bar in the making; see `forming_merge`."""
    bar = state["bar"]
    if high > bar["high"]:
        bar["high"] = high
    if low < bar["low"]:
        bar["low"] = low
    bar["close"] = close
    state["weight"] += weight
    state["spread_sum"] += spread_sum
    bar["spread_mean"] = state["spread_sum"] / state["weight"]
    # A NaN on either side stays or enters: one piece without a spread leaves the bar without.
    if spread_max > bar["spread_max"] or spread_max != spread_max:  # noqa: PLR0124
        bar["spread_max"] = spread_max
    bar["volume"] += volume
    bar["realised_variance"] += variance
    bar["ticks"] += ticks
    bar["imbalance"] += imbalance


@kernel
def forming_merge(state: np.void, piece: np.void) -> None:
    """Add a piece to the bar in the making, whose interval stays as it is.

    A statistic that one piece lacks (NaN) is lacking in the bar: an average over half of the ticks
    would look like one over all of them.
    """
    ticks = int(piece["ticks"])
    weight = max(ticks, 1)
    forming_merge_values(
        state,
        piece["high"],
        piece["low"],
        piece["close"],
        piece["spread_mean"] * weight,
        piece["spread_max"],
        piece["volume"],
        piece["realised_variance"],
        weight,
        ticks,
        piece["imbalance"],
    )


@kernel
def forming_finish(state: np.void, out_bar: np.void) -> None:
    """Write the bar in the making to `out_bar` and forget it."""
    bar = state["bar"]
    copy_bar(bar, out_bar)
    state["done_ns"] = bar["end_ns"]
    state["weight"] = 0
