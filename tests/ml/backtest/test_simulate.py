"""A backtest from files to a Run: strategies, predictions, several symbols, and refusals."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from ml.backtest.demo import demo_request
from ml.backtest.market import read_market
from ml.backtest.request import BacktestError, Request
from ml.backtest.simulate import deciding_clock, simulate
from ml.backtest.statistics import statistics
from ml.backtest.summary import cautions
from realtime.declarations import SettingsError
from realtime.history.errors import HistoryError
from realtime.kernels.codes import DECISION_NOT_READY
from realtime.settings import (
    AccountLimitSettings,
    CostSettings,
    DecisionSettings,
    LimitSettings,
    Settings,
)
from realtime.symbols import chosen_symbols, load_symbols

MONDAY = datetime(2024, 3, 4, tzinfo=UTC)
HOURS = 100  # Monday to Friday morning: no weekend inside
FREE = replace(
    Settings(),
    costs=CostSettings(commission="none", swap=False),
    limits=LimitSettings(max_feature_age_ns=0),
)


def closes(seed: int = 3, start: float = 1.1) -> np.ndarray:
    """Hourly closes of a random walk on a grid of five decimals."""
    steps = np.random.default_rng(seed).normal(0.0, 8e-4, HOURS)
    return np.round(start * np.exp(np.cumsum(steps)), 5)


def write_hours(
    path: Path, prices: np.ndarray, spread: int = 2, missing: tuple[int, ...] = ()
) -> Path:
    """An MT5 export of hourly bars that open at the close before."""
    with path.open("w", newline="\r\n") as file:
        file.write("<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n")
        before = prices[0]
        for hour, close in enumerate(prices):
            if hour in missing:
                continue
            at = MONDAY + timedelta(hours=hour)
            high, low = max(before, close), min(before, close)
            file.write(
                f"{at:%Y.%m.%d}\t{at:%H:%M:%S}\t{before:.5f}\t{high:.5f}\t{low:.5f}\t{close:.5f}"
                f"\t100\t0\t{spread}\n"
            )
            before = close
    return path


def ends(count: int = HOURS) -> list[datetime]:
    """Ends of the hours, naive UTC."""
    return [(MONDAY + timedelta(hours=hour + 1)).replace(tzinfo=None) for hour in range(count)]


def write_predictions(path: Path, times: list[datetime], values: list[float | None]) -> Path:
    """A CSV of predictions."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["time", "probability"])
        writer.writerows(zip(times, values, strict=True))
    return path


@pytest.fixture
def hours(tmp_path: Path) -> Path:
    return write_hours(tmp_path / "EURUSD_H1.csv", closes())


def by_model(hours: Path, predictions: Path, **more: Any) -> Request:
    return Request(
        files=(hours,), symbols=("EURUSD",), zone="UTC", strategy="model",
        predictions=(predictions,), settings=FREE, close_only=True, **more,
    )  # fmt: skip


def test_predictions_are_traded_at_the_bar_they_belong_to(hours: Path, tmp_path: Path) -> None:
    values: list[float | None] = [0.5] * HOURS
    values[10:20] = [0.9] * 10  # long from the close of hour 10 to that of hour 20
    values[40:45] = [0.1] * 5  # short
    request = by_model(hours, write_predictions(tmp_path / "p.csv", ends(), values))

    run = simulate(
        replace(
            request, settings=replace(FREE, decision=replace(FREE.decision, exit_probability=0.55))
        )
    )

    price = closes()
    sides = run.fills["side"].tolist()
    assert sides == [1, -1, -1, 1]
    assert run.fills["price"].tolist() == pytest.approx(
        [price[10] + 2e-5, price[20], price[40], price[45] + 2e-5], abs=1e-12
    )
    assert (run.equity["time_ns"] + 1).tolist() == run.bars["EURUSD"]["end_ns"].tolist()


@pytest.mark.parametrize("missing", [(), (2, 3, 4), (5,), (1, 2, 3, 4), (2, 3, 4, 9)])
def test_missing_hours_never_shift_predictions_to_other_bars(
    missing: tuple[int, ...], tmp_path: Path
) -> None:
    """Hours 0-1, 2-5, 6-9, 10-13... make H4 bars: a hole can end two of them at one moment."""
    file = write_hours(tmp_path / "EURUSD_H1.csv", closes(), missing=missing)
    fours = [1, 5, 9, 13, 17, 21]  # last hour of each H4 bar
    values: list[float | None] = [0.9 if hour == 13 else 0.5 for hour in fours]
    times = [ends()[hour] for hour in fours]
    request = by_model(file, write_predictions(tmp_path / "p.csv", times, values), timeframe="H4")

    run = simulate(request)

    at = MONDAY + timedelta(hours=14)
    assert (run.fills["time_ns"] + 1).tolist() == [int(at.timestamp()) * 10**9]


