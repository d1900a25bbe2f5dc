"""Whether the broker's account and symbols are what the settings and the catalogue say.

Sizes, limits and backtests are reckoned with ours. With another contract size a lot is another
amount of money, and orders that close on a netting account open on a hedging one. So every
difference is said, with what to set, and while there is one nothing is opened.
"""

import asyncio
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from typing import Any

from mt5_gateway.constants import (
    ACCOUNT_MARGIN_MODE_EXCHANGE,
    ACCOUNT_MARGIN_MODE_RETAIL_NETTING,
    RES_E_NOT_FOUND,
    SYMBOL_CALC_MODE_EXCH_STOCKS,
    SYMBOL_CALC_MODE_EXCH_STOCKS_MOEX,
)
from mt5_gateway.terminal_client import Call, TerminalClient, required
from mt5_gateway.trade_link import TradeLink
from realtime.settings import AccountSettings
from realtime.symbols import Symbol

Terms = dict[str, Any]
_EVERY_S = 60.0  # brokers change leverage and conditions while connected, too
_EXACT = 1e-9
_FUTURES = ("futures", "exchange_futures")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
#: Numbers of MetaTrader that mean the same to us.
_SAME_MARGIN_MODE = {ACCOUNT_MARGIN_MODE_EXCHANGE: ACCOUNT_MARGIN_MODE_RETAIL_NETTING}
_SAME_CALC_MODE = {SYMBOL_CALC_MODE_EXCH_STOCKS_MOEX: SYMBOL_CALC_MODE_EXCH_STOCKS}
#: Keys of the catalogue whose value `symbol_info` has under another name.
_NUMBERS = {
    "digits": "digits",
    "contract_size": "trade_contract_size",
    "volume_min": "volume_min",
    "volume_max": "volume_max",
    "volume_step": "volume_step",
}
_CURRENCIES = ("currency_base", "currency_profit", "currency_margin")


def _names_of(kind: type[AccountSettings | Symbol], field: str) -> dict[int, str]:
    (codes,) = (each.metadata["codes"] for each in fields(kind) if each.name == field)
    return {code: name for name, code in codes.items()}


_MODES = _names_of(AccountSettings, "mode")
_CALC_MODES = _names_of(Symbol, "calc_mode")


def account_differences(info: Mapping[str, Any], account: AccountSettings) -> list[str]:
    """Return a line for everything in which the broker's account is not that of the settings.

    Args:
        info: of ``account_info``.
        account: ``[account]``.
    """
    mode = int(info["margin_mode"])
    broker: Terms = {
        "mode": _MODES.get(_SAME_MARGIN_MODE.get(mode, mode), f"unknown ({mode})"),
        "currency": info["currency"],
        "leverage": max(int(info["leverage"]), 1),  # 0: there is none
    }
    ours: Terms = {
        "mode": account.mode,
        "currency": account.currency,
        "leverage": round(account.leverage),  # MetaTrader's is a whole number
    }
    return [
        f"the broker's account has {key} {_toml(broker[key])}, [account] has {_toml(ours[key])}:"
        f" set [account] {key} = {_toml(broker[key])}"
        for key in ours
        if broker[key] != ours[key]
    ]


def symbol_differences(
    info: Mapping[str, Any] | None, symbol: Symbol, account_currency: str
) -> list[str]:
    """Return a line for everything in which the broker's symbol is not that of the catalogue.

    Args:
        info: of ``symbol_info``; None: the broker has no such symbol.
        symbol: of the catalogue.
        account_currency: in which the broker tells the value of a tick.
    """
    unusable = _unusable(info, symbol)
    if unusable or info is None:
        return [f"{unusable}: take it out of trade = [...]"]
    broker: Terms = {key: info[name] for key, name in _NUMBERS.items()}
    broker |= {key: info[key] for key in _CURRENCIES}
    broker |= {
        "calc_mode": _calc_mode(info),
        "tick_size": float(info["trade_tick_size"]) or float(info["point"]),
    }
    ours: Terms = {key: getattr(symbol, key) for key in (*_NUMBERS, *_CURRENCIES, "calc_mode")}
    ours |= {
        "tick_size": symbol.tick_size or symbol.point,
        "currency_margin": symbol.margin_currency,
    }
    if symbol.calc_mode in _FUTURES and symbol.currency_profit == account_currency:
        broker["tick_value"] = info["trade_tick_value"]
        ours["tick_value"] = symbol.tick_value
    name = symbol.name if _BARE_KEY.fullmatch(symbol.name) else json.dumps(symbol.name)
    return [
        f"the broker's {symbol.name} has {key} {_toml(broker[key])}, ours {_toml(ours[key])}: set"
        f" {key} = {_toml(broker[key])} below [symbols.{name}] in the file of [paths]"
        " specifications"
        for key in ours
        if not _is_same(broker[key], ours[key])
    ]


