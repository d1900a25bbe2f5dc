"""Promotion and rollback against a real NATS server."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import ml.registry
from ml.__main__ import main
from ml.approval import Approval, read_approval
from ml.bundle import noted, restaged
from ml.errors import LostRace, NotReplaced, RegistryRefused
from ml.ledger import Ledger
from ml.registry import champions, history, in_force, promote, rollback
from realtime.bundle import MANIFEST, BundleError, bundle_id, read_bundle
from realtime.champion import Champion, fetch_bundle, load_champion, read_champion
from realtime.clock import ReplayClock
from realtime.connection import connect
from tests.fixtures import servers
from tests.fixtures.bundles import logistic_bundle

nats_server = servers.nats_server

PASSED = {"name": "a", "value": 1.0, "threshold": 1.0, "passed": True, "text": "", "required": True}
NOT_APPROVED = PASSED | {"name": "approval", "passed": False, "text": "no operator has approved"}
UNLUCKY = PASSED | {"name": "deflated_sharpe", "passed": False, "text": "0.400 likely"}
STATED = PASSED | {"name": "beats_prior", "passed": False, "required": False}


@pytest.fixture
def server(nats_server, tmp_path):
    nats_server.empty()
    held = nats_server.settings
    return replace(held, paths=replace(held.paths, var=tmp_path / "var"))


def gate(stage, *checks):
    passed = all(each["passed"] for each in checks if each["required"])
    return {"stage": stage, "passed": passed, "checks": list(checks)}


def a_bundle(folder, weight=1.0, *, live=(), paper=(PASSED, STATED), training=None):
    """A bundle of one feature that gates said this of; its model differs by the weight."""
    logistic_bundle(folder / "raw", features=["m1_rsi_14"], weights=[weight])
    reports = {"paper": gate("paper", *paper)} if paper else {}
    if live:
        reports["live"] = gate("live", *live)
    noted(folder / "raw", reports, training or {})
    return folder / "raw"


def on_record(settings, directory):
    """Write into the ledger what the live gate said, as its asset does."""
    bundle = read_bundle(directory)
    Ledger(settings.paths.var, bundle.symbol).record_gate(bundle.id, bundle.gates["live"])
    return directory


def at(second):
    return ReplayClock(second * 1_000_000_000)


async def loaded(settings, symbol, folder):
    """What a loop would trade with."""
    client = await connect(settings, "loop")
    try:
        champion = await read_champion(client, symbol)
        assert champion is not None
        return load_champion(await fetch_bundle(client, champion, folder), champion.stage)
    finally:
        await client.close()


def loop_model(settings, folder):
    return asyncio.run(loaded(settings, "EURUSD", folder))


def test_a_promoted_bundle_is_what_the_loop_loads(server, tmp_path):
    directory = a_bundle(tmp_path)
    champion = promote(server, directory, "paper", "me", clock=at(5))
    assert (champion.stage, champion.by, champion.promoted_ns) == ("paper", "me", 5_000_000_000)
    model = loop_model(server, tmp_path / "loop")
    assert (model.bundle.id, model.bundle.stage) == (read_bundle(directory).id, "paper")
    assert champions(server) == [champion]


def test_a_shadow_is_never_more_than_a_shadow(server, tmp_path):
    promote(server, a_bundle(tmp_path, paper=()), "shadow", "me")
    assert loop_model(server, tmp_path / "loop").bundle.stage == "shadow"


@pytest.mark.parametrize(
    ("paper", "said"),
    [((), "the paper gate was not asked"), ((PASSED, UNLUCKY), "0.400 likely")],
)
def test_a_closed_paper_gate_refuses(server, tmp_path, paper, said):
    with pytest.raises(RegistryRefused, match=said):
        promote(server, a_bundle(tmp_path, paper=paper), "paper", "me")
    assert champions(server) == []


def test_live_needs_its_gate_and_an_operator(server, tmp_path):
    with pytest.raises(RegistryRefused, match="live gate was not asked"):
        promote(server, a_bundle(tmp_path / "a"), "live", "me")
    unlucky = a_bundle(tmp_path / "b", live=(PASSED, UNLUCKY, NOT_APPROVED))
    granted = Approval(bundle=read_bundle(unlucky).id, by="Ada", reason="I like it")
    with pytest.raises(RegistryRefused, match=r"0\.400 likely"):
        promote(server, unlucky, "live", "me", approval=granted)
    good = a_bundle(tmp_path / "c", live=(PASSED, NOT_APPROVED))
    with pytest.raises(RegistryRefused, match="no operator has approved"):
        promote(server, good, "live", "me")
    other = Approval(bundle="EURUSD-m1-000000000000", by="Ada", reason="another one")
    with pytest.raises(RegistryRefused, match="is for EURUSD-m1-000000000000"):
        promote(server, good, "live", "me", approval=other)
    assert champions(server) == []


def test_an_approved_bundle_goes_live_and_carries_the_approval(server, tmp_path):
    good = on_record(server, a_bundle(tmp_path, live=(PASSED, NOT_APPROVED)))
    granted = Approval(bundle=read_bundle(good).id, by="Ada", reason="a year of paper")
    champion = promote(server, good, "live", "me", approval=granted)
    model = loop_model(server, tmp_path / "loop")
    assert (champion.stage, model.bundle.stage) == ("live", "live")
    assert model.bundle.gates["approval"]["by"] == "Ada"
    assert model.bundle.gates["live"]["passed"] is True


def edited(directory, stage, *, sealed):
    """Let a gate say that everything passed, as an editor can."""
    content = json.loads((directory / MANIFEST).read_bytes())
    for check in content["gates"][stage]["checks"]:
        check["passed"] = True
    (directory / MANIFEST).write_text(json.dumps(content))
    if sealed:
        noted(directory, {stage: content["gates"][stage]}, {})
    return directory


@pytest.mark.parametrize("stage", ["paper", "live"])
def test_a_gate_that_was_edited_by_hand_opens_nothing(server, tmp_path, stage):
    directory = a_bundle(tmp_path, paper=(PASSED, UNLUCKY), live=(UNLUCKY, NOT_APPROVED))
    edited(on_record(server, directory), stage, sealed=False)
    granted = Approval(bundle=read_bundle(directory).id, by="Ada", reason="I like it")
    with pytest.raises(BundleError, match=f"the gate '{stage}' is not what the gate said"):
        promote(server, directory, stage, "me", approval=granted)
    assert champions(server) == []


def test_a_live_gate_whose_hash_was_forged_is_missing_in_the_ledger(server, tmp_path):
    directory = on_record(server, a_bundle(tmp_path, live=(UNLUCKY, NOT_APPROVED)))
    edited(directory, "live", sealed=True)
    granted = Approval(bundle=read_bundle(directory).id, by="Ada", reason="I like it")
    with pytest.raises(RegistryRefused, match="no record of its live gate"):
        promote(server, directory, "live", "me", approval=granted)
    assert champions(server) == []


def live(server, directory):
    granted = Approval(bundle=read_bundle(directory).id, by="Ada", reason="a year of paper")
    return promote(server, on_record(server, directory), "live", "Ada", approval=granted)


def test_a_live_champion_is_not_replaced_by_its_own_paper_twin(server, tmp_path):
    directory = a_bundle(tmp_path, live=(PASSED, NOT_APPROVED))
    promote(server, directory, "paper", "me")
    trading = live(server, directory)
    with pytest.raises(NotReplaced, match="the same model, is the champion as live"):
        promote(server, directory, "paper", "me")
    assert champions(server) == [trading]


def test_a_live_champion_is_replaced_by_paper_only_if_told_to(server, tmp_path):
    trading = live(server, a_bundle(tmp_path / "a", live=(PASSED, NOT_APPROVED)))
    other = a_bundle(tmp_path / "b", 2.0)
    with pytest.raises(NotReplaced, match="--demote"):
        promote(server, other, "paper", "me")
    assert champions(server) == [trading]
    assert promote(server, other, "paper", "me", demote=True).stage == "paper"


def test_of_two_who_promote_at_once_one_is_told_and_changes_nothing(server, tmp_path, monkeypatch):
    one, two = a_bundle(tmp_path / "1", 1.0), a_bundle(tmp_path / "2", 2.0)
    put, winners = ml.registry._put, []

    async def somebody_else_first(servers, champion, data):
        if not winners:
            winners.append(champion)
            winners.append(await asyncio.to_thread(promote, server, two, "paper", "you"))
        return await put(servers, champion, data)

    monkeypatch.setattr(ml.registry, "_put", somebody_else_first)
    with pytest.raises(LostRace, match="somebody else announced a champion of EURUSD meanwhile"):
        promote(server, one, "paper", "me")
    assert history(server, "EURUSD") == [winners[1]]


def test_a_rollback_that_lost_a_race_changes_nothing(server, tmp_path, monkeypatch):
    one, two, three = (a_bundle(tmp_path / str(k), float(k)) for k in (1, 2, 3))
    promote(server, one, "paper", "me")
    promote(server, two, "paper", "me")
    verify, winners = ml.registry._verify, []

    async def somebody_else_first(servers, champion):
        if not winners:
            winners.append(champion)
            winners.append(await asyncio.to_thread(promote, server, three, "paper", "you"))
        await verify(servers, champion)

    monkeypatch.setattr(ml.registry, "_verify", somebody_else_first)
    with pytest.raises(LostRace):
        rollback(server, "EURUSD", "me")
    assert champions(server) == [winners[1]]


def test_what_was_rolled_away_from_comes_back_only_if_asked_for_again(server, tmp_path):
    one, two = a_bundle(tmp_path / "1", 1.0), a_bundle(tmp_path / "2", 2.0)
    first = promote(server, one, "paper", "me")
    second = promote(server, two, "paper", "me")
    rollback(server, "EURUSD", "Ada")
    with pytest.raises(NotReplaced, match=f"{second.bundle_id} was rolled away from by Ada"):
        promote(server, two, "paper", "a job", again=False)
    assert champions(server)[0].bundle_id == first.bundle_id
    assert promote(server, two, "paper", "me").bundle_id == second.bundle_id
    rollback(server, "EURUSD", "Ada")
    promote(server, two, "paper", "me")
    promote(server, one, "paper", "me")
    assert promote(server, two, "paper", "a job", again=False).bundle_id == second.bundle_id


def test_the_history_is_never_taken_for_empty_while_its_first_entry_is_on_its_way(
    server, tmp_path, monkeypatch
):
    """nats-py's own `history` returns nothing if the entry is not there at its first look."""
    from nats.aio.client import Client

    first = promote(server, a_bundle(tmp_path), "paper", "me")
    process = Client._process_msg

    async def late(self, sid, subject, reply, data, headers):
        if subject.startswith(b"$KV."):
            await asyncio.sleep(0.2)
        await process(self, sid, subject, reply, data, headers)

    monkeypatch.setattr(Client, "_process_msg", late)
    assert history(server, "EURUSD") == [first]
    assert champions(server) == [first]


