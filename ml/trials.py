"""Trials: what every candidate would have earned on data it had not seen, in plain returns a bar.

This is not the backtest (that is the engine, with orders, fills and limits): it is one number a bar
for each of many candidates, from the same thresholds and with the spread paid on every change.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml.backtest.returns import moments, probabilistic_sharpe_ratio, sharpe_per_day
from ml.config import Candidate
from realtime.settings import DecisionSettings


@dataclass(frozen=True, kw_only=True)
class Record:
    """What a series of returns a bar says.

    Attributes:
        bars: how many.
        sharpe: of the net returns, a bar, not annualised; 0 where nothing was traded.
        gross_sharpe: the same before costs.
        skew: of the net returns.
        kurtosis: of them, not in excess.
        psr: probability that the true net Sharpe ratio is above 0; 0 where nothing was traded.
        gross_psr: the same before costs.
        net_return: sum of the net returns.
        gross_return: the same before costs.
        changes: position changes, in units of a whole position.
        share_in_market: of the bars.
        trades: times that a position was taken: one that is held is one bet, however long.
        mean_position: over all bars, -1 to 1.
        excess_sharpe: of the net returns less those of holding `mean_position` all the time: what
            the timing earned. A market that only drifts pays whoever is in it, and no timing.
        excess_skew: of those.
        excess_kurtosis: of those, not in excess.
        excess_psr: probability that their true Sharpe ratio is above 0.
    """

    bars: int
    sharpe: float
    gross_sharpe: float
    skew: float
    kurtosis: float
    psr: float
    gross_psr: float
    net_return: float
    gross_return: float
    changes: float
    share_in_market: float
    trades: int
    mean_position: float
    excess_sharpe: float
    excess_skew: float
    excess_kurtosis: float
    excess_psr: float


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One candidate on the walk-forward folds.

    Attributes:
        candidate: what was tried.
        log_loss: over all folds.
        prior_log_loss: of saying the share of the class that was known before each fold.
        rounds: trees kept, by fold.
        record: what it would have earned, net, a bar.
    """

    candidate: Candidate
    log_loss: float
    prior_log_loss: float
    rounds: tuple[int, ...]
    record: Record


def positions(
    probabilities: NDArray[np.float64], costs: NDArray[np.float64], decision: DecisionSettings
) -> NDArray[np.float64]:
    """Return the position (-1, 0, 1) that the decision thresholds lead to, bar by bar.

    Args:
        probabilities: (n,) NaN = hold what is held.
        costs: (n,) of a round trip, fraction of the price.
        decision: thresholds, allowed sides and the edge that an entry needs.
    """
    found = np.zeros(len(probabilities))
    held = 0
    for k, (p, cost) in enumerate(zip(probabilities.tolist(), costs.tolist(), strict=True)):
        if not math.isnan(p):
            held = _position(held, p, cost, decision)
        found[k] = held
    return found


def _position(held: int, p: float, cost: float, decision: DecisionSettings) -> int:
    enter, leave = decision.enter_probability, decision.exit_probability
    long = decision.allow_long and p >= enter
    short = decision.allow_short and p <= 1.0 - enter
    wanted = int(long) - int(short)
    if wanted in (0, held):
        stays = p >= leave if held > 0 else p <= 1.0 - leave
        return held if held != 0 and stays else 0
    win = p if wanted > 0 else 1.0 - p
    edge = win * decision.gain_fraction - (1.0 - win) * decision.loss_fraction
    pays = decision.edge_cost_ratio == 0 or edge > decision.edge_cost_ratio * cost
    return wanted if pays else 0


def record_of(
    probabilities: NDArray[np.float64],
    bar_returns: NDArray[np.float64],
    costs: NDArray[np.float64],
    decision: DecisionSettings,
) -> Record:
    """Return what trading probabilities would have earned, a bar at a time.

    Args:
        probabilities: (n,) of the up barrier.
        bar_returns: (n,) of the mid, from each event to the next.
        costs: (n,) of a round trip: half is paid for every unit that the position changes by.
        decision: when to trade.
    """
    held = positions(probabilities, costs, decision)
    changes = np.abs(np.diff(held, prepend=0.0))
    gross = held * bar_returns
    net = gross - 0.5 * costs * changes
    mean_position = float(held.mean()) if held.size else 0.0
    excess = net - mean_position * bar_returns
    skew, kurtosis = moments(net)
    excess_skew, excess_kurtosis = moments(excess)
    sharpe, gross_sharpe = sharpe_per_day(net), sharpe_per_day(gross)
    excess_sharpe = sharpe_per_day(excess)
    return Record(
        bars=len(net),
        sharpe=_or_zero(sharpe),
        gross_sharpe=_or_zero(gross_sharpe),
        skew=skew,
        kurtosis=kurtosis,
        psr=_or_zero(probabilistic_sharpe_ratio(sharpe, len(net), skew, kurtosis)),
        gross_psr=_or_zero(probabilistic_sharpe_ratio(gross_sharpe, len(gross), *moments(gross))),
        net_return=float(net.sum()),
        gross_return=float(gross.sum()),
        changes=float(changes.sum()),
        share_in_market=float(np.count_nonzero(held)) / max(len(held), 1),
        trades=int(np.count_nonzero((held != 0.0) & (np.diff(held, prepend=0.0) != 0.0))),
        mean_position=mean_position,
        excess_sharpe=_or_zero(excess_sharpe),
        excess_skew=excess_skew,
        excess_kurtosis=excess_kurtosis,
        excess_psr=_or_zero(
            probabilistic_sharpe_ratio(excess_sharpe, len(net), excess_skew, excess_kurtosis)
        ),
    )


def _or_zero(value: float) -> float:
    """No trade, no evidence: a ratio that is not defined counts as none."""
    return value if math.isfinite(value) else 0.0


def trial_table(trials: Sequence[Trial]) -> list[dict[str, Any]]:
    """Return trials as plain rows, for records and reports."""
    return [
        {
            **vars(trial.candidate),
            "rounds": list(trial.rounds),
            "log_loss": trial.log_loss,
            "prior_log_loss": trial.prior_log_loss,
            "net_sharpe_a_bar": trial.record.sharpe,
            "net_psr": trial.record.psr,
            "excess_sharpe_a_bar": trial.record.excess_sharpe,
        }
        for trial in trials
    ]
