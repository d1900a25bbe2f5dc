"""Bundles: written as the loop reads them, the same bytes for the same model."""

import json
import threading
from dataclasses import replace

import numpy as np
import pytest

from ml.bundle import (
    Partition,
    bundle_content,
    decision_table,
    noted,
    require_sealed,
    twins,
    write_bundle,
)
from ml.training import train
from realtime.bundle import MANIFEST, pack, read_bundle
from realtime.model import load_model
from realtime.settings import DecisionSettings
from tests.ml.frames import SMALL, frame_of

PARTS = (Partition(kind="bars_h1", symbol="EURUSD", month="2017-01", rows=500, sha256="ab"),)


@pytest.fixture(scope="module")
def trained():
    return train(frame_of(1, information=0.2), SMALL)


def test_what_was_written_is_what_the_loop_reads(trained, tmp_path):
    gates = {"paper": {"stage": "paper", "passed": True, "checks": []}}
    bundle = write_bundle(
        tmp_path, trained, SMALL, PARTS, gates, {"mlflow_run_id": "abc", "model_version": 3}
    )
    assert (bundle.symbol, bundle.clock, bundle.stage) == ("EURUSD", "h1", "paper")
    assert bundle.features == SMALL.features
    assert bundle.feature_set == SMALL.feature_set.identity
    assert bundle.decision == SMALL.decision
    assert bundle.trained_through_ns == trained.trained_through_ns
    assert bundle.data["partitions"][0]["month"] == "2017-01"
    assert bundle.data["fingerprint"] == trained.fingerprint
    assert (bundle.training["mlflow_run_id"], bundle.training["seed"]) == ("abc", 7)
    assert len(bundle.training["trials"]) == 1
    assert bundle.label["horizon_bars"] == 1
    assert bundle.gates["paper"]["passed"] is True


def test_the_loop_predicts_what_was_trained(trained, tmp_path):
    write_bundle(tmp_path, trained, SMALL)
    model = load_model(tmp_path)
    rows = np.random.default_rng(2).normal(0.0, 1.0, (200, len(SMALL.features)))
    expected = trained.platt.probability(trained.trees.margins(rows.astype(np.float32)))
    np.testing.assert_allclose(model.predict_rows(rows), expected, atol=1e-6)
    assert expected.std() > 0.01


def test_equal_models_make_equal_tars(trained, tmp_path):
    again = train(frame_of(1, information=0.2), SMALL)
    one = write_bundle(tmp_path / "1", trained, SMALL, PARTS)
    two = write_bundle(tmp_path / "2", again, SMALL, PARTS)
    assert one.id == two.id
    assert pack(tmp_path / "1") == pack(tmp_path / "2")


def test_runs_and_gates_do_not_change_the_id_but_all_else_does(trained, tmp_path):
    def name(config=SMALL, partitions=PARTS, **more):
        return bundle_content(trained, config, partitions, **more)["id"]

    same = {name(), name(gates={"paper": {}}), name(training={"mlflow_run_id": "x"})}
    assert same == {name()}
    other_decision = replace(SMALL, decision=replace(SMALL.decision, enter_probability=0.6))
    other_label = replace(SMALL, label=replace(SMALL.label, gain=0.02))
    assert len({name(), name(other_decision), name(other_label), name(partitions=()),
                name(stage="live")}) == 5  # fmt: skip


def test_decisions_are_written_as_people_set_them():
    decision = DecisionSettings(
        minimum_hold_ns=5_400 * 10**9, cool_down_ns=1_500_000, flat_before_weekend_ns=86_400 * 10**9
    )
    table = decision_table(decision)
    assert (table["minimum_hold"], table["cool_down"]) == ("90m", "1500us")
    assert (table["flat_before_weekend"], table["flat_before_rollover"]) == ("1d", "0s")
    assert DecisionSettings.read(table, "x") == decision


def test_the_manifest_holds_no_number_that_is_none(trained, tmp_path):
    write_bundle(tmp_path, trained, SMALL)
    text = (tmp_path / MANIFEST).read_text()
    assert "NaN" not in text
    assert json.loads(text)["id"] == read_bundle(tmp_path).id


def test_noting_gates_changes_nothing_else_of_a_bundle(trained, tmp_path):
    before = write_bundle(tmp_path, trained, SMALL, PARTS, {"paper": {"passed": False}})
    after = noted(tmp_path, {"live": {"passed": True}}, {"model_version": 3})
    assert (after.id, after.decision, after.files) == (before.id, before.decision, before.files)
    assert after.gates["paper"] == before.gates["paper"]
    assert after.gates["live"]["passed"] is True
    assert after.training == {**before.training, "model_version": 3}
    require_sealed(after)


def test_a_note_that_cannot_be_written_leaves_the_bundle_whole(trained, tmp_path):
    write_bundle(tmp_path, trained, SMALL)
    before = (tmp_path / MANIFEST).read_bytes()
    with pytest.raises(ValueError, match="JSON"):
        noted(tmp_path, {"live": {"value": float("nan")}}, {})
    assert (tmp_path / MANIFEST).read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {MANIFEST, "model.onnx"}


def test_a_bundle_knows_its_names_at_every_stage(trained, tmp_path):
    paper = write_bundle(tmp_path / "p", trained, SMALL)
    live = write_bundle(tmp_path / "l", trained, SMALL, stage="live")
    assert {paper.id, live.id} < twins(tmp_path / "p")
    assert twins(tmp_path / "p") == twins(tmp_path / "l")


def test_nobody_ever_reads_half_a_bundle_while_it_is_written(trained, tmp_path):
    before = write_bundle(tmp_path, trained, SMALL)

    def write():
        for version in range(200):
            noted(tmp_path, {}, {"model_version": version})

    writer = threading.Thread(target=write)
    writer.start()
    while writer.is_alive():
        assert read_bundle(tmp_path).id == before.id
    writer.join()
    assert read_bundle(tmp_path).training["model_version"] == 199
