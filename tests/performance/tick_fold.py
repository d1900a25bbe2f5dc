"""Ticks through the whole engine with 40 features, and what each part of it costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from cpu_time import REPEATS, CpuTime, cpu_time
from engines import CROSSOVER, MIXED, ON_TICKS, a_desk, tick_engine
from markets import real_ticks, seeded_ticks
from numpy.typing import NDArray
from tables import Table, count

from realtime.kernels.engine import Engine
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import QUOTE

AIM = 2e6
TICKS = 1_000_000
_DAY_NS = 86_400_000_000_000


def span(ticks: NDArray[np.void]) -> tuple[int, int]:
    """Return the moments that a calendar for these ticks must cover."""
    return int(ticks["time_ns"][0]), int(ticks["time_ns"][-1]) + 7 * _DAY_NS


def engine_time(
    ticks: NDArray[np.void], features: tuple[str, ...], repeats: int, clock: str = "m1"
) -> CpuTime:
    """Time a fold of the whole engine."""

    def fold(engine: Engine) -> None:
        engine.fold(ticks)
        engine.result()

    return cpu_time(lambda: tick_engine(features, *span(ticks), clock), fold, repeats)


def features_time(ticks: NDArray[np.void], features: tuple[str, ...], repeats: int) -> CpuTime:
    """Time a fold of the features alone, a row written at each M1 bar."""
    fused = FeatureSet(features=features).compile()
    desk = a_desk(*span(ticks), "fx")
    days = desk["days"][: int(desk["specs"][0]["last_day"])].copy()
    out = np.zeros((len(ticks) // 10 + 1000, len(features)))
    times_ns = np.zeros(len(out), np.int64)
    emit = fused.clock_bits["m1"]

    def fold(state: NDArray[np.void]) -> Any:
        quotes = np.zeros(1, QUOTE)
        return fused.fold(state, ticks, 0, days, 0, len(days), quotes, emit, out, times_ns)

    return cpu_time(fused.state, fold, repeats)


def section(*, quick: bool) -> Table:
    """Return the table of rates."""
    repeats = 5 if quick else REPEATS
    feeds = {f"{count(TICKS)} seeded": seeded_ticks(TICKS)}
    real = real_ticks()
    if real is not None:
        feeds[f"{len(real):,} real EURUSD"] = real
    rows: list[tuple[str, ...]] = []
    for feed, ticks in feeds.items():
        for what, features, clock in (
            ("40 on ticks, M1, M5 and H1", MIXED, "m1"),
            ("40 on every tick", ON_TICKS, "m1"),
            ("40 on every tick, a decision on every tick", ON_TICKS, "tick"),
        ):
            taken = engine_time(ticks, features, repeats, clock)
            rate = count(taken.rate(len(ticks)))
            rows.append((what, feed, rate, f"{taken.ns(len(ticks)):.0f}", taken.spread))
    notes = [f"Aim: {count(AIM)} ticks a CPU-second with 40 features."]
    if real is None:
        notes.append("The real ticks are not beside this checkout: seeded ones only.")
    return Table(
        title="Ticks through the whole engine",
        columns=("features", "ticks", "ticks/s", "ns a tick", "spread of runs"),
        rows=rows,
        notes=notes,
    )


def profile(*, quick: bool) -> Table:
    """Return the table of parts: the same fold with parts removed."""
    repeats = 5 if quick else REPEATS
    ticks = seeded_ticks(TICKS)
    measured: dict[str, Callable[[], CpuTime]] = {
        "engine without further features": lambda: engine_time(ticks, (), repeats),
        "of which: M1 bars and the rule's two averages": lambda: features_time(
            ticks, CROSSOVER, repeats
        ),
        "40 mixed features alone": lambda: features_time(ticks, MIXED, repeats),
        "whole engine, 40 mixed features": lambda: engine_time(ticks, MIXED, repeats),
        "40 tick features alone": lambda: features_time(ticks, ON_TICKS + CROSSOVER, repeats),
        "whole engine, 40 tick features": lambda: engine_time(ticks, ON_TICKS, repeats),
    }
    rows: list[tuple[str, ...]] = []
    for what, call in measured.items():
        taken = call()
        rows.append((what, f"{taken.ns(len(ticks)):.0f}", taken.spread))
    return Table(
        title="Where a tick's time goes",
        columns=("part", "ns a tick", "spread of runs"),
        rows=rows,
        notes=[
            "An engine without its features: broker, loss limits, decisions, what is written down,",
            "and a copy of the row of features at every tick.",
        ],
    )
