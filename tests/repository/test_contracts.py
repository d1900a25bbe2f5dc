"""The code of the wire is what its .proto files generate."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = sorted((ROOT / "realtime" / "contracts").glob("*.proto"))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with freshly generated code."""
    folder = tmp_path_factory.mktemp("generated")
    names = [path.relative_to(ROOT).as_posix() for path in CONTRACTS]
    command = [sys.executable, "-m", "grpc_tools.protoc", "-I.", f"--python_out={folder}"]
    subprocess.run([*command, f"--pyi_out={folder}", *names], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("path", CONTRACTS, ids=lambda path: path.stem)
def test_generated_code_is_that_of_its_contract(generated: Path, path: Path) -> None:
    for suffix in ("_pb2.py", "_pb2.pyi"):
        name = f"realtime/contracts/{path.stem}{suffix}"
        assert (ROOT / name).read_text() == (generated / name).read_text(), "run `make contracts`"
