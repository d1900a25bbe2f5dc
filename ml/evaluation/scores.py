"""Scores of probabilities against what happened. All take weights; oracles are scikit-learn's.

They are printed, compared, and sealed into gate reports, so they must be the same on every machine.
Products of vectors (``@``) add in an order that depends on the processor: sums here are exact
(`math.fsum`), and what is returned is rounded to `DIGITS` decimals.
"""

import math

import numpy as np
from numpy.typing import NDArray

DIGITS = 12
_LEAST = 1e-12

Numbers = NDArray[np.float64]


def weighted_mean(values: Numbers, weights: Numbers) -> float:
    """Return the mean of rows by weight, the same on every machine."""
    return round(_total(weights * values) / _total(weights), DIGITS)


def _total(values: Numbers) -> float:
    return math.fsum(values.tolist())


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
    return weighted_mean(log_losses(labels, probabilities), weights)


def mean_error(values: Numbers, weights: Numbers, independent: float) -> float:
    """Return the standard error of a weighted mean of rows that are worth so many independent ones.

    Args:
        values: (n,).
        weights: (n,).
        independent: number of rows that do not overlap, above 0.
    """
    mean = _total(weights * values) / _total(weights)
    variance = _total(weights * (values - mean) ** 2) / _total(weights)
    return round(math.sqrt(variance / independent), DIGITS)


def brier(labels: Numbers, probabilities: Numbers, weights: Numbers) -> float:
    """Return the weighted mean squared difference.

    Oracle: ``sklearn.metrics.brier_score_loss(labels, probabilities, sample_weight=weights)``.
    """
    if len(labels) == 0:
        return math.nan
    return weighted_mean((probabilities - labels) ** 2, weights)


def area_under_curve(labels: Numbers, probabilities: Numbers, weights: Numbers) -> float:
    """Return the probability that an up row was given more than a down row; ties count half.

    Oracle: ``sklearn.metrics.roc_auc_score(labels, probabilities, sample_weight=weights)``; NaN
    where one class is missing.
    """
    _, group = np.unique(probabilities, return_inverse=True)
    up = np.bincount(group, weights=weights * labels).astype(np.float64)
    down = np.bincount(group, weights=weights * (1.0 - labels)).astype(np.float64)
    pairs = _total(up) * _total(down)
    if not pairs > 0.0:
        return math.nan
    below = np.cumsum(down) - down
    return round(_total(up * (below + 0.5 * down)) / pairs, DIGITS)


def rank_correlation(one: Numbers, other: Numbers) -> float:
    """Return Spearman's correlation, 0 where one of the two does not vary.

    Oracle: ``scipy.stats.spearmanr(one, other).statistic``.
    """
    ranks = [_ranks(values) for values in (one, other)]
    centred = [values - values.mean() for values in ranks]
    scale = math.sqrt(_total(centred[0] ** 2) * _total(centred[1] ** 2))
    return round(_total(centred[0] * centred[1]) / scale, DIGITS) if scale > 0.0 else 0.0


def _ranks(values: Numbers) -> Numbers:
    """Return ranks, ties sharing their mean."""
    _, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - 0.5 * (counts - 1))[group].astype(np.float64)