def test_the_champion_of_a_symbol_with_any_name_is_listed(server, tmp_path):
    directory = a_bundle(tmp_path)
    content = json.loads((directory / MANIFEST).read_bytes()) | {"symbol": "US 500=#%.m"}
    content["id"] = bundle_id(content)
    (directory / MANIFEST).write_text(json.dumps(content | {"gates": {}}))
    announced = promote(server, directory, "shadow", "me")
    assert announced.symbol == "US 500=#%.m"
    assert champions(server) == [announced]


def test_a_champion_that_was_withdrawn_is_in_nobodys_way(server, tmp_path):
    async def withdraw():
        client = await connect(server, "platform")
        try:
            bucket = await client.jetstream().key_value("champion")
            await bucket.delete("EURUSD")
        finally:
            await client.close()

    directory = a_bundle(tmp_path)
    first = promote(server, directory, "paper", "me")
    asyncio.run(withdraw())
    assert champions(server) == []
    assert promote(server, directory, "paper", "a job", again=False).sha256 == first.sha256


def test_rolling_back_returns_step_by_step(server, tmp_path):
    names = [
        promote(server, a_bundle(tmp_path / str(k), float(k)), "paper", "me", clock=at(k)).bundle_id
        for k in (1, 2, 3)
    ]
    assert rollback(server, "EURUSD", "Ada", clock=at(4)).bundle_id == names[1]
    back = rollback(server, "EURUSD", "Ada", clock=at(5))
    assert (back.bundle_id, back.by, back.promoted_ns) == (names[0], "Ada (rollback)", 5 * 10**9)
    assert loop_model(server, tmp_path / "loop").bundle.id == names[0]
    with pytest.raises(RegistryRefused, match=f"only {names[0]}"):
        rollback(server, "EURUSD", "Ada")
    assert len(history(server, "EURUSD")) == 5


