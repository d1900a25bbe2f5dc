"""``python -m realtime reset``: release the drawdown limit that stopped an account.

The loop trades on from there: drawdown is measured from the equity of now. The daily loss limit
releases itself with the next trading day; the kill switch is released where it was thrown.
"""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

from nats.aio.msg import Msg

from realtime.connection import ConnectionRefused, connect
from realtime.contracts.control_pb2 import Alert
from realtime.contracts.subjects import RESET_DRAWDOWN, alert_subject, command_subject
from realtime.declarations import SettingsError
from realtime.service import run_async
from realtime.settings import Settings, load_settings

_USER = "operator"
_PATIENCE_S = 5.0


class NoAnswer(RuntimeError):
    """No loop of the account answered."""


def main(arguments: Sequence[str]) -> int:
    """Ask once; 0 = done, 1 = no loop answers, 2 = refused, with one line."""
    parser = argparse.ArgumentParser(
        prog="reset", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    asked = parser.parse_args(arguments)
    try:
        text = run_async(reset_drawdown(load_settings(asked.config)))
    except NoAnswer as error:
        sys.stderr.write(f"reset: {error}\n")
        return 1
    except (SettingsError, ConnectionRefused) as error:
        sys.stderr.write(f"reset: {error}\n")
        return 2
    sys.stdout.write(f"{text}\n")
    return 0


async def reset_drawdown(settings: Settings) -> str:
    """Ask the loop of the account; return what it says when it is done.

    Raises:
        NoAnswer: no loop does.
        ConnectionRefused: see `connect`.
    """
    account = settings.gateway.account
    client = await connect(settings, _USER)
    answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def heard(message: Msg) -> None:
        alert = Alert.FromString(message.data)
        is_answer = alert.code == RESET_DRAWDOWN and alert.details.get("account") == account
        if is_answer and not answered.done():
            answered.set_result(alert.text)

    try:
        await client.subscribe(alert_subject("warning"), cb=heard)  # pyright: ignore[reportUnknownMemberType] (an argument we do not use)
        await client.flush()
        await client.publish(command_subject(account), RESET_DRAWDOWN.encode())
        async with asyncio.timeout(_PATIENCE_S):
            return await answered
    except TimeoutError:
        msg = f"no loop of account {account!r} answers: is it running?"
        raise NoAnswer(msg) from None
    finally:
        await client.close()
