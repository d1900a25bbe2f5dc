"""Ticks, bars and symbols: what the terminal shows of its market, and when."""

from itertools import pairwise

import numpy as np
import pytest

from mt5_gateway import constants as c
from mt5_gateway.results import RATES, TICKS
from mt5_gateway.server_time import ServerClock
from realtime.kernels.bars import TIME_BAR, TIMEFRAMES_NS, time_bars_fold
from realtime.kernels.layout import BAR
from realtime.kernels.pieces import PIECE_STATE
from tests.mt5_gateway.simulator.conftest import (
    MS_NS,
    SECOND_NS,
    START_NS,
    a_market,
    a_terminal,
    a_walk,
    control,
    mt5,
    some_settings,
    stand_at,
)

EVERYTHING = (1, 2_000_000_000, c.COPY_TICKS_ALL)
#: Sunday 26 October 2014, 00:00 UTC: Athens leaves summer time an hour later.
FALL_BACK_NS = 1_414_281_600 * SECOND_NS


def all_ticks(symbol="EURUSD", flags=c.COPY_TICKS_ALL):
    return mt5.copy_ticks_range(symbol, *EVERYTHING[:2], flags)


def test_ticks_come_back_as_they_went_in(served):
    ticks = a_walk(2_000)
    ticks["time_ns"] += 123_456  # below a millisecond: MetaTrader has none
    served({"EURUSD": ticks})
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 1)
    rows = all_ticks()
    assert rows.dtype == TICKS
    assert rows.dtype.itemsize == 60
    assert not rows.flags.writeable
    utc_ms = ServerClock("new_york+7").to_utc_all_ms(rows["time_msc"])
    assert (utc_ms == ticks["time_ns"] // MS_NS).all()
    assert (rows["time"] == rows["time_msc"] // 1000).all()
    for name in ("bid", "ask"):
        assert rows[name].tobytes() == ticks[name].tobytes()
    assert (rows["last"] == 0).all()
    assert (rows["volume"] == 0).all()
    assert (rows["volume_real"] == 0).all()
    expected = [
        2 * (before["bid"] != after["bid"]) + 4 * (before["ask"] != after["ask"])
        for before, after in pairwise(ticks)
    ]
    assert rows["flags"].tolist() == [6, *(flags or 6 for flags in expected)]


def test_traded_prices_and_volumes_are_shown(served):
    ticks = a_walk(3)
    ticks["last"] = [1.38, 1.39, np.nan]
    ticks["volume"] = [2.5, 0.0, np.nan]
    ticks["flags"] = [24, 2, 4]
    served({"EURUSD": ticks})
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 1)
    rows = all_ticks()
    assert rows["last"].tolist() == [1.38, 1.39, 0.0]
    assert rows["volume_real"].tolist() == [2.5, 0.0, 0.0]
    assert rows["volume"].tolist() == [2, 0, 0]
    assert all_ticks(flags=c.COPY_TICKS_TRADE)["flags"].tolist() == [24]
    assert all_ticks(flags=c.COPY_TICKS_INFO)["flags"].tolist() == [2, 4]
    assert all_ticks(flags=3) is None
    assert mt5.last_error() == (-2, "Terminal: Invalid params")


def test_nothing_is_shown_before_the_market_opens(served):
    served()
    mt5.symbol_select("EURUSD")
    assert len(all_ticks()) == 0
    assert mt5.last_error() == (1, "Success")
    assert len(mt5.copy_rates_from_pos("EURUSD", c.TIMEFRAME_M1, 0, 10)) == 0
    assert mt5.symbol_info_tick("EURUSD") is None
    assert mt5.symbol_info("EURUSD").bid == 0.0
    assert control.position() == ("", 0, 0, 500, 0)
    assert control.peek(100) == ("", 0, False)


def test_ticks_are_shown_up_to_the_market_and_quotes_up_to_the_broker(served):
    ticks = a_walk(500)
    served({"EURUSD": ticks})
    mt5.symbol_select("EURUSD")
    assert control.open_market(200) == (200, False)
    control.commit("EURUSD", 50)
    assert len(all_ticks()) == 200
    assert mt5.symbol_info_tick("EURUSD").bid == ticks["bid"][49]
    assert mt5.symbol_info("EURUSD").ask == ticks["ask"][49]
    assert control.position()[:4] == ("EURUSD", 50, 200, 500)
    assert control.open_market(1_000) == (300, True)
    assert control.open_market(1) == (0, True)
    assert len(all_ticks()) == 500


def test_copy_ticks_from_gives_so_many_from_a_second_on(served):
    served({"EURUSD": a_walk(500)})
    mt5.symbol_select("EURUSD")
    control.open_market(400)
    rows = all_ticks()
    second = int(rows["time"][100])
    first = int(np.argmax(rows["time"] >= second))
    assert mt5.copy_ticks_from("EURUSD", second, 7, -1).tobytes() == rows[first:][:7].tobytes()
    assert len(mt5.copy_ticks_from("EURUSD", second, 10**6, -1)) == 400 - first
    assert len(mt5.copy_ticks_from("EURUSD", int(rows["time"][-1]) + 1, 5, -1)) == 0
    assert mt5.copy_ticks_from("EURUSD", second, 0, -1) is None
    last_second = int(rows["time_msc"][-1]) // 1000
    cut = mt5.copy_ticks_range("EURUSD", second, last_second, -1)
    assert cut["time_msc"].max() <= last_second * 1000, "the end is a second, not its milliseconds"


def test_unknown_and_unselected_symbols(served):
    served()
    for call in (mt5.symbol_info, mt5.symbol_info_tick):
        assert call("NOPE") is None
        assert mt5.last_error() == (-4, "Terminal: Not found")
    assert mt5.symbol_select("NOPE") is False
    assert mt5.copy_ticks_from("NOPE", 1, 1, -1) is None
    assert mt5.copy_rates_from_pos("NOPE", c.TIMEFRAME_H1, 0, 1) is None
    assert mt5.last_error() == (-4, "Terminal: Not found")
    assert mt5.symbol_info("EURUSD").select is False
    assert all_ticks() is None
    assert mt5.last_error() == (-1, "Terminal: Call failed")
    assert mt5.symbol_info_tick("EURUSD") is None
    assert mt5.symbol_select("EURUSD") is True
    assert mt5.symbol_info("EURUSD").visible is True
    assert all_ticks() is not None
    assert mt5.symbol_select("EURUSD", False) is True
    assert all_ticks() is None


def test_symbols_are_listed_and_filtered(served):
    served({"EURUSD": a_walk(10), "USDJPY": a_walk(10, price=101.0, digits=3)})
    assert mt5.symbols_total() == 2
    assert [one.name for one in mt5.symbols_get()] == ["EURUSD", "USDJPY"]
    assert [one.name for one in mt5.symbols_get("USD*")] == ["USDJPY"]
    assert [one.name for one in mt5.symbols_get(group="*,!*JPY")] == ["EURUSD"]
    assert mt5.symbols_get("") == ()


def test_a_symbol_tells_its_conditions(served):
    ticks = {"EURUSD": a_walk(50), "USDJPY": a_walk(50, price=101.0, digits=3, seed=3)}
    served(ticks)
    stand_at("USDJPY", 50)
    info = mt5.symbol_info("USDJPY")
    assert (info.digits, info.point, info.trade_tick_size) == (3, 0.001, 0.001)
    assert info.trade_tick_value_profit == pytest.approx(100.0 / info.ask)
    assert info.trade_tick_value_loss == pytest.approx(100.0 / info.bid)
    assert info.filling_mode == c.SYMBOL_FILLING_FOK | c.SYMBOL_FILLING_IOC
    assert (info.currency_base, info.currency_profit, info.currency_margin) == ("USD", "JPY", "USD")
    assert info.bidhigh == ticks["USDJPY"]["bid"].max()
    assert info.asklow == ticks["USDJPY"]["ask"].min()
    assert info.spread == round((info.ask - info.bid) / info.point)


def test_symbols_of_one_time_come_in_their_order():
    times = START_NS + np.array([0, 0, 1, 5, 5]) * MS_NS
    streams = {}
    for name, shift in (("EURUSD", 0), ("USDJPY", 0)):
        ticks = a_walk(5, price=1.5)
        ticks["time_ns"] = times + shift
        streams[name] = ticks
    market = a_market(streams, some_settings())
    assert market.ticks["symbol"].tolist() == [0, 0, 1, 1, 0, 1, 0, 0, 1, 1]
    assert market.ticks["seq"].tolist() == [1, 2, 1, 2, 3, 3, 4, 5, 4, 5]
    for place in range(10):
        name, ordinal = market.named(place)
        assert market.place_of(market.row_of[name], ordinal) == place
    assert market.place_of(0, 6) is None
    assert market.place_of(0, 0) is None


def test_a_tick_that_came_late_stays_behind_the_one_before_it():
    ticks = a_walk(4)
    ticks["time_ns"] = START_NS + np.array([0, 10, 5, 20]) * MS_NS
    other = a_walk(1, price=101.0, digits=3)
    other["time_ns"] = START_NS + 7 * MS_NS
    market = a_market({"EURUSD": ticks, "USDJPY": other}, some_settings())
    assert market.ticks["symbol"].tolist() == [0, 1, 0, 0, 0]
    assert market.ticks["seq"].tolist() == [1, 1, 2, 3, 4]


@pytest.mark.parametrize("zone", ["new_york+7", "Europe/Athens", "UTC"])
def test_times_follow_the_servers_zone_through_its_clock_changes(zone):
    ticks = a_walk(400, step_ms=3_600_000 * 12, start_ns=1_388_534_400 * SECOND_NS)
    market = a_market({"EURUSD": ticks}, some_settings(gateway={"server_time": zone}))
    clock = ServerClock(zone)
    history = market.histories[0]
    offsets = history.server_ms - ticks["time_ns"] // MS_NS
    assert set(np.unique(offsets // 3_600_000)) == ({0} if zone == "UTC" else {2, 3})
    for row in range(0, 400, 37):
        assert clock.to_server_ms(int(ticks["time_ns"][row]) // MS_NS) == history.server_ms[row]


def test_an_hour_that_comes_twice_loses_no_tick(served):
    ticks = a_walk(3_000, step_ms=3_000, start_ns=FALL_BACK_NS)
    running = served({"EURUSD": ticks}, some_settings(gateway={"server_time": "Europe/Athens"}))
    assert not running.terminal.market.histories[0].is_ordered
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 1)
    assert len(all_ticks()) == 3_000
    first = int(all_ticks()["time"][0])
    assert len(mt5.copy_ticks_from("EURUSD", first, 10**6, -1)) == 3_000
    rows = mt5.copy_ticks_range("EURUSD", first, first + 600, -1)
    assert (rows["time_msc"] <= (first + 600) * 1000).all()
    repeated = first + 3 * 3600 + 600
    from_there = mt5.copy_ticks_from("EURUSD", repeated, 10**6, -1)
    assert from_there.tobytes() == all_ticks()[3_000 - len(from_there) :].tobytes()
    assert control.ordinal("EURUSD", int(all_ticks()["time_msc"][-1]), 1) >= 2_999


def test_an_ordinal_is_found_by_millisecond_and_place_in_it(served):
    ticks = a_walk(6)
    ticks["time_ns"] = START_NS + np.array([0, 10, 10, 10, 20, 30]) * MS_NS
    served({"EURUSD": ticks})
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 1)
    msc = all_ticks()["time_msc"].tolist()
    assert [control.ordinal("EURUSD", msc[1], n) for n in (0, 1, 2, 3, 4)] == [0, 2, 3, 4, 0]
    assert control.ordinal("EURUSD", msc[5], 1) == 6
    assert control.ordinal("EURUSD", msc[5] + 1, 1) == 0


@pytest.mark.parametrize("name", ["M1", "M15", "H1", "H4", "D1", "W1"])
def test_bars_are_those_of_the_kernels(name):
    """On a server of New York plus seven hours a day is a trading day."""
    ticks = a_walk(6_000, step_ms=120_000)
    terminal = a_terminal({"EURUSD": ticks})
    length_ns = TIMEFRAMES_NS[name]
    bars = np.zeros(len(ticks) + 1, BAR)
    desk = terminal.desk
    spec = desk["specs"][0]
    count = time_bars_fold(
        np.zeros(1, TIME_BAR)[0], np.zeros(1, PIECE_STATE)[0], terminal.market.ticks,
        desk["days"], int(spec["first_day"]), int(spec["last_day"]), length_ns, bars,
    )  # fmt: skip
    timeframe = getattr(c, f"TIMEFRAME_{name}")
    rows = terminal.rates.bars(
        0, timeframe, 0, len(terminal.rates.opened(0, timeframe, 6_000)), 6_000
    )
    assert rows.dtype == RATES
    assert len(rows) == count + 1
    clock = terminal.market.clock
    for ours, theirs in (("open",) * 2, ("high",) * 2, ("low",) * 2, ("close",) * 2,
                         ("tick_volume", "ticks")):  # fmt: skip
        assert rows[ours][:count].tolist() == bars[theirs][:count].tolist()
    opened = clock.to_server_all_ms(bars["open_ns"][:count] // MS_NS) // 1000
    assert rows["time"][:count].tolist() == opened.tolist()


def test_rates_come_from_positions_dates_and_ranges(served):
    served({"EURUSD": a_walk(3_000, step_ms=30_000)})
    mt5.symbol_select("EURUSD")
    control.open_market(2_500)
    newest = mt5.copy_rates_from_pos("EURUSD", c.TIMEFRAME_M15, 0, 10)
    assert newest.dtype.itemsize == 60
    assert not newest.flags.writeable
    assert newest["close"][-1] == all_ticks()["bid"][-1]
    assert (np.diff(newest["time"]) == 900).all()
    older = mt5.copy_rates_from_pos("EURUSD", c.TIMEFRAME_M15, 3, 7)
    assert older.tobytes() == newest[:7].tobytes()
    date = int(newest["time"][6])
    assert (
        mt5.copy_rates_from("EURUSD", c.TIMEFRAME_M15, date + 899, 7).tobytes() == older.tobytes()
    )
    ranged = mt5.copy_rates_range("EURUSD", c.TIMEFRAME_M15, int(newest["time"][2]), date)
    assert ranged.tobytes() == newest[2:7].tobytes()
    assert mt5.copy_rates_range("EURUSD", c.TIMEFRAME_M15, date, date - 1) is None
    assert mt5.copy_rates_from_pos("EURUSD", 7, 0, 1) is None
    assert mt5.last_error() == (-2, "Terminal: Invalid params")
    months = mt5.copy_rates_from_pos("EURUSD", c.TIMEFRAME_MN1, 0, 5)
    assert len(months) == 1
    assert int(months["time"][0]) == 1_398_902_400  # 1 May 2014
    assert months["tick_volume"][0] == 2_500
    spread = all_ticks()
    assert newest["spread"].min() >= 1
    assert spread["ask"].min() > 0
