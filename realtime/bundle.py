"""Model bundles: a directory with ``bundle.json`` and the files it names, checked before use.

``bundle.json`` (format 1) says what the model is for, what it must be fed, how to decide on what it
says, what it was trained on, and the SHA-256 of every other file. Its id is a hash of all of that
but the training run and the gates' report, so equal training gives an equal id. As a message a
bundle is a tar of its files, the same bytes for the same bundle.

Nothing here is ever executed: JSON, ONNX, and no pickle.
"""

import hashlib
import io
import json
import shutil
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from realtime.declarations import SettingsError
from realtime.kernels.features.catalogue import CLOCKS_NS
from realtime.kernels.features.feature import FeatureError
from realtime.kernels.features.feature_set import FeatureSet
from realtime.settings import DecisionSettings

FORMAT = 1
MANIFEST = "bundle.json"
STAGES = ("shadow", "paper", "live")
LARGEST_BYTES = 1 << 30  # of a bundle: more is a mistake
_NOT_IN_ID = ("id", "training", "gates")


class BundleError(ValueError):
    """A bundle that must not be used: one line that says why and what to do."""


class BundleUnreadable(BundleError):
    """No bundle, a file of it is missing, or ``bundle.json`` is not one of this format."""


class BundleHashMismatch(BundleError):
    """The bytes are not those that were promoted."""


class BundleFeaturesDiffer(BundleError):
    """It wants features that these kernels do not have, or compute in another way."""


class BundleModelInvalid(BundleError):
    """Its ONNX model cannot be loaded, or has another form than a bundle's must have."""


class BundleArchiveInvalid(BundleError):
    """The tar is cut off, or holds what a bundle never holds."""


class BundleMisplaced(BundleError):
    """A good bundle in the wrong place: another symbol, clock, stage or name than announced."""


@dataclass(frozen=True, kw_only=True)
class ModelFile:
    """The ONNX file of a bundle.

    Attributes:
        file: its name in the bundle.
        family: of models, as ``"xgboost"``.
        input: name of the input, float32 (1, n).
        output: name of the output, float32 (1, 1) or (1,): probability of the up barrier.
    """

    file: str
    family: str
    input: str
    output: str


@dataclass(frozen=True, kw_only=True)
class Bundle:
    """What ``bundle.json`` says; see decision by decision in ``docs/architecture.md``.

    Attributes:
        id: ``<SYMBOL>-<clock>-<12 hex digits>``.
        symbol: that it predicts.
        clock: whose finished bars it is asked on.
        stage: ``"shadow"`` (predicts, never orders), ``"paper"`` or ``"live"``.
        features: columns of a row, in order.
        feed: what the features are fed: ``"tick"``.
        symbols: names of the symbols that features refer to, own first; empty if to none.
        feature_set: identity of the features and their code.
        model: the ONNX file.
        label: what was predicted, for the record.
        decision: how to decide on a probability.
        trained_from_ns: oldest moment of the training data.
        trained_through_ns: newest one; nothing is ever predicted at or before it.
        evaluated_through_ns: newest moment that the gates looked at: nothing is traded at or before
            it, and the model's age counts from there.
        data: fingerprint and partitions of the training data, for the record.
        training: the run that made it, for the record.
        gates: what it passed, for the record.
        files: SHA-256 of each file, by name.
    """

    id: str
    symbol: str
    clock: str
    stage: str
    features: tuple[str, ...]
    feed: str
    symbols: tuple[str, ...]
    feature_set: str
    model: ModelFile
    label: Mapping[str, Any]
    decision: DecisionSettings
    trained_from_ns: int
    trained_through_ns: int
    evaluated_through_ns: int
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    gates: Mapping[str, Any]
    files: Mapping[str, str]

    @property
    def chosen(self) -> FeatureSet:
        """The features as kernels know them."""
        return feature_set_of(self.features, self.feed, self.symbols)


@lru_cache(maxsize=64)
def feature_set_of(features: tuple[str, ...], feed: str, symbols: tuple[str, ...]) -> FeatureSet:
    """Return a feature set, the same object for the same choice: its identity takes a while.

    Raises:
        FeatureError: see `FeatureSet`.
    """
    return FeatureSet(features=features, feed=feed, symbols=symbols)


