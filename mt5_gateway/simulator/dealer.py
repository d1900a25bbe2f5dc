"""The dealer of the simulated broker: what becomes of a trade request.

Checks come in the order of a terminal and a server: what the terminal refuses by itself, what is
malformed, what the symbol does not offer, then the order checks and the fill of the core's kernels.
A request that is refused before it becomes an order still uses up a ticket, as in the kernels.
"""

import math
from dataclasses import dataclass

import numpy as np

from mt5_gateway import constants
from mt5_gateway.simulator.books import Books, Note
from mt5_gateway.simulator.errors import NotSimulated
from mt5_gateway.simulator.market import Market
from mt5_gateway.simulator.replay import Broker
from mt5_gateway.simulator.structures import OrderCheckResult, OrderSendResult, Structure
from realtime.kernels import codes
from realtime.kernels.broker import execute_arrived_step
from realtime.kernels.layout import DESK, FILL, ORDER
from realtime.kernels.orders import submit_order_step

MARKET_EXECUTION = constants.SYMBOL_TRADE_EXECUTION_MARKET
INSTANT_EXECUTION = constants.SYMBOL_TRADE_EXECUTION_INSTANT

_NO_POSITION = -1
_WRAP = 1 << 64
_DAY_MS = 86_400_000
_MS_NS = 1_000_000
_MARKET_TYPES = (codes.BUY, codes.SELL)
_PENDING_TYPES = (codes.BUY_LIMIT, codes.SELL_LIMIT, codes.BUY_STOP, codes.SELL_STOP)
_LACKING_ACTIONS = {
    constants.TRADE_ACTION_SLTP: "TRADE_ACTION_SLTP (changing the stops of a position)",
    constants.TRADE_ACTION_MODIFY: "TRADE_ACTION_MODIFY (changing a pending order)",
    constants.TRADE_ACTION_CLOSE_BY: "TRADE_ACTION_CLOSE_BY",
}
_LACKING_TYPES = {
    constants.ORDER_TYPE_BUY_STOP_LIMIT: "ORDER_TYPE_BUY_STOP_LIMIT",
    constants.ORDER_TYPE_SELL_STOP_LIMIT: "ORDER_TYPE_SELL_STOP_LIMIT",
}

#: What a server writes beside a return code.
RETCODE_TEXTS = {
    constants.TRADE_RETCODE_REQUOTE: "Requote",
    constants.TRADE_RETCODE_REJECT: "Request rejected",
    constants.TRADE_RETCODE_PLACED: "Request placed",
    constants.TRADE_RETCODE_DONE: "Request executed",
    constants.TRADE_RETCODE_DONE_PARTIAL: "Request executed partially",
    constants.TRADE_RETCODE_ERROR: "Request processing error",
    constants.TRADE_RETCODE_TIMEOUT: "Request timed out",
    constants.TRADE_RETCODE_INVALID: "Invalid request",
    constants.TRADE_RETCODE_INVALID_VOLUME: "Invalid volume",
    constants.TRADE_RETCODE_INVALID_PRICE: "Invalid price",
    constants.TRADE_RETCODE_INVALID_STOPS: "Invalid stops",
    constants.TRADE_RETCODE_TRADE_DISABLED: "Trade disabled",
    constants.TRADE_RETCODE_MARKET_CLOSED: "Market closed",
    constants.TRADE_RETCODE_NO_MONEY: "No money",
    constants.TRADE_RETCODE_PRICE_OFF: "No prices",
    constants.TRADE_RETCODE_INVALID_EXPIRATION: "Invalid expiration",
    constants.TRADE_RETCODE_TOO_MANY_REQUESTS: "Too many requests",
    constants.TRADE_RETCODE_SERVER_DISABLES_AT: "AutoTrading disabled by server",
    constants.TRADE_RETCODE_CLIENT_DISABLES_AT: "AutoTrading disabled by client",
    constants.TRADE_RETCODE_INVALID_FILL: "Unsupported filling mode",
    constants.TRADE_RETCODE_CONNECTION: "No connection",
    constants.TRADE_RETCODE_LIMIT_ORDERS: "Orders limit reached",
    constants.TRADE_RETCODE_LIMIT_VOLUME: "Volume limit reached",
    constants.TRADE_RETCODE_INVALID_ORDER: "Invalid order",
    constants.TRADE_RETCODE_POSITION_CLOSED: "Position closed",
    constants.TRADE_RETCODE_INVALID_CLOSE_VOLUME: "Invalid close volume",
    constants.TRADE_RETCODE_LIMIT_POSITIONS: "Positions limit reached",
    constants.TRADE_RETCODE_LONG_ONLY: "Only long positions allowed",
    constants.TRADE_RETCODE_SHORT_ONLY: "Only short positions allowed",
    constants.TRADE_RETCODE_CLOSE_ONLY: "Only position closing is allowed",
}


