"""``python -m realtime tail SUBJECT``: print messages as they pass, one a line, decoded.

tail 'trade.>'                     orders, reports, decisions from now on
tail --last 20 'trade.order.>'     the last 20 orders that are kept, then what follows
tail --since 1h 'ops.alert.>'      the last hour's alerts, then what follows
tail --last 5 --once 'md.bar.>'    the last 5 bars, and no more
"""

import argparse
import asyncio
import contextlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from realtime.clock import WallClock
from realtime.connection import Client, ConnectionRefused, connect
from realtime.contracts.subjects import STREAMS
from realtime.declarations import SettingsError, duration_ns
from realtime.readable import line
from realtime.service import run_async
from realtime.settings import Settings, load_settings
from realtime.stream_follower import Message, StreamFollower, StreamMissing, stream_state

_USER = "operator"
_QUIET_S = 0.3  # after which a stream has given what it keeps


def main(arguments: Sequence[str]) -> int:
    """Print until interrupted; 2 = refused, with one line."""
    parser = argparse.ArgumentParser(
        prog="tail", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("subject", nargs="?", default=">", help="with wildcards; default: all")
    parser.add_argument("--config", type=Path, help="TOML file of settings")
    parser.add_argument("--last", type=int, default=0, metavar="N", help="kept messages first")
    parser.add_argument("--since", default="", metavar="DURATION", help="as 10m, 1h30m, 2d")
    parser.add_argument("--once", action="store_true", help="only what is kept; do not wait")
    asked = parser.parse_args(arguments)
    try:
        settings = load_settings(asked.config)
        since_ns = WallClock().now_ns() - duration_ns(asked.since) if asked.since else 0
        return run_async(_tail(settings, asked, since_ns))
    except (SettingsError, ConnectionRefused, StreamMissing) as error:
        sys.stderr.write(f"tail: {error}\n")
        return 2
    except (KeyboardInterrupt, BrokenPipeError):
        return 0


async def _tail(settings: Settings, asked: argparse.Namespace, since_ns: int) -> int:
    client = await connect(settings, _USER)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        with contextlib.suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    passing: list[tuple[str, bytes]] = []
    printed: dict[str, int] = {}
    try:
        if not asked.once:
            await _listen(client, asked.subject, passing)
        if asked.last > 0 or since_ns > 0:
            kept = await _kept(client, asked.subject, since_ns, asked.last)
            for message in kept:
                printed[f"{message.subject} {message.payload!r}"] = message.stream_seq
                _print(message.subject, message.payload)
        while not asked.once and not stopping.is_set():
            for subject, payload in passing:
                # What came while kept messages were read may have been among them.
                if f"{subject} {payload!r}" not in printed:
                    _print(subject, payload)
            printed.clear()
            passing.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await stopping.wait()
    finally:
        with contextlib.suppress(NatsError, TimeoutError, OSError):
            await client.close()
    return 0


async def _listen(client: Client, subject: str, passing: list[tuple[str, bytes]]) -> None:
    async def take(message: Msg) -> None:
        passing.append((message.subject, message.data))

    untyped: Any = client
    subjects = [subject]
    if subject == ">":  # only what an operator may see
        subjects = [each for stream in STREAMS for each in stream.subjects]
    for each in subjects:
        await untyped.subscribe(each, cb=take)
    await client.flush()


async def _kept(client: Client, subject: str, since_ns: int, last: int) -> list[Message]:
    """Return messages that streams keep, the oldest first."""
    found: list[Message] = []
    for stream in STREAMS:
        if not any(_overlap(subject, each) for each in stream.subjects):
            continue
        end = (await stream_state(client, stream.name)).last_seq
        reader = StreamFollower(client, stream.name, subject="" if subject == ">" else subject)
        mine: list[Message] = []
        while not mine or mine[-1].stream_seq < end:
            messages = await reader.read(timeout_s=_QUIET_S)
            if not messages:
                break
            mine += [each for each in messages if each.time_ns >= since_ns]
            mine = mine[-last:] if last > 0 else mine
        await reader.close()
        found += mine
    found.sort(key=lambda message: message.time_ns)
    return found[-last:] if last > 0 else found


def _overlap(asked: str, kept: str) -> bool:
    """Tell whether a subject with wildcards can match what another one matches."""
    for left, right in zip(asked.split("."), kept.split("."), strict=False):
        if ">" in (left, right):
            return True
        if left != right and "*" not in (left, right):
            return False
    return len(asked.split(".")) == len(kept.split("."))


def _print(subject: str, payload: bytes) -> None:
    sys.stdout.write(line(subject, payload) + "\n")
    sys.stdout.flush()
