"""Bundles: read, checked, packed, unpacked; and the models in them asked row by row."""

import hashlib
import io
import json
import math
import shutil
import tarfile

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from realtime.model import (
    BundleArchiveInvalid,
    BundleError,
    BundleFeaturesDiffer,
    BundleHashMismatch,
    BundleModelInvalid,
    BundleUnreadable,
    bundle_id,
    load_model,
    pack,
    read_bundle,
    unpack,
)
from tests.fixtures.bundles import logistic_bundle

FEATURES = ("m1_rsi_14", "m1_atr_14", "tick_spread")
WEIGHTS = (0.3, -2.0, 1.5)


@pytest.fixture
def folder(tmp_path):
    directory = tmp_path / "bundle"
    logistic_bundle(directory, features=FEATURES, weights=WEIGHTS, bias=-0.4)
    return directory


def content_of(folder):
    return json.loads((folder / "bundle.json").read_text())


def rewrite(folder, **changed):
    """Change bundle.json and give it the id that belongs to the change."""
    content = {**content_of(folder), **changed}
    content["id"] = bundle_id(content)
    (folder / "bundle.json").write_text(json.dumps(content))


def put_model(folder, onnx):
    (folder / "model.onnx").write_bytes(onnx)
    rewrite(folder, files={"model.onnx": hashlib.sha256(onnx).hexdigest()})


def one_line(error):
    return "\n" not in str(error.value)


# --- predicting -------------------------------------------------------------------------------


def test_a_prediction_is_the_logistic_of_the_row(folder):
    model = load_model(folder)
    rng = np.random.default_rng(1)
    rows = rng.normal(0, 1, (200, 3))
    margin = rows.astype(np.float32) @ np.array(WEIGHTS, np.float32) + np.float32(-0.4)
    expected = 1 / (1 + np.exp(-margin.astype(np.float64)))
    assert np.allclose(model.predict_rows(rows), expected, atol=1e-6)


def test_a_prediction_is_a_float32_and_the_same_every_time(folder):
    first, second = load_model(folder), load_model(folder)
    rows = np.random.default_rng(2).normal(0, 1, (100, 3))
    told = first.predict_rows(rows)
    assert told.tobytes() == second.predict_rows(rows).tobytes()
    assert told.tobytes() == np.array([first.predict(row) for row in rows]).tobytes()
    assert told.tobytes() == told.astype(np.float32).astype(np.float64).tobytes()


@pytest.mark.parametrize("column", range(3))
def test_a_row_with_a_nan_is_not_predicted_on(folder, column):
    model = load_model(folder)
    row = np.array([1.0, 2.0, 3.0])
    before = model.predict(row)
    holed = row.copy()
    holed[column] = math.nan
    assert math.isnan(model.predict(holed))
    assert model.predict(row) == before


def test_infinite_features_are_the_models_to_judge(folder):
    model = load_model(folder)
    assert model.predict(np.array([math.inf, -math.inf, 0.0])) == 1.0


# --- reading and checking ---------------------------------------------------------------------


def test_a_bundle_says_what_it_was_written_with(folder):
    bundle = read_bundle(folder)
    assert bundle.features == FEATURES
    assert bundle.symbol == "EURUSD"
    assert bundle.stage == "paper"
    assert bundle.decision.enter_probability == 0.55
    assert bundle.chosen.identity == bundle.feature_set
    assert bundle.id == bundle_id(content_of(folder))
    assert bundle.id.startswith("EURUSD-m1-")


def test_the_id_follows_what_matters_and_not_the_run_that_made_it(folder):
    content = content_of(folder)
    assert bundle_id({**content, "training": {"mlflow_run_id": "another"}}) == content["id"]
    assert bundle_id({**content, "gates": {"passed": True}}) == content["id"]
    assert bundle_id(dict(reversed(content.items()))) == content["id"]
    assert bundle_id({**content, "trained_through_ns": 5}) != content["id"]
    assert bundle_id({**content, "files": {}}) != content["id"]


