"""Turns what changes at the broker into reports, whoever changed it.

Stop losses, stop-outs, swaps, deposits, orders that fill later, and what somebody does by hand at
the terminal: none of it is announced, so the account is looked at again and again and compared with
the last report. Deals are told once, by their tickets. The deals of one look at the account that
belong together make one report, and every report carries the whole account. There is no look while
the terminal has no link to the trade server: it would show an account that is old, or empty.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mt5_gateway.account import account_state, deal_message, fingerprint
from mt5_gateway.constants import (
    DEAL_REASON_EXPERT,
    ORDER_STATE_CANCELED,
    ORDER_STATE_EXPIRED,
    ORDER_STATE_FILLED,
    ORDER_STATE_PARTIAL,
    ORDER_STATE_PLACED,
    ORDER_STATE_REJECTED,
    TRADE_RETCODE_CANCEL,
    TRADE_RETCODE_DONE,
    TRADE_RETCODE_DONE_PARTIAL,
    TRADE_RETCODE_INVALID_EXPIRATION,
    TRADE_RETCODE_REJECT,
)
from mt5_gateway.errors import TerminalUnavailable
from mt5_gateway.journal import Journal
from mt5_gateway.reports import Reports
from mt5_gateway.server_time import ServerClock
from mt5_gateway.snapshot import Fields, Snapshot, Standing, take_snapshot
from mt5_gateway.strangers import Strangers
from mt5_gateway.terminal_client import TerminalClient
from mt5_gateway.trade_link import TradeLink
from mt5_gateway.vanished import Vanished
from realtime.contracts.orders_pb2 import AccountState, ExecutionReport

_OVERLAP_S = 600  # deals may appear this much after their time
_LONG_OVERLAP_S = 86_400
_LONG_LOOK_EVERY = 50
_RETCODES = {
    ORDER_STATE_FILLED: TRADE_RETCODE_DONE,
    ORDER_STATE_PARTIAL: TRADE_RETCODE_DONE_PARTIAL,
    ORDER_STATE_CANCELED: TRADE_RETCODE_CANCEL,
    ORDER_STATE_EXPIRED: TRADE_RETCODE_INVALID_EXPIRATION,
    ORDER_STATE_REJECTED: TRADE_RETCODE_REJECT,
}
_MS_NS = 1_000_000


@dataclass(kw_only=True)
class OwnOrder:
    """An order of ours that the broker has not finished."""

    ticket: int
    number: int
    client_order_id: str
    symbol: str


class AccountWatch:
    """Knows what was told of the account, and tells what is new.

    Args:
        terminal: to ask.
        link: to the trade server.
        clock: the broker's.
        reports: where it is told.
        journal: knows the orders that were sent.
        strangers: tells of positions that are not reckoned with.
        alert: (severity, code, line).
        is_replay: the terminal's books are complete at once.
    """

    def __init__(
        self,
        *,
        is_replay: bool,
        terminal: TerminalClient,
        link: TradeLink,
        clock: ServerClock,
        reports: Reports,
        journal: Journal,
        strangers: Strangers,
        alert: Callable[[str, str, str], None],
    ) -> None:
        self.login: int | None = None
        self.state: AccountState | None = None  # as last reported
        self.turn = asyncio.Lock()  # of whoever changes the account or compares it
        self.working: dict[int, OwnOrder] = {}
        self.tickets: set[int] = set()  # of orders that were reported
        self._terminal = terminal
        self._link = link
        self._strangers = strangers
        self._vanished = Vanished(alert)
        self._clock = clock
        self._reports = reports
        self._journal = journal
        self._alert = alert
        self._known: set[int] = set()  # deals that were told, or are not ours to tell
        self._newest_s = 1  # second of the newest deal told, broker's clock
        self._floor_s = 1  # nothing before this second is looked at
        self._looks = 0
        self._is_replay = is_replay
        self._log = logging.getLogger("gateway")

    @property
    def newest_s(self) -> int:
        """Second of the newest deal that is known, broker's clock."""
        return self._newest_s

    async def load(self, standing: Standing, broker_s: int) -> None:
        """Find out what was told before; the first time, tell how the account is.

        Args:
            standing: when.
            broker_s: the broker's time, or a little before it, in seconds of its clock.

        Raises:
            TerminalUnavailable: no answer.
            WrongAccount: somebody else is logged in.
        """
        for _, report in sorted(self._reports.known.items()):
            self._remember(report)
        recorded = self._journal.recorded
        if recorded.seen is not None:
            self._known.update(recorded.seen)
            self._newest_s = max(self._newest_s, recorded.begun_s)
            self._floor_s = recorded.begun_s - _LONG_OVERLAP_S
        elif self.state is not None:  # the journal was lost: what is older is not new
            self._newest_s = self._floor_s = self._newest_s if self._known else broker_s
        if self.state is None:
            self._newest_s = max(broker_s, self._newest_s)
            await self._begin(standing)

    async def _begin(self, standing: Standing) -> None:
        self._floor_s = self._newest_s - _LONG_OVERLAP_S
        snapshot = await self._take(())
        tickets = [deal["ticket"] for deal in snapshot.deals]
        self._journal.write_seen(tickets, self._newest_s)
        self._known.update(tickets)
        self._tell(ExecutionReport(), snapshot, standing)

    async def look(self, standing: Standing) -> int:
        """Look at the account and report what is new; return how many reports that took.

        Raises:
            TerminalUnavailable: no answer, or no link to the trade server.
            WrongAccount: somebody else is logged in.
        """
        snapshot = await self._take(tuple(self.working))
        if self._is_doubtful(snapshot):
            return 0
        return self.absorb(snapshot, standing)

    async def snapshot(self, tickets: Sequence[int], since_s: int | None = None) -> Snapshot:
        """Look at the account without reporting.

        Args:
            tickets: orders that may be finished.
            since_s: also at all finished orders since this second, broker's clock.

        Raises:
            TerminalUnavailable: no answer, or no link to the trade server.
            WrongAccount: somebody else is logged in.
        """
        return await self._take((*self.working, *tickets), since_s)

    async def _take(self, tickets: Sequence[int], since_s: int | None = None) -> Snapshot:
        self._looks += 1
        overlap_s = _LONG_OVERLAP_S if self._looks % _LONG_LOOK_EVERY == 1 else _OVERLAP_S
        if self._is_replay and self._looks > 1:
            overlap_s = 1
        from_s = max(self._newest_s - overlap_s, self._floor_s)
        if since_s is not None:
            from_s = min(from_s, since_s)
        if self._is_replay:
            return await take_snapshot(self._terminal, self.login, from_s, tickets, since_s)
        connection = await self._link.require()
        snapshot = await take_snapshot(self._terminal, self.login, from_s, tickets, since_s)
        if self._link.connection != connection:
            msg = "the terminal was lost and found while it was asked for the account"
            raise TerminalUnavailable(msg)
        return snapshot

    def _is_doubtful(self, snapshot: Snapshot) -> bool:
        """Whether positions are missing that have to be looked for again."""
        if self._is_replay:
            return False
        now_s = asyncio.get_running_loop().time()
        return self._vanished.doubts(self.state, snapshot, now_s)

    def absorb(self, snapshot: Snapshot, standing: Standing) -> int:
        """Report what is new in a snapshot; return how many reports that took."""
        before = self._reports.last_seq
        fresh = sorted(
            (deal for deal in snapshot.deals if deal["ticket"] not in self._known),
            key=lambda deal: (deal["time_msc"], deal["ticket"]),
        )
        for own in list(self.working.values()):
            self._follow(own, [deal for deal in fresh if deal["order"] == own.ticket],
                         snapshot, standing)  # fmt: skip
        rest = [deal for deal in fresh if deal["ticket"] not in self._known]
        lost = [deal for deal in rest if self._is_sent_by_us(deal)]
        for deal in lost:
            self._tell_late(deal, snapshot, standing)
        rest = [deal for deal in rest if deal not in lost]
        if rest:
            symbols = {deal["symbol"] for deal in rest}
            symbol = symbols.pop() if len(symbols) == 1 else ""
            self._tell(self._about(rest, symbol=symbol), snapshot, standing)
        state = account_state(snapshot.info, snapshot.positions, self._clock, standing.time_ns)
        self._strangers.look(state)
        if self.state is None or fingerprint(state) != fingerprint(self.state):
            self._tell(ExecutionReport(), snapshot, standing)
        return self._reports.last_seq - before

    def _follow(
        self, own: OwnOrder, deals: Sequence[Fields], snapshot: Snapshot, standing: Standing
    ) -> None:
        finished = snapshot.finished.get(own.ticket)
        is_open = finished is None or snapshot.is_working(own.ticket)
        if is_open and not deals:
            return
        report = self._about(deals, symbol=own.symbol)
        report.client_order_id = own.client_order_id
        report.order_number = own.number
        report.order_ticket = own.ticket
        report.filled_lots = sum(deal["volume"] for deal in snapshot.deals_of(own.ticket))
        if finished is None or is_open:
            report.state = ORDER_STATE_PLACED
            report.retcode = TRADE_RETCODE_DONE_PARTIAL
        else:
            report.state = finished["state"]
            report.retcode = retcode_of(report.state)
            del self.working[own.ticket]
        self._tell(report, snapshot, standing)

    def _is_sent_by_us(self, deal: Fields) -> bool:
        return deal["reason"] == DEAL_REASON_EXPERT and self._order_of(deal) is not None

    def _order_of(self, deal: Fields) -> int | None:
        comment = deal["comment"]
        for number, order in self._journal.recorded.intents.items():
            if order.client_order_id == comment:
                return number
        return None

    def _tell_late(self, deal: Fields, snapshot: Snapshot, standing: Standing) -> None:
        """Report a deal of an order that was given up: it was executed after all."""
        number = self._order_of(deal)
        assert number is not None
        order = self._journal.recorded.intents[number]
        self._alert(
            "critical",
            "late_execution",
            f"order {order.client_order_id} was executed after it had been reported as failed:"
            f" {deal['volume']} lots of {deal['symbol']} at {deal['price']}; the position is real",
        )
        report = self._about([deal], symbol=deal["symbol"])
        report.client_order_id = order.client_order_id
        report.order_number = number
        report.order_ticket = deal["order"]
        report.filled_lots = sum(each["volume"] for each in snapshot.deals_of(deal["order"]))
        report.state = ORDER_STATE_FILLED
        report.retcode = TRADE_RETCODE_DONE
        self._tell(report, snapshot, standing)

    def tell(self, report: ExecutionReport, snapshot: Snapshot | None, standing: Standing) -> None:
        """Publish a report on an order, with its new deals and the account after it.

        Args:
            report: with what the answer said.
            snapshot: taken after it; None if the terminal could not be asked.
            standing: when.
        """
        if snapshot is not None and report.order_ticket:
            deals = [
                deal
                for deal in snapshot.deals_of(report.order_ticket)
                if deal["ticket"] not in self._known
            ]
            report.deals.extend(deal_message(deal, self._clock) for deal in deals)
            self._note(deals)
        elif snapshot is not None and self._is_doubtful(snapshot):
            snapshot = None  # the account stays as it was told, until it is looked at again
        self._tell(report, snapshot, standing)

    def follow(self, own: OwnOrder) -> None:
        """Watch an order that the broker has not finished."""
        self.working[own.ticket] = own

    def _about(self, deals: Sequence[Fields], *, symbol: str) -> ExecutionReport:
        self._note(deals)
        return ExecutionReport(
            symbol=symbol, deals=[deal_message(deal, self._clock) for deal in deals]
        )

    def _note(self, deals: Sequence[Fields]) -> None:
        for deal in deals:
            self._known.add(deal["ticket"])
            self._newest_s = max(self._newest_s, deal["time"])

    def _tell(self, report: ExecutionReport, snapshot: Snapshot | None, standing: Standing) -> None:
        if snapshot is not None:
            state = account_state(snapshot.info, snapshot.positions, self._clock, standing.time_ns)
            self.state = state
        if self.state is not None:
            report.account_state.CopyFrom(self.state)
        self.tickets.add(report.order_ticket)
        report.feed_seq = standing.feed_seq
        report.time_ns = standing.time_ns
        self._reports.publish(report)

    def _remember(self, report: ExecutionReport) -> None:
        """Take in a report that was told before."""
        for deal in report.deals:
            self._known.add(deal.ticket)
            server_s = self._clock.to_server_ms(deal.time_ns // _MS_NS) // 1000
            self._newest_s = max(self._newest_s, server_s)
        if report.HasField("account_state"):
            self.state = report.account_state
        ticket = report.order_ticket
        self.tickets.add(ticket)
        if report.order_number and report.state == ORDER_STATE_PLACED and ticket:
            self.working[ticket] = OwnOrder(
                ticket=ticket,
                number=report.order_number,
                client_order_id=report.client_order_id,
                symbol=report.symbol,
            )
        elif ticket:
            self.working.pop(ticket, None)


def retcode_of(state: int) -> int:
    """Return the TRADE_RETCODE_* that goes with the state of a finished order."""
    return _RETCODES.get(state, TRADE_RETCODE_DONE)
