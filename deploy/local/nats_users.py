"""What each NATS user may do, in the server's terms.

Nothing is allowed but what follows from `realtime.contracts.subjects.USERS`. Reading a stream goes
through requests to the server: about the stream, for one message, for consumers that hand out many.
A consumer that lasts bears its owner's name, and no other user may touch it.

Left open by NATS itself: the server answers a request wherever the request's reply subject points,
without asking whether the requester may publish there. So a reader can have a *stored* message
delivered again under another subject, never one of its own making. The gateway and the recorder
take no order twice, so this forges nothing.
"""

from collections.abc import Sequence
from typing import Any

from realtime.contracts.subjects import USERS, User

_API = "$JS.API"
_ALL_API = f"{_API}.>"
_OBJECTS = "$O."
_COMMANDS = "ctl."
_LOCKSTEP = "ctl.lockstep."

# To reply to commands: one answer each, given within this time.
_RESPONSES = {"max": 1, "expires": "1m"}


def permissions(user: User, users: Sequence[User] = USERS) -> dict[str, Any]:
    """Return the ``permissions`` block of a user in the server's configuration."""
    publish: dict[str, list[str]] = {"allow": publish_subjects(user)}
    denied = _consumers_of_others(user, users)
    if denied and user.reads:
        publish["deny"] = denied
    block: dict[str, Any] = {
        "publish": publish,
        "subscribe": {"allow": [*user.subscribes, f"_INBOX.{user.name}.>"]},
    }
    if any(
        each.startswith(_COMMANDS) and not each.startswith(_LOCKSTEP) for each in user.subscribes
    ):
        block["allow_responses"] = _RESPONSES
    return block


def publish_subjects(user: User) -> list[str]:
    """Return every subject that a user may publish to."""
    allowed = list(user.publishes)
    if user.administers:
        allowed.append(_ALL_API)
    if user.reads:
        allowed.append(f"{_API}.STREAM.NAMES")
    for stream in user.reads:
        allowed += _reading(stream)
        if user.acknowledges:
            allowed.append(f"{_API}.CONSUMER.DURABLE.CREATE.{stream}.{user.name}")
    for subject in user.publishes:
        if subject.startswith(_OBJECTS):  # putting an object drops the chunks of the one before
            allowed.append(f"{_API}.STREAM.PURGE.OBJ_{subject.split('.')[1]}")
    return allowed


def _reading(stream: str) -> list[str]:
    return [
        f"{_API}.STREAM.INFO.{stream}",
        f"{_API}.STREAM.MSG.GET.{stream}",
        f"{_API}.DIRECT.GET.{stream}",
        f"{_API}.DIRECT.GET.{stream}.>",
        f"{_API}.CONSUMER.CREATE.{stream}",
        f"{_API}.CONSUMER.CREATE.{stream}.>",
        f"{_API}.CONSUMER.INFO.{stream}.*",
        f"{_API}.CONSUMER.DELETE.{stream}.*",
        f"{_API}.CONSUMER.MSG.NEXT.{stream}.*",
        f"$JS.ACK.{stream}.>",
        f"$JS.FC.{stream}.>",
    ]


def _consumers_of_others(user: User, users: Sequence[User]) -> list[str]:
    """Return requests about consumers that bear the name of another user."""
    others = [each.name for each in users if each.acknowledges and each.name != user.name]
    return [
        subject
        for name in others
        for subject in (
            f"{_API}.CONSUMER.*.*.{name}",
            f"{_API}.CONSUMER.*.*.{name}.>",
            f"{_API}.CONSUMER.MSG.NEXT.*.{name}",
            f"$JS.ACK.*.{name}.>",
        )
    ]


__all__ = ["permissions", "publish_subjects"]
