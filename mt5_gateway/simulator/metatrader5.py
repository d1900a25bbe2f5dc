"""The functions of the MetaTrader5 package, over the simulated terminal.

Call forms, results, refusals and error texts are those of version 5.0.6231, so that what runs here
runs there. `shutdown` only disconnects; the terminal is a process of its own
(``python -m mt5_gateway.simulator``). What it cannot do yet raises `NotSimulated`.
"""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.constants import *  # noqa: F403 (they are names of the package)
from mt5_gateway.results import RATES, TICKS
from mt5_gateway.simulator.arguments import (
    ArgumentError,
    check_count,
    check_integer,
    check_text,
    connection_options,
    invalid,
    is_splatted,
    one_request,
    path_text,
    plain_float,
    plain_integer,
    plain_text,
    server_second,
)
from mt5_gateway.simulator.groups import matches
from mt5_gateway.simulator.link import LINK, CallFailed
from mt5_gateway.simulator.structures import (
    AccountInfo,
    OrderCheckResult,
    OrderSendResult,
    Structure,
    SymbolInfo,
    TerminalInfo,
    Tick,
    TradeDeal,
    TradeOrder,
    TradePosition,
    TradeRequest,
)
from realtime.settings import load_settings

__version__ = "5.0.6231"
__author__ = "aitrading (simulated)"

_Arguments = ParamSpec("_Arguments")
_Result = TypeVar("_Result")
_Otherwise = TypeVar("_Otherwise")
_LONGEST_HISTORY = (1 << 31) - 1


def _call(
    otherwise: _Otherwise,
) -> Callable[[Callable[_Arguments, _Result]], Callable[_Arguments, _Result | _Otherwise]]:
    """Make a call of the package: it forgets the error before, and returns instead of raising."""

    def decorate(
        function: Callable[_Arguments, _Result],
    ) -> Callable[_Arguments, _Result | _Otherwise]:
        @functools.wraps(function)
        def call(
            *arguments: _Arguments.args, **keywords: _Arguments.kwargs
        ) -> _Result | _Otherwise:
            LINK.begin()
            try:
                return function(*arguments, **keywords)
            except ArgumentError as error:
                LINK.refuse(error)
            except CallFailed:
                pass  # the link knows why
            return otherwise

        return call

    return decorate


@_call(otherwise=False)
def initialize(*arguments: Any, **keywords: Any) -> bool:
    """Connect to the terminal at a path, by default that of the settings; True if it answers."""
    if len(arguments) > 1:
        msg = "Invalid number of arguments"
        raise ArgumentError(msg)
    given = arguments[0] if arguments else keywords.get("path")
    options = connection_options(keywords, "initialize")
    path = path_text(given) if given is not None else load_settings().gateway.terminal
    LINK.connect(Path(path))
    try:
        _log_in(options)
    except CallFailed:
        LINK.drop()
        raise
    return True


@_call(otherwise=False)
def login(*arguments: Any, **keywords: Any) -> bool:
    """Log in to an account of the terminal."""
    if len(arguments) > 3:
        msg = "Invalid number of arguments"
        raise ArgumentError(msg)
    names = ("login", "password", "server")
    given = dict(zip(names, arguments, strict=False)) | keywords
    options = connection_options(given, "login")
    if not options.get("login"):
        raise invalid("login")  # noqa: EM101 (the name of an argument)
    _log_in(options)
    return True


def _log_in(options: dict[str, Any]) -> None:
    LINK.ask("hello", options.get("login"), options.get("password"), options.get("server"))


def shutdown() -> bool:
    """Disconnect; the terminal runs on."""
    LINK.begin()
    LINK.drop()
    return True


def last_error() -> tuple[int, str]:
    """Return code and text of the latest call."""
    return LINK.error


@_call(otherwise=(0, 0, ""))
def version() -> tuple[int, int, str]:
    """Return version, build and its date."""
    number, build, date = LINK.ask("version")
    return number, build, date


@_call(otherwise=None)
def terminal_info() -> Structure:
    """Return the state of the terminal."""
    return TerminalInfo(LINK.ask("terminal_info"))


@_call(otherwise=None)
def account_info() -> Structure:
    """Return the state of the account."""
    return AccountInfo(LINK.ask("account_info"))


@_call(otherwise=None)
def symbols_total() -> int:
    """Count the symbols."""
    return int(LINK.ask("symbols_total"))


