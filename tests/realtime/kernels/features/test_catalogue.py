"""The catalogue: names, parameters, and what every kernel must keep to."""

import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels.features.catalogue import (
    CATALOGUE,
    CLOCKS_NS,
    OUTPUTS,
    every_feature,
    feature,
    format_value,
    parse,
)
from realtime.kernels.features.feature import INPUTS, FeatureError
from realtime.kernels.features.page import features_page

ROOT = Path(__file__).resolve().parents[4]


def test_there_are_at_least_sixty_features():
    assert len({each.name for each in every_feature("m5")}) >= 60
    assert len(OUTPUTS) >= 60


def test_every_family_that_was_asked_for_is_there():
    technical = (
        "sma ema rsi macd atr bollinger_upper adx plus_di minus_di stochastic_k cci roc williams_r "
        "mfi obv aroon_up keltner_upper rolling_max rolling_min zscore slope r2 log_return"
    )
    market = (
        "spread spread_z tick_imbalance realised_volatility parkinson garman_klass yang_zhang "
        "amihud roll_spread autocorrelation variance_ratio volatility_ratio efficiency_ratio "
        "fractional_difference"
    )
    others = (
        "minute_of_day_sin day_of_week_cos in_london minutes_to_close minutes_to_rollover "
        "cross_ratio cross_correlation cross_beta basket_strength"
    )
    asked = f"{technical} {market} {others}".split()
    assert [name for name in asked if name not in OUTPUTS] == []


@pytest.mark.parametrize("clock", CLOCKS_NS)
def test_every_name_parses_back_to_its_feature(clock):
    for each in every_feature(clock):
        assert each.name.isidentifier()
        assert parse(each.name) == each
        assert str(each) == each.name


@given(
    n=st.integers(2, 10_000),
    k=st.floats(1e-9, 1e9, allow_nan=False),
    clock=st.sampled_from(sorted(CLOCKS_NS)),
)
def test_any_parameters_survive_the_way_through_a_name(n, k, clock):
    made = feature(clock, "bollinger_upper", n=n, k=k)
    assert made.name.isidentifier()
    assert parse(made.name).params == {"n": n, "k": k}


@pytest.mark.parametrize(
    ("value", "text"),
    [(14, "14"), (2.0, "2"), (2.5, "2p5"), (-1, "m1"), (1e-05, "1em05"), (1e22, "1e22")],
)
def test_numbers_are_written_so_that_names_stay_identifiers(value, text):
    assert format_value(value) == text


def test_names_read_as_documented():
    assert feature("m5", "rsi", n=14).name == "m5_rsi_14"
    assert feature("h1", "bollinger_upper", n=20, k=2).name == "h1_bollinger_upper_20_2"
    assert feature("h1", "bollinger_upper", k=2.5).name == "h1_bollinger_upper_20_2p5"
    assert feature("tick", "obv").name == "tick_obv"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("m5_rssi_14", ["m5_rssi_14", "did you mean", "rsi"]),
        ("m5_bolinger_uper_20_2", ["did you mean", "bollinger_upper"]),
        ("m7_rsi_14", ["unknown clock 'm7'", "m6"]),
        ("rsi_14", ["does not begin with a clock"]),
        ("m5_rsi", ["rsi takes n, got 0 values", "m5_rsi_14"]),
        ("m5_rsi_14_3", ["rsi takes n, got 2 values"]),
        ("m5_rsi_1", ["n must be at least 2, not 1"]),
        ("m5_rsi_0", ["n must be at least 2"]),
        ("m5_sma_0", ["n must be at least 1"]),
        ("m5_sma_m5", ["n must be at least 1, not -5"]),
        ("m5_rsi_14p5", ["n must be an integer"]),
        ("m5_rsi_x", ["n must be an integer, not 'x'"]),
        ("m5_rsi_014", ["'m5_rsi_014' is written 'm5_rsi_14'"]),
        ("m5_bollinger_upper_20_2p0", ["is written 'm5_bollinger_upper_20_2'"]),
        ("m5_bollinger_upper_20_0", ["k must be above 0"]),
        ("m5_bollinger_upper_20_nan", ["k must be"]),
        ("m5_bollinger_upper_20_inf", ["k must be a finite number"]),
        ("m5_", ["unknown feature"]),
        ("", ["does not begin with a clock"]),
        ("w1_rsi_14", ["unknown clock 'w1'"]),
    ],
)
def test_a_wrong_name_is_refused_with_a_remedy(name, words):
    with pytest.raises(FeatureError) as refused:
        parse(name)
    for word in words:
        assert word in str(refused.value)


@pytest.mark.parametrize(
    ("arguments", "params", "word"),
    [
        (("m5", "rsi"), {"m": 3}, "no parameter 'm': it has n"),
        (("m5", "obv"), {"n": 3}, "it has none"),
        (("m5", "rsi"), {"n": True}, "must be an integer"),
        (("m5", "rsi"), {"n": 14.0}, "must be an integer"),
        (("m5", "bollinger_upper"), {"k": float("nan")}, "finite"),
        (("m55", "rsi"), {}, "unknown clock 'm55' (did you mean m5"),
        (("m5", "rsy"), {}, "did you mean rsi"),
    ],
)
def test_wrong_parameters_are_refused_by_name(arguments, params, word):
    with pytest.raises(FeatureError, match=re.escape(word)):
        feature(*arguments, **params)


@pytest.mark.parametrize("name", CATALOGUE)
def test_every_declaration_is_complete(name):
    kernel = CATALOGUE[name]
    assert kernel.outputs
    assert set(kernel.minima) <= set(kernel.params)
    assert set(kernel.symbol_params) <= set(kernel.params)
    assert list(kernel.inputs) == [each for each in INPUTS if each in kernel.inputs]
    assert isinstance(kernel.state(**kernel.params), np.dtype)
    for output in kernel.outputs:
        assert output.description.endswith(".")
        assert output.unit
        assert output.oracle
        assert output.warm_up(**kernel.params) >= 0


def test_the_page_of_features_is_in_step_with_the_catalogue():
    page = (ROOT / "docs" / "features.md").read_text(encoding="utf-8")
    assert page == features_page(), "run: python -m realtime.kernels.features > docs/features.md"
