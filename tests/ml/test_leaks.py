"""Leaks of every usual kind are found, honest features are not accused."""

from dataclasses import replace

import numpy as np
import pytest

from ml import leaks
from ml.config import config_for
from ml.leaks import copied_labels, feature_prefix, information_coefficients, prefix_invariance
from ml.training import training_rows
from realtime.history.read import read_any
from realtime.kernels.layout import TICK
from tests.ml.frames import COLUMNS, CONFIG, frame_of
from tests.ml.market import HOUR_NS, walk_ticks
from tests.ml.market import hours as market_hours

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


def never_warm(x):
    return np.full(len(x), np.nan)


def test_a_column_without_a_single_number_is_no_proof():
    """NaN equals NaN to the bit: whatever such a column would do once warm goes unseen."""
    report = check(honest, never_warm)
    assert not report.passed
    assert report.cold == ("never_warm",)
    assert "not one number could be compared: never_warm" in report.text
    assert check(honest).least_numbers == 200 + 400 + 600 + 800 - 4 * 19


def test_cuts_behind_the_warm_up_find_what_cuts_within_it_cannot():
    def late_mean(part):
        found = np.full(len(part), np.nan)
        found[900:] = part["x"][900:] - part["x"].mean()
        return found[:, None]

    blind = prefix_invariance(late_mean, HISTORY, ["late"])
    assert (blind.passed, blind.changed, blind.cold) == (False, (), ("late",))
    assert prefix_invariance(late_mean, HISTORY, ["late"], first=901).changed == ("late",)


def busy_ticks(hours, a_bar):
    """A market of `a_bar` ticks an hour."""
    bars = np.repeat(market_hours(hours), a_bar)
    ticks = np.zeros(len(bars), TICK)
    ticks["time_ns"] = bars + np.tile(np.arange(a_bar) * (HOUR_NS // a_bar // 1_000 * 1_000), hours)
    steps = np.random.default_rng(2).normal(0.0, 1e-5, len(bars))
    ticks["bid"] = np.round(1.1 * np.exp(np.cumsum(steps)), 6)
    ticks["ask"] = ticks["bid"] + 1e-5
    return ticks


SLOW = replace(CONFIG, features=(*COLUMNS, "h1_autocorrelation_100_1", "h1_spread_z_100"))


def test_a_busy_market_is_looked_at_long_enough_for_every_feature(monkeypatch):
    """A month of real ticks once left 4 of 22 features without a number, and leaks unseen."""
    ticks = busy_ticks(180, 1_600)
    report = feature_prefix(ticks, SLOW)
    assert report.passed
    assert report.least_numbers > 100

    honest_rows = leaks.feature_rows

    def leaking(*arguments, **options):
        frame = honest_rows(*arguments, **options)
        values = frame["h1_autocorrelation_100_1"].fill_nan(None)
        return frame.with_columns((values - values.mean()).fill_null(float("nan")))

    monkeypatch.setattr(leaks, "feature_rows", leaking)
    assert feature_prefix(ticks, SLOW).changed == ("h1_autocorrelation_100_1",)


def test_too_little_history_names_what_was_not_compared():
    report = feature_prefix(walk_ticks(90), SLOW)
    assert not report.passed
    assert report.cold == ("h1_autocorrelation_100_1", "h1_spread_z_100")


def test_only_as_much_is_looked_at_as_is_needed():
    long, short = walk_ticks(6_000), feature_prefix(walk_ticks(1_200), CONFIG)
    report = feature_prefix(long, CONFIG)
    assert report.passed
    assert report.rows < 2 * short.rows


def test_every_feature_is_compared_on_a_month_of_real_ticks(shared_data):
    month = read_any(shared_data / "ticks" / "EURUSD_oanda_2014-05.parquet", "EURUSD").rows
    report = feature_prefix(month, config_for("EURUSD", "h1"))
    assert report.passed, report.text
    assert report.least_numbers > 200


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
