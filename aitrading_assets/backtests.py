"""Backtest of one symbol's bundle: the loop's own kernels over ticks that it was not trained on."""

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import dagster as dg
import numpy as np
from numpy.typing import NDArray

from aitrading_assets.feed import Feed, feed_of
from aitrading_assets.keys import asset_key
from aitrading_assets.partitions import Result
from aitrading_assets.plots import Line, line_plot
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
                description="The account holds what its deals booked, to the cent, and is above 0.",
            )
        ],
        description="The bundle traded over what its training left out; the report is a page.",
    )
    def backtest(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
    ) -> Result:
        from aitrading_assets.workshop import Workshop  # noqa: PLC0415 (xgboost: seconds)
        from ml.backtest.bundle import backtest_bundle, write_bundle_report  # noqa: PLC0415
        from ml.backtest.statistics import statistics  # noqa: PLC0415 (see above)
        from ml.ledger import Ledger  # noqa: PLC0415 (see above)

        start_s = time.perf_counter()
        workshop, lake = Workshop(settings, symbol), Lake(settings.paths.lake)
        _, prepared = workshop.training_set()
        trained, (directory, bundle) = workshop.model(), workshop.bundle()
        Ledger(settings.paths.var, symbol).record_look(trained, prepared.until_ns)
        feed = with_conversions(feed_of(settings, trained.config), settings, lake)
        # Nothing after what the gates were told was seen: that may be traded later.
        ticks = until(feed.ticks(lake), bundle.evaluated_through_ns + 1)
        run = backtest_bundle(directory, ticks, settings, symbols=feed.symbols)
        found = statistics(run)
        workshop.keep_backtest(found, bundle.id)
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
        return dg.MaterializeResult(metadata=metadata, check_results=[judged_money(run)])

    return backtest


def judged_money(run: "Run") -> dg.AssetCheckResult:
    """Compare the account of a run with its deals; see `ml.backtest.booking`."""
    from ml.backtest.booking import booking  # noqa: PLC0415 (research: seconds)

    money = booking(run)
    solvent = bool((run.equity["equity"] > 0.0).all()) and float(run.account["equity"][0]) > 0.0
    missing = [
        f"{name} {value:+.{run.money_digits}f}"
        for name, value in asdict(money).items()
        if name != "tolerance" and not abs(value) < money.tolerance
    ]
    said = [f"unexplained: {', '.join(missing)} {run.currency}"] if missing else []
    return dg.AssetCheckResult(
        check_name=_BOOKED,
        passed=money.adds_up and solvent,
        metadata={"unexplained": money.unexplained, **asdict(money)},
        description="; ".join([*said, *([] if solvent else ["equity fell to 0 or below"])]),
    )


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
