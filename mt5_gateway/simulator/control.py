"""Control of the simulated terminal: what no MetaTrader has. Uses the connection of `metatrader5`.

A tick is named by its symbol and its ordinal: the n-th tick of that symbol that `copy_ticks_*`
gives out, from 1. As with the package, None means that the call failed and `last_error` says why;
what makes no sense raises `ControlRefused`.
"""

from typing import Any, NamedTuple

from mt5_gateway.simulator.link import LINK, CallFailed


class Position(NamedTuple):
    """Where market and broker stand.

    Attributes:
        symbol: of the broker's last tick; "" before the first.
        ordinal: of the broker's last tick; 0 before the first.
        revealed: ticks of all symbols that the market has shown.
        total: ticks of all symbols there are.
        time_msc: of the broker's last tick, on its wall clock.
    """

    symbol: str
    ordinal: int
    revealed: int
    total: int
    time_msc: int


class Ahead(NamedTuple):
    """What lies ahead of the broker.

    Attributes:
        symbol: of the last tick before the first event; of the last one looked at if there is none.
        ordinal: of that tick; it is the broker's own if the very next tick is an event.
        is_event: whether the tick after it is an event.
    """

    symbol: str
    ordinal: int
    is_event: bool


def open_market(count: int) -> tuple[int, bool] | None:
    """Show the next ticks of all symbols: (how many that were, whether no more follow)."""
    answer = _ask("open_market", count)
    return None if answer is None else (answer[0], answer[1])


def peek(limit: int) -> Ahead | None:
    """Look for the next event among at most `limit` ticks shown; changes nothing.

    An event is whatever changes more than quotes and what positions are worth: a deal, an order
    that arrives, expires or is refused, a swap.
    """
    answer = _ask("peek", limit)
    return None if answer is None else Ahead(*answer)


def commit(symbol: str, ordinal: int) -> int | None:
    """Play the broker through a tick that was shown; how many events there were (0 if it was past).

    Orders sent then meet this tick's quote.
    """
    return _ask("commit", symbol, ordinal)


def position() -> Position | None:
    """Tell where market and broker stand."""
    answer = _ask("position")
    return None if answer is None else Position(*answer)


def ordinal(symbol: str, time_msc: int, taken: int) -> int | None:
    """Return the ordinal of the `taken`-th tick (from 1) of a server millisecond; 0 = none."""
    return _ask("ordinal", symbol, time_msc, taken)


def switch(name: str, on: bool) -> None:  # noqa: FBT001
    """Set a switch of `switches.SWITCHES`, e.g. ``trade_allowed``, the AutoTrading button."""
    _ask("switch", name, on)


def fault(call: str, kind: str, number: float = 0, *, symbol: str = "", times: int = 1) -> None:
    """Let coming calls go wrong; see `switches.Fault`."""
    _ask("fault", call, kind, number, symbol, times)


def trade_mode(symbol: str, mode: int) -> None:
    """Set SYMBOL_TRADE_MODE of a symbol."""
    _ask("trade_mode", symbol, mode)


def _ask(call: str, *arguments: Any) -> Any:
    LINK.begin()
    try:
        return LINK.exchange(f"control.{call}", *arguments).header["value"]
    except CallFailed:
        return None
