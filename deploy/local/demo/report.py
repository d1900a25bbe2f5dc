"""What the demonstration leaves: ``report.json``, ``report.html``, and a table on the screen."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from rich.console import Console
from rich.table import Table

from deploy.local.demo.verdict import Outcome
from ml.backtest.bundle import run_of, write_bundle_report
from realtime.settings import Settings

_NOTHING: dict[str, Any] = {}


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
    began_with = settings.account.balance + settings.account.credit
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
        "pnl": round(outcome.balance - began_with, 2),
        "pnl_with_open_positions": round(outcome.equity - began_with, 2),
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


def write_reports(
    folder: Path, outcome: Outcome, content: Mapping[str, Any], settings: Settings
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
    write_bundle_report(run, page)
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


def _rows(content: Mapping[str, Any], currency: str) -> list[tuple[str, str]]:
    rows = _part(content, "rows")
    found = [
        ("rows kept / quarantined", f"{_count(rows, 'kept')} / {_count(rows, 'quarantined')}"),
        ("bars / features", f"{_count(content, 'bars')} / {_count(content, 'features')}"),
    ]
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
    found.append(("live equals backtest", _verdict(_part(content, "parity"))))
    found += [(name, str(url)) for name, url in _part(content, "urls").items()]
    return found


def _verdict(parity: Mapping[str, Any]) -> str:
    names = ("orders_equal", "fills_equal", "decisions_equal", "features_bit_equal")
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
