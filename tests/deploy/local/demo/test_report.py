"""What the demonstration prints says what happened, good or bad."""

from typing import Any

from rich.console import Console

from deploy.local.demo.report import print_table
from deploy.local.demo.verdict import percentiles

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


def test_percentiles_are_microseconds_and_nothing_of_nothing() -> None:
    assert percentiles([1_000] * 99 + [5_000]) == {"p50": 1.0, "p95": 1.0, "p99": 1.0}
    assert percentiles([]) == {}
