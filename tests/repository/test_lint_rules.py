"""The rules of ruff that keep replay exact are in force where they should be, and only there."""

import subprocess
import sysconfig
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

NOW = "from datetime import UTC, datetime\n\nprint_me = datetime.now(UTC)\n"
TIME = "import time\n\nSTARTED = time.time()\n"
ENVIRONMENT = 'import os\n\nHOME = os.environ["HOME"]\n'
NJIT = "from numba import njit\n\nSAVED = njit\n"
RELATIVE = "from .settings import x\n\nY = x\n"


def codes(source: str, file: str) -> set[str]:
    outcome = subprocess.run(
        [
            Path(sysconfig.get_path("scripts")) / "ruff",
            *("check", "--no-cache", "--output-format", "concise", "--stdin-filename", file, "-"),
        ],
        cwd=ROOT,
        input=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert outcome.returncode in {0, 1}, outcome.stderr
    rows = [row for row in outcome.stdout.splitlines() if row.startswith(file)]
    return {row.split()[1] for row in rows}


@pytest.mark.parametrize(
    "source", [NOW, TIME, ENVIRONMENT, NJIT], ids=["now", "time", "env", "jit"]
)
@pytest.mark.parametrize("file", ["realtime/loop.py", "ml/training.py", "realtime/kernels/x.py"])
def test_clocks_environment_and_other_compilers_are_refused(source: str, file: str) -> None:
    assert codes(source, file) == {"TID251"}


def test_a_clock_may_read_the_time_and_settings_the_environment() -> None:
    assert codes(TIME, "realtime/clock.py") == set()
    assert codes(ENVIRONMENT, "realtime/settings.py") == set()


def test_relative_imports_are_refused() -> None:
    assert codes(RELATIVE, "realtime/loop.py") == {"TID252"}
