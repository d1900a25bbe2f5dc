"""The account as the terminal shows it at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mt5_gateway.errors import WrongAccount
from mt5_gateway.terminal_client import Call, TerminalClient, not_ours, required

_LATEST_S = 2**31 - 2  # the package takes seconds in 32 bits

Fields = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Standing:
    """The moment at which the broker is looked at.

    Attributes:
        feed_seq: of the tick that it stands at; 0 outside of lock-step.
        time_ns: UTC.
    """

    feed_seq: int = 0
    time_ns: int


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """What the terminal showed, in one go.

    Attributes:
        info: of ``account_info``.
        positions: of ``positions_get``.
        working: of ``orders_get``.
        deals: of ``history_deals_get`` from the second asked for on.
        finished: of ``history_orders_get``: those of the tickets asked for.
        recent: of ``history_orders_get`` since the second asked for.
    """

    info: Fields
    positions: Sequence[Fields]
    working: Sequence[Fields]
    deals: Sequence[Fields]
    finished: Mapping[int, Fields]
    recent: Sequence[Fields] = ()

    def deals_of(self, order_ticket: int) -> list[Fields]:
        """Return the deals of an order."""
        return [deal for deal in self.deals if deal["order"] == order_ticket]

    def is_working(self, order_ticket: int) -> bool:
        """Tell whether an order is still open."""
        return any(order["ticket"] == order_ticket for order in self.working)


async def take_snapshot(
    terminal: TerminalClient,
    login: int | None,
    from_server_s: int,
    tickets: Sequence[int] = (),
    recent_from_s: int | None = None,
) -> Snapshot:
    """Look at the account.

    Args:
        terminal: to ask.
        login: that must be logged in; None to ask whoever is.
        from_server_s: oldest second of deals, broker's clock.
        tickets: orders that may be finished.
        recent_from_s: also all finished orders since this second; None = none.

    Raises:
        TerminalUnavailable: no answer.
        WrongAccount: somebody else is logged in.
    """
    calls = [
        Call("account_info"),
        Call("positions_get"),
        Call("orders_get"),
        Call("history_deals_get", (max(from_server_s, 1), _LATEST_S)),
        *(Call("history_orders_get", keywords={"ticket": ticket}) for ticket in tickets),
    ]
    if recent_from_s is not None:
        calls.append(Call("history_orders_get", (max(recent_from_s, 1), _LATEST_S)))
    replies = await terminal.calls(calls)
    info, positions, working, deals = (
        required(call.name, reply) for call, reply in zip(calls[:4], replies[:4], strict=True)
    )
    if login is not None and info["login"] != login:
        raise WrongAccount(not_ours(info["login"], login))
    finished: dict[int, Fields] = {}
    for ticket, reply in zip(tickets, replies[4:], strict=False):
        if reply.value:  # None and () both mean that it is not in history
            finished[ticket] = reply.value[0]
    recent = () if recent_from_s is None else required("history_orders_get", replies[-1])
    return Snapshot(
        info=info,
        positions=positions,
        working=working,
        deals=deals,
        finished=finished,
        recent=recent,
    )
