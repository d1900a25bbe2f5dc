"""The compiled cache: fresh after an edit anywhere, kept tidy, shared by generated modules."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from realtime.kernels import jit

ROOT = Path(jit.__file__).resolve().parents[2]

CALLEE = """
from realtime.kernels.jit import kernel

@kernel
def rate_step(price):
    return price * 2.0
"""

CALLER = """
from realtime.kernels.jit import kernel
from realtime.kernels.probe_callee import rate_step

@kernel
def probe_fold(prices):
    total = 0.0
    for i in range(len(prices)):
        total += rate_step(prices[i])
    return total
"""


@pytest.fixture
def copy_of_kernels(tmp_path: Path) -> Path:
    """A copy of the kernel sources with a caller and a callee in two files."""
    shutil.copytree(
        ROOT / "realtime", tmp_path / "realtime", ignore=shutil.ignore_patterns("__pycache__")
    )
    kernels = tmp_path / "realtime" / "kernels"
    (kernels / "probe_callee.py").write_text(CALLEE)
    (kernels / "probe_caller.py").write_text(CALLER)
    return tmp_path


def run(root: Path, code: str, **environment: str) -> str:
    """Run `code` in a new interpreter that sees only the copy."""
    result = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=root,
        env={
            **os.environ,
            "PYTHONPATH": str(root),
            "NUMBA_CACHE_DIR": str(root / "cache"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    return result.stdout.strip()


PROBE = """
import numpy as np
from realtime.kernels.probe_caller import probe_fold
print(probe_fold(np.ones(3)), sum(probe_fold.stats.cache_hits.values()))
"""


def test_an_edit_in_a_callee_is_seen_by_its_compiled_caller(copy_of_kernels: Path) -> None:
    assert run(copy_of_kernels, PROBE) == "6.0 0"
    assert run(copy_of_kernels, PROBE) == "6.0 1"  # the second process loads from the cache

    callee = copy_of_kernels / "realtime" / "kernels" / "probe_callee.py"
    callee.write_text(CALLEE.replace("2.0", "5.0"))

    assert run(copy_of_kernels, PROBE) == "15.0 0"


def test_old_caches_are_dropped_but_the_one_in_use_is_kept(tmp_path: Path) -> None:
    for number in range(60):
        folder = tmp_path / f"v-{number:016d}"
        folder.mkdir()
        os.utime(folder, (number, number))
    keep = tmp_path / "v-0000000000000000"

    jit._drop_old_caches(tmp_path, keep=keep)

    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == jit._KEPT_CACHES
    assert keep.name in left
    assert "v-0000000000000059" in left


def test_a_generated_module_is_written_once_and_can_import_another() -> None:
    first = jit.generated_module("probe", "VALUE = 41\n")
    again = jit.generated_module("probe", "VALUE = 41\n")
    second = jit.generated_module("probe", f"from {first.__name__} import VALUE as OTHER\n")

    assert first is again
    assert second.OTHER == 41
    assert Path(first.__file__ or "").parent == jit.CACHE_DIRECTORY / "generated"


def test_a_generated_module_that_does_not_parse_is_not_left_half_imported() -> None:
    with pytest.raises(SyntaxError):
        jit.generated_module("probe", "VALUE = = 1\n")
    with pytest.raises(SyntaxError):
        jit.generated_module("probe", "VALUE = = 1\n")


def test_jit_can_be_switched_off_for_debugging(copy_of_kernels: Path) -> None:
    code = "from realtime.kernels import jit; print(jit.jit_is_on())"

    assert run(copy_of_kernels, code) == "True"
    assert run(copy_of_kernels, code, NUMBA_DISABLE_JIT="1") == "False"


def test_an_unwritable_cache_folder_falls_back_to_a_temporary_one(
    copy_of_kernels: Path,
) -> None:
    blocked = copy_of_kernels / "a file, not a folder"
    blocked.write_text("")
    code = "from realtime.kernels import jit; print(jit.CACHE_DIRECTORY)"

    chosen = run(copy_of_kernels, code, NUMBA_CACHE_DIR=str(blocked))

    assert str(blocked) not in chosen
    assert "aitrading" in chosen
