"""Labels of decisions: triple barriers over the ticks that came after, by the kernel's own step."""

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.config import TrainingConfig
from ml.errors import TrainingRefused
from ml.features import EVENT_TYPE, calendar_days, chunks_of, event_times, times_ns_of
from ml.gaps import MOST_SILENCE_NS, holes_of
from realtime.kernels.barriers import BARRIERS, DOWN, OPEN, UP, barriers_fold
from realtime.kernels.features.catalogue import CLOCKS_NS

#: Why a decision has no label, as counted by `label_rows`.
ACROSS_A_HOLE = "data are missing before the outcome"

#: Schema of what `label_rows` returns.
LABEL_SCHEMA = {
    "event_timestamp": EVENT_TYPE,
    "symbol": pl.String(),
    "label_end": EVENT_TYPE,
    "label": pl.Int64(),
    "label_return": pl.Float64(),
    "bar_return": pl.Float64(),
    "cost": pl.Float64(),
}


def barrier_fractions(
    features: pl.DataFrame, config: TrainingConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the distances of the upper and the lower barrier of each event, NaN where unknown."""
    label = config.label
    rows = features.height
    if label.scale == "fraction":
        return np.full(rows, label.gain), np.full(rows, label.loss)
    volatility = features[config.volatility_column].to_numpy() * math.sqrt(label.horizon_bars)
    return (
        np.maximum(label.gain * volatility, label.least_fraction),
        np.maximum(label.loss * volatility, label.least_fraction),
    )


def label_rows(
    ticks: NDArray[np.void] | Iterable[NDArray[np.void]],
    features: pl.DataFrame,
    config: TrainingConfig,
    *,
    row: int = 0,
    days: NDArray[np.void] | None = None,
    left_out: Counter[str] | None = None,
) -> pl.DataFrame:
    """Label the decisions that rows of features stand for.

    The entry is the tick on which the row was known; the horizon is the moment at which the row
    `horizon_bars` later was. ``label`` is 1 if the upper barrier was touched first or, with neither
    touched, if the price stood higher at the horizon; else 0.

    Where data are missing for more than half a day of open market (or two bars, on a slow clock)
    nobody knows what the price did, so no label and no return reaches across.

    Args:
        ticks: (n,) TICK in order of time, or chunks of it, covering the events and their future.
        features: as `ml.features.feature_rows` returns it.
        config: barriers and symbol.
        row: desk row of the symbol: other symbols' ticks are passed over.
        days: DAY rows that cover the events; those of the symbol's calendar if not given.
        left_out: counts the decisions that have no label because data are missing.

    Returns:
        One row an event whose outcome is known: ``event_timestamp``, ``symbol``, ``label_end``
        (when it was known), ``label`` (0 or 1), ``label_return`` (signed, fraction of the price),
        ``bar_return`` (of the mid until the next event), ``cost`` (spread at the entry as a
        fraction of the mid: a round trip). Left out: events whose volatility is not warm, whose
        horizon lies beyond the data, whose price had not moved at the horizon, or before whose
        outcome or next event data are missing.

    Raises:
        TrainingRefused: ticks are not in order of time.
    """
    event_ns = times_ns_of(features["event_timestamp"])
    horizon = config.label.horizon_bars
    if len(event_ns) <= horizon:
        return pl.DataFrame(schema=LABEL_SCHEMA)
    states = _decisions(event_ns, features, config)
    if days is None:
        days = calendar_days(config.symbol, int(event_ns[0]), int(event_ns[-1]))
    most_ns = max(MOST_SILENCE_NS, 2 * CLOCKS_NS[config.clock])
    holes_ns = _follow(ticks, row, event_ns, states, days, most_ns)
    return _frame(
        features, config.symbol, states, holes_ns, Counter() if left_out is None else left_out
    )


def _decisions(
    event_ns: NDArray[np.int64], features: pl.DataFrame, config: TrainingConfig
) -> NDArray[np.void]:
    """Return one BARRIERS record an event; those without a label only get their entry."""
    horizon = config.label.horizon_bars
    gain, loss = barrier_fractions(features, config)
    known = np.isfinite(gain) & np.isfinite(loss)
    known[len(event_ns) - horizon :] = False
    states = np.zeros(len(event_ns), BARRIERS)
    states["gain_fraction"] = np.where(known, gain, np.inf)
    states["loss_fraction"] = np.where(known, loss, np.inf)
    states["executable"] = int(config.label.price == "executable")
    states["horizon_ns"] = event_ns
    states["horizon_ns"][:-horizon][known[:-horizon]] = event_ns[horizon:][known[:-horizon]]
    return states


def _follow(
    ticks: NDArray[np.void] | Iterable[NDArray[np.void]],
    row: int,
    event_ns: NDArray[np.int64],
    states: NDArray[np.void],
    days: NDArray[np.void],
    most_ns: int,
) -> NDArray[np.int64]:
    """Fold every event over its ticks, chunk by chunk; return where the ticks have holes."""
    latest_ns, oldest = -(2**63), 0
    holes_ns: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    for chunk in chunks_of(ticks):
        own = chunk if bool((chunk["symbol"] == row).all()) else chunk[chunk["symbol"] == row]
        if len(own) == 0:
            continue
        times_ns = np.ascontiguousarray(own["time_ns"])
        if times_ns[0] < latest_ns or bool(np.any(np.diff(times_ns) < 0)):
            msg = "ticks must be in order of time to be labelled"
            raise TrainingRefused(msg)
        joined_ns = times_ns if latest_ns < 0 else np.append(np.int64(latest_ns), times_ns)
        holes_ns.append(holes_of(joined_ns, days, most_ns))
        latest_ns = int(times_ns[-1])
        stop = int(np.searchsorted(event_ns, latest_ns, side="right"))
        active = states[oldest:stop]
        starts = np.searchsorted(times_ns, event_ns[oldest:stop]).astype(np.int64)
        barriers_fold(active, own, starts)
        still = np.flatnonzero(active["outcome"] == OPEN)
        oldest = oldest + int(still[0]) if len(still) else stop
    return np.concatenate(holes_ns)


def _across(
    holes_ns: NDArray[np.int64], start_ns: NDArray[np.int64], end_ns: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Mark spans in which a hole begins, the end excluded."""
    return np.searchsorted(holes_ns, end_ns) > np.searchsorted(holes_ns, start_ns)


def _frame(
    features: pl.DataFrame,
    symbol: str,
    states: NDArray[np.void],
    holes_ns: NDArray[np.int64],
    left_out: Counter[str],
) -> pl.DataFrame:
    outcome, change = states["outcome"], states["return_fraction"]
    up = np.where(outcome == UP, True, np.where(outcome == DOWN, False, change > 0.0))
    bids, asks = states["entry_bid"], states["entry_ask"]
    mids = 0.5 * (bids + asks)
    mids[mids <= 0.0] = np.nan
    known = np.isfinite(states["gain_fraction"])
    bar_return = np.full(len(mids), np.nan)
    bar_return[:-1] = mids[1:] / mids[:-1] - 1.0
    keep = known & (outcome != OPEN) & (change != 0.0) & np.isfinite(bar_return)
    event_ns = times_ns_of(features["event_timestamp"])
    whole = ~_across(holes_ns, event_ns, states["end_ns"])
    whole[:-1] &= ~_across(holes_ns, event_ns[:-1], event_ns[1:])
    left_out[ACROSS_A_HOLE] += int((keep & ~whole).sum())
    keep &= whole
    end_us = -(-states["end_ns"] // 1_000)  # up: an outcome is never known too early
    return pl.DataFrame(
        {
            "event_timestamp": features["event_timestamp"].filter(pl.Series(keep)),
            "symbol": np.full(int(keep.sum()), symbol),
            "label_end": event_times(end_us[keep] * 1_000),
            "label": up[keep].astype(np.int64),
            "label_return": change[keep],
            "bar_return": bar_return[keep],
            "cost": ((asks - bids) / mids)[keep],
        },
        schema=LABEL_SCHEMA,
    )