def test_an_hour_without_prediction_holds_what_is_held(hours: Path, tmp_path: Path) -> None:
    values: list[float | None] = [0.9] * 60
    request = by_model(hours, write_predictions(tmp_path / "p.csv", ends(60), values))

    run = simulate(request)

    assert len(run.fills) == 1
    assert run.decisions["decision_code"][60:].tolist() == [DECISION_NOT_READY] * (HOURS - 60)
    assert run.open_positions["side"].tolist() == [1]


def test_the_crossover_trades_and_its_costs_add_up(hours: Path) -> None:
    request = Request(files=(hours,), symbols=("EURUSD",), zone="UTC", fast=10, slow=30)

    run = simulate(request)
    found = statistics(run)

    assert len(run.fills) > 0
    assert len(run.decisions) == HOURS
    booked = run.fills["profit"].sum() + run.fills["swap"].sum() + run.fills["commission"].sum()
    assert run.account["balance"][0] - 10_000.0 == pytest.approx(booked, abs=1e-6)
    assert found.costs.commission == pytest.approx(run.fills["commission"].sum())
    assert found.costs.spread > 0.0


def test_the_same_request_gives_the_same_run_and_another_one_another_fingerprint(
    hours: Path,
) -> None:
    request = Request(files=(hours,), symbols=("EURUSD",), zone="UTC")

    first, second = simulate(request), simulate(request)
    other = simulate(replace(request, spread_points=9.0))

    assert first.fingerprint == second.fingerprint
    assert first.equity.tobytes() == second.equity.tobytes()
    assert first.fills.tobytes() == second.fills.tobytes()
    assert other.fingerprint != first.fingerprint


def test_bars_without_a_spread_are_charged_the_typical_one_and_the_report_says_so(
    tmp_path: Path,
) -> None:
    file = write_hours(tmp_path / "EURUSD_H1.csv", closes(), spread=0)
    request = Request(files=(file,), symbols=("EURUSD",), zone="UTC")
    specifications = chosen_symbols(("EURUSD",), load_symbols())

    market = read_market(request, specifications)
    set_by_user = read_market(replace(request, spread_points=7.0), specifications)

    typical = specifications[0].typical_spread_points
    assert market.rows["spread_mean"] == pytest.approx(np.full(HOURS, typical * 1e-5))
    assert set_by_user.rows["spread_mean"] == pytest.approx(np.full(HOURS, 7e-5))
    finding = market.sources[0].findings[-1]
    assert (finding.reason, finding.rows, finding.action) == (
        "no spread in the data",
        HOURS,
        "assumed",
    )


def test_bars_of_the_ask_are_lowered_by_the_spread(tmp_path: Path) -> None:
    file = write_hours(tmp_path / "EURUSD_H1.csv", closes(), spread=0)
    specifications = chosen_symbols(("EURUSD",), load_symbols())
    request = Request(files=(file,), symbols=("EURUSD",), zone="UTC", spread_points=10.0)

    bid = read_market(request, specifications).rows
    from_ask = read_market(replace(request, ask_bars=True), specifications).rows

    assert from_ask["close"] == pytest.approx(bid["close"] - 1e-4, abs=1e-12)
    assert from_ask["low"] == pytest.approx(bid["low"] - 1e-4, abs=1e-12)


def test_a_cross_converts_through_a_symbol_that_is_quoted_only(tmp_path: Path) -> None:
    cross = write_hours(tmp_path / "EURGBP_H1.csv", closes(5, 0.86))
    pound = write_hours(tmp_path / "GBPUSD_H1.csv", closes(6, 1.27))  # converts the profit
    euro = write_hours(tmp_path / "EURUSD_H1.csv", closes(7, 1.09))  # converts the margin
    request = Request(
        files=(cross, pound, euro),
        symbols=("EURGBP", "GBPUSD", "EURUSD"),
        quotes_only=("GBPUSD", "EURUSD"),
        zone="UTC",
    )

    run = simulate(request)

    assert set(run.fills["symbol"].tolist()) == {0}
    assert len(run.decisions) == 3 * HOURS
    with pytest.raises(SettingsError, match="GBPUSD"):
        simulate(Request(files=(cross,), symbols=("EURGBP",), zone="UTC"))


