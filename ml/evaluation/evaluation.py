"""What a trained model is worth on the holdout, stated beside what knowing nothing is worth."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.config import TrainingConfig
from ml.evaluation.reliability import (
    Bin,
    calibration_error,
    calibration_noise,
    reliability,
)
from ml.evaluation.scores import area_under_curve, brier, log_loss, log_losses, mean_error
from ml.models.graph import OnnxProbability
from ml.training import Trained, segments_of, training_rows
from ml.trials import Record, record_of
from ml.weights import label_uniqueness

_CONFIDENT = 1.645  # standard errors: 95% of chance stays below


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Numbers of the holdout: rows that nothing was fitted, chosen or calibrated on.

    Attributes:
        rows: of the holdout.
        from_ns: its first event.
        through_ns: its last event.
        auc: probability that an up row is ranked above a down row; 0.5 is nothing.
        log_loss: of the model.
        prior_log_loss: of always saying the training segment's share of up rows.
        gain_error: standard error of the difference of the two; overlapping labels count once.
        beats_prior: whether the model's is lower by more than chance explains (95%, one-sided).
        brier: of the model.
        prior_brier: of that share.
        calibration_error: expected, over deciles.
        calibration_noise: what perfect calibration would show by chance; overlaps count once.
        deciles: in order of the probability, with hit rates.
        trading: net and gross, a bar, by the decision thresholds: see `ml.trials`.
        label_share: of up rows.
        finite: whether every prediction is a number from 0 to 1.
    """

    rows: int
    from_ns: int
    through_ns: int
    auc: float
    log_loss: float
    prior_log_loss: float
    gain_error: float
    beats_prior: bool
    brier: float
    prior_brier: float
    calibration_error: float
    calibration_noise: float
    deciles: tuple[Bin, ...]
    trading: Record
    label_share: float
    finite: bool

    @property
    def verdict(self) -> str:
        """What it says, in one sentence."""
        than = "better than" if self.beats_prior else "no better than"
        return (
            f"Log loss {self.log_loss:.5f} on {self.rows:,} rows of the holdout is {than} the"
            f" class prior's {self.prior_log_loss:.5f} (chance explains {self.gain_error:.5f});"
            f" AUC {self.auc:.3f}."
        )

    def content(self) -> dict[str, Any]:
        """Return everything as plain values."""
        return asdict(self)


def evaluate(trained: Trained, frame: pl.DataFrame, config: TrainingConfig) -> Evaluation:
    """Evaluate a model on the holdout of the frame that it was trained on.

    The predictions are those of the exported model, row by row, as the loop will make them.
    """
    data = training_rows(frame, config)
    rows = segments_of(data, config).holdout
    probabilities = OnnxProbability(trained.onnx).predict_rows(data.sample.rows[rows])
    labels, weights = data.sample.labels[rows], data.sample.weights[rows]
    prior = np.full(len(rows), trained.prior)
    loss, prior_loss = (log_loss(labels, each, weights) for each in (probabilities, prior))
    gains = log_losses(labels, prior) - log_losses(labels, probabilities)
    independent = float(label_uniqueness(data.event_ns[rows], data.end_ns[rows]).sum())
    gain_error = mean_error(gains, weights, independent)
    # The last row's bar ends with an event that no row tells of, after all that was to be seen.
    held = rows[:-1]
    deciles = reliability(labels, probabilities, data.label_return[rows])
    return Evaluation(
        rows=len(rows),
        from_ns=int(data.event_ns[rows[0]]),
        through_ns=int(data.event_ns[rows[-1]]),
        auc=area_under_curve(labels, probabilities, weights),
        log_loss=loss,
        prior_log_loss=prior_loss,
        gain_error=gain_error,
        beats_prior=prior_loss - loss > _CONFIDENT * gain_error,
        brier=brier(labels, probabilities, weights),
        prior_brier=brier(labels, prior, weights),
        calibration_error=calibration_error(deciles),
        calibration_noise=calibration_noise(deciles, independent),
        deciles=deciles,
        trading=record_of(
            probabilities[:-1], data.bar_return[held], data.cost[held], config.decision
        ),
        label_share=float(labels.mean()),
        finite=_are_probabilities(probabilities),
    )


def _are_probabilities(values: NDArray[np.float64]) -> bool:
    return bool(np.all((values >= 0.0) & (values <= 1.0)))