def test_changed_bytes_of_the_model_are_noticed(folder):
    data = bytearray((folder / "model.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / "model.onnx").write_bytes(data)
    with pytest.raises(
        BundleHashMismatch, match=r"model\.onnx has the hash .* promote it"
    ) as error:
        load_model(folder)
    assert one_line(error)


def test_a_changed_manifest_is_noticed(folder):
    content = content_of(folder)
    content["decision"]["enter_probability"] = 0.51
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleHashMismatch, match="was changed"):
        read_bundle(folder)


def test_features_of_other_kernels_are_refused(folder):
    rewrite(folder, feature_set="0" * 64)
    with pytest.raises(BundleFeaturesDiffer, match=r"other code .* train again") as error:
        load_model(folder)
    assert one_line(error)


def test_an_unknown_feature_is_refused_by_name(folder):
    rewrite(folder, features=["m1_rsi_14", "m1_wizardry_3", "tick_spread"])
    with pytest.raises(BundleFeaturesDiffer, match="wizardry") as error:
        load_model(folder)
    assert one_line(error)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"format": 2}, "format 2 is not 1"),
        ({"clock": "fortnight"}, "clock = 'fortnight'"),
        ({"stage": "famous"}, "shadow, paper, live"),
        ({"features": "all"}, "must be a list of text"),
        ({"trained_through_ns": "yesterday"}, "must be a whole number"),
        ({"trained_through_ns": True}, "must be a whole number"),
        ({"label": []}, "must be a table"),
        ({"model": {"file": "model.onnx", "family": "x", "input": "features"}}, "output"),
        ({"decision": {"enter_probability": 0.2}}, "enter_probability = 0.2"),
        ({"decision": {"luck": 1}}, "luck"),
        ({"files": {"../model.onnx": "0"}}, "plain files"),
        ({"files": {}}, "not among files"),
        ({"surprise": 1}, "unknown surprise"),
    ],
)
def test_a_malformed_manifest_says_what_is_wrong(folder, changed, said):
    rewrite(folder, **changed)
    with pytest.raises(BundleUnreadable, match=said) as error:
        read_bundle(folder)
    assert one_line(error)


def test_a_manifest_without_a_key_names_it(folder):
    content = content_of(folder)
    del content["gates"]
    (folder / "bundle.json").write_text(json.dumps(content))
    with pytest.raises(BundleUnreadable, match="lacks gates"):
        read_bundle(folder)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "\x00\xff"])
def test_a_manifest_that_is_no_table_is_refused(folder, text):
    (folder / "bundle.json").write_text(text)
    with pytest.raises(BundleUnreadable):
        read_bundle(folder)


def test_a_missing_bundle_or_file_is_named(folder, tmp_path):
    with pytest.raises(BundleUnreadable, match="nowhere"):
        read_bundle(tmp_path / "nowhere")
    (folder / "model.onnx").unlink()
    with pytest.raises(BundleUnreadable, match=r"model\.onnx"):
        read_bundle(folder)


# --- the model inside -------------------------------------------------------------------------


