"""Settings say what they are, refuse what they are not, and never guess."""

from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.declarations import Declaration, SettingsError, duration_ns, unknown_name
from realtime.kernels import codes
from realtime.kernels.layout import (
    ACCOUNT,
    ACCOUNT_LIMITS,
    DECISION_PARAMS,
    LIMITS,
    SPEC,
)
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    CostSettings,
    DecisionSettings,
    LimitSettings,
    PathSettings,
    Settings,
    load_settings,
    with_table,
)

SECOND = 1_000_000_000
EXAMPLE = """
trade = ["EURUSD", "XAUUSD"]

[account]
currency = "EUR"
balance = 25_000
mode = "hedging"

[account_limits]
max_daily_loss = 0.03
rate_window = "30s"

[limits]
max_spread_points = 20
max_tick_age = "1.5s"

[decision]
enter_probability = 0.57
minimum_hold = "1h30m"

[costs]
latency = "40ms"

[paths]
var = "somewhere"

[symbols.XAUUSD.limits]
max_spread_points = 40

[symbols.XAUUSD.decision]
sizing = "kelly"
"""


@pytest.fixture
def example(tmp_path):
    path = tmp_path / "config.toml"
    path.write_text(EXAMPLE, encoding="utf-8")
    return path


def refused(table, where="config.toml"):
    """Message of what is wrong with a table."""
    with pytest.raises(SettingsError) as caught:
        with_table(Settings(), table, where)
    return str(caught.value)


def test_a_file_sets_what_it_names_and_leaves_the_rest_at_its_default(example) -> None:
    settings = load_settings(example, environ={})
    assert settings.trade == ("EURUSD", "XAUUSD")
    assert settings.account == AccountSettings(currency="EUR", balance=25_000.0, mode="hedging")
    assert settings.account_limits.rate_window_ns == 30 * SECOND
    assert settings.limits.max_tick_age_ns == 1_500_000_000
    assert settings.decision == DecisionSettings(
        enter_probability=0.57, minimum_hold_ns=5_400 * SECOND
    )
    assert settings.costs.latency_ns == 40_000_000
    assert settings.paths == PathSettings(var=Path("somewhere"))


def test_a_symbol_has_the_common_values_with_its_own_laid_over_them(example) -> None:
    settings = load_settings(example, environ={})
    gold, euro = settings.of("XAUUSD"), settings.of("EURUSD")
    assert gold.limits == replace(settings.limits, max_spread_points=40.0)
    assert gold.decision == replace(settings.decision, sizing="kelly")
    assert gold.costs == settings.costs
    assert (euro.limits, euro.decision) == (settings.limits, settings.decision)


def test_no_file_and_no_variables_are_the_defaults() -> None:
    assert load_settings(environ={}) == Settings()
    assert load_settings(environ={"PATH": "/bin", "AITRADING": "x"}) == Settings()


def test_the_environment_wins_over_the_file_that_it_names(example) -> None:
    settings = load_settings(
        environ={
            "AITRADING_CONFIG": str(example),
            "AITRADING_TRADE": "EURUSD, GBPUSD",
            "AITRADING_ACCOUNT__BALANCE": "500",
            "AITRADING_ACCOUNT__CURRENCY": "GBP",
            "AITRADING_DECISION__ALLOW_SHORT": "false",
            "AITRADING_DECISION__MINIMUM_HOLD": "2h",
            "AITRADING_SYMBOLS__XAUUSD__LIMITS__MAX_SPREAD_POINTS": "50",
        }
    )
    assert settings.trade == ("EURUSD", "GBPUSD")
    assert (settings.account.balance, settings.account.currency) == (500.0, "GBP")
    assert settings.account.mode == "hedging"
    assert settings.decision.allow_short is False
    assert settings.of("XAUUSD").limits.max_spread_points == 50.0
    # What the environment says of all symbols holds for gold too, which has its own table.
    assert settings.of("XAUUSD").decision.minimum_hold_ns == 7_200 * SECOND
    assert settings.of("XAUUSD").decision.sizing == "kelly"


