"""Training frames with a known truth: returns of a bar, features, and how much these know."""

from dataclasses import replace

import numpy as np
import polars as pl

from ml.config import Candidate, LabelConfig, SplitConfig, TrainingConfig
from ml.features import event_times
from realtime.settings import DecisionSettings

HOUR_NS = 3_600_000_000_000
START_NS = 1_483_315_200 * 1_000_000_000  # Monday, 2 January 2017
COLUMNS = tuple(f"h1_{name}" for name in (
    "log_return_1", "log_return_3", "rsi_14", "adx_14", "cci_20", "range_position"))  # fmt: skip

CONFIG = TrainingConfig(
    symbol="EURUSD",
    clock="h1",
    features=COLUMNS,
    label=LabelConfig(horizon_bars=1, scale="fraction", gain=0.01, loss=0.01),
    split=SplitConfig(embargo_bars=1, folds=3),
    candidates=(
        Candidate(max_depth=2, learning_rate=0.1),
        Candidate(max_depth=3, learning_rate=0.1),
        Candidate(max_depth=2, learning_rate=0.1, column_fraction=0.5),
    ),
    decision=DecisionSettings(enter_probability=0.52, exit_probability=0.5, edge_cost_ratio=0.0),
)
SMALL = replace(CONFIG, candidates=CONFIG.candidates[:1], split=replace(CONFIG.split, folds=2))


def frame_of(seed, *, rows=3_000, information=0.0, cost=0.0, deviation=0.001):
    """Gaussian returns; the first feature correlates with the next one by `information`."""
    rng = np.random.default_rng(seed)
    returns = rng.normal(0.0, 1.0, rows)
    features = rng.normal(0.0, 1.0, (rows, len(COLUMNS)))
    features[:, 0] = information * returns + np.sqrt(1.0 - information**2) * features[:, 0]
    return with_label(features, returns * deviation, cost)


def with_label(features, returns, cost=0.0, horizon=1):
    """A frame whose label is the sign of the return over the next `horizon` bars."""
    rows = len(returns)
    total = np.concatenate(([0.0], np.cumsum(returns)))
    ahead = total[np.minimum(np.arange(rows) + horizon, rows)] - total[:-1]
    event_ns = START_NS + np.arange(rows) * HOUR_NS
    frame = pl.DataFrame(
        {
            "event_timestamp": event_times(event_ns),
            "symbol": ["EURUSD"] * rows,
            **{name: features[:, k] for k, name in enumerate(COLUMNS)},
            "label_end": event_times(event_ns + horizon * HOUR_NS),
            "label": (ahead > 0).astype(np.int64),
            "label_return": ahead,
            "bar_return": returns,
            "cost": np.full(rows, cost),
        }
    )
    return frame[: rows - horizon]