def onnx_of(*, input_name="features", output_name="probability", columns=3, kind=None, outputs=1):
    kind = TensorProto.FLOAT if kind is None else kind
    numbers = np.float64 if kind == TensorProto.DOUBLE else np.float32
    weights = numpy_helper.from_array(np.ones((columns, outputs), numbers), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", [input_name, "w"], [output_name])],
        "g",
        [helper.make_tensor_value_info(input_name, kind, [1, columns])],
        [helper.make_tensor_value_info(output_name, kind, [1, outputs])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("onnx", "said"),
    [
        (b"not a model", "no model that can be loaded"),
        (onnx_of(columns=4), r"input 'features' of \(1, 3\)"),
        (onnx_of(kind=TensorProto.DOUBLE), "float32 input"),
        (onnx_of(input_name="x"), "input 'features'"),
        (onnx_of(output_name="label"), "output 'probability'"),
        (onnx_of(outputs=2), r"output 'probability' of \(1, 1\)"),
    ],
)
def test_a_model_of_another_form_is_refused(folder, onnx, said):
    put_model(folder, onnx)
    with pytest.raises(BundleModelInvalid, match=said) as error:
        load_model(folder)
    assert one_line(error)


def test_open_dimensions_are_those_of_one_row(folder):
    weights = numpy_helper.from_array(np.ones((3, 1), np.float32), "w")
    graph = helper.make_graph(
        [
            helper.make_node("MatMul", ["features", "w"], ["m"]),
            helper.make_node("Squeeze", ["m", "axes"], ["probability"]),
        ],
        "g",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, ["rows", 3])],
        [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["rows"])],
        [weights, numpy_helper.from_array(np.array([1], np.int64), "axes")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 10
    put_model(folder, model.SerializeToString())
    assert load_model(folder).predict(np.array([0.25, 0.25, 0.125])) == 0.625


# --- packing ----------------------------------------------------------------------------------


def test_a_packed_bundle_unpacks_to_the_same(folder, tmp_path):
    data = pack(folder)
    copy = tmp_path / "copy"
    bundle = unpack(data, copy, hashlib.sha256(data).hexdigest())
    assert bundle == read_bundle(folder)
    assert load_model(copy).predict(np.ones(3)) == load_model(folder).predict(np.ones(3))


def test_packing_gives_the_same_bytes_whatever_the_files_dates(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for path in sorted(folder.iterdir(), reverse=True):
        shutil.copyfile(path, copy / path.name)
        (copy / path.name).chmod(0o600)
    assert pack(copy) == pack(folder)


def assert_not_unpacked(data, folder, kind, said):
    target = folder.parent / "target"
    with pytest.raises(kind, match=said) as error:
        unpack(data, target, hashlib.sha256(data).hexdigest())
    assert one_line(error)
    assert not target.exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["bundle"]


def test_a_tar_with_another_hash_is_refused(folder):
    data = pack(folder)
    with pytest.raises(BundleHashMismatch, match="announced"):
        unpack(data, folder.parent / "target", "0" * 64)
    assert not (folder.parent / "target").exists()


@pytest.mark.parametrize("keep", [0.02, 0.3, 0.6])
def test_a_tar_that_is_cut_off_is_refused(folder, keep):
    data = pack(folder)
    data = data[: int(len(data.rstrip(b"\0")) * keep)]
    assert_not_unpacked(data, folder, BundleError, "cut|read|unexpected")


def tar_with(folder, member, content=b"x"):
    target = io.BytesIO(pack(folder))
    with tarfile.open(fileobj=target, mode="a") as archive:
        if member.type == tarfile.REGTYPE:
            member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return target.getvalue()


@pytest.mark.parametrize(
    "name", ["../escaped", "/absolute", "folder/file", "..", ".hidden", "a\\b", "C:x"]
)
def test_a_tar_that_writes_elsewhere_is_refused(folder, name):
    data = tar_with(folder, tarfile.TarInfo(name))
    assert_not_unpacked(data, folder, BundleArchiveInvalid, "plain files")


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE, tarfile.CHRTYPE]
)
def test_a_tar_with_links_folders_or_devices_is_refused(folder, kind):
    member = tarfile.TarInfo("thing")
    member.type = kind
    member.linkname = "bundle.json"
    assert_not_unpacked(tar_with(folder, member), folder, BundleArchiveInvalid, "plain files")


def test_unpacking_replaces_what_was_there(folder, tmp_path):
    target = tmp_path / "target"
    target.mkdir()
    (target / "old").write_text("old")
    data = pack(folder)
    unpack(data, target, hashlib.sha256(data).hexdigest())
    assert sorted(path.name for path in target.iterdir()) == ["bundle.json", "model.onnx"]