def bundle_id(content: Mapping[str, Any]) -> str:
    """Return the id that the content of a ``bundle.json`` must have.

    Args:
        content: as JSON, with or without ``id``.
    """
    hashed = {name: value for name, value in content.items() if name not in _NOT_IN_ID}
    text = json.dumps(hashed, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    digest = hashlib.sha256(text.encode()).hexdigest()
    return f"{content['symbol']}-{content['clock']}-{digest[:12]}"


def read_bundle(directory: Path) -> Bundle:
    """Read a bundle and check all of it but the inside of the model.

    Raises:
        BundleUnreadable: missing or malformed.
        BundleHashMismatch: a file, or what ``bundle.json`` says, is not what was promoted.
        BundleFeaturesDiffer: these kernels cannot serve it.
    """
    bundle = parse_bundle(_read(directory / MANIFEST), str(directory))
    for name, expected in bundle.files.items():
        found = hashlib.sha256(_read(directory / name)).hexdigest()
        if found != expected:
            msg = (
                f"bundle {bundle.id}: {name} has the hash {found[:12]}..., bundle.json says"
                f" {expected[:12]}...: it was changed or damaged, promote it again"
            )
            raise BundleHashMismatch(msg)
    _require_features(bundle)
    return bundle


def parse_bundle(text: bytes, where: str) -> Bundle:
    """Read the content of a ``bundle.json`` and check that it is whole.

    Raises:
        BundleUnreadable: not of this format.
        BundleHashMismatch: the id does not belong to the content.
    """
    try:
        content: Any = json.loads(text)
    except ValueError as error:
        msg = f"{where}: {MANIFEST} is not JSON: {error}"
        raise BundleUnreadable(msg) from None
    if not isinstance(content, dict):
        msg = f"{where}: {MANIFEST} is not a table"
        raise BundleUnreadable(msg)
    content = cast("dict[str, Any]", content)
    if content.get("format") != FORMAT:
        msg = (
            f"{where}: format {content.get('format')!r} is not {FORMAT}, the one that is read here"
        )
        raise BundleUnreadable(msg)
    bundle = _bundle(content, where)
    expected = bundle_id(content)
    if bundle.id != expected:
        msg = f"{where}: the id is {bundle.id}, its content is that of {expected}: it was changed"
        raise BundleHashMismatch(msg)
    return bundle


def pack(directory: Path) -> bytes:
    """Return a bundle as a tar; the same bundle gives the same bytes.

    Raises:
        BundleError: see `read_bundle`.
    """
    bundle = read_bundle(directory)
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name in (MANIFEST, *sorted(bundle.files)):
            data = _read(directory / name)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            member.mode = 0o644
            archive.addfile(member, io.BytesIO(data))
    return target.getvalue()


def unpack(data: bytes, directory: Path, sha256: str) -> Bundle:
    """Unpack a tar into a new directory and check what came out; on any error there is none.

    Args:
        data: as `pack` returned it.
        directory: to make; replaced if it is there.
        sha256: that the tar must have, hex.

    Raises:
        BundleHashMismatch: not the bytes that were announced.
        BundleArchiveInvalid: cut off, or with anything but plain files.
        BundleError: see `read_bundle`.
    """
    found = hashlib.sha256(data).hexdigest()
    if found != sha256:
        msg = f"the archive has the hash {found[:12]}..., {sha256[:12]}... was announced"
        raise BundleHashMismatch(msg)
    directory.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=directory.parent))
    try:
        for name, content in _members(data).items():
            (aside / name).write_bytes(content)
        bundle = read_bundle(aside)
        shutil.rmtree(directory, ignore_errors=True)
        aside.replace(directory)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return bundle


def peek(data: bytes, name: str) -> Bundle:
    """Read only what a packed bundle says of itself; its features and files are not checked.

    Raises:
        BundleArchiveInvalid: see `unpack`.
        BundleUnreadable: see `parse_bundle`.
    """
    return parse_bundle(_members(data).get(MANIFEST, b""), name)


