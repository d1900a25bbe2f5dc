"""Leaks of every usual kind are found, honest features are not accused."""

import numpy as np
import pytest

from ml.leaks import copied_labels, feature_prefix, information_coefficients, prefix_invariance
from ml.training import training_rows
from tests.ml.frames import COLUMNS, CONFIG, frame_of
from tests.ml.market import walk_ticks

HISTORY = np.zeros(1_000, [("x", "f8")])
HISTORY["x"] = np.cumsum(np.random.default_rng(1).normal(0.0, 1.0, 1_000))


def rolling(x, window=20):
    out = np.full(len(x), np.nan)
    for k in range(window - 1, len(x)):
        out[k] = x[k - window + 1 : k + 1].mean()
    return out


def honest(x):
    return rolling(x)


def shifted(x):
    return np.append(x[1:], np.nan)


def centred(x):
    return np.convolve(x, np.ones(21) / 21, mode="same")


def scaled_by_all(x):
    return (x - x.mean()) / x.std()


def filled_from_behind(x):
    out = rolling(x)
    out[:19] = out[19] if len(x) > 19 else np.nan
    gaps = np.arange(len(x)) % 7 == 3
    out[gaps] = np.append(out[1:], np.nan)[gaps]
    return out


def check(*columns):
    def compute(part):
        return np.stack([column(part["x"]) for column in columns], axis=1)

    return prefix_invariance(compute, HISTORY, [column.__name__ for column in columns])


@pytest.mark.parametrize("leak", [shifted, centred, scaled_by_all, filled_from_behind])
def test_looking_ahead_is_found_and_named(leak):
    report = check(honest, leak)
    assert report.changed == (leak.__name__,)
    assert not report.passed


def test_an_honest_feature_is_not_accused():
    report = check(honest)
    assert report.passed
    assert (report.cuts, report.rows) == (4, 200 + 400 + 600 + 800)


def test_nothing_compared_is_no_proof():
    report = prefix_invariance(lambda part: np.zeros((0, 1)), HISTORY, ["a"])
    assert not report.passed


def test_the_features_of_the_catalogue_do_not_look_ahead():
    report = feature_prefix(walk_ticks(400), CONFIG)
    assert report.passed
    assert report.rows > 700


def coefficients(frame):
    data = training_rows(frame, CONFIG)
    return information_coefficients(data, COLUMNS, np.arange(len(data.event_ns)))


def test_a_copied_label_is_found_under_any_monotone_disguise():
    frame = frame_of(2)
    disguised = frame.with_columns(h1_cci_20=(frame["label_return"] * 500).exp())
    found = coefficients(disguised)
    assert copied_labels(found, 0.25) == ("h1_cci_20",)
    assert found["h1_cci_20"] > 0.9


@pytest.mark.parametrize("seed", range(20))
def test_a_label_under_noise_is_found_and_an_honest_signal_is_not(seed):
    rng = np.random.default_rng(seed)
    frame = frame_of(seed, information=0.2)
    noise = frame["label"].to_numpy() + rng.normal(0.0, 1.0, frame.height)
    assert copied_labels(coefficients(frame), 0.25) == ()
    leaking = frame.with_columns(h1_rsi_14=-noise)
    assert copied_labels(coefficients(leaking), 0.25) == ("h1_rsi_14",)
