"""The ticks that a symbol's features look at, in the order in which the loop would take them in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from aitrading_assets.specifications import days_of, symbols_known
from ml.config import TrainingConfig
from realtime.history.errors import LakeEmpty
from realtime.history.lake import Lake
from realtime.history.lake_read import read_lake_ticks
from realtime.settings import Settings
from realtime.symbols import Symbol


@dataclass(frozen=True, kw_only=True)
class Feed:
    """Where a symbol stands among those that its features look at.

    Attributes:
        symbols: all of them, in the order of the desk.
        own: specification of the symbol itself.
        row: of the symbol in `symbols`.
        rows: of the feature set's symbols in `symbols`, own first; () if features name none.
    """

    symbols: tuple[str, ...]
    own: Symbol
    row: int
    rows: tuple[int, ...]

    def joined(self, others: tuple[str, ...]) -> "Feed":
        """Return the feed with more symbols behind its own."""
        return replace(self, symbols=(*self.symbols, *others))

    def chunks(self, lake: Lake) -> Iterator[NDArray[np.void]]:
        """Yield TICK arrays in order of time, then of `symbols`.

        Raises:
            LakeEmpty: a symbol has no ticks.
        """
        yield from read_lake_ticks(lake, self.symbols)

    def ticks(self, lake: Lake) -> NDArray[np.void]:
        """Return all of them in one array."""
        return np.concatenate(list(self.chunks(lake)))

    def days(self, lake: Lake) -> NDArray[np.void]:
        """Return the DAY rows that cover the ticks.

        Raises:
            LakeEmpty: the symbol has no ticks.
        """
        spans = [lake.months("ticks", name) for name in self.symbols]
        months = [month for span in spans for month in span]
        if not months:
            raise _empty(lake, self.own.name)
        return days_of(self.own, min(months).start_ns, max(months).next.start_ns)


def with_ticks(lake: Lake, symbols: Sequence[str]) -> list[str]:
    """Return the symbols that the lake has ticks of: one without stops no other.

    Raises:
        LakeEmpty: none of them has any.
    """
    found = [name for name in symbols if lake.months("ticks", name)]
    if symbols and not found:
        raise _empty(lake, ", ".join(symbols))
    return found


def _empty(lake: Lake, names: str) -> LakeEmpty:
    remedy = "Drop a file into the inbox and launch the job build_features."
    return LakeEmpty(f"no ticks of {names}", file=lake.address, remedy=remedy)


def feed_of(settings: Settings, config: TrainingConfig) -> Feed:
    """Return the feed of a configuration's symbol; traded symbols come in the order of the desk."""
    names = config.symbols or (config.symbol,)
    traded = [name for name in settings.trade if name in names]
    ordered = (*traded, *(name for name in names if name not in traded))
    return Feed(
        symbols=ordered,
        own=symbols_known(settings, [config.symbol])[0],
        row=ordered.index(config.symbol),
        rows=tuple(ordered.index(name) for name in config.symbols),
    )
