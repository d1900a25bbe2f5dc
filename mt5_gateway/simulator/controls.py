"""What the simulated terminal answers to control calls, which no MetaTrader has."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from mt5_gateway.simulator.errors import ControlRefused, NotSimulated
from mt5_gateway.simulator.simulated import SimulatedTerminal
from mt5_gateway.simulator.switches import Fault


class Controls:
    """Answers control calls by name.

    Args:
        terminal: whose state it is.
    """

    def __init__(self, terminal: SimulatedTerminal) -> None:
        self._terminal = terminal
        self._market = terminal.market
        self._calls: dict[str, Callable[..., Any]] = {
            "open_market": self._open_market,
            "peek": self._peek,
            "commit": self._commit,
            "position": self._position,
            "ordinal": self._ordinal,
            "switch": terminal.operator.switch,
            "fault": self._fault,
            "trade_mode": self._trade_mode,
        }

    def answer(self, name: str, arguments: Sequence[Any]) -> Any:
        """Answer a control call with plain values.

        Raises:
            ControlRefused: it makes no sense now.
            NotSimulated: there is no such call.
        """
        if name not in self._calls:
            msg = f"the simulated terminal has no control call {name}"
            raise NotSimulated(msg)
        return self._calls[name](*arguments)

    def _row(self, symbol: str) -> int:
        row = self._market.row_of.get(symbol)
        if row is None:
            msg = f"no symbol {symbol!r}: there are {', '.join(self._market.row_of)}"
            raise ControlRefused(msg)
        return row

    def _open_market(self, count: int) -> list[Any]:
        opened = self._terminal.open_market(count)
        return [opened, self._terminal.revealed() == len(self._market)]

    def _peek(self, limit: int) -> list[Any]:
        place, is_event = self._terminal.broker.peek(limit, self._terminal.revealed())
        return [*self._market.named(place), is_event]

    def _commit(self, symbol: str, ordinal: int) -> int:
        if ordinal == 0:
            return 0
        place = self._market.place_of(self._row(symbol), ordinal)
        if place is None:
            msg = f"commit: {symbol} has no tick number {ordinal}"
            raise ControlRefused(msg)
        return self._terminal.commit(place)

    def _position(self) -> list[Any]:
        terminal = self._terminal
        name, ordinal = self._market.named(terminal.broker.played - 1)
        time_ms = 0
        if ordinal:
            history = self._market.histories[self._market.row_of[name]]
            time_ms = int(history.server_ms[ordinal - 1])
        return [name, ordinal, terminal.revealed(), len(self._market), time_ms]

    def _ordinal(self, symbol: str, time_msc: int, taken: int) -> int:
        """Return the ordinal of the `taken`-th tick (from 1) of a millisecond; 0 = none."""
        history = self._market.histories[self._row(symbol)]
        places = np.flatnonzero(history.server_ms == time_msc)
        return int(places[taken - 1]) + 1 if 1 <= taken <= len(places) else 0

    def _fault(self, call: str, kind: str, number: float, symbol: str, times: int) -> None:
        fault = Fault(call=call, kind=kind, number=number, symbol=symbol, times=times)
        self._terminal.operator.add(fault)

    def _trade_mode(self, symbol: str, mode: int) -> None:
        self._row(symbol)
        self._terminal.dealer.trade_mode[symbol] = mode
