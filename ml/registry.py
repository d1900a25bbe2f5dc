"""Promotion: which bundle the loop follows, who said so, and the way back.

A bundle's tar is put into the object store and read back before the bucket `champion` points at it,
so the loop never sees a name without its bytes. The bucket keeps its history: rolling back means
promoting what was in force before, and what was rolled away from is known. Whatever is announced
names the entry that it follows, so of two who promote at once one is told that he lost.

The bucket is what the loop follows. MLflow's record of the training (`ml.tracking`) is made before,
its alias follows after (`ml.aliases`).
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import (
    BadBucketError,
    BucketNotFoundError,
    DigestMismatchError,
    KeyWrongLastSequenceError,
    NotFoundError,
)

from ml.approval import Approval
from ml.bundle import SEAL, require_sealed, restaged, twins
from ml.errors import LostRace, NotReplaced, RegistryRefused
from ml.ledger import Ledger
from ml.standing import ROLLED_BACK, Standing, in_force
from ml.tracking import log_bundle, log_to_mlflow, register, set_alias, version_at
from realtime.bundle import STAGES, Bundle, BundleError, pack, peek, read_bundle, unpack
from realtime.champion import Champion, parse_champion
from realtime.clock import Clock, WallClock
from realtime.connection import ConnectionRefused, connect
from realtime.contracts.subjects import CHAMPION_BUCKET, MODEL_STORE, key, name_of
from realtime.settings import Settings
from realtime.streams import Stored, StreamReader, StreamUnavailable

USER = "platform"
_KEYS = f"$KV.{CHAMPION_BUCKET}."
_SECOND_NS = 1_000_000_000
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class _Servers:
    champions: Any  # nats.js.kv.KeyValue
    announced: StreamReader  # of the same bucket
    models: Any  # nats.js.object_store.ObjectStore


def promote(
    settings: Settings,
    directory: Path,
    stage: str,
    by: str,
    *,
    approval: Approval | None = None,
    clock: Clock | None = None,
    demote: bool = False,
    again: bool = True,
) -> Champion:
    """Make a bundle the champion of its symbol.

    ``"shadow"`` asks nothing; ``"paper"`` asks that the bundle passed its paper gate; ``"live"``
    that it passed every other check of its live gate, that the ledger has that gate, and that an
    operator approved this very bundle. The bundle that goes out bears the stage.

    Args:
        settings: which server; the password of the user ``platform``.
        directory: of the bundle.
        stage: ``"shadow"``, ``"paper"`` or ``"live"``.
        by: who promotes, or what.
        approval: needed for ``"live"``.
        clock: the machine's if not given.
        demote: replace a champion of a higher stage, too.
        again: announce what is the champion already, or was rolled away from, too.

    Returns:
        What was announced.

    Raises:
        NotReplaced: the champion stays, see `demote` and `again`.
        LostRace: somebody else announced a champion meanwhile.
        RegistryRefused: a gate is closed, or the server did not take it: nothing was announced.
        BundleError: the bundle cannot be used.
        ConnectionRefused: the server cannot be reached.
    """
    if stage not in STAGES:
        msg = f"no such stage {stage!r}: choose one of {', '.join(STAGES)}"
        raise RegistryRefused(msg)
    if not by.strip():
        msg = "a promotion must say by whom"
        raise RegistryRefused(msg)
    bundle = read_bundle(directory)
    _require_gates(bundle, stage, approval)
    if stage == "live":
        _require_record(settings, bundle)
    names = twins(directory)
    now_ns = (clock or WallClock()).now_ns()
    with tempfile.TemporaryDirectory() as folder:
        staged = Path(folder) / "bundle"
        outgoing = _staged(directory, staged, bundle, stage, approval)
        data = pack(staged)
    champion = Champion(
        bundle_id=outgoing.id,
        object=f"{outgoing.id}.tar",
        sha256=hashlib.sha256(data).hexdigest(),
        stage=stage,
        symbol=outgoing.symbol,
        promoted_ns=now_ns,
        by=by,
    )

    async def work(servers: _Servers) -> Champion:
        standing = await _standing(servers, champion.symbol)
        objection = standing.objection(names, stage, demote=demote, again=again)
        if objection is not None:
            hint = " (--demote does it)" if objection.higher else ""
            msg = f"{outgoing.id} is not promoted: {objection.said}{hint}"
            raise NotReplaced(msg)
        stored = await _put(servers, champion, data)
        await _verify(servers, stored)
        return await _announce(servers, stored, standing.revision)

    return _run(settings, work)


def rollback(settings: Settings, symbol: str, by: str, *, clock: Clock | None = None) -> Champion:
    """Make the champion before the present one the champion again.

    Rolling back twice goes back two: what was rolled away from is passed over.

    Raises:
        LostRace: somebody else announced a champion meanwhile.
        RegistryRefused: there was none before, or its bytes are gone or no longer usable; the
            present one stays.
        ConnectionRefused: the server cannot be reached.
    """
    now_ns = (clock or WallClock()).now_ns()

    async def work(servers: _Servers) -> Champion:
        standing = await _standing(servers, symbol)
        stack = in_force(list(standing.announced))
        if len(stack) < 2:
            held = f"only {stack[0].bundle_id}" if stack else "nothing"
            msg = f"{symbol} cannot be rolled back: {held} was promoted before"
            raise RegistryRefused(msg)
        before = stack[-2]
        await _verify(servers, before)
        again = replace(before, promoted_ns=now_ns, by=f"{by}{ROLLED_BACK}")
        return await _announce(servers, again, standing.revision)

    return _run(settings, work)


def champions(settings: Settings) -> list[Champion]:
    """Return the champion of every symbol, in order of their names."""

    async def work(servers: _Servers) -> list[Champion]:
        entries = await _entries(servers, ">")
        held = sorted({stored.subject.removeprefix(_KEYS) for stored in entries})
        found = [(await _standing(servers, _symbol_of(each))).present for each in held]
        return [champion for champion in found if champion is not None]

    return _run(settings, work)


def history(settings: Settings, symbol: str) -> list[Champion]:
    """Return every announcement of a symbol that is kept, oldest first."""
    return list(standing_of(settings, symbol).announced)


def standing_of(settings: Settings, symbol: str) -> Standing:
    """Return what the history of a symbol's champions says, as of now."""
    return _run(settings, lambda servers: _standing(servers, symbol))


