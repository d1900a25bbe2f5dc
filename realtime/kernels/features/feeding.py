"""What fused features need around their kernels: refusing input, and the quotes of all symbols."""

import numpy as np
from numpy.typing import NDArray

from realtime.kernels.bar_quotes import ask_of_bar
from realtime.kernels.features.validity import is_amount, is_price, is_range
from realtime.kernels.jit import kernel
from realtime.kernels.pieces import REFUSED, tick_piece_step

#: What a fold returns instead of a number of rows.
NO_DAY = -2  # a tick or bar lies outside the table of days
NO_ROOM = -3  # the output buffers are too short


@kernel
def take_tick_step(state: np.void, tick: np.void, last_ns: int) -> bool:
    """Turn a tick into a piece (``state["piece"]``); False if it is refused.

    Args:
        state: PIECE_STATE.
        tick: TICK.
        last_ns: time of the latest tick; an older one is refused.
    """
    if tick["time_ns"] < last_ns or not is_price(tick["bid"]) or not is_price(tick["ask"]):
        return False
    return tick_piece_step(state, tick, state["piece"]) != REFUSED


@kernel
def take_bar_step(bar: np.void, last_ns: int) -> bool:
    """Tell whether a bar can be used: it begins where the last one ended or later, prices sound."""
    return last_ns <= bar["open_ns"] <= bar["end_ns"] and is_range(bar)


@kernel
def keep_day(kept: np.void, day: np.void) -> None:
    """Copy a DAY record where the trading day changes: records are assigned by key only."""
    if kept["end_ns"] != day["end_ns"]:
        kept["start_ns"] = day["start_ns"]
        kept["end_ns"] = day["end_ns"]
        kept["open_ns"] = day["open_ns"]
        kept["close_ns"] = day["close_ns"]
        kept["long_close_ns"] = day["long_close_ns"]
        kept["tokyo_open_ns"] = day["tokyo_open_ns"]
        kept["tokyo_close_ns"] = day["tokyo_close_ns"]
        kept["london_open_ns"] = day["london_open_ns"]
        kept["london_close_ns"] = day["london_close_ns"]
        kept["new_york_open_ns"] = day["new_york_open_ns"]
        kept["new_york_close_ns"] = day["new_york_close_ns"]
        kept["day_of_week"] = day["day_of_week"]
        kept["swap_days"] = day["swap_days"]


@kernel
def quote_tick_step(quotes: NDArray[np.void], tick: np.void) -> None:
    """Make a tick its symbol's latest quote; a broken or crossed one is left out."""
    symbol = tick["symbol"]
    bid = tick["bid"]
    ask = tick["ask"]
    if 0 <= symbol < len(quotes) and is_price(bid) and is_price(ask) and bid <= ask:
        quote = quotes[symbol]
        quote["time_ns"] = tick["time_ns"]
        quote["bid"] = bid
        quote["ask"] = ask
        quote["volume"] = tick["volume"]
        quote["seq"] = tick["seq"]


@kernel
def quote_bar_step(quotes: NDArray[np.void], symbol: int, bar: np.void) -> None:
    """Make the close of a bar its symbol's latest quote, as `bar_quotes.bar_quote_step` does."""
    bid = bar["close"]
    spread = bar["spread_mean"]
    if 0 <= symbol < len(quotes) and is_price(bid) and is_amount(spread):
        quote = quotes[symbol]
        quote["time_ns"] = bar["end_ns"] - 1
        quote["bid"] = bid
        quote["ask"] = ask_of_bar(bid, spread)
        quote["volume"] = 0.0
        quote["seq"] = 0
