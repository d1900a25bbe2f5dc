"""What one asset leaves for the next: dataclasses as JSON, and arrays. Never a pickle."""

import base64
import io
import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
from numpy.typing import NDArray

_Kind = TypeVar("_Kind")


class NotKept(RuntimeError):
    """What an earlier asset should have left is missing: says which to materialise."""


def keep(path: Path, value: object, *, without: tuple[str, ...] = ()) -> None:
    """Write a dataclass as JSON, at once and whole.

    Args:
        path: of the file; its folder is made.
        value: a dataclass of numbers, text, arrays, and tuples, mappings or dataclasses of these.
        without: fields to leave out.
    """
    content = {
        item.name: encoded(getattr(value, item.name))
        for item in fields(cast("Any", value))
        if item.name not in without
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
    partial.replace(path)


def kept(path: Path, kind: type[_Kind], maker: str, **others: object) -> _Kind:
    """Read what `keep` wrote.

    Args:
        path: of the file.
        kind: the dataclass.
        maker: asset that writes it, for the message.
        others: fields that were left out.

    Raises:
        NotKept: there is no such file, or it is of an older version.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        hints = get_type_hints(kind)
        values = {name: decoded(hints[name], value) for name, value in content.items()}
        return kind(**values, **others)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        msg = f"{path} cannot be used ({type(error).__name__}): materialise the asset {maker} first"
        raise NotKept(msg) from error


def encoded(value: Any) -> Any:
    """Return a value as JSON has it; not-a-number stays what it is."""
    if isinstance(value, np.ndarray):
        content = io.BytesIO()
        np.save(content, cast("NDArray[Any]", value), allow_pickle=False)
        return base64.b64encode(content.getvalue()).decode()
    if isinstance(value, Mapping):
        return {str(name): encoded(each) for name, each in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple):
        return [encoded(each) for each in cast("list[Any]", value)]
    if is_dataclass(value):
        return {item.name: encoded(getattr(value, item.name)) for item in fields(value)}
    scalar: Any = value
    return scalar.item() if isinstance(value, np.generic) else scalar


def decoded(kind: Any, value: Any) -> Any:
    """Return a value of a type hint from what `encoded` made of it."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return None if value is None else decoded(inner[0], value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        make: Any = kind
        return make(**{name: decoded(hints[name], each) for name, each in value.items()})
    if origin is np.ndarray:
        return np.load(io.BytesIO(base64.b64decode(value)), allow_pickle=False)
    if origin is not None and issubclass(origin, Mapping):
        return {name: decoded(inner[1], each) for name, each in value.items()}
    if origin in (list, tuple):
        return _decoded_many(origin, inner, value)
    same: Any = value
    return same


def _decoded_many(origin: Any, inner: tuple[Any, ...], value: list[Any]) -> Any:
    alike = origin is list or Ellipsis in inner
    kinds = (inner[0],) * len(value) if alike else inner
    made: Any = [decoded(kind, each) for kind, each in zip(kinds, value, strict=True)]
    return tuple(made) if origin is tuple else made
