"""Boosted trees: fitted with xgboost's histograms, the same bits for the same rows and seed."""

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import xgboost
from numpy.typing import NDArray

from ml.config import Candidate, ModelConfig

_QUIET = 0


@dataclass(frozen=True, kw_only=True)
class Sample:
    """Rows to fit on.

    Attributes:
        rows: (n, columns) float32, finite.
        labels: (n,) 0 or 1.
        weights: (n,) 1 on average.
    """

    rows: NDArray[np.float32]
    labels: NDArray[np.float64]
    weights: NDArray[np.float64]

    def of(self, chosen: NDArray[np.int64]) -> "Sample":
        """Return some of the rows."""
        return Sample(
            rows=self.rows[chosen], labels=self.labels[chosen], weights=self.weights[chosen]
        )


@dataclass(frozen=True, kw_only=True)
class Boosted:
    """Trees as fitted, cut to the best round.

    Attributes:
        booster: ``xgboost.Booster``; its margin of no tree is 0.
        rounds: trees kept.
    """

    booster: Any
    rounds: int

    def margins(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the log odds of rows, uncalibrated."""
        found = self.booster.predict(xgboost.DMatrix(rows, nthread=1), output_margin=True)
        return cast("NDArray[Any]", found).astype(np.float64)

    def gains(self, columns: int) -> NDArray[np.float64]:
        """Return the share of each column in what the trees gained; adds up to 1."""
        scores: dict[str, float] = self.booster.get_score(importance_type="total_gain")
        gains = np.array([float(scores.get(f"f{k}", 0.0)) for k in range(columns)])
        return gains / gains.sum() if gains.sum() > 0.0 else gains


def fit_boosted(
    train: Sample, validation: Sample, candidate: Candidate, model: ModelConfig
) -> Boosted:
    """Fit trees until the rows that come after the training's no longer gain.

    Args:
        train: rows to learn from.
        validation: later rows, purged; they only end the boosting.
        candidate: hyper-parameters.
        model: rounds, threads and seed.
    """
    matrices = [
        xgboost.DMatrix(part.rows, part.labels, weight=part.weights, nthread=model.threads)
        for part in (train, validation)
    ]
    settings = {
        "objective": "binary:logistic",
        "eval_metric": "logloss",
        "base_score": 0.5,  # a margin of 0: the calibration knows the classes' shares
        "tree_method": "hist",
        "device": "cpu",
        "max_depth": candidate.max_depth,
        "eta": candidate.learning_rate,
        "min_child_weight": 0.25 * candidate.least_child_weight,  # hessian of a row at p = 1/2
        "subsample": candidate.row_fraction,
        "colsample_bytree": candidate.column_fraction,
        "lambda": candidate.leaf_penalty,
        "nthread": model.threads,
        "seed": model.seed,
        "verbosity": _QUIET,
    }
    booster = xgboost.train(
        settings,
        matrices[0],
        num_boost_round=model.rounds,
        evals=[(matrices[1], "validation")],
        early_stopping_rounds=model.early_stopping_rounds,
        verbose_eval=False,
    )
    rounds = int(booster.best_iteration) + 1
    return Boosted(booster=booster[:rounds], rounds=rounds)
