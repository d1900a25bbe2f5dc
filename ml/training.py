"""Training: from a frame of features and labels to a calibrated, exported model.

Rows are cut in order of time into training, calibration and holdout. What is developed on are the
rows whose labels ended before the holdout began, less an embargo. Candidates are compared by
walk-forward folds inside of these; each is a trial, and what each would have earned there is kept,
because the more are tried the likelier one looks good. The chosen one is fitted on the training
segment, ended and calibrated on the calibration segment. Nothing here reads the holdout: no
feature, label, end of a label or price of it changes a byte of the model.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from ml.config import Candidate, TrainingConfig
from ml.errors import TrainingRefused
from ml.evaluation.scores import log_loss, weighted_mean
from ml.features import times_ns_of
from ml.models.boosted import Boosted, Sample, fit_boosted
from ml.models.graph import export, require_same
from ml.models.platt import Belief, Platt, fit_platt
from ml.splits import Segments, developed_rows, holdout_start, segments, walk_forward
from ml.trials import Trial, record_of, trial_table
from ml.weights import label_uniqueness

#: Columns of a training frame beside the features.
NEEDED = ("event_timestamp", "symbol", "label_end", "label", "label_return", "bar_return", "cost")
_CHECKED_ROWS = 2_000  # of the export against the trained model
_LEAST_OF_A_CLASS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingRows:
    """A training frame as arrays, in order of time, without unusable rows.

    Attributes:
        event_ns: (n,) when each row was known.
        end_ns: (n,) when its label was known.
        sample: features, labels and weights of uniqueness: of the developed rows among
            themselves (1 on average), of the holdout among itself; 0 for the rows between them.
        developed: (m,) the rows that may be learned from, see `ml.splits.developed_rows`.
        values: (n, columns) features as they came, float64.
        label_return: (n,) signed move to the outcome, fraction.
        bar_return: (n,) of the mid until the next event.
        cost: (n,) of a round trip, fraction.
        independence: mean uniqueness of the developed rows: so many independent labels a row.
        dropped: rows of the frame that had a missing feature or number.
    """

    event_ns: NDArray[np.int64]
    end_ns: NDArray[np.int64]
    sample: Sample
    developed: NDArray[np.int64]
    values: NDArray[np.float64]
    label_return: NDArray[np.float64]
    bar_return: NDArray[np.float64]
    cost: NDArray[np.float64]
    independence: float
    dropped: int


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A model, and what must be known of how it came about.

    Attributes:
        config: what it was made from.
        onnx: bytes of the calibrated model.
        trees: the trees, for whoever wants to look into them.
        platt: the calibration.
        trials: all candidates, in the order of the configuration.
        chosen: which of them.
        trained_from_ns: oldest event used.
        trained_through_ns: newest moment used, the ends of labels among them.
        evaluated_through_ns: newest moment of the holdout, likewise.
        holdout_from_ns: first event of the holdout.
        rows: rows of each segment.
        dropped: rows of the frame that could not be used.
        prior: share of the upper class in the training segment.
        gains: share of each feature in what the trees gained.
        difference: largest difference between the exported and the trained model.
        fingerprint: hash of the rows that decided what the model is, those that candidates were
            compared on among them, and of where they were cut (hex SHA-256).
    """

    config: TrainingConfig
    onnx: bytes
    trees: Boosted
    platt: Platt
    trials: tuple[Trial, ...]
    chosen: int
    trained_from_ns: int
    trained_through_ns: int
    evaluated_through_ns: int
    holdout_from_ns: int
    rows: dict[str, int]
    dropped: int
    prior: float
    gains: dict[str, float]
    difference: float
    fingerprint: str

    @property
    def trial(self) -> Trial:
        """The chosen candidate."""
        return self.trials[self.chosen]


