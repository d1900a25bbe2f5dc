"""The import contracts of pyproject.toml are kept, and each of them catches its offence."""

import ast
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PACKAGES = sorted(
    path.parent.name for path in ROOT.glob("*/__init__.py") if path.parent.name != "tests"
)

#: Besides numba (in jit.py only), numpy and each other, kernels may use these: all are pure.
PURE_STDLIB = {"collections.abc", "dataclasses", "functools", "math", "types", "typing"}
#: Where kernel source is generated, hashed and compiled, and nothing is stepped.
GENERATORS = {
    "ast", "difflib", "hashlib", "importlib", "inspect", "itertools", "keyword", "textwrap",
}  # fmt: skip


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sysconfig.get_path("scripts")) / "lint-imports", "--no-cache", "--no-logo"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A copy of the packages that a test may spoil."""
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__")
        )
    return tmp_path


def test_the_tree_keeps_every_contract() -> None:
    outcome = lint_imports(ROOT)
    assert outcome.returncode == 0, outcome.stdout


@pytest.mark.parametrize(
    ("file", "line", "contract"),
    [
        ("realtime/kernels/codes.py", "import polars", "Kernels are pure"),
        ("realtime/kernels/codes.py", "import asyncio", "Kernels are pure"),
        ("realtime/kernels/codes.py", "from time import time_ns", "Kernels are pure"),
        ("realtime/kernels/codes.py", "import realtime.settings", "Data flow inside realtime"),
        ("realtime/settings.py", "import pandas", "realtime stays lean"),
        ("realtime/clock.py", "import ml.backtest", "One direction"),
        ("realtime/homeless.py", "", "Data flow inside realtime"),
    ],
)
def test_a_forbidden_import_breaks_its_contract(
    tree: Path, file: str, line: str, contract: str
) -> None:
    path = tree / file
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(f"{before}\n{line}\n", encoding="utf-8")
    outcome = lint_imports(tree)
    broken = [row for row in outcome.stdout.splitlines() if " BROKEN" in row]
    assert outcome.returncode != 0, outcome.stdout + outcome.stderr
    assert any(row.startswith(contract) for row in broken), outcome.stdout


def test_every_package_is_linted_and_shipped() -> None:
    assert PROJECT["tool"]["importlinter"]["root_packages"] == PACKAGES
    assert PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == PACKAGES


def imported_modules(path: Path) -> set[str]:
    modules: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            modules.update(name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module or "")
    return modules


def is_allowed_in_kernels(module: str) -> bool:
    root = module.split(".", maxsplit=1)[0]
    return (
        root == "numpy"
        or module.startswith("realtime.kernels.")
        or module in PURE_STDLIB
        or root in GENERATORS
    )


def test_kernels_import_only_numpy_pure_modules_and_each_other() -> None:
    kernels = ROOT / "realtime" / "kernels"
    foreign = {
        f"{path.relative_to(ROOT).as_posix()}: {module}"
        for path in kernels.rglob("*.py")
        if path != kernels / "jit.py"
        for module in imported_modules(path)
        if not is_allowed_in_kernels(module)
    }
    assert foreign == set()


def test_importing_the_core_loads_nothing_of_the_data_science_half() -> None:
    modules = [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in sorted((ROOT / "realtime").rglob("*.py"))
        if path.name not in {"__init__.py", "__main__.py"} and "history" not in path.parts
    ]
    heavy = ["arch", "matplotlib", "pandas", "polars", "pyarrow", "scipy", "statsmodels", "talib"]
    program = (
        "import importlib, sys, numba\n"  # numba loads scipy where there is one
        "before = set(sys.modules)\n"
        f"for name in {modules!r}: importlib.import_module(name)\n"
        f"print(sorted(set({heavy!r}) & (set(sys.modules) - before)))\n"
    )
    outcome = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert outcome.stdout == "[]\n", outcome.stderr
