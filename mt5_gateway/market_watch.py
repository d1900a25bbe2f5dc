"""Symbols whose ticks the terminal refuses: said, put back into Market Watch, and asked again.

The terminal streams only what is in its Market Watch, and whoever sits before it may take a symbol
out. The calls for its ticks then fail, with an error that also means that there are none yet.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from mt5_gateway.constants import RES_E_FAIL, RES_E_NOT_FOUND
from mt5_gateway.errors import TerminalUnavailable
from mt5_gateway.frames import Reply
from mt5_gateway.terminal_client import Call, TerminalClient, no_ticks

_AGAIN_S = 1.0
#: What the package also says where there are no ticks from the second asked for.
_NONE_YET = frozenset({RES_E_FAIL, RES_E_NOT_FOUND})


class MarketWatch:
    """Looks after the symbols that do not stream.

    Args:
        terminal: to ask.
        login: of our account.
        say: (what, trouble): tells it once, and in health until it is over.
        over: (what): it is.
    """

    def __init__(
        self,
        *,
        terminal: TerminalClient,
        login: int | None,
        say: Callable[[str, Exception], None],
        over: Callable[[str], None],
    ) -> None:
        self._terminal = terminal
        self._login = login
        self._say = say
        self._over = over
        self._again_s: dict[str, float] = {}  # of the symbols that do not stream

    def streams(self, symbol: str) -> None:
        """Note that a symbol's ticks could be asked for."""
        if self._again_s.pop(symbol, None) is not None:
            self._over(_what(symbol))

    async def mend(self, symbol: str, reply: Reply, *, is_new: bool) -> None:
        """Say that a symbol's ticks could not be asked for, and put it into Market Watch.

        Args:
            symbol: its name.
            reply: to the question for its ticks.
            is_new: none of its ticks was taken yet, so there may be none.

        Raises:
            TerminalUnavailable: no answer.
            WrongAccount: somebody else is logged in.
        """
        now_s = asyncio.get_running_loop().time()
        if now_s < self._again_s.get(symbol, now_s):
            return
        self._again_s[symbol] = now_s + _AGAIN_S
        calls = [Call("symbol_info", (symbol,)), Call("symbol_select", (symbol, True))]
        info, selected = await self._terminal.calls(calls, login=self._login)
        was_there = _is_selected(info.value)
        if is_new and was_there and reply.code in _NONE_YET:
            return
        if was_there:
            done = "look at it in Market Watch"
        elif selected.value is True:
            done = "it was not in Market Watch and was put back there"
        else:
            done = "put it into Market Watch"
        self._say(_what(symbol), TerminalUnavailable(f"{no_ticks(symbol, reply)}: {done}"))


def _is_selected(info: Mapping[str, Any] | None) -> bool:
    return info is not None and bool(info["select"])


def _what(symbol: str) -> str:
    return f"ticks of {symbol}"
