"""What the loop must find again when it restarts, written before anything leaves it.

Two files take turns, each overwritten in place: a write cut off by a kill spoils one of them, and
the other still holds the state before it, which nothing that was published is newer than. Writing
costs tens of microseconds: no new file, no wait for the disk (the machine's power is not what a
restart of the process depends on).
"""

import hashlib
import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from realtime.contracts.subjects import Outgoing

_MAGIC = b"AITSTAT1"
_HEAD = struct.Struct("<8sQQI4x")  # magic, generation, length of the rest, its CRC
_SIZES = struct.Struct("<II")  # lengths of the layout's hash and of the JSON
_FILES = ("state-0", "state-1")
_OWNER = ("account", "symbols", "clocks", "feature_sets")


class StateError(ValueError):
    """The kept state cannot be used: one line that says why."""


class StateCorrupt(StateError):
    """What was written is not what is there."""


class StateForeign(StateError):
    """It belongs to another account, other symbols, features or kernels."""


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A state as it was found.

    Attributes:
        values: whole numbers and text of the state, and what else was kept with it.
        arrays: bytes of its arrays, one after the other.
        layout: hash of their names and dtypes.
        messages: that were not confirmed.
        generation: how many writes there had been.
    """

    values: Mapping[str, Any]
    arrays: bytes
    layout: bytes
    messages: tuple[Outgoing, ...]
    generation: int

    def state(self, like: Mapping[str, Any]) -> dict[str, Any]:
        """Return the state as `Trader.state` returned it.

        Args:
            like: the state of a new trader: which arrays there are.

        Raises:
            StateForeign: that trader is another one.
        """
        for name in _OWNER:
            if name in like and self.values.get(name) != like[name]:
                msg = f"the kept state has other {name.replace('_', ' ')} than the loop now runs"
                raise StateForeign(msg)
        if self.layout != _layout(like):
            msg = "the kept state has another layout: other kernels wrote it"
            raise StateForeign(msg)
        state: dict[str, Any] = {**self.values, "desk": {}}
        at = 0
        for path, array in _arrays(like):
            size = array.nbytes
            part = self.arrays[at : at + size]
            value = np.frombuffer(part, array.dtype).reshape(array.shape).copy()
            at += size
            if len(path) == 1:
                state[path[0]] = value
            else:
                state.setdefault(path[0], {})[path[1]] = value
        return state


class StateFile:
    """The two files of one loop.

    Args:
        folder: they are in; made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._generation = 0
        self._files: dict[str, int] = {}
        self._layout: bytes | None = None
        self._paths: list[tuple[str, ...]] = []
        self._names: list[str] = []

    def write(
        self, state: Mapping[str, Any], messages: Sequence[Outgoing], kept_with: Mapping[str, Any]
    ) -> None:
        """Write a state in place of the one before the last.

        Args:
            state: of a trader: arrays, one level of tables with arrays, and JSON values.
            messages: that are not confirmed, or not even sent.
            kept_with: further JSON values.

        Raises:
            OSError: the disk is full or gone: nothing may be published.
        """
        if self._layout is None:
            self._layout = _layout(state)
            self._paths = [path for path, _ in _arrays(state)]
            self._names = [name for name, value in state.items() if not _has_arrays(value)]
        values = {name: state[name] for name in self._names}
        values |= kept_with
        values["messages"] = [(m.subject, m.stream, len(m.payload)) for m in messages]
        text = json.dumps(values, separators=(",", ":")).encode()
        # Arrays are joined as they lie in memory: this is on the way of an order.
        parts: list[Any] = [_SIZES.pack(len(self._layout), len(text)), self._layout, text]
        for path in self._paths:
            array = state[path[0]] if len(path) == 1 else state[path[0]][path[1]]
            parts.append(
                np.ascontiguousarray(array).view(np.uint8) if array.ndim else array.tobytes()
            )
        parts += [message.payload for message in messages]
        self._put(b"".join(parts))

    def read(self) -> Kept | None:
        """Return the newest state that is whole; None if there is none.

        Raises:
            StateCorrupt: there is something, but nothing whole.
        """
        found: list[Kept] = []
        spoilt: list[str] = []
        for name in _FILES:
            path = self.folder / name
            if not path.exists():
                continue
            try:
                found.append(_parse(_content(path)))
            except StateCorrupt as error:
                spoilt.append(f"{path} {error}")
        if not found and spoilt:
            raise StateCorrupt("; ".join(spoilt))
        if not found:
            return None
        newest = max(found, key=lambda kept: kept.generation)
        self._generation = newest.generation
        return newest

    def set_aside(self, word: str) -> list[Path]:
        """Rename what is there, to be looked at; return the new names."""
        self.close()
        self._generation = 0
        moved: list[Path] = []
        for name in _FILES:
            path = self.folder / name
            if path.exists():
                number = 1
                while (aside := self.folder / f"{name}.{word}-{number}").exists():
                    number += 1
                path.rename(aside)
                moved.append(aside)
        return moved

    def close(self) -> None:
        """Close the files."""
        for descriptor in self._files.values():
            os.close(descriptor)
        self._files.clear()

    def _put(self, payload: bytes) -> None:
        generation = self._generation + 1
        name = _FILES[generation % len(_FILES)]
        descriptor = self._files.get(name)
        if descriptor is None:
            flags = os.O_WRONLY | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
            descriptor = self._files[name] = os.open(self.folder / name, flags, 0o600)
        head = _HEAD.pack(_MAGIC, generation, len(payload), _crc(generation, payload))
        os.lseek(descriptor, 0, os.SEEK_SET)
        if os.writev(descriptor, (head, payload)) != len(head) + len(payload):
            msg = f"{self.folder / name}: the disk took only a part of the state"
            raise OSError(msg)
        self._generation = generation