def test_after_a_rollback_the_next_promotion_can_be_rolled_back_too(server, tmp_path):
    one, two, three = (a_bundle(tmp_path / str(k), float(k)) for k in (1, 2, 3))
    first = promote(server, one, "paper", "me")
    promote(server, two, "paper", "me")
    rollback(server, "EURUSD", "me")
    promote(server, three, "paper", "me")
    assert rollback(server, "EURUSD", "me").bundle_id == first.bundle_id


def test_nothing_to_roll_back_to_is_said(server):
    with pytest.raises(RegistryRefused, match="nothing was promoted before"):
        rollback(server, "EURUSD", "me")


def test_equal_ids_with_other_gates_do_not_overwrite_each_other(server, tmp_path):
    first = promote(server, a_bundle(tmp_path / "a"), "paper", "me")
    more = a_bundle(tmp_path / "b", paper=(PASSED, PASSED | {"name": "another"}))
    second = promote(server, more, "paper", "me")
    assert first.bundle_id == second.bundle_id
    assert first.object != second.object
    assert rollback(server, "EURUSD", "me").sha256 == first.sha256
    again = promote(server, a_bundle(tmp_path / "c"), "paper", "me")
    assert (again.object, again.sha256) == (first.object, first.sha256)


def test_a_damaged_bundle_is_not_promoted(server, tmp_path):
    directory = a_bundle(tmp_path)
    (directory / "model.onnx").write_bytes(b"other")
    with pytest.raises(BundleError):
        promote(server, directory, "paper", "me")
    assert champions(server) == []


