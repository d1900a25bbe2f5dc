"""Triple barriers: which came first after a decision, the gain, the loss or the end of patience.

A label is the outcome of following one decision over the ticks after it, by the same step whether
it happens now or years later. Times are UTC nanoseconds, barriers are fractions of the price.
"""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.jit import kernel
from realtime.kernels.pieces import quote_is_sound

OPEN = 0  # nothing touched so far
UP = 1  # the upper barrier came first
DOWN = -1  # the lower barrier came first
HORIZON = 2  # neither, until the horizon

#: One decision that is followed. The caller sets the first four fields; the rest starts as zeros.
BARRIERS = np.dtype(
    [
        ("gain_fraction", "f8"),  # distance of the upper barrier; inf = none
        ("loss_fraction", "f8"),  # distance of the lower barrier; inf = none
        ("horizon_ns", "i8"),  # last moment at which a barrier counts
        ("executable", "i8"),  # 0: barriers on the mid; 1: on prices that could be dealt at
        ("entry_bid", "f8"),  # 0 = the first sound tick is still to come
        ("entry_ask", "f8"),
        ("upper", "f8"),  # barriers as prices
        ("lower", "f8"),
        ("last_mid", "f8"),
        ("outcome", "i8"),
        ("end_ns", "i8"),  # when the outcome was known
        ("return_fraction", "f8"),  # what the move was worth, signed: below 0 after a fall
    ],
    align=True,
)


@kernel
def _enter(state: np.void, bid: float, ask: float) -> None:
    mid = 0.5 * (bid + ask)
    buy, sell = (ask, bid) if state["executable"] != 0 else (mid, mid)
    state["entry_bid"] = bid
    state["entry_ask"] = ask
    state["upper"] = buy * (1.0 + state["gain_fraction"])
    state["lower"] = sell * (1.0 - state["loss_fraction"])
    state["last_mid"] = mid


@kernel
def _finish(state: np.void, outcome: int, end_ns: int, exit_price: float, entry: float) -> int:
    state["outcome"] = outcome
    state["end_ns"] = end_ns
    state["return_fraction"] = exit_price / entry - 1.0
    return outcome


@kernel
def barriers_step(state: np.void, tick: np.void) -> int:
    """Follow a decision by one tick; the first sound tick is the one that was decided on.

    On the mid, a barrier is touched when the mid reaches it, counted from the mid of the entry.
    Executable, the upper one is touched when the *bid* reaches the entry's *ask* times
    ``1 + gain_fraction`` (whoever bought could sell with that gain), the lower one when the *ask*
    falls to the entry's *bid* times ``1 - loss_fraction`` (whoever sold could buy back): the
    spread is paid either way. A tick at the horizon itself still counts; a later one does not,
    and the return is then that of the mid before it.

    Oracle: ``getEvents``/``getBins`` of Lopez de Prado (2018, snippets 3.2 to 3.5), with outcome
    `HORIZON` where neither barrier was touched.

    Args:
        state: BARRIERS record.
        tick: TICK record, not older than the one before. An unsound quote is passed over.

    Returns:
        `OPEN` (0), `UP` (1), `DOWN` (-1) or `HORIZON` (2). Once it is not `OPEN` it stays.
    """
    if state["outcome"] != OPEN:
        return int(state["outcome"])
    time_ns, bid, ask = int(tick["time_ns"]), float(tick["bid"]), float(tick["ask"])
    horizon_ns = int(state["horizon_ns"])
    entered = state["entry_bid"] > 0.0
    entry_mid = 0.5 * (float(state["entry_bid"]) + float(state["entry_ask"]))
    if entered and time_ns > horizon_ns:
        return _finish(state, HORIZON, horizon_ns, float(state["last_mid"]), entry_mid)
    if not quote_is_sound(bid, ask):
        return OPEN
    if not entered:
        _enter(state, bid, ask)
        return OPEN
    mid = 0.5 * (bid + ask)
    executable = state["executable"] != 0
    high, low = (bid, ask) if executable else (mid, mid)
    if high >= state["upper"]:
        entry = float(state["entry_ask"]) if executable else entry_mid
        return _finish(state, UP, time_ns, high, entry)
    if low <= state["lower"]:
        entry = float(state["entry_bid"]) if executable else entry_mid
        return _finish(state, DOWN, time_ns, low, entry)
    state["last_mid"] = mid
    if time_ns == horizon_ns:
        return _finish(state, HORIZON, horizon_ns, mid, entry_mid)
    return OPEN


@kernel
def barriers_fold(
    states: NDArray[np.void], ticks: NDArray[np.void], starts: NDArray[np.int64]
) -> int:
    """Follow many decisions, each from its own tick until its outcome or the end of the ticks.

    Args:
        states: (m,) BARRIERS records. Those with an outcome are left alone, so a long history may
            come in chunks: the next call goes on with ``starts`` of 0.
        ticks: (n,) TICK records of one symbol in order of time.
        starts: (m,) index of the first tick of each decision.

    Returns:
        How many decisions are still open.
    """
    still_open = 0
    for k in range(states.size):
        state = states[k]
        outcome = int(state["outcome"])
        for i in range(starts[k], ticks.size):
            if outcome != OPEN:
                break
            outcome = barriers_step(state, ticks[i])
        if outcome == OPEN:
            still_open += 1
    return still_open
