"""What one tick costs live: `Engine.observe` and `Engine.decide`, called from Python."""

import time

import numpy as np
from engines import MIXED, ON_TICKS, tick_engine
from markets import seeded_ticks
from tables import Table
from tick_fold import span

TICKS = 200_000
QUICK_TICKS = 50_000
_WARM = 20_000


def step_times_ns(features: tuple[str, ...], count: int) -> np.ndarray:
    """Return the time on the wall of each of `count` live steps."""
    ticks = seeded_ticks(count + _WARM)
    times_ns = ticks["time_ns"].tolist()
    engine = tick_engine(features, *span(ticks))
    taken = np.zeros(count + _WARM, np.int64)
    now = time.perf_counter_ns
    for i, time_ns in enumerate(times_ns):
        start = now()
        due = engine.observe(ticks, i)
        engine.decide(0, time_ns, due)
        taken[i] = now() - start
    return taken[_WARM:]


def section(*, quick: bool) -> Table:
    """Return the table."""
    count = QUICK_TICKS if quick else TICKS
    rows: list[tuple[str, ...]] = []
    for what, features in (
        ("40 on ticks, M1, M5 and H1", MIXED),
        ("40 on every tick", ON_TICKS),
    ):
        taken = step_times_ns(features, count) / 1000.0
        p50, p99, p999 = np.percentile(taken, (50, 99, 99.9))
        rows.append((what, f"{p50:.1f}", f"{p99:.1f}", f"{p999:.1f}"))
    return Table(
        title="One live step",
        columns=("features", "p50 us", "p99 us", "p99.9 us"),
        rows=rows,
        notes=[
            f"{count:,} ticks, each on its own: broker, limits, features, decision, orders.",
            "Time on the wall, so the tail shows what else the machine does.",
            "Aim: 5 us all in.",
        ],
    )
