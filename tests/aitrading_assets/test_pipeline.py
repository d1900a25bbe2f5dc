"""The whole pipeline on the demo's hours: real NATS, MLflow and Feast on files."""

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from aitrading_assets.demo import PipelineFailed, fitting_clock, run_pipeline
from aitrading_assets.kept import NotKept
from aitrading_assets.resources import recipe_name, recipes_folder, tracking_of
from aitrading_assets.workshop import Workshop
from ml.backtest.demo import demo_file
from ml.registry import champions
from ml.tracking import version_at
from realtime.bundle import read_bundle
from realtime.history.lake import Lake
from realtime.model import load_model
from tests.aitrading_assets.conftest import Runs, checks_of, events_of, last_words

CUT = datetime(2017, 12, 1, tzinfo=UTC)
CUT_NS = int(CUT.timestamp()) * 1_000_000_000


@pytest.fixture
def with_nats(settings, nats_server):
    nats_server.empty()
    settings.paths.secrets.mkdir(parents=True, mode=0o700)
    for each in nats_server.settings.paths.secrets.iterdir():
        (settings.paths.secrets / each.name).write_bytes(each.read_bytes())
    return replace(settings, nats=nats_server.settings.nats)


def lenient(settings, **gates):
    """Leave a recipe whose paper gate asks little, so that promotion itself can be looked at."""
    folder = recipes_folder(settings)
    folder.mkdir(parents=True)
    limits = "\n".join(f"{name} = {value}" for name, value in gates.items())
    text = f'symbol = "EURUSD"\nclock = "h1"\n[gates]\n{limits}\n'
    (folder / recipe_name("EURUSD")).write_text(text)


def test_a_file_becomes_the_champion_of_its_symbol(with_nats, instance):
    lenient(with_nats, calibration_error=0.9)
    said = []
    summary = run_pipeline(
        with_nats,
        demo_file(),
        "EURUSD",
        CUT_NS,
        ask_bars=True,
        instance=instance,
        progress=lambda *state: said.append(state),
    )
    jobs = ("ingest", "build_features", "retrain")
    assert said == [(job, state) for job in jobs for state in ("started", "done")]
    assert {run.job_name for run in instance.get_runs()} == set(jobs)

    bundle = read_bundle(workshop(with_nats).bundle()[0])
    assert summary["bundle_id"] == bundle.id
    assert summary["rows"]["kept"] == 6225
    assert summary["gates"]["paper"]["passed"]
    assert not summary["gates"]["live"]["passed"]
    json.dumps(summary, allow_nan=True)

    [champion] = champions(with_nats)
    assert (champion.bundle_id, champion.stage) == (bundle.id, "paper")
    version, mlflow_run = version_at(tracking_of(with_nats).uri, "EURUSD", "h1", "paper")
    assert bundle.training["mlflow_run_id"] == mlflow_run
    assert bundle.training["model_version"] == version == 1
    assert bundle.training["dagster_run_id"] in {run.run_id for run in instance.get_runs()}

    # Nothing after the cut was learned from, and what was is named file by file.
    assert bundle.trained_through_ns < CUT_NS
    kinds = {part["kind"].partition("/")[0] for part in bundle.data["partitions"]}
    assert kinds == {"ticks", "features"}
    assert max(part["month"] for part in bundle.data["partitions"]) <= "2017-12"

    runs = Runs(with_nats, instance)
    runs.recipes = replace(runs.recipes, folder=recipes_folder(with_nats))
    again = runs.launch(
        "retrain",
        config={"ops": {"EURUSD__training_set": {"config": {"until": CUT.isoformat()}}}},
    )
    assert again.success
    [event] = events_of(again, "EURUSD/promotion")
    assert event.metadata["promoted"].value is False
    assert "champion already" in event.metadata["note"].value
    assert champions(with_nats) == [champion]
    assert load_model(workshop(with_nats).bundle()[0]).bundle.id == champion.bundle_id


def workshop(settings):
    return Workshop(settings, "EURUSD")


def test_a_model_that_does_not_pass_the_paper_gate_is_not_promoted(with_nats, built_lake, instance):
    lenient(with_nats, predict_us=0.001)
    runs = Runs(replace_lake(with_nats, built_lake), instance)
    runs.recipes = replace(runs.recipes, folder=recipes_folder(with_nats))
    result = runs.launch("retrain")
    assert result.success  # a model that is not good enough is no failure
    assert not checks_of(result)[("EURUSD/gates", "paper_gate")]
    [event] = events_of(result, "EURUSD/promotion")
    assert event.metadata["promoted"].value is False
    assert "a prediction takes" in event.metadata["refused"].value
    assert champions(with_nats) == []


def replace_lake(settings, lake):
    return replace(settings, paths=replace(settings.paths, lake=lake))


def test_training_without_features_says_what_to_do_first(runs):
    result = runs.launch("retrain")
    assert not result.success
    assert "launch the jobs ingest and build_features" in last_words(result)


def test_a_backtest_without_a_model_says_what_to_materialise_first(runs):
    result = runs.launch("backtest")
    assert not result.success
    assert "materialise the asset EURUSD/training_set first" in last_words(result)


def test_a_promotion_without_a_server_fails_and_promotes_nothing(settings, built_lake, instance):
    lenient(settings, calibration_error=0.9)
    secrets = settings.paths.secrets
    secrets.mkdir(parents=True)
    (secrets / "nats-platform").write_text("secret")
    away = replace(settings.nats, url="nats://127.0.0.1:9", timeout_ns=500_000_000)
    runs = Runs(replace(replace_lake(settings, built_lake), nats=away), instance)
    runs.recipes = replace(runs.recipes, folder=recipes_folder(settings))
    result = runs.launch("retrain")
    assert not result.success
    assert "no NATS server answers at 127.0.0.1:9" in last_words(result)


def test_a_failing_job_is_one_line_with_its_reason(settings, instance, tmp_path):
    empty = tmp_path / "EURUSD_empty.csv"
    empty.write_text("")
    with pytest.raises(PipelineFailed, match=r"^job ingest: .*EURUSD_empty.csv") as caught:
        run_pipeline(settings, empty, "EURUSD", instance=instance)
    assert "\n" not in str(caught.value)


def test_the_clock_is_hours_where_there_are_enough_and_never_finer_than_the_bars(with_data):
    lake = Lake(with_data.paths.lake)
    assert fitting_clock(lake, "EURUSD", 0) == "h1"
    few = int(datetime(2017, 2, 1, tzinfo=UTC).timestamp()) * 1_000_000_000
    lake.files.rm(f"{lake.root}/ticks", recursive=True)
    assert fitting_clock(lake, "EURUSD", few) == "h1"


def test_what_was_kept_by_another_version_is_not_used(settings):
    home = workshop(settings)
    home.folder.mkdir(parents=True)
    (home.folder / "evaluation.json").write_text('{"rows": 1, "colour": "red"}')
    with pytest.raises(NotKept, match="materialise the asset EURUSD/evaluation first"):
        home.evaluation()


def test_the_password_of_the_registry_is_in_no_text(stack_settings):
    tracking = tracking_of(stack_settings)
    password = (stack_settings.paths.secrets / "postgres-mlflow").read_text().strip()
    assert password in tracking.uri
    assert password not in repr(tracking)
