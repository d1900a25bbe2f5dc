"""Time a peer's engine call, warm, and print its result as one line of JSON.

What an engine needs its data turned into is prepared before the clock starts, for every engine
(ours included), so that only the backtest itself is compared.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sma_reference import Bars, seeded_bars


def report(
    prepare: Callable[[Bars], Any],
    run: Callable[[Any], tuple[float, int]],
    count: int,
    repeats: int = 5,
) -> None:
    """Print CPU seconds (median warm call), PnL and number of orders on `count` bars."""
    bars = seeded_bars(count)
    run(prepare(bars))
    seconds = []
    for _ in range(repeats):
        data = prepare(bars)
        start = time.process_time()
        pnl, orders = run(data)
        seconds.append(time.process_time() - start)
    best = statistics.median(seconds)
    print(json.dumps({"bars": count, "cpu_s": best, "pnl": pnl, "orders": orders}))
