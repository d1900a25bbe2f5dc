"""Feast, imported in half the time.

It decorates its classes with ``typeguard.typechecked``, which parses, rewrites and compiles each
module once more while it is imported: three of five seconds, in every run. The checks are of
Feast's own arguments and change no result.
"""

import importlib
from typing import Any


def import_feast() -> None:
    """Import feast without the checks, if it is not imported yet."""
    typeguard: Any = importlib.import_module("typeguard")
    checked = typeguard.typechecked
    typeguard.typechecked = _unchanged
    try:
        importlib.import_module("feast")
    finally:
        typeguard.typechecked = checked


def _unchanged(target: Any = None, **options: Any) -> Any:
    """Stand in for the decorator, with or without arguments."""
    del options
    return (lambda decorated: decorated) if target is None else target  # pyright: ignore[reportUnknownLambdaType, reportUnknownVariableType]
