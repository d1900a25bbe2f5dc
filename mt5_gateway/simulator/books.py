"""The books of the simulated broker: deals, finished orders, and what requests said about them."""

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from mt5_gateway.constants import ORDER_TIME_GTC
from mt5_gateway.server_time import ServerClock
from mt5_gateway.simulator.replay import Happened
from mt5_gateway.simulator.structures import Structure, TradeDeal, TradeOrder, TradePosition
from realtime.kernels import codes
from realtime.kernels.order_types import is_market
from realtime.symbols import Symbol

_MS_NS = 1_000_000
_SERVER_NAMES = {codes.REASON_STOP_LOSS: "sl", codes.REASON_TAKE_PROFIT: "tp"}


@dataclass(frozen=True, kw_only=True)
class Note:
    """What a request said about its order, beyond what the kernels keep."""

    comment: str = ""
    magic: int = 0
    type_time: int = ORDER_TIME_GTC
    expiration: int = 0  # server seconds


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far an order has come.

    Attributes:
        retcode: of its end; 0 while it works.
        deal: ticket of its latest deal; 0 = none.
        lots: filled.
        value: sum of lots * price.
        position: that its deals changed; 0 = none.
    """

    retcode: int = 0
    deal: int = 0
    lots: float = 0.0
    value: float = 0.0
    position: int = 0


_NO_NOTE = Note()
_NO_PROGRESS = Progress()


def level(price: float) -> float:
    """Return a stop level as the package shows it: 0.0 is none."""
    return 0.0 if np.isnan(price) else float(price)


class Ledger:
    """Finished rows, found by time without reading all of them.

    Args:
        times: fields (server seconds) by which a row is found; none is later than the last one,
            and that follows the order in which rows are written, but for a clock set back.
    """

    def __init__(self, times: tuple[str, ...]) -> None:
        self.rows: list[Structure] = []
        self._times = times
        self._latest: list[int] = []  # of the rows so far

    def append(self, row: Structure) -> None:
        """Write a row."""
        self.rows.append(row)
        time = int(getattr(row, self._times[-1]))
        self._latest.append(max(time, self._latest[-1]) if self._latest else time)

    def between(self, first: int, last: int) -> list[Structure]:
        """Return rows one of whose times lies in ``[first, last]``, server seconds."""
        start = bisect_left(self._latest, first)
        return [
            row
            for row in self.rows[start:]
            if any(first <= getattr(row, name) <= last for name in self._times)
        ]

    def __len__(self) -> int:
        return len(self.rows)

    def __iter__(self) -> Iterator[Structure]:
        return iter(self.rows)


class Books:
    """What was ever dealt and ordered.

    Args:
        symbols: in the order of the desk's rows.
        clock: the broker's wall clock.
        desk: DESK record that the broker plays on.
    """

    def __init__(self, symbols: tuple[Symbol, ...], clock: ServerClock, desk: np.void) -> None:
        self.deals = Ledger(("time",))
        self.orders = Ledger(("time_setup", "time_done"))
        self._symbols = symbols
        self._clock = clock
        self._desk = desk
        self._notes: dict[int, Note] = {}  # by order
        self._openings: dict[int, Note] = {}  # by position
        self._changed_ms: dict[int, int] = {}  # by position, server time
        self._progress: dict[int, Progress] = {}  # by order

    def note(self, order_id: int, note: Note) -> None:
        """Remember what the request of an order said; before the order is settled."""
        self._notes[order_id] = note

    def progress(self, order_id: int) -> Progress:
        """Return how far an order has come."""
        return self._progress.get(order_id, _NO_PROGRESS)

    def server_ms(self, time_ns: int) -> int:
        """Return a time on the broker's wall clock, milliseconds."""
        return self._clock.to_server_ms(time_ns // _MS_NS)

    def write(self, happened: Happened) -> None:
        """Write down what happened."""
        for fill in happened.fills:
            self._write_fill(fill)
        for order in happened.closed:
            progress = self.progress(int(order["id"]))
            self._progress[int(order["id"])] = replace(progress, retcode=int(order["retcode"]))
            self.orders.append(self._order(order, self.server_ms(happened.now_ns)))

    def _write_fill(self, fill: np.void) -> None:
        order_id, position_id = int(fill["order_id"]), int(fill["position_id"])
        reason, ticket = int(fill["reason"]), int(fill["id"])
        if order_id >= 0:
            note = self._notes.get(order_id, _NO_NOTE)
            before, lots = self.progress(order_id), float(fill["volume_lots"])
            self._progress[order_id] = Progress(
                deal=ticket,
                lots=round(before.lots + lots, 8),
                value=before.value + lots * float(fill["price"]),
                position=position_id,
            )
        else:
            # The server's own order for it: its ticket is the deal's, which no order has.
            order_id = ticket
            note = self._server_note(fill)
            self.orders.append(self._server_order(fill, note))
        self._openings.setdefault(position_id, note)
        time_ms = self.server_ms(int(fill["time_ns"]))
        self._changed_ms[position_id] = time_ms
        values = {
            "ticket": ticket,
            "order": order_id,
            "time": time_ms // 1000,
            "time_msc": time_ms,
            "type": codes.BUY if fill["side"] > 0 else codes.SELL,
            "entry": int(fill["entry"]),
            "magic": note.magic,
            "position_id": position_id,
            "reason": reason,
            "volume": float(fill["volume_lots"]),
            "price": float(fill["price"]),
            "commission": float(fill["commission"]),
            "swap": float(fill["swap"]),
            "profit": float(fill["profit"]),
            "fee": 0.0,
            "symbol": self._symbols[int(fill["symbol"])].name,
            "comment": note.comment,
            "external_id": "",
        }
        self.deals.append(TradeDeal.with_values(values))

    def _server_note(self, fill: np.void) -> Note:
        """Return the comment that a server puts on its own closes, and the position's magic."""
        opening = self._openings.get(int(fill["position_id"]), _NO_NOTE)
        name = _SERVER_NAMES.get(int(fill["reason"]))
        digits = self._symbols[int(fill["symbol"])].digits
        comment = f"[{name} {float(fill['price']):.{digits}f}]" if name else "so"
        return Note(comment=comment, magic=opening.magic)

    def _server_order(self, fill: np.void, note: Note) -> Structure:
        time_ms = self.server_ms(int(fill["time_ns"]))
        values = {
            "ticket": int(fill["id"]),
            "time_setup": time_ms // 1000,
            "time_setup_msc": time_ms,
            "time_done": time_ms // 1000,
            "time_done_msc": time_ms,
            "type": codes.BUY if fill["side"] > 0 else codes.SELL,
            "type_filling": codes.FILL_OR_KILL,
            "state": codes.STATE_FILLED,
            "magic": note.magic,
            "position_id": int(fill["position_id"]),
            "reason": int(fill["reason"]),
            "volume_initial": float(fill["volume_lots"]),
            "price_open": float(fill["price"]),
            "price_current": float(fill["price"]),
            "symbol": self._symbols[int(fill["symbol"])].name,
            "comment": note.comment,
        }
        return TradeOrder.with_values(values)

    def _order(self, order: np.void, done_ms: int) -> Structure:
        """Return an order as the package shows it; `done_ms` 0 while it works."""
        order_id, symbol = int(order["id"]), int(order["symbol"])
        note = self._notes.get(order_id, _NO_NOTE)
        progress = self.progress(order_id)
        setup_ms = self.server_ms(int(order["created_ns"]))
        price = float(order["price"])
        if is_market(int(order["type"])):
            price = progress.value / progress.lots if progress.lots > 0.0 else 0.0
        quote = self._desk["quotes"][symbol]
        closing = max(int(order["position_id"]), 0)
        values = {
            "ticket": order_id,
            "time_setup": setup_ms // 1000,
            "time_setup_msc": setup_ms,
            "time_done": done_ms // 1000,
            "time_done_msc": done_ms,
            "time_expiration": note.expiration,
            "type": int(order["type"]),
            "type_time": note.type_time,
            "type_filling": int(order["filling"]),
            "state": int(order["state"]),
            "magic": note.magic,
            "position_id": progress.position or closing,
            "reason": codes.REASON_EXPERT,
            "volume_initial": float(order["volume_lots"]),
            "volume_current": round(float(order["volume_lots"] - order["filled_lots"]), 8),
            "price_open": price,
            "sl": level(order["stop_loss"]),
            "tp": level(order["take_profit"]),
            "price_current": float(quote["ask" if int(order["type"]) % 2 == 0 else "bid"]),
            "symbol": self._symbols[symbol].name,
            "comment": note.comment,
        }
        return TradeOrder.with_values(values)

    def working(self) -> list[Structure]:
        """Return the orders that are not finished."""
        count = int(self._desk["account"]["open_orders"])
        return [self._order(order, 0) for order in self._desk["orders"][:count]]

    def positions(self) -> list[Structure]:
        """Return the open positions, oldest first."""
        count = int(self._desk["account"]["open_positions"])
        return [self._position(position) for position in self._desk["positions"][:count]]

    def _position(self, position: np.void) -> Structure:
        symbol, identifier = int(position["symbol"]), int(position["id"])
        opened_ms = self.server_ms(int(position["open_ns"]))
        changed_ms = self._changed_ms.get(identifier, opened_ms)
        quote = self._desk["quotes"][symbol]
        is_long = bool(position["side"] > 0)
        note = self._openings.get(identifier, _NO_NOTE)
        values = {
            "ticket": identifier,
            "time": opened_ms // 1000,
            "time_msc": opened_ms,
            "time_update": changed_ms // 1000,
            "time_update_msc": changed_ms,
            "type": codes.BUY if is_long else codes.SELL,
            "magic": note.magic,
            "identifier": identifier,
            "reason": codes.REASON_EXPERT,
            "volume": float(position["volume_lots"]),
            "price_open": float(position["open_price"]),
            "sl": level(position["stop_loss"]),
            "tp": level(position["take_profit"]),
            "price_current": float(quote["bid" if is_long else "ask"]),
            "swap": float(position["swap"]),
            "profit": float(position["profit"]),
            "symbol": self._symbols[symbol].name,
            "comment": note.comment,
        }
        return TradePosition.with_values(values)
