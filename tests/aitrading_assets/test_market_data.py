"""Ticks, bars, features and labels: what is written, and what the checks find."""

import math
from datetime import timedelta

import numpy as np
import polars as pl
import pytest

from aitrading_assets import features as features_module
from aitrading_assets import labels as labels_module
from aitrading_assets.bars import bars_kind
from aitrading_assets.feature_checks import compared
from aitrading_assets.labels import stored_labels
from ml.config import config_for
from ml.feature_files import KEYS, read_features, stored_months, view_name
from realtime.history.lake import Lake, Month
from tests.aitrading_assets.conftest import Runs, checks_of, events_of

JUNE = Month(2017, 6)


@pytest.fixture
def config():
    return config_for("EURUSD", "h1")


@pytest.fixture
def lake(with_data):
    return Lake(with_data.paths.lake)


@pytest.fixture
def runs(with_data, instance):
    instance.add_dynamic_partitions("symbols", ["EURUSD"])
    return Runs(with_data, instance)


def test_a_backfill_of_a_year_is_one_run_that_tells_of_every_month(runs, instance):
    assert runs.build().success
    assert len(instance.get_runs()) == 1
    for asset in ("ticks", "bars", "features", "labels"):
        keys = {f"2017-{month:02d}|EURUSD" for month in range(1, 13)}
        assert instance.get_materialized_partitions(features_module.dg.AssetKey(asset)) == keys


def test_the_event_that_pages_show_as_the_latest_has_the_plots(runs):
    result = runs.build()
    for asset in ("ticks", "bars", "features", "labels"):
        latest = events_of(result, asset)[-1].metadata
        assert "seconds" in latest, asset
        plots = [each.value for each in latest.values() if "data:image/svg" in str(each.value)]
        assert plots, asset


def test_a_month_that_did_not_change_is_not_written_again(runs, lake, config):
    assert runs.build().success
    view = view_name(config.clock, config.feature_set)
    before = {
        path: lake.files.info(path)["mtime"]
        for kind in ("ticks", bars_kind("h1"), f"features/{view}")
        for path in [lake.path(kind, "EURUSD", JUNE)]
    }
    assert runs.build().success
    assert {path: lake.files.info(path)["mtime"] for path in before} == before


def test_a_single_month_can_be_built_and_is_equal_to_the_same_of_the_year(runs, lake, config):
    view = view_name(config.clock, config.feature_set)
    whole = read_features(lake, view, "EURUSD", months=[JUNE])
    lake.files.rm(f"{lake.root}/features/{view}", recursive=True)
    assert runs.launch("build_features", partition="2017-06|EURUSD").success
    assert stored_months(lake, view, "EURUSD") == [JUNE]
    assert read_features(lake, view, "EURUSD").equals(whole, null_equal=True)


def test_bars_are_those_of_the_source_except_the_last_which_is_not_finished(lake):
    source = lake.read_month("bars_h1", "EURUSD", JUNE)
    built = lake.read_month(bars_kind("h1"), "EURUSD", JUNE)
    assert len(built) == len(source)
    for name in ("open", "high", "low", "close"):
        assert np.allclose(built[name], source[name], atol=1e-9), name


def test_a_crossed_quote_in_the_lake_stops_everything_after_it(runs, lake):
    ticks = lake.read_month("ticks", "EURUSD", JUNE)
    ticks["ask"][100] = ticks["bid"][100] - 0.0001
    lake.write_month("ticks", "EURUSD", JUNE, ticks, lake.sources("ticks", "EURUSD", JUNE))
    result = runs.build()
    assert not result.success
    assert checks_of(result) == {("ticks", "quotes_are_sound"): False}
    assert not events_of(result, "features")


def test_ticks_that_run_backwards_are_found(runs, lake):
    ticks = lake.read_month("ticks", "EURUSD", JUNE)
    ticks["time_ns"][[50, 51]] = ticks["time_ns"][[51, 50]]
    lake.write_month("ticks", "EURUSD", JUNE, ticks, lake.sources("ticks", "EURUSD", JUNE))
    assert checks_of(runs.build()) == {("ticks", "quotes_are_sound"): False}


def looking_ahead(honest):
    """The features of `honest`, one of them centred on the mean of the whole sample."""

    def leaking(*arguments, **options):
        frame = honest(*arguments, **options)
        name = "h1_rsi_14"
        mean = frame[name].filter(frame[name].is_not_nan()).mean()
        return frame.with_columns(pl.col(name) - mean)

    return leaking


def test_a_feature_that_knows_the_whole_sample_is_caught_by_the_prefix_check(runs, monkeypatch):
    monkeypatch.setattr(
        features_module, "feature_rows", looking_ahead(features_module.feature_rows)
    )
    result = runs.build()
    assert not result.success
    assert not checks_of(result)[("features", "no_look_ahead")]
    assert not events_of(result, "labels")


def test_a_feature_that_the_loop_computes_otherwise_is_caught_by_the_parity_check(
    runs, monkeypatch
):
    honest = features_module.feature_rows

    def rounded(*arguments, **options):
        return honest(*arguments, **options).with_columns(pl.col("h1_rsi_14").round(9))

    monkeypatch.setattr(features_module, "feature_rows", rounded)
    found = checks_of(runs.build())
    assert found[("features", "no_look_ahead")]
    assert not found[("features", "equal_to_the_live_step")]


def test_the_last_bit_counts(lake, config):
    view = view_name(config.clock, config.feature_set)
    stored = read_features(lake, view, "EURUSD")
    expected = stored.drop("created_timestamp", "symbol").head(500)
    assert (compared(stored, expected).rows, compared(stored, expected).difference) == (500, "")
    value = float(expected["h1_rsi_14"][300])
    off = expected.with_columns(
        pl.when(pl.int_range(pl.len()) == 300)
        .then(math.nextafter(value, math.inf))
        .otherwise(pl.col("h1_rsi_14"))
        .alias("h1_rsi_14")
    )
    assert "h1_rsi_14 at 2017" in compared(stored, off).difference
    assert [name for name in stored.columns if name in KEYS] == list(KEYS)


def test_labels_that_end_before_their_decision_are_caught(runs, monkeypatch):
    honest = labels_module.label_rows

    def backwards(*arguments, **options):
        return (
            honest(*arguments, **options)
            .with_columns(pl.col("event_timestamp") - timedelta(hours=1))
            .with_columns(pl.col("event_timestamp").alias("label_end"))
        )

    monkeypatch.setattr(labels_module, "label_rows", backwards)
    result = runs.build()
    assert not result.success
    assert not checks_of(result)[("labels", "outcomes_lie_in_the_future")]


def test_the_newest_decisions_have_no_label_yet(with_data, lake, config):
    labels = stored_labels(lake, config)
    assert labels is not None
    features = read_features(lake, view_name(config.clock, config.feature_set), "EURUSD")
    horizon = config.label.horizon_bars
    assert labels["event_timestamp"].max() <= features["event_timestamp"][-horizon - 1]
    assert labels["label_end"].max() <= features["event_timestamp"][-1]
