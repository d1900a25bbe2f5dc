"""Whether the money of a run adds up: the account beside what its deals and positions say.

Statistics define gross profit as net profit and costs, so these agree whatever was booked. What can
disagree are two records of the same money: the balance that the account ended with, and the sum of
what each deal booked; its equity, and balance, credit and open positions; its running totals, and
the columns of the deals; and the balance after each deal, and the one before it.
"""

import math
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from ml.backtest.run import Run

_UNROUNDED_FRACTION = 1e-9  # of the balance: rounding noise where booked money is not rounded


@dataclass(frozen=True, slots=True, kw_only=True)
class Booking:
    """Money that one record has and the other has not, account currency; 0 where all is well.

    Attributes:
        balance: final balance less the initial one and all that deals booked.
        equity: final equity less balance, credit, and profit and swap of open positions.
        deal: of the balance after a deal less the one before and what it booked, the largest.
        profit: the account's realised profit less that of all deals.
        swap: the same of swap.
        commission: the same of commission.
        tolerance: half of the smallest unit that is booked.
    """

    balance: float
    equity: float
    deal: float
    profit: float
    swap: float
    commission: float
    tolerance: float

    @property
    def unexplained(self) -> float:
        """The largest difference, whatever its sign; NaN if one is."""
        numbers = asdict(self)
        del numbers["tolerance"]
        return float(np.abs(list(numbers.values())).max())

    @property
    def adds_up(self) -> bool:
        """Nothing differs by a unit of money; what is not a number differs."""
        return self.unexplained < self.tolerance


def booking(run: Run) -> Booking:
    """Compare the records of a run's money."""
    account, fills, held = run.account[0], run.fills, run.open_positions
    columns = {name: _total(fills[name]) for name in ("profit", "swap", "commission")}
    balance = float(account["balance"])
    floating = _total(held["profit"]) + _total(held["swap"])
    digits = int(account["money_digits"])
    largest = max(abs(balance), abs(run.initial_balance), 1.0)
    return Booking(
        balance=math.fsum((balance, -run.initial_balance, *(-each for each in columns.values()))),
        equity=float(account["equity"]) - balance - float(account["credit"]) - floating,
        deal=_worst_deal(run),
        profit=float(account["realised"]) - columns["profit"],
        swap=float(account["swap"]) - columns["swap"],
        commission=float(account["commission"]) - columns["commission"],
        tolerance=0.5 * 10.0**-digits if digits >= 0 else _UNROUNDED_FRACTION * largest,
    )


def _worst_deal(run: Run) -> float:
    after = run.fills["balance"]
    before = np.concatenate(([run.initial_balance], after))[:-1]
    booked = run.fills["profit"] + run.fills["swap"] + run.fills["commission"]
    return float(np.abs(after - before - booked).max(initial=0.0))


def _total(values: NDArray[np.float64]) -> float:
    return math.fsum(values.tolist())
