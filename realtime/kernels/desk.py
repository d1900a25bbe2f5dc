"""A desk put together from tables: the record that every trading kernel takes."""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.layout import (
    DESK,
    DESK_DAYS,
    DESK_ORDERS,
    DESK_POSITIONS,
    DESK_SYMBOLS,
)


class DeskError(ValueError):
    """More was asked of a desk than it has room for."""


def assemble_desk(
    *,
    account: NDArray[np.void],
    account_limits: NDArray[np.void],
    specs: NDArray[np.void],
    limits: NDArray[np.void],
    params: NDArray[np.void],
    days: NDArray[np.void],
    position_rows: int = 64,
    order_rows: int = 64,
) -> np.void:
    """Return a desk without quotes, positions or orders.

    Args:
        account: (1,) ACCOUNT.
        account_limits: (1,) ACCOUNT_LIMITS.
        specs: (symbols,) SPEC.
        limits: (symbols,) LIMITS.
        params: (symbols,) DECISION_PARAMS.
        days: (rows,) DAY, the calendars that the specs point into.
        position_rows: most positions open at once.
        order_rows: most orders working at once.

    Returns:
        A DESK record. Its ``base`` is the (1,) array that it lives in.

    Raises:
        DeskError: more symbols, rows or days than the layout holds.
    """
    for what, count, room in (
        ("symbols", len(specs), DESK_SYMBOLS),
        ("positions", position_rows, DESK_POSITIONS),
        ("orders", order_rows, DESK_ORDERS),
        ("calendar days", len(days), DESK_DAYS),
    ):
        if count > room:
            msg = f"a desk holds at most {room} {what}, not {count}: split the work over several"
            raise DeskError(msg)
    desk = np.zeros(1, DESK)
    desk["symbols"] = len(specs)
    desk["position_capacity"] = position_rows
    desk["order_capacity"] = order_rows
    desk["account"] = account
    desk["account_limits"] = account_limits
    desk["day_rows"] = -1
    desk["signals"]["probability"] = np.nan
    desk["signals"]["volatility"] = np.nan
    for name, table in (("specs", specs), ("limits", limits), ("params", params), ("days", days)):
        desk[name][0, : len(table)] = table
    record: np.void = desk[0]
    return record
