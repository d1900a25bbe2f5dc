"""Where the training of a symbol keeps what its assets hand to each other.

``<var>/research/<SYMBOL>/``: the training set, the model with its trials, evaluation, backtest and
gates of the latest training; ``<var>/models/<bundle id>/``: every bundle that was ever made.

Each file says which bundle it is of, and the model which training set: what one asset left is only
ever read with what it was made from. Materialising some of them leaves the others behind, and then
they say which is next.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import xgboost

from aitrading_assets.kept import NotKept, keep, kept
from aitrading_assets.keys import asset_key
from ml.backtest.statistics import Statistics
from ml.bundle import Partition
from ml.evaluation.evaluation import Evaluation
from ml.gates import GateReport
from ml.models.boosted import Boosted
from ml.training import Trained
from realtime.bundle import Bundle, read_bundle
from realtime.contracts.subjects import token
from realtime.settings import Settings
from realtime.whole_files import write_whole


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A training set as it lies on the disk, beside its rows.

    Attributes:
        view: feature view that it was taken from.
        labels: folder of the lake with its labels.
        fingerprint: hash of its rows.
        rows: how many.
        dropped: rows left out, by reason.
        until_ns: nothing after this was used; 0 = all there is.
        partitions: files of the lake that it was made from.
    """

    view: str
    labels: str
    fingerprint: str
    rows: int
    dropped: dict[str, int]
    until_ns: int
    partitions: tuple[Partition, ...]


@dataclass(frozen=True, kw_only=True)
class _Made:
    """What the latest model became, and what it was made from.

    Attributes:
        bundle: its id.
        training_set: fingerprint of the rows.
    """

    bundle: str
    training_set: str


@dataclass(frozen=True, kw_only=True)
class _Evaluated:
    bundle: str
    found: Evaluation


@dataclass(frozen=True, kw_only=True)
class _Backtested:
    bundle: str
    found: Statistics


@dataclass(frozen=True, kw_only=True)
class _Gated:
    bundle: str
    found: GateReport


