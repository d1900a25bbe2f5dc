"""``python -m realtime kill``: close everything and open nothing, until ``kill --off``.

The loop closes what is open; the gateway executes nothing that opens, also with the loop away. The
switch is kept by the message server and outlives restarts of everything.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from nats.errors import Error as NatsError

from realtime.connection import ConnectionRefused, connect
from realtime.contracts.subjects import SWITCH_BUCKET
from realtime.declarations import SettingsError
from realtime.service import run_async
from realtime.settings import Settings, load_settings
from realtime.switch import ALL_ACCOUNTS, switch_key

_USER = "operator"
_ANSWER_S = 5.0


class NotThrown(RuntimeError):
    """The switch stands where it stood."""


def main(arguments: Sequence[str]) -> int:
    """Throw or release it; 0 = done, 2 = it could not be, with one line."""
    parser = argparse.ArgumentParser(
        prog="kill", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--off", action="store_true", help="release the switch")
    parser.add_argument("--all", action="store_true", help="the switch of all accounts")
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings(asked.config)
        key = ALL_ACCOUNTS if asked.all else switch_key(settings.gateway.account)
        run_async(throw(settings, key, on=not asked.off))
    except (SettingsError, ConnectionRefused, NotThrown) as error:
        sys.stderr.write(f"kill: {error}\n")
        return 2
    whose = "all accounts" if asked.all else f"account {settings.gateway.account}"
    sys.stdout.write(f"the kill switch of {whose} is {'off' if asked.off else 'on'}\n")
    return 0


async def throw(settings: Settings, key: str, *, on: bool) -> None:
    """Write the switch.

    Args:
        settings: which server.
        key: of the bucket, from `switch_key`, or `ALL_ACCOUNTS`.
        on: whether trading stops.

    Raises:
        NotThrown: the server has not kept it.
        ConnectionRefused: see `connect`.
    """
    client = await connect(settings, _USER)
    try:
        js = client.jetstream(timeout=_ANSWER_S)  # pyright: ignore[reportUnknownMemberType]
        subject = f"$KV.{SWITCH_BUCKET}.{key}"
        await js.publish(subject, b"on" if on else b"off", stream=f"KV_{SWITCH_BUCKET}")
    except (NatsError, OSError, TimeoutError) as error:
        msg = f"the switch was not written ({error or 'no answer'}): try again, and look"
        raise NotThrown(msg) from error
    finally:
        await client.close()
