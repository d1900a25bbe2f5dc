"""MLflow's aliases follow the champion, whoever changed it and whenever MLflow was there."""

import json
from dataclasses import replace

import pytest

from ml.__main__ import main
from ml.aliases import align
from ml.approval import Approval
from ml.errors import RegistryRefused
from ml.registry import champions, promote, rollback
from ml.tracking import _client, alias_versions
from ml.tracking_place import tracking_of
from realtime.bundle import read_bundle
from tests.fixtures import servers
from tests.ml.test_registry import NOT_APPROVED, PASSED, a_bundle, on_record

nats_server = servers.nats_server

# MLflow's own use of SQLAlchemy 2.1, which it does not know yet.
pytestmark = pytest.mark.filterwarnings("ignore:The ``noload`` loader strategy:DeprecationWarning")


@pytest.fixture
def server(nats_server, tmp_path):
    nats_server.empty()
    held = nats_server.settings
    return replace(held, paths=replace(held.paths, var=tmp_path / "var"))


@pytest.fixture
def recorded(server, tmp_path):
    """Two bundles, each on record as a version of EURUSD-m1."""
    client = _client(tracking_of(server).uri)
    client.create_registered_model("EURUSD-m1")
    found = []
    for weight in (1, 2):
        version = client.create_model_version("EURUSD-m1", source="file:///nowhere").version
        training = {"model_version": int(version)}
        folder = tmp_path / str(weight)
        directory = a_bundle(folder, weight, live=(PASSED, NOT_APPROVED), training=training)
        found.append(on_record(server, directory))
    return found


def aliases(settings):
    return alias_versions(tracking_of(settings).uri, "EURUSD", "m1")


def granted(directory):
    return Approval(bundle=read_bundle(directory).id, by="Ada", reason="a year of paper")


def test_the_alias_follows_promotion_and_rollback(server, recorded):
    one, two = recorded
    assert align(server, promote(server, one, "paper", "me")) == "alias paper moved to version 1"
    align(server, promote(server, two, "paper", "me"))
    assert aliases(server) == {"paper": 2}
    align(server, rollback(server, "EURUSD", "Ada"))
    assert aliases(server) == {"paper": 1}
    assert align(server, champions(server)[0]) == ""


def test_live_has_its_alias_until_it_is_rolled_back(server, recorded):
    one, _ = recorded
    align(server, promote(server, one, "paper", "me"))
    align(server, promote(server, one, "live", "Ada", approval=granted(one)))
    assert aliases(server) == {"paper": 1, "live": 1}
    said = align(server, rollback(server, "EURUSD", "Ada"))
    assert said == "alias live taken from version 1"
    assert aliases(server) == {"paper": 1}


def test_what_was_trained_elsewhere_has_no_alias_to_move(server, tmp_path):
    assert align(server, promote(server, a_bundle(tmp_path), "paper", "me")) == ""
    assert not (tmp_path / "var" / "mlflow").exists()


def test_the_command_moves_the_alias_of_what_it_promotes_live(server, recorded, tmp_path):
    one, _ = recorded
    config, approval = tmp_path / "settings.toml", tmp_path / "approval.toml"
    config.write_text(
        f'[nats]\nurl = "{server.nats.url}"\n'
        f'[paths]\nsecrets = "{server.paths.secrets}"\nvar = "{server.paths.var}"\n'
    )
    word = granted(one)
    approval.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in vars(word).items()))
    asked = ["promote", str(one), "--stage", "live", "--approval", str(approval), "--by", "Ada"]
    assert main(["--config", str(config), *asked]) == 0
    assert aliases(server) == {"live": 1}


def test_without_mlflow_the_loop_has_its_champion_and_the_alias_follows_later(
    server, recorded, tmp_path, capsys
):
    one, _ = recorded
    away = replace(server.database, url="postgresql://mlflow:secret@127.0.0.1:9/aitrading")
    champion = promote(server, one, "paper", "me")
    with pytest.raises(RegistryRefused, match=r"MLflow's database at 127\.0\.0\.1:9") as caught:
        align(replace(server, database=away), champion)
    assert "secret" not in str(caught.value)
    assert champions(server) == [champion]
    config = tmp_path / "settings.toml"
    config.write_text(
        f'[nats]\nurl = "{server.nats.url}"\n[database]\nurl = "{away.url}"\n'
        f'[paths]\nsecrets = "{server.paths.secrets}"\nvar = "{server.paths.var}"\n'
    )
    assert main(["--config", str(config), "promote", str(one), "--by", "Ada"]) == 0
    said = capsys.readouterr()
    assert champion.bundle_id in said.out
    assert said.err.startswith("warning: MLflow's database")
    assert said.err.count("\n") == 1
    align(server, champions(server)[0])
    assert aliases(server) == {"paper": 1}
