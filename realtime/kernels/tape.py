"""The tape: what an engine writes down as it goes, in one record that the caller drains.

A kernel never allocates, so the tape has a fixed length; `has_room` answers for the worst event
(every position and every order ending at once), and the caller drains it when there is none.
"""

import numpy as np

from realtime.kernels.broker import fills_per_tick
from realtime.kernels.jit import kernel
from realtime.kernels.layout import TAPE_ROWS

#: What a live step returns instead of taking a tick in.
NO_ROOM = -1  # drain the tape first
NO_SYMBOL = -2  # the tick's symbol is not a row of the desk
#: A mirrored account sent orders for the quote alone; features have not seen the tick yet.
ORDERS_FIRST = 2
#: Why a run of live ticks stopped.
RUN_END = 0  # all are taken in
RUN_DUE = 1  # a decision is due: a signal is wanted, then `live_decide`
RUN_ORDERS_FIRST = 2  # as above
RUN_TOLD = 3  # the tick is done; orders were sent, decisions written, or the tape is to be emptied
RUN_NO_ROOM = 4  # this tick is not taken in: drain the tape first
RUN_NO_SYMBOL = 5  # this tick is not taken in


@kernel
def has_room(tape: np.void, desk: np.void) -> bool:
    """Tell whether one more quote and the decision on it fit, whatever happens.

    An order is written once, when it ends: all that work already may end, and quote and decision
    may each send one a position and one a symbol, each of which may be refused.
    """
    sent = 2 * (desk["position_capacity"] + desk["symbols"])
    return (
        tape["n_orders"] + desk["order_capacity"] + sent <= TAPE_ROWS
        and tape["n_fills"] + fills_per_tick(desk) + sent <= TAPE_ROWS
        and tape["n_decisions"] < TAPE_ROWS
        and tape["n_samples"] < TAPE_ROWS
    )


@kernel
def is_to_be_emptied(tape: np.void) -> bool:
    """Tell whether a live caller should take what is written: after every deal, or half full."""
    return (
        tape["n_fills"] > 0
        or tape["n_orders"] > TAPE_ROWS // 2
        or tape["n_decisions"] > TAPE_ROWS // 2
        or tape["n_samples"] > TAPE_ROWS // 2
    )