def _content(path: Path) -> bytes:
    if not path.is_file():
        msg = "is no file"
        raise StateCorrupt(msg)
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"cannot be read ({error.strerror})"
        raise StateCorrupt(msg) from None


def _crc(generation: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(generation.to_bytes(8, "little")))


def _parse(data: bytes) -> Kept:
    if len(data) < _HEAD.size:
        msg = "is cut off"
        raise StateCorrupt(msg)
    magic, generation, length, crc = cast("tuple[bytes, int, int, int]", _HEAD.unpack_from(data))
    if magic != _MAGIC:
        msg = "is no state of this version"
        raise StateCorrupt(msg)
    payload = data[_HEAD.size : _HEAD.size + length]
    if len(payload) != length or _crc(generation, payload) != crc:
        msg = "does not have the checksum that it was written with"
        raise StateCorrupt(msg)
    layout_size, text_size = _SIZES.unpack_from(payload)
    at = _SIZES.size + layout_size
    layout = payload[_SIZES.size : at]
    values: dict[str, Any] = json.loads(payload[at : at + text_size])
    at += text_size
    heads: list[tuple[str, str, int]] = values.pop("messages")
    end = length - sum(size for _, _, size in heads)
    arrays = payload[at:end]
    messages: list[Outgoing] = []
    for subject, stream, size in heads:
        messages.append(Outgoing(subject, payload[end : end + size], stream))
        end += size
    return Kept(
        values=values,
        arrays=arrays,
        layout=layout,
        messages=tuple(messages),
        generation=generation,
    )


def _arrays(state: Mapping[str, Any]) -> Iterator[tuple[tuple[str, ...], NDArray[Any]]]:
    for name, value in state.items():
        if isinstance(value, np.ndarray):
            yield (name,), cast("NDArray[Any]", value)
        elif _has_arrays(value):
            for inner, array in value.items():
                yield (name, inner), array


def _has_arrays(value: Any) -> bool:
    if isinstance(value, np.ndarray):
        return True
    return isinstance(value, dict) and any(
        isinstance(each, np.ndarray) for each in cast("dict[str, Any]", value).values()
    )


def _layout(state: Mapping[str, Any]) -> bytes:
    text = "\n".join(f"{path} {array.dtype} {array.shape}" for path, array in _arrays(state))
    return hashlib.sha256(text.encode()).digest()
