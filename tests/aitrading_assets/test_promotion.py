"""What a job may do to a champion, and what it must leave alone: real NATS, MLflow on a file."""

import json
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

import ml.registry
from aitrading_assets.definitions import definitions_of
from aitrading_assets.keys import asset_key
from aitrading_assets.resources import recipe_name, recipes_folder, tracking_of
from aitrading_assets.workshop import Workshop
from aitrading_sensors.alerts import promotion_alert
from ml.approval import Approval
from ml.bundle import noted
from ml.errors import RegistryRefused
from ml.evaluation.evaluation import evaluate
from ml.ledger import Ledger
from ml.registry import champions, promote, rollback
from ml.tracking import alias_versions, drop_alias
from realtime.bundle import BundleError, read_bundle
from tests.aitrading_assets.conftest import Runs, checks_of, events_of, last_words
from tests.aitrading_assets.test_pipeline import replace_lake, with_nats

__all__ = ["with_nats"]

EAGER = "[decision]\nenter_probability = 0.52\nexit_probability = 0.5\nedge_cost_ratio = 0\n"
OTHER = "[model]\nseed = 99\n"


def recipe(settings, extra="", **gates):
    """Leave a recipe whose paper gate asks little, unless told otherwise."""
    folder = recipes_folder(settings)
    folder.mkdir(parents=True, exist_ok=True)
    limits = "\n".join(f"{name} = {value}" for name, value in (LENIENT | gates).items())
    text = f'symbol = "EURUSD"\nclock = "h1"\n[gates]\n{limits}\n{extra}'
    (folder / recipe_name("EURUSD")).write_text(text)


LENIENT = {"calibration_error": 0.9, "predict_us": 1e6}


@pytest.fixture
def made(with_nats, built_lake, instance):
    """A model that is the champion, as paper."""
    recipe(with_nats)
    runs = Runs(replace_lake(with_nats, built_lake), instance)
    runs.recipes = replace(runs.recipes, folder=recipes_folder(with_nats))
    assert runs.launch("retrain").success
    return runs


def workshop(runs):
    return Workshop(runs.settings, "EURUSD")


def only(runs, *steps, config=None):
    """Materialise some of the assets, as a person may in Dagster."""
    given = {"settings": runs.settings, "recipes": runs.recipes}
    job = definitions_of(runs.settings, given).resolve_job_def("retrain")
    return job.execute_in_process(
        instance=runs.instance,
        raise_on_error=False,
        asset_selection=[asset_key("EURUSD", step) for step in steps],
        run_config=config or {},
    )


def said(result) -> dict[str, Any]:
    [event] = events_of(result, "EURUSD/promotion")
    return {key: each.value for key, each in event.metadata.items()}


def go_live(runs):
    """Let a person promote the latest bundle, its gate having opened."""
    directory, bundle = workshop(runs).bundle()
    report = dict(bundle.gates["live"])
    report["checks"] = [
        each | {"passed": each["passed"] or each["name"] != "approval"} for each in report["checks"]
    ]
    after = noted(directory, {"live": report}, {})
    Ledger(runs.settings.paths.var, "EURUSD").record_gate(bundle.id, after.gates["live"])
    word = Approval(bundle=bundle.id, by="Ada", reason="a year of paper")
    return promote(runs.settings, directory, "live", "Ada", approval=word)


def test_the_nightly_run_leaves_a_live_champion_alone(made):
    trading = go_live(made)
    again = made.launch("retrain")
    assert again.success
    assert said(again)["promoted"] is False
    assert "the same model, is the champion as live" in said(again)["note"]
    recipe(made.settings, OTHER)
    other = made.launch("retrain")
    assert other.success
    assert "--demote" in said(other)["note"]
    assert champions(made.settings) == [trading]
    step = asset_key("EURUSD", "promotion").to_python_identifier()
    told = only(made, "promotion", config={"ops": {step: {"config": {"demote": True}}}})
    assert said(told)["promoted"] is True
    assert champions(made.settings)[0].stage == "paper"


@pytest.mark.parametrize("later", [("promotion",), ("gates", "promotion"), ("evaluation", "gates")])
def test_a_new_model_is_never_judged_by_what_was_said_of_the_one_before(made, later):
    first = champions(made.settings)
    recipe(made.settings, OTHER)
    assert only(made, "model").success
    result = only(made, *later)
    assert not result.success
    missing = {"promotion": "gates", "gates": "evaluation", "evaluation": "backtest"}[later[0]]
    assert f"materialise EURUSD/{missing} first" in last_words(result)
    assert champions(made.settings) == first


def test_an_old_model_is_never_judged_on_rows_that_came_after_it(made):
    step = asset_key("EURUSD", "training_set").to_python_identifier()
    cut = {"ops": {step: {"config": {"until": "2017-11-01"}}}}
    assert only(made, "training_set", config=cut).success
    result = only(made, "evaluation")
    assert "the training set was made anew" in last_words(result)
    assert "materialise EURUSD/model first" in last_words(result)


def test_a_recipe_that_was_edited_is_the_next_models_and_changes_no_bundle(made):
    directory, before = workshop(made).bundle()
    recipe(made.settings, EAGER)
    result = only(made, "evaluation", "backtest", "gates", "promotion")
    assert result.success
    [event] = events_of(result, "EURUSD/gates")
    assert "was edited after the training" in event.metadata["notes"].value
    after = read_bundle(directory)
    assert (after.id, after.decision) == (before.id, before.decision)
    assert said(result)["note"].startswith("the champion already")
    assert champions(made.settings)[0].bundle_id == before.id
    assert made.launch("retrain").success
    assert workshop(made).bundle()[1].decision.enter_probability == 0.52


