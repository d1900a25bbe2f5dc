"""The demonstration looks through its file first, and refuses what it could not run on."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from aitrading_sensors.inbox import ImportOptions
from deploy.local.demo.report import caution_of, spread_text
from deploy.local.demo.source import Source, Spreads, look_through
from deploy.local.errors import StackError
from ml.backtest.demo import demo_file
from realtime.settings import Settings

UTC_TIMES = ImportOptions(zone="UTC")


def bars_file(
    path: Path, *, price: float = 1.1, step: float = 0.00001, spread: str = "7", broken: int = 0
) -> Path:
    """Write hours of two weeks as CSV."""
    lines = ["time,open,high,low,close,tick_volume,spread"]
    at = datetime(2024, 1, 8, tzinfo=UTC)
    digits = len(f"{step:.8f}".rstrip("0").split(".")[1])
    for hour in range(24 * 12):
        moment = at + timedelta(hours=hour)
        if moment.weekday() > 4 or (moment.weekday() == 4 and moment.hour >= 21):
            continue
        opened = price + (hour % 7) * step
        high = -1.0 if hour < broken else opened + 3 * step
        values = [opened, high, opened - 2 * step, opened + step]
        prices = ",".join(f"{value:.{digits}f}" for value in values)
        lines.append(f"{moment:%Y-%m-%d %H:%M:%S},{prices},10,{spread}")
    path.write_text("\n".join(lines) + "\n")
    return path


def looked(path: Path, symbol: str = "EURUSD", **said: object) -> Source:
    return look_through(Settings(), path, symbol, replace(UTC_TIMES, **said))


def refused(path: Path, symbol: str = "EURUSD", **said: object) -> str:
    with pytest.raises(StackError) as caught:
        looked(path, symbol, **said)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_sound_file_says_where_it_begins_and_ends_and_what_was_said_of_it(tmp_path) -> None:
    source = looked(bars_file(tmp_path / "bars.csv"))
    assert source.first_ns == int(datetime(2024, 1, 8, tzinfo=UTC).timestamp()) * 10**9
    assert source.last_ns > source.first_ns
    assert source.said() == {"zone": "UTC"}


def test_a_file_whose_name_is_of_another_symbol_is_refused(tmp_path) -> None:
    """XAUUSD_H1.csv was traded as EURUSD."""
    said = refused(bars_file(tmp_path / "XAUUSD_H1.csv", price=2000.0, step=0.01))
    assert "its name says XAUUSD, not EURUSD: give SYMBOL=XAUUSD" in said


def test_prices_of_another_scale_are_refused_whatever_the_files_name(tmp_path) -> None:
    said = refused(bars_file(tmp_path / "data.csv", price=2000.0, step=0.01))
    assert "its prices have 2 decimals, those of EURUSD 5" in said
    assert looked(bars_file(tmp_path / "pips.csv", step=0.0001)).report.digits == 4


def test_a_symbol_that_is_not_known_is_said_at_once_with_its_neighbour(tmp_path) -> None:
    path = bars_file(tmp_path / "bars.csv")
    assert "did you mean EURUSD?" in refused(path, "eurusd")


def test_a_cross_says_which_currency_makes_it_work(tmp_path) -> None:
    path = bars_file(tmp_path / "bars.csv", price=160.0, step=0.001)
    assert "set AITRADING_ACCOUNT__CURRENCY=JPY" in refused(path, "EURJPY")
    settings = Settings()
    yen = replace(settings, account=replace(settings.account, currency="JPY"))
    assert look_through(yen, path, "EURJPY", UTC_TIMES).symbol == "EURJPY"


def test_too_many_broken_rows_say_how_many_why_and_what_to_do(tmp_path) -> None:
    """They were "1 blocking asset check failed"."""
    path = bars_file(tmp_path / "bars.csv", broken=20)
    said = refused(path)
    assert "20 of 2" in said
    assert "20 non_positive" in said
    assert 'ARGS="--max-quarantined-fraction 0.' in said
    share = float(said.rsplit("fraction ", 1)[1].strip('"'))
    assert looked(path, max_quarantined_fraction=share).report.rows_quarantined == 20


def test_a_clock_that_is_not_known_names_what_the_demo_understands(tmp_path) -> None:
    said = refused(bars_file(tmp_path / "bars.csv"), zone="")
    assert 'ARGS="--zone New_York+7"' in said
    assert "zone=" not in said


def test_bars_without_a_spread_are_told_apart_from_those_with_one(tmp_path) -> None:
    """A spread was assumed without a word."""
    own = looked(bars_file(tmp_path / "own.csv")).spreads
    assert (own.without, own.median_points) == (0, 7.0)
    assert caution_of(own) == ""
    assert "of the file" in spread_text(own)
    zero = looked(bars_file(tmp_path / "zero.csv", spread="0")).spreads
    assert zero.without == zero.rows > 0
    assert zero.assumed_points > 0
    assert "(catalogue)" in spread_text(zero)
    assert caution_of(zero).startswith("caution: 100% of the bars")


def test_the_demos_own_file_has_no_spread_and_says_so() -> None:
    options = ImportOptions(ask_bars=True, spread_points=12.0)
    found = look_through(Settings(), demo_file(), "EURUSD", options).spreads
    assert found == Spreads(
        rows=found.rows, without=found.rows, assumed_points=12.0, assumed_from="given"
    )
    assert "12 points assumed (given)" in spread_text(found)


def test_ticks_have_their_own_spread() -> None:
    assert spread_text(Spreads()) == "of the file: its ticks have their own"
    assert caution_of(Spreads()) == ""
