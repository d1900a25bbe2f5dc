"""The code location that ``workspace.yaml`` names: assets, jobs, schedule and sensors."""

from collections.abc import Mapping
from typing import Any, cast

import dagster as dg

from aitrading_assets.backtests import backtest_asset
from aitrading_assets.bars import bars
from aitrading_assets.evaluation import evaluation_asset
from aitrading_assets.features import features
from aitrading_assets.ingestion import INBOX, imports
from aitrading_assets.jobs import jobs_of
from aitrading_assets.keys import asset_key
from aitrading_assets.labels import label_reach_ns, labels
from aitrading_assets.partitions import SYMBOLS
from aitrading_assets.promotion import gates_asset, promotion_asset
from aitrading_assets.resources import (
    Recipes,
    recipes_folder,
    recipes_resource,
    settings_resource,
)
from aitrading_assets.ticks import ticks
from aitrading_assets.training import model_asset, training_set_asset
from aitrading_sensors.alerts import failure_alert, promotion_alert
from aitrading_sensors.chain import build_after_ingest, new_data, nightly, retrain_after_build
from realtime.declarations import SettingsError
from realtime.settings import Settings, load_settings

_STEPS = (
    training_set_asset,
    model_asset,
    evaluation_asset,
    backtest_asset,
    gates_asset,
    promotion_asset,
)


def definitions_of(
    settings: Settings, resources: Mapping[str, object] | None = None
) -> dg.Definitions:
    """Return everything for the symbols that settings trade.

    Args:
        settings: decide which symbols have models; everything else is read by the run itself.
        resources: ``settings`` and ``recipes``; those of the environment if not given.
    """
    given = resources or {"settings": settings_resource, "recipes": recipes_resource}
    models = [make(symbol) for symbol in settings.trade for make in _STEPS]
    jobs = jobs_of(settings.trade)
    ingest, build_features, retrain, _ = jobs
    keys = {symbol: asset_key(symbol, "promotion") for symbol in settings.trade}
    return dg.Definitions(
        assets=[INBOX, imports, ticks, bars, features, labels, *models],
        jobs=jobs,
        schedules=[nightly(ingest)],
        sensors=[
            new_data(ingest),
            build_after_ingest(ingest, build_features, cast("Any", SYMBOLS.name), _reach_ns),
            retrain_after_build(build_features, retrain),
            failure_alert(),
            promotion_alert(keys),
        ],
        resources=given,
        executor=dg.in_process_executor,  # steps are short: another process would cost more
    )


def _reach_ns(settings: Settings, symbol: str) -> int:
    try:
        return label_reach_ns(Recipes(folder=recipes_folder(settings)).of(symbol))
    except SettingsError:  # the run that builds its features fails, and says why
        return 0


@dg.definitions
def definitions() -> dg.Definitions:
    """Load the definitions with the settings of ``AITRADING_CONFIG`` and the environment."""
    return definitions_of(load_settings())
