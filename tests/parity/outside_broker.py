"""A broker outside, in this process: the core's broker kernels on a desk of their own, and reports.

What mt5_gateway and a terminal do with a running loop, without wires in between.
"""

import numpy as np

from realtime.contracts.orders_pb2 import (
    AccountState,
    Deal,
    ExecutionReport,
    OrderRequest,
    Position,
)
from realtime.contracts.subjects import ORDERS
from realtime.kernels.broker import broker_step
from realtime.kernels.codes import STATE_PLACED, STATE_REJECTED
from realtime.kernels.execution import execute_arrived_step
from realtime.kernels.layout import FILL, ORDER
from realtime.kernels.orders import submit_order_step
from realtime.messages import level_kept, level_sent


class OutsideBroker:
    def __init__(self, desk, symbols, account="paper"):
        self.desk, self.symbols, self.account = desk, symbols, account
        self.fills, self.closed = np.zeros(512, FILL), np.zeros(512, ORDER)
        self.n_fills = self.n_closed = 0
        self.report_seq = 0
        self.client_ids = {}
        self.all_fills = []
        self.before = self._shape()

    def _shape(self):
        account = self.desk["account"]
        rows = self.desk["positions"][: int(account["open_positions"])]
        kept = [(int(r["id"]), float(r["volume_lots"]), float(r["swap"])) for r in rows]
        return float(account["balance"]), kept

    def tick(self, tick):
        """The broker phase of a tick; reports of what happened."""
        self.n_fills, self.n_closed = broker_step(
            self.desk, int(tick["symbol"]), tick, self.fills, 0, self.closed, 0
        )
        return self._reports()

    def peek(self, ticks, start, stop):
        """The first row at which anything but quotes and values changes, or `stop`."""
        ahead = OutsideBroker(self.desk.base.copy()[0:1][0], self.symbols)
        ahead.client_ids = self.client_ids
        for row in range(start, stop):
            if ahead.tick(ticks[row]):
                return row
        return stop

    def order(self, payload):
        """Execute a request at the quote in force; reports."""
        request = OrderRequest.FromString(payload)
        row = submit_order_step(
            self.desk, self.symbols.index(request.symbol), request.type, request.volume_lots,
            request.price, level_kept(request.stop_loss), level_kept(request.take_profit),
            request.filling, request.position_id or -1, request.magic, request.decision_code,
            request.risk_code, 0, request.created_ns,
        )  # fmt: skip
        if row < 0:
            return [self._report(request.client_order_id, STATE_REJECTED, -row, 0.0, [])]
        order_id = int(self.desk["orders"][row]["id"])
        self.client_ids[order_id] = request.client_order_id
        self.n_fills, self.n_closed = execute_arrived_step(
            self.desk, self.symbols.index(request.symbol), request.created_ns, self.fills, 0,
            self.closed, 0,
        )  # fmt: skip
        reports = self._reports()
        if not any(report.client_order_id == request.client_order_id for report in reports):
            reports.append(self._report(request.client_order_id, STATE_PLACED, 10008, 0.0, []))
        return reports

    def _reports(self):
        if self._shape() == self.before and self.n_closed == 0 and self.n_fills == 0:
            return []
        self.before = self._shape()
        fills = self.fills[: self.n_fills].copy()
        self.all_fills.append(fills)
        reports = []
        own = [fill for fill in fills if fill["order_id"] < 0]
        closed = self.closed[: self.n_closed]
        if own or not len(closed):
            reports.append(self._report("", 0, 0, 0.0, own))
        for order in closed:
            mine = [fill for fill in fills if fill["order_id"] == order["id"]]
            reports.append(
                self._report(
                    self.client_ids[int(order["id"])], int(order["state"]), int(order["retcode"]),
                    float(order["filled_lots"]), mine,
                )
            )  # fmt: skip
        return reports

    def _report(self, client_order_id, state, retcode, filled, fills):
        self.report_seq += 1
        return ExecutionReport(
            account=self.account, report_seq=self.report_seq, client_order_id=client_order_id,
            state=state, retcode=retcode, filled_lots=filled,
            deals=[self._deal(fill) for fill in fills], account_state=self.state(),
        )  # fmt: skip

    def _deal(self, fill):
        return Deal(
            ticket=int(fill["id"]), order_ticket=max(int(fill["order_id"]), 0),
            position_id=int(fill["position_id"]), symbol=self.symbols[int(fill["symbol"])],
            time_ns=int(fill["time_ns"]), side=int(fill["side"]), entry=int(fill["entry"]),
            reason=int(fill["reason"]), volume_lots=float(fill["volume_lots"]),
            price=float(fill["price"]), profit=float(fill["profit"]), swap=float(fill["swap"]),
            commission=float(fill["commission"]),
        )  # fmt: skip

    def state(self):
        account = self.desk["account"]
        return AccountState(
            balance=float(account["balance"]), credit=float(account["credit"]),
            equity=float(account["equity"]), margin=float(account["margin"]),
            leverage=float(account["leverage"]), mode=int(account["mode"]),
            positions=[
                Position(
                    id=int(row["id"]), symbol=self.symbols[int(row["symbol"])],
                    side=int(row["side"]), open_ns=int(row["open_ns"]),
                    volume_lots=float(row["volume_lots"]), open_price=float(row["open_price"]),
                    stop_loss=level_sent(row["stop_loss"]),
                    take_profit=level_sent(row["take_profit"]), swap=float(row["swap"]),
                    profit=float(row["profit"]), magic=int(row["magic"]),
                )
                for row in self.desk["positions"][: int(account["open_positions"])]
            ],
        )  # fmt: skip


def trade(trader, broker, ticks, start=0, on_boundary=None):
    """Run a trader in lock-step with a broker outside; every message that it published."""
    published = []

    def settle():
        while True:
            outgoing = trader.drain()
            published.extend(outgoing)
            orders = [each for each in outgoing if each.stream == ORDERS]
            if not orders:
                return
            for each in orders:
                for report in broker.order(each.payload):
                    trader.apply(report)

    for i in range(start, len(ticks)):
        for report in broker.tick(ticks[i]):
            trader.apply(report)
        now_ns = int(ticks["time_ns"][i])
        trader.take(ticks, i, i + 1, now_ns, now_ns)
        settle()
        assert not trader.waiting
        if on_boundary is not None:
            on_boundary(i)
    return published


def trade_in_runs(trader, broker, ticks, chunk=1000):
    """The same, with the trader taking in all that the broker knows to be quiet at once."""
    published = []
    at = 0
    while at < len(ticks):
        for report in broker.tick(ticks[at]):
            trader.apply(report)
        stop = broker.peek(ticks, at + 1, min(at + chunk, len(ticks)))
        taken = trader.take_run(ticks, at, stop, at + 1, 0, 0)
        for row in range(at + 1, taken):
            assert broker.tick(ticks[row]) == []
        at = taken
        orders = True
        while orders:
            outgoing = trader.drain()
            published.extend(outgoing)
            orders = [each for each in outgoing if each.stream == ORDERS]
            for each in orders:
                for report in broker.order(each.payload):
                    trader.apply(report)
    return published
