"""Platt's calibration against scikit-learn's and scipy's."""

import math

import numpy as np
import pytest
from scipy.optimize import minimize
from sklearn.linear_model import LogisticRegression

from ml.models.platt import Belief, Platt, fit_platt, sigmoid

RNG = np.random.default_rng(5)
MARGINS = RNG.normal(0.3, 0.5, 2_000)
LABELS = (RNG.random(2_000) < sigmoid(2.0 * MARGINS - 0.4)).astype(float)
ONES = np.ones(2_000)
NONE = Belief(centre=0.3, share=0.5, slope_deviation=math.inf, shift_deviation=math.inf)
SOME = Belief(centre=0.3, share=0.45)


def test_where_nothing_is_believed_it_is_the_known_regression():
    found = fit_platt(MARGINS, LABELS, ONES, NONE)
    known = LogisticRegression(C=np.inf, tol=1e-10).fit(MARGINS[:, None], LABELS)
    assert found.slope == pytest.approx(known.coef_[0, 0], abs=1e-5)
    assert found.intercept == pytest.approx(known.intercept_[0], abs=1e-5)


@pytest.mark.parametrize("rows", [30, 2_000])
def test_with_a_belief_it_is_the_most_probable_line(rows):
    margins, labels, weights = MARGINS[:rows], LABELS[:rows], np.full(rows, 0.3)

    def improbability(line):
        odds = line[0] * (margins - 0.3) + line[1]
        loss = weights @ (np.logaddexp(0.0, odds) - labels * odds)
        believed = math.log(0.45 / 0.55)
        return loss + 2.0 * (line[0] - 1.0) ** 2 + 50.0 * (line[1] - believed) ** 2

    best = minimize(improbability, [1.0, 0.0], tol=1e-12).x
    found = fit_platt(margins, labels, weights, SOME)
    assert found.slope == pytest.approx(best[0], abs=1e-4)
    assert found.intercept == pytest.approx(best[1] - best[0] * 0.3, abs=1e-4)


def test_it_finds_the_line_that_the_labels_were_drawn_from():
    found = fit_platt(MARGINS, LABELS, ONES, NONE)
    assert found.slope == pytest.approx(2.0, abs=0.35)
    assert found.intercept == pytest.approx(-0.4, abs=0.15)


def test_few_labels_do_not_move_it_far_and_many_do():
    ups = np.ones(2_000)
    few = fit_platt(MARGINS[:10], ups[:10], ONES[:10], SOME)
    many = fit_platt(MARGINS, ups, ONES, SOME)
    at_centre = np.array([0.3])
    assert few.probability(at_centre)[0] < 0.5
    assert many.probability(at_centre)[0] > 0.8


def test_weights_count_like_repeated_rows():
    twice = np.where(np.arange(2_000) < 500, 2.0, 1.0)
    repeated = np.concatenate((MARGINS, MARGINS[:500]))
    weighted = fit_platt(MARGINS, LABELS, twice, SOME)
    plain = fit_platt(repeated, np.concatenate((LABELS, LABELS[:500])), np.ones(2_500), SOME)
    assert weighted.slope == pytest.approx(plain.slope, abs=1e-6)


def test_a_model_that_points_the_wrong_way_is_not_turned_round():
    belief = Belief(centre=-0.3, share=LABELS.mean())
    found = fit_platt(-3.0 * MARGINS, LABELS, ONES, belief)
    assert found.slope == 0.0
    said = found.probability(np.array([-5.0, 5.0]))
    assert said == pytest.approx([LABELS.mean()] * 2, abs=1e-3)


def test_margins_that_do_not_vary_say_the_share():
    belief = Belief(centre=0.2, share=LABELS.mean())
    found = fit_platt(np.full(2_000, 0.2), LABELS, ONES, belief)
    assert found.probability(np.array([0.2]))[0] == pytest.approx(LABELS.mean(), abs=1e-6)


def test_classes_that_can_be_told_apart_stay_finite():
    margins = np.concatenate((np.full(50, -1.0), np.full(50, 1.0)))
    found = fit_platt(margins, (margins > 0).astype(float), np.ones(100), SOME)
    assert math.isfinite(found.slope)
    assert found.probability(np.array([1.0]))[0] < 1.0


def test_extreme_margins_do_not_overflow():
    said = Platt(slope=1.0, intercept=0.0).probability(np.array([-1e4, 0.0, 1e4]))
    assert said.tolist() == [0.0, 0.5, 1.0]