def test_hours_can_be_decided_on_every_four(hours: Path) -> None:
    request = Request(
        files=(hours,), symbols=("EURUSD",), zone="UTC", timeframe="H4", fast=2, slow=5
    )

    run = simulate(request)

    assert run.timeframe == "H4"
    assert len(run.decisions) == len(run.bars["EURUSD"])
    assert HOURS // 4 - 1 <= len(run.decisions) <= HOURS // 4 + 1


def test_the_report_shows_durations_as_people_write_them(hours: Path) -> None:
    run = simulate(Request(files=(hours,), symbols=("EURUSD",), zone="UTC"))

    limits: Any = run.settings["limits"]
    assert limits["max_tick_age"] == "30 s"
    assert limits["max_model_age"] == "90 d"
    assert "max_tick_age_ns" not in limits


def test_the_demo_runs_on_a_year_of_real_hours() -> None:
    run = simulate(demo_request())
    found = statistics(run)

    assert run.data[0].rows_kept == 6225
    assert len(run.equity) == 6225
    assert found.all_trades.trades > 100
    assert run.account["equity"][0] == pytest.approx(
        run.account["balance"][0] + run.account["floating"][0]
    )


def test_a_run_that_a_drawdown_limit_ended_says_so_and_when() -> None:
    tight = replace(Settings(), account_limits=AccountLimitSettings(max_drawdown=0.02))
    run = simulate(replace(demo_request(), settings=tight))

    found = statistics(run)

    stopped_ns = int(run.fills["time_ns"][-1])
    assert found.halted_ns == pytest.approx(stopped_ns, abs=24 * 3600 * 10**9)
    assert found.halted_ns < found.end_ns
    assert any("drawdown limit ended trading" in said for said in cautions(found))
    assert statistics(simulate(by_loose_limits())).halted_ns == 0


def by_loose_limits() -> Request:
    """The demo without a drawdown limit that could be reached."""
    loose = replace(Settings(), account_limits=AccountLimitSettings(max_drawdown=0.9))
    return replace(demo_request(), settings=loose)


