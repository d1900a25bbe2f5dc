"""Jobs: what is launched, by people, by the schedule and by sensors."""

from typing import Any

import dagster as dg

from aitrading_assets.keys import STEPS, asset_keys

#: Two runs never write the same files: the queue lets one of these run at a time.
_WRITER = {"aitrading/writes": "lake"}
DATA = ("ticks", "bars", "features", "labels")
IMPORTS = ("imported_ticks", "imported_bars")


def jobs_of(symbols: tuple[str, ...]) -> list[Any]:
    """Return all jobs.

    ``ingest`` and ``retrain`` need nothing; ``build_features`` is launched for months of symbols
    (a partition, or a range of them).

    Args:
        symbols: traded: those that have models.
    """
    training = [key for symbol in symbols for key in asset_keys(symbol, STEPS)]
    backtests = [key for symbol in symbols for key in asset_keys(symbol, ("backtest",))]
    return [
        dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType]
            "ingest",
            selection=dg.AssetSelection.assets(*IMPORTS),
            description="Bring what is new in the inbox into the lake.",
            tags=_WRITER,
        ),
        dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType]
            "build_features",
            selection=dg.AssetSelection.assets(*DATA),
            description="Ticks, bars, features and labels of months of symbols.",
            tags=_WRITER,
        ),
        dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType]
            "retrain",
            selection=dg.AssetSelection.assets(*training),
            description="Train, evaluate, backtest, gate and promote a model of every symbol.",
            tags={"aitrading/writes": "models"},
        ),
        dg.define_asset_job(  # pyright: ignore[reportUnknownMemberType]
            "backtest",
            selection=dg.AssetSelection.assets(*backtests),
            description="Backtest the latest bundle of every symbol on the newest ticks.",
            tags={"aitrading/writes": "models"},
        ),
    ]
