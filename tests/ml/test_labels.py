"""Labels of decisions: what came first after each, counted in deciding bars."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from ml.config import LabelConfig, TrainingConfig
from ml.errors import TrainingRefused
from ml.features import feature_rows, times_ns_of
from ml.labels import ACROSS_A_HOLE, LABEL_SCHEMA, label_rows
from tests.ml.market import walk_ticks

FEATURES = ("h1_close_volatility_50", "h1_rsi_14")
FRACTION = LabelConfig(horizon_bars=12, scale="fraction", gain=0.002, loss=0.003)
CONFIG = TrainingConfig(symbol="EURUSD", clock="h1", features=FEATURES, label=FRACTION)


@pytest.fixture(scope="module")
def ticks():
    return walk_ticks(600, seed=5)


@pytest.fixture(scope="module")
def features(ticks):
    return feature_rows(ticks, CONFIG.feature_set, "h1", "EURUSD")


def plainly(ticks, features, label):
    """(event, end, label, return) by the definition, mid prices, in plain Python."""
    mids = 0.5 * (ticks["bid"] + ticks["ask"])
    times, events = ticks["time_ns"], times_ns_of(features["event_timestamp"])
    found = []
    for k, event in enumerate(events[: -label.horizon_bars].tolist()):
        horizon, start = int(events[k + label.horizon_bars]), int(np.searchsorted(times, event))
        entry = at = mids[start]
        outcome, end = None, horizon
        for i in range(start + 1, len(times)):
            if times[i] > horizon:
                break
            at = mids[i]
            if at >= entry * (1 + label.gain):
                outcome, end = 1, int(times[i])
                break
            if at <= entry * (1 - label.loss):
                outcome, end = 0, int(times[i])
                break
        change = at / entry - 1.0
        if outcome is None and change == 0.0:
            continue
        found.append((event, end, int(change > 0) if outcome is None else outcome, change))
    return found


def rows_of(frame):
    return list(
        zip(
            times_ns_of(frame["event_timestamp"]).tolist(),
            times_ns_of(frame["label_end"]).tolist(),
            frame["label"].to_list(),
            frame["label_return"].to_list(),
            strict=True,
        )
    )


def test_labels_are_those_of_the_definition(ticks, features):
    found = label_rows(ticks, features, CONFIG)
    assert dict(found.schema) == LABEL_SCHEMA
    assert rows_of(found) == plainly(ticks, features, FRACTION)
    assert 0.2 < np.mean(found["label"].to_numpy()) < 0.8


def test_the_last_events_have_no_label_even_if_a_barrier_was_touched(ticks, features):
    found = label_rows(ticks, features, CONFIG)
    events = times_ns_of(features["event_timestamp"])
    assert times_ns_of(found["event_timestamp"]).max() <= events[-13]


@pytest.mark.parametrize("cuts", [(3,), (500, 501, 1_200), (2_399,)])
def test_chunks_give_the_same_labels(ticks, features, cuts):
    whole = label_rows(ticks, features, CONFIG)
    found = label_rows(iter(np.split(ticks, cuts)), features, CONFIG)
    assert found.equals(whole)


def test_a_label_does_not_change_when_the_future_after_it_is_cut_off(ticks, features):
    whole = label_rows(ticks, features, CONFIG)
    part = label_rows(ticks[:1_601], features[:400], CONFIG)
    assert part.height > 380
    assert part[:-1].equals(whole[: part.height - 1])


def test_bar_returns_lead_to_the_next_event_and_costs_are_the_spread(ticks, features):
    found = label_rows(ticks, features, CONFIG)
    mids = 0.5 * (ticks["bid"] + ticks["ask"])
    event_ns = times_ns_of(features["event_timestamp"])
    entries = mids[np.searchsorted(ticks["time_ns"], event_ns)]
    at = np.searchsorted(event_ns, times_ns_of(found["event_timestamp"]))
    assert len(at) > 570
    expected = entries[at + 1] / entries[at] - 1.0
    np.testing.assert_allclose(found["bar_return"].to_numpy(), expected, atol=1e-15)
    np.testing.assert_allclose(found["cost"].to_numpy(), 2e-5 / entries[at], rtol=1e-9)


def test_volatility_scales_the_barriers_and_leaves_out_what_is_not_warm(ticks, features):
    label = LabelConfig(horizon_bars=12, scale="volatility", gain=0.5, loss=0.5)
    found = label_rows(ticks, features, replace(CONFIG, label=label))
    assert found.height == 599 - 50 - 12
    volatility = features.join(found, on="event_timestamp", how="semi")["h1_close_volatility_50"]
    touched = found["label_end"] < features["event_timestamp"][50 + 12 :]
    width = 0.5 * volatility * math.sqrt(12)
    assert (found["label_return"].abs() >= width * 0.999).filter(touched).all()
    assert touched.sum() > 300


def test_barriers_are_never_nearer_than_the_least(ticks, features):
    label = LabelConfig(horizon_bars=12, gain=1e-6, loss=1e-6, least_fraction=0.004)
    found = label_rows(ticks, features, replace(CONFIG, label=label))
    horizon = found.filter(found["label_return"].abs() < 0.004)
    assert horizon.height > 100


def test_executable_labels_win_less_than_those_of_the_mid(ticks, features):
    dear = ticks.copy()
    dear["ask"] = dear["bid"] + 5e-4
    mid = label_rows(dear, features, CONFIG)
    config = replace(CONFIG, label=replace(FRACTION, price="executable"))
    executable = label_rows(dear, features, config)
    sooner = mid.join(executable, on="event_timestamp", suffix="_executable")
    assert (sooner["label_end"] <= sooner["label_end_executable"]).all()
    assert (sooner["label_end"] < sooner["label_end_executable"]).sum() > 100


def test_ticks_of_other_symbols_are_passed_over(ticks, features):
    other = ticks.copy()
    other["symbol"], other["bid"], other["ask"] = 1, 150.0, 150.1
    both = np.concatenate((ticks, other))
    both = both[np.argsort(both["time_ns"], kind="stable")]
    assert label_rows(both, features, CONFIG).equals(label_rows(ticks, features, CONFIG))


def test_ticks_in_disorder_are_refused(ticks, features):
    with pytest.raises(TrainingRefused, match="in order of time"):
        label_rows(ticks[::-1], features, CONFIG)
    with pytest.raises(TrainingRefused, match="in order of time"):
        label_rows(iter([ticks[1_000:], ticks[:1_000]]), features, CONFIG)


def test_fewer_events_than_a_horizon_give_no_labels(ticks, features):
    found = label_rows(ticks, features[:12], CONFIG)
    assert found.height == 0
    assert dict(found.schema) == LABEL_SCHEMA
    assert isinstance(found, pl.DataFrame)


def test_no_label_and_no_return_reaches_across_missing_data(ticks, features):
    """Labels of 779 hours, and returns of a month in a bar, were trained on."""
    times = times_ns_of(features["event_timestamp"])
    cut = (ticks["time_ns"] <= times[200]) | (ticks["time_ns"] >= times[300])
    holed = ticks[cut]
    rows = feature_rows(holed, CONFIG.feature_set, "h1", "EURUSD")
    lost = Counter()
    found = label_rows(holed, rows, CONFIG, left_out=lost)
    hours = (found["label_end"] - found["event_timestamp"]).dt.total_hours()
    assert (hours < 3 * 24).all()
    assert (found["bar_return"].drop_nulls().abs() < 0.01).all()
    kept = found["event_timestamp"]
    assert features["event_timestamp"][200] not in kept.to_list()
    whole = label_rows(ticks, features, CONFIG)
    before = whole.filter(whole["label_end"] <= features["event_timestamp"][199])
    assert found[: before.height].equals(before)
    assert 0 < lost[ACROSS_A_HOLE] <= FRACTION.horizon_bars + 1


def test_chunks_that_end_at_a_hole_give_the_same_labels(ticks, features):
    times = times_ns_of(features["event_timestamp"])
    first, second = ticks[ticks["time_ns"] <= times[200]], ticks[ticks["time_ns"] >= times[300]]
    whole = label_rows(np.concatenate((first, second)), features, CONFIG)
    assert label_rows(iter([first, second]), features, CONFIG).equals(whole)
