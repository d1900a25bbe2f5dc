"""A trading floor for tests: ticks and signals by hand, straight into the trading kernels."""

from dataclasses import replace

import numpy as np

from realtime.desk import new_desk
from realtime.kernels.layout import TAPE, TICK
from realtime.kernels.trading import decide_step, on_tick_step
from realtime.settings import (
    AccountSettings,
    CostSettings,
    DecisionSettings,
    SymbolSettings,
)
from tests.realtime.kernels.desks import (
    DAY,
    NO_ACCOUNT_LIMITS,
    NO_LIMITS,
    NOW,
    SECOND,
    a_signal,
    hold,
)

SYMBOLS = ("EURUSD", "USDJPY", "XAUUSD")
EURUSD, USDJPY, XAUUSD = range(3)
QUOTES = ((1.10000, 1.10010), (150.000, 150.010), (2000.00, 2000.20))

SIMPLE = DecisionSettings(
    enter_probability=0.6,
    exit_probability=0.5,
    edge_cost_ratio=0.0,
    fixed_lots=0.5,
    resize_fraction=1.0,
)


class Floor:
    """One account with three symbols, quoted at NOW; every method does what a live tick would."""

    def __init__(
        self, *, quoted=True, account=None, limits=None, decision=None, costs=None, **capacities
    ):
        self.desk = new_desk(
            SYMBOLS,
            start_ns=NOW - 3 * DAY,
            end_ns=NOW + 10 * DAY,
            account=replace(AccountSettings(balance=100_000.0), **(account or {})),
            account_limits=replace(NO_ACCOUNT_LIMITS, **capacities.pop("account_limits", {})),
            each=SymbolSettings(
                limits=replace(NO_LIMITS, **(limits or {})),
                decision=replace(SIMPLE, **(decision or {})),
                costs=replace(CostSettings(commission="none", swap=False), **(costs or {})),
            ),
            position_rows=capacities.get("position_rows", 8),
            order_rows=capacities.get("order_rows", 8),
        )
        self.tapes = np.zeros(1, TAPE)
        self.tape = self.tapes[0]
        self.now_ns = NOW
        if quoted:
            for row in range(len(SYMBOLS)):
                self.tick(row, after_ns=0)

    def tick(self, symbol=EURUSD, bid=None, ask=None, *, after_ns=SECOND, decide=True):
        """A tick without a signal due; at the last quote if no prices are given."""
        self.now_ns += after_ns
        tick = np.zeros(1, TICK)[0]
        last = self.desk["quotes"][symbol]
        quoted = (last["bid"], last["ask"]) if last["bid"] > 0 else QUOTES[symbol]
        tick["time_ns"] = self.now_ns
        tick["bid"] = quoted[0] if bid is None else bid
        tick["ask"] = quoted[1] if ask is None else ask
        tick["symbol"] = symbol
        on_tick_step(self.desk, tick, self.tape)
        if decide:
            self.decide(symbol, due=False)

    def decide(self, symbol, *, due):
        decide_step(self.desk, symbol, self.now_ns, due, self.tape)

    def signal(self, probability, symbol=EURUSD, *, bid=None, ask=None, after_ns=SECOND, **more):
        """A tick on which a signal is due."""
        self.tick(symbol, bid, ask, after_ns=after_ns, decide=False)
        times = {"feature_ns": self.now_ns, "model_ns": self.now_ns, **more}
        self.desk["signals"][symbol] = a_signal(probability, **times)
        self.decide(symbol, due=True)

    def hold(self, symbol, lots):
        """Positions from elsewhere, at the mid; the decision wants them too."""
        hold(self.desk, symbol, lots)
        self.positions[-1]["stop_loss"] = self.positions[-1]["take_profit"] = np.nan
        self.desk["account"]["next_id"] = 1000
        intent = self.desk["intents"][symbol]
        intent["target_lots"] += lots
        intent["direction"] = np.sign(intent["target_lots"])
        intent["entered_ns"] = self.now_ns

    def lots(self, symbol=EURUSD):
        """Net position."""
        held = self.positions[self.positions["symbol"] == symbol]
        return round(float((held["side"] * held["volume_lots"]).sum()), 8)

    @property
    def account(self):
        return self.desk["account"]

    @property
    def positions(self):
        return self.desk["positions"][: self.account["open_positions"]]

    @property
    def working(self):
        return self.desk["orders"][: self.account["open_orders"]]

    def _rows(self, name):
        return self.tape[name][: self.tape[f"n_{name}"]]

    @property
    def orders(self):
        """Finished ones."""
        return self._rows("orders")

    @property
    def fills(self):
        return self._rows("fills")

    @property
    def decisions(self):
        return self._rows("decisions")

    @property
    def samples(self):
        return self._rows("samples")


def held_three(mode="netting", **settings):
    """Positions in all three symbols."""
    floor = Floor(account={"mode": mode}, **settings)
    floor.hold(EURUSD, 0.5)
    floor.hold(USDJPY, -0.5)
    floor.hold(XAUUSD, 0.3)
    return floor


def ids_of(floor):
    """Every number ever given out must be on the tape or still working, once."""
    return sorted(
        [*floor.orders["id"].tolist(), *floor.fills["id"].tolist(), *floor.working["id"].tolist()]
    )
