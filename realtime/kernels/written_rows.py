"""Rows that an engine has written down: they are added at the end, read, and let go."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

_LEAST = 8_192


class WrittenRows:
    """An array that grows.

    What `all` handed out stays as it is when more rows come. Memory that was reserved but never
    written is not taken from the machine, and one large array takes what it needs in large pages:
    many small ones cost a third of a fold over bars.

    Args:
        dtype: of a row.
    """

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self._rows: NDArray[np.void] = np.empty(0, dtype)
        self._count = 0

    def __len__(self) -> int:
        """Return how many there are."""
        return self._count

    def reserve(self, count: int) -> None:
        """Make room for so many more rows at once."""
        needed = self._count + count
        if needed > len(self._rows):
            rows = np.empty(max(needed, 2 * self._count, _LEAST), self._rows.dtype)
            rows[: self._count] = self._rows[: self._count]
            self._rows = rows

    def add(self, rows: NDArray[np.void]) -> None:
        """Copy rows to the end."""
        self.reserve(len(rows))
        self._rows[self._count : self._count + len(rows)] = rows
        self._count += len(rows)

    def all(self) -> NDArray[np.void]:
        """Return all rows, oldest first: a view."""
        return self._rows[: self._count]

    def clear(self) -> None:
        """Let go of all rows; those that `all` handed out live on."""
        self._rows = np.empty(0, self._rows.dtype)
        self._count = 0
