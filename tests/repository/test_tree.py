"""The tree is laid out as promised and says nothing about the machine it was written on."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

TOP_LEVEL = {
    ".ci", ".env.example", ".gitattributes", ".github", ".gitignore", "CHANGELOG.md", "LICENSE",
    "Makefile", "README.md", "aitrading_assets", "aitrading_sensors", "deploy", "docs",
    "feature_repo", "ml", "mt5_gateway", "pyproject.toml", "realtime", "requirements.lock", "tests",
    "workspace.yaml",
}  # fmt: skip

MACHINE = re.compile(
    r"/home/\w|/Users/\w|/root/|[A-Z]:\\Users\\|"
    + r"|".join((r"pypi\.or" + "g", r"pythonhoste" + "d", r"registry\.npmj" + "s"))
)


def committed_files() -> list[Path]:
    """What git tracks or would track; everything but hidden folders in an unpacked archive."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode == 0:
        names = [name for name in listing.stdout.split("\0") if name]
        return [ROOT / name for name in names if (ROOT / name).is_file()]
    return [path for path in ROOT.rglob("*") if path.is_file() and ".venv" not in path.parts]


FILES = committed_files()


def test_the_top_level_holds_only_what_the_layout_names() -> None:
    found = {path.relative_to(ROOT).parts[0] for path in FILES}
    assert sorted(found - TOP_LEVEL) == []


def test_init_files_are_empty() -> None:
    full = [path for path in FILES if path.name == "__init__.py" and path.stat().st_size]
    assert full == []


def test_tests_have_no_init_files_so_that_names_never_collide() -> None:
    assert list((ROOT / "tests").rglob("__init__.py")) == []


def test_no_file_names_a_place_on_somebody_s_machine_or_a_registry() -> None:
    found: list[str] = []
    for path in FILES:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(text.splitlines(), start=1):
            if MACHINE.search(line) and path != Path(__file__).resolve():
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:100]}")
    assert found == []


@pytest.mark.parametrize(
    "text", ["/home/jo/x", "/Users/jo", "/root/.ssh", "C:\\Users\\jo", "https://pypi" + ".org/x"]
)
def test_a_place_on_a_machine_is_recognised(text: str) -> None:
    assert MACHINE.search(text)


def test_no_file_is_larger_than_a_mebibyte() -> None:
    assert [path for path in FILES if path.stat().st_size > 1_048_576] == []


def test_no_module_is_named_for_having_no_subject() -> None:
    nameless = {"utils", "common", "helpers", "util", "helper", "misc"}
    assert [path for path in FILES if path.stem in nameless] == []
