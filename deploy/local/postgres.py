"""The embedded PostgreSQL: one cluster under ``var/postgres``, reached over the loopback only."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import psycopg

from deploy.local.child import Child, Launch
from deploy.local.errors import AlreadyRunning, NotStarted, StackError
from deploy.local.last_words import telling_of
from deploy.local.passwords import password
from deploy.local.ports import HOST, port_of, require_free
from deploy.local.postgres_place import Place, find_place
from realtime.settings import Settings

SETTING = "[database] url (AITRADING_DATABASE__URL)"
SUPERUSER = "postgres"
_SECRET = f"postgres-{SUPERUSER}"
_SCRAM = "password_encryption=scram-sha-256"
START_S = 60.0  # recovery after a kill reads the log of the last minutes
_ORPHANS_S = 10.0
_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"
_OPTIONS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] %u@%d ",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "max_wal_size": "2GB",
    "wal_compression": "pglz",
    "checkpoint_timeout": "10min",
}


def start_postgres(settings: Settings) -> Child:
    """Start the server and wait until it answers; see `prepare_postgres`.

    Raises:
        NotStarted: it ended or does not answer.
        StackError: see `prepare_postgres`.
    """
    child = Child(prepare_postgres(settings))
    child.await_ready(lambda: postgres_answers(settings), START_S)
    return child


def prepare_postgres(settings: Settings) -> Launch:
    """Make the cluster if there is none, clear what a kill left, and say how to start the server.

    Raises:
        AlreadyRunning: this cluster's server does already.
        PortTaken: another program listens on the port of ``[database] url``.
        StackError: not installed, or the folder cannot be used.
    """
    place = check_postgres(settings)
    make_cluster(settings, place)
    (place.data / "postmaster.pid").unlink(missing_ok=True)  # it believes any process of its number
    _await_orphans(place)
    return postgres_launch(settings, place)


def check_postgres(settings: Settings) -> Place:
    """Check that the server can listen; return where it is.

    Raises:
        AlreadyRunning: this cluster's server does already.
        PortTaken: another program listens on the port of ``[database] url``.
        StackError: not installed, or the folder cannot be used.
    """
    place = find_place(settings.paths.var)
    running = _running(place)
    if running is not None:
        msg = f"PostgreSQL of {place.data} is running already (process {running.pid}): make down"
        raise AlreadyRunning(msg)
    remedy = f"set {SETTING} to another port"
    require_free(port_of(settings.database.url, SETTING), "PostgreSQL", remedy)
    return place


def postgres_launch(settings: Settings, place: Place) -> Launch:
    """Say how the server is started."""
    options = _OPTIONS | {"port": str(port_of(settings.database.url, SETTING))}
    return Launch(
        name="postgres",
        command=(
            str(place.programs / "postgres"),
            *("-D", place.data_name or str(place.data)),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ),
        log=settings.paths.var.resolve() / "logs" / "postgres.log",
        folder=place.data,
        account=place.account,
        stop_signal=signal.SIGINT,  # sessions are ended, nothing is waited for
        stop_within_s=30.0,
    )


def postgres_answers(settings: Settings) -> bool:
    """Say whether the server lets its superuser in."""
    try:
        with closing(superuser_connection(settings, timeout_s=2)):
            return True
    except psycopg.OperationalError:
        return False


def superuser_connection(
    settings: Settings, database: str = "postgres", timeout_s: int = 5
) -> "psycopg.Connection[tuple[object, ...]]":
    """Connect to the embedded server as its superuser, committing every statement.

    Raises:
        psycopg.OperationalError: it does not answer, or refuses.
    """
    return psycopg.connect(
        host=HOST,
        port=port_of(settings.database.url, SETTING),
        dbname=database,
        user=SUPERUSER,
        password=password(settings.paths.secrets, _SECRET),
        connect_timeout=timeout_s,
        sslmode="disable",
        autocommit=True,
    )


def database_name(settings: Settings) -> str:
    """Return the name of the database that the url names."""
    return urlsplit(settings.database.url).path.strip("/") or "aitrading"


def make_cluster(settings: Settings, place: Place) -> None:
    """Make the cluster if there is none, and give its superuser the password that is kept.

    Raises:
        StackError: it cannot be made.
    """
    if not place.data.exists():
        draft = place.data.with_name("data.unfinished")
        _make_cluster_in(draft, settings, place)
        draft.rename(place.data)
    elif not (settings.paths.secrets / _SECRET).exists():
        _set_password(place.data, settings, place)


def _make_cluster_in(folder: Path, settings: Settings, place: Place) -> None:
    shutil.rmtree(folder, ignore_errors=True)  # what an interrupted start left
    try:
        folder.mkdir(mode=0o700)
        if place.account is not None:
            os.chown(folder, *place.account)
    except OSError as error:
        msg = f"{folder}: cannot be given to PostgreSQL: {error.strerror}"
        raise StackError(msg) from error
    _run(
        ("initdb", "-U", SUPERUSER, "-E", "UTF8", "--locale=C.UTF-8", "--auth=reject", "--no-sync"),
        folder,
        place,
    )
    (folder / "pg_hba.conf").write_text(_ACCESS, encoding="utf-8")
    _set_password(folder, settings, place)


def _set_password(folder: Path, settings: Settings, place: Place) -> None:
    """Set the superuser's password while no server runs, so that it never goes without one."""
    text = password(settings.paths.secrets, _SECRET)
    command = ("postgres", "--single", "-c", "log_statement=none", "-c", _SCRAM, "postgres")
    _run(command, folder, place, stdin=f"ALTER ROLE {SUPERUSER} PASSWORD '{text}'\n")


def _run(command: Sequence[str], folder: Path, place: Place, stdin: str = "") -> None:
    """Run one of PostgreSQL's programs on a folder of data, in that folder."""
    user, group = place.account if place.account is not None else (None, None)
    program, *rest = command
    where = ["--single"] if rest[0] == "--single" else []  # has to be the first
    done = subprocess.run(
        [str(place.programs / program), *where, "-D", place.data_name or str(folder),
         *rest[len(where):]],
        cwd=folder,
        input=stdin,
        capture_output=True,
        text=True,
        check=False,
        user=user,
        group=group,
        extra_groups=None if user is None else [],
    )  # fmt: skip
    if done.returncode != 0:
        said = (done.stderr or done.stdout).splitlines()
        msg = f"{program} failed in {folder}: {telling_of(said)}"
        raise StackError(msg)


def _running(place: Place) -> psutil.Process | None:
    """Return the server of this cluster, if one runs."""
    try:
        lock = (place.data / "postmaster.pid").read_text(encoding="utf-8")
        pid = int(lock.split("\n", maxsplit=1)[0])
    except (OSError, ValueError):
        return None
    return next((each for each in _processes(place) if each.pid == pid), None)


def _await_orphans(place: Place) -> None:
    """Wait for the sessions of a server that was killed: until they end, they hold its memory.

    Raises:
        NotStarted: they do not end.
    """
    until = time.monotonic() + _ORPHANS_S
    while orphans := _processes(place):
        if time.monotonic() > until:
            msg = f"a PostgreSQL process of {place.data} does not end: kill {orphans[0].pid}"
            raise NotStarted(msg)
        time.sleep(0.05)


def _processes(place: Place) -> list[psutil.Process]:
    """Return PostgreSQL's processes that work in the folder of the data."""
    found: list[psutil.Process] = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and Path(process.cwd()) == place.data:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found
