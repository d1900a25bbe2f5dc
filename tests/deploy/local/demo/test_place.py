"""The demonstration has a folder of its own, free ports, and a clean start."""

import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.demo.command import main
from deploy.local.demo.place import prepare
from deploy.local.errors import StackError
from deploy.local.ports import is_free, port_of
from deploy.local.record import UpLock
from realtime.settings import Settings, load_settings


def base(folder: Path) -> Settings:
    settings = Settings()
    return replace(settings, paths=replace(settings.paths, var=folder))


def test_everything_is_below_the_users_var_and_the_file_says_the_same(tmp_path: Path) -> None:
    place = prepare(base(tmp_path), "XAUUSD")
    paths = place.settings.paths
    assert (paths.var, paths.lake) == (tmp_path / "demo", tmp_path / "demo" / "lake")
    assert place.settings.trade == ("XAUUSD",)
    assert place.settings.gateway.lockstep
    assert load_settings(place.config, {}) == place.settings


def test_a_port_that_is_taken_is_replaced_by_a_free_one(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
        settings = base(tmp_path)
        settings = replace(settings, nats=replace(settings.nats, url=f"nats://127.0.0.1:{port}"))
        place = prepare(settings, "EURUSD")
        chosen = port_of(place.settings.nats.url, "url")
        assert chosen != port
        assert is_free(chosen)


def test_servers_elsewhere_are_left_alone(tmp_path: Path) -> None:
    settings = base(tmp_path)
    settings = replace(
        settings,
        nats=replace(settings.nats, url="nats://me:secret@nats.example:4222"),
        database=replace(settings.database, url="postgresql://me:secret@db.example:5432/live"),
    )
    place = prepare(settings, "EURUSD")
    assert place.settings.nats.url.startswith("nats://127.0.0.1:")
    assert place.settings.database.url.startswith("postgresql://127.0.0.1:")
    assert place.settings.database.url.endswith("/aitrading")


def test_a_new_run_forgets_trading_and_keeps_the_cluster_and_passwords(tmp_path: Path) -> None:
    demo = tmp_path / "demo"
    for name in ("nats", "loop", "terminal", "lake", "postgres", "secrets", "recipes"):
        (demo / name).mkdir(parents=True)
        (demo / name / "file").write_text("from the last run")
    (demo / "report.json").write_text("{}")
    prepare(base(tmp_path), "EURUSD")
    left = {path.parent.name for path in demo.glob("*/file")}
    assert left == {"postgres", "secrets", "recipes"}
    assert not (demo / "report.json").exists()


def test_a_second_demo_leaves_the_first_one_its_files(tmp_path, capsys, monkeypatch):
    """It once threw away what the running one had written, and was refused only then."""
    monkeypatch.setenv("AITRADING_PATHS__VAR", str(tmp_path))
    kept = tmp_path / "demo" / "lake" / "ticks"
    kept.mkdir(parents=True)
    with UpLock(tmp_path / "demo" / "run" / "up.lock"):
        assert main(["--once"]) == 2
    assert "is up already" in capsys.readouterr().err
    assert kept.exists()


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [("no.csv", None, "no such file"), ("junk.csv", "hello\n", "junk.csv")],
)
def test_a_file_that_cannot_be_run_on_costs_nothing_of_the_last_run(
    tmp_path, capsys, monkeypatch, name, content, words
):
    monkeypatch.setenv("AITRADING_PATHS__VAR", str(tmp_path))
    report = tmp_path / "demo" / "report.json"
    report.parent.mkdir(parents=True)
    report.write_text("{}")
    if content is not None:
        (tmp_path / name).write_text(content)
    assert main(["--once", "--data", str(tmp_path / name), "--symbol", "EURUSD"]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1
    assert report.exists()


def test_files_of_the_last_run_that_cannot_be_removed_are_one_line(tmp_path: Path) -> None:
    """Without permission to write it was a traceback."""
    (tmp_path / "demo" / "report.json").mkdir(parents=True)  # as good as any that stays
    with pytest.raises(StackError, match=r"report\.json: cannot be removed: "):
        prepare(base(tmp_path), "EURUSD")


def test_the_users_specifications_are_found_from_everywhere(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    settings = base(tmp_path)
    own = replace(settings, paths=replace(settings.paths, specifications="own.toml"))
    assert prepare(own, "EURUSD").settings.paths.specifications == str(tmp_path / "own.toml")
