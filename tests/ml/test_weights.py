"""Uniqueness of labels against a worked example and a plain definition."""

import json

import numpy as np
import pytest

from ml.weights import label_uniqueness, label_weights, uniqueness


def test_the_worked_example_comes_out(shared_data):
    path = shared_data.parent / "reference" / "research_golden.json"
    golden = json.loads(path.read_text(encoding="utf-8"))["sequential_bootstrap_AFML"]
    first, last = np.array(golden["spans"]).T
    np.testing.assert_allclose(uniqueness(first, last), golden["uniqueness"], atol=5e-5)


def plainly(first, last):
    spans = [set(range(a, b + 1)) for a, b in zip(first, last, strict=True)]
    return [
        float(np.mean([1.0 / sum(cell in other for other in spans) for cell in span]))
        for span in spans
    ]


def test_it_is_the_mean_of_one_over_how_many_labels_are_alive():
    rng = np.random.default_rng(2)
    first = np.sort(rng.integers(0, 60, 40))
    last = first + rng.integers(0, 15, 40)
    np.testing.assert_allclose(uniqueness(first, last), plainly(first, last), atol=1e-12)


def test_labels_that_never_overlap_weigh_the_same():
    event_ns = np.arange(10) * 100
    assert label_weights(event_ns, event_ns + 99).tolist() == [1.0] * 10
    assert label_uniqueness(event_ns, event_ns + 100).tolist() == [1.0] * 10
    assert label_uniqueness(event_ns, event_ns + 101)[1] == 0.5


def test_a_crowd_weighs_less_than_a_loner():
    event_ns = np.array([0, 10, 20, 30, 1_000])
    weights = label_weights(event_ns, event_ns + 35)
    assert weights.mean() == pytest.approx(1.0)
    assert weights[4] == weights.max()
    assert weights[1] < 0.6 * weights[4]


def test_uniqueness_adds_up_to_how_many_labels_they_are_worth():
    event_ns = np.arange(200) * 10
    assert label_uniqueness(event_ns, event_ns + 99).sum() == pytest.approx(20.0, rel=0.05)


def test_no_labels_have_no_weights():
    nothing = np.zeros(0, np.int64)
    assert label_weights(nothing, nothing).tolist() == []
