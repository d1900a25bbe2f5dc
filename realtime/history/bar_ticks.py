"""Bars become ticks, as the MetaTrader 5 tester makes them: deterministic, on the price grid.

Prices are whole points of the bid; the ask is a spread above it that stays the same inside a bar.
A rising bar goes open, low, high, close; a falling one open, high, low, close; one that closes
where it opened goes the other way than the bar before it.

- ``"ohlc"``: these four points (fewer in a bar of fewer ticks).
- ``"every"``: as many ticks as the bar had. Up to eleven support points after the open divide the
  path: the open shadow, the range and the close shadow get shares such as 3-5-3 of them, and the
  way between a shadow's or the range's ends is a wave of equal impulses, each followed by a
  pullback of one point. The rest of the ticks lie between support points: in a line where there
  are prices enough, else alternating over one point.

A bar of one tick is its close; of two its open and close; of three these and the extreme that
tells most. From four ticks on every bar's open, high, low and close are among its ticks. A bar
whose source counted no ticks becomes four.

What happened first inside a bar, and when, is not known: ticks are spread evenly from its first
to its last millisecond. Test nothing on them that needs the truth about it.

Source of the rules: MetaTrader 5 help, "Real and generated ticks".
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from realtime.history.errors import HistoryError
from realtime.kernels.layout import TICK

Mode = Literal["ohlc", "every"]
#: How bars may become ticks.
MODES: tuple[Mode, ...] = ("ohlc", "every")

_FLAG_BID = 2
_FLAG_ASK = 4
_MS_NS = 1_000_000
_GRID = 1e-3  # of a point: how far from the grid a price may be and still be on it
_BLOCK_TICKS = 1 << 20
_WHOLE = 4  # ticks from which on a bar has all of its prices; of a bar that counted none
# Support points of the open shadow, the range and the close shadow, by how many there may be.
_FEWEST, _MOST = 3, 11
_SHARES = np.array(
    [
        *[(0, 0, 0)] * _FEWEST,
        *[(1, 1, 1), (1, 2, 1), (1, 3, 1), (1, 4, 1), (2, 3, 2)],
        *[(2, 4, 2), (2, 5, 2), (2, 6, 2), (3, 5, 3)],
    ]
)

_Points = NDArray[np.int64]


class BarsUnusable(HistoryError):
    """Bars that cannot become ticks: off the price grid, without a spread, or in disorder."""


def bar_ticks(
    bars: NDArray[np.void],
    *,
    point: float,
    mode: Mode = "ohlc",
    assumed_spread_points: float = 0.0,
    symbol: int = 0,
    before: np.void | None = None,
) -> NDArray[np.void]:
    """Make ticks of bars.

    Args:
        bars: (n,) BAR in order of time, of any timeframe.
        point: of the symbol, e.g. 0.00001; every price is a whole number of points.
        mode: ``"ohlc"`` or ``"every"``.
        assumed_spread_points: for bars without a spread (NaN or 0); 0 = refuse them.
        symbol: TICK.symbol.
        before: the BAR before the first, where these are part of a longer history: a first bar
            that closes where it opened depends on it.

    Returns:
        (m,) TICK: whole milliseconds, the first of a bar at its ``open_ns``, the last one
        millisecond before its ``end_ns``; `seq` counts from 1; `last` is NaN and `volume` 0.

    Raises:
        BarsUnusable: see there; the message names the bar.
    """
    if mode not in MODES:
        remedy = f"Use {' or '.join(MODES)}."
        msg = f"no such way to make ticks of bars: {mode!r}"
        raise BarsUnusable(msg, file="bars", remedy=remedy)
    points_a_unit = _points_a_unit(point)
    prices = np.stack([_in_points(bars, name, point) for name in ("open", "high", "low", "close")])
    spreads = _spreads(bars, point, assumed_spread_points)
    _check(bars, prices)
    is_up = _directions(prices[0], prices[3], before)
    counts = np.where(bars["ticks"] > 0, bars["ticks"], _WHOLE)
    if mode == "ohlc":
        counts = np.minimum(counts, _WHOLE)
    ends = np.cumsum(counts)
    ticks = np.zeros(int(ends[-1]) if len(ends) else 0, TICK)
    ticks["seq"] = np.arange(1, len(ticks) + 1)
    ticks["last"] = np.nan
    ticks["symbol"] = symbol
    for first, last in _blocks(ends):
        at = slice(first, last)
        start, end = int(ends[first] - counts[first]), int(ends[last - 1])
        part = ticks[start:end]
        bids = _paths(prices[:, at], is_up[at], counts[at])
        asks = bids + np.repeat(spreads[at], counts[at])
        part["time_ns"] = _times(bars[at], counts[at])
        for name, values in (("bid", bids), ("ask", asks)):
            part[name] = values / points_a_unit if point < 1 else values * point
    _flag(ticks)
    return ticks


def merge_ticks(streams: Sequence[NDArray[np.void]]) -> NDArray[np.void]:
    """Merge ticks of several symbols in the order of a feed: by time, then by place in `streams`.

    Args:
        streams: (n,) TICK of one symbol each, in order of time.

    Returns:
        All of them; `symbol` is the place in `streams`, `seq` counts each symbol's from 1.
    """
    rows = np.concatenate([np.zeros(0, TICK), *streams])
    lengths = [len(stream) for stream in streams]
    rows["symbol"] = np.repeat(np.arange(len(streams)), lengths)
    rows["seq"] = np.concatenate([np.arange(1, 1), *(np.arange(1, n + 1) for n in lengths)])
    return rows[np.argsort(rows["time_ns"], kind="stable")]


def _points_a_unit(point: float) -> float:
    """Return what to divide whole points by: 100000, not 1 / 0.00001, for the nearest double."""
    if not 0 < point < np.inf:
        msg = f"impossible size of a point: {point!r}"
        raise BarsUnusable(msg, file="bars", remedy="Give that of the symbol, as 0.00001.")
    return float(round(1 / point)) if point < 1 else 1.0


def _in_points(bars: NDArray[np.void], name: str, point: float) -> _Points:
    ratio = bars[name] / point
    sound = (ratio > 0) & (ratio < 2**52)
    rounded = np.rint(np.where(sound, ratio, 0.0))
    bad = ~sound | (np.abs(ratio - rounded) > _GRID)
    if bad.any():
        row = int(np.argmax(bad))
        remedy = "Give the point that its prices are written with, or import it again."
        msg = f"{name} {float(bars[name][row])!r} is not a whole number of points of {point:g}"
        raise BarsUnusable(msg, file="bars", row=row + 1, remedy=remedy)
    return rounded.astype(np.int64)


def _spreads(bars: NDArray[np.void], point: float, assumed: float) -> _Points:
    """Return whole points, one at least: a spread that is nothing would trade for free."""
    spread = bars["spread_mean"] / point
    missing = ~((spread > 0) & (spread < 2**40))
    if missing.any():
        if not assumed > 0:
            row = int(np.argmax(missing))
            remedy = "Assume one, e.g. the typical spread of the symbol's specification."
            msg = "no spread"
            raise BarsUnusable(msg, file="bars", row=row + 1, remedy=remedy)
        spread = np.where(missing, assumed, spread)
    return np.maximum(np.rint(spread), 1).astype(np.int64)


def _check(bars: NDArray[np.void], prices: _Points) -> None:
    opened, high, low, close = prices
    outside = (low > np.minimum(opened, close)) | (high < np.maximum(opened, close))
    open_ns, end_ns = bars["open_ns"], bars["end_ns"]
    back = np.zeros(len(bars), np.bool_)
    back[1:] = open_ns[1:] < end_ns[:-1]
    for bad, what in (
        (outside, "open or close lie outside of low and high"),
        (end_ns - open_ns < _MS_NS, "it lasts less than a millisecond"),
        ((open_ns % _MS_NS != 0) | (end_ns % _MS_NS != 0), "it does not begin and end on a ms"),
        (back, "it begins before the end of the one before it"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise BarsUnusable(what, file="bars", row=row + 1, remedy="Import it again.")


def _directions(opened: _Points, close: _Points, before: np.void | None) -> NDArray[np.bool_]:
    """Tell which bars go up: by open and close, or against the bar before if these are equal."""
    sign = np.sign(close - opened)
    previous = 0 if before is None else int(np.sign(before["close"] - before["open"]))
    sign = np.concatenate([[previous if previous else -1], sign])
    moved = np.maximum.accumulate(np.where(sign != 0, np.arange(len(sign)), 0))
    turns = np.arange(len(sign)) - moved  # how many bars since one that moved
    return (np.where(turns % 2 == 0, sign[moved], -sign[moved]) > 0)[1:]


def _blocks(ends: _Points) -> list[tuple[int, int]]:
    """Cut bars into runs of some million ticks, so that memory stays bounded."""
    blocks: list[tuple[int, int]] = []
    first = 0
    while first < len(ends):
        done = int(ends[first - 1]) if first else 0
        last = max(int(np.searchsorted(ends, done + _BLOCK_TICKS, side="right")), first + 1)
        blocks.append((first, last))
        first = last
    return blocks


def _times(bars: NDArray[np.void], counts: _Points) -> _Points:
    first_ms = bars["open_ns"] // _MS_NS
    length = bars["end_ns"] // _MS_NS - 1 - first_ms
    place = _places(counts)
    steps = np.maximum(np.repeat(counts, counts) - 1, 1)
    return (np.repeat(first_ms, counts) + place * np.repeat(length, counts) // steps) * _MS_NS


def _places(counts: _Points) -> _Points:
    """Count 0, 1, 2... within each run."""
    starts = np.cumsum(counts) - counts
    return np.arange(int(counts.sum())) - np.repeat(starts, counts)


def _flag(ticks: NDArray[np.void]) -> None:
    """Set what changed since the tick before, bid and ask where nothing did."""
    flags = np.full(len(ticks), _FLAG_BID | _FLAG_ASK, np.int64)
    bid = ticks["bid"][1:] != ticks["bid"][:-1]
    ask = ticks["ask"][1:] != ticks["ask"][:-1]
    changed = bid | ask
    flags[1:][changed] = (bid * _FLAG_BID + ask * _FLAG_ASK)[changed]
    ticks["flags"] = flags


def _paths(prices: _Points, is_up: NDArray[np.bool_], counts: _Points) -> _Points:
    """Return the bids of some bars, one after the other, in points."""
    opened, high, low, close = prices
    near, far = np.where(is_up, low, high), np.where(is_up, high, low)
    keys = np.zeros((len(counts), _MOST + 1), np.int64)
    keys[:, 0] = np.where(counts == 1, close, opened)
    used = np.ones(len(counts), np.int64)
    for count, rest in ((2, (close,)), (3, (_middle(opened, near, far, close), close))):
        chosen = counts == count
        for place, values in enumerate(rest, start=1):
            keys[chosen, place] = values[chosen]
        used[chosen] = count
    many = counts > 3
    _support(keys, used, many, (opened, near, far, close), counts)
    return _filled(keys, used, counts, low, high)


def _middle(opened: _Points, near: _Points, far: _Points, close: _Points) -> _Points:
    """The second of three ticks: the extreme that is neither open nor close, else half way."""
    half = (opened + close) // 2
    return np.where(near != opened, near, np.where(far != close, far, half))


def _support(
    keys: _Points,
    used: _Points,
    chosen: NDArray[np.bool_],
    path: tuple[_Points, _Points, _Points, _Points],
    counts: _Points,
) -> None:
    """Write the support points of the chosen bars behind their open."""
    opened, near, far, close = path
    room = np.clip(counts - 1, _FEWEST, _MOST)
    shares = _SHARES[room]
    first = np.where(opened != near, shares[:, 0], 0)
    last = np.where(close != far, shares[:, 2], 0)
    # A shadow that is missing gives its points to the range, which takes whole impulses.
    middle = shares[:, 1] + (shares[:, 0] - first) + (shares[:, 2] - last)
    middle -= 1 - middle % 2
    for start, end, points in ((opened, near, first), (near, far, middle), (far, close, last)):
        _wave(keys, used, start, end, np.where(chosen, points, 0))


def _wave(keys: _Points, used: _Points, start: _Points, end: _Points, points: _Points) -> None:
    """Append the way from `start` to `end`: impulses of equal size, each then one point back."""
    distance = np.abs(end - start)
    sign = np.sign(end - start)
    points = np.where(distance == 0, np.minimum(points, 1), points)
    impulse = np.maximum((distance - 1) // np.maximum((points + 1) // 2, 1) + 1, 1)
    rows = np.arange(len(used))
    price = start.copy()
    for step in range(int(points.max(initial=0))):
        going = points > step
        price = price + sign * (impulse if step % 2 == 0 else -1)
        price = np.where((end - price) * sign <= 0, end, price)
        price = np.where(points == step + 1, end, price)
        keys[rows[going], used[going]] = price[going]
        used[going] += 1


def _filled(keys: _Points, used: _Points, counts: _Points, low: _Points, high: _Points) -> _Points:
    """Put the remaining ticks between the support points, in proportion to the way."""
    steps = np.diff(keys, axis=1)
    real = np.arange(_MOST) < (used - 1)[:, None]
    steps = np.where(real, steps, 0)
    weights = np.abs(steps)
    weights[weights.sum(axis=1) == 0] = 1
    covered = np.cumsum(np.where(real, weights, 0), axis=1)
    whole = np.maximum(covered[:, -1:], 1)
    between = np.diff((counts - used)[:, None] * covered // whole, axis=1, prepend=0)
    # One run a support point: the ticks on the way to it, then itself. The open stands alone.
    run = np.concatenate([np.ones((len(used), 1), np.int64), between + 1], axis=1)
    run = np.where(np.arange(_MOST + 1) < used[:, None], run, 0).ravel()
    start = np.concatenate([keys[:, :1], keys[:, :-1]], axis=1).ravel()
    way = np.concatenate([np.zeros_like(keys[:, :1]), steps], axis=1).ravel()
    place = _places(run) + 1
    length, way_here, start_here = (np.repeat(values, run) for values in (run, way, start))
    line = start_here + way_here * place // length
    # Alternate until what is left of the way needs every tick that is left.
    left, sign = length - place, np.sign(way_here)
    alternated = start_here + sign * ((place + 1) % 2)
    arriving = start_here + way_here - sign * left
    saw = np.where(left < np.abs(way_here), arriving, alternated)
    bids = np.where(np.abs(way_here) >= length, line, saw)
    is_key = place == length
    bids[is_key] = keys.ravel()[run > 0]
    return np.clip(bids, np.repeat(low, counts), np.repeat(high, counts))
