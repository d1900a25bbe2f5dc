"""The MetaTrader5 package as the gateway uses it.

The package has no types of its own. Cast the module to `Terminal`::

    terminal = cast("Terminal", importlib.import_module("MetaTrader5"))

`mt5_gateway.simulator.metatrader5` is the same surface over the simulated terminal. Times are on
the broker's wall clock, written as if it were UTC. A call that fails returns None or False and says
why in `last_error()`.
"""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.results import (
    AccountInfo,
    OrderCheckResult,
    OrderSendResult,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)

__all__ = [  # what a user of `Terminal` needs beside it
    "AccountInfo",
    "OrderCheckResult",
    "OrderSendResult",
    "SymbolInfo",
    "Terminal",
    "TerminalInfo",
    "Tick",
    "TradeDeal",
    "TradeOrder",
    "TradePosition",
    "TradeRequest",
]


class Terminal(Protocol):
    """The functions of the package. Those without names take positional arguments only."""

    def initialize(
        self,
        path: str = ...,
        /,
        *,
        login: int = ...,
        password: str = ...,
        server: str = ...,
        timeout: int = ...,
        portable: bool = ...,
    ) -> bool:
        """Connect; the way to reconnect as well. The terminal's path is its identity."""
        ...

    def login(
        self, login: int, /, *, password: str = ..., server: str = ..., timeout: int = ...
    ) -> bool:
        """Switch the account of the whole terminal."""
        ...

    def shutdown(self) -> bool:
        """Disconnect; the terminal runs on."""
        ...

    def version(self) -> tuple[int, int, str]:
        """Version, build, date; ``(0, 0, "")`` on error."""
        ...

    def last_error(self) -> tuple[int, str]:
        """Code and text of the latest call; ``(1, "Success")``."""
        ...

    def terminal_info(self) -> TerminalInfo | None:
        """Tell the state of the terminal."""
        ...

    def account_info(self) -> AccountInfo | None:
        """Tell the state of the account."""
        ...

    def symbols_total(self) -> int | None:
        """Count all symbols."""
        ...

    def symbols_get(self, group: str = ..., /) -> tuple[SymbolInfo, ...] | None:
        """Return symbols: slow with thousands."""
        ...

    def symbol_info(self, symbol: str, /) -> SymbolInfo | None:
        """Return one symbol; None if unknown."""
        ...

    def symbol_info_tick(self, symbol: str, /) -> Tick | None:
        """Return the latest quote."""
        ...

    def symbol_select(self, symbol: str, enable: bool = ..., /) -> bool:  # noqa: FBT001
        """Show a symbol in Market Watch, without which it does not stream."""
        ...

    def copy_ticks_from(
        self, symbol: str, date_from: int, count: int, flags: int, /
    ) -> NDArray[np.void] | None:
        """Return `TICKS` from a second on."""
        ...

    def copy_ticks_range(
        self, symbol: str, date_from: int, date_to: int, flags: int, /
    ) -> NDArray[np.void] | None:
        """Return `TICKS` with ``date_from * 1000 <= time_msc <= date_to * 1000``."""
        ...

    def copy_rates_from(
        self, symbol: str, timeframe: int, date_from: int, count: int, /
    ) -> NDArray[np.void] | None:
        """Return the last `RATES` that open at or before a second."""
        ...

    def copy_rates_from_pos(
        self, symbol: str, timeframe: int, start_pos: int, count: int, /
    ) -> NDArray[np.void] | None:
        """Return `RATES` counted back from the bar that is forming."""
        ...

    def copy_rates_range(
        self, symbol: str, timeframe: int, date_from: int, date_to: int, /
    ) -> NDArray[np.void] | None:
        """Return `RATES` that open in a range, both ends included."""
        ...

    def positions_total(self) -> int | None:
        """Count open positions."""
        ...

    def positions_get(
        self, *, ticket: int = ..., symbol: str = ..., group: str = ...
    ) -> tuple[TradePosition, ...] | None:
        """Return open positions; a ticket wins over a symbol, that over a group."""
        ...

    def orders_total(self) -> int | None:
        """Count working orders."""
        ...

    def orders_get(
        self, *, ticket: int = ..., symbol: str = ..., group: str = ...
    ) -> tuple[TradeOrder, ...] | None:
        """Return working orders."""
        ...

    def history_orders_total(self, date_from: int, date_to: int, /) -> int | None:
        """Count finished orders."""
        ...

    def history_orders_get(
        self,
        date_from: int = ...,
        date_to: int = ...,
        /,
        *,
        group: str = ...,
        ticket: int = ...,
        position: int = ...,
    ) -> tuple[TradeOrder, ...] | None:
        """Return finished orders of a range, or of a ticket, or of a position."""
        ...

    def history_deals_total(self, date_from: int, date_to: int, /) -> int | None:
        """Count deals."""
        ...

    def history_deals_get(
        self,
        date_from: int = ...,
        date_to: int = ...,
        /,
        *,
        group: str = ...,
        ticket: int = ...,
        position: int = ...,
    ) -> tuple[TradeDeal, ...] | None:
        """Return deals of a range, or of an *order's* ticket, or of a position."""
        ...

    def order_check(self, request: dict[str, Any], /) -> OrderCheckResult | None:
        """Check a request; reserves nothing and proves nothing."""
        ...

    def order_send(self, request: dict[str, Any], /) -> OrderSendResult | None:
        """Send a request. None: it never reached the server, unless the connection broke."""
        ...

    def order_calc_margin(
        self, action: int, symbol: str, volume: float, price: float, /
    ) -> float | None:
        """Return the margin of a deal, account currency."""
        ...

    def order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float, /
    ) -> float | None:
        """Return the profit of a deal, account currency."""
        ...
