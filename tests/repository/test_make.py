"""The commands that a newcomer types first work, or say what to do."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TARGETS = [
    "help", "setup", "demo", "test", "lint", "bench", "battery", "simulate", "up", "down",
    "job",
    "contracts", "lock", "clean",
]  # fmt: skip


def run(*command: str, path: Path | None = None, **more: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, **more}
    if path is not None:
        env["PATH"] = str(path)
    return subprocess.run(
        command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def scripts(tmp_path: Path) -> Path:
    """A folder to be the whole PATH: the tools that set-up needs, and no Python."""
    for tool in ("bash", "dirname", "df", "awk", "grep", "sed", "id", "rmdir"):
        found = shutil.which(tool)
        assert found is not None
        (tmp_path / tool).symlink_to(found)
    return tmp_path


@pytest.fixture
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set-up script in a folder without a .venv."""
    folder = tmp_path_factory.mktemp("checkout")
    (folder / "deploy" / "setup").mkdir(parents=True)
    shutil.copy(ROOT / "deploy/setup/install.sh", folder / "deploy/setup")
    shutil.copy(ROOT / "requirements.lock", folder)
    return folder / "deploy/setup/install.sh"


def write_script(path: Path, body: str) -> None:
    path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    path.chmod(0o755)


def test_make_alone_lists_every_target() -> None:
    listed = [line.split()[1] for line in run("make").stdout.splitlines()]
    assert listed == TARGETS


@pytest.mark.parametrize("target", ["battery", "simulate"])
def test_what_comes_later_says_with_which_part(target: str) -> None:
    outcome = run("make", target)
    assert outcome.returncode == 0
    assert outcome.stdout.startswith(f"make {target} comes with the ")


def test_set_up_without_python_311_says_how_to_get_it(scripts: Path, checkout: Path) -> None:
    outcome = run("bash", str(checkout), path=scripts, PYTHON="")
    assert outcome.returncode == 1
    assert "Python 3.11 was not found" in outcome.stderr
    assert "apt install python3.11" in outcome.stderr


def test_set_up_passes_over_another_version_of_python(scripts: Path, checkout: Path) -> None:
    write_script(
        scripts / "python3", 'case "$1" in --version) echo Python 3.9.2;; *) exit 1;; esac'
    )
    outcome = run("bash", str(checkout), path=scripts, PYTHON="")
    assert outcome.returncode == 1
    assert "python3 is: Python 3.9.2" in outcome.stderr


def test_set_up_without_venv_says_which_package_brings_it(scripts: Path, checkout: Path) -> None:
    write_script(scripts / "python3", 'case "$2" in *ensurepip*) exit 1;; esac')
    (scripts / "id").unlink()
    write_script(scripts / "id", "echo 1000")
    outcome = run("bash", str(checkout), path=scripts, PYTHON="")
    assert outcome.returncode == 1
    assert "sudo apt install python3.11-venv" in outcome.stderr


def test_set_up_on_a_full_disk_says_how_much_is_needed(scripts: Path, checkout: Path) -> None:
    write_script(scripts / "python3", "exit 0")
    (scripts / "df").unlink()
    write_script(scripts / "df", "echo header; echo /dev/x 100 90 10 90% /")
    outcome = run("bash", str(checkout), path=scripts, PYTHON="")
    assert outcome.returncode == 1
    assert "10 MB free; about 2500 MB are needed" in outcome.stderr


def test_set_up_never_deletes_a_folder_that_is_no_environment(
    scripts: Path, checkout: Path
) -> None:
    precious = checkout.parents[2] / ".venv" / "notes.txt"
    precious.parent.mkdir()
    precious.write_text("mine", encoding="utf-8")
    outcome = run("bash", str(checkout), path=scripts, PYTHON="")
    assert outcome.returncode == 1
    assert "is no virtual environment" in outcome.stderr
    assert precious.read_text(encoding="utf-8") == "mine"


def test_ci_lints_before_it_tests() -> None:
    script = ROOT / ".ci" / "run"
    lines = script.read_text(encoding="utf-8").splitlines()
    assert lines[-2:] == ["make lint", "make test"]
    assert "set -euo pipefail" in lines
    assert os.access(script, os.X_OK)