def bundle_of(settings: Settings, champion: Champion) -> Bundle:
    """Return what a champion's own bytes say of it, whatever became of the folder they came from.

    Raises:
        RegistryRefused: the server did not answer as it should.
        ConnectionRefused: it cannot be reached.
        BundleError: they are gone, or no bundle.
    """

    async def work(servers: _Servers) -> Bundle:
        try:
            found = await servers.models.get(champion.object)
        except (NotFoundError, DigestMismatchError):
            msg = f"{champion.object} in the object store cannot be used: promote again"
            raise BundleError(msg) from None
        return await asyncio.to_thread(peek, bytes(found.data or b""), champion.object)

    return _run(settings, work)


def _require_gates(bundle: Bundle, stage: str, approval: Approval | None) -> None:
    if stage == "shadow":
        return
    require_sealed(bundle)
    refused = _closed(bundle, "paper", ())
    if stage == "live":
        refused = refused or _closed(bundle, "live", ("approval",))
        if not refused and approval is None:
            refused = f"no operator has approved {bundle.id}: give an approval file"
        if not refused and approval is not None and approval.bundle != bundle.id:
            refused = f"the approval of {approval.by} is for {approval.bundle}, not {bundle.id}"
    if refused:
        msg = f"{bundle.id} is not promoted to {stage}: {refused}"
        raise RegistryRefused(msg)


def _require_record(settings: Settings, bundle: Bundle) -> None:
    """Refuse a live gate that the ledger does not know: a hash in the same file proves little."""
    ledger = Ledger(settings.paths.var, bundle.symbol)
    if not ledger.has_gate(bundle.id, str(bundle.gates["live"][SEAL])):
        msg = (
            f"{bundle.id} is not promoted to live: {ledger.path} has no record of its live gate as"
            f" it stands in the bundle; materialise the asset {bundle.symbol}/gates where it was"
            " trained"
        )
        raise RegistryRefused(msg)


def _closed(bundle: Bundle, gate: str, except_for: tuple[str, ...]) -> str:
    """Say why a gate that is written in a bundle is closed; nothing if it is open."""
    report = cast("dict[str, Any]", bundle.gates.get(gate) or {})
    if not report.get("checks"):
        return f"the {gate} gate was not asked"
    checks = cast("list[dict[str, Any]]", report["checks"])
    failed = [
        str(each["text"])
        for each in checks
        if each["required"] and not each["passed"] and each["name"] not in except_for
    ]
    return f"{gate} gate: {'; '.join(failed)}" if failed else ""


def _staged(
    source: Path, target: Path, bundle: Bundle, stage: str, approval: Approval | None
) -> Bundle:
    """Write the bundle as it goes out: with its stage, and with the approval in its live gate."""
    gates: dict[str, Any] = {}
    if stage == "live" and approval is not None:
        report = dict(bundle.gates["live"])
        said = {
            "name": "approval",
            "value": 1.0,
            "threshold": 1.0,
            "passed": True,
            "text": f"approved by {approval.by}: {approval.reason}",
            "required": True,
        }
        others = [each for each in report["checks"] if each["name"] != "approval"]
        gates["live"] = {**report, "passed": True, "checks": [*others, said]}
        gates["approval"] = {
            "bundle": approval.bundle,
            "by": approval.by,
            "reason": approval.reason,
        }
    return restaged(source, target, stage, gates)


