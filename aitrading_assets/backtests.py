"""Backtest of one symbol's bundle: the loop's own kernels over ticks that it was not trained on."""

import time
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from aitrading_assets.feed import Feed, feed_of
from aitrading_assets.keys import asset_key
from aitrading_assets.partitions import Result
from aitrading_assets.plots import Line, line_plot
from aitrading_assets.resources import Recipes
from aitrading_assets.specifications import symbols_known
from aitrading_assets.tables import table
from realtime.history.lake import Lake
from realtime.settings import Settings

if TYPE_CHECKING:
    from ml.backtest.run import Run

GROUP = "backtests"
_BOOKED = "money_adds_up"


def backtest_asset(symbol: str) -> dg.AssetsDefinition:
    """Return the asset ``<SYMBOL>/backtest``."""
    key = asset_key(symbol, "backtest")

    @dg.asset(
        key=key,
        group_name=GROUP,
        kinds={"numba", "html"},
        deps=[asset_key(symbol, "model"), "ticks"],
        check_specs=[
            dg.AssetCheckSpec(
                _BOOKED,
                asset=key,
                blocking=True,
                description="Gross profit less all costs is the net profit; equity stayed above 0.",
            )
        ],
        description="The bundle traded over everything after its training; the report is a page.",
    )
    def backtest(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        recipes: dg.ResourceParam[Recipes],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.backtest.bundle import backtest_bundle, write_bundle_report  # noqa: PLC0415
        from ml.backtest.statistics import statistics  # noqa: PLC0415 (see above)

        start_s = time.perf_counter()
        workshop, lake = Workshop(settings, symbol), Lake(settings.paths.lake)
        _, prepared = workshop.training_set()
        directory, bundle = workshop.bundle()
        feed = with_conversions(feed_of(settings, recipes.of(symbol)), settings, lake)
        ticks = until(feed.ticks(lake), prepared.until_ns)
        run = backtest_bundle(directory, ticks, settings, symbols=feed.symbols)
        found = statistics(run)
        workshop.keep_backtest(found)
        path = settings.paths.var / "reports" / f"{bundle.id}.html"
        numbers = write_bundle_report(run, path)
        context.log.info("report of %s: %s", bundle.id, path)
        metadata: dict[str, Any] = {
            "bundle": bundle.id,
            "report": dg.MetadataValue.url(path.resolve().as_uri()),
            "report_file": dg.MetadataValue.path(str(path.resolve())),  # pyright: ignore[reportUnknownMemberType]
            "ticks": len(ticks),
            "orders": len(run.orders),
            "fills": len(run.fills),
            "numbers": table([{"number": k, "value": v} for k, v in numbers.items()]),
            "plot_equity": _equity(run),
            "seconds_in_the_fold": run.wall_seconds,
            "seconds": time.perf_counter() - start_s,
        }
        costs = found.costs
        booked = costs.gross - costs.spread - costs.slippage + costs.commission + costs.swap
        passed = dg.AssetCheckResult(
            check_name=_BOOKED,
            passed=abs(booked - found.net_profit) < 0.01 * max(len(run.fills), 1)
            and not found.ruined,
            metadata={"net_profit": found.net_profit, "gross less costs": booked},
        )
        return dg.MaterializeResult(metadata=metadata, check_results=[passed])

    return backtest


def with_conversions(feed: Feed, settings: Settings, lake: Lake) -> Feed:
    """Add the other traded symbols where profit or margin is not in the account's currency."""
    chosen = symbols_known(settings, feed.symbols)
    pairs = [{each.currency_base, each.currency_profit} for each in chosen]
    account = settings.account.currency
    needed = {feed.own.currency_profit, feed.own.margin_currency} - {account}
    if all({currency, account} in pairs for currency in needed):
        return feed
    stored = lake.symbols("ticks")
    others = [name for name in settings.trade if name in stored and name not in feed.symbols]
    return feed.joined(tuple(others))


def until(ticks: NDArray[np.void], until_ns: int) -> NDArray[np.void]:
    """Return the ticks before a moment; all of them if it is 0."""
    return ticks[: int(np.searchsorted(ticks["time_ns"], until_ns))] if until_ns else ticks


def _equity(run: "Run") -> dg.MarkdownMetadataValue:
    line = Line(name="", x=run.equity["time_ns"] / 1e9, y=run.equity["equity"])
    return line_plot(f"Equity of {run.strategy}, {run.currency}", [line], of_time=True)