def test_todays_thresholds_judge_yesterdays_model(made):
    recipe(made.settings, predict_us=0.001)
    result = only(made, "gates")
    assert result.success
    assert not checks_of(result)[("EURUSD/gates", "paper_gate")]
    [event] = events_of(result, "EURUSD/gates")
    assert "notes" not in event.metadata


def test_the_numbers_of_a_gate_are_those_of_its_own_model(made):
    recipe(made.settings, EAGER + OTHER)
    assert made.launch("retrain").success
    home = workshop(made)
    frame, _ = home.training_set()
    trained = home.model()
    own = evaluate(trained, frame, trained.config)
    assert home.evaluation() == own
    assert own.trading.trades > 0


def test_a_rollback_is_not_undone_by_the_next_retraining(made):
    first = champions(made.settings)[0]
    recipe(made.settings, OTHER)
    assert made.launch("retrain").success
    second = champions(made.settings)[0]
    assert second.bundle_id != first.bundle_id
    rollback(made.settings, "EURUSD", "Ada")
    night = made.launch("retrain")
    assert night.success
    assert champions(made.settings)[0].bundle_id == first.bundle_id
    note = said(night)["note"]
    assert f"{second.bundle_id} was rolled away from by Ada" in note
    assert "python -m ml promote" in note
    step = asset_key("EURUSD", "promotion").to_python_identifier()
    told = only(made, "promotion", config={"ops": {step: {"config": {"again": True}}}})
    assert said(told)["promoted"] is True
    assert champions(made.settings)[0].bundle_id == second.bundle_id


def test_a_gate_that_was_edited_between_two_jobs_opens_nothing(made):
    recipe(made.settings, OTHER)
    assert only(made, "model", "evaluation", "backtest", "gates").success
    directory, bundle = workshop(made).bundle()
    path = directory / "bundle.json"
    content = json.loads(path.read_text())
    content["gates"]["paper"]["checks"][0]["value"] = 9.0
    path.write_text(json.dumps(content))
    result = only(made, "promotion")
    assert "materialise the asset EURUSD/gates again" in last_words(result)
    assert champions(made.settings)[0].bundle_id != bundle.id
    with pytest.raises(BundleError, match="was edited"):
        promote(made.settings, directory, "paper", "me")


def aliases(settings):
    return alias_versions(tracking_of(settings).uri, "EURUSD", "h1")


def test_the_alias_stays_where_the_champion_is_when_nats_fails(made, monkeypatch):
    assert aliases(made.settings) == {"paper": 1}

    def away(*_, **__):
        msg = "the NATS server went away"
        raise RegistryRefused(msg)

    recipe(made.settings, OTHER)
    with monkeypatch.context() as patched:
        patched.setattr(ml.registry, "promote", away)
        assert not made.launch("retrain").success
    assert aliases(made.settings) == {"paper": 1}
    assert made.launch("retrain").success
    bundle = read_bundle(workshop(made).bundle()[0])
    assert champions(made.settings)[0].bundle_id == bundle.id
    assert aliases(made.settings) == {"paper": bundle.training["model_version"]}


def test_an_alias_that_did_not_follow_is_repaired_by_the_next_run(made):
    drop_alias(tracking_of(made.settings).uri, "EURUSD", "h1", "paper")
    again = made.launch("retrain")
    assert said(again)["alias"] == "alias paper moved to version 1"
    assert aliases(made.settings) == {"paper": 1}


def look(settings, cursor) -> Any:
    sensor = promotion_alert({"EURUSD": asset_key("EURUSD", "promotion")})
    with dg.build_sensor_context(cursor=cursor, resources={"settings": settings}) as context:
        return sensor(context)


def test_the_sensor_lets_the_alias_follow_once_mlflow_is_back(made):
    drop_alias(tracking_of(made.settings).uri, "EURUSD", "h1", "paper")
    url = "postgresql://mlflow:secret@127.0.0.1:9/aitrading"
    away = replace(made.settings, database=replace(made.settings.database, url=url))
    first = look(away, None)
    assert len(first.asset_events) == 1  # operators are told of the champion all the same
    second = look(away, first.cursor)
    assert (second.asset_events, second.cursor) == ([], first.cursor)
    assert aliases(made.settings) == {}
    third = look(made.settings, second.cursor)
    assert third.asset_events == []  # and only once
    assert aliases(made.settings) == {"paper": 1}
    assert look(made.settings, third.cursor).cursor == third.cursor


def test_throwing_models_away_forgets_no_trial(made):
    import shutil

    first = workshop(made).model()
    shutil.rmtree(made.settings.paths.var / "models")
    recipe(made.settings, OTHER)
    assert made.launch("retrain").success
    home = workshop(made)
    checks = {each.name: each for each in home.gate("live").checks}
    count = len(first.trials) + len(home.model().trials)
    assert f"luck of {count} trials" in checks["deflated_sharpe"].text
    assert "looked at 2 times" in checks["holdout_sharpe"].text
    [event] = events_of(only(made, "evaluation"), "EURUSD/evaluation")
    assert event.metadata["looks_at_this_holdout"].value == 2


def test_a_bundle_that_is_half_there_is_in_no_others_way(made):
    half = made.settings.paths.var / "models" / "half"
    half.mkdir()
    (half / "bundle.json").write_text('{"symbol": "EURUS')
    ledger = Ledger(made.settings.paths.var, "EURUSD")
    with ledger.path.open("a") as stream:
        stream.write('{"kind": "tri')
    result = only(made, "gates")
    assert result.success
    [event] = events_of(result, "EURUSD/gates")
    assert "1 lines were cut off" in event.metadata["notes"].value
