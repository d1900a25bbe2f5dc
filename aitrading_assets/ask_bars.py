"""Bars of the ask, read as bars of the bid: what the lake, the kernels and MetaTrader 5 mean."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from realtime.history.importing import Import


class BidOfAskBars(Import):
    """An opened import of ask bars that hands on bid bars: each price less the bar's spread.

    Args:
        opened: with a spread for every bar (of the source, or assumed).
    """

    def __init__(self, opened: Import) -> None:
        self.__dict__.update(vars(opened))  # it goes on where the other one stands

    def __iter__(self) -> Iterator[NDArray[np.void]]:
        """Yield checked `layout.BAR` arrays of the bid in order of time."""
        for bars in super().__iter__():
            for price in ("open", "high", "low", "close"):
                bars[price] -= bars["spread_mean"]
            yield bars

    def identity(self) -> tuple[object, ...]:
        """Return what shapes the rows: the side does."""
        return (*super().identity(), "ask")
