"""Round trips from deals: what a trader calls a trade.

One trade is one closing deal, as MetaTrader's own history shows it:

- *netting*: an opposite deal closes volume of the symbol's position, oldest volume first (FIFO);
  what is left of it opens the other way. The account books profit against the volume-weighted
  open price, so that is the trade's entry price, and `profit` is what was booked; FIFO decides
  the entry time, and whose entry commission and costs the trade carries.
- *hedging*: a deal closes the position it names.

Money is conserved: the `net` of all trades plus `Matching.open_booked` equals the sum of
profit + swap + commission over all deals.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from ml.backtest.excursions import excursions
from ml.backtest.run import Run
from realtime.kernels import codes

# Money in the account currency; costs positive, commission and swap signed as booked.
TRADE = np.dtype(
    [
        ("id", "i8"),  # 1, 2, 3, ... in order of closing
        ("symbol", "i8"),
        ("side", "i8"),  # +1 long, -1 short
        ("entry_ns", "i8"),  # of the oldest volume closed
        ("exit_ns", "i8"),
        ("duration_ns", "i8"),
        ("volume_lots", "f8"),
        ("entry_price", "f8"),  # volume-weighted open price
        ("exit_price", "f8"),
        ("gross", "f8"),  # before every cost: profit + spread_cost + slippage_cost
        ("spread_cost", "f8"),  # entry and exit
        ("slippage_cost", "f8"),
        ("commission", "f8"),
        ("swap", "f8"),
        ("profit", "f8"),  # price difference as booked, spread and slippage inside
        ("net", "f8"),  # profit + commission + swap
        ("balance", "f8"),  # after the closing deal
        ("mae_fraction", "f8"),  # worst move against the trade, <= 0, of the entry price
        ("mfe_fraction", "f8"),  # best move for the trade, >= 0
        ("exit_reason", "i8"),  # codes.REASON_*
        ("entry_decision", "i8"),  # codes.DECISION_* of the opening order, -1 = unknown
        ("exit_decision", "i8"),
        ("position_id", "i8"),
    ],
    align=True,
)

# A lot is the base unit of volume and brokers step by 0.01 or so: less than this is nothing.
_NO_VOLUME = 1e-9

_FILL_FIELDS = (
    "symbol", "position_id", "order_id", "time_ns", "side", "reason", "volume_lots", "price",
    "profit", "swap", "commission", "spread_cost", "slippage_cost", "balance",
)  # fmt: skip


@dataclass(slots=True)
class _Lot:
    """Volume of one opening deal that is not closed yet, and the money it carries."""

    time_ns: int
    volume: float
    profit: float
    swap: float
    commission: float
    spread: float
    slippage: float
    decision: int

    def take(self, volume: float) -> "_Lot":
        """Split off `volume`; the last part takes what is left, so nothing gets lost."""
        if volume >= self.volume - _NO_VOLUME:
            part = replace(self)
            self.volume = self.profit = self.swap = self.commission = 0.0
            self.spread = self.slippage = 0.0
            return part
        share = volume / self.volume
        part = _Lot(self.time_ns, volume, 0.0, 0.0, 0.0, 0.0, 0.0, self.decision)
        self.volume -= volume
        for name in ("profit", "swap", "commission", "spread", "slippage"):
            amount = getattr(self, name)
            setattr(part, name, amount * share)
            setattr(self, name, amount - amount * share)
        return part


@dataclass(slots=True)
class _Book:
    """One position: a symbol's on a netting account, a ticket's on a hedging one."""

    side: int = 0
    volume: float = 0.0
    price: float = 0.0
    lots: deque[_Lot] = field(default_factory=deque[_Lot])

    def open(self, side: int, price: float, lot: _Lot) -> None:
        total = self.volume + lot.volume
        self.price = (self.price * self.volume + price * lot.volume) / total
        self.side = side
        self.volume = total
        self.lots.append(lot)

    def close(self, volume: float) -> list[_Lot]:
        parts: list[_Lot] = []
        wanted = volume
        while self.lots and wanted > _NO_VOLUME:
            part = self.lots[0].take(wanted)
            parts.append(part)
            wanted -= part.volume
            if self.lots[0].volume <= _NO_VOLUME:
                self.lots.popleft()
        self.volume -= volume
        if self.volume <= _NO_VOLUME or not self.lots:
            self.volume = 0.0
        return parts


@dataclass(frozen=True, slots=True)
class Matching:
    """Deals matched into round trips.

    Attributes:
        trades: closed round trips, `TRADE`, in order of closing.
        open_booked: money booked by deals (entry commission, say) whose volume is still open.
        exposed_ns: time with at least one position open, up to the last sample of the run.
    """

    trades: NDArray[np.void]
    open_booked: float
    exposed_ns: int


@dataclass(slots=True)
class _Deal:
    symbol: int
    position_id: int
    order_id: int
    time_ns: int
    side: int
    reason: int
    volume_lots: float
    price: float
    profit: float
    swap: float
    commission: float
    spread_cost: float
    slippage_cost: float
    balance: float


class _Matcher:
    """Walks the deals once; `rows` collects the trades."""

    def __init__(self, *, netting: bool, decisions: dict[int, int]) -> None:
        self.netting = netting
        self.decisions = decisions
        self.books: dict[int, _Book] = {}
        self.rows: list[tuple[float, ...]] = []
        self.stray = 0.0  # money of deals without volume and without a position
        self.open_books = 0
        self.exposed_ns = 0
        self.exposed_since_ns = 0

    def deal(self, deal: _Deal) -> None:
        key = deal.symbol if self.netting else deal.position_id
        book = self.books.setdefault(key, _Book())
        was_open = book.volume > 0.0
        if deal.volume_lots <= _NO_VOLUME:
            self._charge(book, deal)
        elif not was_open or book.side == deal.side:
            book.open(deal.side, deal.price, self._lot(deal, deal.volume_lots, 1.0, entry=True))
        else:
            self._close(book, deal)
        self._track(deal.time_ns, was_open=was_open, is_open=book.volume > 0.0)

    def finish(self, time_ns: int) -> float:
        """Money still carried by open volume; closes the count of exposed time."""
        if self.open_books and time_ns > self.exposed_since_ns:
            self.exposed_ns += time_ns - self.exposed_since_ns
        lots = (lot for book in self.books.values() for lot in book.lots)
        return self.stray + sum(lot.profit + lot.swap + lot.commission for lot in lots)

    def _lot(self, deal: _Deal, volume: float, share: float, *, entry: bool) -> _Lot:
        return _Lot(
            time_ns=deal.time_ns,
            volume=volume,
            profit=deal.profit if entry else 0.0,
            swap=deal.swap if entry else 0.0,
            commission=deal.commission * share,
            spread=deal.spread_cost * share,
            slippage=deal.slippage_cost * share,
            decision=self.decisions.get(deal.order_id, -1),
        )

    def _charge(self, book: _Book, deal: _Deal) -> None:
        """A deal without volume (swap charged on its own, say) is carried by the oldest lot."""
        if not book.lots:
            self.stray += deal.profit + deal.swap + deal.commission
            return
        lot = book.lots[0]
        lot.profit += deal.profit
        lot.swap += deal.swap
        lot.commission += deal.commission
        lot.spread += deal.spread_cost
        lot.slippage += deal.slippage_cost

    def _close(self, book: _Book, deal: _Deal) -> None:
        rest = deal.volume_lots - book.volume
        closing = deal.volume_lots if rest <= _NO_VOLUME else book.volume
        share = 1.0 if rest <= _NO_VOLUME else closing / deal.volume_lots
        side, entry_price = book.side, book.price
        parts = book.close(closing)
        entry = {
            name: sum(getattr(part, name) for part in parts)
            for name in ("profit", "swap", "commission", "spread", "slippage")
        }
        profit = entry["profit"] + deal.profit
        swap = entry["swap"] + deal.swap
        commission = entry["commission"] + deal.commission * share
        spread = entry["spread"] + deal.spread_cost * share
        slippage = entry["slippage"] + deal.slippage_cost * share
        entry_ns = parts[0].time_ns
        self.rows.append(
            (
                len(self.rows) + 1, deal.symbol, side, entry_ns, deal.time_ns,
                deal.time_ns - entry_ns, closing, entry_price, deal.price,
                profit + spread + slippage, spread, slippage, commission, swap, profit,
                profit + commission + swap, deal.balance, np.nan, np.nan, deal.reason,
                parts[0].decision, self.decisions.get(deal.order_id, -1), deal.position_id,
            )
        )  # fmt: skip
        if rest > _NO_VOLUME:  # a reversal
            remainder = self._lot(deal, rest, 1.0 - share, entry=False)
            book.open(deal.side, deal.price, remainder)

    def _track(self, time_ns: int, *, was_open: bool, is_open: bool) -> None:
        if is_open and not was_open:
            if self.open_books == 0:
                self.exposed_since_ns = time_ns
            self.open_books += 1
        elif was_open and not is_open:
            self.open_books -= 1
            if self.open_books == 0:
                self.exposed_ns += time_ns - self.exposed_since_ns


def match(run: Run) -> Matching:
    """Match the run's deals into round trips (see the module's text for the rules)."""
    order_ids: Sequence[int] = run.orders["id"].tolist()
    order_codes: Sequence[int] = run.orders["decision_code"].tolist()
    matcher = _Matcher(
        netting=int(run.account["mode"][0]) == codes.NETTING,
        decisions=dict(zip(order_ids, order_codes, strict=True)),
    )
    columns = [run.fills[name].tolist() for name in _FILL_FIELDS]
    for values in zip(*columns, strict=True):
        matcher.deal(_Deal(*values))
    end_ns = int(run.equity["time_ns"][-1]) if run.equity.size else 0
    open_booked = matcher.finish(end_ns)
    closed = np.array(matcher.rows, dtype=TRADE)
    closed["mae_fraction"], closed["mfe_fraction"] = excursions(run, closed)
    return Matching(trades=closed, open_booked=open_booked, exposed_ns=matcher.exposed_ns)


def trades(run: Run) -> NDArray[np.void]:
    """Closed round trips of a run, `TRADE`, in order of closing."""
    return match(run).trades