@dataclass(frozen=True, kw_only=True)
class _Order:
    """A request as the kernels take it."""

    symbol: int
    type: int
    lots: float
    price: float
    stop_loss: float
    take_profit: float
    filling: int
    position_id: int
    magic: int
    expires_ns: int


class Dealer:
    """Answers requests.

    Args:
        market: its symbols.
        broker: where orders go.
        books: where they are written down.
        execution: `MARKET_EXECUTION`, or `INSTANT_EXECUTION`, which may requote.
    """

    def __init__(self, market: Market, broker: Broker, books: Books, execution: int) -> None:
        self.execution = execution
        self.trade_mode = dict.fromkeys(market.row_of, constants.SYMBOL_TRADE_MODE_FULL)
        self._market = market
        self._broker = broker
        self._books = books
        self._requests = 0

    def send(self, request: Structure, selected: bool, now_ns: int) -> Structure:  # noqa: FBT001
        """Execute a request.

        Args:
            request: TradeRequest.
            selected: whether its symbol is in Market Watch.
            now_ns: the broker's time, UTC.

        Returns:
            OrderSendResult.

        Raises:
            NotSimulated: an action or order type that is not there yet.
        """
        self._requests += 1
        if request.action == constants.TRADE_ACTION_REMOVE:
            return self._remove(request, now_ns)
        order, code = self._read(request, selected, now_ns)
        if order is None:
            return self.answer(request, code)
        desk = self._broker.desk
        ticket = int(desk["account"]["next_id"])
        row = _submit(desk, order, now_ns)
        if row < 0:
            desk["account"]["next_id"] = ticket + 1
            return self.answer(request, -row)
        expiration = int(request.expiration) if order.expires_ns else 0
        note = Note(
            comment=request.comment,
            magic=request.magic,
            type_time=request.type_time,
            expiration=expiration,
        )
        self._books.note(ticket, note)
        self._broker.settle(order.symbol, now_ns)
        return self._outcome(request, ticket)

    def check(self, request: Structure, selected: bool, now_ns: int) -> Structure:  # noqa: FBT001
        """Say what would become of a request, without latency: OrderCheckResult.

        Raises:
            NotSimulated: as `send`.
        """
        desks = np.zeros(1, DESK)
        desks[0] = self._broker.desk
        desk = desks[0]
        code = constants.TRADE_RETCODE_DONE
        if request.action != constants.TRADE_ACTION_REMOVE:
            order, code = self._read(request, selected, now_ns)
            if order is not None:
                desk["specs"][order.symbol]["latency_ns"] = 0
                code = _tried(desk, order, now_ns)
        account = desk["account"]
        margin = float(account["margin"])
        values = {
            "retcode": 0 if code == constants.TRADE_RETCODE_DONE else code,
            "balance": float(account["balance"]),
            "equity": float(account["equity"]),
            "profit": float(account["floating"]),
            "margin": margin,
            "margin_free": float(account["equity"]) - margin,
            "margin_level": float(account["equity"]) / margin * 100.0 if margin > 0.0 else 0.0,
            "comment": "Done" if code == constants.TRADE_RETCODE_DONE else RETCODE_TEXTS[code],
            "request": request,
        }
        return OrderCheckResult.with_values(values)

    def answer(self, request: Structure, code: int, **values: float) -> Structure:
        """Return an OrderSendResult with a return code, its text, and the quote of the symbol."""
        row = self._market.row_of.get(request.symbol)
        if row is not None:
            quote = self._broker.desk["quotes"][row]
            values |= {"bid": float(quote["bid"]), "ask": float(quote["ask"])}
        named = {
            "retcode": code,
            "comment": RETCODE_TEXTS.get(code, ""),
            "request_id": self._requests,
            "request": request,
        }
        return OrderSendResult.with_values(named | values)

    def _remove(self, request: Structure, now_ns: int) -> Structure:
        if self._broker.cancel(request.order, now_ns):
            return self.answer(request, constants.TRADE_RETCODE_DONE, order=request.order)
        return self.answer(request, constants.TRADE_RETCODE_INVALID)

    def _outcome(self, request: Structure, ticket: int) -> Structure:
        """Tell what became of an order that was sent just now."""
        progress = self._books.progress(ticket)
        code = progress.retcode
        lots, price = progress.lots, 0.0
        if code == 0:
            code = constants.TRADE_RETCODE_PLACED
            working = request.action == constants.TRADE_ACTION_PENDING or progress.deal
            if working and self._is_accepted(ticket):
                code = constants.TRADE_RETCODE_DONE
            if progress.deal:
                code = constants.TRADE_RETCODE_DONE_PARTIAL
        elif not progress.deal:
            return self.answer(request, code)
        if progress.deal:
            price = progress.value / progress.lots
        else:
            lots = request.volume
        return self.answer(
            request, code, deal=progress.deal, order=ticket, volume=lots, price=price
        )

    def _is_accepted(self, ticket: int) -> bool:
        """Tell whether an open order has arrived at the broker."""
        desk = self._broker.desk
        for order in desk["orders"][: int(desk["account"]["open_orders"])]:
            if order["id"] == ticket:
                return bool(order["state"] != codes.STATE_STARTED)
        return False

    def _read(
        self,
        request: Structure,
        selected: bool,  # noqa: FBT001
        now_ns: int,
    ) -> tuple[_Order | None, int]:
        """Turn a request into an order: (order, DONE) or (None, why not)."""
        action, kind = request.action, request.type
        if action in _LACKING_ACTIONS or kind in _LACKING_TYPES:
            lacking = _LACKING_ACTIONS.get(action) or _LACKING_TYPES[kind]
            msg = f"the simulated terminal has no {lacking} yet"
            raise NotSimulated(msg)
        row = self._market.row_of.get(request.symbol)
        is_pending = action == constants.TRADE_ACTION_PENDING
        if row is None or not (is_pending or action == constants.TRADE_ACTION_DEAL):
            return None, constants.TRADE_RETCODE_INVALID
        if kind not in (_PENDING_TYPES if is_pending else _MARKET_TYPES):
            return None, constants.TRADE_RETCODE_INVALID_ORDER
        code = self._offered(request, selected, is_pending, row)
        if code != constants.TRADE_RETCODE_DONE:
            return None, code
        expires_ns, code = (0, code) if not is_pending else self._expires_ns(request, now_ns)
        magic = int(request.magic)
        order = _Order(
            symbol=row,
            type=kind,
            lots=request.volume,
            price=request.price,
            stop_loss=request.sl or math.nan,  # 0.0 is none
            take_profit=request.tp or math.nan,
            filling=request.type_filling,
            position_id=int(request.position) or _NO_POSITION,
            magic=magic if magic < _WRAP // 2 else magic - _WRAP,
            expires_ns=expires_ns,
        )
        return (order, code) if code == constants.TRADE_RETCODE_DONE else (None, code)

    def _offered(
        self,
        request: Structure,
        selected: bool,  # noqa: FBT001
        is_pending: bool,  # noqa: FBT001
        row: int,
    ) -> int:
        """Check what the symbol offers: quotes, directions, filling, and the price asked for."""
        if not selected:
            return constants.TRADE_RETCODE_PRICE_OFF
        code = self._direction(request)
        if code != constants.TRADE_RETCODE_DONE:
            return code
        fillings = [codes.FILL_OR_KILL, codes.IMMEDIATE_OR_CANCEL]
        if is_pending or self.execution == INSTANT_EXECUTION:
            fillings.append(codes.RETURN)
        if request.type_filling not in fillings:
            return constants.TRADE_RETCODE_INVALID_FILL
        if not is_pending and self.execution == INSTANT_EXECUTION:
            quote = self._broker.desk["quotes"][row]
            price = float(quote["ask" if request.type == codes.BUY else "bid"])
            if not request.price > 0.0:
                return constants.TRADE_RETCODE_INVALID_PRICE
            points = abs(price - request.price) / self._market.symbols[row].point
            if points > request.deviation + 1e-6:
                return constants.TRADE_RETCODE_REQUOTE
        return constants.TRADE_RETCODE_DONE

    def _direction(self, request: Structure) -> int:
        mode = self.trade_mode[request.symbol]
        opens = request.position == 0
        buys = request.type % 2 == 0
        if mode == constants.SYMBOL_TRADE_MODE_DISABLED:
            return constants.TRADE_RETCODE_TRADE_DISABLED
        if mode == constants.SYMBOL_TRADE_MODE_CLOSEONLY and opens:
            return constants.TRADE_RETCODE_CLOSE_ONLY
        if mode == constants.SYMBOL_TRADE_MODE_LONGONLY and opens and not buys:
            return constants.TRADE_RETCODE_LONG_ONLY
        if mode == constants.SYMBOL_TRADE_MODE_SHORTONLY and opens and buys:
            return constants.TRADE_RETCODE_SHORT_ONLY
        return constants.TRADE_RETCODE_DONE

    def _expires_ns(self, request: Structure, now_ns: int) -> tuple[int, int]:
        """Return when a pending order expires (0 = never) and DONE, or 0 and why not."""
        clock, kind = self._market.clock, request.type_time
        if kind == constants.ORDER_TIME_GTC:
            return 0, constants.TRADE_RETCODE_DONE
        if kind == constants.ORDER_TIME_DAY:
            server_ms = (clock.to_server_ms(now_ns // _MS_NS) // _DAY_MS + 1) * _DAY_MS
        elif kind == constants.ORDER_TIME_SPECIFIED:
            server_ms = request.expiration * 1000
        elif kind == constants.ORDER_TIME_SPECIFIED_DAY:
            server_ms = (request.expiration * 1000 // _DAY_MS + 1) * _DAY_MS
        else:
            return 0, constants.TRADE_RETCODE_INVALID_EXPIRATION
        expires_ns = clock.to_utc_ms(server_ms) * _MS_NS
        if expires_ns <= now_ns:
            return 0, constants.TRADE_RETCODE_INVALID_EXPIRATION
        return expires_ns, constants.TRADE_RETCODE_DONE


def _submit(desk: np.void, order: _Order, now_ns: int) -> int:
    """Send an order on a desk: its row, or minus the return code."""
    return int(
        submit_order_step(
            desk,
            order.symbol,
            order.type,
            float(order.lots),
            float(order.price),
            float(order.stop_loss),
            float(order.take_profit),
            order.filling,
            order.position_id,
            order.magic,
            0,
            0,
            order.expires_ns,
            now_ns,
        )
    )


def _tried(desk: np.void, order: _Order, now_ns: int) -> int:
    """Send an order on a copy of the desk and let it act; DONE or the return code it ended with."""
    row = _submit(desk, order, now_ns)
    if row < 0:
        return -row
    ticket = desk["orders"][row]["id"]
    fills, closed = (
        np.zeros(2 * len(desk["orders"]), FILL),
        np.zeros(2 * len(desk["orders"]), ORDER),
    )
    _, n_closed = execute_arrived_step(desk, order.symbol, now_ns, fills, 0, closed, 0)
    for row in range(n_closed):
        if closed[row]["id"] == ticket:
            return int(closed[row]["retcode"])
    return constants.TRADE_RETCODE_DONE
