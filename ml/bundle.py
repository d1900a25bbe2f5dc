"""Writing model bundles: what `realtime.bundle` reads; equal models give equal bytes."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.config import TrainingConfig
from ml.models.form import INPUT, OUTPUT
from ml.trials import trial_table
from realtime.bundle import (
    FORMAT,
    MANIFEST,
    STAGES,
    Bundle,
    BundleHashMismatch,
    bundle_id,
    read_bundle,
)
from realtime.settings import DecisionSettings
from realtime.whole_files import write_whole

if TYPE_CHECKING:
    from ml.training import Trained  # xgboost: seconds that a rollback must not wait for

MODEL_FILE = "model.onnx"
SEAL = "sha256"  # of a gate's report: the id covers everything else, reports come after it
_UNITS_NS = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}


@dataclass(frozen=True, kw_only=True)
class Partition:
    """One file of the data that a model was trained on.

    Attributes:
        kind: ``"ticks"``, ``"bars_h1"``, ``"features"``...
        symbol: whose.
        month: ``"2024-03"``.
        rows: in it.
        sha256: of the file.
    """

    kind: str
    symbol: str
    month: str
    rows: int
    sha256: str


def bundle_content(
    trained: "Trained",
    config: TrainingConfig,
    partitions: Sequence[Partition] = (),
    gates: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    stage: str = "paper",
) -> dict[str, Any]:
    """Return the content of a ``bundle.json``, its id included."""
    content: dict[str, Any] = {
        "format": FORMAT,
        "symbol": config.symbol,
        "clock": config.clock,
        "stage": stage,
        "features": list(config.features),
        "feed": config.feature_set.feed,
        "symbols": list(config.symbols),
        "feature_set": config.feature_set.identity,
        "model": {
            "file": MODEL_FILE,
            "family": config.model.family,
            "input": INPUT,
            "output": OUTPUT,
        },
        "label": asdict(config.label),
        "decision": decision_table(config.decision),
        "trained_from_ns": trained.trained_from_ns,
        "trained_through_ns": trained.trained_through_ns,
        "evaluated_through_ns": trained.evaluated_through_ns,
        "data": {
            "fingerprint": trained.fingerprint,
            "partitions": [asdict(each) for each in partitions],
        },
        "training": {
            "seed": config.seed,
            "config": config.fingerprint,
            "trials": trial_table(trained.trials),
            **(training or {}),
        },
        "gates": dict(gates or {}),
        "files": {MODEL_FILE: hashlib.sha256(trained.onnx).hexdigest()},
    }
    return {"id": bundle_id(content), **content}


def write_bundle(
    directory: Path,
    trained: "Trained",
    config: TrainingConfig,
    partitions: Sequence[Partition] = (),
    gates: Mapping[str, Any] | None = None,
    training: Mapping[str, Any] | None = None,
    *,
    stage: str = "paper",
) -> Bundle:
    """Write a bundle and read it back, as the loop will.

    Args:
        directory: to write into; made if it is not there.
        trained: the model.
        config: that it was trained with.
        partitions: the data that it was trained on.
        gates: reports by stage: ``{"paper": report.content(), "live": ...}``.
        training: the run: ``mlflow_run_id``, ``model_version``, ``dagster_run_id``.
        stage: the highest that it may be promoted to.

    Raises:
        BundleError: what was written cannot be used.
    """
    content = bundle_content(trained, config, partitions, gates, training, stage)
    return _write(directory, content, trained.onnx)


def restaged(source: Path, directory: Path, stage: str, gates: Mapping[str, Any]) -> Bundle:
    """Write a bundle again for another stage, with more gates; its id changes with the stage.

    Raises:
        BundleError: it cannot be used, or a report in it was edited.
    """
    content = _sealed_content(source)
    content["stage"] = stage
    content["gates"] = {**content["gates"], **gates}
    content["id"] = bundle_id(content)
    return _write(directory, content, (source / MODEL_FILE).read_bytes())


def noted(directory: Path, gates: Mapping[str, Any], training: Mapping[str, Any]) -> Bundle:
    """Add gates and the training's record to a bundle where it is; nothing else of it changes.

    Args:
        directory: of the bundle.
        gates: reports by stage; those of the same stage are replaced.
        training: as in `write_bundle`; the same.

    Raises:
        BundleError: it cannot be used, and stays as it is.
    """
    before = read_bundle(directory)
    content: dict[str, Any] = json.loads((directory / MANIFEST).read_bytes())
    content["gates"] = {**content["gates"], **_sealed(gates, before.id)}
    content["training"] = {**content["training"], **training}
    _write_manifest(directory, content)
    return read_bundle(directory)


def twins(directory: Path) -> frozenset[str]:
    """Return the ids of the same model at every stage: what a stage changes is only the name.

    Raises:
        BundleError: the bundle cannot be used.
    """
    read_bundle(directory)
    content: dict[str, Any] = json.loads((directory / MANIFEST).read_bytes())
    return frozenset(bundle_id({**content, "stage": stage}) for stage in STAGES)


def require_sealed(bundle: Bundle) -> None:
    """Refuse a bundle with a report that is not as its gate wrote it.

    The hash shows an edit by hand, not one by somebody who computes it anew: for money, promotion
    looks the report up in the ledger too.

    Raises:
        BundleHashMismatch: it was edited, or never sealed.
    """
    for name, report in bundle.gates.items():
        if report.get(SEAL) != _seal(name, report, bundle.id):
            msg = (
                f"{bundle.id}: what {MANIFEST} says of the gate {name!r} is not what the gate"
                f" said: it was edited; materialise the asset {bundle.symbol}/gates again"
            )
            raise BundleHashMismatch(msg)


def _sealed_content(source: Path) -> dict[str, Any]:
    require_sealed(read_bundle(source))
    return json.loads((source / MANIFEST).read_bytes())


def _sealed(gates: Mapping[str, Any], name: str) -> dict[str, Any]:
    return {stage: {**report, SEAL: _seal(stage, report, name)} for stage, report in gates.items()}


def _seal(stage: str, report: Mapping[str, Any], name: str) -> str:
    said = [name, stage, {key: each for key, each in report.items() if key != SEAL}]
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _write(directory: Path, content: Mapping[str, Any], onnx: bytes) -> Bundle:
    """Write the model, then what names it: a bundle is there once its ``bundle.json`` is."""
    directory.mkdir(parents=True, exist_ok=True)
    write_whole(directory / MODEL_FILE, onnx)
    _write_manifest(directory, {**content, "gates": _sealed(content["gates"], str(content["id"]))})
    return read_bundle(directory)


def _write_manifest(directory: Path, content: Mapping[str, Any]) -> None:
    text = json.dumps(content, indent=1, sort_keys=True, allow_nan=False)
    write_whole(directory / MANIFEST, f"{text}\n".encode())


def decision_table(decision: DecisionSettings) -> dict[str, Any]:
    """Return decision settings as a settings file has them: durations as text."""
    table: dict[str, Any] = {}
    for item in fields(decision):
        value = getattr(decision, item.name)
        is_duration = item.name.endswith("_ns")
        table[item.name.removesuffix("_ns")] = _duration(value) if is_duration else value
    return table


def _duration(value_ns: int) -> str:
    if value_ns == 0:
        return "0s"
    for unit, length_ns in _UNITS_NS.items():
        if value_ns % length_ns == 0:
            return f"{value_ns // length_ns}{unit}"
    raise AssertionError