class Workshop:
    """The files of one symbol's training.

    Args:
        settings: with the folder.
        symbol: whose.
    """

    def __init__(self, settings: Settings, symbol: str) -> None:
        self.symbol = symbol
        self.folder = settings.paths.var / "research" / token(symbol)
        self._models = settings.paths.var / "models"

    def bundle_folder(self, bundle_id: str) -> Path:
        """Return the directory of a bundle."""
        return self._models / token(bundle_id)

    def keep_training_set(self, frame: pl.DataFrame, prepared: Prepared) -> None:
        """Write the training set."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / ".training_set.partial"
        frame.write_parquet(partial)
        partial.replace(self.folder / "training_set.parquet")
        keep(self.folder / "training_set.json", prepared)

    def training_set(self) -> tuple[pl.DataFrame, Prepared]:
        """Return the training set.

        Raises:
            NotKept: there is none.
        """
        prepared = kept(self.folder / "training_set.json", Prepared, self._named("training_set"))
        try:
            return pl.read_parquet(self.folder / "training_set.parquet"), prepared
        except (OSError, pl.exceptions.PolarsError) as error:
            raise self._missing(error, "training_set") from error

    def keep_model(self, trained: Trained, bundle: Bundle, prepared: Prepared) -> None:
        """Write the model, its trials, and which bundle it became."""
        keep(self.folder / "model.json", trained, without=("onnx", "trees"))
        keep(self.folder / "trees.json", trained.trees, without=("booster",))
        raw = trained.trees.booster.save_raw(raw_format="ubj")
        write_whole(self.folder / "trees.ubj", bytes(raw))
        write_whole(self.folder / "model.onnx", trained.onnx)
        made = _Made(bundle=bundle.id, training_set=prepared.fingerprint)
        keep(self.folder / "made.json", made)  # last: a model is there once it has its bundle

    def model(self) -> Trained:
        """Return the model and its trials; its `config` is the recipe that it was trained with.

        Raises:
            NotKept: there is none, or it is not that of the bundle or of the training set.
        """
        maker = self._named("model")
        try:
            onnx = (self.folder / "model.onnx").read_bytes()
            booster = xgboost.Booster()
            trees = bytearray((self.folder / "trees.ubj").read_bytes())
            booster.load_model(trees)  # pyright: ignore[reportUnknownMemberType]
        except (OSError, xgboost.core.XGBoostError) as error:
            raise self._missing(error, "model") from error
        boosted = kept(self.folder / "trees.json", Boosted, maker, booster=booster)
        trained = kept(self.folder / "model.json", Trained, maker, onnx=onnx, trees=boosted)
        self._require_belonging(trained)
        return trained

    def _require_belonging(self, trained: Trained) -> None:
        _, bundle = self.bundle()
        is_it = bundle.files.get(bundle.model.file) == hashlib.sha256(trained.onnx).hexdigest()
        if not is_it or bundle.decision != trained.config.decision:
            msg = (
                f"{self.folder} holds another model than that of {bundle.id}: materialise"
                f" {self._named('model')} first"
            )
            raise NotKept(msg)
        fingerprint = kept(
            self.folder / "training_set.json", Prepared, self._named("training_set")
        ).fingerprint
        if fingerprint != self._made().training_set:
            msg = (
                f"the training set was made anew after {bundle.id}, with other rows: materialise"
                f" {self._named('model')} first"
            )
            raise NotKept(msg)

    def bundle(self) -> tuple[Path, Bundle]:
        """Return the directory of the latest bundle, and the bundle.

        Raises:
            NotKept: there is none.
            BundleError: it cannot be used.
        """
        directory = self.bundle_folder(self._made().bundle)
        return directory, read_bundle(directory)

    def _made(self) -> _Made:
        return kept(self.folder / "made.json", _Made, self._named("model"))

    def keep_evaluation(self, evaluation: Evaluation, bundle_id: str) -> None:
        """Write the evaluation of a bundle."""
        keep(self.folder / "evaluation.json", _Evaluated(bundle=bundle_id, found=evaluation))

    def evaluation(self) -> Evaluation:
        """Return the evaluation of the latest bundle.

        Raises:
            NotKept: there is none.
        """
        step = "evaluation"
        held = kept(self.folder / "evaluation.json", _Evaluated, self._named(step))
        self._require_same(held.bundle, step)
        return held.found

    def keep_backtest(self, found: Statistics, bundle_id: str) -> None:
        """Write the numbers of the backtest of a bundle."""
        keep(self.folder / "backtest.json", _Backtested(bundle=bundle_id, found=found))

    def backtest(self) -> Statistics:
        """Return the numbers of the backtest of the latest bundle.

        Raises:
            NotKept: there is none.
        """
        held = kept(self.folder / "backtest.json", _Backtested, self._named("backtest"))
        self._require_same(held.bundle, "backtest")
        return held.found

    def keep_gates(self, reports: Sequence[GateReport], bundle_id: str) -> None:
        """Write the gates' reports on a bundle."""
        for report in reports:
            gated = _Gated(bundle=bundle_id, found=report)
            keep(self.folder / f"gate_{report.stage}.json", gated)

    def gate(self, stage: str) -> GateReport:
        """Return the report of a gate on the latest bundle.

        Raises:
            NotKept: there is none.
        """
        held = kept(self.folder / f"gate_{stage}.json", _Gated, self._named("gates"))
        self._require_same(held.bundle, "gates")
        return held.found

    def _require_same(self, bundle_id: str, step: str) -> None:
        """Refuse what was said of another bundle than the latest: it says nothing of this one."""
        latest = self._made().bundle
        if bundle_id != latest:
            msg = (
                f"what {self._named(step)} left is of {bundle_id}, the model is {latest}:"
                f" materialise {self._named(step)} first"
            )
            raise NotKept(msg)

    def _named(self, step: str) -> str:
        return asset_key(self.symbol, step).to_user_string()

    def _missing(self, error: Exception, step: str) -> NotKept:
        msg = f"{self.folder}: {type(error).__name__}: materialise {self._named(step)} first"
        return NotKept(msg)