@_call(otherwise=None)
def symbols_get(*arguments: Any, **keywords: Any) -> tuple[Structure, ...]:
    """Return the symbols, or those whose names pass a filter."""
    check_count(arguments, 0, 1)
    group = arguments[0] if arguments else keywords.get("group")
    if group is not None and not isinstance(group, str):
        raise invalid("group")  # noqa: EM101 (the name of an argument)
    found = [SymbolInfo(values) for values in LINK.ask("symbols_get")]
    return tuple(one for one in found if group is None or matches(one.name, group))


@_call(otherwise=None)
def symbol_info(*arguments: Any) -> Structure:
    """Return a symbol."""
    check_count(arguments, 1)
    return SymbolInfo(LINK.ask("symbol_info", plain_text(arguments[0], "symbol_info")))


@_call(otherwise=None)
def symbol_info_tick(*arguments: Any) -> Structure:
    """Return the latest quote of a symbol."""
    check_count(arguments, 1)
    return Tick(LINK.ask("symbol_info_tick", plain_text(arguments[0], "symbol_info_tick")))


@_call(otherwise=False)
def symbol_select(*arguments: Any) -> bool:
    """Put a symbol into Market Watch, or take it out."""
    check_count(arguments, 1, 2)
    symbol, enable = (*arguments, True)[:2]
    return bool(LINK.ask("symbol_select", plain_text(symbol, "symbol_select"), bool(enable)))


@_call(otherwise=None)
def copy_ticks_from(*arguments: Any) -> NDArray[np.void]:
    """Return (symbol, date_from, count, flags): at most so many ticks from a second on."""
    return _copied("copy_ticks_from", arguments, TICKS, "tdii")


@_call(otherwise=None)
def copy_ticks_range(*arguments: Any) -> NDArray[np.void]:
    """Return (symbol, date_from, date_to, flags): ticks of a range."""
    return _copied("copy_ticks_range", arguments, TICKS, "tddi")


@_call(otherwise=None)
def copy_rates_from(*arguments: Any) -> NDArray[np.void]:
    """Return (symbol, timeframe, date_from, count): bars up to a second."""
    return _copied("copy_rates_from", arguments, RATES, "tidi")


@_call(otherwise=None)
def copy_rates_from_pos(*arguments: Any) -> NDArray[np.void]:
    """Return (symbol, timeframe, start_pos, count): bars counted back from the newest."""
    return _copied("copy_rates_from_pos", arguments, RATES, "tiii")


@_call(otherwise=None)
def copy_rates_range(*arguments: Any) -> NDArray[np.void]:
    """Return (symbol, timeframe, date_from, date_to): bars of a range."""
    return _copied("copy_rates_range", arguments, RATES, "tidd")


def _copied(
    name: str, arguments: tuple[Any, ...], dtype: np.dtype[Any], kinds: str
) -> NDArray[np.void]:
    """Copy rows; `kinds` are the arguments: t text, d date, i integer."""
    check_count(arguments, len(kinds))
    plain: list[Any] = []
    for value, kind in zip(arguments, kinds, strict=True):
        if kind == "t":
            plain.append(plain_text(value, name))
        elif kind == "d":
            plain.append(server_second(value))
        else:
            plain.append(plain_integer(value, name))
    return LINK.ask_rows(dtype, name, *plain)


@_call(otherwise=None)
def positions_total() -> int:
    """Count the open positions."""
    return len(LINK.ask("positions_get"))


@_call(otherwise=None)
def positions_get(*arguments: Any, **keywords: Any) -> tuple[Structure, ...]:
    """Return open positions: all, or of a ticket=, else of a symbol=, else of a group=."""
    return _chosen("positions_get", TradePosition, arguments, keywords)


@_call(otherwise=None)
def orders_total() -> int:
    """Count the working orders."""
    return len(LINK.ask("orders_get"))


@_call(otherwise=None)
def orders_get(*arguments: Any, **keywords: Any) -> tuple[Structure, ...]:
    """Return working orders: all, or of a ticket=, else of a symbol=, else of a group=."""
    return _chosen("orders_get", TradeOrder, arguments, keywords)