@pytest.mark.parametrize(("stage", "by"), [("production", "me"), ("paper", " ")])
def test_a_wrong_stage_or_nobody_is_refused(server, tmp_path, stage, by):
    with pytest.raises(RegistryRefused):
        promote(server, a_bundle(tmp_path), stage, by)


def test_a_restaged_bundle_has_another_id_and_the_same_model(tmp_path):
    directory = a_bundle(tmp_path)
    live = restaged(directory, tmp_path / "live", "live", {})
    paper = read_bundle(directory)
    assert live.id != paper.id
    assert live.files == paper.files


def test_history_is_what_was_announced_less_what_was_rolled_back():
    def champion(name, by="me"):
        return Champion(bundle_id=name, object=name, sha256=name, stage="paper", symbol="EURUSD",
                        promoted_ns=1, by=by)  # fmt: skip

    def ids(*announced):
        return [each.bundle_id for each in in_force(list(announced))]

    a, b, c = champion("a"), champion("b"), champion("c")
    assert ids(a, b, c) == ["a", "b", "c"]
    assert ids(a, b, c, champion("b", "me (rollback)")) == ["a", "b"]
    assert ids(a, b, champion("a", "me (rollback)"), c) == ["a", "c"]
    assert ids(a, b, champion("a")) == ["a", "b", "a"]


@pytest.mark.parametrize(
    "text", ['bundle = "x"\nby = "y"', 'bundle = "x"\nby = "y"\nreason = 1', "nonsense", None]
)
def test_an_approval_that_lacks_something_is_none(tmp_path, text):
    path = tmp_path / "approval.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RegistryRefused, match=r"approval\.toml"):
        read_approval(path)


def test_an_approval_without_a_reason_is_none():
    with pytest.raises(RegistryRefused, match="reason"):
        Approval(bundle="x", by="Ada", reason=" ")


def test_the_command_promotes_lists_and_rolls_back(server, tmp_path, capsys):
    config = tmp_path / "settings.toml"
    config.write_text(
        f'[nats]\nurl = "{server.nats.url}"\n[paths]\nsecrets = "{server.paths.secrets}"\n'
    )
    common = ["--config", str(config)]
    for k in (1, 2):
        path = a_bundle(tmp_path / str(k), float(k))
        assert main([*common, "promote", str(path), "--by", "Ada"]) == 0
    assert main([*common, "champions"]) == 0
    assert main([*common, "rollback", "EURUSD", "--by", "Ada"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert lines[1] == lines[2]
    assert lines[3].endswith("by Ada (rollback)")
    assert main([*common, "rollback", "GBPUSD"]) == 2
    assert "nothing was promoted" in capsys.readouterr().err
    assert main([*common, "promote", str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_rolling_back_does_not_wait_for_model_libraries():
    code = (
        "import sys, ml.registry;"
        "print([m for m in ('xgboost', 'onnx', 'mlflow', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_server_that_is_not_there_is_one_clear_line(tmp_path, capsys):
    config = Path(tmp_path / "settings.toml")
    config.write_text('[nats]\nurl = "nats://a:b@127.0.0.1:1"\ntimeout = "300ms"\n')
    assert main(["--config", str(config), "champions"]) == 2
    error = capsys.readouterr().err
    assert "no NATS server answers" in error
    assert error.count("\n") == 1
