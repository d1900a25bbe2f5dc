"""The exported model says what the trained one says, in the form that bundles have."""

from dataclasses import replace

import numpy as np
import onnx
import pytest

from ml.config import Candidate, ModelConfig
from ml.errors import ModelMismatch
from ml.models.boosted import Sample, fit_boosted
from ml.models.graph import INPUT, OUTPUT, TOLERANCE, OnnxProbability, export, require_same
from ml.models.platt import Belief, fit_platt

MODEL = ModelConfig(rounds=60, early_stopping_rounds=10)


def sample(count, seed):
    rng = np.random.default_rng(seed)
    rows = rng.normal(0.0, 1.0, (count, 6)).astype(np.float32)
    odds = rows[:, 0] - 0.5 * rows[:, 1] * rows[:, 2]
    labels = (odds + rng.normal(0.0, 1.5, count) > 0).astype(float)
    return Sample(rows=rows, labels=labels, weights=rng.uniform(0.5, 1.5, count))


TRAIN, VALIDATION, NEW = sample(1_500, 1), sample(700, 2), sample(400, 3)


def fitted(candidate=Candidate(), model=MODEL):  # noqa: B008 (frozen)
    trees = fit_boosted(TRAIN, VALIDATION, candidate, model)
    margins = trees.margins(VALIDATION.rows)
    belief = Belief(centre=0.0, share=0.5)
    return trees, fit_platt(margins, VALIDATION.labels, VALIDATION.weights, belief)


def exported(model):
    trees, platt = model
    return export(trees, platt, 6)


@pytest.fixture(scope="module")
def model():
    return fitted()


def test_the_same_rows_and_seed_give_the_same_bytes(model):
    assert exported(fitted()) == exported(model)
    other = fitted(model=replace(MODEL, seed=8))
    assert exported(other) != exported(model)


@pytest.mark.parametrize("depth", [1, 3, 6])
def test_the_exported_model_says_what_the_trained_one_says(depth):
    trees, platt = fitted(Candidate(max_depth=depth, learning_rate=0.3))
    onnx_file = export(trees, platt, 6)
    assert require_same(onnx_file, trees, platt, NEW.rows) < 1e-6
    said = OnnxProbability(onnx_file).predict_rows(NEW.rows)
    assert said.std() > 0.05


def test_values_on_a_split_itself_go_the_same_way(model):
    trees, platt = model
    splits = trees.booster.trees_to_dataframe().dropna(subset=["Split"])
    rows = np.zeros((len(splits), 6), np.float32)
    columns = splits["Feature"].str.removeprefix("f").astype(int).to_numpy()
    rows[np.arange(len(splits)), columns] = splits["Split"].to_numpy(np.float32)
    assert len(rows) > 50
    assert require_same(export(trees, platt, 6), trees, platt, rows) < 1e-6


def test_the_form_is_that_of_bundles(model):
    graph = onnx.load_from_string(exported(model)).graph
    shapes = {
        value.name: [each.dim_value for each in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    assert shapes == {INPUT: [1, 6], OUTPUT: [1, 1]}
    onnx.checker.check_model(onnx.load_from_string(exported(model)), full_check=True)


def test_a_wrong_export_is_refused(model):
    trees, platt = model
    wrong = export(trees, replace(platt, intercept=platt.intercept + 1e-3), 6)
    with pytest.raises(ModelMismatch, match=f"at most {TOLERANCE:g}"):
        require_same(wrong, trees, platt, NEW.rows)


def test_boosting_ends_where_new_rows_no_longer_gain():
    quick = Candidate(learning_rate=0.3)
    trees, _ = fitted(quick)
    assert 1 < trees.rounds < MODEL.rounds
    longer = fit_boosted(TRAIN, VALIDATION, quick, replace(MODEL, rounds=120))
    assert longer.rounds == trees.rounds
    assert (longer.margins(NEW.rows) == trees.margins(NEW.rows)).all()


def test_gains_are_shares_and_go_to_what_matters(model):
    gains = model[0].gains(6)
    assert gains.sum() == pytest.approx(1.0)
    assert gains[:3].sum() > 0.8
    assert gains[0] == gains.max()
