"""What is replayed: files, arrays, the lake; and one clear line where that cannot be."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from mt5_gateway.simulator.errors import JournalError, MarketUnusable
from mt5_gateway.simulator.journal import Journal
from mt5_gateway.simulator.loading import Wanted, check_data, identity_of, load_desk, load_market
from realtime.history.bar_ticks import bar_ticks
from realtime.history.errors import HistoryError
from realtime.history.lake import Lake, month_of
from realtime.history.read import read_bars
from realtime.settings import SettingsError
from tests.mt5_gateway.simulator.conftest import (
    SECOND_NS,
    START_NS,
    a_market,
    a_walk,
    some_settings,
)

HOUR_NS = 3600 * SECOND_NS


def fields_of(ticks):
    return [ticks[name].tobytes() for name in ("time_ns", "bid", "ask")]


@pytest.fixture
def bars_file(tmp_path):
    """Two weeks of H1 bars without a spread, as CSV in UTC."""
    random = np.random.default_rng(8)
    times = np.array([START_NS + k * HOUR_NS for k in range(24 * 14)])
    days = (times // (24 * HOUR_NS) + 4) % 7
    times = times[(days > 0) & (days < 5)]
    points = 138_000 + np.cumsum(random.integers(-30, 31, len(times)))
    frame = pl.DataFrame(
        {
            "time": pl.from_epoch(pl.Series(times), "ns").dt.strftime("%Y-%m-%d %H:%M:%S"),
            "open": points / 1e5,
            "high": (points + 40) / 1e5,
            "low": (points - 40) / 1e5,
            "close": (points + random.integers(-40, 41, len(times))) / 1e5,
            "tick_volume": random.integers(500, 3000, len(times)),
        }
    )
    path = tmp_path / "EURUSD_H1.csv"
    frame.write_csv(path)
    return path


def test_bars_of_a_file_become_the_ticks_of_research(bars_file):
    wanted = Wanted(files=(bars_file,), symbols=("EURUSD",), zone="UTC")
    market = load_market(some_settings(), wanted)
    bars = read_bars(bars_file, "EURUSD", zone="UTC").rows
    ticks = bar_ticks(bars, point=1e-5, assumed_spread_points=2.0)
    assert len(market) == 4 * len(bars) == len(ticks)
    assert fields_of(market.ticks) == fields_of(ticks)
    every = load_market(some_settings(), replace(wanted, mode="every"))
    assert len(every) == bars["ticks"].sum()


def test_the_lakes_ticks_and_bars_are_replayed(tmp_path, bars_file):
    lake = Lake(tmp_path / "lake")
    ticks = a_walk(2_000)
    bars = read_bars(bars_file, "EURUSD", zone="UTC").rows
    month = month_of(START_NS)
    lake.write_month("ticks", "EURUSD", month, ticks, ["test"])
    bars = bars[bars["open_ns"] < month.next.start_ns]
    lake.write_month("bars_h1", "EURUSD", month, bars, ["test"])
    wanted = Wanted(lake=str(tmp_path / "lake"))
    assert fields_of(load_market(some_settings(), wanted).ticks) == fields_of(ticks)
    from_bars = load_market(some_settings(), replace(wanted, bars="h1")).ticks
    assert fields_of(from_bars) == fields_of(bar_ticks(bars, point=1e-5, assumed_spread_points=2.0))
    middle = int(ticks["time_ns"][1_000])
    part = load_market(some_settings(), replace(wanted, from_ns=middle, to_ns=middle + 1)).ticks
    assert (part["time_ns"] == middle).all()
    with pytest.raises(HistoryError, match="holds nothing of GBPUSD"):
        load_market(some_settings(), replace(wanted, symbols=("GBPUSD",)))


def test_arrays_are_replayed_as_they_are(tmp_path):
    ticks = a_walk(50)
    ticks["ask"][10] = 0.5
    np.save(tmp_path / "bad.npy", ticks)
    wanted = Wanted(files=(tmp_path / "bad.npy",), symbols=("EURUSD",))
    assert fields_of(load_market(some_settings(), wanted).ticks) == fields_of(ticks)


def test_symbols_come_in_the_order_of_the_loop(tmp_path):
    names = ("USDJPY", "XAUUSD", "EURUSD")
    files = []
    for name in names:
        files.append(tmp_path / f"{name}.npy")
        np.save(files[-1], a_walk(5))
    wanted = Wanted(files=tuple(files), symbols=names)
    settings = some_settings(trade=["EURUSD", "USDJPY", "GBPUSD"])
    market = load_market(settings, wanted)
    assert [symbol.name for symbol in market.symbols] == ["EURUSD", "USDJPY", "XAUUSD"]
    assert load_desk(settings, market)["symbols"] == 3


def test_what_does_not_go_together_is_said(tmp_path):
    file = tmp_path / "a.npy"
    np.save(file, a_walk(5))
    with pytest.raises(MarketUnusable, match="1 --data for 2 --symbol"):
        load_market(some_settings(), Wanted(files=(file,), symbols=("EURUSD", "GBPUSD")))
    with pytest.raises(MarketUnusable, match="given twice"):
        load_market(some_settings(), Wanted(files=(file, file), symbols=("EURUSD", "EURUSD")))
    with pytest.raises(SettingsError, match="unknown symbol 'NOPE'"):
        load_market(some_settings(), Wanted(files=(file,), symbols=("NOPE",)))
    with pytest.raises(MarketUnusable, match="no ticks in the time asked for"):
        load_market(some_settings(), Wanted(files=(file,), symbols=("EURUSD",), to_ns=1))
    np.save(file, np.zeros(3))
    with pytest.raises(MarketUnusable, match="no array of TICK records"):
        load_market(some_settings(), Wanted(files=(file,), symbols=("EURUSD",)))
    file.write_bytes(b"nonsense")
    with pytest.raises(MarketUnusable, match="cannot be read"):
        load_market(some_settings(), Wanted(files=(file,), symbols=("EURUSD",)))


def test_a_missing_conversion_is_named(tmp_path):
    np.save(tmp_path / "a.npy", a_walk(5))
    settings = some_settings(account={"currency": "EUR"}, trade=["GBPUSD"])
    market = load_market(settings, Wanted(files=(tmp_path / "a.npy",), symbols=("GBPUSD",)))
    with pytest.raises(SettingsError, match="EURUSD"):
        load_desk(settings, market)


def test_the_identity_knows_account_costs_and_clock(tmp_path):
    np.save(tmp_path / "a.npy", a_walk(5))
    seen = set()
    for file, table in (
        ("a", {}),
        ("a", {"account": {"balance": 5.0}}),
        ("a", {"costs": {"latency": "1ms"}}),
        ("a", {"gateway": {"server_time": "UTC"}}),
    ):
        settings = some_settings(**table)
        wanted = Wanted(files=(tmp_path / f"{file}.npy",), symbols=("EURUSD",))
        market = load_market(settings, wanted)
        assert identity_of(settings, market) == identity_of(settings, market)
        seen.add(identity_of(settings, market))
    assert len(seen) == 4


def test_a_journal_goes_with_data_that_have_grown_and_with_no_others(tmp_path):
    ticks = a_walk(50)
    settings = some_settings()
    changed = ticks.copy()
    changed["bid"][3] += 0.00001
    with Journal(tmp_path, "me") as journal:
        check_data(journal, a_market({"EURUSD": ticks[:30]}, settings))
        check_data(journal, a_market({"EURUSD": ticks[:30]}, settings))
        check_data(journal, a_market({"EURUSD": ticks}, settings))
        assert [entry["data"][0] for entry in journal.entries()] == [30, 50]
        for other in (ticks[:49], changed):
            with pytest.raises(JournalError, match="other market data: start with --fresh"):
                check_data(journal, a_market({"EURUSD": other}, settings))
