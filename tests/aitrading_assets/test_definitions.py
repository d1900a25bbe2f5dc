from dataclasses import replace

import dagster as dg
import pytest

from aitrading_assets.definitions import definitions, definitions_of
from aitrading_assets.keys import STEPS, asset_key, asset_keys
from aitrading_assets.partitions import SYMBOL_MONTHS

GRAPH = {
    "inbox": set(),
    "imported_ticks": {"inbox"},
    "imported_bars": {"inbox"},
    "ticks": {"imported_ticks", "imported_bars"},
    "bars": {"ticks"},
    "features": {"ticks", "bars"},
    "labels": {"ticks", "features"},
    "EURUSD/training_set": {"features", "labels"},
    "EURUSD/model": {"EURUSD/training_set"},
    "EURUSD/evaluation": {"EURUSD/model"},
    "EURUSD/backtest": {"EURUSD/model", "ticks"},
    "EURUSD/gates": {"EURUSD/evaluation", "EURUSD/backtest"},
    "EURUSD/promotion": {"EURUSD/gates"},
}


@pytest.fixture
def graph(settings):
    return definitions_of(settings).resolve_asset_graph()


def test_the_lineage_goes_from_the_inbox_to_the_champion(graph):
    found = {
        key.to_user_string(): {parent.to_user_string() for parent in graph.get(key).parent_keys}
        for key in graph.get_all_asset_keys()
    }
    assert found == GRAPH


def test_every_asset_says_what_it_is_and_where_it_belongs(graph):
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.description, key
        assert node.group_name != "default", key


def test_market_data_are_cut_by_symbol_and_month_and_models_are_not(graph):
    cut = {
        key.to_user_string()
        for key in graph.get_all_asset_keys()
        if graph.get(key).partitions_def == SYMBOL_MONTHS
    }
    assert cut == {"imported_ticks", "imported_bars", "ticks", "bars", "features", "labels"}


def test_a_backfill_of_any_range_is_a_single_run(graph):
    for key in graph.get_all_asset_keys():
        if graph.get(key).partitions_def is not None:
            assert graph.get(key).backfill_policy == dg.BackfillPolicy.single_run()


def test_everything_that_data_can_get_wrong_blocks_what_comes_after(graph):
    blocking = {
        f"{key.asset_key.to_user_string()}:{key.name}": graph.get(key).blocking
        for key in graph.asset_check_keys
    }
    assert blocking.pop("EURUSD/gates:paper_gate") is False
    assert blocking.pop("EURUSD/gates:live_gate") is False
    for imported in ("imported_ticks", "imported_bars"):  # warns: the newer rows have won
        assert blocking.pop(f"{imported}:imports_agree") is False
    assert len(blocking) >= 10
    assert all(blocking.values()), blocking


def test_retraining_needs_no_partition_and_covers_every_traded_symbol(settings):
    both = replace(settings, trade=("EURUSD", "XAUUSD"))
    job = definitions_of(both).resolve_job_def("retrain")
    wanted = {*asset_keys("EURUSD"), *asset_keys("XAUUSD")}
    assert set(job.asset_layer.selected_asset_keys) == wanted
    assert job.partitions_def is None


def test_the_jobs_the_schedule_and_the_sensors_are_there(settings):
    made = definitions_of(settings)
    repository = made.get_repository_def()
    jobs = {name for name in repository.job_names if not name.startswith("__")}
    assert jobs == {"ingest", "build_features", "retrain", "backtest"}
    assert {each.name for each in repository.schedule_defs} == {"nightly"}
    assert {each.name for each in repository.sensor_defs} == {
        "new_data",
        "build_after_ingest",
        "retrain_after_build",
        "run_failure_alert",
        "promotion_alert",
    }
    for each in repository.sensor_defs:
        assert each.default_status == dg.DefaultSensorStatus.RUNNING, each.name


def test_the_code_location_loads_with_the_settings_of_the_environment(monkeypatch):
    monkeypatch.setenv("AITRADING_TRADE", "GBPUSD")
    monkeypatch.delenv("AITRADING_CONFIG", raising=False)
    keys = definitions().resolve_asset_graph().get_all_asset_keys()
    assert asset_key("GBPUSD", "model") in keys
    assert asset_key("EURUSD", "model") not in keys


@pytest.mark.parametrize("symbol", ["EURUSD.m", "US500#", "#AAPL", "EUR USD"])
def test_a_symbol_of_any_broker_can_be_the_name_of_assets(settings, symbol):
    made = definitions_of(replace(settings, trade=(symbol,)))
    keys = made.resolve_asset_graph().get_all_asset_keys()
    assert {asset_key(symbol, step) for step in STEPS} <= set(keys)


def test_steps_run_in_one_process_because_another_would_cost_more_than_they_do(settings):
    job = definitions_of(settings).resolve_job_def("retrain")
    assert job.executor_def.name == "in_process"
