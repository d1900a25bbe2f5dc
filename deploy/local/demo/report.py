"""What the demonstration leaves: ``report.json``, ``report.html``, and a table on the screen."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from deploy.local.demo.source import Source, Spreads
from deploy.local.demo.verdict import Outcome
from ml.backtest.bundle import run_of, write_bundle_report
from ml.backtest.market import described
from ml.backtest.run import DataSource, Finding
from realtime.settings import Settings

_NOTHING: dict[str, Any] = {}
_ASSUMED = "no spread in the data"


def report_of(
    outcome: Outcome,
    summary: Mapping[str, Any],
    seconds: Mapping[str, float],
    urls: Mapping[str, str],
    settings: Settings,
) -> dict[str, Any]:
    """Return everything that is worth keeping of a run.

    Args:
        outcome: of the replay.
        summary: of the pipeline: rows, bars, features, scores, gates.
        seconds: of each phase.
        urls: where to look.
        settings: of the replay.
    """
    account = settings.account  # the balance is without the credit, equity is with it
    verdict, bundle = outcome.parity, outcome.model.bundle
    return {
        "symbol": bundle.symbol,
        "bundle": bundle.id,
        "stage": bundle.stage,
        **summary,
        "ticks_replayed": len(outcome.ticks),
        "ticks_recorded": outcome.ticks_recorded,
        "bars_recorded": len(outcome.recorded.bars),
        "predictions": len(outcome.recorded.predictions),
        "decisions": len(outcome.recorded.decisions),
        "orders": len(outcome.recorded.orders),
        "fills": verdict.fills,
        "pnl": round(outcome.balance - account.balance, 2),
        "pnl_with_open_positions": round(outcome.equity - account.balance - account.credit, 2),
        "latency_us": outcome.latency_us,
        "parity": {
            "orders_equal": verdict.orders_equal,
            "fills_equal": verdict.fills_equal,
            "decisions_equal": verdict.decisions_equal,
            "features_bit_equal": verdict.features_bit_equal,
            "first_difference": verdict.first_difference,
        },
        "seconds": dict(seconds),
        "urls": dict(urls),
    }


def spread_text(spreads: Spreads) -> str:
    """Say which spread the ticks of bars were made with, and where it is from."""
    if not spreads.rows:
        return "of the file: its ticks have their own"
    own = spreads.rows - spreads.without
    assumed = (
        f"{spreads.assumed_points:g} points assumed ({spreads.assumed_from}) for"
        f" {spreads.without:,} of {spreads.rows:,} bars"
    )
    real = f"of the file for {own:,} bars, median {spreads.median_points:g} points"
    if not spreads.without:
        return real
    return f"{assumed}; {real}" if own else f"{assumed}: the file has none"


def caution_of(spreads: Spreads) -> str:
    """Say that most of the costs are assumed where they are; empty where they are not."""
    if not spreads.rows or spreads.without * 2 <= spreads.rows:
        return ""
    return (
        f"caution: {spreads.without / spreads.rows:.0%} of the bars have no spread, or one of 0:"
        f" {spreads.assumed_points:g} points are assumed ({spreads.assumed_from}), and the result"
        " is worth no more than that"
    )


def _data_source(source: Source) -> DataSource:
    report, spreads = source.report, source.spreads
    findings: list[Finding] = []
    if spreads.without:
        detail = f"{spreads.assumed_points:g} points ({spreads.assumed_from})"
        findings.append(
            Finding(reason=_ASSUMED, rows=spreads.without, action="assumed", detail=detail)
        )
    return described(source.path, report, findings)


def write_reports(
    folder: Path, outcome: Outcome, content: Mapping[str, Any], settings: Settings, source: Source
) -> tuple[Path, Path]:
    """Write both reports; return their paths."""
    page, data = folder / "report.html", folder / "report.json"
    bundle = outcome.model.bundle
    run = run_of(
        bundle,
        settings,
        settings.trade,
        outcome.desk,
        outcome.ticks,
        outcome.folded,
        since_ns=bundle.evaluated_through_ns,
    )
    write_bundle_report(replace(run, data=(_data_source(source),)), page)
    data.write_text(json.dumps(content, indent=1, default=str) + "\n", encoding="utf-8")
    return data, page


def print_table(console: Console, content: Mapping[str, Any], currency: str) -> None:
    """Print what came out."""
    table = Table(title=f"{content['symbol']}: {content['bundle']}", title_justify="left")
    table.add_column("what", style="bold")
    table.add_column("came out")
    for name, text in _rows(content, currency):
        table.add_row(name, text)
    console.print(table)
    for name, url in _part(content, "urls").items():  # whole, to be copied
        console.print(f"{name:<8} {url}", highlight=False, soft_wrap=True)


def _rows(content: Mapping[str, Any], currency: str) -> list[tuple[str, str]]:
    rows = _part(content, "rows")
    found = [
        ("rows kept / quarantined", f"{_count(rows, 'kept')} / {_count(rows, 'quarantined')}"),
        ("bars / features", f"{_count(content, 'bars')} / {_count(content, 'features')}"),
    ]
    if spread := _part(content, "spread"):
        found.append(("spread", spread_text(Spreads(**spread))))
    scores = _part(content, "scores")
    found.append(
        ("scores", ", ".join(f"{name} {_number(value)}" for name, value in scores.items()))
    )
    for stage, gate in _part(content, "gates").items():
        found.append((f"gate {stage}", _gate(cast("Mapping[str, Any]", gate))))
    found += [
        (
            "ticks replayed / recorded",
            f"{content['ticks_replayed']:,} / {content['ticks_recorded']:,}",
        ),
        ("predictions", f"{content['predictions']:,}"),
        ("orders / fills", f"{content['orders']:,} / {content['fills']:,}"),
        ("profit and loss", f"{content['pnl']:+,.2f} {currency}"),
    ]
    for stage, times in _part(content, "latency_us").items():
        shown = ", ".join(f"{name} {value:,.0f} us" for name, value in times.items())
        found.append((stage, shown or "nothing to measure"))
    found.append(("live equals backtest", _verdict(_part(content, "parity"), content["orders"])))
    return found


def _verdict(parity: Mapping[str, Any], orders: int) -> str:
    names = ("orders_equal", "fills_equal", "decisions_equal", "features_bit_equal")
    if all(parity[name] for name in names) and not orders:
        return "[yellow]yes: decisions, and features to the bit; no order to compare[/]"
    if all(parity[name] for name in names):
        return "[green]yes: orders, fills, decisions, and features to the bit[/]"
    return f"[red]NO: {parity['first_difference']}[/]"


def _gate(gate: Mapping[str, Any]) -> str:
    failed = [str(each["text"]) for each in gate.get("checks", ()) if not each.get("passed")]
    return "[green]passed[/]" if gate.get("passed") else f"closed: {'; '.join(failed[:2])}"


def _part(content: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = content.get(name, _NOTHING)
    return cast("Mapping[str, Any]", part) if isinstance(part, Mapping) else _NOTHING


def _count(content: Mapping[str, Any], name: str) -> str:
    value = content.get(name)
    return f"{value:,}" if isinstance(value, int) else "-"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
