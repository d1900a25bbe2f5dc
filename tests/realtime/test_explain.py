"""An order is followed back to the data its model was trained on."""

from dataclasses import replace

import pytest

from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.contracts.predictions_pb2 import Decision, Prediction
from realtime.explain import explain, main
from realtime.store.connection import OWNER, READER, connect
from realtime.store.errors import RecordIncomplete
from tests.fixtures.servers import settings_in
from tests.realtime.recorded_run import FEATURES, a_run, migrated, recorded, toml_of


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_run(settings_in(tmp_path_factory.mktemp("run")), 4_000)


@pytest.fixture
def settings(run, stack_settings):
    recorded(stack_settings, run.messages)
    var = run.settings.paths.var
    return replace(stack_settings, paths=replace(stack_settings.paths, var=var))


def explained(settings, order):
    with connect(settings, READER) as connection:
        return "\n".join(explain(settings, connection, order))


def test_the_chain_has_every_link(run, settings):
    order = run.of("trade.order.", OrderRequest)[4]
    said = explained(settings, order.client_order_id)
    for word in ("ORDER", "OUTCOME", "RISK", "DECISION", "PREDICTION", "TICKS", "MODEL",
                 "TRAINING RUN", "DATA"):  # fmt: skip
        assert f"\n{word}" in f"\n{said}", word
    decision = run.of("trade.decision.", Decision)[order.decision_number - 1]
    prediction = run.of("ml.prediction.", Prediction)[decision.prediction_number - 1]
    for name, value in zip(FEATURES, prediction.features, strict=True):
        assert f"{name:11} {value!r}" in said
    tick = run.ticks[order.feed_seq - 1]
    assert f"bid {tick['bid']:.5f} ask {tick['ask']:.5f} (seq {order.feed_seq}," in said
    assert said.count("(seq ") == 5
    assert run.bundle.id in said
    assert "mlflow_run_id run-1, model_version 3, dagster_run_id dag-1" in said
    assert "ticks EURUSD 2017-01: 7 rows, sha256 abababababababab" in said
    assert "DATA fingerprint f00d" in said


def test_an_order_is_found_by_its_tickets_too(run, settings):
    report = next(r for r in run.of("trade.report.", ExecutionReport) if r.client_order_id)
    wanted = explained(settings, report.client_order_id)
    assert f"deal {report.deals[0].ticket} at" in wanted
    assert explained(settings, str(report.order_ticket)) == wanted
    assert explained(settings, str(report.deals[0].ticket)) == wanted
    last = run.of("trade.order.", OrderRequest)[-1]
    assert explained(settings, "last").startswith(f"ORDER {last.client_order_id}: ")


def test_missing_links_are_named(run, settings, tmp_path):
    order = run.of("trade.order.", OrderRequest)[4]
    with connect(settings, OWNER) as owner:
        owner.execute("DELETE FROM ticks")
        owner.execute("DELETE FROM decisions")
        owner.execute("DELETE FROM reports")
    nowhere = replace(settings, paths=replace(settings.paths, var=tmp_path / "none"))
    said = explained(nowhere, order.client_order_id)
    assert "OUTCOME: no report of it is recorded" in said
    assert f"DECISION {order.decision_number}: it is not recorded" in said
    assert f"TICKS: tick {order.feed_seq}, on which it was decided, is not recorded" in said
    assert f"MODEL {run.bundle.id}: bundle {run.bundle.id} is neither in" in said


def test_an_order_that_is_not_there_is_said_so(stack_settings, tmp_path, capsys):
    migrated(stack_settings)
    with pytest.raises(RecordIncomplete, match="no order 12345 is recorded"):
        explained(stack_settings, "12345")
    config = str(toml_of(stack_settings, tmp_path / "s.toml"))
    assert main(["--config", config, "last"]) == 1
    assert main(["--config", config, "x"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0].startswith("explain: no order is recorded: see python -m realtime tail")
    assert len(said) == 2


def test_the_command_prints_the_chain(settings, tmp_path, capsys):
    assert main(["--config", str(toml_of(settings, tmp_path / "s.toml")), "last"]) == 0
    assert "TRAINING RUN" in capsys.readouterr().out
