"""Sends orders to the broker: each at most once, and never twice to be sure.

An order is written to the journal before it is sent. From then on until its report is in the
journal its outcome is open: after a kill, a lost connection, or an answer that says nothing, the
broker's books are searched for it (by the comment, which is the client order id, else by magic,
symbol, side, volume and time) before anything else is done. An order that is found is reported as
what it is. One that is not found was not executed: in a replay it is sent now, as the broker stands
still; live it is reported as failed, because the moment it was meant for has passed, and nothing is
opened in its symbol until it is known (`unsettled`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from mt5_gateway.account_watch import AccountWatch, OwnOrder, retcode_of
from mt5_gateway.closing import is_closing, is_opening
from mt5_gateway.constants import (
    ORDER_STATE_EXPIRED,
    ORDER_STATE_PLACED,
    ORDER_STATE_REJECTED,
    RES_E_AUTO_TRADING_DISABLED,
    RES_E_INTERNAL_FAIL_CONNECT,
    RES_E_INVALID_PARAMS,
    TRADE_RETCODE_CONNECTION,
    TRADE_RETCODE_DONE,
    TRADE_RETCODE_DONE_PARTIAL,
    TRADE_RETCODE_ERROR,
    TRADE_RETCODE_INVALID,
    TRADE_RETCODE_INVALID_EXPIRATION,
    TRADE_RETCODE_INVALID_FILL,
    TRADE_RETCODE_LOCKED,
    TRADE_RETCODE_ORDER_CHANGED,
    TRADE_RETCODE_PLACED,
    TRADE_RETCODE_REJECT,
    TRADE_RETCODE_TIMEOUT,
)
from mt5_gateway.errors import CallRefused, TerminalUnavailable, WorkerLost, WrongAccount
from mt5_gateway.frames import Reply
from mt5_gateway.journal import Journal
from mt5_gateway.order_inbox import Unwanted
from mt5_gateway.order_search import find_order
from mt5_gateway.requests import (
    Refusal,
    check_request,
    filling_for,
    other_fillings,
    trade_request,
)
from mt5_gateway.snapshot import Snapshot, Standing
from mt5_gateway.terminal_client import Call, TerminalClient
from mt5_gateway.unsettled import Unsettled
from realtime.clock import Clock
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest
from realtime.kernels.codes import BUY_LIMIT, SELL

__all__ = ["Executor", "is_opening"]

_ACCEPTED = frozenset({TRADE_RETCODE_DONE, TRADE_RETCODE_DONE_PARTIAL, TRADE_RETCODE_PLACED})
#: After these the order may have been executed all the same.
_OPEN_RETCODES = frozenset(
    {
        TRADE_RETCODE_ERROR,
        TRADE_RETCODE_TIMEOUT,
        TRADE_RETCODE_CONNECTION,
        TRADE_RETCODE_LOCKED,
        TRADE_RETCODE_ORDER_CHANGED,
    }
)
#: Nothing reached the broker.
_NOT_SENT = frozenset(
    {RES_E_INVALID_PARAMS, RES_E_AUTO_TRADING_DISABLED, RES_E_INTERNAL_FAIL_CONNECT}
)
_SHOWS_UP_S = 3.0  # an executed order appears in the broker's books within this time
_LOOK_AGAIN_S = 0.1
_RETRY_S = 0.25
_T = TypeVar("_T")
_PERSIST = 20  # times that a replay sends an order whose outcome stays open


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of an order.

    Attributes:
        retcode: TRADE_RETCODE_*; 0 = as the broker's books will say.
        ticket: of the order at the broker; 0 = none.
        text: the broker's comment, or ours.
        sent_ns: when it was sent; 0 = not at all.
        answered_ns: when the answer was there.
    """

    retcode: int
    ticket: int = 0
    text: str = ""
    sent_ns: int = 0
    answered_ns: int = 0


