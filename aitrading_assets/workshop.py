"""Where the training of a symbol keeps what its assets hand to each other.

``<var>/research/<SYMBOL>/``: the training set, the model with its trials, evaluation, backtest and
gates of the latest training; ``<var>/models/<bundle id>/``: every bundle that was ever made.
"""

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

    def keep_model(self, trained: Trained, bundle: Bundle) -> None:
        """Write the model, its trials, and which bundle it became."""
        keep(self.folder / "model.json", trained, without=("onnx", "trees"))
        keep(self.folder / "trees.json", trained.trees, without=("booster",))
        (self.folder / "trees.ubj").write_bytes(trained.trees.booster.save_raw(raw_format="ubj"))
        (self.folder / "model.onnx").write_bytes(trained.onnx)
        (self.folder / "bundle").write_text(bundle.id, encoding="utf-8")

    def model(self) -> Trained:
        """Return the model and its trials.

        Raises:
            NotKept: there is none.
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
        return kept(self.folder / "model.json", Trained, maker, onnx=onnx, trees=boosted)

    def bundle(self) -> tuple[Path, Bundle]:
        """Return the directory of the latest bundle, and the bundle.

        Raises:
            NotKept: there is none.
            BundleError: it cannot be used.
        """
        try:
            directory = self.bundle_folder((self.folder / "bundle").read_text(encoding="utf-8"))
        except OSError as error:
            raise self._missing(error, "model") from error
        return directory, read_bundle(directory)

    def keep_evaluation(self, evaluation: Evaluation) -> None:
        """Write the evaluation."""
        keep(self.folder / "evaluation.json", evaluation)

    def evaluation(self) -> Evaluation:
        """Return the evaluation.

        Raises:
            NotKept: there is none.
        """
        return kept(self.folder / "evaluation.json", Evaluation, self._named("evaluation"))

    def keep_backtest(self, found: Statistics) -> None:
        """Write the numbers of the backtest."""
        keep(self.folder / "backtest.json", found)

    def backtest(self) -> Statistics:
        """Return the numbers of the backtest.

        Raises:
            NotKept: there is none.
        """
        return kept(self.folder / "backtest.json", Statistics, self._named("backtest"))

    def keep_gates(self, reports: Sequence[GateReport]) -> None:
        """Write the gates' reports."""
        for report in reports:
            keep(self.folder / f"gate_{report.stage}.json", report)

    def gate(self, stage: str) -> GateReport:
        """Return the report of a gate.

        Raises:
            NotKept: there is none.
        """
        return kept(self.folder / f"gate_{stage}.json", GateReport, self._named("gates"))

    def _named(self, step: str) -> str:
        return asset_key(self.symbol, step).to_user_string()

    def _missing(self, error: Exception, step: str) -> NotKept:
        msg = f"{self.folder}: {type(error).__name__}: materialise {self._named(step)} first"
        return NotKept(msg)
