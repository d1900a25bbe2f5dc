"""Scores of probabilities against what happened. All take weights; oracles are scikit-learn's."""

import math

import numpy as np
from numpy.typing import NDArray

_LEAST = 1e-12

Numbers = NDArray[np.float64]


def log_losses(labels: Numbers, probabilities: Numbers) -> Numbers:
    """Return -log of the probability given to what happened, row by row."""
    inside = np.clip(probabilities, _LEAST, 1.0 - _LEAST)
    return -np.where(labels > 0.5, np.log(inside), np.log1p(-inside))


def log_loss(labels: Numbers, probabilities: Numbers, weights: Numbers) -> float:
    """Return the weighted mean of `log_losses`.

    Oracle: ``sklearn.metrics.log_loss(labels, probabilities, sample_weight=weights)``.
    """
    if len(labels) == 0:
        return math.nan
    return float(weights @ log_losses(labels, probabilities) / weights.sum())


def mean_error(values: Numbers, weights: Numbers, independent: float) -> float:
    """Return the standard error of a weighted mean of rows that are worth so many independent ones.

    Args:
        values: (n,).
        weights: (n,).
        independent: number of rows that do not overlap, above 0.
    """
    mean = float(weights @ values / weights.sum())
    variance = float(weights @ (values - mean) ** 2 / weights.sum())
    return math.sqrt(variance / independent)


def brier(labels: Numbers, probabilities: Numbers, weights: Numbers) -> float:
    """Return the weighted mean squared difference.

    Oracle: ``sklearn.metrics.brier_score_loss(labels, probabilities, sample_weight=weights)``.
    """
    if len(labels) == 0:
        return math.nan
    return float(weights @ (probabilities - labels) ** 2 / weights.sum())


def area_under_curve(labels: Numbers, probabilities: Numbers, weights: Numbers) -> float:
    """Return the probability that an up row was given more than a down row; ties count half.

    Oracle: ``sklearn.metrics.roc_auc_score(labels, probabilities, sample_weight=weights)``; NaN
    where one class is missing.
    """
    _, group = np.unique(probabilities, return_inverse=True)
    up = np.bincount(group, weights=weights * labels)
    down = np.bincount(group, weights=weights * (1.0 - labels))
    pairs = float(up.sum() * down.sum())
    if not pairs > 0.0:
        return math.nan
    below = np.cumsum(down) - down
    return float((up * (below + 0.5 * down)).sum()) / pairs


def rank_correlation(one: Numbers, other: Numbers) -> float:
    """Return Spearman's correlation, 0 where one of the two does not vary.

    Oracle: ``scipy.stats.spearmanr(one, other).statistic``.
    """
    ranks = [_ranks(values) for values in (one, other)]
    centred = [values - values.mean() for values in ranks]
    scale = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / scale if scale > 0.0 else 0.0


def _ranks(values: Numbers) -> Numbers:
    """Return ranks, ties sharing their mean."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[group].astype(np.float64)
