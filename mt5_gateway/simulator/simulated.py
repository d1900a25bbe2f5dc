"""The state of the simulated terminal, and how it changes.

Whatever changes it is an entry of the journal first; playing the entries again on the same data
brings the state back. Answers to calls are in `calls`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mt5_gateway.simulator.answers import SymbolAnswers
from mt5_gateway.simulator.books import Books
from mt5_gateway.simulator.dealer import MARKET_EXECUTION, Dealer
from mt5_gateway.simulator.errors import ControlRefused
from mt5_gateway.simulator.journal import Journal
from mt5_gateway.simulator.market import Market
from mt5_gateway.simulator.rates import Rates
from mt5_gateway.simulator.replay import Broker
from mt5_gateway.simulator.structures import Structure, TradeRequest
from mt5_gateway.simulator.switches import Operator
from mt5_gateway.simulator.timeline import Paced, Told
from realtime.settings import AccountSettings

LONGEST_PAUSE_NS = 60 * 1_000_000_000
_MARK_EVERY_NS = 5_000_000_000


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Who the terminal is.

    Attributes:
        login: number of the account.
        server: name of the trade server.
        password: that `login` must give; None = any.
        path: where it listens.
        account: currency, leverage...
        execution: `dealer.MARKET_EXECUTION` or `INSTANT_EXECUTION`.
    """

    login: int = 5_000_001
    server: str = "Simulator-Demo"
    password: str | None = None
    path: str = ""
    account: AccountSettings = field(default_factory=AccountSettings)
    execution: int = MARKET_EXECUTION


