"""The champions in force, read without anything that trains: a sensor asks every few seconds."""

import asyncio
from collections.abc import Iterable

from aitrading_sensors.publishing import USER
from realtime.champion import Champion, read_champion
from realtime.connection import ConnectionRefused, connect
from realtime.settings import Settings

_ANSWER_S = 30.0


def champions_of(settings: Settings, symbols: Iterable[str]) -> list[Champion]:
    """Return the champions of those symbols that have one, in their order.

    Args:
        settings: which server; the password of the user `platform`.
        symbols: whose.

    Raises:
        ConnectionRefused: the server cannot be reached, or does not answer.
        BundleError: what is announced is no champion.
    """
    return asyncio.run(_read(settings, tuple(symbols)))


async def _read(settings: Settings, symbols: tuple[str, ...]) -> list[Champion]:
    try:
        async with asyncio.timeout(_ANSWER_S):
            client = await connect(settings, USER)
            try:
                found = [await read_champion(client, symbol) for symbol in symbols]
            finally:
                await client.close()
    except (TimeoutError, OSError) as error:
        msg = f"the NATS server went away while it was asked for champions ({error})"
        raise ConnectionRefused(msg) from error
    return [champion for champion in found if champion is not None]
