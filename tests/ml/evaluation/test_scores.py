"""Scores equal those of scikit-learn and scipy."""

import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from ml.evaluation.reliability import calibration_error, calibration_noise, reliability
from ml.evaluation.scores import area_under_curve, brier, log_loss, rank_correlation

ROOT = Path(__file__).resolve().parents[3]
RNG = np.random.default_rng(3)
LABELS = (RNG.random(500) < 0.4).astype(float)
PROBABILITIES = np.round(np.clip(0.4 + 0.2 * (LABELS - 0.4) + RNG.normal(0, 0.2, 500), 0, 1), 2)
WEIGHTS = RNG.random(500) + 0.1


@pytest.mark.parametrize(
    ("own", "theirs"),
    [
        (log_loss, metrics.log_loss),
        (brier, metrics.brier_score_loss),
        (area_under_curve, metrics.roc_auc_score),
    ],
)
def test_scores_with_weights_and_ties_are_the_known_ones(own, theirs):
    inside = np.clip(PROBABILITIES, 0.01, 0.99)
    expected = theirs(LABELS, inside, sample_weight=WEIGHTS)
    assert own(LABELS, inside, WEIGHTS) == pytest.approx(expected, abs=1e-12)


def test_certainty_that_is_wrong_costs_much_but_not_infinitely():
    assert 20 < log_loss(np.ones(1), np.zeros(1), np.ones(1)) < 40


def test_rank_correlation_is_spearmans():
    expected = stats.spearmanr(PROBABILITIES, LABELS)[0]
    assert rank_correlation(PROBABILITIES, LABELS) == pytest.approx(expected, abs=1e-12)
    assert rank_correlation(np.ones(5), np.arange(5.0)) == 0.0


def test_one_class_has_no_area():
    assert math.isnan(area_under_curve(np.ones(5), np.arange(5.0), np.ones(5)))


def test_deciles_hold_all_rows_in_order_of_what_was_said():
    table = reliability(LABELS, PROBABILITIES, LABELS - 0.4)
    assert sum(each.rows for each in table) == 500
    said = [each.said for each in table]
    assert said == sorted(said)
    assert 8 <= len(table) <= 10
    means = sum(each.rows * each.mean_return for each in table) / 500
    assert means == pytest.approx((LABELS - 0.4).mean())


def test_equal_probabilities_share_a_bin():
    table = reliability(LABELS, np.full(500, 0.4), LABELS)
    assert [each.rows for each in table] == [500]
    assert calibration_error(table) == pytest.approx(abs(0.4 - LABELS.mean()))


def test_the_calibration_error_of_an_honest_model_is_small_and_of_a_boaster_large():
    rng = np.random.default_rng(4)
    truth = rng.uniform(0.3, 0.7, 20_000)
    labels = (rng.random(20_000) < truth).astype(float)
    honest = calibration_error(reliability(labels, truth, labels))
    boaster = calibration_error(reliability(labels, 3.0 * (truth - 0.5) + 0.5, labels))
    assert honest < 0.015
    assert boaster > 0.15


def test_the_noise_of_a_calibration_error_is_what_honest_coins_show():
    rng = np.random.default_rng(5)
    truth = np.full(200, 0.5) + np.linspace(-0.2, 0.2, 200)
    draws = [(rng.random(200) < truth).astype(float) for _ in range(300)]
    shown = [calibration_error(reliability(labels, truth, labels)) for labels in draws]
    table = reliability(draws[0], truth, draws[0])
    assert calibration_noise(table, 200.0) == pytest.approx(np.mean(shown), rel=0.1)
    assert calibration_noise(table, 50.0) == pytest.approx(2 * calibration_noise(table, 200.0))


def test_what_is_printed_and_hashed_is_the_same_on_every_processor():
    """Products of vectors add in the order of the processor: last digits once moved with it."""
    program = (
        "import hashlib\n"
        "from ml.evaluation.evaluation import evaluate\n"
        "from ml.training import train\n"
        "from tests.ml.frames import SMALL, frame_of\n"
        "frame = frame_of(5, rows=1_500, information=0.05)\n"
        "made = train(frame, SMALL)\n"
        "print(hashlib.sha256(made.onnx).hexdigest(), made.platt, made.trials, made.prior)\n"
        "print(evaluate(made, frame, SMALL))\n"
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "OPENBLAS_CORETYPE": processor, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for processor in ("Haswell", "Nehalem")
    }
    assert len(said) == 1
