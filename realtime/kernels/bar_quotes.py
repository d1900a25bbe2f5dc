"""A finished bar seen as the quotes it was made of, for brokers that are fed bars.

The order of the extremes is MetaTrader's tester's: a rising bar goes open, low, high, close; a
falling or flat one open, high, low, close. The spread is the bar's mean spread throughout.
"""

import numpy as np

from realtime.kernels.jit import kernel
from realtime.kernels.money import snap_price

CLOSE = 3  # number of the last quote of a bar
_DECIMAL = 1e-10  # finer than any price step


@kernel
def ask_of_bar(bid: float, spread: float) -> float:
    """Return bid plus spread as the decimal it stands for: 1.10001 + 0.00002 is 1.10003.

    The plain sum falls a bit below it in two of five cases, and a stop at 1.10003 would not see it.
    Without a spread the bid is returned untouched.
    """
    if not spread > 0.0:
        return bid + spread
    return max(bid, snap_price(bid + spread, _DECIMAL, 0))


@kernel
def bar_quote_step(bar: np.void, k: int, symbol: int, tick: np.void) -> None:
    """Write quote `k` of a bar (0 open, 1 and 2 the extremes, 3 close) as a TICK.

    The close is quoted one nanosecond before the bar's end, which belongs to the next bar (and at
    17:00 New York to a closed market). Volume is 0, "not known": a bar counts ticks, which say
    nothing about lots on offer.
    """
    length_ns = bar["end_ns"] - bar["open_ns"]
    rising = bar["close"] > bar["open"]
    if k == 0:
        bid = bar["open"]
        time_ns = bar["open_ns"]
    elif k == CLOSE:
        bid = bar["close"]
        time_ns = bar["end_ns"] - 1
    else:
        bid = bar["low"] if (k == 1) == rising else bar["high"]
        time_ns = bar["open_ns"] + k * (length_ns // 3)
    tick["time_ns"] = time_ns
    tick["seq"] = 0
    tick["bid"] = bid
    tick["ask"] = ask_of_bar(bid, bar["spread_mean"])
    tick["last"] = 0.0
    tick["volume"] = 0.0
    tick["flags"] = 6
    tick["symbol"] = symbol
