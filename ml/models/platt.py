"""Platt's calibration: a logistic line from a model's margin to a probability.

Markets give few independent labels, and a line through few points is bent by chance: a quiet month
of falls would become a lasting belief in falls. The fit therefore starts from what the training
says (margins are log odds, and up rows have the share that they had) and moves away from it as far
as the calibration's labels have weight: a Bayesian fit with a normal prior.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEPS = 100
_CLOSE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Platt:
    """``probability = 1 / (1 + exp(-(slope * margin + intercept)))``."""

    slope: float
    intercept: float

    def probability(self, margins: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probabilities of margins."""
        return sigmoid(self.slope * margins + self.intercept)


@dataclass(frozen=True, kw_only=True)
class Belief:
    """What is believed of the line before the calibration's labels are seen.

    Attributes:
        centre: mean margin of the training rows.
        share: of up rows among them.
        slope_deviation: how far the slope may be from 1; inf = nothing is believed of it.
        shift_deviation: how far the log odds at `centre` may be from those of `share`.
    """

    centre: float
    share: float
    slope_deviation: float = 0.5
    shift_deviation: float = 0.1


def sigmoid(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logistic function, without overflow on either side."""
    return 0.5 * (1.0 + np.tanh(0.5 * values))


def fit_platt(
    margins: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    belief: Belief,
) -> Platt:
    """Fit by Newton's method.

    A model whose margins point the wrong way gets a slope of 0, and says one share for every row:
    a calibration must never turn a model round.

    Oracle: ``sklearn.linear_model.LogisticRegression(C=inf)`` where nothing is believed, and
    the maximum of the posterior found by ``scipy.optimize.minimize`` where something is.

    Args:
        margins: (n,) of rows that the model was not trained on.
        labels: (n,) 0 or 1.
        weights: (n,) positive; their sum is how many independent rows they are worth.
        belief: where the fit starts from.
    """
    believed = np.array([1.0, math.log(belief.share / (1.0 - belief.share))])
    trust = np.array([belief.slope_deviation, belief.shift_deviation]) ** -2.0
    design = np.stack([margins - belief.centre, np.ones(len(margins))], axis=1)
    line = _line(design, labels, weights, believed, trust)
    if not line[0] > 0.0:
        flat = _line(design * [0.0, 1.0], labels, weights, believed, trust)
        return Platt(slope=0.0, intercept=float(flat[1]))
    slope = float(line[0])
    return Platt(slope=slope, intercept=float(line[1]) - slope * belief.centre)


def _line(
    design: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    believed: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> NDArray[np.float64]:
    def improbability(at: NDArray[np.float64]) -> float:
        odds = design @ at
        away = (at - believed) * trust * (at - believed)
        return float(weights @ (np.logaddexp(0.0, odds) - labels * odds) + 0.5 * away.sum())

    line = believed
    for _ in range(_STEPS):
        expected = sigmoid(design @ line)
        ascent = design.T @ (weights * (labels - expected)) - trust * (line - believed)
        curve = (design.T * (weights * expected * (1.0 - expected))) @ design + np.diag(trust)
        step = np.linalg.lstsq(curve, ascent, rcond=None)[0]
        before = improbability(line)
        # Newton overshoots where probabilities are near 0 or 1: go less far, the same way.
        while improbability(line + step) > before and float(np.abs(step).max()) > _CLOSE:
            step = 0.5 * step
        line = line + step
        if float(np.abs(step).max()) < _CLOSE:
            break
    return line
