"""hftbacktest on the yardstick: four book events a bar, a market order at each reversal.

It trades against a book, so a bar is the old book cleared (2 events) and one bid and one ask level
set (2 events) at the close, one price step apart; prices lie on a grid of 1e-7.
"""

import numpy as np
from hftbacktest import (
    BUY_EVENT,
    DEPTH_CLEAR_EVENT,
    DEPTH_EVENT,
    EXCH_EVENT,
    GTC,
    LOCAL_EVENT,
    MARKET,
    SELL_EVENT,
    BacktestAsset,
    HashMapMarketDepthBacktest,
)
from hftbacktest.types import event_dtype
from numba import njit
from numpy.typing import NDArray
from stopwatch import Bars, report  # first: it puts the yardstick on the path

from sma_reference import COST_FRACTION, FAST, SLOW, UNITS  # isort: skip

GRID = 1e-7
MINUTE_NS = 60_000_000_000


def book_events(close: NDArray[np.float64]) -> NDArray[np.void]:
    """Four events a bar: clear both sides, then the bid and the ask around the close."""
    count = len(close)
    events = np.zeros((count, 4), event_dtype)
    both = EXCH_EVENT | LOCAL_EVENT
    time_ns = (np.arange(count) + 1) * MINUTE_NS
    for column, (kind, side) in enumerate(
        [
            (DEPTH_CLEAR_EVENT, BUY_EVENT),
            (DEPTH_CLEAR_EVENT, SELL_EVENT),
            (DEPTH_EVENT, BUY_EVENT),
            (DEPTH_EVENT, SELL_EVENT),
        ]
    ):
        rows = events[:, column]
        rows["ev"] = both | kind | side
        rows["exch_ts"] = time_ns
        rows["local_ts"] = time_ns
        rows["qty"] = 1e6
    steps = np.round(close / GRID)
    events[:, 0]["px"] = events[:, 2]["px"] = steps * GRID
    events[:, 1]["px"] = events[:, 3]["px"] = (steps + 1.0) * GRID
    # A clear walks the book level by level up to its price: name the one level there is.
    events[1:, 0]["px"] = events[:-1, 2]["px"]
    events[1:, 1]["px"] = events[:-1, 3]["px"]
    return events.reshape(-1)


@njit
def crossover(hbt, bars: int) -> int:
    """Walk the bars; running sums give both averages, a market order follows each change."""
    ring = np.zeros(SLOW)
    fast_sum = slow_sum = 0.0
    side = 0
    orders = 0
    for bar in range(bars):
        # Its time starts at the first event; half a minute past a bar's events they are in.
        hbt.elapse(MINUTE_NS // 2 if bar == 0 else MINUTE_NS)
        close = hbt.depth(0).best_bid
        at = bar % SLOW
        if bar >= FAST:
            fast_sum -= ring[(bar - FAST) % SLOW]
        if bar >= SLOW:
            slow_sum -= ring[at]
        ring[at] = close
        fast_sum += close
        slow_sum += close
        if bar < SLOW - 1:
            continue
        wanted = 1 if fast_sum / FAST > slow_sum / SLOW else -1
        if wanted != side:
            quantity = UNITS * (2.0 if side != 0 else 1.0)
            orders += 1
            if wanted > 0:
                hbt.submit_buy_order(0, orders, close, quantity, GTC, MARKET, False)
            else:
                hbt.submit_sell_order(0, orders, close, quantity, GTC, MARKET, False)
            side = wanted
        if bar % 1000 == 0:
            hbt.clear_inactive_orders(0)
    return orders


def prepare(bars: Bars) -> NDArray[np.void]:
    """Return the bars as book events."""
    return book_events(bars.close)


def run(events: NDArray[np.void]) -> tuple[float, int]:
    """Return net PnL and number of orders. `events` is read in place: keep it alive."""
    asset = (
        BacktestAsset()
        .data(events)
        .linear_asset(1.0)
        .constant_order_latency(0, 0)
        .risk_adverse_queue_model()
        .no_partial_fill_exchange()
        .trading_value_fee_model(COST_FRACTION, COST_FRACTION)
        .tick_size(GRID)
        .lot_size(1.0)
        .last_trades_capacity(0)
    )
    hbt = HashMapMarketDepthBacktest([asset])
    orders = crossover(hbt, len(events) // 4)
    values = hbt.state_values(0)
    mid = 0.5 * (hbt.depth(0).best_bid + hbt.depth(0).best_ask)
    equity = values.balance + values.position * mid - values.fee
    hbt.close()
    return float(equity), orders


if __name__ == "__main__":
    report(prepare, run, 500_000)