def test_the_path_given_wins_over_the_one_in_the_environment(example) -> None:
    environ = {"AITRADING_CONFIG": "/nowhere.toml"}
    assert load_settings(example, environ).account.currency == "EUR"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"acount": {}}, ["config.toml", "'acount'", "did you mean account"]),
        ({"decision": {"enter_probabilty": 0.6}}, ["[decision]", "enter_probability"]),
        ({"limits": {"max_tick_age_ns": 5}}, ["max_tick_age_ns", "did you mean max_tick_age"]),
        ({"symbols": {"EURUSD": {"limit": {}}}}, ["[symbols.EURUSD]", "'limit'", "limits"]),
        ({"symbols": {"EURUSD": {"limits": {"x": 1}}}}, ["[symbols.EURUSD] limits", "'x'"]),
        ({"decision": {"enter_probability": 1.5}}, ["enter_probability = 1.5", "0.5", "at most 1"]),
        ({"decision": {"enter_probability": "high"}}, ["'high'", "must be a number"]),
        ({"decision": {"enter_probability": True}}, ["must be a number"]),
        ({"decision": {"exit_probability": 0.56}}, ["exit_probability = 0.56", "0.55"]),
        ({"decision": {"gain_fraction": 0}}, ["gain_fraction", "edge_cost_ratio"]),
        ({"decision": {"sizing": "kely"}}, ["'kely'", "fixed, volatility_target, kelly", "mean k"]),
        ({"decision": {"sizing": "kelly", "max_leverage": 0}}, ["max_leverage = 0", "kelly"]),
        ({"decision": {"allow_long": 1}}, ["allow_long = 1", "true or false"]),
        ({"decision": {"minimum_hold": 15}}, ["minimum_hold = 15", '"15m"']),
        ({"decision": {"minimum_hold": "15"}}, ["'15' is no duration"]),
        ({"decision": {"minimum_hold": "15 minutes"}}, ["is no duration"]),
        ({"account": {"balance": 0}}, ["balance = 0", "above 0"]),
        ({"account": {"balance": float("nan")}}, ["balance = nan", "above 0"]),
        ({"account": {"balance": float("inf")}}, ["balance = inf", "must be a finite number"]),
        ({"account": {"currency": "Dollars"}}, ["currency = 'Dollars'", "USD"]),
        ({"account": {"mode": "net"}}, ["netting, hedging"]),
        ({"account": {"money_digits": 2.5}}, ["money_digits = 2.5", "whole number"]),
        ({"account": 5}, ["[account]", "must be a table"]),
        ({"account_limits": {"max_orders": 65}}, ["max_orders = 65", "at most 64"]),
        ({"account_limits": {"rate_window": "0s"}}, ["max_orders = 30", "rate_window"]),
        ({"account_limits": {"max_daily_loss": 1}}, ["max_daily_loss = 1", "below 1"]),
        ({"limits": {"max_order_lots": -1}}, ["max_order_lots = -1", "at least 0"]),
        ({"costs": {"commission_rate": 3.5}}, ["commission_rate = 3.5", "per_lot"]),
        ({"costs": {"commission": "percent"}}, ["symbol, none, per_lot, of_notional"]),
        ({"trade": []}, ["trade = []", "EURUSD"]),
        ({"trade": ["EURUSD", "EURUSD"]}, ["different symbols"]),
        ({"trade": ["EURUSD", 5]}, ["different symbols"]),
        ({"trade": 5}, ["different symbols"]),
        ({"paths": {"var": 5}}, ["var = 5", "must be a path"]),
        ({"symbols": {"EURUSD": 3}}, ["[symbols.EURUSD]", "must be a table"]),
        ({"nats": {"url": "127.0.0.1"}}, ["[nats]: url", "nats://127.0.0.1:14222"]),
        ({"nats": {"url": "127.0.0.1:14222"}}, ["[nats]: url", "nats://127.0.0.1:14222"]),
        ({"nats": {"url": "nats://127.0.0.1:x"}}, ["[nats]: url", "nats://127.0.0.1:14222"]),
        ({"database": {"url": "sqlite:///x"}}, ["[database]: url", "postgresql://127.0.0.1"]),
        ({"gateway": {"history_from": "yesterday"}}, ["history_from = 'yesterday'", "2024-05-01"]),
    ],
)  # fmt: skip
def test_a_wrong_setting_is_refused_with_place_value_and_what_is_allowed(table, words) -> None:
    message = refused(table)
    for word in words:
        assert word in message, message
    assert message.startswith("config.toml")


@pytest.mark.parametrize(
    ("variable", "word"),
    [
        ("AITRADING_ACOUNT__BALANCE", "AITRADING_ACCOUNT__"),
        ("AITRADING_BALANCE", "AITRADING_TRADE"),
        ("AITRADING_ACCOUNT__BALANCES", "did you mean balance"),
        ("AITRADING_ACCOUNT__BALANCE__X", "unknown variable"),
        ("AITRADING_SYMBOLS__EURUSD__LIMIT__X", "did you mean limits"),
    ],
)
def test_an_unknown_variable_is_refused_by_name(variable, word) -> None:
    with pytest.raises(SettingsError, match=word):
        load_settings(environ={variable: "5"})


