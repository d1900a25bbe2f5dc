"""PostgreSQL's binary COPY from arrays and into arrays, for rows of one length without NULLs.

A row on the wire is the number of its columns, then for each the length and the value, big-endian:
a packed numpy dtype. Building and reading it are casts of whole columns, not loops over rows.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from psycopg import Cursor, sql

from realtime.store.connection import Row
from realtime.store.errors import RecordIncomplete

_SIGNATURE = b"PGCOPY\n\xff\r\n\0" + bytes(8)  # flags and extension: none
_TRAILER = b"\xff\xff"
_PIECE_BYTES = 1 << 20


def wire_dtype(columns: Mapping[str, str]) -> np.dtype[np.void]:
    """Return the packed layout of a row.

    Args:
        columns: numpy type (``"i4"``, ``"i8"``, ``"f8"``) by name, in the order of the table.
    """
    fields: list[tuple[str, str]] = [("columns", ">i2")]
    for name, kind in columns.items():
        fields += [(f"{name}/length", ">i4"), (name, f">{kind}")]
    return np.dtype(fields)


def wire_rows(columns: Mapping[str, str], values: Mapping[str, NDArray[Any]]) -> NDArray[np.void]:
    """Lay columns of equal length out as COPY wants them."""
    dtype = wire_dtype(columns)
    first = next(iter(columns))
    rows = np.empty(len(values[first]), dtype)
    rows["columns"] = len(columns)
    for name, kind in columns.items():
        rows[f"{name}/length"] = np.dtype(kind).itemsize
        rows[name] = values[name]
    return rows


def copy_in(cursor: Cursor[Row], table: str, rows: NDArray[np.void]) -> None:
    """Append rows, laid out by `wire_rows`, to a table."""
    names = [name for name in rows.dtype.names or () if name != "columns" and "/" not in name]
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT binary)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, names))
    )
    data = memoryview(cast("Any", rows.view(np.uint8)))
    with cursor.copy(statement) as copy:
        copy.write(_SIGNATURE)
        for at in range(0, len(data), _PIECE_BYTES):
            copy.write(data[at : at + _PIECE_BYTES])
        copy.write(_TRAILER)


def copy_out(
    cursor: Cursor[Row], query: sql.Composable, columns: Mapping[str, str]
) -> NDArray[np.void]:
    """Read the rows of a query.

    Args:
        cursor: to run it with.
        query: whose columns are `columns`, none of them NULL.
        columns: as in `wire_dtype`.

    Returns:
        The rows as they came: big-endian, a field for each column (and the lengths between).
    """
    statement = sql.SQL("COPY ({}) TO STDOUT (FORMAT binary)").format(query)
    with cursor.copy(statement) as copy:
        data = b"".join(copy)
    body = memoryview(data)[len(_SIGNATURE) : len(data) - len(_TRAILER)]
    dtype = wire_dtype(columns)
    if len(body) % dtype.itemsize != 0:
        msg = f"{len(body)} bytes came back, not whole rows of {tuple(columns)}"
        raise RecordIncomplete(msg)
    return np.frombuffer(body, dtype)
