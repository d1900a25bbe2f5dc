"""What the simulated terminal answers to the calls of the package."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt5_gateway import constants
from mt5_gateway.simulator.answers import (
    BUILD,
    BUILD_DATE,
    account_values,
    terminal_values,
    tick_values,
)
from mt5_gateway.simulator.errors import NotSimulated
from mt5_gateway.simulator.rates import TIMEFRAMES
from mt5_gateway.simulator.simulated import SimulatedTerminal, request_of
from mt5_gateway.simulator.structures import Structure
from mt5_gateway.simulator.switches import ERROR, EXECUTED, RETCODE, Fault

Error = tuple[int, str]

SUCCESS: Error = (constants.RES_S_OK, "Success")
FAILED: Error = (constants.RES_E_FAIL, "Terminal: Call failed")
INVALID: Error = (constants.RES_E_INVALID_PARAMS, "Terminal: Invalid params")
NOT_FOUND: Error = (constants.RES_E_NOT_FOUND, "Terminal: Not found")
UNAUTHORISED: Error = (constants.RES_E_AUTH_FAILED, "Terminal: Authorization failed")
NO_TRADE_API: Error = (
    constants.RES_E_AUTO_TRADING_DISABLED,
    "Auto-Trading using Python API disabled in Terminal",
)
_TEXTS: dict[int, str] = dict((FAILED, INVALID, NOT_FOUND, UNAUTHORISED, NO_TRADE_API))
_FLAGS = (constants.COPY_TICKS_ALL, constants.COPY_TICKS_INFO, constants.COPY_TICKS_TRADE)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a call returns.

    Attributes:
        value: plain values; a structure is a list of them.
        rows: an array, instead of a value.
        error: what `last_error` says then.
    """

    value: Any = None
    rows: NDArray[np.void] | None = None
    error: Error = SUCCESS


class _Refused(Exception):
    """The call fails: with what `last_error` says, and what is returned."""

    def __init__(self, error: Error, value: Any = None) -> None:
        super().__init__(error[1])
        self.error = error
        self.value = value


