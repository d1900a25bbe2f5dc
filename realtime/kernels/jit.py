"""The one way kernels are compiled, and the one place that decides where compiled code is kept.

numba's on-disk cache is keyed on the file of the compiled function only: an edit in a *callee's*
file is not noticed and the stale machine code runs on. The cache directory is therefore named
after a hash of every kernel source, so any edit anywhere in this package starts an empty cache.
Where the folder cannot be written, a temporary one serves for the life of the process.

Set ``NUMBA_CACHE_DIR`` to move the cache, ``NUMBA_DISABLE_JIT=1`` to debug kernels as plain Python.
"""

import atexit
import hashlib
import importlib
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, TypeVar, cast

import numba

_PACKAGE = Path(__file__).resolve().parent
_KEPT_CACHES = 50
_GENERATED = "aitrading_generated"

_config: Any = cast("Any", numba).config  # numba fills it at run time: checkers see no names in it
_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Compiler(Protocol):
    """For the type checker a kernel is the plain Python function that it looks like."""

    def __call__(self, function: _Function, /) -> _Function: ...


def sources_hash() -> str:
    """Return the hex hash of every kernel source file and its path (16 characters)."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(path.relative_to(_PACKAGE).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cache_root() -> Path:
    if _config.CACHE_DIR:
        return Path(_config.CACHE_DIR)
    return Path.home() / ".cache" / "aitrading" / "kernels"


def _drop_old_caches(root: Path, keep: Path) -> None:
    """Remove all but the newest caches, so that edits do not fill the disk.

    Many are kept, because another process may be running on one of them.
    """
    others = [path for path in root.glob("v-*") if path.is_dir() and path != keep]
    others.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    for path in others[_KEPT_CACHES - 1 :]:
        shutil.rmtree(path, ignore_errors=True)


def _use_cache_directory() -> Path:
    directory = _cache_root() / f"v-{sources_hash()}"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        os.utime(directory)
    except OSError:
        # Not writable: a private folder of this process, compiled anew each time. A shared one
        # under the system's temporary folder would run code that somebody else put there.
        directory = Path(tempfile.mkdtemp(prefix="aitrading-kernels-"))
        atexit.register(shutil.rmtree, directory, ignore_errors=True)
    else:
        _drop_old_caches(directory.parent, keep=directory)
    _config.CACHE_DIR = str(directory)
    return directory


CACHE_DIRECTORY = _use_cache_directory()

# error_model="numpy": a division never raises, so compiled and plain Python must both guard it.
# No fastmath: reassociation would break the bit-for-bit promise between step and fold.
kernel = cast("_Compiler", numba.njit(cache=True, error_model="numpy", nogil=True))


def generated_module(name: str, source: str) -> ModuleType:
    """Write generated kernel source beside the compiled cache and import it.

    A real file lets numba cache the compiled code and a debugger show the lines. The name carries
    a hash of the text, so two processes writing the same source write the same bytes. Generated
    modules may import each other as ``aitrading_generated.<name>_<hash>``.

    Args:
        name: readable stem, e.g. ``"features"``.
        source: Python source of the module.

    Returns:
        The imported module; the same object for the same source within one process.
    """
    if _GENERATED not in sys.modules:
        package = ModuleType(_GENERATED)
        package.__path__ = [str(CACHE_DIRECTORY / "generated")]
        sys.modules[_GENERATED] = package
    stem = f"{name}_{hashlib.sha256(source.encode()).hexdigest()[:16]}"
    path = CACHE_DIRECTORY / "generated" / f"{stem}.py"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.partial")
        partial.write_text(source, encoding="utf-8")
        partial.replace(path)

    importlib.invalidate_caches()  # the folder may have changed since the finder looked
    return importlib.import_module(f"{_GENERATED}.{stem}")


def jit_is_on() -> bool:
    """Tell whether kernels are compiled (False under ``NUMBA_DISABLE_JIT=1``)."""
    return not _config.DISABLE_JIT