def test_files_that_cannot_be_read_are_named(tmp_path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(SettingsError, match=r"missing\.toml: cannot be read"):
        load_settings(missing, environ={})
    broken = tmp_path / "broken.toml"
    broken.write_text("a = = 5", encoding="utf-8")
    with pytest.raises(SettingsError, match=r"broken\.toml: is not valid TOML.*line 1"):
        load_settings(broken, environ={})
    broken.write_bytes(b"a = '\xff'")
    with pytest.raises(SettingsError, match=r"broken\.toml: is not valid TOML"):
        load_settings(broken, environ={})


def test_settings_are_frozen_and_checked_whoever_makes_them() -> None:
    account: Any = AccountSettings()
    with pytest.raises(FrozenInstanceError):
        account.balance = 5.0
    with pytest.raises(SettingsError, match="balance = -1"):
        AccountSettings(balance=-1.0)
    part: Any = 1.5
    with pytest.raises(SettingsError, match="must be a whole number"):
        LimitSettings(max_tick_age_ns=part)
    with pytest.raises(SettingsError, match="exit_probability"):
        replace(DecisionSettings(), exit_probability=0.9)


@pytest.mark.parametrize(
    ("group", "dtype", "other"),
    [
        (AccountLimitSettings, ACCOUNT_LIMITS, set()),
        (LimitSettings, LIMITS, set()),
        (DecisionSettings, DECISION_PARAMS, set()),
        (AccountSettings, ACCOUNT, {"currency"}),
        (CostSettings, SPEC, {"commission", "swap"}),
    ],
)
def test_every_setting_reaches_the_kernels_under_its_own_name(group, dtype, other) -> None:
    names = {item.name for item in fields(group)}
    assert names - set(dtype.names) == other
    if group not in (AccountSettings, CostSettings):
        assert set(dtype.names) == names
    row = group().record(dtype)[0]
    for name in names - other:
        value = getattr(group(), name)
        assert isinstance(value, str) or row[name] == value, name


def test_choices_become_the_codes_of_the_kernels() -> None:
    assert DecisionSettings(sizing="kelly").record(DECISION_PARAMS)["sizing"] == codes.SIZE_KELLY
    assert AccountSettings(mode="hedging").record(ACCOUNT)["mode"] == codes.HEDGING
    assert DecisionSettings(allow_short=False).record(DECISION_PARAMS)["allow_short"] == 0


@pytest.mark.parametrize("group", [AccountLimitSettings, LimitSettings, DecisionSettings])
def test_every_number_has_a_range(group) -> None:
    for item in fields(group):
        if item.type in (int, float):
            with pytest.raises(SettingsError, match=r"must be"):
                group(**{item.name: item.type(-1)})


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0s", 0), ("15m", 900 * SECOND), ("2h", 7_200 * SECOND), ("1d", 86_400 * SECOND),
        ("1w", 604_800 * SECOND), ("1h30m", 5_400 * SECOND), ("1h 30m", 5_400 * SECOND),
        ("1.5s", 1_500_000_000), ("0.1us", 100), ("250ms", 250_000_000), ("7ns", 7),
    ],
)  # fmt: skip
def test_durations_are_exact(text, expected) -> None:
    assert duration_ns(text) == expected


@pytest.mark.parametrize("text", ["", "5", "m", "-5m", "5x", "1h-30m", "five minutes", "1e3s"])
def test_what_is_no_duration_is_refused(text) -> None:
    with pytest.raises(SettingsError, match="is no duration"):
        duration_ns(text)


@pytest.mark.parametrize("text", ["0.5ns", "200000d", "9" * 30 + "s"])
def test_durations_beyond_the_clock_are_refused(text) -> None:
    with pytest.raises(SettingsError, match="whole number of nanoseconds"):
        duration_ns(text)


@given(st.integers(0, 10_000), st.integers(0, 59), st.integers(0, 59))
def test_durations_add_up(hours, minutes, seconds) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert duration_ns(text) == (hours * 3600 + minutes * 60 + seconds) * SECOND


@given(st.dictionaries(st.text(max_size=8), st.one_of(st.integers(), st.text(max_size=5), st.none(),
       st.lists(st.integers(), max_size=2), st.dictionaries(st.text(max_size=5), st.integers(),
       max_size=2)), max_size=3))  # fmt: skip
def test_whatever_a_file_holds_the_answer_is_settings_or_a_settings_error(table) -> None:
    problem = "fuzz"
    try:
        settings = with_table(Settings(), {"decision": table, **table}, "fuzz")
    except SettingsError as error:
        settings, problem = Settings(), str(error)
    assert settings == Settings()
    assert problem.startswith("fuzz")


def test_names_far_from_any_other_are_answered_with_the_whole_list() -> None:
    assert (
        unknown_name("key", "zzz", ["alpha", "beta"]) == "unknown key 'zzz'; there are alpha, beta"
    )
    assert "did you mean alpha?" in unknown_name("key", "ALPHA", ["alpha", "beta"])
    assert "did you mean EURUSD?" in unknown_name("symbol", "eurusd", ["EURUSD", "XAUUSD"])


def test_a_refused_url_does_not_show_its_password() -> None:
    message = refused({"nats": {"url": "me:hunter2@nats.example"}})
    assert "hunter2" not in message


def test_every_field_of_every_section_is_described() -> None:
    for group in Declaration.__subclasses__():
        for item in fields(group):
            assert f"        {item.name}: " in (group.__doc__ or ""), (group.__name__, item.name)
