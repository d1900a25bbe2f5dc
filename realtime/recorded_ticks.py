"""Ticks out of the database, for a warm-up that reaches back behind what the stream still holds."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import psycopg
from numpy.typing import NDArray

from realtime.inbox import Chunk
from realtime.settings import Settings
from realtime.store.connection import READER, connect, one_line
from realtime.store.errors import StoreError
from realtime.store.tick_reader import read_ticks, recorded_feed

_STRANGERS = "a symbol that is recorded and not traded"
_PART = 2_000  # ticks between two looks at the rest of the program


class RecordUnavailable(RuntimeError):
    """The database cannot be asked, or does not hold these ticks."""


def first_recorded_ns(settings: Settings) -> int | None:
    """Return the time of the first recorded tick of the account; None if none is.

    Raises:
        RecordUnavailable: the database cannot be asked.
    """
    try:
        with connect(settings, READER) as connection:
            first = recorded_feed(connection, settings.gateway.account).first
            parts = read_ticks(
                connection, settings.gateway.account, settings.trade, first=first, last=first
            )
            for rows in parts:
                return int(rows["time_ns"][0])
    except (StoreError, psycopg.Error) as error:
        raise RecordUnavailable(one_line(error)) from None
    return None


def recorded_ticks(settings: Settings, first: int, last: int) -> Iterator[Chunk]:
    """Yield ticks of the account from one feed_seq up to another, in order.

    Raises:
        RecordUnavailable: the database cannot be asked, or lacks some of them.
    """
    try:
        with connect(settings, READER) as connection:
            at = first
            for rows in read_ticks(
                connection, settings.gateway.account, settings.trade, first=first, last=last
            ):
                yield from _chunks(rows, at)
                at += len(rows)
    except (StoreError, psycopg.Error) as error:
        raise RecordUnavailable(one_line(error)) from None


def _chunks(rows: NDArray[np.void], first: int) -> Iterator[Chunk]:
    """Cut ticks where known symbols and strangers meet."""
    rows["volume"] = np.nan_to_num(rows["volume"], nan=0.0)  # as on the wire: none is 0
    strange = rows["symbol"] < 0
    edges = [0, *(np.flatnonzero(np.diff(strange)) + 1).tolist(), len(rows)]
    for begin, end in pairwise(edges):
        for start in range(begin, end, _PART):
            part = rows[start : min(start + _PART, end)].copy()
            stranger = _STRANGERS if strange[start] else ""
            yield Chunk(part, first + start, 0, False, stranger)
