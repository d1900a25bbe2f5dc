"""Promotion: which bundle the loop follows, who said so, and the way back.

A bundle's tar is put into the object store and read back before the bucket `champion` points at it,
so the loop never sees a name without its bytes. The bucket keeps its history: rolling back means
promoting what was in force before. What a training was is recorded by `ml.tracking`.
"""

import asyncio
import hashlib
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

from nats.errors import Error as NatsError
from nats.js import JetStreamContext
from nats.js.errors import (
    BadBucketError,
    BucketNotFoundError,
    DigestMismatchError,
    NoKeysError,
    NotFoundError,
)

from ml.approval import Approval
from ml.bundle import restaged
from ml.errors import RegistryRefused
from ml.tracking import log_bundle, log_to_mlflow, register, set_alias, version_at
from realtime.bundle import STAGES, Bundle, BundleError, pack, read_bundle, unpack
from realtime.champion import Champion, parse_champion
from realtime.clock import Clock, WallClock
from realtime.connection import ConnectionRefused, connect
from realtime.contracts.subjects import CHAMPION_BUCKET, MODEL_STORE, name_of, token
from realtime.settings import Settings

USER = "platform"
_ROLLED_BACK = " (rollback)"
_SECOND_NS = 1_000_000_000
_Answer = TypeVar("_Answer")


@dataclass(frozen=True, kw_only=True)
class _Servers:
    champions: Any  # nats.js.kv.KeyValue
    models: Any  # nats.js.object_store.ObjectStore


def promote(
    settings: Settings,
    directory: Path,
    stage: str,
    by: str,
    *,
    approval: Approval | None = None,
    clock: Clock | None = None,
) -> Champion:
    """Make a bundle the champion of its symbol.

    ``"shadow"`` asks nothing; ``"paper"`` asks that the bundle passed its paper gate; ``"live"``
    that it passed every other check of its live gate and that an operator approved this very
    bundle. The bundle that goes out bears the stage.

    Args:
        settings: which server; the password of the user ``platform``.
        directory: of the bundle.
        stage: ``"shadow"``, ``"paper"`` or ``"live"``.
        by: who promotes, or what.
        approval: needed for ``"live"``.
        clock: the machine's if not given.

    Returns:
        What was announced.

    Raises:
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
    return _run(settings, lambda servers: _announce_new(servers, champion, data))


def rollback(settings: Settings, symbol: str, by: str, *, clock: Clock | None = None) -> Champion:
    """Make the champion before the present one the champion again.

    Rolling back twice goes back two: what was rolled away from is passed over.

    Raises:
        RegistryRefused: there was none before, or its bytes are gone or no longer usable; the
            present one stays.
        ConnectionRefused: the server cannot be reached.
    """
    now_ns = (clock or WallClock()).now_ns()

    async def work(servers: _Servers) -> Champion:
        stack = in_force(await _history(servers, symbol))
        if len(stack) < 2:
            held = f"only {stack[0].bundle_id}" if stack else "nothing"
            msg = f"{symbol} cannot be rolled back: {held} was promoted before"
            raise RegistryRefused(msg)
        before = stack[-2]
        await _verify(servers, before)
        again = replace(before, promoted_ns=now_ns, by=f"{by}{_ROLLED_BACK}")
        await servers.champions.put(token(symbol), again.encode())
        return again

    return _run(settings, work)


def champions(settings: Settings) -> list[Champion]:
    """Return the champion of every symbol, in order of their names."""

    async def work(servers: _Servers) -> list[Champion]:
        try:
            keys: list[str] = await servers.champions.keys()
        except NoKeysError:
            return []
        stacks = [in_force(await _history(servers, name_of(key))) for key in sorted(keys)]
        return [stack[-1] for stack in stacks if stack]

    return _run(settings, work)


def history(settings: Settings, symbol: str) -> list[Champion]:
    """Return every announcement of a symbol that is kept, oldest first."""
    return _run(settings, lambda servers: _history(servers, symbol))


def in_force(announced: list[Champion]) -> list[Champion]:
    """Return the champions that rolling back would go through, the present one last."""
    stack: list[Champion] = []
    for champion in announced:
        if champion.by.endswith(_ROLLED_BACK):
            while stack and stack[-1].sha256 != champion.sha256:
                stack.pop()
        if stack and stack[-1].sha256 == champion.sha256 and stack[-1].stage == champion.stage:
            stack[-1] = champion
        else:
            stack.append(champion)
    return stack


def _require_gates(bundle: Bundle, stage: str, approval: Approval | None) -> None:
    if stage == "shadow":
        return
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


async def _announce_new(servers: _Servers, champion: Champion, data: bytes) -> Champion:
    champion = await _put(servers, champion, data)
    await _verify(servers, champion)
    await servers.champions.put(token(champion.symbol), champion.encode())
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


async def _history(servers: _Servers, symbol: str) -> list[Champion]:
    try:
        entries = await servers.champions.history(token(symbol))
    except (NoKeysError, NotFoundError):
        return []
    found: list[Champion] = []
    for entry in entries:
        if entry.value:
            try:
                found.append(parse_champion(entry.value, symbol))
            except BundleError:
                continue  # somebody else's mistake is not in the way of a rollback
    return found


def _run(settings: Settings, work: Callable[[_Servers], Awaitable[_Answer]]) -> _Answer:
    async def connected() -> _Answer:
        client = await connect(settings, USER)
        try:
            js: JetStreamContext = client.jetstream(timeout=settings.nats.timeout_ns / _SECOND_NS)  # pyright: ignore[reportUnknownMemberType]
            servers = _Servers(
                champions=await js.key_value(CHAMPION_BUCKET),
                models=await js.object_store(MODEL_STORE),
            )
            return await work(servers)
        except (BadBucketError, BucketNotFoundError) as error:
            msg = f"the server lacks the bucket of champions or models ({error}): make up makes it"
            raise RegistryRefused(msg) from error
        except (NatsError, OSError) as error:
            msg = f"the NATS server did not answer as it should ({error or type(error).__name__})"
            raise RegistryRefused(msg) from error
        finally:
            await client.close()

    return asyncio.run(connected())


__all__ = [
    "Approval",
    "Champion",
    "ConnectionRefused",
    "champions",
    "history",
    "log_bundle",
    "log_to_mlflow",
    "promote",
    "register",
    "rollback",
    "set_alias",
    "version_at",
]