class Executor:
    """Executes the orders of an account, one after the other.

    Args:
        account: name.
        symbols: that may be traded.
        terminal: to send to.
        watch: knows the account.
        journal: where orders are noted before they are sent.
        clock: the machine's.
        lockstep: a replay: the broker waits for us.
        obstacle: says why an order may not be sent now, or None; not asked in lock-step.
        alert: (severity, code, line).
    """

    def __init__(
        self,
        *,
        account: str,
        symbols: Sequence[str],
        terminal: TerminalClient,
        watch: AccountWatch,
        journal: Journal,
        clock: Clock,
        lockstep: bool,
        obstacle: Callable[[OrderRequest], Refusal | None],
        alert: Callable[[str, str, str], None],
    ) -> None:
        self._account = account
        self._symbols = frozenset(symbols)
        self._terminal = terminal
        self._watch = watch
        self._journal = journal
        self._clock = clock
        self._lockstep = lockstep
        self._obstacle = obstacle
        self._alert = alert
        self._specifications: dict[str, Mapping[str, Any] | None] = {}
        self._fillings: dict[str, int] = {}  # that a broker took after refusing another
        self._unsettled = Unsettled()
        self._log = logging.getLogger("gateway")

    async def execute(
        self, order: OrderRequest, received_ns: int, standing: Callable[[], Standing]
    ) -> None:
        """Send an order, or say why not; ends when its report is in the journal.

        Args:
            order: whose number is the next.
            received_ns: when it was there.
            standing: says where the broker is looked at.
        """
        async with self._watch.turn:
            was_begun = order.number in self._journal.recorded.intents
            outcome: Outcome | None = None
            if was_begun:
                outcome = await self._search(order)
            if outcome is None:
                outcome = await self._try(order, was_begun=was_begun)
            await self._report(order, outcome, received_ns, standing)

    async def refuse(self, unwanted: Unwanted, standing: Callable[[], Standing]) -> None:
        """Answer an order that must not be executed, so that nobody waits for it.

        Args:
            unwanted: with the reason.
            standing: says where the broker is looked at.
        """
        async with self._watch.turn:
            order = unwanted.order
            working = {own.client_order_id for own in self._watch.working.values()}
            if order.client_order_id in working:
                return  # the answer would be taken for that of the order at the broker
            outcome = Outcome(retcode=unwanted.retcode, text=unwanted.text)
            await self._report(order, outcome, unwanted.received_ns, standing)

    # --- sending ------------------------------------------------------------------------------

    async def _try(self, order: OrderRequest, *, was_begun: bool) -> Outcome:
        """Send an order that is at the broker in no form."""
        refusal = check_request(order, self._account, self._symbols)
        if refusal is None and not self._lockstep:
            refusal = await self._refusal_live(order, was_begun=was_begun)
        if refusal is not None:
            self._log.warning("%s", refusal.text)
            return Outcome(retcode=refusal.retcode, text=refusal.text)
        for _ in range(_PERSIST):
            outcome = await self._send(order)
            if outcome is None:
                outcome = await self._search(order)
            if outcome is not None:
                return outcome
            if not self._lockstep:
                break
        return self._given_up(order)

    async def _refusal_live(self, order: OrderRequest, *, was_begun: bool) -> Refusal | None:
        if was_begun:
            outcome = self._given_up(order)
            return Refusal(retcode=outcome.retcode, text=outcome.text)
        anyhow = self._lateness(order) or self._obstacle(_as_closing(order))
        if anyhow is not None:
            return anyhow
        if self._refusal_to_open(order) is None:
            return None
        return await self._unless_closing(order)

    def _refusal_to_open(self, order: OrderRequest) -> Refusal | None:
        return self._obstacle(_as_opening(order)) or self._unsettled.refusal(order)

    async def _unless_closing(self, order: OrderRequest) -> Refusal | None:
        """Refuse an order if it opens by what the terminal shows now."""
        symbol = order.symbol
        since_s = self._unsettled.since_s(symbol)
        try:
            snapshot = await self._persistently(lambda: self._watch.snapshot((), since_s))
        except WrongAccount as error:
            return Refusal(retcode=TRADE_RETCODE_REJECT, text=f"not sent: {error}")
        for found in self._unsettled.settle(symbol, snapshot, self._watch.tickets):
            text = f"order {found.client_order_id} is in the broker's books after all"
            self._alert("warning", "order_found", text)
        late = self._lateness(order)
        if late is not None or is_closing(order, snapshot):
            return late
        return self._refusal_to_open(order)

    def _lateness(self, order: OrderRequest) -> Refusal | None:
        late_ns = self._clock.now_ns() - order.valid_until_ns
        if order.valid_until_ns and late_ns > 0:
            text = (
                f"not sent: order {order.number} ({order.client_order_id}) came"
                f" {late_ns / 1e9:.1f} s after the end of its validity"
            )
            return Refusal(retcode=TRADE_RETCODE_INVALID_EXPIRATION, text=text)
        return None

    def _given_up(self, order: OrderRequest) -> Outcome:
        text = f"order {order.client_order_id}: outcome unknown, and not in the broker's books"
        hint = "check the account by hand"
        if not self._lockstep:
            self._unsettled.add(order, self._watch.newest_s)
            hint = (
                f"nothing is opened in {order.symbol} until it is found there; {hint}, then restart"
                " the gateway"
            )
        self._alert("critical", "order_lost", f"{text}: {hint}")
        return Outcome(retcode=TRADE_RETCODE_TIMEOUT, text=text)

    async def _send(self, order: OrderRequest) -> Outcome | None:
        """Send an order once; None if what became of it is unknown."""
        request = await self._prepared(order)
        if isinstance(request, Outcome):
            return request
        now_ns = self._clock.now_ns()
        if order.number not in self._journal.recorded.intents:
            self._journal.write_intent(order, now_ns)
        call = Call("order_send", (request,))
        try:
            reply = (await self._terminal.calls([call], login=self._watch.login))[0]
        except WorkerLost as error:
            self._alert("warning", "order_unknown", f"order {order.client_order_id}: {error}")
            return None
        except WrongAccount as error:
            return self._not_sent(order, TRADE_RETCODE_REJECT, str(error), "wrong_account")
        except CallRefused as error:
            return self._not_sent(order, TRADE_RETCODE_INVALID, str(error), "order_malformed")
        except TerminalUnavailable as error:
            return self._not_sent(order, TRADE_RETCODE_CONNECTION, str(error), "terminal_gone")
        return await self._outcome(order, reply, now_ns)

    async def _outcome(self, order: OrderRequest, reply: Reply, sent_ns: int) -> Outcome | None:
        answered_ns = self._clock.now_ns()
        if reply.value is None:
            if reply.code in _NOT_SENT:
                text = f"the terminal refuses: {reply.code}, {reply.text}"
                return self._not_sent(order, TRADE_RETCODE_REJECT, text, "order_refused")
            text = f"the connection broke ({reply.code}, {reply.text})"
            self._alert("warning", "order_unknown", f"order {order.client_order_id}: {text}")
            return None
        answer: Mapping[str, Any] = reply.value
        retcode = int(answer["retcode"])
        if retcode in _OPEN_RETCODES:
            text = f"order {order.client_order_id}: answer {retcode}, {answer['comment']}"
            self._alert("warning", "order_unknown", text)
            return None
        if retcode == TRADE_RETCODE_INVALID_FILL and order.symbol not in self._fillings:
            filling = int(answer["request"]["type_filling"])
            self._fillings[order.symbol] = other_fillings(filling)[0]
            return await self._send(order)
        ticket = int(answer["order"]) if retcode in _ACCEPTED else 0
        if retcode in _ACCEPTED and ticket == 0:
            text = f"order {order.client_order_id}: answer {retcode} without the order's ticket"
            self._alert("warning", "order_unknown", text)
            return None
        return Outcome(
            retcode=retcode,
            ticket=ticket,
            text=answer["comment"],
            sent_ns=sent_ns,
            answered_ns=answered_ns,
        )

    def _not_sent(self, order: OrderRequest, retcode: int, text: str, code: str) -> Outcome:
        self._alert("critical", code, f"not sent: order {order.client_order_id}: {text}")
        return Outcome(retcode=retcode, text=f"not sent: {text}")

    async def _prepared(self, order: OrderRequest) -> dict[str, Any] | Outcome:
        """Return the request, or why there is none after all."""
        try:
            request = await self._request(order)
        except WrongAccount as error:
            return self._not_sent(order, TRADE_RETCODE_REJECT, str(error), "wrong_account")
        late = None if self._lockstep else self._lateness(order)
        if late is not None:  # the terminal was waited for
            return Outcome(retcode=late.retcode, text=late.text)
        return request

    async def _request(self, order: OrderRequest) -> dict[str, Any]:
        """Return the request; asks about the symbol, and about the position to be closed."""
        if order.symbol not in self._specifications:
            reply = await self._persistently(
                lambda: self._terminal.call("symbol_info", order.symbol)
            )
            self._specifications[order.symbol] = reply.value
        filling = self._fillings.get(order.symbol)
        if filling is None:
            filling = filling_for(order.filling, self._specifications[order.symbol])
        ticket = 0
        if order.position_id:
            snapshot = await self._persistently(lambda: self._watch.snapshot(()))
            found = [
                each["ticket"]
                for each in snapshot.positions
                if each["identifier"] == order.position_id
            ]
            ticket = found[0] if found else order.position_id  # the broker says if it is gone
        return trade_request(order, filling, ticket)

    # --- what became of it --------------------------------------------------------------------

    async def _search(self, order: OrderRequest) -> Outcome | None:
        """Search the broker's books for an order; None if it is not there."""
        loop = asyncio.get_running_loop()
        until_s: float | None = None
        since_s = self._watch.newest_s
        while True:
            snapshot = await self._persistently(lambda: self._watch.snapshot((), since_s))
            ticket = find_order(order, snapshot, self._watch.tickets, since_s * 1000)
            if ticket:
                sent_ns = self._journal.recorded.intent_ns[order.number]
                return Outcome(
                    retcode=0,
                    ticket=ticket,
                    text="found in the broker's books",
                    sent_ns=sent_ns,
                    answered_ns=self._clock.now_ns(),
                )
            if until_s is None:
                until_s = loop.time() + (0.0 if self._lockstep else _SHOWS_UP_S)
            if loop.time() >= until_s:
                return None
            await asyncio.sleep(_LOOK_AGAIN_S)

    async def _report(
        self,
        order: OrderRequest,
        outcome: Outcome,
        received_ns: int,
        standing: Callable[[], Standing],
    ) -> None:
        report = ExecutionReport(
            client_order_id=order.client_order_id,
            symbol=order.symbol,
            order_number=order.number,
            retcode=outcome.retcode,
            comment=outcome.text,
            order_ticket=outcome.ticket,
            received_ns=received_ns,
            sent_ns=outcome.sent_ns,
            answered_ns=outcome.answered_ns,
        )
        snapshot: Snapshot | None = None
        if outcome.ticket:
            snapshot = await self._settled(outcome.ticket)
            self._describe(report, snapshot)
        else:
            is_late = outcome.retcode == TRADE_RETCODE_INVALID_EXPIRATION and not outcome.sent_ns
            report.state = ORDER_STATE_EXPIRED if is_late else ORDER_STATE_REJECTED
            snapshot = await self._shown()
        self._watch.tell(report, snapshot, standing())

    async def _shown(self) -> Snapshot | None:
        """Look at the account once; None if that cannot be done now."""
        try:
            return await self._watch.snapshot(())
        except (TerminalUnavailable, WrongAccount):
            return None

    async def _settled(self, ticket: int) -> Snapshot:
        """Look at the account until it shows what became of an order."""
        loop = asyncio.get_running_loop()
        until_s = loop.time() + _SHOWS_UP_S
        while True:
            snapshot = await self._persistently(lambda: self._watch.snapshot((ticket,)))
            finished = snapshot.finished.get(ticket)
            if finished is not None and not snapshot.is_working(ticket):
                filled = finished["volume_initial"] - finished["volume_current"]
                if sum(deal["volume"] for deal in snapshot.deals_of(ticket)) >= filled - 1e-9:
                    return snapshot
            elif snapshot.is_working(ticket):
                return snapshot
            if loop.time() >= until_s:
                return snapshot
            await asyncio.sleep(0.02)

    def _describe(self, report: ExecutionReport, snapshot: Snapshot) -> None:
        """Say how far an accepted order has come, and watch it if it is not finished."""
        ticket = report.order_ticket
        finished = snapshot.finished.get(ticket)
        report.filled_lots = sum(deal["volume"] for deal in snapshot.deals_of(ticket))
        if finished is None or snapshot.is_working(ticket):
            report.state = ORDER_STATE_PLACED
            report.retcode = report.retcode or TRADE_RETCODE_PLACED
            own = OwnOrder(
                ticket=ticket,
                number=report.order_number,
                client_order_id=report.client_order_id,
                symbol=report.symbol,
            )
            self._watch.follow(own)
            return
        report.state = finished["state"]
        if report.retcode in (0, TRADE_RETCODE_PLACED):
            report.retcode = retcode_of(report.state)

    async def _persistently(self, look: Callable[[], Awaitable[_T]]) -> _T:
        """Look until the terminal answers: nothing may go on before the outcome is known."""
        said = ""
        while True:
            try:
                return await look()
            except TerminalUnavailable as error:
                if str(error) != said:
                    said = str(error)
                    self._log.warning("waiting for the terminal: %s", said)
                await asyncio.sleep(_RETRY_S)


def _as_opening(order: OrderRequest) -> OrderRequest:
    """Return an order in its place that opens for certain: obstacles are asked about it."""
    opening = OrderRequest()
    opening.CopyFrom(order)
    opening.type, opening.position_id = BUY_LIMIT, 0
    return opening


def _as_closing(order: OrderRequest) -> OrderRequest:
    """Return an order in its place that closes for certain: what stops it stops all."""
    closing = OrderRequest()
    closing.CopyFrom(order)
    closing.type, closing.position_id = SELL, order.position_id or 1
    return closing
