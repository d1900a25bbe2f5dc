"""Why a program ended is said by the line that names the cause, not by the one that came last."""

import errno
import sys
from pathlib import Path

import pytest

from deploy.local.child import Child, Launch
from deploy.local.last_words import last_line, telling_line, telling_of, with_disk

INITDB = """performing post-bootstrap initialization ...
initdb: error: could not write file "base/1/1255": No space left on device
initdb: removing contents of data directory "/proc/self/cwd"
"""
POSTGRES = """2026-11-23 09:26:27 [1] @ FATAL:  could not write lock file: No space left on device
2026-11-23 09:26:27 UTC [1] @ LOG:  database system is shut down
"""
SQLALCHEMY = """Traceback (most recent call last):
  File "x.py", line 1, in <module>
sqlalchemy.exc.OperationalError: (psycopg2.OperationalError) server closed the connection
[SQL: SELECT 1]
(Background on this error at: https://sqlalche.me/e/21/e3q8)
"""
PLAIN = """starting
it is all over
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (INITDB, "No space left on device"),
        (POSTGRES, "FATAL:  could not write lock file"),
        (SQLALCHEMY, "server closed the connection"),
        (PLAIN, "it is all over"),
        ("", "it said nothing"),
    ],
)
def test_the_line_with_the_cause_is_taken(tmp_path: Path, text: str, words: str) -> None:
    log = tmp_path / "program.log"
    log.write_text(text)
    assert words in telling_line(log)
    assert words in telling_of(text.splitlines())


def test_what_an_earlier_run_said_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    log = tmp_path / "program.log"
    log.write_text("ValueError: of yesterday\n")
    program = "import sys; print('of today'); sys.exit(1)"
    child = Child(
        Launch(name="x", command=(sys.executable, "-c", program), log=log, folder=tmp_path)
    )
    assert child.stop(within_s=30.0) in (0, 1, -15)
    assert "yesterday" not in child.last_words()
    assert "yesterday" in telling_line(log)
    assert last_line(log) != ""


def test_a_full_disk_is_called_by_its_name(tmp_path: Path) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "x")
    said = with_disk(error, tmp_path / "not" / "there")
    assert f"the disk of {tmp_path} is full" in said
    assert with_disk(ValueError("no"), tmp_path) == "no"
