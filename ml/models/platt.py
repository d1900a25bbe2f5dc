"""Platt's calibration: a logistic line from a model's margin to a probability.

Markets give few independent labels, and a line through few points is bent by chance: a quiet month
of falls would become a lasting belief in falls. The fit therefore starts from what the training
says (margins are log odds, and up rows have the share that they had) and moves away from it as far
as the calibration's labels have weight: a Bayesian fit with a normal prior.

The line becomes part of the model, whose bytes are hashed. Its sums are exact (`math.fsum`, where
products of matrices add in an order that depends on the processor), and it is rounded to `DIGITS`
decimals, far more than a probability in float32 shows.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIGITS = 9
_STEPS = 100
_CLOSE = 1e-12
_SINGULAR = 1e-14  # share of the determinant that rounding makes up


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
    away = margins - belief.centre
    line = _line(away, labels, weights, believed, trust)
    if not line[0] > 0.0:
        flat = _line(0.0 * away, labels, weights, believed, trust)
        return Platt(slope=0.0, intercept=round(float(flat[1]), DIGITS))
    slope, shift = round(float(line[0]), DIGITS), float(line[1])
    return Platt(slope=slope, intercept=round(shift - slope * belief.centre, DIGITS))


def _line(
    margins: NDArray[np.float64],
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    believed: NDArray[np.float64],
    trust: NDArray[np.float64],
) -> NDArray[np.float64]:
    def improbability(at: NDArray[np.float64]) -> float:
        odds = at[0] * margins + at[1]
        away = (at - believed) * trust * (at - believed)
        return _total(weights * (np.logaddexp(0.0, odds) - labels * odds)) + 0.5 * _total(away)

    line = believed
    for _ in range(_STEPS):
        expected = sigmoid(line[0] * margins + line[1])
        missed, bend = weights * (labels - expected), weights * expected * (1.0 - expected)
        ascent = np.array([_total(margins * missed), _total(missed)]) - trust * (line - believed)
        step = _newton(margins, bend, trust, ascent)
        before = improbability(line)
        # Newton overshoots where probabilities are near 0 or 1: go less far, the same way.
        while improbability(line + step) > before and float(np.abs(step).max()) > _CLOSE:
            step = 0.5 * step
        line = line + step
        if float(np.abs(step).max()) < _CLOSE:
            break
    return line


def _newton(
    margins: NDArray[np.float64],
    bend: NDArray[np.float64],
    trust: NDArray[np.float64],
    ascent: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Solve the two equations of a step; where the slope decides nothing, it stays."""
    steep = _total(margins * margins * bend) + float(trust[0])
    mixed = _total(margins * bend)
    level = _total(bend) + float(trust[1])
    both = steep * level - mixed * mixed
    if not both > _SINGULAR * steep * level:
        return np.array([0.0, float(ascent[1]) / level if level > 0.0 else 0.0])
    slope = (level * float(ascent[0]) - mixed * float(ascent[1])) / both
    return np.array([slope, (steep * float(ascent[1]) - mixed * float(ascent[0])) / both])


def _total(values: NDArray[np.float64]) -> float:
    return math.fsum(values.tolist())
