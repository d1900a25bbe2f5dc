"""Splits against worked examples, and what no split may do: train on what its test has seen."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ml.errors import TrainingRefused
from ml.features import calendar_days
from ml.splits import (
    combinatorial_counts,
    combinatorial_folds,
    developed_rows,
    purged_folds,
    segments,
    walk_forward,
)

HOUR_NS = 3_600 * 10**9
TWELVE = np.arange(12)


@pytest.fixture(scope="module")
def golden(shared_data):
    path = shared_data.parent / "reference" / "research_golden.json"
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize(("embargo", "key"), [(0, "train"), (1, "embargo1_after_t1")])
def test_purged_folds_are_those_of_the_worked_example(golden, embargo, key):
    expected = golden["purge_closed_AFML"][key]
    found = list(purged_folds(TWELVE, TWELVE + 2, 3, embargo))
    assert [train.tolist() for train, _ in found] == expected
    assert [test.tolist() for _, test in found] == np.arange(12).reshape(3, 4).tolist()


def test_purged_folds_written_out():
    found = [train.tolist() for train, _ in purged_folds(TWELVE, TWELVE + 2, 3, 1)]
    assert found == [[7, 8, 9, 10, 11], [0, 1, 11], [0, 1, 2, 3, 4, 5]]


def test_combinatorial_folds_are_those_of_the_worked_example(golden):
    expected = golden["CPCV_skfolio"]["n12_k3_p2"]
    found = list(combinatorial_folds(TWELVE, TWELVE, 3, 2))
    assert [train.tolist() for train, _ in found] == expected
    assert [len(test) for _, test in found] == [8, 8, 8]


def test_combinatorial_counts_are_those_of_the_worked_examples(golden):
    for key, expected in golden["CPCV_skfolio"]["paths(k,p)"].items():
        folds, tested = (int(part) for part in key.split(","))
        assert list(combinatorial_counts(folds, tested)) == expected
    assert combinatorial_counts(6, 2) == (15, 5)


def events(draw_seed, rows, longest):
    rng = np.random.default_rng(draw_seed)
    start = np.cumsum(rng.integers(1, 5, rows))
    return start, start + rng.integers(0, longest, rows)


def overlap(start, end, train, test):
    """Pairs of a training and a test label that share a moment."""
    return (start[train][:, None] <= end[test][None, :]) & (
        start[test][None, :] <= end[train][:, None]
    )


@given(st.integers(0, 1_000), st.integers(30, 80), st.integers(1, 40), st.integers(2, 5),
       st.integers(0, 3))  # fmt: skip
def test_no_training_label_shares_a_moment_with_a_test_label(seed, rows, longest, folds, embargo):
    start, end = events(seed, rows, longest)
    for train, test in purged_folds(start, end, folds, embargo):
        assert not overlap(start, end, train, test).any()
    for train, test in combinatorial_folds(start, end, max(folds, 3), 2, embargo):
        assert not overlap(start, end, train, test).any()
        assert not np.isin(train, test).any()
    for train, validation, test in walk_forward(start, end, folds, embargo):
        assert not overlap(start, end, train, validation).any()
        assert not overlap(start, end, train, test).any()
        assert not overlap(start, end, validation, test).any()


@pytest.mark.parametrize("start", ["2017-02-27", "2017-10-16"])
@pytest.mark.parametrize("horizon", [5, 24, 130])
def test_nothing_overlaps_in_months_when_clocks_change(start, horizon):
    """Trading days of 23 and 25 hours, and weeks when New York and London are an hour nearer."""
    first_ns = int(np.datetime64(start, "ns").astype(np.int64))
    days = calendar_days("EURUSD", first_ns, first_ns + 42 * 86_400 * 10**9)
    lengths = np.unique(days["end_ns"] - days["start_ns"]) // HOUR_NS
    assert lengths.tolist() in ([23, 24], [24, 25])
    event = np.concatenate([
        np.arange(day["open_ns"], day["close_ns"], HOUR_NS) for day in days
    ])  # fmt: skip
    event, end = event[:-horizon], event[horizon:]
    for embargo in (0, 24):
        folds = [
            *purged_folds(event, end, 4, embargo),
            *combinatorial_folds(event, end, 4, 2, embargo),
            *((train, test) for train, _, test in walk_forward(event, end, 2, embargo)),
        ]
        for train, test in folds:
            assert len(test) > 0
            assert not overlap(event, end, train, test).any()
        parts = segments(
            event, end, holdout_fraction=0.3, calibration_fraction=0.3, embargo=embargo
        )
        developed = developed_rows(event, end, holdout_fraction=0.3, embargo=embargo)
        assert end[developed].max() < event[parts.holdout[0]]
        assert np.isin(np.concatenate((parts.train, parts.calibration)), developed).all()


def test_walk_forward_tests_lie_after_all_they_were_fitted_on():
    start = np.arange(1_000)
    found = list(walk_forward(start, start + 10, 4, embargo=5))
    tests = np.concatenate([test for _, _, test in found])
    assert tests.tolist() == list(range(500, 1_000))
    for train, validation, test in found:
        assert train[-1] + 10 < validation[0]
        assert validation[-1] + 10 < test[0]
        assert validation[0] - train[-1] > 10
        assert len(validation) > 80
    assert [len(train) for train, _, _ in found] == sorted(len(train) for train, _, _ in found)


def test_an_embargo_leaves_out_rows_before_each_later_segment():
    start = np.arange(100)
    plain = segments(start, start, holdout_fraction=0.3, calibration_fraction=0.2)
    apart = segments(start, start, holdout_fraction=0.3, calibration_fraction=0.2, embargo=5)
    assert plain.train.tolist() == list(range(56))
    assert plain.calibration.tolist() == list(range(56, 70))
    assert apart.train.tolist() == list(range(51))
    assert apart.calibration.tolist() == list(range(56, 65))
    assert plain.holdout.tolist() == apart.holdout.tolist() == list(range(70, 100))


def test_segments_are_purged_by_when_labels_end():
    start = np.arange(100)
    parts = segments(start, start + 7, holdout_fraction=0.3, calibration_fraction=0.2)
    assert parts.train[-1] == 48
    assert parts.calibration[-1] == 62


def test_a_horizon_that_leaves_nothing_is_said():
    start = np.arange(100)
    with pytest.raises(TrainingRefused, match="nothing for the calibration part"):
        segments(start, start + 20, holdout_fraction=0.3, calibration_fraction=0.2)
