"""Configurations: defaults for any symbol, shipped files, refusals that name what is wrong."""

import subprocess
import sys
from dataclasses import replace

import pytest

from ml.config import (
    CONFIGS,
    DEFAULT_FEATURES,
    Candidate,
    TrainingConfig,
    config_for,
    config_of,
    default_config,
    load_config,
    with_seed,
)
from realtime.declarations import SettingsError


@pytest.mark.parametrize(("symbol", "clock"), [("XAUUSD", "m5"), ("USDJPY", "h4"), ("X", "d1")])
def test_any_symbol_and_clock_has_a_generic_configuration(symbol, clock):
    config = default_config(symbol, clock)
    assert len(config.features) == len(DEFAULT_FEATURES)
    assert all(name.startswith(f"{clock}_") for name in config.features)
    assert config.volatility_column in config.features
    assert config.feature_set.columns == config.features


def test_generic_features_are_enough_and_not_too_many():
    assert 15 <= len(DEFAULT_FEATURES) <= 25


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_is_that_of_its_name(path):
    config = load_config(path)
    assert path.stem == f"{config.symbol.lower()}_{config.clock}"
    assert config_for(config.symbol, config.clock) == config


def test_a_symbol_without_a_file_takes_the_generic_one():
    assert config_for("GBPUSD", "m15") == default_config("GBPUSD", "m15")


def test_features_without_a_clock_are_on_the_deciding_one():
    table = {"symbol": "EURUSD", "clock": "m5", "features": ["rsi_14", "h1_rsi_14", "tick_spread"],
             "label": {"scale": "fraction", "gain": 0.001, "loss": 0.002}}  # fmt: skip
    config = config_of(table, "x")
    assert config.features == ("m5_rsi_14", "h1_rsi_14", "tick_spread")


def test_candidates_and_durations_are_read():
    table = {
        "symbol": "EURUSD",
        "clock": "h1",
        "candidates": [{"max_depth": 2}, {"max_depth": 5}],
        "decision": {"minimum_hold": "2h"},
    }
    config = config_of(table, "x")
    assert config.candidates == (Candidate(max_depth=2), Candidate(max_depth=5))
    assert config.decision.minimum_hold_ns == 7_200 * 10**9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"simbol": "EURUSD"}, "did you mean symbol"),
        ({"clock": "h7"}, "unknown clock 'h7'"),
        ({"clock": "tick"}, "unknown clock"),
        ({"symbol": 5}, "must be text"),
        ({"features": ["rsii_14"]}, "rsii"),
        ({"features": []}, "list of names"),
        ({"features": ["rsi_14", "h1_rsi_14", "close_volatility_50"]}, "chosen twice"),
        ({"features": ["rsi_14"]}, "is not among the features"),
        ({"label": {"horizon": 3}}, r"x \[label\]: unknown setting 'horizon'"),
        ({"label": {"horizon_bars": 0}}, "at least 1"),
        ({"label": {"scale": "fraction", "gain": 1.0}}, "below 0.5"),
        ({"label": 3}, "must be a table"),
        ({"split": {"holdout_fraction": 0.9}}, "at most 0.7"),
        ({"model": {"family": "xgbost"}}, "did you mean xgboost"),
        ({"candidates": [{"depth": 3}]}, "unknown setting 'depth'"),
        ({"candidates": {"max_depth": 3}}, r"\[\[candidates\]\]"),
        ({"candidates": [{"max_depth": 3}, {}]}, "each different"),
        ({"candidates": []}, "at least one"),
        ({"decision": {"enter_probability": 0.4}}, "at least 0.5"),
        ({"gates": {"deflated_sharpe": 1.5}}, "below 1"),
    ],
)
def test_what_is_wrong_is_named(change, said):
    with pytest.raises(SettingsError, match=said):
        config_of({"symbol": "EURUSD", "clock": "h1"} | change, "x")


def test_a_file_without_a_symbol_is_refused(tmp_path):
    path = tmp_path / "a.toml"
    path.write_text('clock = "h1"\n')
    with pytest.raises(SettingsError, match=r"a\.toml: missing symbol"):
        load_config(path)


def test_a_fingerprint_follows_every_setting():
    config = default_config("EURUSD", "h1")
    assert config.fingerprint == default_config("EURUSD", "h1").fingerprint
    others = (
        with_seed(config, 8),
        replace(config, symbol="GBPUSD"),
        replace(config, candidates=config.candidates[:1]),
        replace(config, label=replace(config.label, horizon_bars=5)),
    )
    assert len({config.fingerprint, *(each.fingerprint for each in others)}) == 5
    assert with_seed(config, 8).seed == 8


def test_a_configuration_without_a_symbol_cannot_be_made():
    with pytest.raises(SettingsError, match="symbol"):
        TrainingConfig(symbol="", clock="h1")


def test_reading_a_configuration_needs_no_model_library():
    code = (
        "import sys, ml.config; ml.config.config_for('EURUSD', 'h1');"
        "print([m for m in ('xgboost', 'onnx', 'mlflow', 'sklearn', 'polars') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