async def _announce(servers: _Servers, champion: Champion, after: int) -> Champion:
    """Announce a champion as what follows an entry of the bucket, and no other.

    Raises:
        LostRace: that entry is no longer the newest.
    """
    try:
        await servers.champions.update(key(champion.symbol), champion.encode(), last=after)
    except KeyWrongLastSequenceError:
        msg = (
            f"{champion.bundle_id} is not announced: somebody else announced a champion of"
            f" {champion.symbol} meanwhile, which stays; look at it (python -m ml champions) and"
            " try again"
        )
        raise LostRace(msg) from None
    return champion


async def _put(servers: _Servers, champion: Champion, data: bytes) -> Champion:
    """Store a tar; one of the same name with other bytes is never overwritten: history needs it."""
    try:
        held = await servers.models.get(champion.object)
    except NotFoundError:
        held = None
    if held is not None and hashlib.sha256(held.data or b"").hexdigest() == champion.sha256:
        return champion
    if held is not None:
        name = f"{champion.bundle_id}-{champion.sha256[:12]}.tar"
        champion = replace(champion, object=name)
    await servers.models.put(champion.object, data)
    return champion


async def _verify(servers: _Servers, champion: Champion) -> None:
    """Read a champion's tar back and check that it can be used.

    Raises:
        RegistryRefused: it cannot.
    """
    try:
        found = await servers.models.get(champion.object)
        with tempfile.TemporaryDirectory() as folder:
            bundle = unpack(bytes(found.data or b""), Path(folder) / "bundle", champion.sha256)
    except (NotFoundError, DigestMismatchError, BundleError) as error:
        reason = str(error) or type(error).__name__
        msg = f"{champion.object} in the object store cannot be used: {reason}"
        raise RegistryRefused(msg) from None
    if bundle.id != champion.bundle_id:
        msg = f"{champion.object} in the object store holds {bundle.id}"
        raise RegistryRefused(msg)


def _symbol_of(part: str) -> str:
    """Return the symbol of a key: `key` writes with ``=`` what `token` writes with ``%``."""
    return name_of(part.replace("=", "%"))


async def _standing(servers: _Servers, symbol: str) -> Standing:
    entries = await _entries(servers, key(symbol))
    found: list[Champion] = []
    for stored in entries:
        if stored.payload:
            try:
                found.append(parse_champion(stored.payload, symbol))
            except BundleError:
                continue  # somebody else's mistake is not in the way of a rollback
    if not entries:
        return Standing()
    newest = entries[-1]
    return Standing(announced=tuple(found), revision=newest.seq, withdrawn=not newest.payload)


async def _entries(servers: _Servers, place: str) -> list[Stored]:
    """Return what the bucket keeps of a key (wildcards allowed), oldest first.

    Not `KeyValue.history`: nats-py says that there is nothing when the first entry is on its way
    while it asks how many are still to come.
    """
    async with aclosing(servers.announced.read(0, f"{_KEYS}{place}")) as parts:
        return [stored async for part in parts for stored in part]


def _run(settings: Settings, work: Callable[[_Servers], Awaitable[_Answer]]) -> _Answer:
    async def connected() -> _Answer:
        client = await connect(settings, USER)
        try:
            js: JetStreamContext = client.jetstream(timeout=settings.nats.timeout_ns / _SECOND_NS)  # pyright: ignore[reportUnknownMemberType]
            servers = _Servers(
                champions=await js.key_value(CHAMPION_BUCKET),
                announced=StreamReader(client, f"KV_{CHAMPION_BUCKET}"),
                models=await js.object_store(MODEL_STORE),
            )
            return await work(servers)
        except (BadBucketError, BucketNotFoundError) as error:
            msg = f"the server lacks the bucket of champions or models ({error}): make up makes it"
            raise RegistryRefused(msg) from error
        except (NatsError, OSError, StreamUnavailable) as error:
            msg = f"the NATS server did not answer as it should ({error or type(error).__name__})"
            raise RegistryRefused(msg) from error
        finally:
            await client.close()

    return asyncio.run(connected())


__all__ = [
    "Approval",
    "Champion",
    "ConnectionRefused",
    "bundle_of",
    "champions",
    "history",
    "in_force",
    "log_bundle",
    "log_to_mlflow",
    "promote",
    "register",
    "rollback",
    "set_alias",
    "standing_of",
    "version_at",
]