class Calls:
    """Answers calls by name.

    Args:
        terminal: whose state it is.
    """

    def __init__(self, terminal: SimulatedTerminal) -> None:
        self._terminal = terminal
        self._market = terminal.market
        self._calls: dict[str, Callable[..., Answer]] = {
            "hello": self._hello,
            "version": lambda: Answer(value=[500, BUILD, BUILD_DATE]),
            "terminal_info": self._terminal_info,
            "account_info": self._account_info,
            "symbols_get": self._symbols_get,
            "symbols_total": lambda: Answer(value=len(self._market.symbols)),
            "symbol_info": self._symbol_info,
            "symbol_info_tick": self._symbol_info_tick,
            "symbol_select": self._symbol_select,
            "copy_ticks_from": self._copy_ticks_from,
            "copy_ticks_range": self._copy_ticks_range,
            "copy_rates_from": self._copy_rates_from,
            "copy_rates_from_pos": self._copy_rates_from_pos,
            "copy_rates_range": self._copy_rates_range,
            "positions_get": lambda: Answer(value=terminal.books.positions()),
            "orders_get": lambda: Answer(value=terminal.books.working()),
            "history_orders": self._history_orders,
            "history_deals": self._history_deals,
            "order_check": self._order_check,
            "order_send": self._order_send,
            "order_calc_margin": self._order_calc_margin,
            "order_calc_profit": self._order_calc_profit,
        }

    def answer(self, name: str, arguments: Sequence[Any], fault: Fault | None) -> Answer:
        """Answer a call.

        Raises:
            NotSimulated: there is no such call yet, or not in this form.
        """
        if name not in self._calls:
            msg = f"the simulated terminal has no {name} yet"
            raise NotSimulated(msg)
        if fault is not None and fault.kind == ERROR:
            code = int(fault.number)
            return Answer(error=(code, _TEXTS.get(code, FAILED[1])))
        if name in ("order_send", "order_check"):
            arguments = (*arguments, fault)
        try:
            return self._calls[name](*arguments)
        except _Refused as refusal:
            return Answer(value=refusal.value, error=refusal.error)

    def _hello(self, login: int | None, password: str | None, server: str | None) -> Answer:
        identity = self._terminal.identity
        known = (
            login in (None, identity.login)
            and server in (None, "", identity.server)
            and (login is None or identity.password in (None, password))
        )
        if known and self._terminal.operator.switches["logged_in"]:
            return Answer(value=True)
        raise _Refused(UNAUTHORISED, value=False)

    def _terminal_info(self) -> Answer:
        switches = self._terminal.operator.switches
        names = ("connected", "trade_allowed", "tradeapi_disabled")
        shown = {name: switches[name] for name in names}
        return Answer(value=terminal_values(shown, self._terminal.identity.path))

    def _account_info(self) -> Answer:
        terminal = self._terminal
        identity = terminal.identity
        if not terminal.operator.switches["logged_in"]:
            raise _Refused(FAILED)
        expert = terminal.operator.switches["trade_expert"]
        values = account_values(
            terminal.desk, identity.account, identity.login, identity.server, expert
        )
        return Answer(value=values)

    def _row(self, symbol: str) -> int:
        row = self._market.row_of.get(symbol)
        if row is None:
            raise _Refused(NOT_FOUND)
        return row

    def _streaming(self, symbol: str) -> int:
        """Return the row of a symbol in Market Watch: others have no ticks."""
        row = self._row(symbol)
        if row not in self._terminal.selected:
            raise _Refused(FAILED)
        return row

    def _info(self, row: int) -> Structure:
        terminal = self._terminal
        return terminal.symbols.info(row, terminal.broker.played, row in terminal.selected)

    def _symbols_get(self) -> Answer:
        return Answer(value=[self._info(row) for row in range(len(self._market.symbols))])

    def _symbol_info(self, symbol: str) -> Answer:
        return Answer(value=self._info(self._row(symbol)))

    def _symbol_info_tick(self, symbol: str) -> Answer:
        row = self._streaming(symbol)
        tick = tick_values(self._market, row, self._terminal.broker.played)
        if tick is None:
            raise _Refused(FAILED)
        return Answer(value=tick)

    def _symbol_select(self, symbol: str, enable: bool) -> Answer:  # noqa: FBT001
        row = self._market.row_of.get(symbol)
        if row is None:
            raise _Refused(NOT_FOUND, value=False)
        books = self._terminal.books
        if not enable and any(one.symbol == symbol for one in books.positions() + books.working()):
            raise _Refused(FAILED, value=False)
        if enable != (row in self._terminal.selected):
            self._terminal.select(row, enable)
        return Answer(value=True)

    def _copy_ticks_from(self, symbol: str, date_from: int, count: int, flags: int) -> Answer:
        row = self._streaming(symbol)
        if count < 1 or flags not in _FLAGS:
            raise _Refused(INVALID)
        revealed = self._terminal.revealed()
        rows = self._market.copy_from(row, date_from * 1000, count, flags, revealed)
        return Answer(rows=rows)

    def _copy_ticks_range(self, symbol: str, date_from: int, date_to: int, flags: int) -> Answer:
        row = self._streaming(symbol)
        if date_to < date_from or flags not in _FLAGS:
            raise _Refused(INVALID)
        revealed = self._terminal.revealed()
        rows = self._market.copy_range(row, date_from * 1000, date_to * 1000, flags, revealed)
        return Answer(rows=rows)

    def _opened(self, symbol: str, timeframe: int) -> tuple[int, NDArray[np.int64]]:
        """Return the row of a symbol, and when its bars opened."""
        row = self._row(symbol)
        if timeframe not in TIMEFRAMES:
            raise _Refused(INVALID)
        return row, self._terminal.rates.opened(row, timeframe, self._terminal.revealed())

    def _bars(self, row: int, timeframe: int, first: int, last: int) -> Answer:
        revealed = self._terminal.revealed()
        return Answer(rows=self._terminal.rates.bars(row, timeframe, first, last, revealed))

    def _copy_rates_from(self, symbol: str, timeframe: int, date_from: int, count: int) -> Answer:
        row, opened = self._opened(symbol, timeframe)
        if count < 1:
            raise _Refused(INVALID)
        last = int(np.searchsorted(opened, date_from, side="right"))
        return self._bars(row, timeframe, max(last - count, 0), last)

    def _copy_rates_from_pos(
        self, symbol: str, timeframe: int, start_pos: int, count: int
    ) -> Answer:
        row, opened = self._opened(symbol, timeframe)
        if count < 1 or start_pos < 0:
            raise _Refused(INVALID)
        last = max(len(opened) - start_pos, 0)
        return self._bars(row, timeframe, max(last - count, 0), last)

    def _copy_rates_range(
        self, symbol: str, timeframe: int, date_from: int, date_to: int
    ) -> Answer:
        row, opened = self._opened(symbol, timeframe)
        if date_to < date_from:
            raise _Refused(INVALID)
        first, last = np.searchsorted(opened, [date_from, date_to + 1])
        return self._bars(row, timeframe, int(first), int(last))

    def _history_orders(self, date_from: int, date_to: int, ticket: int, position: int) -> Answer:
        orders = self._terminal.books.orders
        if ticket:
            return Answer(value=[order for order in orders if order.ticket == ticket])
        if position:
            return Answer(value=[order for order in orders if order.position_id == position])
        return Answer(value=orders.between(date_from, date_to))

    def _history_deals(self, date_from: int, date_to: int, ticket: int, position: int) -> Answer:
        deals = self._terminal.books.deals
        if ticket:
            return Answer(value=[deal for deal in deals if deal.order == ticket])
        if position:
            return Answer(value=[deal for deal in deals if deal.position_id == position])
        return Answer(value=deals.between(date_from, date_to))

    def _order_check(self, fields: dict[str, Any], fault: Fault | None) -> Answer:
        del fault
        return Answer(value=self._terminal.check(request_of(fields)))

    def _order_send(self, fields: dict[str, Any], fault: Fault | None) -> Answer:
        terminal, request = self._terminal, request_of(fields)
        switches = terminal.operator.switches
        if switches["tradeapi_disabled"]:
            raise _Refused(NO_TRADE_API)
        for name, code in (
            ("trade_allowed", constants.TRADE_RETCODE_CLIENT_DISABLES_AT),
            ("trade_expert", constants.TRADE_RETCODE_SERVER_DISABLES_AT),
            ("connected", constants.TRADE_RETCODE_CONNECTION),
        ):
            if not switches[name]:
                return Answer(value=terminal.dealer.answer(request, code))
        if fault is not None and fault.kind == RETCODE:
            return Answer(value=terminal.dealer.answer(request, int(fault.number)))
        result = terminal.send(request)
        if fault is not None and fault.kind == EXECUTED:
            return Answer(value=terminal.dealer.answer(request, int(fault.number)))
        return Answer(value=result)

    def _dealing(self, action: int, symbol: str, volume: float) -> tuple[int, int]:
        """Return (row, side) of a deal to be calculated."""
        row = self._row(symbol)
        if action not in (constants.ORDER_TYPE_BUY, constants.ORDER_TYPE_SELL) or not volume > 0.0:
            raise _Refused(INVALID)
        return row, 1 if action == constants.ORDER_TYPE_BUY else -1

    def _order_calc_margin(self, action: int, symbol: str, volume: float, price: float) -> Answer:
        row, side = self._dealing(action, symbol, volume)
        return _calculated(self._terminal.symbols.margin(side, row, volume, price))

    def _order_calc_profit(
        self, action: int, symbol: str, volume: float, price_open: float, price_close: float
    ) -> Answer:
        row, side = self._dealing(action, symbol, volume)
        return _calculated(
            self._terminal.symbols.profit(side, row, volume, price_close - price_open)
        )


def _calculated(amount: float | None) -> Answer:
    if amount is None:
        raise _Refused(FAILED)
    return Answer(value=amount)