def train(frame: pl.DataFrame, config: TrainingConfig) -> Trained:
    """Train a model.

    Args:
        frame: columns of `NEEDED` and the features; one symbol; any order of rows.
        config: everything else. The same frame and configuration give the same bytes.

    Raises:
        TrainingRefused: columns are missing, or there are too few usable rows.
        ModelMismatch: the exported model differs from the trained one.
    """
    data = training_rows(frame, config)
    parts = segments_of(data, config)
    trials = tuple(_trial(data, each, config) for each in config.candidates)
    chosen = min(range(len(trials)), key=lambda k: trials[k].log_loss)
    trees, platt = _fit(data, parts.train, parts.calibration, config.candidates[chosen], config)
    onnx = export(trees, platt, len(config.features))
    used = np.concatenate((parts.train, parts.calibration))
    spread = used[:: max(len(used) // _CHECKED_ROWS, 1)]
    gains = trees.gains(len(config.features))
    return Trained(
        config=config,
        onnx=onnx,
        trees=trees,
        platt=platt,
        trials=trials,
        chosen=chosen,
        trained_from_ns=int(data.event_ns[used[0]]),
        trained_through_ns=int(data.end_ns[used].max()),
        evaluated_through_ns=int(data.end_ns.max()),
        holdout_from_ns=int(data.event_ns[parts.holdout[0]]),
        rows={name: len(rows) for name, rows in vars(parts).items()},
        dropped=data.dropped,
        prior=_share(data, parts.train),
        gains=dict(zip(config.features, gains.tolist(), strict=True)),
        difference=require_same(onnx, trees, platt, data.sample.rows[spread]),
        fingerprint=_fingerprint(data, parts),
    )


def segments_of(data: TrainingRows, config: TrainingConfig) -> Segments:
    """Cut rows into training, calibration and holdout."""
    split = config.split
    return segments(
        data.event_ns,
        data.end_ns,
        holdout_fraction=split.holdout_fraction,
        calibration_fraction=split.calibration_fraction,
        embargo=split.embargo_bars,
    )


def training_rows(frame: pl.DataFrame, config: TrainingConfig) -> TrainingRows:
    """Check a frame and take it apart; see `train`."""
    missing = [name for name in (*NEEDED, *config.features) if name not in frame.columns]
    if missing:
        msg = f"the training frame lacks {', '.join(missing)}: join features and labels first"
        raise TrainingRefused(msg)
    others = sorted(set(frame["symbol"].unique().to_list()) - {config.symbol})
    if others:
        msg = f"the training frame holds {', '.join(map(str, others))} beside {config.symbol}"
        raise TrainingRefused(msg)
    ordered = frame.sort("event_timestamp")
    if bool(ordered["event_timestamp"].is_duplicated().any()):
        msg = "some event_timestamps occur twice: a join has multiplied rows"
        raise TrainingRefused(msg)
    numbers = (*config.features, "label", "label_return", "bar_return", "cost")
    usable = ordered.filter(
        pl.all_horizontal(pl.col(name).cast(pl.Float64).is_finite() for name in numbers),
        pl.col("label_end").is_not_null(),
    )
    _require_enough(usable, config)
    values = usable.select(pl.col(name).cast(pl.Float64) for name in config.features).to_numpy()
    event_ns, end_ns = (times_ns_of(usable[name]) for name in ("event_timestamp", "label_end"))
    with np.errstate(over="ignore"):  # what float32 cannot hold is refused below
        rows = values.astype(np.float32)
    if not bool(np.isfinite(rows).all()):
        msg = "a feature is too large for float32, which models compute in"
        raise TrainingRefused(msg)
    split, labels = config.split, usable["label"].to_numpy()
    developed = developed_rows(
        event_ns,
        end_ns,
        holdout_fraction=split.holdout_fraction,
        embargo=split.embargo_bars,
    )
    held = np.arange(holdout_start(len(event_ns), split.holdout_fraction), len(event_ns))
    unique = np.zeros(len(event_ns))
    for part in (developed, held):  # each by itself: neither may tell of the other
        unique[part] = label_uniqueness(event_ns[part], end_ns[part])
    independence = math.fsum(unique[developed].tolist()) / max(len(developed), 1) or 1.0
    return TrainingRows(
        event_ns=event_ns,
        end_ns=end_ns,
        sample=Sample(rows=rows, labels=labels.astype(np.float64), weights=unique / independence),
        developed=developed,
        values=values,
        label_return=usable["label_return"].to_numpy(),
        bar_return=usable["bar_return"].to_numpy(),
        cost=usable["cost"].to_numpy(),
        independence=independence,
        dropped=frame.height - usable.height,
    )


def _require_enough(usable: pl.DataFrame, config: TrainingConfig) -> None:
    if usable.height < config.split.least_rows:
        msg = (
            f"{usable.height} usable rows of {config.symbol} {config.clock}, at least"
            f" {config.split.least_rows} are needed: take more history, or a shorter clock"
        )
        raise TrainingRefused(msg)
    wrong = usable.filter(~pl.col("label").is_in([0, 1])).height
    if wrong > 0:
        msg = f"{wrong} labels are neither 0 nor 1"
        raise TrainingRefused(msg)
    before = usable.filter(pl.col("label_end") < pl.col("event_timestamp")).height
    if before > 0:
        msg = f"{before} labels end before they begin"
        raise TrainingRefused(msg)


def _fingerprint(data: TrainingRows, parts: Segments) -> str:
    rows, digest = data.developed, hashlib.sha256()
    # Where the parts begin follows from how many rows there are, the held-out ones among them.
    cuts = (len(rows), len(parts.train), int(parts.calibration[0]))
    digest.update(np.array(cuts, np.int64).tobytes())
    for values in (
        data.event_ns,
        data.end_ns,
        data.values,
        data.sample.labels,
        data.bar_return,
        data.cost,
    ):
        digest.update(np.ascontiguousarray(values[rows]).tobytes())
    return digest.hexdigest()


def _share(data: TrainingRows, rows: NDArray[np.int64]) -> float:
    weights = data.sample.weights[rows]
    return weighted_mean(data.sample.labels[rows], weights)


def _fit(
    data: TrainingRows,
    train_rows: NDArray[np.int64],
    validation_rows: NDArray[np.int64],
    candidate: Candidate,
    config: TrainingConfig,
) -> tuple[Boosted, Platt]:
    for part in (train_rows, validation_rows):
        up = int(data.sample.labels[part].sum())
        if min(up, len(part) - up) < _LEAST_OF_A_CLASS:
            msg = (
                f"{up} of {len(part)} labels of a segment are up: at least {_LEAST_OF_A_CLASS} of"
                " each side are needed; take more history or other barriers"
            )
            raise TrainingRefused(msg)
    train_part, validation = data.sample.of(train_rows), data.sample.of(validation_rows)
    trees = fit_boosted(train_part, validation, candidate, config.model)
    belief = Belief(
        centre=float(trees.margins(train_part.rows).mean()), share=_share(data, train_rows)
    )
    weights = validation.weights * data.independence
    return trees, fit_platt(trees.margins(validation.rows), validation.labels, weights, belief)


def _trial(
    data: TrainingRows,
    candidate: Candidate,
    config: TrainingConfig,
) -> Trial:
    """Walk a candidate forward; every prediction is of rows after all that it was fitted on."""
    developed = data.developed
    event_ns, end_ns = data.event_ns[developed], data.end_ns[developed]
    tested: list[NDArray[np.int64]] = []
    said: list[NDArray[np.float64]] = []
    priors: list[NDArray[np.float64]] = []
    rounds: list[int] = []
    split = config.split
    for places in walk_forward(
        event_ns,
        end_ns,
        split.folds,
        split.embargo_bars,
        validation_fraction=split.calibration_fraction,
    ):
        train_rows, validation_rows, test_rows = (developed[part] for part in places)
        trees, platt = _fit(data, train_rows, validation_rows, candidate, config)
        tested.append(test_rows)
        said.append(platt.probability(trees.margins(data.sample.rows[test_rows])))
        priors.append(np.full(len(test_rows), _share(data, train_rows)))
        rounds.append(trees.rounds)
    rows, probabilities = np.concatenate(tested), np.concatenate(said)
    labels, weights = data.sample.labels[rows], data.sample.weights[rows]
    return Trial(
        candidate=candidate,
        log_loss=log_loss(labels, probabilities, weights),
        prior_log_loss=log_loss(labels, np.concatenate(priors), weights),
        rounds=tuple(rounds),
        record=record_of(probabilities, data.bar_return[rows], data.cost[rows], config.decision),
    )


__all__ = [
    "Trained",
    "TrainingRows",
    "Trial",
    "segments_of",
    "train",
    "training_rows",
    "trial_table",
]
