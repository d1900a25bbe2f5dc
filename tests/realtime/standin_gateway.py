"""A gateway and terminal in lock-step, small enough to be seen through: for tests of the loop.

The broker is the core's own (`tests/parity/outside_broker.py`); the wire is real. The protocol is
that of `realtime/contracts/control.proto`.
"""

import asyncio
from itertools import pairwise

import numpy as np

from realtime.connection import connect
from realtime.contracts.control_pb2 import Permit, Reached
from realtime.contracts.market_data_pb2 import Ticks
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import (
    permit_subject,
    reached_subject,
    report_subject,
    tick_subject,
)
from realtime.outbox import Outbox, publish_now
from tests.parity.outside_broker import OutsideBroker

ACCOUNT = "paper"


def tick_messages(ticks, symbols, first=0, account=ACCOUNT, most=500):
    """Messages of rows of ticks in feed order; `ticks` is the whole feed from row 0."""
    seqs = np.zeros(len(ticks), np.int64)
    for row in range(len(symbols)):
        own = ticks["symbol"] == row
        seqs[own] = np.arange(1, int(own.sum()) + 1)
    edges = [0, *(np.flatnonzero(np.diff(ticks["symbol"])) + 1).tolist(), len(ticks)]
    for begin, end in pairwise(edges):
        for start in range(begin, end, most):
            rows = ticks[start : min(start + most, end)]
            yield Ticks(
                symbol=symbols[int(rows["symbol"][0])],
                account=account,
                first_seq=int(seqs[start]),
                first_feed_seq=first + start + 1,
                time_ns=rows["time_ns"].tolist(),
                bid=rows["bid"].tolist(),
                ask=rows["ask"].tolist(),
                last=[] if np.isnan(rows["last"]).all() else rows["last"].tolist(),
                volume=rows["volume"].tolist(),
                flags=rows["flags"].tolist(),
            )


def put_ticks(outbox, messages):
    for message in messages:
        outbox.put(tick_subject(message.symbol), message.SerializeToString(), "TICKS")


class StandIn:
    """Plays ticks to a loop in lock-step and executes its orders."""

    def __init__(self, settings, desk, symbols, ticks):
        self.settings, self.symbols, self.ticks = settings, symbols, ticks
        self.broker = OutsideBroker(desk, symbols, ACCOUNT)
        self.at = 0  # ticks whose broker phase is done
        self.orders = {}
        self.executed = 0
        self.received = []  # order numbers as they came, duplicates included
        self.permit = None
        self.reached: Reached | None = None
        self.over = asyncio.Event()
        self.alerts = []
        self.permits = 0
        self.horizon = 100  # permitted at most; a real terminal looks ahead much faster
        self.on_permit = lambda: None

    async def open(self, ticks=True):
        self.client = await connect(self.settings, "gateway")
        self.outbox = Outbox(self.client, lambda code, text: self.alerts.append((code, text)))
        await self.outbox.open()
        await self.client.subscribe("trade.order.>", cb=self._on_order)
        await self.client.subscribe(reached_subject(ACCOUNT), cb=self._on_reached)
        if ticks:
            put_ticks(self.outbox, tick_messages(self.ticks, self.symbols))
            assert await self.outbox.flush(10)

    async def close(self):
        await self.outbox.close()
        await self.client.close()

    async def _on_order(self, msg):
        order = OrderRequest.FromString(msg.data)
        self.received.append(order.number)
        known = self.orders.setdefault(order.number, order)
        for name in ("symbol", "type", "volume_lots", "price", "feed_seq", "client_order_id"):
            assert getattr(known, name) == getattr(order, name), (name, known, order)
        if self.reached is not None and self.reached.order_number == order.number:
            self._answer(self.reached)  # it overtook its orders

    async def _on_reached(self, msg):
        self.reached = Reached.FromString(msg.data)
        self._answer(self.reached)

    def _answer(self, reached):
        if reached.order_number >= self.executed and all(
            number in self.orders for number in range(1, reached.order_number + 1)
        ):
            self._commit(reached.feed_seq)
            self._execute(reached.order_number)
            self._look_ahead(reached.feed_seq)
        self._permit()

    def _commit(self, feed_seq):
        while self.at < feed_seq:
            self._report(self.broker.tick(self.ticks[self.at]), self.at + 1)
            self.at += 1

    def _execute(self, number):
        while self.executed < number:
            self.executed += 1
            order = self.orders[self.executed]
            self._report(self.broker.order(order.SerializeToString()), order.feed_seq)

    def _look_ahead(self, feed_seq):
        if self.at > feed_seq or self.at == len(self.ticks):
            return
        quiet = self._peek()
        if quiet == self.at:
            self._commit(self.at + 1)
            quiet = self._peek()
        self.through = quiet

    def _peek(self):
        return self.broker.peek(self.ticks, self.at, min(self.at + self.horizon, len(self.ticks)))

    def _permit(self):
        through = getattr(self, "through", 0)
        end = through == len(self.ticks)
        permit = Permit(
            account=ACCOUNT, through_feed_seq=through, report_seq=self.broker.report_seq,
            order_number=self.executed, end=end,
        )  # fmt: skip
        publish_now(self.client, permit_subject(ACCOUNT), permit.SerializeToString())
        self.permits += 1
        self.on_permit()
        assert self.reached is not None
        done = self.reached.feed_seq == len(self.ticks) and self.at == len(self.ticks)
        if end and done and self.reached.report_seq == self.broker.report_seq:
            self.over.set()

    def _report(self, reports, feed_seq):
        for report in reports:
            report.feed_seq = feed_seq
            names = {order.client_order_id: n for n, order in self.orders.items()}
            report.order_number = names.get(report.client_order_id, 0)
            subject = report_subject(ACCOUNT, "ACCOUNT")
            self.outbox.put(subject, report.SerializeToString(), "REPORTS")
