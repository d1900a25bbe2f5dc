"""The tape: what an engine writes down as it goes, in one record that the caller drains.

A kernel never allocates, so the tape has a fixed length; `has_room` answers for the worst tick
(every position and every order ending at once), and the caller drains it when there is none.
"""

import numpy as np

from realtime.kernels.broker import closed_orders_per_tick, fills_per_tick
from realtime.kernels.jit import kernel
from realtime.kernels.layout import TAPE_ROWS


@kernel
def has_room(tape: np.void, desk: np.void) -> bool:
    """Tell whether one more tick fits, whatever happens on it.

    The broker acts twice on a tick, and a flattening account sends one order a symbol.
    """
    symbols = desk["symbols"]
    orders = 2 * closed_orders_per_tick(desk) + desk["position_capacity"] + symbols
    return (
        tape["n_orders"] + orders <= TAPE_ROWS
        and tape["n_fills"] + 2 * fills_per_tick(desk) <= TAPE_ROWS
        and tape["n_decisions"] + symbols + 1 <= TAPE_ROWS
        and tape["n_samples"] + symbols + 1 <= TAPE_ROWS
    )
