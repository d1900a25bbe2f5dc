"""Ticks in, paper orders out, through terminal, gateway, NATS and loop: equal to the fold."""

import numpy as np
import pytest

from realtime.model import load_model
from realtime.parity import parity
from realtime.store.connection import connect as connect_database
from realtime.store.readers import read_recorded
from tests.e2e.spine import DAY_NS, Spine, running_spine
from tests.parity.scenarios import THREE, made_ticks, made_ticks_of_three


def clean(ticks):
    """Ticks as a file would hold them: sound quotes in order of time, whole milliseconds."""
    sound = (ticks["bid"] > 0) & (ticks["ask"] >= ticks["bid"])
    ticks = ticks[sound]
    ticks["time_ns"] = ticks["time_ns"] // 1_000_000 * 1_000_000
    ticks = ticks[np.argsort(ticks["time_ns"], kind="stable")]
    ticks["last"], ticks["volume"], ticks["flags"] = np.nan, 0.0, 6
    return ticks


def assert_parity(spine: Spine) -> None:
    folded = spine.fold()
    with connect_database(spine.settings, "reader") as connection:
        recorded = read_recorded(connection, "paper")
    models = [load_model(spine.bundles[symbol][0]) for symbol in spine.symbols]
    verdict = parity(recorded, folded, symbols=spine.symbols, models=models)
    assert not verdict.first_difference, verdict.first_difference
    assert verdict.orders_equal
    assert verdict.fills_equal
    assert verdict.features_bit_equal
    assert len(folded.result.fills) > 20


def play(spine: Spine, ticks: np.ndarray, within_s: float) -> None:
    spine.start("terminal", "gateway", "loop", "recorder")
    end = spine.await_end(within_s)
    assert end == len(ticks)
    spine.await_recorded()


def test_made_ticks_of_one_symbol_give_the_orders_of_the_fold(tmp_path) -> None:
    with running_spine(tmp_path, ("EURUSD",)) as spine:
        spine.store_ticks("EURUSD", clean(made_ticks(20_000)))
        ticks = spine.ticks()
        spine.promote("EURUSD", int(ticks["time_ns"][2_000]))
        play(spine, ticks, 120)
        assert_parity(spine)
        replayed = spine.run_tool("-m", "realtime", "replay")  # exit code 1 if anything differs
        assert "agree" in replayed or "equal" in replayed, replayed
        explained = spine.run_tool("-m", "realtime", "explain", "last")
        bundle = spine.bundles["EURUSD"][1]
        for part in (bundle.id, "m1_rsi_14", "made up", "paper-"):  # model, features, data, order
            assert part in explained, explained


@pytest.mark.parametrize("mode", ["hedging"])
def test_three_symbols_on_one_account_give_the_orders_of_the_fold(tmp_path, mode) -> None:
    with running_spine(tmp_path, THREE, mode=mode) as spine:
        made = made_ticks_of_three(8_000)
        for row, symbol in enumerate(THREE):
            spine.store_ticks(symbol, clean(made[made["symbol"] == row]))
        ticks = spine.ticks()
        for symbol in THREE:
            spine.promote(symbol, int(ticks["time_ns"][2_000]))
        play(spine, ticks, 180)
        assert_parity(spine)


def test_five_days_of_real_ticks_give_the_orders_of_the_fold(tmp_path, shared_data) -> None:
    from realtime.history.read import read_ticks

    rows = read_ticks(str(shared_data / "ticks/EURUSD_oanda_2014-05.parquet"), "EURUSD").rows
    rows = rows[rows["time_ns"] < rows["time_ns"][0] + 7 * DAY_NS]  # five of trading
    with running_spine(tmp_path, ("EURUSD",)) as spine:
        spine.store_ticks("EURUSD", clean(rows.copy()))
        ticks = spine.ticks()
        spine.promote("EURUSD", int(ticks["time_ns"][0]) + DAY_NS)
        play(spine, ticks, 300)
        assert_parity(spine)


def test_killing_every_process_in_turn_loses_and_doubles_nothing(tmp_path) -> None:
    with running_spine(tmp_path, ("EURUSD",)) as spine:
        spine.store_ticks("EURUSD", clean(made_ticks(60_000)))
        ticks = spine.ticks()
        spine.promote("EURUSD", int(ticks["time_ns"][2_000]))
        spine.restarts = 3
        spine.start("terminal", "gateway", "loop", "recorder")
        at = 4_000
        for name in ("loop", "gateway", "recorder", "nats", "loop", "gateway", "postgres"):
            at = spine.await_feed(at, 120) + 4_000
            if name in ("nats", "postgres"):
                server = getattr(spine, name)
                server.kill9()
                server.start()
            else:
                spine.kill9(name)
                spine.start(name)
        assert at <= len(ticks), "the replay was over before the last was killed"
        end = spine.await_end(180)
        assert end == len(ticks)
        spine.await_recorded()
        assert spine.one("select count(*) from ticks") == len(ticks)
        assert spine.one("select count(*) from gaps") == 0
        assert spine.one("select count(*) - count(distinct client_order_id) from orders") == 0
        assert spine.one("select max(number) - count(*) from orders") == 0
        assert spine.one("select max(report_seq) - count(*) from reports") == 0
        assert_parity(spine)
