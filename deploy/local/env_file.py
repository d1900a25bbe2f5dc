"""The ``.env`` of the checkout, which the ``dagster`` command reads: where the platform's runs are.

It gives variables that are set already their own values: what services are started with holds.
"""

from collections.abc import Mapping
from pathlib import Path

from deploy.local.passwords import write_private

_MARK = "# written by make up, for the dagster command"


def write_env_file(folder: Path, values: Mapping[str, str]) -> None:
    """Set variables in ``.env`` of a folder; what a person wrote there stays, and goes first.

    Args:
        folder: the checkout.
        values: of variables, as ``DAGSTER_HOME``.

    Raises:
        StackError: it cannot be written.
    """
    path = folder / ".env"
    old = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [line for line in old if not line.endswith(_MARK)]
    theirs = {line.removeprefix("export ").split("=")[0].strip() for line in kept}
    ours = [_line(name, value) for name, value in values.items() if name not in theirs]
    if kept + ours != old:
        write_private(path, "\n".join(kept + ours) + "\n")


def _line(name: str, value: str) -> str:
    return f'{name}="${{{name}:-{value}}}"  {_MARK}'
