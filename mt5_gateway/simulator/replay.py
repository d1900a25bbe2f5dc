"""The broker of the simulated terminal: the core's kernels on a desk of its own, tick after tick.

It stands after some tick of the market's order. Most ticks change nothing but quotes and what
positions are worth; one that changes more is an *event*: a deal, an order that arrives, is
triggered, expires or is refused, a swap that is charged. Orders act exactly as in a fold over the
same ticks (`kernels.engine_source`): those sent at a tick without latency right after it, by
`settle`; those on their way when the next tick comes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.simulator.market import Market
from realtime.kernels.broker import (
    closed_orders_per_tick,
    eventful_step,
    execute_arrived_step,
    fills_per_tick,
    quiet_tick_step,
)
from realtime.kernels.jit import kernel
from realtime.kernels.layout import DESK, FILL, ORDER
from realtime.kernels.orders import cancel_order_step

_STATE_BYTES = int((DESK.fields or {})["days"][1])  # everything before the calendar, which is fixed


@kernel
def quiet_tick_fold(desk: np.void, ticks: NDArray[np.void], start: int, end: int) -> int:
    """Play ticks ``[start, end)`` while they are quiet; the first that is not, or `end`."""
    for at in range(start, end):
        if not quiet_tick_step(desk, int(ticks[at]["symbol"]), ticks[at]):
            return at
    return end


@dataclass(frozen=True, kw_only=True)
class Happened:
    """What one moment changed at the broker.

    Attributes:
        now_ns: when.
        fills: (n,) FILL.
        closed: (n,) ORDER that are finished.
    """

    now_ns: int
    fills: NDArray[np.void]
    closed: NDArray[np.void]


class Broker:
    """Plays a market's ticks on a desk.

    Args:
        market: its ticks.
        desk: DESK, without positions.
        happened: told of everything that changes but quotes and valuation, in order.
    """

    def __init__(self, market: Market, desk: np.void, happened: Callable[[Happened], None]) -> None:
        self.desk = desk
        self.played = 0  # ticks of the market's order that have passed
        self._ticks = market.ticks
        self._happened = happened
        self._fills = np.zeros(int(fills_per_tick(desk)), FILL)
        self._closed = np.zeros(int(closed_orders_per_tick(desk)), ORDER)
        self._ahead_desk = np.zeros(1, DESK)
        self._ahead_desk[0] = desk
        self._ahead = -1  # ticks that `_ahead_desk` has played, -1 = unknown
        self._event_ahead = False  # the last of them was an event

    @property
    def time_ns(self) -> int:
        """Time of the last tick played; before it, that of the first there is."""
        if len(self._ticks) == 0:
            return 0
        return int(self._ticks["time_ns"][max(self.played - 1, 0)])

    def play(self, until: int) -> int:
        """Play ticks through the one before place `until`; how many events there were."""
        events = 0
        while self.played < until:
            self.played, n_fills, n_closed, changed = self._step(self.desk, self.played, until)
            if changed:
                events += 1
                self._tell(self.time_ns, n_fills, n_closed)
        return events

    def peek(self, limit: int, revealed: int) -> tuple[int, bool]:
        """Look ahead at most `limit` of the revealed ticks, on a copy of the desk.

        Returns:
            (place of the last tick before the first event, True), or (place of the last tick
            looked at, False) if there is no event.
        """
        stop = min(self.played + limit, revealed)
        if self._ahead <= self.played:
            state = self._ahead_desk.view(np.uint8)[:_STATE_BYTES]
            state[:] = np.frombuffer(self.desk.data, np.uint8)[:_STATE_BYTES]
            self._ahead, self._event_ahead = self.played, False
        while self._ahead < stop and not self._event_ahead:
            self._ahead, _, _, self._event_ahead = self._step(
                self._ahead_desk[0], self._ahead, stop
            )
        if self._event_ahead and self._ahead <= stop:
            return self._ahead - 2, True
        return stop - 1, False

    def settle(self, symbol: int, now_ns: int) -> None:
        """Let orders that have arrived act; `symbol` -1 means those of all symbols."""
        n_fills, n_closed = execute_arrived_step(
            self.desk, symbol, now_ns, self._fills, 0, self._closed, 0
        )
        self.touch()
        if n_fills or n_closed:
            self._tell(now_ns, n_fills, n_closed)

    def cancel(self, order_id: int, now_ns: int) -> bool:
        """Cancel a working order; False if there is none of this id."""
        n_closed = cancel_order_step(self.desk, order_id, self._closed, 0)
        self.touch()
        if n_closed:
            self._tell(now_ns, 0, n_closed)
        return n_closed > 0

    def touch(self) -> None:
        """Say that the desk was changed from outside: what was seen ahead no longer holds."""
        self._ahead = -1

    def _tell(self, now_ns: int, n_fills: int, n_closed: int) -> None:
        fills, closed = self._fills[:n_fills].copy(), self._closed[:n_closed].copy()
        self._happened(Happened(now_ns=now_ns, fills=fills, closed=closed))

    def _step(self, desk: np.void, at: int, until: int) -> tuple[int, int, int, bool]:
        """Play quiet ticks and the one after them: (ticks played, fills, closed, is an event)."""
        at = int(quiet_tick_fold(desk, self._ticks, at, until))
        if at == until:
            return until, 0, 0, False
        tick = self._ticks[at]
        before = _signature(desk)
        n_fills, n_closed = eventful_step(
            desk, int(tick["symbol"]), tick, self._fills, 0, self._closed, 0
        )
        changed = n_fills > 0 or n_closed > 0 or _signature(desk) != before
        return at + 1, n_fills, n_closed, changed


def _signature(desk: np.void) -> tuple[bytes, bytes]:
    """Return what changes with an event, but not with a quote."""
    account = desk["account"]
    orders = desk["orders"][: int(account["open_orders"])]
    positions = desk["positions"][: int(account["open_positions"])]
    return orders.tobytes(), positions["swap"].tobytes()
