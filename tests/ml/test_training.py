"""Training: what it learns, what it never looks at, and what it refuses."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ml.errors import TrainingRefused
from ml.evaluation.evaluation import evaluate
from ml.features import event_times, times_ns_of
from ml.training import segments_of, train, training_rows, trial_table
from tests.ml.frames import COLUMNS, CONFIG, HOUR_NS, SMALL, frame_of, with_label


@pytest.fixture(scope="module")
def frame():
    return frame_of(1, information=0.3)


@pytest.fixture(scope="module")
def trained(frame):
    return train(frame, CONFIG)


def test_training_twice_gives_the_same_bytes(frame, trained):
    again = train(frame.sample(fraction=1.0, shuffle=True, seed=1), CONFIG)
    assert again.onnx == trained.onnx
    assert again.fingerprint == trained.fingerprint
    assert trial_table(again.trials) == trial_table(trained.trials)


def test_it_learns_what_is_there(frame, trained):
    evaluation = evaluate(trained, frame, CONFIG)
    assert evaluation.beats_prior
    assert evaluation.auc > 0.6
    assert evaluation.trading.psr > 0.99
    assert trained.gains[COLUMNS[0]] > 0.5
    assert "better than" in evaluation.verdict
    assert evaluation.rows == trained.rows["holdout"] == 900


def test_it_says_that_noise_is_noise():
    frame = frame_of(3)
    evaluation = evaluate(train(frame, SMALL), frame, SMALL)
    assert 0.44 < evaluation.auc < 0.56
    assert not evaluation.beats_prior
    assert "no better than" in evaluation.verdict


def test_the_holdout_changes_nothing(frame, trained):
    start = trained.holdout_from_ns
    held = pl.Series(times_ns_of(frame["event_timestamp"]) >= start)
    spoiled = frame.with_columns(
        label=pl.when(held).then(1 - pl.col("label")).otherwise(pl.col("label")),
        label_return=pl.when(held).then(-pl.col("label_return")).otherwise(pl.col("label_return")),
        bar_return=pl.when(held).then(-pl.col("bar_return")).otherwise(pl.col("bar_return")),
        **{COLUMNS[1]: pl.when(held).then(99.0).otherwise(pl.col(COLUMNS[1]))},
    )
    other = train(spoiled, CONFIG)
    assert other.onnx == trained.onnx
    assert other.fingerprint == trained.fingerprint
    assert other.chosen == trained.chosen


def test_nothing_of_the_training_reaches_into_the_holdout(frame, trained):
    assert trained.trained_through_ns < trained.holdout_from_ns
    parts = segments_of(training_rows(frame, CONFIG), CONFIG)
    ends = times_ns_of(frame["label_end"])
    events = times_ns_of(frame["event_timestamp"])
    assert ends[parts.train].max() < events[parts.calibration[0]]
    assert ends[parts.calibration].max() < events[parts.holdout[0]]
    assert trained.trained_through_ns == ends[parts.calibration].max()
    assert trained.trained_from_ns == events[0]


def spoilt(frame, start, seed, **parts):
    """The frame with something else in its holdout: rows, features, labels, ends or prices."""
    rng, held = np.random.default_rng(seed), np.arange(frame.height) >= start

    def new(name, values):
        return pl.Series(name, np.where(held, values, frame[name].to_numpy()))

    changed = []
    if parts["features"]:
        changed += [new(name, rng.normal(0.0, 9.0, frame.height)) for name in COLUMNS]
    if parts["labels"]:
        changed.append(new("label", rng.integers(0, 2, frame.height)))
    if parts["prices"]:
        for name in ("label_return", "bar_return", "cost"):
            changed.append(new(name, rng.normal(0.0, 0.1, frame.height)))
    if parts["ends"]:
        events = times_ns_of(frame["event_timestamp"])
        hours = rng.integers(1, 200, frame.height) * HOUR_NS
        ends = np.where(held, events + hours, times_ns_of(frame["label_end"]))
        changed.append(event_times(ends).alias("label_end"))
    return frame.with_columns(changed)


OVERLAPPING = replace(SMALL, split=replace(SMALL.split, embargo_bars=5))


@pytest.fixture(scope="module")
def overlapping():
    """Labels of twenty bars: more than the embargo, so that many reach into the holdout."""
    rng = np.random.default_rng(8)
    features = rng.normal(0, 1, (1_200, len(COLUMNS)))
    returns = np.diff(rng.normal(0, 1e-3, 1_201))  # it comes back, so both classes are frequent
    frame = with_label(features, returns, horizon=20)
    return frame, features, returns, train(frame, OVERLAPPING)


@settings(max_examples=12)
@given(
    seed=st.integers(0, 1_000),
    features=st.booleans(),
    labels=st.booleans(),
    prices=st.booleans(),
    ends=st.booleans(),
)
def test_whatever_happens_in_the_holdout_changes_no_byte_of_the_model(
    overlapping, seed, features, labels, prices, ends
):
    """Ends of held-out labels once moved the weights of training rows, under one fingerprint."""
    frame, _, _, model = overlapping
    start = frame.height - model.rows["holdout"]
    other = train(
        spoilt(frame, start, seed, features=features, labels=labels, prices=prices, ends=ends),
        OVERLAPPING,
    )
    assert other.onnx == model.onnx
    assert other.fingerprint == model.fingerprint
    assert other.prior == model.prior
    assert trial_table(other.trials) == trial_table(model.trials)


def test_prices_of_the_holdout_score_no_candidate(overlapping):
    """Labels that began before the holdout and ended in it once compared the candidates."""
    frame, features, returns, model = overlapping
    start = frame.height - model.rows["holdout"]
    mirrored = np.where(np.arange(len(returns)) < start, returns, -returns)
    other = with_label(features, mirrored, horizon=20)
    assert not other["label"].equals(frame["label"])
    again = train(other, OVERLAPPING)
    assert trial_table(again.trials) == trial_table(model.trials)
    assert (again.onnx, again.fingerprint) == (model.onnx, model.fingerprint)


def test_every_row_that_is_weighed_or_compared_ends_before_the_holdout_begins(overlapping):
    frame, _, _, model = overlapping
    data = training_rows(frame, OVERLAPPING)
    assert data.end_ns[data.developed].max() < model.holdout_from_ns
    gap = np.arange(data.developed[-1] + 1, frame.height - model.rows["holdout"])
    assert len(gap) >= 19
    assert (data.sample.weights[gap] == 0.0).all()


def test_what_decides_the_bytes_is_in_the_fingerprint(overlapping):
    frame, _, _, model = overlapping
    data = training_rows(frame, OVERLAPPING)
    parts = segments_of(data, OVERLAPPING)
    between = data.developed[~np.isin(data.developed, [*parts.train, *parts.calibration])]
    assert len(between) > 0  # purged between the two, yet candidates are compared on them
    at = pl.int_range(pl.len()) == int(between[0])
    for name, value in (("label", 1 - pl.col("label")), ("bar_return", pl.col("bar_return") + 1)):
        changed = frame.with_columns(pl.when(at).then(value).otherwise(pl.col(name)).alias(name))
        assert train(changed, OVERLAPPING).fingerprint != model.fingerprint
    longer = replace(OVERLAPPING.split, calibration_fraction=0.3)
    assert train(frame, replace(OVERLAPPING, split=longer)).fingerprint != model.fingerprint


def test_every_candidate_is_a_trial(trained):
    assert len(trained.trials) == len(CONFIG.candidates)
    losses = [trial.log_loss for trial in trained.trials]
    assert trained.trial.log_loss == min(losses)
    assert len({trial.record.sharpe for trial in trained.trials}) == 3
    assert [row["max_depth"] for row in trial_table(trained.trials)] == [2, 3, 2]


def test_overlapping_labels_do_not_teach_what_shuffling_would():
    """Labels of twenty bars overlap: a random split would find an edge in pure noise."""
    rng = np.random.default_rng(6)
    walk = np.cumsum(rng.normal(0.0, 1.0, (3_000, len(COLUMNS))), axis=0)
    frame = with_label(walk, rng.normal(0.0, 0.001, 3_000), horizon=20)
    config = replace(SMALL, split=replace(SMALL.split, embargo_bars=20))
    evaluation = evaluate(train(frame, config), frame, config)
    assert evaluation.auc <= 0.58


def test_rows_without_a_number_are_left_out_and_counted(frame):
    holes = frame.with_columns(
        pl.when(pl.int_range(pl.len()) < 60).then(np.nan).otherwise(pl.col(COLUMNS[2]))
        .alias(COLUMNS[2]),
    )  # fmt: skip
    trained = train(holes, SMALL)
    assert trained.dropped == 60
    assert trained.trained_from_ns == times_ns_of(frame["event_timestamp"])[60]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda f: f.drop("bar_return", COLUMNS[3]), "lacks bar_return, h1_adx_14"),
        (lambda f: f.with_columns(symbol=pl.lit("GBPUSD")), "holds GBPUSD beside EURUSD"),
        (lambda f: f[:500], "500 usable rows of EURUSD h1"),
        (lambda f: pl.concat([f, f[:1]]), "occur twice"),
        (lambda f: f.with_columns(label=pl.col("label") * 2), "neither 0 nor 1"),
        (lambda f: f.with_columns(label=pl.lit(1)), "of each side are needed"),
        (
            lambda f: f.with_columns(label_end=pl.col("event_timestamp") - pl.duration(hours=1)),
            "end before they begin",
        ),
        (lambda f: f.with_columns(pl.lit(1e300).alias(COLUMNS[0])), "too large for float32"),
    ],
)
def test_what_cannot_be_trained_on_is_refused(frame, change, said):
    with pytest.raises(TrainingRefused, match=said):
        train(change(frame), SMALL)


def test_weights_of_overlapping_labels_are_smaller():
    rng = np.random.default_rng(1)
    features, returns = rng.normal(0, 1, (1_200, len(COLUMNS))), rng.normal(0, 1e-3, 1_200)
    frame = with_label(features, returns, horizon=10)
    lonely = frame.with_columns(
        label_end=pl.when(pl.int_range(pl.len()) < 600)
        .then(pl.col("event_timestamp") + pl.duration(nanoseconds=HOUR_NS // 2))
        .otherwise(pl.col("label_end"))
    )
    data = training_rows(lonely, SMALL)
    weights = data.sample.weights
    assert weights[data.developed].mean() == pytest.approx(1.0)
    inside = np.r_[620:810, 850:1_180]  # away from the ends of what is developed and held out
    assert weights[:590].min() > 5 * weights[inside].max()
