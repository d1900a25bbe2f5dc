"""What keeps a role out of the database is said in one line that helps."""

import socket
from dataclasses import replace

import pytest

from realtime.store.__main__ import main
from realtime.store.connection import READER, RECORDER, connect
from realtime.store.errors import DatabaseRefused
from tests.realtime.recorded_run import toml_of


def with_url(settings, url):
    return replace(settings, database=replace(settings.database, url=url))


def refusal(settings, role=READER):
    with pytest.raises(DatabaseRefused) as refused:
        connect(settings, role)
    text = str(refused.value)
    assert "\n" not in text
    return text


def test_a_role_connects_with_the_password_of_its_file(stack_settings):
    with connect(stack_settings, RECORDER) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("recorder",)


def test_a_url_may_name_the_user(stack_settings):
    password = (stack_settings.paths.secrets / "postgres-reader").read_text().strip()
    url = stack_settings.database.url.replace("://", f"://reader:{password}@")
    with connect(with_url(stack_settings, url), RECORDER) as connection:
        assert connection.execute("SELECT current_user").fetchone() == ("reader",)
    text = refusal(with_url(stack_settings, url.replace(password, "wrong")))
    assert "refuses role 'reader': wrong password" in text


def test_a_wrong_password_is_named(stack_settings):
    (stack_settings.paths.secrets / "postgres-reader").write_text("wrong")
    assert "refuses role 'reader': wrong password" in refusal(stack_settings)


def test_a_missing_password_says_where_it_should_be(stack_settings):
    (stack_settings.paths.secrets / "postgres-reader").unlink()
    text = refusal(stack_settings)
    assert "no password for postgres-reader" in text
    assert "make up" in text


def test_a_server_that_is_not_there_is_named(stack_settings):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = refusal(with_url(stack_settings, f"postgresql://127.0.0.1:{port}/aitrading"))
    assert text == (
        f"no PostgreSQL answers at 127.0.0.1:{port}: start it (make up), or set [database] url"
    )


def test_a_database_that_is_not_there_is_named(stack_settings):
    url = stack_settings.database.url.replace("/aitrading", "/nothing")
    assert "has no database 'nothing'" in refusal(with_url(stack_settings, url))


def test_the_command_ends_with_two_and_one_line(stack_settings, tmp_path, capsys):
    (stack_settings.paths.secrets / "postgres-aitrading").write_text("wrong")
    config = toml_of(stack_settings, tmp_path / "s.toml")
    assert main(["migrate", "--config", str(config)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "wrong password" in said
    config.write_text("[nothing]\n")
    assert main(["status", "--config", str(config)]) == 2
    assert "nothing" in capsys.readouterr().err
