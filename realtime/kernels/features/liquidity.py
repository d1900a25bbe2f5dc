"""Liquidity and order flow: spread, tick imbalance, volume, Amihud illiquidity, Roll's spread."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.features.feature import FeatureKernel, Output
from realtime.kernels.features.log_ratio import log_ratio
from realtime.kernels.features.moments import (
    comoments_push,
    comoments_state,
    moments_push,
    moments_state,
    total_push,
    total_state,
    z_score,
)
from realtime.kernels.features.validity import MIN_PRICE, is_amount, is_imbalance, is_price
from realtime.kernels.features.window_size import require
from realtime.kernels.jit import kernel


def spread_state() -> np.dtype[Any]:
    """Memory of `spread_step`: none, but a record needs a field."""
    return np.dtype([("unused", "i8")], align=True)


@kernel
def spread_step(memory: np.void, bar: np.void, row: NDArray[np.float64], at: int) -> None:
    """Write the bar's mean spread in price units and as a fraction of the mid.

    The mid is ``close + spread / 2``, because bars are of the bid. A bar whose spread is missing
    or negative (a crossed feed) gives NaN in both.
    """
    spread = bar["spread_mean"]
    close = bar["close"]
    row[at] = math.nan
    row[at + 1] = math.nan
    if is_amount(spread):
        row[at] = spread
        if is_price(close):
            row[at + 1] = spread / (close + 0.5 * spread)


def spread_z_state(n: int) -> np.dtype[Any]:
    """Memory of `spread_z_step`."""
    require("spread_z", n=(n, 2))
    return np.dtype([("spread", moments_state(n))], align=True)


@kernel
def spread_z_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the z-score of the bar's mean spread among the last n; 0 for a constant spread.

    A bar whose spread is missing or negative gives NaN and is left out.
    """
    spread = bar["spread_mean"]
    row[at] = math.nan
    if not is_amount(spread):
        return
    moments = memory["spread"]
    if moments_push(moments, spread):
        row[at] = z_score(spread, moments["mean"], moments["m2"], n)


def tick_imbalance_state() -> np.dtype[Any]:
    """Memory of `tick_imbalance_step`: none, but a record needs a field."""
    return np.dtype([("unused", "i8")], align=True)


@kernel
def tick_imbalance_step(
    memory: np.void,
    bar: np.void,
    row: NDArray[np.float64],
    at: int,
) -> None:
    """Write rising minus falling ticks of the bar over its ticks, in [-1, 1].

    0 for a bar without ticks; NaN where the counts contradict each other.
    """
    ticks = bar["ticks"]
    imbalance = bar["imbalance"]
    row[at] = math.nan
    if is_imbalance(imbalance, ticks):
        row[at] = imbalance / ticks if ticks > 0 else 0.0


def tick_imbalance_sum_state(n: int) -> np.dtype[Any]:
    """Memory of `tick_imbalance_sum_step`."""
    require("tick_imbalance_sum", n=(n, 1))
    return np.dtype(
        [
            ("count", "i8"),
            ("at", "i8"),
            ("imbalance", "i8"),
            ("ticks", "i8"),
            ("imbalances", "i8", (n,)),
            ("counts", "i8", (n,)),
        ],
        align=True,
    )


@kernel
def tick_imbalance_sum_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write rising minus falling ticks of the last n bars: their number, and over all their ticks.

    The sums are of integers, so they are exact. The share is 0 where no bar has a tick. A bar
    whose counts contradict each other gives NaN and is left out.
    """
    ticks = bar["ticks"]
    imbalance = bar["imbalance"]
    row[at] = math.nan
    row[at + 1] = math.nan
    if not is_imbalance(imbalance, ticks):
        return
    imbalances = memory["imbalances"]
    counts = memory["counts"]
    slot = memory["at"]
    total = memory["imbalance"] + imbalance - imbalances[slot]
    count = memory["ticks"] + ticks - counts[slot]
    imbalances[slot] = imbalance
    counts[slot] = ticks
    memory["at"] = slot + 1 if slot + 1 < n else 0
    memory["imbalance"] = total
    memory["ticks"] = count
    if memory["count"] < n:
        memory["count"] += 1
    if memory["count"] == n:
        row[at] = float(total)
        row[at + 1] = total / count if count > 0 else 0.0


def volume_z_state(n: int) -> np.dtype[Any]:
    """Memory of `volume_z_step`."""
    require("volume_z", n=(n, 2))
    return np.dtype([("volume", moments_state(n))], align=True)


@kernel
def volume_z_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write the z-score of the bar's volume among the last n; 0 for a constant volume.

    A bar whose volume is missing or negative gives NaN and is left out.
    """
    volume = bar["volume"]
    row[at] = math.nan
    if not is_amount(volume):
        return
    moments = memory["volume"]
    if moments_push(moments, volume):
        row[at] = z_score(volume, moments["mean"], moments["m2"], n)


def amihud_state(n: int) -> np.dtype[Any]:
    """Memory of `amihud_step`."""
    require("amihud", n=(n, 1))
    return np.dtype([("total", total_state(n)), ("previous", "f8")], align=True)


