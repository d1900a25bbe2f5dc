"""One self-contained HTML file that shows a backtest: no network, no other file, any browser.

The page carries its own script (uPlot and the two files beside it), style and data, and a content
security policy that allows exactly those scripts by their hashes and nothing from elsewhere. The
same run gives the same bytes.
"""

import base64
import csv
import hashlib
import io
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from numpy.typing import NDArray

from ml.backtest import charts, sections
from ml.backtest.format import NOT_AVAILABLE, moment, number, percent
from ml.backtest.run import DataSource, Run
from ml.backtest.statistics import Statistics, statistics
from ml.backtest.summary import cautions, period, verdict
from ml.backtest.trades import match
from realtime.kernels import codes

MAX_TRADES = 5_000  # embedded in the page; a longer list is also written as CSV beside it

SECTIONS = (
    ("summary", "Summary"),
    ("equity", "Equity"),
    ("price", "Price"),
    ("months", "Months"),
    ("results", "Results"),
    ("costs", "Costs"),
    ("figures", "Statistics"),
    ("trades", "Trades"),
    ("decisions", "Decisions"),
    ("provenance", "Settings and data"),
    ("reading", "How to read"),
)


def write_report(run: Run, path: Path) -> tuple[Path, ...]:
    """Write the report of a run, and the trades as CSV beside it if they are too many for it.

    Args:
        run: a finished backtest.
        path: HTML file to write; its folder must exist, an older file is replaced at once.

    Returns:
        The files written, the report first.

    Raises:
        OSError: the file cannot be written.
    """
    matching = match(run)
    found = statistics(run, matching)
    table = path.with_suffix(".trades.csv") if matching.trades.size > MAX_TRADES else None
    page = render(run, found, matching.trades, table.name if table is not None else "")
    if table is not None:
        _replace(table, trades_csv(run, matching.trades))
    _replace(path, page)
    return (path,) if table is None else (path, table)


