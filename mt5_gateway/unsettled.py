"""Orders that were given up without an answer: the broker may execute them yet.

Nothing is opened in their symbols meanwhile: it could be a second position beside the first. An
order is settled when it is found in the broker's books. If it never is, only somebody who looks at
the account can know that it will not be executed, and starts the gateway again.
"""

from collections.abc import Collection
from dataclasses import dataclass

from mt5_gateway.constants import TRADE_RETCODE_LOCKED
from mt5_gateway.order_search import find_order
from mt5_gateway.requests import Refusal
from mt5_gateway.snapshot import Snapshot
from realtime.contracts.orders_pb2 import OrderRequest


@dataclass(frozen=True, kw_only=True)
class _Lost:
    order: OrderRequest
    since_s: int


class Unsettled:
    """Keeps them, by symbol."""

    def __init__(self) -> None:
        self._lost: dict[str, list[_Lost]] = {}

    def add(self, order: OrderRequest, since_s: int) -> None:
        """Note an order that was given up.

        Args:
            order: that may have been executed, or will be.
            since_s: the oldest that it can be, in seconds of the broker's clock.
        """
        self._lost.setdefault(order.symbol, []).append(_Lost(order=order, since_s=since_s))

    def since_s(self, symbol: str) -> int | None:
        """Return from which second on the books are to be searched; None if all is settled."""
        return min((each.since_s for each in self._lost.get(symbol, ())), default=None)

    def refusal(self, order: OrderRequest) -> Refusal | None:
        """Say why an order that opens is refused, or None."""
        lost = self._lost.get(order.symbol)
        if not lost:
            return None
        text = (
            f"not sent: order {order.number} ({order.client_order_id}): nobody knows what became of"
            f" {lost[0].order.client_order_id}, and nothing is opened in {order.symbol} until it is"
            " found in the broker's books; check the account by hand, then restart the gateway"
        )
        return Refusal(retcode=TRADE_RETCODE_LOCKED, text=text)

    def settle(self, symbol: str, snapshot: Snapshot, known: Collection[int]) -> list[OrderRequest]:
        """Forget those of a symbol that the books show, and return them.

        Args:
            symbol: whose orders.
            snapshot: with all orders since `since_s`.
            known: tickets of other orders of ours.
        """
        lost = self._lost.pop(symbol, [])
        found = [
            each.order
            for each in lost
            if find_order(each.order, snapshot, known, each.since_s * 1000)
        ]
        rest = [each for each in lost if each.order not in found]
        if rest:
            self._lost[symbol] = rest
        return found