REFUSED = {
    "no file": ({"files": (), "symbols": ()}, "--data"),
    "more files than symbols": ({"files": (Path("a"), Path("b"))}, "as many symbols"),
    "a symbol twice": ({"files": (Path("a"), Path("b")), "symbols": ("EURUSD", "EURUSD")}, "twice"),
    "a stranger quoted only": ({"quotes_only": ("GBPUSD",)}, "GBPUSD"),
    "nothing traded": ({"quotes_only": ("EURUSD",)}, "nothing is traded"),
    "unknown strategy": ({"strategy": "astrology"}, "astrology"),
    "fast not below slow": ({"fast": 30, "slow": 10}, "--fast 30"),
    "a window of none": ({"fast": 0}, "--fast 0"),
    "a model without predictions": ({"strategy": "model"}, "--predictions"),
    "predictions without a model": ({"predictions": (Path("p"),)}, "--predictions"),
    "sizing by a volatility nobody knows": (
        {"settings": replace(Settings(), decision=DecisionSettings(sizing="volatility_target"))},
        "knows no volatility",
    ),
    "a negative spread": ({"spread_points": -1.0}, "--spread-points"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_request_that_cannot_be_meant_is_refused(case: str) -> None:
    changes, said = REFUSED[case]
    asked: dict[str, Any] = {"files": (Path("EURUSD.csv"),), "symbols": ("EURUSD",), **changes}

    with pytest.raises(BacktestError, match=said):
        Request(**asked)


def test_a_timeframe_that_the_data_cannot_build_is_refused(hours: Path) -> None:
    request = Request(files=(hours,), symbols=("EURUSD",), zone="UTC", timeframe="M15")
    market = read_market(request, chosen_symbols(("EURUSD",), load_symbols()))

    with pytest.raises(BacktestError, match="cannot be built from the h1"):
        deciding_clock(request, market)
    with pytest.raises(BacktestError, match="unknown timeframe"):
        deciding_clock(replace(request, timeframe="H5"), market)


def test_a_file_that_is_not_there_is_refused_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="absent"):
        simulate(Request(files=(tmp_path / "absent.csv",), symbols=("EURUSD",)))


def test_a_slow_window_longer_than_the_data_is_refused_instead_of_trading_nothing(
    hours: Path,
) -> None:
    request = Request(files=(hours,), symbols=("EURUSD",), zone="UTC", fast=2, slow=HOURS + 1)

    with pytest.raises(BacktestError, match=f"--slow {HOURS + 1} .* {HOURS} h1 bars"):
        simulate(request)


def test_the_order_of_day_and_month_can_be_said(tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    minutes = "".join(f"04/03/2024 10:{minute:02}:00,1.1,1.1001\n" for minute in range(40))
    path.write_text("time,bid,ask\n" + minutes)
    request = Request(files=(path,), symbols=("EURUSD",), zone="UTC", date_order="day")

    market = read_market(request, chosen_symbols(("EURUSD",), load_symbols()))

    assert market.start_ns == int(MONDAY.timestamp() + 36_000) * 10**9


def test_predictions_at_the_beginning_of_their_bars_are_refused_as_a_look_ahead(
    tmp_path: Path,
) -> None:
    """Where hours follow each other a bar's beginning is the end of the bar before."""
    missing = (30, 31)
    file = write_hours(tmp_path / "EURUSD_H1.csv", closes(), missing=missing)
    kept = [hour for hour in range(HOURS) if hour not in missing]
    begins = [ends()[hour] - timedelta(hours=1) for hour in kept]
    values: list[float | None] = [0.9] * len(kept)

    with pytest.raises(BacktestError, match="beginning"):
        simulate(by_model(file, write_predictions(tmp_path / "p.csv", begins, values)))


def test_the_fingerprint_follows_the_specifications(hours: Path, tmp_path: Path) -> None:
    own = tmp_path / "my_broker.toml"
    paths = replace(FREE.paths, specifications=str(own))
    request = Request(
        files=(hours,), symbols=("EURUSD",), zone="UTC", settings=replace(FREE, paths=paths)
    )
    found = []
    for contract_size in (100_000.0, 1_000.0):
        own.write_text(f"[symbols.EURUSD]\ncontract_size = {contract_size}\n")
        found.append(simulate(request).fingerprint)

    assert found[0] != found[1]


BAD_PREDICTIONS = {
    "text for a probability": (
        "time,probability\n2024-03-04 01:00:00,high\n",
        "probability .* number.* 'high' in row 1",
    ),
    "text for a volatility": (
        "time,probability,volatility\n2024-03-04 01:00:00,0.5,low\n",
        "volatility .* number.* 'low' in row 1",
    ),
    "no time": (
        "time,probability\n2024-03-04 01:00:00,0.5\n,0.6\n,0.6\n",
        "2 rows without a time",
    ),
    "times of another epoch": (
        "time,probability\n1709514000,0.5\n",
        "1970-01-01.*2024-03-04",
    ),
    "no such column": ("when,p\n2024-03-04 01:00:00,0.5\n", "time .* and probability"),
    "outside 0 to 1": ("time,probability\n2024-03-04 01:00:00,1.5\n", "outside 0 to 1"),
    "the same time twice": (
        "time,probability\n2024-03-04 01:00:00,0.5\n2024-03-04 01:00:00,0.6\n",
        "twice",
    ),
    "times of no bar": ("time,probability\n2024-03-04 01:30:00,0.5\n", "none of its 1 times"),
    "text for a time": ("time,probability\nyesterday,0.5\n", "date and time"),
    "nothing": ("", "cannot be read"),
}


@pytest.mark.parametrize("case", BAD_PREDICTIONS)
def test_predictions_that_cannot_be_used_are_refused(
    case: str, hours: Path, tmp_path: Path
) -> None:
    text, said = BAD_PREDICTIONS[case]
    path = tmp_path / "p.csv"
    path.write_text(text)

    with pytest.raises(BacktestError, match=said):
        simulate(by_model(hours, path))


def test_predictions_may_be_parquet_with_integer_times(hours: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.parquet"
    times = [int(each.replace(tzinfo=UTC).timestamp()) * 10**9 for each in ends()]
    pl.DataFrame({"time_ns": times, "probability": [0.9] * HOURS}).write_parquet(path)

    run = simulate(by_model(hours, path))

    assert run.open_positions["side"].tolist() == [1]
