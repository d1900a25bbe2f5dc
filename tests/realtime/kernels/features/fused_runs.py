"""Feature sets to run, and ways to run them: as history, and tick by tick as the loop does."""

import numpy as np

from realtime.kernels.features import catalogue
from realtime.kernels.features.catalogue import feature
from realtime.kernels.layout import QUOTE
from tests.realtime.kernels.tick_streams import random_ticks

# Every output of the catalogue that needs no other symbol.
EVERY = tuple(
    feature("tick", output).name
    for output, (kernel, _) in catalogue.OUTPUTS.items()
    if not kernel.symbol_params
)
MIXED = (
    "h1_atr_14",
    "tick_spread",
    "tick_log_return_5",
    "tick_rsi_14",
    "m1_macd_signal_12_26_9",
    "m1_macd_12_26_9",
    "m5_bollinger_upper_20_2p5",
    "m5_rsi_14",
    "m5_minutes_to_rollover",
    "m5_in_london",
    "m15_sma_3",
    "h4_obv",
    "d1_ema_2",
)


def fold(fused, ticks, days, clock, chunk=65_536):
    """All rows, and when they were known."""
    parts = [
        (times_ns.copy(), rows.copy())
        for times_ns, rows in fused.history(ticks, days, clock=clock, chunk=chunk)
    ]
    return np.concatenate([part[0] for part in parts]), np.vstack([part[1] for part in parts])


def live(fused, state, ticks, days, rows):
    """Feed tick by tick as the loop does; the row after each tick and what each step returned."""
    quotes = np.zeros(1, QUOTE)
    out = np.zeros((len(ticks), len(fused.columns)))
    finished = np.zeros(len(ticks), np.int64)
    for i, row in enumerate(np.asarray(rows).tolist()):
        finished[i] = fused.live_step(state, ticks[i : i + 1], days, row, quotes, out[i])
    return out, finished


def day_rows(ticks, days):
    return np.searchsorted(days["start_ns"], ticks["time_ns"], "right") - 1


def some_ticks(count=4_000):
    return random_ticks(count, seed=5)
