"""The broker's account and symbols, and the settings and the catalogue that may say otherwise."""

import shutil
import time
from typing import Any, cast

import pytest

from mt5_gateway.agreement import account_differences, symbol_differences
from mt5_gateway.simulator import control, metatrader5
from realtime.settings import AccountSettings
from realtime.symbols import load_symbols
from tests.fixtures.gateway import walk
from tests.mt5_gateway.test_live_orders import BUY, FILLED, LIMITS, REJECTED, SELL, start

CATALOGUE = load_symbols()
ACCOUNT = {"margin_mode": 0, "currency": "USD", "leverage": 100}
EURUSD = {
    "trade_calc_mode": 0,
    "digits": 5,
    "point": 1e-05,
    "trade_contract_size": 100_000.0,
    "trade_tick_size": 1e-05,
    "trade_tick_value": 1.0,
    "volume_min": 0.01,
    "volume_max": 100.0,
    "volume_step": 0.01,
    "currency_base": "EUR",
    "currency_profit": "USD",
    "currency_margin": "EUR",
}


def of_account(**changes):
    return account_differences(ACCOUNT | changes, AccountSettings())


def of_symbol(name="EURUSD", **changes):
    return symbol_differences(EURUSD | changes, CATALOGUE[name], "USD")


def test_an_account_and_a_symbol_that_agree_are_not_spoken_of():
    assert of_account() == of_symbol() == []
    assert of_account(margin_mode=1) == []  # an exchange's account nets
    assert of_symbol(trade_tick_size=0.0) == []  # one point


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"margin_mode": 2}, 'mode "hedging", [account] has "netting": set [account] mode ='),
        (
            {"currency": "JPY"},
            'currency "JPY", [account] has "USD": set [account] currency = "JPY"',
        ),
        ({"leverage": 5}, "leverage 5, [account] has 100: set [account] leverage = 5"),
    ],
)
def test_each_difference_of_the_account_is_a_line_that_says_what_to_set(changes, line):
    (found,) = of_account(**changes)
    assert line in found
    assert len(of_account(margin_mode=2, currency="JPY", leverage=5)) == 3


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        (
            {"trade_contract_size": 1_000.0},
            "contract_size 1000.0, ours 100000.0: set contract_size",
        ),
        ({"volume_min": 0.1}, "volume_min = 0.1 below [symbols.EURUSD]"),
        ({"volume_max": 50.0}, "volume_max = 50.0"),
        ({"volume_step": 0.1}, "volume_step = 0.1"),
        ({"trade_tick_size": 5e-05}, "tick_size = 5e-05"),
        ({"currency_base": "GBP"}, 'currency_base = "GBP"'),
        ({"currency_profit": "JPY"}, 'currency_profit = "JPY"'),
        ({"currency_margin": "USD"}, 'currency_margin = "USD"'),
        ({"trade_calc_mode": 4}, 'calc_mode = "cfd_leverage"'),
        ({"trade_calc_mode": 37}, "SYMBOL_TRADE_CALC_MODE 37): take it out of trade"),
        ({"point": 1e-04}, "5 digits, a point of 0.0001: take it out of trade"),
    ],
)
def test_each_difference_of_a_symbol_is_a_line_that_says_what_to_set(changes, line):
    (found,) = of_symbol(**changes)
    assert line in found


def test_other_digits_are_another_point_and_another_tick():
    lines = of_symbol(digits=4, point=1e-04, trade_tick_size=1e-04)
    assert ["digits = 4" in lines[0], "tick_size = 0.0001" in lines[1]] == [True, True]


def test_a_symbol_that_the_broker_has_no_more_is_named():
    assert symbol_differences(None, CATALOGUE["EURUSD"], "USD") == [
        "the terminal has no symbol 'EURUSD': take it out of trade = [...]"
    ]


def test_the_value_of_a_futures_tick_is_compared_where_it_is_told_in_its_own_currency():
    es = CATALOGUE["ES"]
    info = {
        "trade_calc_mode": 33, "digits": es.digits, "point": es.point,
        "trade_contract_size": es.contract_size, "trade_tick_size": es.tick_size,
        "trade_tick_value": 1.25, "volume_min": es.volume_min, "volume_max": es.volume_max,
        "volume_step": es.volume_step, "currency_base": "USD", "currency_profit": "USD",
        "currency_margin": "USD",
    }  # fmt: skip
    (line,) = symbol_differences(info, es, "USD")
    assert "tick_value = 1.25" in line
    assert symbol_differences(info, es, "EUR") == []


@pytest.mark.parametrize("lockstep", [False, True])
def test_a_gateway_does_not_start_on_an_account_that_is_not_that_of_its_settings(rigs, lockstep):
    broker = {"mode": "hedging", "currency": "USD", "leverage": 5}
    rig = rigs({"EURUSD": walk(50)}, lockstep=lockstep, account=broker)
    rig.start_terminal()
    rig.await_log("ready", name="terminal")
    rig.write_settings(account={"mode": "netting", "leverage": 100})
    assert rig.start_gateway().wait(40) == 2
    assert 'mode "hedging", [account] has "netting": set [account] mode = "hedging"' in rig.log()
    assert "leverage 5, [account] has 100: set [account] leverage = 5" in rig.log()
    assert "Traceback" not in rig.log()


def test_a_gateway_does_not_start_with_symbols_that_are_not_the_brokers(rigs, tmp_path):
    rig = rigs({"EURUSD": walk(50)}, lockstep=False)
    rig.start_terminal()
    rig.await_log("ready", name="terminal")
    own = tmp_path / "own.toml"
    own.write_text("[symbols.EURUSD]\ncontract_size = 1000\n")
    rig.write_settings(paths={"specifications": str(own)})
    assert rig.start_gateway().wait(40) == 2
    assert "set contract_size = 100000.0 below [symbols.EURUSD]" in rig.log()


def test_a_terminal_that_comes_back_with_another_leverage_closes_and_opens_nothing(rigs):
    rig = rigs({"EURUSD": walk(4000)}, lockstep=False, **LIMITS)
    live = start(rig)
    rig.stop(rig.terminal)
    shutil.rmtree(rig.settings.paths.var / "terminal")  # a journal is of one account's settings
    rig.write_settings(account={"leverage": 5})
    rig.start_terminal()
    assert "has leverage 5" in live.await_alert("settings_differ")
    with rig.terminal_link():
        by_hand = {"action": 1, "symbol": "EURUSD", "volume": 0.1, "type": BUY, "type_filling": 1}
        assert cast("Any", metatrader5.order_send(by_hand | {"price": 1.38})).retcode == 10009
    opening = live.order(BUY)
    live.publish(opening)
    report = live.report(opening.number)
    assert report.state == REJECTED
    assert "the broker's account has leverage 5" in report.comment
    closing = live.order(SELL)
    live.publish(closing)
    assert live.report(closing.number).state == FILLED
    assert len(rig.deals()) == 2


def test_a_link_that_was_lost_makes_the_conditions_be_compared_again(rigs):
    rig = rigs({"EURUSD": walk(4000)}, lockstep=False, **LIMITS)
    live = start(rig)
    with rig.terminal_link():
        control.switch("connected", False)
    rig.await_log("the terminal has no link to the trade server")
    refused = live.order()
    live.publish(refused)
    assert live.report(refused.number).retcode == 10031
    with rig.terminal_link():
        control.switch("connected", True)
    rig.await_log("the gateway goes on")
    time.sleep(0.5)
    order = live.order()
    live.publish(order)
    assert live.report(order.number).state == FILLED
