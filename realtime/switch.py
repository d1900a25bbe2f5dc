"""The operator's kill switch: bucket ``switch``, keys ``kill`` and ``kill.<ACCOUNT>``.

On unless the value is empty, ``0``, ``off`` or ``false``. While the bucket cannot be read, what was
read last holds.
"""

import asyncio
import contextlib
from collections.abc import Callable

from realtime.connection import Client
from realtime.contracts.subjects import SWITCH_BUCKET, key
from realtime.streams import StreamReader, StreamUnavailable

LOOK_EVERY_S = 0.25
ALL_ACCOUNTS = "kill"  # key of the switch of every account
_OFF = frozenset({b"", b"0", b"off", b"false"})


def switch_key(account: str) -> str:
    """Return the key of an account's own switch."""
    return f"{ALL_ACCOUNTS}.{key(account)}"


class KillSwitch:
    """Follows the switch of an account.

    Args:
        client: connected as a user that reads the bucket.
        account: name.
        turn: told whenever it is thrown or released.
    """

    def __init__(self, client: Client, account: str, turn: Callable[[bool], None]) -> None:
        self.is_on = False
        self.is_known = False  # read once: before that nothing may be opened
        self._reader = StreamReader(client, f"KV_{SWITCH_BUCKET}")
        keys = (ALL_ACCOUNTS, switch_key(account))
        self._subjects = tuple(f"$KV.{SWITCH_BUCKET}.{each}" for each in keys)
        self._turn = turn

    async def look(self) -> None:
        """Read the switch once.

        Raises:
            StreamUnavailable: no answer; what was read last holds.
        """
        values = [await self._reader.last(subject) for subject in self._subjects]
        is_on = any(each is not None and each.payload.lower() not in _OFF for each in values)
        self.is_known = True
        if is_on != self.is_on:
            self.is_on = is_on
            self._turn(is_on)

    async def follow(self, stopping: asyncio.Event) -> None:
        """Read the switch again and again until the service stops."""
        while not stopping.is_set():
            with contextlib.suppress(StreamUnavailable):  # away, and with it ticks and orders
                await self.look()
            await asyncio.sleep(LOOK_EVERY_S)