@kernel
def amihud_step(memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int) -> None:
    """Write Amihud's illiquidity: the mean of ``|log return| / (close * volume)``.

    Over the last n bars that traded, as the original leaves out days without volume: a bar whose
    volume is 0 repeats the value before it, and a feed that never has a volume is never warm.
    Amihud (2002), "Illiquidity and stock returns", equation 1, here of log returns and without
    his scale of a million.
    """
    close = bar["close"]
    volume = bar["volume"]
    row[at] = math.nan
    if not is_price(close) or not is_amount(volume):
        return
    previous = memory["previous"]
    memory["previous"] = close
    total = memory["total"]
    turnover = close * volume
    if previous > 0.0 and turnover >= MIN_PRICE:
        impact = math.fabs(log_ratio(close, previous)) / turnover
        total_push(total, impact)
    if total["count"] == n:
        row[at] = total["sum"] / n


def roll_spread_state(n: int) -> np.dtype[Any]:
    """Memory of `roll_spread_step`."""
    require("roll_spread", n=(n, 2))
    return np.dtype(
        [
            ("pairs", comoments_state(n)),
            ("returns", "i8"),
            ("previous", "f8"),
            ("previous_return", "f8"),
        ],
        align=True,
    )


@kernel
def roll_spread_step(
    memory: np.void, bar: np.void, n: int, row: NDArray[np.float64], at: int
) -> None:
    """Write Roll's effective spread ``2 * sqrt(-cov(r[t], r[t-1]))`` as a fraction of the price.

    The covariance (divisor n - 1) is over the last n pairs of neighbouring log returns; where it
    is not negative the model has no answer and the value is 0. Roll (1984), "A simple implicit
    measure of the effective bid-ask spread in an efficient market".
    """
    close = bar["close"]
    row[at] = math.nan
    if not is_price(close):
        return
    previous = memory["previous"]
    memory["previous"] = close
    if previous == 0.0:
        return
    step_return = log_ratio(close, previous)
    before = memory["previous_return"]
    memory["previous_return"] = step_return
    if memory["returns"] == 0:
        memory["returns"] = 1
        return
    pairs = memory["pairs"]
    if comoments_push(pairs, before, step_return):
        covariance = pairs["co"] / (n - 1)
        row[at] = 2.0 * math.sqrt(-covariance) if covariance < 0.0 else 0.0


KERNELS: tuple[FeatureKernel, ...] = (
    FeatureKernel(
        name="spread",
        step=spread_step,
        state=spread_state,
        outputs=(
            Output(
                name="spread",
                unit="price",
                description="Mean spread of the bar.",
                oracle="bar.spread_mean",
                warm_up=lambda: 0,
            ),
            Output(
                name="spread_fraction",
                unit="fraction",
                description="Mean spread of the bar over its closing mid.",
                oracle="spread / (close + spread / 2)",
                warm_up=lambda: 0,
            ),
        ),
    ),
    FeatureKernel(
        name="spread_z",
        step=spread_z_step,
        state=spread_z_state,
        params={"n": 100},
        minima={"n": 2},
        outputs=(
            Output(
                name="spread_z",
                unit="standard deviations",
                description="How wide the spread is among those of the last n bars.",
                oracle="scipy.stats.zscore(spread[-n:])[-1]",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="tick_imbalance",
        step=tick_imbalance_step,
        state=tick_imbalance_state,
        outputs=(
            Output(
                name="tick_imbalance",
                unit="fraction",
                description="Rising minus falling ticks of the bar over its ticks.",
                oracle="bar.imbalance / bar.ticks, exactly",
                warm_up=lambda: 0,
            ),
        ),
    ),
    FeatureKernel(
        name="tick_imbalance_sum",
        step=tick_imbalance_sum_step,
        state=tick_imbalance_sum_state,
        params={"n": 20},
        presets=({"n": 5}, {"n": 100}),
        outputs=(
            Output(
                name="tick_imbalance_sum",
                unit="ticks",
                description="Rising minus falling ticks of the last n bars.",
                oracle="np.sum(imbalance[-n:]), exactly",
                warm_up=lambda n: n - 1,
            ),
            Output(
                name="tick_imbalance_share",
                unit="fraction",
                description="Rising minus falling ticks of the last n bars over their ticks.",
                oracle="np.sum(imbalance[-n:]) / np.sum(ticks[-n:]), exactly",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="volume_z",
        step=volume_z_step,
        state=volume_z_state,
        params={"n": 100},
        minima={"n": 2},
        presets=({"n": 20},),
        outputs=(
            Output(
                name="volume_z",
                unit="standard deviations",
                description="How large the volume is among those of the last n bars.",
                oracle="scipy.stats.zscore(volume[-n:])[-1]",
                warm_up=lambda n: n - 1,
            ),
        ),
    ),
    FeatureKernel(
        name="amihud",
        step=amihud_step,
        state=amihud_state,
        params={"n": 50},
        outputs=(
            Output(
                name="amihud",
                unit="fraction per unit of turnover",
                description="Amihud's illiquidity: mean |log return| per price times volume.",
                oracle="np.mean((abs(log_return) / (close * volume))[-n:])",
                warm_up=lambda n: n,
            ),
        ),
    ),
    FeatureKernel(
        name="roll_spread",
        step=roll_spread_step,
        state=roll_spread_state,
        params={"n": 100},
        minima={"n": 2},
        outputs=(
            Output(
                name="roll_spread",
                unit="fraction",
                description="Roll's effective spread, implied by the bounce of log returns.",
                oracle="2 * sqrt(max(0, -np.cov(r[-n:], r[-n - 1 : -1])[0, 1]))",
                warm_up=lambda n: n + 1,
            ),
        ),
    ),
)