def _replace(path: Path, text: str) -> None:
    """Write a file so that a reader sees the old or the new one, never half."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8", newline="\n")
    draft.replace(path)


def render(run: Run, found: Statistics, trades: NDArray[np.void], table: str = "") -> str:
    """The report as HTML text.

    Args:
        run: a finished backtest.
        found: its statistics.
        trades: its round trips, `ml.backtest.trades.TRADE`.
        table: name of the CSV file with all trades, if there is one.
    """
    figures = _figures(run, found, trades)
    scripts = [
        "/* uPlot\n" + _asset("uplot/LICENSE") + "*/\n" + _asset("uplot/uPlot.iife.min.js"),
        _asset("charts.js"),
        _asset("trades.js"),
    ]
    # the browser hashes the script with its line ends as \n, and so must we
    hashes = " ".join(f"'sha256-{_sha256(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_asset("report.html.j2"))
    page = template.render(
        policy=Markup(policy),  # noqa: S704 - built from hashes above
        css=Markup(_asset("uplot/uPlot.min.css") + _asset("report.css")),  # noqa: S704 - our own
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - our own
        payload=_embedded(figures.payload),
        sections=SECTIONS,
        **_head(run, found),
        **_tables(run, found, trades),
        **_provenance(run),
        exposure_unit=figures.exposure_unit,
        thinning=figures.thinning,
        price_note=figures.price_note,
        has_prices=figures.has_prices,
        still=_still(run),
        trade_total=trades.size,
        trade_note=_trade_note(trades.size, table),
    )
    return page.lstrip()


def _asset(name: str) -> str:
    text = files("ml.backtest").joinpath("assets", *name.split("/")).read_text(encoding="utf-8")
    return text.replace("\r\n", "\n")


def _sha256(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


def _embedded(payload: dict[str, object]) -> Markup:
    """JSON inside a script element: no character of it can end the element or open a comment."""
    text = json.dumps(payload, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)  # noqa: S704 - escaped above, and ASCII by json.dumps


@dataclass(frozen=True, slots=True)
class _Figures:
    payload: dict[str, object]
    exposure_unit: str
    thinning: str
    price_note: str
    has_prices: bool


def _figures(run: Run, found: Statistics, trades: NDArray[np.void]) -> _Figures:
    account = charts.account_chart(run)
    prices = [charts.price_chart(run, row) for row in range(len(run.symbols))]
    embedded = trades[-MAX_TRADES:]
    exits = sections.exit_names(embedded)
    names = sorted(set(exits))
    columns = charts.trade_columns(run, embedded)
    columns["exit_name"] = [names.index(name) for name in exits]
    for row, chart in enumerate(prices):
        chart.payload["has_range"] = run.bars.get(run.symbols[row]) is not None
    payload: dict[str, object] = {
        "symbols": list(run.symbols),
        "currency": run.currency,
        "money_digits": run.money_digits,
        "digits": [charts.price_digits(run, row) for row in range(len(run.symbols))],
        "initial_equity": run.initial_equity,
        "deepest": -round(found.max_drawdown_fraction * 100.0, 3),
        "start": found.start_ns // 10**6,
        "end": found.end_ns // 10**6,
        "account": account.payload,
        "prices": [chart.payload for chart in prices],
        "trades": columns,
        "exits": names,
    }
    return _Figures(
        payload=payload,
        exposure_unit=str(account.payload["unit"]),
        thinning=_thinning(account),
        price_note=_price_note(run, prices),
        has_prices=any(chart.total for chart in prices),
    )


def _thinning(chart: charts.Chart) -> str:
    if chart.total == 0:
        return "The run has no samples of the account."
    if chart.shown == chart.total:
        return f"All {chart.total:,} samples of the account are drawn."
    return (
        f"{chart.shown:,} of {chart.total:,} samples are drawn: the first, last, lowest and "
        f"highest of each of {charts.MAX_BUCKETS:,} equal spans of time, so every extreme is."
    )


def _price_note(run: Run, prices: Sequence[charts.Chart]) -> str:
    notes: list[str] = []
    for name, chart in zip(run.symbols, prices, strict=True):
        if chart.total == 0:
            notes.append(f"{name}: no prices.")
        elif run.bars.get(name) is None:
            notes.append(f"{name}: mid at each decision, as the run came without bars.")
        elif chart.shown < chart.total:
            step = math.ceil(chart.total / chart.shown)
            notes.append(
                f"{name}: {chart.total:,} bars joined by {step} to {chart.shown:,}, each with the "
                "highest high and the lowest low."
            )
    bid = "Prices are bids. Pick a trade in the list below to see it here."
    return " ".join([bid, *notes[:4], *(["…"] if len(notes) > 4 else [])])


def _still(run: Run) -> str:
    """Equity as the points of a 1000 by 240 picture, for readers without JavaScript."""
    time_ns, equity = run.equity["time_ns"], run.equity["equity"]
    if equity.size < 2 or time_ns[-1] == time_ns[0]:
        return ""
    rows = charts.extremes(time_ns, (equity,), 120)
    x = (time_ns[rows] - time_ns[0]) / (time_ns[-1] - time_ns[0]) * 1000.0
    low, high = float(equity.min()), float(equity.max())
    y = 236.0 - (equity[rows] - low) / ((high - low) or 1.0) * 232.0
    return " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x.tolist(), y.tolist(), strict=True))


def _head(run: Run, found: Statistics) -> dict[str, object]:
    symbols = ", ".join(run.symbols[:6]) + (" …" if len(run.symbols) > 6 else "")
    leverage = float(run.account["leverage"][0])
    mode = "hedging" if int(run.account["mode"][0]) == codes.HEDGING else "netting"
    terms = f", 1:{leverage:g}" if leverage > 0.0 else ""
    return {
        "title": f"{symbols} {run.strategy}".strip(),
        "symbols": symbols,
        "statistics": found,
        "period": period(found) if found.samples else "no samples of the account",
        "years": number(found.years),
        "account": f"{number(run.initial_equity, 0)} {run.currency}, {mode}{terms}",
        "verdict": verdict(found),
        "cautions": cautions(found),
        "cards": sections.cards(found),
    }


def _tables(run: Run, found: Statistics, trades: NDArray[np.void]) -> dict[str, object]:
    histogram = sections.distribution(found, trades)
    hours, weekdays = sections.by_hour(found, trades), sections.by_weekday(found, trades)
    return {
        "months": sections.MONTHS,
        "heat": sections.heat_table(found),
        "drawdowns": sections.drawdown_rows(found),
        "histogram": histogram,
        "histogram_every": max(1, math.ceil(len(histogram) / 8)),
        "histogram_says": _spoken(histogram),
        "hours": hours,
        "hours_say": _spoken(hours),
        "weekdays": weekdays,
        "weekdays_say": _spoken(weekdays),
        "group_headings": sections.GROUP_HEADINGS,
        "groups": sections.group_rows(found),
        "cost_bars": sections.cost_bars(found),
        "costs_say": _costs_say(found),
        "figures": sections.figures(found),
        "open_positions": sections.open_rows(run),
        "decisions": sections.decision_bars(run),
        "risks": sections.risk_bars(run),
        "orders": sections.order_bars(run),
    }


def _spoken(bars: Sequence[sections.Bar]) -> str:
    """A chart of boxes in words, for those who cannot see it."""
    return "; ".join(bar.title for bar in bars)


def _costs_say(found: Statistics) -> str:
    costs, money = found.costs, found.money_digits
    if not found.all_trades.trades and not found.open_positions:
        return "No deal was made, so nothing was paid."
    text = f"Trading cost {number(costs.total, money)} {found.currency}"
    if math.isfinite(costs.per_trade):
        text += f", {number(costs.per_trade, money)} a trade"
    if math.isfinite(costs.of_gross):
        return text + f": {percent(costs.of_gross, 0)} of the gross profit."
    return text + ", with no gross profit to pay it from."


def _provenance(run: Run) -> dict[str, object]:
    wall = run.wall_seconds
    return {
        "settings": sections.setting_groups(run.settings),
        "fingerprint": run.fingerprint or "not fingerprinted",
        "run_rows": [
            ("Fingerprint", run.fingerprint or NOT_AVAILABLE),
            ("Feature set", run.feature_identity or NOT_AVAILABLE),
            ("Equity samples", f"{run.equity.size:,}"),
            ("Decisions", f"{run.decisions.size:,}"),
            ("Orders, deals", f"{run.orders.size:,}, {run.fills.size:,}"),
            ("Computed in", f"{wall:,.3g} s" if math.isfinite(wall) else NOT_AVAILABLE),
        ],
        "sources": [
            {"file": source.file, "rows": _source_rows(source), "findings": source.findings}
            for source in run.data
        ],
    }


def _source_rows(source: DataSource) -> list[tuple[str, str]]:
    rows = [
        ("Format", source.format),
        ("Time zone", source.zone),
        ("Rows read", f"{source.rows_read:,}"),
        ("Rows kept", f"{source.rows_kept:,}"),
        ("Repaired", f"{source.rows_repaired:,}"),
        ("Quarantined", f"{source.rows_quarantined:,}"),
        ("First, UTC", moment(source.first_ns)),
        ("Last, UTC", moment(source.last_ns)),
        ("SHA-256", source.sha256),
    ]
    return [(label, value) for label, value in rows if value]


def _trade_note(total: int, table: str) -> str:
    if total <= MAX_TRADES:
        return ""
    where = f" All are in {table}, beside this file." if table else ""
    return (
        f"The list and the chart hold the last {MAX_TRADES:,} of {total:,} trades; statistics and "
        f"the charts of results count all of them.{where}"
    )


def trades_csv(run: Run, trades: NDArray[np.void]) -> str:
    """All trades as CSV text: UTC nanoseconds, full precision, no formulas."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    names = trades.dtype.names or ()
    writer.writerow([*names[:2], "symbol_name", *names[2:], "exit_name"])
    exits = sections.exit_names(trades)
    # a spreadsheet would run a name that starts like a formula
    symbols = ["'" + name if name[:1] in "=+-@\t\r" else name for name in run.symbols]
    rows: list[tuple[int | float, ...]] = trades.tolist()
    for trade, left in zip(rows, exits, strict=True):
        writer.writerow([*trade[:2], symbols[int(trade[1])], *trade[2:], left])
    return stream.getvalue()
