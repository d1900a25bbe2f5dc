"""The record of trainings: runs, metrics, plots and versions in MLflow's tracking and registry.

MLflow takes seconds to import and a gigabyte to serve, so it is imported where it is used and never
by what trades. Models are logged as bundles (JSON and ONNX), never as pickles.
"""

import math
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ml.config import TrainingConfig
from ml.errors import RegistryRefused
from ml.plots import write_plots
from ml.trials import trial_table

if TYPE_CHECKING:  # xgboost: seconds that a rollback must not wait for
    from ml.evaluation.evaluation import Evaluation
    from ml.gates import GateReport
    from ml.training import Trained

BUNDLE_FOLDER = "bundle"
_MOST_PARAMETER = 500  # characters that MLflow keeps of one


def model_name(symbol: str, clock: str) -> str:
    """Return the name of a registered model: one a symbol and clock."""
    return f"{symbol}-{clock}"


def _client(tracking_uri: str) -> Any:
    from mlflow.tracking import MlflowClient  # noqa: PLC0415 (three seconds)

    return MlflowClient(tracking_uri=tracking_uri, registry_uri=tracking_uri)


def log_to_mlflow(
    tracking_uri: str,
    experiment: str,
    trained: "Trained",
    evaluation: "Evaluation",
    config: TrainingConfig,
    *,
    gates: "Sequence[GateReport]" = (),
    numbers: Mapping[str, float] | None = None,
    tags: Mapping[str, str] | None = None,
    artifacts: Sequence[Path] = (),
    artifact_location: str | None = None,
) -> str:
    """Log one training as a finished run: parameters, metrics, gates, trials, plots.

    Args:
        tracking_uri: of the server, or ``sqlite:///...``.
        experiment: made if it is not there.
        trained: the model.
        evaluation: of its holdout.
        config: that it was trained with.
        gates: their reports.
        numbers: more metrics, as of the backtest; those that are not finite are left out.
        tags: as ``dagster_run_id``.
        artifacts: more files, as the backtest's report.
        artifact_location: of a new experiment; the server's own if not given.

    Returns:
        The run's id, for the bundle and `register`.
    """
    from mlflow.entities import Metric, Param, RunTag  # noqa: PLC0415 (three seconds)

    client = _client(tracking_uri)
    found = client.get_experiment_by_name(experiment)
    place = client.create_experiment(experiment, artifact_location) if found is None else (
        found.experiment_id
    )  # fmt: skip
    name = f"{model_name(config.symbol, config.clock)}-{trained.fingerprint[:8]}"
    run = client.create_run(place, run_name=name)
    run_id = str(run.info.run_id)
    metrics = metrics_of(trained, evaluation, gates) | dict(numbers or {})
    client.log_batch(
        run_id,
        metrics=[
            Metric(key, float(value), run.info.start_time, 0)
            for key, value in metrics.items()
            if math.isfinite(value)
        ],
        params=[
            Param(key, str(value)[:_MOST_PARAMETER]) for key, value in parameters_of(config).items()
        ],
        tags=[RunTag(key, value) for key, value in (tags or {}).items()],
    )
    for report in gates:
        client.log_dict(run_id, report.content(), f"gates/{report.stage}.json")
    client.log_dict(run_id, {"trials": trial_table(trained.trials)}, "trials.json")
    with tempfile.TemporaryDirectory() as folder:
        for path in (*write_plots(Path(folder), trained, evaluation), *artifacts):
            client.log_artifact(run_id, str(path), "reports")
    client.set_terminated(run_id)
    return run_id


def register(
    tracking_uri: str,
    run_id: str,
    symbol: str,
    clock: str,
    *,
    alias: str | None = None,
    tags: Mapping[str, str] | None = None,
) -> int:
    """Make a new version of a symbol's registered model out of a run.

    Args:
        tracking_uri: as in `log_to_mlflow`.
        run_id: of the run whose bundle it is, logged by `log_bundle`.
        symbol: with `clock`, names the registered model.
        clock: see there.
        alias: ``"paper"`` or ``"live"``; moved from the version that had it.
        tags: as ``bundle_id``.

    Returns:
        The version.
    """
    client = _client(tracking_uri)
    name = model_name(symbol, clock)
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name)
    source = f"{client.get_run(run_id).info.artifact_uri}/{BUNDLE_FOLDER}"
    version = client.create_model_version(name, source=source, run_id=run_id, tags=dict(tags or {}))
    if alias is not None:
        set_alias(tracking_uri, symbol, clock, alias, int(version.version))
    return int(version.version)


def log_bundle(tracking_uri: str, run_id: str, directory: Path) -> None:
    """Upload a bundle's files as artifacts of its run."""
    _client(tracking_uri).log_artifacts(run_id, str(directory), BUNDLE_FOLDER)


def set_alias(tracking_uri: str, symbol: str, clock: str, alias: str, version: int) -> None:
    """Point an alias (``"paper"``, ``"live"``) at a version."""
    _client(tracking_uri).set_registered_model_alias(model_name(symbol, clock), alias, str(version))


def drop_alias(tracking_uri: str, symbol: str, clock: str, alias: str) -> None:
    """Take an alias away: no version has it."""
    _client(tracking_uri).delete_registered_model_alias(model_name(symbol, clock), alias)


def alias_versions(tracking_uri: str, symbol: str, clock: str) -> dict[str, int]:
    """Return the version that each alias of a registered model points at."""
    found = _client(tracking_uri).get_registered_model(model_name(symbol, clock))
    return {str(alias): int(version) for alias, version in dict(found.aliases).items()}


def version_at(tracking_uri: str, symbol: str, clock: str, alias: str) -> tuple[int, str]:
    """Return (version, run id) that an alias points at.

    Raises:
        RegistryRefused: there is none.
    """
    from mlflow.exceptions import MlflowException  # noqa: PLC0415 (three seconds)

    name = model_name(symbol, clock)
    try:
        found = _client(tracking_uri).get_model_version_by_alias(name, alias)
    except MlflowException:
        msg = f"no version of {name} has the alias {alias!r}: register one"
        raise RegistryRefused(msg) from None
    return int(found.version), str(found.run_id)


def parameters_of(config: TrainingConfig) -> dict[str, Any]:
    """Return a configuration as flat parameters."""
    found: dict[str, Any] = {"fingerprint": config.fingerprint}
    for name, value in config.content().items():
        if isinstance(value, dict):
            found |= {f"{name}.{key}": each for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        else:
            found[name] = value
    return found


def metrics_of(
    trained: "Trained", evaluation: "Evaluation", gates: "Sequence[GateReport]" = ()
) -> dict[str, float]:
    """Return the numbers that a run is compared by."""
    trading = evaluation.trading
    found = {
        "auc": evaluation.auc,
        "log_loss": evaluation.log_loss,
        "prior_log_loss": evaluation.prior_log_loss,
        "beats_prior": float(evaluation.beats_prior),
        "brier": evaluation.brier,
        "calibration_error": evaluation.calibration_error,
        "holdout_rows": float(evaluation.rows),
        "net_sharpe_a_bar": trading.sharpe,
        "gross_sharpe_a_bar": trading.gross_sharpe,
        "net_psr": trading.psr,
        "net_return": trading.net_return,
        "excess_psr": trading.excess_psr,
        "trades": float(trading.trades),
        "trials": float(len(trained.trials)),
        "rounds": float(trained.trees.rounds),
    }
    for report in gates:
        found[f"{report.stage}_gate"] = float(report.passed)
        found |= {f"gate_{report.stage}_{each.name}": each.value for each in report.checks}
    return found
