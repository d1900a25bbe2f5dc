"""The account's side of the gateway, put together: orders in, reports out."""

from collections.abc import Callable
from dataclasses import dataclass

from mt5_gateway.account_watch import AccountWatch
from mt5_gateway.executor import Executor
from mt5_gateway.journal_room import JournalRoom
from mt5_gateway.order_inbox import OrderInbox
from mt5_gateway.reports import Reports
from mt5_gateway.snapshot import Standing
from realtime.outbox import Outbox

_MOST_TICKETS = 50_000


@dataclass(frozen=True, kw_only=True)
class Trading:
    """Everything between the loop's orders and the broker.

    Attributes:
        watch: knows the account.
        executor: sends orders.
        inbox: has them in order.
        reports: tells what became of them.
        outbox: where reports are confirmed.
        room: in the journal; nothing is begun without.
    """

    watch: AccountWatch
    executor: Executor
    inbox: OrderInbox
    reports: Reports
    outbox: Outbox
    room: JournalRoom

    async def execute_next(self, standing: Callable[[], Standing]) -> bool:
        """Deal with the next order; whether it was there."""
        await self._answer_unwanted(standing)
        received = self.inbox.next()
        if received is None:
            return False
        await self.room.wait()
        await self.executor.execute(received.order, received.received_ns, standing)
        self.inbox.done()
        return True

    async def look(self, standing: Callable[[], Standing]) -> int:
        """Look at the account and report what is new; how many reports that took.

        Raises:
            TerminalUnavailable: no answer.
            WrongAccount: somebody else is logged in.
        """
        await self._answer_unwanted(standing)
        await self.room.wait()
        async with self.watch.turn:
            told = await self.watch.look(standing())
            self._forget_tickets()
        return told

    async def _answer_unwanted(self, standing: Callable[[], Standing]) -> None:
        while self.inbox.unwanted:
            await self.room.wait()
            if self.inbox.unwanted:  # whoever looks and whoever executes both get here
                await self.executor.refuse(self.inbox.unwanted.popleft(), standing)

    def _forget_tickets(self) -> None:
        """Forget tickets that no search can come upon any more: it begins at the newest deal."""
        tickets = self.watch.tickets
        if len(tickets) > _MOST_TICKETS:
            latest = {report.order_ticket for report in self.reports.known.values()}
            tickets &= latest | set(self.watch.working)
