"""Prepare rows for the checks, and turn what passed into `layout.TICK` and `layout.BAR`."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from realtime.history import reasons
from realtime.history.eras import walls_to_utc
from realtime.history.raw import NO_TIME, NOISE, REPEATED, Kind, Raw
from realtime.history.timeframe import DAY_NS, end_of
from realtime.history.times import EARLIEST_NS, LATEST_NS
from realtime.history.zones import Clock
from realtime.kernels.layout import BAR, TICK

_PRICES = {
    "ticks": ("bid", "ask", "last"),
    "bars": ("open", "high", "low", "close", "ask_open", "ask_close"),
}
_NOISE = 1e-4  # of the price grid: anything nearer to it is float noise


def in_utc(rows: Raw, clock: Clock, now_ns: int | None) -> Raw:
    """Apply the clock, and give a reason to times that cannot be."""
    reason = rows.reason.copy()
    readable = rows.wall_ns != NO_TIME
    sane = readable & (rows.wall_ns >= EARLIEST_NS) & (rows.wall_ns < LATEST_NS)
    utc_ns, repeated, missing = clock.to_utc(rows.wall_ns, sane)
    if not sane.all():
        utc_ns = np.where(sane, utc_ns, NO_TIME)
        reason[readable & ~sane & (reason == 0)] = reasons.IMPLAUSIBLE_TIME
        reason[~readable & (reason == 0)] = reasons.BAD_TIME
    reason[missing & (reason == 0)] = reasons.MISSING_HOUR
    if now_ns is not None:
        reason[(utc_ns > now_ns) & (reason == 0)] = reasons.FUTURE_TIME
    repaired = rows.repaired
    if repeated.any():
        repaired = repaired | np.where(repeated, REPEATED, 0)
    return replace(rows, time_ns=utc_ns, reason=reason, repaired=repaired)


def tidy(
    rows: Raw, kind: Kind, digits: int, spread_unit: float, assumed_spread: float | None = None
) -> Raw:
    """Round float noise off prices, and bring spreads and missing quotes into one form.

    Args:
        rows: rows of either kind.
        kind: which.
        digits: decimals of the price grid, -1 if there is none.
        spread_unit: price of one unit of the spread column.
        assumed_spread: price, for bars of a source that has no spread; None = it stays absent.
    """
    columns = dict(rows.columns)
    repaired = rows.repaired
    for name in _PRICES[kind]:
        if digits >= 0 and name in columns:
            columns[name], noise = _rounded(columns[name], digits)
            if noise is not None:
                repaired = repaired | np.where(noise, NOISE, 0)
    if kind == "ticks":
        _complete_ticks(columns)
    else:
        _complete_bars(columns, spread_unit)
        if assumed_spread is not None and "spread" not in columns:
            columns["spread"] = np.full(len(rows), assumed_spread)
    return replace(rows, columns=columns, repaired=repaired)


def _rounded(
    values: NDArray[np.float64], digits: int
) -> tuple[NDArray[np.float64], NDArray[np.bool_] | None]:
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = np.round(values, digits)
        noise = (rounded != values) & (np.abs(rounded - values) < _NOISE * 10.0**-digits)
    if not noise.any():
        return values, None
    return np.where(noise, rounded, values), noise


def _complete_ticks(columns: dict[str, NDArray[np.float64]]) -> None:
    if "last" in columns:
        last = columns["last"]
        columns["last"] = np.where(last == 0, np.nan, last)  # MetaTrader's "no last price"
    if "bid" not in columns:
        columns["bid"] = columns["ask"] = columns["last"]
    if "volume" in columns:
        columns["volume"] = _known(columns["volume"])


def _complete_bars(columns: dict[str, NDArray[np.float64]], spread_unit: float) -> None:
    if "ask_open" in columns and "ask_close" in columns and "spread" not in columns:
        at_open = columns["ask_open"] - columns["open"]
        at_close = columns["ask_close"] - columns["close"]
        columns["spread"] = (at_open + at_close) / 2
        columns["spread_max"] = np.maximum(at_open, at_close)
    elif "spread" in columns:
        columns["spread"] = columns["spread"] * spread_unit
    for name in ("volume", "ticks"):
        if name in columns:
            columns[name] = _known(columns[name])


def _known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Replace NaN (absent) by 0; infinities stay for the checks to find."""
    return np.where(np.isnan(values), 0.0, values)


def ticks_of(rows: Raw, first_seq: int) -> NDArray[np.void]:
    """Return (n,) `layout.TICK`; `seq` counts on from `first_seq`, `symbol` is 0."""
    ticks = np.zeros(len(rows), TICK)
    columns: Mapping[str, NDArray[np.float64]] = rows.columns
    ticks["time_ns"] = rows.time_ns
    ticks["seq"] = np.arange(first_seq, first_seq + len(rows))
    ticks["bid"] = columns["bid"]
    ticks["ask"] = columns["ask"]
    ticks["last"] = columns.get("last", np.nan)
    if "volume" in columns:
        ticks["volume"] = columns["volume"]
    if "flags" in columns:
        ticks["flags"] = _whole(columns["flags"])
    return ticks


def bars_of(rows: Raw, timeframe_ns: int, zone: str) -> NDArray[np.void]:
    """Return (n,) `layout.BAR`; what the source lacks is NaN (spread, variance) or 0 (counts)."""
    bars = np.zeros(len(rows), BAR)
    columns: Mapping[str, NDArray[np.float64]] = rows.columns
    bars["open_ns"] = rows.time_ns
    bars["end_ns"] = rows.time_ns + timeframe_ns
    if timeframe_ns >= DAY_NS:  # a day is not always 24 hours
        bars["end_ns"] = walls_to_utc(end_of(rows.wall_ns, timeframe_ns), zone)[0]
    for name in ("open", "high", "low", "close"):
        bars[name] = columns[name]
    bars["spread_mean"] = columns.get("spread", np.nan)
    bars["spread_max"] = columns.get("spread_max", columns.get("spread", np.nan))
    bars["realised_variance"] = columns.get("realised_variance", np.nan)
    nothing = np.zeros(len(rows))
    ticks, traded = columns.get("ticks", nothing), columns.get("volume", nothing)
    bars["ticks"] = _whole(ticks)
    bars["volume"] = np.where(traded > 0, traded, ticks)
    bars["imbalance"] = _whole(columns.get("imbalance", nothing))
    return bars


def _whole(values: NDArray[np.float64]) -> NDArray[np.int64]:
    bounded = np.clip(np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0), -(2.0**62), 2.0**62)
    return bounded.astype(np.int64)