class SimulatedTerminal:
    """A terminal with its account, over a market.

    Args:
        market: every tick there will be.
        desk: DESK of the account, rows in the market's order of symbols.
        identity: who it is.
        journal: what it did before, and where it writes what it does; None keeps nothing.
        speed: market seconds a second; None = lock-step, moved by control calls.
    """

    def __init__(
        self,
        market: Market,
        desk: np.void,
        *,
        identity: Identity,
        journal: Journal | None = None,
        speed: float | None = None,
    ) -> None:
        self.market = market
        self.identity = identity
        self.desk = desk
        self.operator = Operator()
        self.selected: set[int] = set()
        self.books = Books(market.symbols, market.clock, desk)
        self.broker = Broker(market, desk, self.books.write)
        self.dealer = Dealer(market, self.broker, self.books, identity.execution)
        self.rates = Rates(market)
        self.symbols = SymbolAnswers(market, desk, self.dealer, self.rates)
        self._told = Told(len(market))
        self._paced: Paced | None = None
        self._journal = journal
        elapsed_ns = 0
        for entry in journal.entries() if journal is not None else ():
            self._apply(entry)
            elapsed_ns = int(entry.get("elapsed", elapsed_ns))
        self._marked_ns = elapsed_ns
        if speed is not None:
            self._paced = Paced(market, speed, LONGEST_PAUSE_NS, elapsed_ns)

    @property
    def lockstep(self) -> bool:
        """Whether the market waits to be told."""
        return self._paced is None

    def revealed(self) -> int:
        """Count the ticks of all symbols that the market has shown."""
        return self._told.shown if self._paced is None else self._paced.revealed()

    def now_ns(self) -> int:
        """Return the broker's time, UTC."""
        played_ns = self.broker.time_ns
        return played_ns if self._paced is None else self._paced.now_ns(played_ns)

    def sync(self) -> None:
        """Bring the broker to where a market that runs by itself has come."""
        if self._paced is None:
            return
        elapsed_ns = self._paced.elapsed_ns()
        until = self._paced.revealed()
        now_ns = self.now_ns()
        deals, orders = len(self.books.deals), len(self.books.orders)
        self._play(until, now_ns)
        changed = len(self.books.deals) != deals or len(self.books.orders) != orders
        if changed or elapsed_ns - self._marked_ns > _MARK_EVERY_NS:
            self._marked_ns = elapsed_ns
            self._write({"play": until, "now": now_ns, "elapsed": elapsed_ns})

    def warm_up(self) -> None:
        """Compile what the first order would wait for, on copies."""
        self.broker.peek(1, len(self.market))
        self.broker.touch()
        symbol = self.market.symbols[0]
        request = request_of(
            {"action": 1, "symbol": symbol.name, "volume": symbol.volume_min, "type_filling": 1}
        )
        self.dealer.check(request, True, self.broker.time_ns)
        self.broker.settle(0, 0)
        self.broker.cancel(0, 0)
        self.symbols.info(0, len(self.market), True)
        for side in (1, -1):
            self.symbols.margin(side, 0, 1.0, 1.0)

    def select(self, row: int, enable: bool) -> None:  # noqa: FBT001
        """Put a symbol into Market Watch or take it out."""
        self._do({"select": row, "enable": enable})

    def open_market(self, count: int) -> int:
        """Show ticks; how many that were.

        Raises:
            ControlRefused: the market runs by itself.
        """
        self._require_lockstep("open_market")
        opened = max(min(count, len(self.market) - self._told.shown), 0)
        if opened:
            self._do({"show": self._told.shown + opened})
        return opened

    def commit(self, place: int) -> int:
        """Play the broker through the tick at a place; how many events there were.

        Raises:
            ControlRefused: the market runs by itself, or has not shown that tick.
        """
        self._require_lockstep("commit")
        if place >= self._told.shown:
            msg = "commit: the market has not shown this tick yet: open_market first"
            raise ControlRefused(msg)
        if place < self.broker.played:
            return 0
        return self._do({"commit": place + 1})

    def send(self, request: Structure) -> Structure:
        """Execute a TradeRequest: OrderSendResult.

        Raises:
            NotSimulated: see `Dealer.send`.
        """
        entry: dict[str, Any] = {"send": list(request), "now": self.now_ns()}
        if self._paced is not None:
            entry |= {"play": self._paced.revealed(), "elapsed": self._paced.elapsed_ns()}
        self._write(entry)
        return self._send(entry)

    def check(self, request: Structure) -> Structure:
        """Check a TradeRequest: OrderCheckResult.

        Raises:
            NotSimulated: see `Dealer.check`.
        """
        return self.dealer.check(request, self._is_selected(request), self.now_ns())

    def _is_selected(self, request: Structure) -> bool:
        return self.market.row_of.get(request.symbol, -1) in self.selected

    def _send(self, entry: dict[str, Any]) -> Structure:
        request = TradeRequest(entry["send"])
        now_ns = int(entry["now"])
        if "play" in entry:
            self._play(int(entry["play"]), now_ns)
        return self.dealer.send(request, self._is_selected(request), now_ns)

    def _play(self, until: int, now_ns: int) -> None:
        self.broker.play(until)
        self.broker.settle(-1, now_ns)

    def _do(self, entry: dict[str, Any]) -> int:
        self._write(entry)
        return self._apply(entry)

    def _write(self, entry: dict[str, Any]) -> None:
        if self._journal is not None:
            self._journal.append(entry)

    def _apply(self, entry: dict[str, Any]) -> int:
        """Do what an entry says; events of a commit."""
        if "select" in entry:
            row = int(entry["select"])
            (self.selected.add if entry["enable"] else self.selected.discard)(row)
        elif "show" in entry:
            self._told.shown = int(entry["show"])
        elif "commit" in entry:
            return self.broker.play(int(entry["commit"]))
        elif "send" in entry:
            self._send(entry)
        elif "play" in entry:
            self._play(int(entry["play"]), int(entry["now"]))
        return 0

    def _require_lockstep(self, what: str) -> None:
        if self._paced is not None:
            msg = f"{what}: this market runs by itself; start the terminal with --lockstep"
            raise ControlRefused(msg)


def request_of(fields: dict[str, Any]) -> Structure:
    """Return the TradeRequest of the fields given: what is not is 0 or ""."""
    known: Sequence[str] = TradeRequest.__match_args__
    return TradeRequest.with_values({name: fields[name] for name in known if name in fields})
