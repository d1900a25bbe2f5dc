"""The operator's kill switch, as the gateway obeys it: no order that opens leaves while it is on.

Bucket ``switch``, keys ``kill`` (every account) and ``kill.<ACCOUNT>``: on unless the value is
empty, ``0``, ``off`` or ``false``. While the bucket cannot be read, what was read last holds.
"""

import asyncio
import logging

from mt5_gateway.recorded import StreamUnreadable, last_message
from realtime.connection import Client
from realtime.contracts.subjects import SWITCH_BUCKET, token

_LOOK_S = 0.25
_OFF = frozenset({b"", b"0", b"off", b"false"})


class KillSwitch:
    """Follows the switch.

    Args:
        client: connected.
        account: name.
    """

    def __init__(self, client: Client, account: str) -> None:
        self.is_on = False
        self._client = client
        self._subjects = tuple(
            f"$KV.{SWITCH_BUCKET}.{key}" for key in ("kill", f"kill.{token(account)}")
        )
        self._log = logging.getLogger("gateway")

    async def look(self) -> None:
        """Read the switch once."""
        stream = f"KV_{SWITCH_BUCKET}"
        try:
            values = [
                await last_message(self._client, stream, subject) for subject in self._subjects
            ]
        except StreamUnreadable as error:
            self._log.debug("kill switch: %s", error)
            return
        is_on = any(each is not None and each.payload.lower() not in _OFF for each in values)
        if is_on != self.is_on:
            self._log.warning("kill switch %s", "on" if is_on else "off")
        self.is_on = is_on

    async def follow(self, stopping: asyncio.Event) -> None:
        """Read the switch again and again."""
        while not stopping.is_set():
            await self.look()
            await asyncio.sleep(_LOOK_S)
