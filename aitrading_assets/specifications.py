"""Symbols and their calendars, as the settings have them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import calendar_named
from realtime.settings import Settings
from realtime.symbols import Symbol, chosen_symbols, load_symbols

_DAY_NS = 86_400_000_000_000


def symbols_known(settings: Settings, names: Sequence[str]) -> tuple[Symbol, ...]:
    """Return specifications.

    Raises:
        SettingsError: a symbol is unknown; says which are near.
    """
    override = settings.paths.specifications
    known = load_symbols(Path(override) if override else None)
    return chosen_symbols(names, known) if names else ()


def days_of(symbol: Symbol, start_ns: int, end_ns: int) -> NDArray[np.void]:
    """Return the DAY rows of a symbol's calendar, a day beyond both ends."""
    return calendar_named(symbol.calendar).days(
        start_ns - _DAY_NS, end_ns + _DAY_NS, swap_rollover3days=symbol.swap_rollover3days
    )
