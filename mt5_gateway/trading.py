"""The account's side of the gateway, put together: orders in, reports out."""

from collections.abc import Callable
from dataclasses import dataclass

from mt5_gateway.account_watch import AccountWatch
from mt5_gateway.executor import Executor
from mt5_gateway.order_inbox import OrderInbox
from mt5_gateway.reports import Reports
from mt5_gateway.snapshot import Standing
from realtime.outbox import Outbox


@dataclass(frozen=True, kw_only=True)
class Trading:
    """Everything between the loop's orders and the broker.

    Attributes:
        watch: knows the account.
        executor: sends orders.
        inbox: has them in order.
        reports: tells what became of them.
        outbox: where reports are confirmed.
    """

    watch: AccountWatch
    executor: Executor
    inbox: OrderInbox
    reports: Reports
    outbox: Outbox

    async def execute_next(self, standing: Callable[[], Standing]) -> bool:
        """Deal with the next order; whether it was there."""
        received = self.inbox.next()
        if received is None:
            return False
        await self.executor.execute(received.order, received.received_ns, standing)
        self.inbox.done()
        return True

    async def look(self, standing: Callable[[], Standing]) -> int:
        """Look at the account and report what is new; how many reports that took.

        Raises:
            TerminalUnavailable: no answer.
            WrongAccount: somebody else is logged in.
        """
        async with self.watch.turn:
            return await self.watch.look(standing())
