"""What MLflow remembers of a training: run, numbers, gates, plots, bundle, versions, aliases."""

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import pytest

from ml.bundle import write_bundle
from ml.errors import RegistryRefused
from ml.evaluation.evaluation import evaluate
from ml.gates import paper_gate
from ml.leaks import PrefixReport
from ml.plots import write_plots
from ml.tracking import log_bundle, log_to_mlflow, register, set_alias, version_at
from ml.training import train
from realtime.bundle import read_bundle
from tests.ml.frames import SMALL, frame_of

# MLflow's own use of SQLAlchemy 2.1, which it does not know yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture(scope="module")
def made():
    frame = frame_of(1, information=0.2)
    trained = train(frame, SMALL)
    evaluation = evaluate(trained, frame, SMALL)
    prefix = PrefixReport(cuts=4, rows=10, changed=())
    return trained, evaluation, paper_gate(trained, evaluation, frame, SMALL, prefix=prefix)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mlflow")
    return f"sqlite:///{folder}/mlflow.db", (folder / "artifacts").as_uri()


@pytest.fixture(scope="module")
def logged(made, store, tmp_path_factory):
    trained, evaluation, paper = made
    uri, artifacts = store
    report = tmp_path_factory.mktemp("report") / "report.html"
    report.write_text("a report")
    return log_to_mlflow(
        uri, "EURUSD", trained, evaluation, SMALL, gates=[paper],
        numbers={"backtest_psr": 0.4, "backtest_calmar": float("nan")},
        tags={"dagster_run_id": "d1"}, artifacts=[report], artifact_location=artifacts,
    )  # fmt: skip


def client(store):
    from mlflow.tracking import MlflowClient

    return MlflowClient(tracking_uri=store[0], registry_uri=store[0])


def test_a_run_holds_parameters_numbers_and_files(made, store, logged):
    trained, evaluation, paper = made
    run = client(store).get_run(logged)
    assert run.info.status == "FINISHED"
    assert run.data.params["label.horizon_bars"] == "1"
    assert run.data.params["fingerprint"] == SMALL.fingerprint
    assert run.data.metrics["auc"] == evaluation.auc
    assert run.data.metrics["paper_gate"] == 1.0
    assert run.data.metrics["backtest_psr"] == 0.4
    assert "backtest_calmar" not in run.data.metrics
    assert run.data.tags["dagster_run_id"] == "d1"
    folder = Path(url2pathname(urlsplit(str(run.info.artifact_uri)).path))
    names = {path.name for path in (folder / "reports").iterdir()}
    assert names == {"calibration.svg", "features.svg", "trials.svg", "report.html"}
    assert json.loads((folder / "gates" / "paper.json").read_text()) == paper.content()
    assert len(json.loads((folder / "trials.json").read_text())["trials"]) == len(trained.trials)


def test_a_version_leads_to_its_bundle_and_aliases_move(made, store, logged, tmp_path):
    trained, _, paper = made
    first = register(store[0], logged, "EURUSD", "h1", alias="paper", tags={"bundle_id": "x"})
    training = {"mlflow_run_id": logged, "model_version": first}
    bundle = write_bundle(tmp_path / "b", trained, SMALL, (), {"paper": paper.content()}, training)
    log_bundle(store[0], logged, tmp_path / "b")
    assert version_at(store[0], "EURUSD", "h1", "paper") == (first, logged)
    source = client(store).get_model_version("EURUSD-h1", str(first)).source
    assert read_bundle(Path(url2pathname(urlsplit(str(source)).path))) == bundle
    second = register(store[0], logged, "EURUSD", "h1", alias="paper")
    assert (second, version_at(store[0], "EURUSD", "h1", "paper")[0]) == (first + 1, second)
    set_alias(store[0], "EURUSD", "h1", "live", first)
    assert version_at(store[0], "EURUSD", "h1", "live")[0] == first


def test_an_alias_of_nothing_is_said(store, logged):
    with pytest.raises(RegistryRefused, match="no version of GBPUSD-h1 has the alias 'live'"):
        version_at(store[0], "GBPUSD", "h1", "live")


def test_plots_are_pictures(made, tmp_path):
    trained, evaluation, _ = made
    paths = write_plots(tmp_path, trained, evaluation)
    assert len(paths) == 3
    for path in paths:
        picture = ET.parse(path).getroot()
        assert picture.tag.endswith("svg")
        assert len(list(picture)) > 4