def _chosen(
    name: str, structure: type[Structure], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[Structure, ...]:
    if arguments:
        msg = "Unnamed arguments not allowed"
        raise ArgumentError(msg)
    wanted: Callable[[Any], bool] = _any
    if "ticket" in keywords:
        ticket = check_integer(keywords["ticket"], "ticket", name)
        wanted = lambda one: one.ticket == ticket  # noqa: E731
    elif "symbol" in keywords:
        symbol = check_text(keywords["symbol"], "symbol")
        wanted = lambda one: one.symbol == symbol  # noqa: E731
    elif "group" in keywords:
        wanted = _in_group(keywords["group"])
    return tuple(one for one in map(structure, LINK.ask(name)) if wanted(one))


def _any(one: Any) -> bool:
    del one
    return True


def _in_group(group: object) -> Callable[[Any], bool]:
    if not isinstance(group, str):
        raise invalid("group")  # noqa: EM101 (the name of an argument)
    return lambda one: matches(one.symbol, group)


@_call(otherwise=None)
def history_orders_total(*arguments: Any) -> int:
    """Count the finished orders of a range of dates."""
    check_count(arguments, 2)
    return len(LINK.ask("history_orders", *map(server_second, arguments), 0, 0))


@_call(otherwise=None)
def history_orders_get(*arguments: Any, **keywords: Any) -> tuple[Structure, ...]:
    """Return finished orders: (date_from, date_to[, group=]) or (ticket=) or (position=)."""
    return _history("history_orders", TradeOrder, arguments, keywords)


@_call(otherwise=None)
def history_deals_total(*arguments: Any) -> int:
    """Count the deals of a range of dates."""
    check_count(arguments, 2)
    return len(LINK.ask("history_deals", *map(server_second, arguments), 0, 0))


@_call(otherwise=None)
def history_deals_get(*arguments: Any, **keywords: Any) -> tuple[Structure, ...]:
    """Return deals: (date_from, date_to[, group=]) or of an order's (ticket=) or (position=)."""
    return _history("history_deals", TradeDeal, arguments, keywords)


def _history(
    name: str, structure: type[Structure], arguments: tuple[Any, ...], keywords: dict[str, Any]
) -> tuple[Structure, ...]:
    if not arguments:
        for place, key in enumerate(("ticket", "position")):
            if key in keywords:
                number = check_integer(keywords[key], key, f"{name}_get")
                numbers = (number, 0) if place == 0 else (0, number)
                return tuple(map(structure, LINK.ask(name, 0, _LONGEST_HISTORY, *numbers)))
        msg = "Invalid arguments"
        raise ArgumentError(msg)
    check_count(arguments, 2)
    dates = tuple(map(server_second, arguments))
    wanted = _in_group(keywords["group"]) if "group" in keywords else _any
    return tuple(one for one in map(structure, LINK.ask(name, *dates, 0, 0)) if wanted(one))


def order_check(*arguments: Any, **keywords: Any) -> Structure | None:
    """Check a trade request: a dictionary, or its fields as keywords."""
    return _requested("order_check", arguments, keywords, is_splatted(1))


def order_send(*arguments: Any, **keywords: Any) -> Structure | None:
    """Send a trade request: a dictionary, or its fields as keywords."""
    return _requested("order_send", arguments, keywords, is_splatted(1))


@_call(otherwise=None)
def _requested(
    name: str,
    arguments: tuple[Any, ...],
    keywords: dict[str, Any],
    splatted: bool,  # noqa: FBT001
) -> Structure:
    request = one_request(arguments, keywords, name, splatted=splatted)
    *values, echo = LINK.ask(name, request)
    structure = OrderSendResult if name == "order_send" else OrderCheckResult
    return structure([*values, TradeRequest(echo)])


@_call(otherwise=None)
def order_calc_margin(*arguments: Any) -> float:
    """Return the margin of (action, symbol, volume, price) in account currency."""
    check_count(arguments, 4)
    return float(LINK.ask("order_calc_margin", *_calculated("order_calc_margin", arguments)))


@_call(otherwise=None)
def order_calc_profit(*arguments: Any) -> float:
    """Return the profit of (action, symbol, volume, open, close) in account currency."""
    check_count(arguments, 5)
    return float(LINK.ask("order_calc_profit", *_calculated("order_calc_profit", arguments)))


def _calculated(name: str, arguments: tuple[Any, ...]) -> list[Any]:
    action, symbol, *numbers = arguments
    plain = [plain_float(number, name) for number in numbers]
    return [plain_integer(action, name), plain_text(symbol, name), *plain]


@_call(otherwise=False)
def market_book_add(*arguments: Any) -> bool:
    """Subscribe to the order book of a symbol: not simulated."""
    check_count(arguments, 1)
    return bool(LINK.ask("market_book_add", plain_text(arguments[0], "market_book_add")))


@_call(otherwise=None)
def market_book_get(*arguments: Any) -> tuple[Structure, ...]:
    """Return the order book of a symbol: not simulated."""
    check_count(arguments, 1)
    return tuple(LINK.ask("market_book_get", plain_text(arguments[0], "market_book_get")))


@_call(otherwise=False)
def market_book_release(*arguments: Any) -> bool:
    """Cancel the subscription of an order book: not simulated."""
    check_count(arguments, 1)
    return bool(LINK.ask("market_book_release", plain_text(arguments[0], "market_book_release")))
