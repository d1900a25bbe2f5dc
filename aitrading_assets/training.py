"""Training of one symbol: its training set through Feast, and the model.

What trains takes seconds to import, so it is imported by the step that needs it.
"""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import dagster as dg
import polars as pl

from aitrading_assets.keys import asset_key
from aitrading_assets.labels import labels_kind, stored_labels
from aitrading_assets.partitions import Result
from aitrading_assets.plots import Line, bar_plot, line_plot
from aitrading_assets.quick_feast import import_feast
from aitrading_assets.resources import Recipes
from aitrading_assets.tables import table
from ml.config import TrainingConfig
from ml.feature_files import made_of_month, view_name
from realtime.declarations import SettingsError
from realtime.history.errors import LakeEmpty
from realtime.history.lake import Lake
from realtime.history.report import utc_text
from realtime.settings import Settings

if TYPE_CHECKING:
    from ml.bundle import Partition
    from ml.dataset import TrainingSet
    from ml.training import Trained

GROUP = "training"
_POINT_IN_TIME = "as_of_the_decision"
_SECOND_NS = 1_000_000_000
_HOUR_US = 3_600_000_000


class TrainingSetConfig(dg.Config):
    """Which part of the history to learn from.

    Attributes:
        until: nothing after this moment is used, ISO 8601 (UTC); empty = all there is.
    """

    until: str = ""


