"""requirements.lock pins everything that pyproject.toml declares, and belongs to no registry."""

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
PIN = re.compile(r"^(?P<name>[a-z0-9._-]+)==(?P<version>[^ ;]+)", re.MULTILINE)
PINNED = {canonicalize_name(match["name"]): match["version"] for match in PIN.finditer(LOCK)}


def declared() -> list[Requirement]:
    lists = [
        PROJECT["project"]["dependencies"],
        *PROJECT["project"]["optional-dependencies"].values(),
        PROJECT["build-system"]["requires"],
    ]
    requirements = [Requirement(text) for each in lists for text in each]
    return [each for each in requirements if each.name != PROJECT["project"]["name"]]


def left_out() -> set[str]:
    """Packages that an override removes from the lock, because nobody imports what needs them."""
    lines = (ROOT / "deploy/setup/overrides.txt").read_text(encoding="utf-8").splitlines()
    overrides = [Requirement(line) for line in lines if line and not line.startswith("#")]
    for override in overrides:
        assert override.marker is not None
        assert not override.marker.evaluate()
    return {canonicalize_name(override.name) for override in overrides}


def needed_by(requirement: Requirement, found: set[str]) -> set[str]:
    """Names of everything that comes along with a requirement on this machine."""
    name = canonicalize_name(requirement.name)
    elsewhere = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
    if name in found or name in left_out() or elsewhere:
        return found
    found.add(name)
    for text in requires(requirement.name) or []:
        child = Requirement(text)
        extras = requirement.extras or {""}
        if child.marker is None or any(child.marker.evaluate({"extra": e}) for e in extras):
            needed_by(child, found)
    return found


def declared_for(*extras: str) -> set[str]:
    """Names of the core's packages and of those that the extras themselves list."""
    listed = list(PROJECT["project"]["dependencies"])
    for extra in extras:
        listed += PROJECT["project"]["optional-dependencies"][extra]
    return {canonicalize_name(Requirement(text).name) for text in listed}


def imported_packages(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name.split(".")[0] for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".", maxsplit=1)[0]


def undeclared(files: list[Path], allowed: set[str]) -> set[str]:
    """Third-party imports of some files that no allowed distribution provides."""
    providers = packages_distributions()
    ours = {path.parent.name for path in ROOT.glob("*/__init__.py")} | {"tests", "deploy"}
    return {
        f"{path.relative_to(ROOT).as_posix()}: {package}"
        for path in files
        for package in imported_packages(path)
        if package not in sys.stdlib_module_names | ours
        and not allowed & {canonicalize_name(name) for name in providers.get(package, [])}
    }


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("realtime", ["realtime"]),
        ("realtime/kernels", []),
        ("realtime/history", ["history"]),
        ("mt5_gateway", ["gateway", "realtime"]),
        ("mt5_gateway/simulator", ["gateway", "history"]),
        ("ml", ["history", "research", "realtime", "platform"]),
        ("feature_repo", ["platform"]),
        ("aitrading_assets", ["history", "research", "realtime", "platform"]),
        ("aitrading_sensors", ["realtime", "platform"]),
        ("deploy", ["history", "research", "realtime", "platform", "local", "dev"]),
    ],
)
def test_every_import_is_declared_by_the_extra_of_its_folder(
    folder: str, extras: list[str]
) -> None:
    files = list((ROOT / folder).rglob("*.py"))
    if folder == "realtime":
        files = [path for path in files if "history" not in path.parts]
    assert undeclared(files, declared_for(*extras)) == set()


def test_an_undeclared_import_is_found() -> None:
    assert undeclared([Path(__file__)], set()) == {
        "tests/repository/test_lock.py: packaging",
        "tests/repository/test_lock.py: pytest",
    }


@pytest.mark.parametrize("requirement", declared(), ids=str)
def test_the_lock_pins_every_declared_package_within_its_range(requirement: Requirement) -> None:
    version = PINNED.get(canonicalize_name(requirement.name))
    assert version is not None, "run `make lock`"
    assert requirement.specifier.contains(version), "run `make lock`"


def test_every_package_that_a_declared_one_needs_is_pinned() -> None:
    needed: set[str] = set()
    for requirement in declared():
        needed_by(requirement, needed)
    assert sorted(needed - set(PINNED)) == []


def test_the_lock_keeps_below_its_ceilings() -> None:
    lines = (ROOT / "deploy/setup/ceilings.txt").read_text(encoding="utf-8").splitlines()
    ceilings = [Requirement(line.split("#")[0]) for line in lines if line.split("#")[0].strip()]
    assert ceilings
    for ceiling in ceilings:
        assert ceiling.specifier.contains(PINNED[canonicalize_name(ceiling.name)])


def test_every_line_of_the_lock_is_a_pin_a_hash_or_a_comment() -> None:
    pin = re.compile(r"[a-z0-9._-]+==[^ ]+( ; [^\\]+)? \\")
    digest = re.compile(r"    --hash=sha256:[0-9a-f]{64}( \\)?")
    odd = [
        line
        for line in LOCK.splitlines()
        if not (pin.fullmatch(line) or digest.fullmatch(line) or line.lstrip().startswith("#"))
    ]
    assert odd == []


def test_the_lock_names_no_registry() -> None:
    assert re.findall(r"://|--(?:extra-)?index|--find-links|--trusted-host", LOCK) == []


def test_the_core_installs_without_the_data_science_half() -> None:
    core: set[str] = set()
    for text in PROJECT["project"]["dependencies"]:
        needed_by(Requirement(text), core)
    assert core == {"llvmlite", "numba", "numpy", "tzdata"}
