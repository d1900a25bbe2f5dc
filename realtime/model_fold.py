"""A backtest of models: the fold of the engine with what the models say of its own features.

Two passes over the same ticks: the features at every moment a decision is due and what the model
says of each row, one row at a time as it is asked live; then the engine with these signals. What a
running loop does tick by tick must equal this to the bit.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.engine import Engine, Result, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import QUOTE, SIGNAL
from realtime.settings import DecisionSettings


class PredictorBundle(Protocol):
    """What is read of a bundle: see `realtime.model.Bundle`."""

    @property
    def id(self) -> str:
        """Its name."""
        ...

    @property
    def feature_set(self) -> str:
        """`FeatureSet.identity` of what the model sees."""
        ...

    @property
    def clock(self) -> str:
        """Clock whose finished bars it predicts on."""
        ...

    @property
    def stage(self) -> str:
        """What it has passed: shadow, paper or live."""
        ...

    @property
    def decision(self) -> DecisionSettings:
        """How to act on what it says."""
        ...

    @property
    def trained_through_ns(self) -> int:
        """Newest moment of the training data."""
        ...

    @property
    def evaluated_through_ns(self) -> int:
        """Newest moment that the gates looked at."""
        ...


class Predictor(Protocol):
    """What is asked of a model: see `realtime.model.Model`."""

    @property
    def bundle(self) -> PredictorBundle:
        """Where it came from."""
        ...

    def predict(self, row: NDArray[np.float64]) -> float:
        """Return the probability of the up barrier, NaN if a feature is NaN."""
        ...


@dataclass(frozen=True, kw_only=True)
class Folded:
    """What came out, per symbol where it says so.

    Attributes:
        result: orders, fills, decisions, equity.
        times_ns: per symbol (due,): when each decision was due.
        rows: per symbol (due, columns): the features at those moments.
        probabilities: per symbol (due,): what the model said; NaN where it was not asked.
    """

    result: Result
    times_ns: tuple[NDArray[np.int64], ...]
    rows: tuple[NDArray[np.float64], ...]
    probabilities: tuple[NDArray[np.float64], ...]


def probability_at(
    model: Predictor | None, row: NDArray[np.float64], time_ns: int, seen_ns: int
) -> float:
    """Ask a model about one row; NaN if there is none, or this time was seen in making it."""
    if model is None or time_ns <= seen_ns:
        return math.nan
    return model.predict(row)


def seen_through_ns(model: Predictor | None, *, on_holdout: bool = False) -> int:
    """Return the moment up to which a model says nothing: it was made, or judged, on that time.

    Args:
        model: None has seen nothing.
        on_holdout: for judging it: only what it was trained on counts.
    """
    if model is None:
        return 0
    bundle = model.bundle
    return bundle.trained_through_ns if on_holdout else bundle.evaluated_through_ns


def write_signal(signal: np.void, probability: float, time_ns: int, model_ns: int) -> None:
    """Fill a SIGNAL record with what a model said at a moment."""
    signal["probability"] = probability
    signal["volatility"] = math.nan
    signal["feature_ns"] = time_ns
    signal["model_ns"] = model_ns


def fold_models(
    desk: np.void,
    *,
    feature_sets: Sequence[FeatureSet],
    clocks: Sequence[str],
    models: Sequence[Predictor | None],
    ticks: NDArray[np.void],
    rows: Sequence[tuple[int, ...]] = (),
    on_holdout: bool = False,
) -> Folded:
    """Fold ticks of all symbols, in the order of the feed, through features, models and engine.

    Args:
        desk: a fresh desk, not mirrored, with the decision parameters of the bundles in force.
        feature_sets: per symbol, in the order of the desk's rows.
        clocks: per symbol, the clock whose finished bars are decided on.
        models: per symbol; None never predicts.
        ticks: (n,) TICK; `symbol` is the desk's row.
        rows: per symbol, desk rows of the symbols that its features name; see `Rule`.
        on_holdout: predict on data that the gates look at, too: see `seen_through_ns`.

    Raises:
        EngineError: see `Engine`.
        FeatureError: ticks outside of the desk's calendar.
    """
    places = [tuple(each) for each in rows] if rows else [()] * len(feature_sets)
    rules = [
        Rule(features=features, clock=clock, rows=place)
        for features, clock, place in zip(feature_sets, clocks, places, strict=True)
    ]
    engine = Engine(desk, rules)
    due = [_due_rows(desk, row, rule, ticks) for row, rule in enumerate(rules)]
    given: list[NDArray[np.void]] = []
    for (times_ns, features), model in zip(due, models, strict=True):
        signals = np.zeros(len(times_ns), SIGNAL)
        seen_ns = seen_through_ns(model, on_holdout=on_holdout)
        for at in range(len(times_ns)):
            time_ns = int(times_ns[at])
            probability = probability_at(model, features[at], time_ns, seen_ns)
            write_signal(signals[at], probability, time_ns, seen_ns)
        given.append(signals)
    engine.fold(ticks, tuple(given))
    return Folded(
        result=engine.result(),
        times_ns=tuple(times_ns for times_ns, _ in due),
        rows=tuple(features for _, features in due),
        probabilities=tuple(signals["probability"].copy() for signals in given),
    )


def apply_decision(desk: np.void, row: int, decision: DecisionSettings) -> None:
    """Put a bundle's decision parameters in force for a symbol."""
    decision.fill(desk["params"][row])


def _due_rows(
    desk: np.void, row: int, rule: Rule, ticks: NDArray[np.void]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    spec = desk["specs"][row]
    days = desk["days"][int(spec["first_day"]) : int(spec["last_day"])]
    fused = rule.features.compile(rule.rows)
    quotes = np.zeros(int(desk["symbols"]), QUOTE)
    parts = [
        (times_ns.copy(), rows.copy())
        for times_ns, rows in fused.history(
            ticks, days, clock=rule.clock, symbol=row, quotes=quotes
        )
    ]
    if not parts:
        return np.zeros(0, np.int64), np.zeros((0, len(fused.columns)))
    return (
        np.concatenate([times_ns for times_ns, _ in parts]),
        np.concatenate([rows for _, rows in parts]),
    )