def _members(data: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
            for member in archive:
                _require_plain(member)
                content = archive.extractfile(member)
                assert content is not None  # a plain file has content
                files[member.name] = content.read()
                if len(files[member.name]) != member.size:
                    msg = f"the archive is cut off in {member.name!r}"
                    raise BundleArchiveInvalid(msg)
    except (tarfile.TarError, EOFError, OSError) as error:
        msg = f"the archive cannot be read: {error}"
        raise BundleArchiveInvalid(msg) from None
    return files


def _require_plain(member: tarfile.TarInfo) -> None:
    if not member.isfile() or not _is_plain_name(member.name):
        msg = f"the archive holds {member.name!r}: a bundle has plain files, and no folders"
        raise BundleArchiveInvalid(msg)
    if member.size > LARGEST_BYTES:
        msg = f"{member.name!r} in the archive claims {member.size} bytes"
        raise BundleArchiveInvalid(msg)


def _is_plain_name(name: str) -> bool:
    return (
        bool(name)
        and not name.startswith(".")
        and name.isprintable()
        and not set(name) & set("/\\:")
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise BundleUnreadable(msg) from None


# --- from JSON --------------------------------------------------------------------------------


def _bundle(content: Mapping[str, Any], where: str) -> Bundle:
    keys = {item.name for item in fields(Bundle)} | {"format"}
    missing, unknown = sorted(keys - set(content)), sorted(set(content) - keys)
    if missing or unknown:
        said = [f"{word} {', '.join(names)}" for word, names in
                (("lacks", missing), ("has unknown", unknown)) if names]  # fmt: skip
        msg = f"{where}: {MANIFEST} {' and '.join(said)}"
        raise BundleUnreadable(msg)
    reader = _Reader(content, where)
    model = _Reader(reader.table("model"), f"{where} model")
    bundle = Bundle(
        id=reader.text("id"),
        symbol=reader.text("symbol"),
        clock=reader.one_of("clock", tuple(CLOCKS_NS)),
        stage=reader.one_of("stage", STAGES),
        features=reader.texts("features"),
        feed=reader.text("feed"),
        symbols=reader.texts("symbols"),
        feature_set=reader.text("feature_set"),
        model=ModelFile(**{item.name: model.text(item.name) for item in fields(ModelFile)}),
        label=reader.table("label"),
        decision=reader.decision(),
        trained_from_ns=reader.whole("trained_from_ns"),
        trained_through_ns=reader.whole("trained_through_ns"),
        evaluated_through_ns=reader.whole("evaluated_through_ns"),
        data=reader.table("data"),
        training=reader.table("training"),
        gates=reader.table("gates"),
        files=reader.table("files"),
    )
    for name, digest in bundle.files.items():
        if not _is_plain_name(name) or name == MANIFEST or not isinstance(cast("Any", digest), str):
            msg = f"{where}: files names {name!r}: a bundle has plain files with a hash each"
            raise BundleUnreadable(msg)
    if bundle.model.file not in bundle.files:
        msg = f"{where}: the model's file {bundle.model.file!r} is not among files"
        raise BundleUnreadable(msg)
    return bundle


class _Reader:
    """Typed values out of a table."""

    def __init__(self, content: Mapping[str, Any], where: str) -> None:
        self._content = content
        self._where = where

    def text(self, key: str) -> str:
        value = self._content.get(key)
        return value if isinstance(value, str) and value else self._refuse(key, "text")

    def one_of(self, key: str, allowed: tuple[str, ...]) -> str:
        value = self.text(key)
        return value if value in allowed else self._refuse(key, f"one of {', '.join(allowed)}")

    def texts(self, key: str) -> tuple[str, ...]:
        values = self._content.get(key)
        if isinstance(values, list):
            listed = cast("list[Any]", values)
            if all(isinstance(value, str) for value in listed):
                return tuple(listed)
        return self._refuse(key, "a list of text")

    def whole(self, key: str) -> int:
        value = self._content.get(key)
        return value if type(value) is int else self._refuse(key, "a whole number")

    def table(self, key: str) -> Mapping[str, Any]:
        value = self._content.get(key)
        if not isinstance(value, dict):
            return self._refuse(key, "a table")
        return MappingProxyType(cast("dict[str, Any]", value))

    def decision(self) -> DecisionSettings:
        try:
            return DecisionSettings.read(self.table("decision"), f"{self._where} decision")
        except SettingsError as error:
            raise BundleUnreadable(str(error)) from None

    def _refuse(self, key: str, wanted: str) -> Any:
        msg = f"{self._where}: {key} = {self._content.get(key)!r}: must be {wanted}"
        raise BundleUnreadable(msg)


def _require_features(bundle: Bundle) -> None:
    try:
        identity = bundle.chosen.identity
    except FeatureError as error:
        msg = f"bundle {bundle.id}: {error}: these kernels cannot serve it, train again"
        raise BundleFeaturesDiffer(msg) from None
    if identity != bundle.feature_set:
        msg = (
            f"bundle {bundle.id} was trained on features that were computed by other code"
            f" ({bundle.feature_set[:12]}..., here {identity[:12]}...): train again"
        )
        raise BundleFeaturesDiffer(msg)