def training_set_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/training_set``."""
    key = asset_key(symbol, "training_set")
    check = dg.AssetCheckSpec(
        _POINT_IN_TIME,
        asset=key,
        blocking=True,
        description="Each row has the features of its decision moment, each moment once.",
    )

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"feast", "parquet"},
        deps=["features", "labels"],
        check_specs=[check],
        description="Labels with the features as they were then: Feast's get_historical_features.",
    )
    def training_set(
        context: dg.AssetExecutionContext,
        config: TrainingSetConfig,
        settings: dg.ResourceParam[Settings],
        recipes: dg.ResourceParam[Recipes],
    ) -> Result:
        from aitrading_assets.workshop import Prepared, Workshop  # noqa: PLC0415 (seconds)

        start_s = time.perf_counter()
        recipe, until_ns = recipes.of(symbol), moment_ns(config.until)
        made = _joined(settings, recipe, until_ns)
        lake = Lake(settings.paths.lake)
        prepared = Prepared(
            view=made.view,
            labels=labels_kind(recipe),
            fingerprint=made.fingerprint,
            rows=made.frame.height,
            dropped=dict(made.dropped),
            until_ns=until_ns,
            partitions=(*_ticks_used(lake, made), *_features_used(made)),
        )
        Workshop(settings, symbol).keep_training_set(made.frame, prepared)
        context.log.info("%s rows of %s, %s", made.frame.height, symbol, made.dropped)
        frame = made.frame
        metadata: dict[str, Any] = {
            "rows": frame.height,
            "features": len(made.features),
            "view": made.view,
            "first": str(frame["event_timestamp"][0]),
            "last": str(frame["event_timestamp"][-1]),
            "fingerprint": made.fingerprint,
            "dropped": table([{"reason": k, "rows": v} for k, v in made.dropped.items()]),
            "partitions": table([_partition_row(each) for each in prepared.partitions]),
            "head": dg.MetadataValue.md(_head(frame)),
            "seconds": time.perf_counter() - start_s,
        }
        return dg.MaterializeResult(metadata=metadata, check_results=[judged_moments(made)])

    return training_set


def moment_ns(text: str) -> int:
    """Return a moment of a run's configuration, UTC nanoseconds; 0 for none.

    Raises:
        SettingsError: it is not one.
    """
    if not text:
        return 0
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        msg = f"until = {text!r}: must be a moment such as 2017-09-01T00:00:00 (UTC)"
        raise SettingsError(msg) from None
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return int(moment.timestamp()) * _SECOND_NS


def _joined(settings: Settings, recipe: TrainingConfig, until_ns: int) -> "TrainingSet":
    """Register the view and put features beside labels.

    Raises:
        LakeEmpty: there are no labels.
        DatasetError: labels and features do not go together.
    """
    import_feast()
    from feature_repo.declarations import declared  # noqa: PLC0415 (feast: five seconds)
    from ml.dataset import training_set  # noqa: PLC0415 (see above)
    from ml.feast_store.repository import apply, feature_store  # noqa: PLC0415 (see above)

    lake = Lake(settings.paths.lake)
    labels = stored_labels(lake, recipe)
    if labels is not None and until_ns:
        labels = labels.filter(pl.col("label_end").dt.epoch("us") <= until_ns // 1_000)
    if labels is None or labels.height == 0:
        remedy = "Drop a file into the inbox and launch the jobs ingest and build_features."
        msg = f"no labels of {recipe.symbol} on {recipe.clock}"
        raise LakeEmpty(msg, file=lake.address, remedy=remedy)
    store = feature_store(settings)
    apply(store, declared([recipe]))
    view = view_name(recipe.clock, recipe.feature_set)
    return training_set(store, labels, view=view, features=recipe.features)


def _ticks_used(lake: Lake, made: "TrainingSet") -> "list[Partition]":
    """Return the files of ticks that the features were made from, as they were then."""
    from ml.bundle import Partition  # noqa: PLC0415 (xgboost: three seconds)

    used = {
        source
        for each in made.partitions
        for source in made_of_month(lake, made.view, each.symbol, each.month)
    }
    return [Partition(**vars(each)) for each in sorted(used)]


def _features_used(made: "TrainingSet") -> "list[Partition]":
    from ml.bundle import Partition  # noqa: PLC0415 (xgboost: three seconds)

    return [Partition(**vars(each)) for each in made.partitions]


def _partition_row(part: "Partition") -> dict[str, object]:
    return {**vars(part), "sha256": part.sha256[:12]}


def _head(frame: pl.DataFrame) -> str:
    shown = frame.head(5)
    lines = [f"| {' | '.join(shown.columns)} |", f"|{' --- |' * len(shown.columns)}"]
    for row in shown.iter_rows():
        cells = [f"{cell:.5g}" if isinstance(cell, float) else str(cell) for cell in row]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def judged_moments(made: "TrainingSet") -> dg.AssetCheckResult:
    """Ask whether each row has the features of its own moment, and that moment once.

    Labels are of decisions, and every decision has its row of features: an older one that the join
    found within the time to live stands for one that is missing.
    """
    frame = made.frame
    twice = int(frame["event_timestamp"].is_duplicated().sum())
    early = frame.filter(pl.col("label_end") <= pl.col("event_timestamp")).height
    return dg.AssetCheckResult(
        check_name=_POINT_IN_TIME,
        passed=frame.height > 0 and twice + early + made.older == 0,
        metadata={
            "rows": frame.height,
            "twice": twice,
            "label before its decision": early,
            "features of an earlier moment": made.older,
            "oldest features, hours": made.oldest_us / _HOUR_US,
        },
        description=f"{made.older} rows have features of an earlier moment, up to"
        f" {made.oldest_us / _HOUR_US:.1f} h old: build the features of their months again"
        if made.older
        else None,
    )


def model_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/model``."""
    key = asset_key(symbol, "model")

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"xgboost", "onnx"},
        deps=[asset_key(symbol, "training_set")],
        check_specs=[
            dg.AssetCheckSpec(
                "export_is_the_model",
                asset=key,
                blocking=True,
                description="The ONNX model says what the trained one says.",
            )
        ],
        description="Boosted trees on purged, embargoed walk-forward splits, calibrated, as ONNX.",
    )
    def model(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        recipes: dg.ResourceParam[Recipes],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.bundle import write_bundle  # noqa: PLC0415 (see above)
        from ml.ledger import Ledger  # noqa: PLC0415 (see above)
        from ml.training import train  # noqa: PLC0415 (see above)

        start_s = time.perf_counter()
        recipe, workshop = recipes.of(symbol), Workshop(settings, symbol)
        frame, prepared = workshop.training_set()
        trained = train(frame, recipe)
        # Before anything else: a try counts whatever becomes of it.
        ledger = Ledger(settings.paths.var, symbol)
        new = ledger.record_trials(trained, prepared.until_ns)
        fit_s = time.perf_counter() - start_s
        parts = prepared.partitions
        training = {"dagster_run_id": context.run.run_id}
        # Written twice: its id is a hash of its content, and names the folder.
        draft = write_bundle(workshop.folder / "draft", trained, recipe, parts, {}, training)
        directory = workshop.bundle_folder(draft.id)
        bundle = write_bundle(directory, trained, recipe, parts, {}, training)
        workshop.keep_model(trained, bundle, prepared)
        context.log.info("trained %s", bundle.id)
        metadata: dict[str, Any] = {
            "bundle": bundle.id,
            "bundle_folder": dg.MetadataValue.path(str(directory)),  # pyright: ignore[reportUnknownMemberType]
            **_numbers(trained),
            "trials_new": new,
            "trials_of_the_symbol": len(ledger.earlier(trained).sharpes) + len(trained.trials),
            "seconds_fitting": fit_s,
            "seconds": time.perf_counter() - start_s,
        }
        passed = dg.AssetCheckResult(
            check_name="export_is_the_model",
            passed=trained.difference < _MOST_DIFFERENCE,
            metadata={"largest_difference": trained.difference},
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[passed])

    return model


_MOST_DIFFERENCE = 1e-4  # of a probability; the export itself refuses much less


def _numbers(trained: "Trained") -> Mapping[str, Any]:
    from ml.training import trial_table  # noqa: PLC0415 (xgboost: three seconds)

    names = ("max_depth", "learning_rate", "rounds", "log_loss", "prior_log_loss",
             "net_sharpe_a_bar", "net_psr")  # fmt: skip
    trials: list[dict[str, object]] = [
        {"trial": k + 1, "chosen": k == trained.chosen, **{name: row[name] for name in names}}
        for k, row in enumerate(trial_table(trained.trials))
    ]
    gains = sorted(trained.gains.items(), key=lambda each: -each[1])
    losses = [trial.log_loss for trial in trained.trials]
    prior = [trial.prior_log_loss for trial in trained.trials]
    places = list(range(1, len(losses) + 1))
    return {
        "trained_from": utc_text(trained.trained_from_ns),
        "trained_through": utc_text(trained.trained_through_ns),
        "holdout_from": utc_text(trained.holdout_from_ns),
        "evaluated_through": utc_text(trained.evaluated_through_ns),
        **{f"rows_{name}": rows for name, rows in trained.rows.items()},
        "trees": trained.trees.rounds,
        "prior": trained.prior,
        "trials": table(trials),
        "plot_trials": line_plot(
            "Log loss of each trial, walk-forward",
            [
                Line(name="trial", x=places, y=losses, marked=True),
                Line(name="class prior", x=places, y=prior, faint=True),
            ],
            x_label="trial",
        ),
        "plot_gains": bar_plot(
            "Share of the twelve strongest features in what the trees gained",
            [name.partition("_")[2][:12] for name, _ in gains[:12]],
            {"gain": [share for _, share in gains[:12]]},
        ),
    }
