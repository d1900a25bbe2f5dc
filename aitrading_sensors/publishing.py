"""Telling operators: alerts on NATS as the user `platform`, stored by the stream of operations."""

import asyncio
from collections.abc import Mapping

from nats.errors import Error as NatsError
from nats.js.errors import APIError

from realtime.clock import Clock, WallClock
from realtime.connection import ConnectionRefused, connect
from realtime.contracts.control_pb2 import Alert
from realtime.contracts.subjects import alert_subject
from realtime.settings import Settings

USER = "platform"
_LONGEST_TEXT = 500


def publish_alert(
    settings: Settings,
    severity: str,
    code: str,
    text: str,
    details: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> None:
    """Publish an alert and wait until the stream has it.

    Args:
        settings: which server; the password of the user `platform`.
        severity: ``"info"``, ``"warning"`` or ``"critical"``.
        code: stable, for machines.
        text: one line that says what to do; longer ones are cut.
        details: for whoever looks into it.
        clock: the machine's if not given.

    Raises:
        ConnectionRefused: the server cannot be reached, or did not store it.
    """
    alert = Alert(
        severity=severity,
        service=USER,
        code=code,
        text=" ".join(text.split())[:_LONGEST_TEXT],
        time_ns=(clock or WallClock()).now_ns(),
        details=dict(details or {}),
    )
    asyncio.run(_publish(settings, alert_subject(severity), alert.SerializeToString()))


async def _publish(settings: Settings, subject: str, payload: bytes) -> None:
    client = await connect(settings, USER)
    try:
        timeout_s = settings.nats.timeout_ns / 1e9
        await client.jetstream(timeout=timeout_s).publish(subject, payload)  # pyright: ignore[reportUnknownMemberType]
    except (TimeoutError, NatsError, APIError) as error:
        msg = f"the alert on {subject} was not stored: {error or type(error).__name__}"
        raise ConnectionRefused(msg) from error
    finally:
        await client.close()
