"""Hourly markets for tests: seeded walks as bars, and as the ticks that these become."""

import numpy as np

from realtime.history.bar_ticks import bar_ticks
from realtime.kernels.layout import BAR

HOUR_NS = 3_600_000_000_000
MONDAY_NS = 1_483_315_200 * 1_000_000_000  # 2 January 2017
_TRADED_HOURS = 5 * 24 - 3  # Monday 00:00 to Friday 21:00 UTC


def hours(count):
    """Beginnings of traded hours: weeks of five days."""
    week = np.arange(count) // _TRADED_HOURS
    return MONDAY_NS + (week * 7 * 24 + np.arange(count) % _TRADED_HOURS) * HOUR_NS


def walk_bars(count, seed=1, *, returns=None, spread=2e-5):
    """EURUSD hours of a random walk, or of given log returns."""
    rng = np.random.default_rng(seed)
    if returns is None:
        returns = rng.normal(0.0, 1e-3, count)
    close = np.round(1.1 * np.exp(np.cumsum(returns)), 5)
    opened = np.concatenate(([1.1], close[:-1]))
    reach = np.abs(np.round(rng.normal(0.0, 3e-4, (2, count)), 5))
    bars = np.zeros(count, BAR)
    bars["open_ns"] = hours(count)
    bars["end_ns"] = bars["open_ns"] + HOUR_NS
    bars["open"], bars["close"] = opened, close
    bars["high"] = np.round(np.maximum(opened, close) + reach[0], 5)
    bars["low"] = np.round(np.minimum(opened, close) - reach[1], 5)
    bars["spread_mean"] = bars["spread_max"] = spread
    bars["ticks"], bars["volume"] = 100, 100.0
    return bars


def walk_ticks(count, seed=1, **more):
    return bar_ticks(walk_bars(count, seed, **more), point=1e-5)
