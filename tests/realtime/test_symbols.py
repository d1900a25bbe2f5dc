"""Specifications: the shipped ones are sound, a user's file changes what it names, and no more."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest

from realtime.declarations import SettingsError
from realtime.kernels import codes
from realtime.kernels.layout import QUOTE, SPEC
from realtime.settings import CostSettings
from realtime.symbols import Symbol, chosen_symbols, load_symbols, spec_table

MAJORS = "EURUSD GBPUSD USDJPY USDCHF AUDUSD NZDUSD USDCAD"
CROSSES = "EURGBP EURJPY GBPJPY EURCHF AUDJPY EURAUD CADJPY"
OTHERS = "XAUUSD XAGUSD US500 US30 USTEC DE40 UK100 JP225 USOIL BTCUSD ETHUSD ES"


@pytest.fixture(scope="module")
def shipped():
    return load_symbols()


def user_file(tmp_path, text):
    path = tmp_path / "broker.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_usual_symbols_are_shipped(shipped) -> None:
    assert set(f"{MAJORS} {CROSSES} {OTHERS}".split()) <= set(shipped)
    for name, symbol in shipped.items():
        assert symbol.name == name
        assert symbol.typical_spread_points > 0


def test_the_name_of_a_pair_is_its_two_currencies(shipped) -> None:
    for name, symbol in shipped.items():
        if symbol.calc_mode == "forex":
            assert name == symbol.currency_base + symbol.currency_profit
            assert symbol.margin_currency == symbol.currency_base
            assert symbol.digits == (3 if symbol.currency_profit == "JPY" else 5)
        else:
            assert symbol.margin_currency == symbol.currency_profit


def test_a_row_has_what_metatrader_shows() -> None:
    euro, gold, future = spec_table(["EURUSD", "XAUUSD", "ES"], "USD")
    assert (euro["contract_size"], euro["point"], euro["tick_size"]) == (100_000, 0.00001, 0.00001)
    assert euro["tick_value"] == pytest.approx(1.0)
    assert euro["calc_mode"] == codes.CALC_FOREX
    assert (euro["commission_mode"], euro["commission_rate"]) == (codes.COMMISSION_PER_LOT, 3.5)
    assert (gold["contract_size"], gold["tick_value"]) == (100, pytest.approx(1.0))
    assert (future["tick_size"], future["tick_value"]) == (0.25, 12.5)
    assert future["calc_mode"] == codes.CALC_EXCHANGE_FUTURES
    assert future["swap_mode"] == codes.SWAP_DISABLED


# --- conversion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("account", ["USD", "EUR", "GBP", "JPY"])
def test_the_rows_that_convert_turn_one_unit_into_what_it_is_worth(shipped, account) -> None:
    """Against an oracle of prices of currencies in dollars."""
    dollars = {"USD": 1.0, "EUR": 1.1, "GBP": 1.28, "JPY": 1 / 150, "CHF": 1.12, "AUD": 0.65,
               "NZD": 0.6, "CAD": 0.74}  # fmt: skip
    names = [n for n, s in shipped.items() if s.calc_mode == "forex"]
    quotes = np.zeros(len(names), QUOTE)
    for row, name in enumerate(names):
        quotes[row]["bid"] = dollars[name[:3]] / dollars[name[3:]]
    checked = 0
    for name in names:
        needed = [name, *(n for n in names if n != name and account in (n[:3], n[3:]))]
        try:
            spec = spec_table(needed, account)[0]
        except SettingsError:
            continue
        for use, currency in (("profit", name[3:]), ("margin", name[:3])):
            row, inverse = spec[f"{use}_symbol"], spec[f"{use}_inverse"]
            rate = 1.0 if row < 0 else quotes[names.index(needed[row])]["bid"]
            worth = 1.0 / rate if inverse else rate
            assert worth == pytest.approx(dollars[currency] / dollars[account]), (name, use)
            checked += 1
    assert checked >= 10


def test_a_conversion_that_is_missing_names_every_symbol_to_add() -> None:
    with pytest.raises(SettingsError) as caught:
        spec_table(["EURUSD", "EURGBP", "CADJPY"], "USD")
    message = str(caught.value)
    assert "EURGBP profit is in GBP: add GBPUSD" in message
    assert "CADJPY profit is in JPY: add USDJPY" in message
    assert "CADJPY margin is in CAD: add USDCAD" in message
    assert "EURUSD" not in message
    table = spec_table(["EURUSD", "EURGBP", "CADJPY", "GBPUSD", "USDJPY", "USDCAD"], "USD")
    assert table["profit_symbol"].tolist() == [-1, 3, 4, -1, 4, 5]
    assert table["margin_symbol"].tolist() == [0, 0, 5, 3, -1, -1]
    assert table["profit_inverse"].tolist() == [0, 0, 1, 0, 1, 1]


def test_a_currency_that_no_symbol_reaches_is_said_to_need_a_description() -> None:
    with pytest.raises(SettingsError, match=r"add USDSEK or SEKUSD, after describing it"):
        spec_table(["XAUUSD"], "SEK")


# --- costs ----------------------------------------------------------------------------------------


def test_simulated_costs_are_laid_over_the_specification() -> None:
    costs = {
        "EURUSD": CostSettings(latency_ns=5, slippage_points=1.0, liquidity_lots=3.0, swap=False),
        "GBPUSD": CostSettings(commission="of_notional", commission_rate=0.00005),
        "AUDUSD": CostSettings(commission="none"),
    }
    euro, pound, aussie, yen = spec_table(
        ["EURUSD", "GBPUSD", "AUDUSD", "USDJPY"], "USD", costs=costs
    )
    assert (euro["latency_ns"], euro["slippage_points"], euro["liquidity_lots"]) == (5, 1.0, 3.0)
    assert euro["swap_mode"] == codes.SWAP_DISABLED
    assert (euro["commission_mode"], euro["commission_rate"]) == (codes.COMMISSION_PER_LOT, 3.5)
    assert pound["commission_mode"] == codes.COMMISSION_OF_NOTIONAL
    assert pound["commission_rate"] == 0.00005
    assert aussie["commission_mode"] == codes.COMMISSION_NONE
    assert yen["swap_mode"] == codes.SWAP_POINTS


# --- a user's file --------------------------------------------------------------------------------


def test_a_users_file_changes_what_it_names_and_adds_symbols(tmp_path, shipped) -> None:
    path = user_file(
        tmp_path,
        """
        [symbols.EURUSD]
        swap_long = -8.12
        [symbols."EURUSD.raw"]
        like = "EURUSD"
        commission_rate = 2.0
        [groups.metal]
        commission_rate = 0.0
        [symbols.XPTUSD]
        like = "metal"
        currency_base = "XPT"
        currency_profit = "USD"
        digits = 2
        contract_size = 50
        """,
    )
    symbols = load_symbols(path)
    assert symbols["EURUSD"] == replace(shipped["EURUSD"], swap_long=-8.12)
    raw = replace(shipped["EURUSD"], name="EURUSD.raw", swap_long=-8.12, commission_rate=2.0)
    assert symbols["EURUSD.raw"] == raw
    assert symbols["XAUUSD"].commission_rate == 0.0
    assert symbols["XPTUSD"].contract_size == 50.0
    unchanged = set(shipped) - {"EURUSD", "XAUUSD", "XAGUSD"}
    assert all(symbols[name] == shipped[name] for name in unchanged)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[symbols.EURUSD]\nswap_lnog = 1", ["[symbols.EURUSD]", "'swap_lnog'", "swap_long"]),
        ("[groups.forex]\nleverage = 1", ["[groups.forex]", "'leverage'"]),
        ("[symbol.EURUSD]\nswap_long = 1", ["'symbol'", "did you mean symbols"]),
        ("[symbols]\nEURUSD = 5", ["[symbols.EURUSD]", "must be a table"]),
        ("symbols = 5", ["[symbols]", "must be a table"]),
        ("[symbols.X]\nlike = 'EURUDS'", ["[symbols.X]", "'EURUDS'", "EURUSD"]),
        ("[symbols.X]\nlike = 'Y'\n[symbols.Y]\nlike = 'X'", ["in a circle", "X -> Y -> X"]),
        ("[symbols.X]\nlike = 'forex'", ["[symbols.X]", "missing currency_base, currency_profit"]),
        ("[symbols.EURUSD]\ncontract_size = -5", ["contract_size = -5.0", "above 0"]),
        ("[symbols.EURUSD]\ncontract_size = '5'", ["contract_size = '5'", "a number"]),
        ("[symbols.EURUSD]\ndigits = 5.0", ["digits = 5.0", "whole number"]),
        ("[symbols.EURUSD]\nvolume_step = 200", ["volume_step", "at most volume_max"]),
        ("[symbols.EURUSD]\nvolume_min = 0.015", ["volume_min", "multiple of volume_step"]),
        ("[symbols.EURUSD]\nvolume_limit = 0.001", ["volume_limit"]),
        ("[symbols.EURUSD]\ntick_size = 0.000013", ["tick_size", "multiple of the point"]),
        ("[symbols.EURUSD]\nswap_mode = 'pips'", ["swap_mode = 'pips'", "points"]),
        ("[symbols.EURUSD]\nswap_triple_day = 'wensday'", ["wednesday"]),
        ("[symbols.EURUSD]\ncalendar = 'forex'", ["calendar = 'forex'", "fx"]),
        ("[symbols.EURUSD]\nswap_long = nan", ["swap_long = nan", "finite"]),
        ("[symbols.ES]\ntick_value = 0", ["ES", "tick_value and margin_initial above 0"]),
        ("[symbols.EURUSD]\ncurrency_base = ''", ["must not be empty"]),
    ],
)
def test_an_impossible_specification_is_refused_by_file_symbol_and_key(
    tmp_path, text, words
) -> None:
    with pytest.raises(SettingsError) as caught:
        load_symbols(user_file(tmp_path, text))
    message = str(caught.value)
    assert "broker.toml" in message
    for word in words:
        assert word in message, message


def test_symbols_are_chosen_by_name_or_given(shipped) -> None:
    own = replace(shipped["EURUSD"], name="MINE", contract_size=1000.0)
    assert [symbol.name for symbol in chosen_symbols(["EURUSD", own])] == ["EURUSD", "MINE"]
    alone = spec_table([own], "USD", known={})
    assert (alone["contract_size"][0], alone["margin_symbol"][0]) == (1000.0, 0)
    with pytest.raises(SettingsError, match=r"'EURUDS'; did you mean EURUSD"):
        chosen_symbols(["EURUDS"])
    for wrong in ([], ["EURUSD", "EURUSD"]):
        with pytest.raises(SettingsError, match="each once"):
            chosen_symbols(wrong)


def test_every_field_of_the_kernels_specification_comes_from_somewhere() -> None:
    names = set(SPEC.names or ())
    given = names & {item.name for group in (Symbol, CostSettings) for item in fields(group)}
    computed = {"point", "profit_symbol", "profit_inverse", "margin_symbol", "margin_inverse"}
    assert given | computed | {"first_day", "last_day"} == names


def test_a_point_is_the_last_decimal(shipped) -> None:
    for symbol in shipped.values():
        assert symbol.point == pytest.approx(10.0**-symbol.digits)
        assert math.isclose(symbol.point * 10**symbol.digits, 1.0)
