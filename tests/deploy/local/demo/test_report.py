"""What the demonstration prints says what happened, good or bad."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from rich.console import Console

from deploy.local.demo.report import print_table, report_of
from deploy.local.demo.verdict import Outcome, percentiles
from ml.backtest.bundle import run_of
from ml.backtest.statistics import statistics
from realtime.desk import desk_of
from realtime.model import load_model
from realtime.model_fold import apply_decision, fold_models
from realtime.settings import AccountSettings, Settings
from tests.fixtures.bundles import logistic_bundle
from tests.ml.market import walk_ticks

CONTENT: dict[str, Any] = {
    "symbol": "EURUSD",
    "bundle": "EURUSD-h1-0123456789ab",
    "rows": {"kept": 6225, "quarantined": 3},
    "bars": 6224,
    "features": 22,
    "scores": {"auc": 0.51635, "beats_prior": False},
    "gates": {
        "paper": {"passed": True, "checks": []},
        "live": {"passed": False, "checks": [{"passed": False, "text": "0.020 is luck"}]},
    },
    "ticks_replayed": 24900,
    "ticks_recorded": 24900,
    "predictions": 3184,
    "orders": 164,
    "fills": 163,
    "pnl": -12.5,
    "latency_us": {"order sent to report": {"p50": 900.4, "p99": 2000.0}, "nothing": {}},
    "parity": {
        "orders_equal": True,
        "fills_equal": True,
        "decisions_equal": True,
        "features_bit_equal": True,
        "first_difference": "",
    },
    "urls": {"report": "file:///report.html"},
}


def printed(content) -> str:
    console = Console(width=160, record=True, quiet=True)
    with console.capture() as capture:
        console.quiet = False
        print_table(console, content, "USD")
    return capture.get()


def test_the_table_says_rows_scores_gates_orders_money_and_where_to_look() -> None:
    text = printed(CONTENT)
    for words in (
        "6,225 / 3", "6,224 / 22", "auc 0.5163", "passed", "closed: 0.020 is luck", "164 / 163",
        "-12.50 USD", "p50 900 us, p99 2,000 us", "nothing to measure", "yes: orders, fills",
        "file:///report.html",
    ):  # fmt: skip
        assert words in text, words


def test_a_difference_is_shown_and_not_called_equal() -> None:
    parity = {
        **CONTENT["parity"],
        "fills_equal": False,
        "first_difference": "fill 3: price 1.1 recorded, 1.2 folded",
    }
    text = printed({**CONTENT, "parity": parity})
    assert "NO: fill 3: price 1.1 recorded, 1.2 folded" in text
    assert "yes" not in text


def test_without_an_order_it_does_not_claim_to_have_compared_any() -> None:
    text = printed({**CONTENT, "orders": 0, "fills": 0})
    assert "no order to compare" in text
    assert "yes: orders" not in text


def test_the_spread_that_bars_were_traded_with_and_the_whole_way_to_the_report_are_said() -> None:
    """The report's path was cut at the table's edge, and the spread was not told at all."""
    spread = {"rows": 10, "without": 10, "assumed_points": 2.0, "assumed_from": "catalogue"}
    page = f"file:///{'a long folder/' * 20}report.html"
    text = printed({**CONTENT, "spread": spread, "urls": {"report": page}})
    assert "2 points assumed (catalogue) for 10 of 10 bars: the file has none" in text
    assert page in text


def test_percentiles_are_microseconds_and_nothing_of_nothing() -> None:
    assert percentiles([1_000] * 99 + [5_000]) == {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert percentiles([]) == {}


def test_both_reports_tell_the_same_profit_with_and_without_credit(tmp_path: Path) -> None:
    """Credit once was a loss in the one and a profit in the other."""
    ticks = walk_ticks(600)
    bundle = logistic_bundle(
        tmp_path / "bundle", clock="h1", features=["h1_log_return_1"], weights=[900.0],
        trained_through_ns=int(ticks["time_ns"][40]),
    )  # fmt: skip
    model = load_model(tmp_path / "bundle")
    said: list[float] = []
    for credit in (0.0, 1_000.0):
        settings = Settings(trade=("EURUSD",), account=AccountSettings(credit=credit))
        day_ns = 86_400 * 10**9
        desk = desk_of(
            settings,
            start_ns=int(ticks["time_ns"][0]) - day_ns,
            end_ns=int(ticks["time_ns"][-1]) + day_ns,
        )
        apply_decision(desk, 0, bundle.decision)
        folded = fold_models(
            desk, feature_sets=[bundle.chosen], clocks=["h1"], models=[model], ticks=ticks
        )
        last: Any = SimpleNamespace(
            account_state=SimpleNamespace(balance=float(desk["account"]["balance"]))
        )
        recorded: Any = SimpleNamespace(
            reports=[last], bars=[], predictions=[], decisions=[], orders=[]
        )
        outcome = Outcome(
            model=model, ticks=ticks, desk=desk, folded=folded, recorded=recorded,
            parity=cast("Any", SimpleNamespace(**CONTENT["parity"], fills=0)),
            ticks_recorded=len(ticks), latency_us={},
        )  # fmt: skip
        content = report_of(outcome, {}, {}, {}, settings)
        since_ns = bundle.evaluated_through_ns
        run = run_of(bundle, settings, ("EURUSD",), desk, ticks, folded, since_ns=since_ns)
        assert len(run.fills) > 50
        found = statistics(run)
        assert content["pnl_with_open_positions"] == round(found.net_profit, 2)
        booked = found.net_profit - found.open_profit
        assert content["pnl"] == round(booked, 2)
        said.append(content["pnl"])
    assert said[0] == said[1]