def _unusable(info: Mapping[str, Any] | None, symbol: Symbol) -> str:
    """Say why no settings make a broker's symbol one that can be reckoned with here."""
    if info is None:
        return f"the terminal has no symbol {symbol.name!r}"
    if _calc_mode(info) is None:
        mode = info["trade_calc_mode"]
        return (
            f"the broker calculates {symbol.name} in a way that is not known here"
            f" (SYMBOL_TRADE_CALC_MODE {mode})"
        )
    if not _is_same(info["point"], 10.0 ** -int(info["digits"])):
        return f"the broker's {symbol.name} has {info['digits']} digits, a point of {info['point']}"
    return ""


def _calc_mode(info: Mapping[str, Any]) -> str | None:
    mode = int(info["trade_calc_mode"])
    return _CALC_MODES.get(_SAME_CALC_MODE.get(mode, mode))


class Agreement:
    """Compares again and again, and remembers what differs.

    Args:
        terminal: to ask.
        link: to the trade server.
        login: of our account.
        account: ``[account]``.
        symbols: that are traded.
        alert: (severity, code, line).
    """

    def __init__(
        self,
        *,
        terminal: TerminalClient,
        link: TradeLink,
        login: int,
        account: AccountSettings,
        symbols: Sequence[Symbol],
        alert: Callable[[str, str, str], None],
    ) -> None:
        self.differences: tuple[str, ...] = ()
        self._terminal = terminal
        self._link = link
        self._login = login
        self._account = account
        self._symbols = tuple(symbols)
        self._alert = alert
        self._compared: tuple[int, int] | None = None  # the connection that was compared
        self._due_s = 0.0

    @property
    def is_current(self) -> bool:
        """Whether this connection to the broker has been compared."""
        return self._compared == self._link.connection

    def complaint(self) -> str:
        """Say in one line why nothing may be opened; empty if nothing speaks against it."""
        if self.differences:
            more = len(self.differences) - 1
            return self.differences[0] + (f" (and {more} more)" if more else "")
        if not self.is_current:
            return "the broker's account and symbols were not compared since the terminal was lost"
        return ""

    def doubt(self) -> None:
        """Compare again before anything is opened: another account may have been looked at."""
        self._compared = None

    async def keep(self) -> None:
        """Compare if the terminal or its link were lost since, or a minute has passed.

        Raises:
            TerminalUnavailable: no answer, or no link.
            WrongAccount: somebody else is logged in.
        """
        if not self.is_current or asyncio.get_running_loop().time() >= self._due_s:
            await self.compare()

    async def compare(self) -> None:
        """Compare now, and tell what is new.

        Raises:
            TerminalUnavailable: no answer, or no link.
            WrongAccount: somebody else is logged in.
        """
        connection = await self._link.require()
        calls = [Call("account_info")]
        calls += [Call("symbol_info", (symbol.name,)) for symbol in self._symbols]
        first, *others = await self._terminal.calls(calls, login=self._login)
        found = account_differences(required("account_info", first), self._account)
        for symbol, reply in zip(self._symbols, others, strict=True):
            if reply.code != RES_E_NOT_FOUND:
                required("symbol_info", reply)
            found += symbol_differences(reply.value, symbol, self._account.currency)
        self._compared = connection
        self._due_s = asyncio.get_running_loop().time() + _EVERY_S
        self._tell(tuple(found))

    def _tell(self, found: tuple[str, ...]) -> None:
        for line in found:
            if line not in self.differences:
                self._alert("critical", "settings_differ", f"{line}; nothing is opened until then")
        if self.differences and not found:
            text = "the broker's account and symbols are those of the settings again"
            self._alert("info", "settings_differ", text)
        self.differences = found


def _is_same(broker: Any, ours: Any) -> bool:
    if isinstance(ours, str):
        return broker == ours
    return math.isclose(broker, ours, rel_tol=_EXACT)


def _toml(value: Any) -> str:
    return json.dumps(value)
