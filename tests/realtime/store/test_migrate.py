"""The schema comes about once, whoever asks how often, and is refused when it is another one."""

import logging
import threading
from dataclasses import replace

import psycopg
import pytest

from realtime.store.__main__ import main
from realtime.store.connection import OWNER, READER, RECORDER, connect
from realtime.store.errors import MigrationRefused, StoreError
from realtime.store.migrate import Migration, migrate, migrations, require_current, state
from tests.realtime.recorded_run import toml_of


@pytest.fixture
def settings(postgres):
    postgres.empty()
    return postgres.settings


@pytest.fixture
def owner(settings):
    with connect(settings, OWNER) as connection:
        yield connection


def tables_of(connection):
    rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {name for (name,) in rows}


def test_a_second_run_finds_nothing_to_do(owner):
    assert [each.number for each in migrate(owner)] == list(range(1, len(migrations()) + 1))
    tables = tables_of(owner)
    assert {"ticks", "orders", "reports", "deals", "predictions", "recorded", "gaps"} <= tables
    assert migrate(owner) == ()
    assert tables_of(owner) == tables
    require_current(owner)


def test_two_runs_at_once_apply_each_migration_once(settings):
    applied, failed = [], []

    def run():
        try:
            with connect(settings, OWNER) as connection:
                applied.append(len(migrate(connection)))
        except (StoreError, psycopg.Error) as error:
            failed.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(applied) == [0, 0, 0, len(migrations())]


def test_a_changed_migration_is_refused_in_one_line(owner):
    migrate(owner)
    first, *others = migrations()
    changed = replace(first, text=first.text + "\n", checksum="0" * 64)
    with pytest.raises(MigrationRefused, match=r"0001_bookkeeping.sql differs.*new migration$"):
        migrate(owner, [changed, *others])


def test_a_database_of_a_newer_program_is_refused(owner):
    migrate(owner)
    with pytest.raises(MigrationRefused, match="update the program"):
        state(owner, migrations()[:-1])


def test_a_database_without_the_latest_migration_is_refused(owner):
    migrate(owner)
    owner.execute("DELETE FROM migrations WHERE number = 7")
    with pytest.raises(MigrationRefused, match=r"lacks 1 migration.*realtime.store migrate"):
        require_current(owner)


def test_a_migration_that_fails_leaves_nothing_behind(owner):
    migrate(owner)
    number = len(migrations()) + 1
    broken = Migration(
        number=number, name="broken", text="CREATE TABLE half (a int); SELECT nonsense;",
        checksum="x",
    )  # fmt: skip
    with pytest.raises(MigrationRefused, match=r"_broken failed: column .nonsense. does not exist"):
        migrate(owner, [*migrations(), broken])
    assert "half" not in tables_of(owner)
    require_current(owner)


def test_files_are_numbered_without_holes(tmp_path):
    (tmp_path / "0002_second.sql").write_text("SELECT 1")
    with pytest.raises(MigrationRefused, match=r"0002_second\.sql: expected a file called 0001_"):
        migrations(tmp_path)


def test_a_role_that_may_not_change_the_schema_is_told_so(settings, owner):
    refused = pytest.raises(MigrationRefused, match="role 'reader' may not change the schema")
    with connect(settings, READER) as connection, refused:
        migrate(connection)
    with connect(settings, RECORDER) as connection, pytest.raises(MigrationRefused):
        migrate(connection)


def test_roles_may_do_what_they_need_and_no_more(settings, owner):
    migrate(owner)
    insert = "INSERT INTO alerts VALUES (1, 1, 1, 'info', 's', 'c', 't', '{}')"
    with connect(settings, RECORDER) as recorder:
        recorder.execute(insert)
        assert recorder.execute("SELECT ensure_tick_month('2017-03-05')").fetchone() == (True,)
        assert recorder.execute("SELECT ensure_tick_month('2017-03-31')").fetchone() == (False,)
        for statement in ("DELETE FROM alerts", "UPDATE orders SET price = 1", "DROP TABLE alerts",
                          "CREATE TABLE mine (a int)", "INSERT INTO retention VALUES ('ticks', 1)",
                          "TRUNCATE ticks", "ALTER TABLE ticks ADD COLUMN a int"):  # fmt: skip
            with pytest.raises(Exception, match=r"permission denied|must be owner"):
                recorder.execute(statement)
    with connect(settings, READER) as reader:
        assert reader.execute("SELECT count(*) FROM readable.alerts").fetchone() == (1,)
        for statement in (insert, "SELECT ensure_tick_month('2018-03-05')",
                          "SELECT drop_old_ticks()", "CREATE TABLE mine (a int)"):  # fmt: skip
            with pytest.raises(Exception, match="permission denied"):
                reader.execute(statement)


def test_months_of_ticks_lie_in_partitions_that_know_their_bounds(owner):
    migrate(owner)
    for month in ("2016-12-31", "2017-01-01", "1999-02-03"):
        owner.execute("SELECT ensure_tick_month(%s)", (month,))
    new_year_ns = 1_483_228_800_000_000_000
    for time_ns in (new_year_ns - 1, new_year_ns):
        owner.execute(
            "INSERT INTO ticks VALUES (1, %s, 1, 1, %s, 1, 1, 1, 1, 0, 0, 0)", (time_ns, time_ns)
        )
    rows = owner.execute("SELECT tableoid::regclass::text, time_ns FROM ticks ORDER BY time_ns")
    assert rows.fetchall() == [("ticks_2016_12", new_year_ns - 1), ("ticks_2017_01", new_year_ns)]


def test_old_ticks_are_dropped_only_where_somebody_says_so(owner):
    migrate(owner)
    owner.execute("SELECT ensure_tick_month('2017-01-01'), ensure_tick_month(now()::date)")
    assert owner.execute("SELECT drop_old_ticks()").fetchone() == (0,)
    owner.execute("INSERT INTO retention VALUES ('ticks', 400)")
    assert owner.execute("SELECT drop_old_ticks()").fetchone() == (1,)
    assert "ticks_2017_01" not in tables_of(owner)
    assert owner.execute("SELECT drop_old_ticks()").fetchone() == (0,)


def test_the_absence_of_timescaledb_is_said_by_name(owner, caplog):
    caplog.set_level(logging.INFO)
    migrate(owner)
    assert "timescaledb is not there: ticks are in partitions of a month" in caplog.text


def test_a_missing_role_is_said_by_name(owner, caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("realtime.store.grants.READER", "nobody_known")
    migrate(owner)
    assert "role nobody_known does not exist: it is granted nothing" in caplog.text


def test_times_are_shown_to_the_microsecond(owner):
    migrate(owner)
    row = owner.execute("SELECT utc(1483228800123456789) = '2017-01-01 00:00:00.123456Z'")
    assert row.fetchone() == (True,)


def test_the_command_migrates_and_tells_the_state(stack_settings, tmp_path, capsys):
    config = str(toml_of(stack_settings, tmp_path / "s.toml"))
    assert main(["status", "--config", config]) == 1
    assert "pending: 0001_bookkeeping" in capsys.readouterr().out
    assert main(["migrate", "--config", config]) == 0
    assert f"{len(migrations())} migration(s) applied, up to date" in capsys.readouterr().out
    assert main(["status", "--config", config]) == 0
    assert "schema up to date; timescaledb not there" in capsys.readouterr().out
