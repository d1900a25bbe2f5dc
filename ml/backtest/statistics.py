"""The numbers of a backtest. Definitions, annualisation and oracles are in `Statistics`."""

import math
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from ml.backtest import returns
from ml.backtest.exposure import fill_notional
from ml.backtest.run import Run
from ml.backtest.skill import excess_over_constant, round_trips
from ml.backtest.trades import Matching, match
from realtime.kernels.codes import RISK_DRAWDOWN

NAN = math.nan
_ABSURD_GROWTH = math.log(1e6)  # a few days of gain, compounded for a year, exceed any number


@dataclass(frozen=True, slots=True, kw_only=True)
class TradeGroup:
    """Results of some of the trades: all, longs, shorts, or one symbol's.

    A win has net > 0, a loss net < 0. Every ratio is NaN where it would divide by nothing
    (profit factor without a loss, say): it prints as "n/a" and never as infinity.

    Attributes:
        name: which trades.
        trades: how many.
        net: sum of their net results.
        win_rate: wins / trades.
        profit_factor: sum of the wins / -sum of the losses.
        expectancy: mean net result.
        average_win: mean of the wins.
        average_loss: mean of the losses, negative.
        payoff_ratio: average_win / -average_loss.
        largest_win: best net result, NaN without a win.
        largest_loss: worst net result, NaN without a loss.
        average_hold_ns: mean time from entry to exit.
        median_hold_ns: median of the same.
        longest_win_streak: most wins in a row, in order of closing.
        longest_loss_streak: most losses in a row; a result of exactly 0 ends both.
    """

    name: str
    trades: int
    net: float
    win_rate: float
    profit_factor: float
    expectancy: float
    average_win: float
    average_loss: float
    payoff_ratio: float
    largest_win: float
    largest_loss: float
    average_hold_ns: float
    median_hold_ns: float
    longest_win_streak: int
    longest_loss_streak: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """Where gross profit went, in account currency, open positions included.

    gross - spread - slippage + commission + swap = net profit.

    Attributes:
        gross: profit had every deal been made at the mid of the moment it was decided.
        spread: half the spread of every deal, summed; positive is a cost.
        slippage: worse fills than quoted; positive is a cost.
        commission: as booked, negative is a cost.
        swap: as booked and as accrued by open positions, negative is a cost.
        total: spread + slippage - commission - swap; positive is a cost.
        of_gross: total / gross, NaN unless gross > 0.
        per_trade: total / closed trades.
    """

    gross: float
    spread: float
    slippage: float
    commission: float
    swap: float
    total: float
    of_gross: float
    per_trade: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What a backtest achieved. Fractions are plain (0.1 is 10%), money is account currency.

    Returns are simple returns of trading days (`ml.backtest.returns` says what a day is), not of
    trades; ratios use no risk-free rate. What is undefined is NaN: ratios with fewer than two
    trading days or without variation, CAGR with fewer than two trading days. Oracles: the
    formulas of the empyrical library for volatility, Sharpe, Sortino, maximum drawdown and
    Calmar; scipy.stats for skewness and kurtosis; Bailey and Lopez de Prado (2012) for PSR.

    Attributes:
        symbols: traded symbols.
        strategy: name of the strategy.
        timeframe: of the decision bars.
        currency: account currency.
        money_digits: decimals of the account currency.
        start_ns: first equity sample.
        end_ns: last equity sample.
        years: end - start in years of 365.2425 days.
        trading_days: of the daily series.
        days_per_year: what annualises it (260.9, or 365.2 for markets open all week).
        samples: equity samples.
        initial_equity: balance and credit at the start; credit is never profit.
        final_equity: at the end, open positions at market.
        net_profit: final_equity - initial_equity.
        total_return: net_profit / initial_equity.
        cagr: (final / initial)^(1 / years) - 1; -1 if nothing is left, NaN beyond a millionfold.
        volatility: standard deviation of daily returns (ddof = 1), annualised by square root.
        sharpe: mean / standard deviation of daily returns, annualised by square root.
        sortino: mean / root mean square of losing days, annualised by square root.
        calmar: cagr / max_drawdown_fraction.
        max_drawdown_money: deepest fall from a high, over all samples.
        max_drawdown_fraction: deepest fall as a fraction of its high (not always the same fall).
        longest_drawdown_ns: longest time from a high until it was reached again, or the end.
        worst_drawdowns: up to five, deepest fraction first, `returns.DRAWDOWN`.
        best_day: highest daily return.
        worst_day: lowest daily return.
        winning_days: share of days with a return above 0 among days with a return other than 0.
        skew: of daily returns.
        kurtosis: of daily returns, not in excess: 3 is normal.
        psr: probability that the true daily Sharpe ratio is above 0, from this one record; knows
            nothing of other variants that were tried.
        minimum_track_record_days: trading days after which such a record would be believed at
            95%; NaN if the Sharpe ratio is not above 0.
        monthly: (year, month, return).
        ruined: an equity sample was not above 0, or nothing was left at a day's end.
        exposure: share of time with at least one position open.
        turnover_lots: volume of all deals.
        turnover: their value in account currency, NaN if unknown.
        turnover_a_year: turnover / mean daily equity / years.
        groups: all trades, longs, shorts, then each symbol if there are several.
        costs: where gross profit went.
        open_positions: left at the end.
        open_profit: net_profit that is not booked by deals (open positions).
        unexplained: final balance less initial balance less everything deals booked; not 0 means
            that the deals do not explain the balance.
        round_trips: times that a symbol's net position went back to nothing or to the other side.
            Closing in parts and resizing count once: this is how many independent bets there were.
        mean_exposure: mean of the value held / equity over the samples, signed, all symbols.
        excess_returns: of each sample of the account (one a deciding bar) the strategy's net
            return less that of holding `mean_exposure` all the time, fractions; see
            `ml.backtest.skill`. () where the value of positions is not known.
        excess_psr: probability that the true Sharpe ratio of `excess_returns` is above 0: that
            the timing earned something, and not only being in a market that moved.
        halted_ns: when the drawdown limit first refused a position; 0 = never. It holds until an
            operator releases it, so nothing is traded after.
    """

    symbols: tuple[str, ...]
    strategy: str
    timeframe: str
    currency: str
    money_digits: int
    start_ns: int
    end_ns: int
    years: float
    trading_days: int
    days_per_year: float
    samples: int
    initial_equity: float
    final_equity: float
    net_profit: float
    total_return: float
    cagr: float
    volatility: float
    sharpe: float
    sortino: float
    calmar: float
    max_drawdown_money: float
    max_drawdown_fraction: float
    longest_drawdown_ns: int
    worst_drawdowns: tuple[np.void, ...]
    best_day: float
    worst_day: float
    winning_days: float
    skew: float
    kurtosis: float
    psr: float
    minimum_track_record_days: float
    monthly: tuple[tuple[int, int, float], ...]
    ruined: bool
    exposure: float
    turnover_lots: float
    turnover: float
    turnover_a_year: float
    groups: tuple[TradeGroup, ...]
    costs: Costs
    open_positions: int
    open_profit: float
    unexplained: float
    round_trips: int
    mean_exposure: float
    excess_returns: tuple[float, ...]
    excess_psr: float
    halted_ns: int = 0

    @property
    def all_trades(self) -> TradeGroup:
        """The group of all closed trades."""
        return self.groups[0]


def _halted_ns(run: Run) -> int:
    stopped = run.decisions["time_ns"][run.decisions["risk_code"] == RISK_DRAWDOWN]
    return int(stopped[0]) if stopped.size else 0


def statistics(run: Run, matching: Matching | None = None) -> Statistics:
    """Compute the statistics of a run; `matching` saves matching its deals once more."""
    matching = match(run) if matching is None else matching
    time_ns, equity = run.equity["time_ns"], run.equity["equity"]
    initial, final = run.initial_equity, float(run.account["equity"][0])
    if equity.size:  # the account may have moved after its last sample
        equity = np.append(equity[:-1], final)
    start_ns, end_ns = (int(time_ns[0]), int(time_ns[-1])) if equity.size else (0, 0)
    years = (end_ns - start_ns) / returns.YEAR_NS
    series = returns.daily(time_ns, equity, initial)
    days = series.returns
    root = math.sqrt(series.days_per_year)
    falls = returns.drawdowns(time_ns, equity, initial)
    deepest = float(falls["fraction"].max()) if falls.size else 0.0
    cagr = _cagr(final / initial, years, days.size)
    sharpe = returns.sharpe_per_day(days)
    skew, kurtosis = returns.moments(days)
    lots, turnover, turnover_a_year = _turnover(run, series.equity, years)
    booked, costs = _costs(run, final - initial, matching.trades.size)
    moving = days[days != 0.0]
    excess = excess_over_constant(run, final)
    return Statistics(
        symbols=run.symbols,
        strategy=run.strategy,
        timeframe=run.timeframe,
        currency=run.currency,
        money_digits=run.money_digits,
        start_ns=start_ns,
        end_ns=end_ns,
        years=years,
        trading_days=len(series.days),
        days_per_year=series.days_per_year,
        samples=equity.size,
        initial_equity=initial,
        final_equity=final,
        net_profit=final - initial,
        total_return=final / initial - 1.0,
        cagr=cagr,
        volatility=float(days.std(ddof=1)) * root if days.size > 1 else NAN,
        sharpe=sharpe * root,
        sortino=returns.sortino_per_day(days) * root,
        calmar=cagr / deepest if deepest > 0.0 else NAN,
        max_drawdown_money=float(falls["money"].max()) if falls.size else 0.0,
        max_drawdown_fraction=deepest,
        longest_drawdown_ns=int(falls["duration_ns"].max()) if falls.size else 0,
        worst_drawdowns=tuple(falls[np.argsort(-falls["fraction"], kind="stable")[:5]]),
        best_day=float(days.max()) if days.size else NAN,
        worst_day=float(days.min()) if days.size else NAN,
        winning_days=float(np.mean(moving > 0.0)) if moving.size else NAN,
        skew=skew,
        kurtosis=kurtosis,
        psr=returns.probabilistic_sharpe_ratio(sharpe, days.size, skew, kurtosis),
        minimum_track_record_days=returns.minimum_track_record(sharpe, skew, kurtosis),
        monthly=returns.monthly(series, initial),
        ruined=bool(np.any(equity <= 0.0)) or final <= 0.0 or series.ruined,
        exposure=matching.exposed_ns / (end_ns - start_ns) if end_ns > start_ns else NAN,
        turnover_lots=lots,
        turnover=turnover,
        turnover_a_year=turnover_a_year,
        groups=_groups(run, matching.trades),
        costs=costs,
        open_positions=run.open_positions.size,
        open_profit=final - initial - booked,
        unexplained=float(run.account["balance"][0]) - run.initial_balance - booked,
        round_trips=round_trips(run),
        mean_exposure=excess.mean_exposure,
        excess_returns=tuple(excess.returns.tolist()),
        excess_psr=returns.psr_of(excess.returns),
        halted_ns=_halted_ns(run),
    )


def _cagr(growth: float, years: float, days: int) -> float:
    if days < 2 or years <= 0.0:
        return NAN
    if growth <= returns.RUIN_FRACTION:
        return -1.0
    exponent = math.log(growth) / years
    return math.exp(exponent) - 1.0 if exponent < _ABSURD_GROWTH else NAN


def _turnover(run: Run, equity: NDArray[np.float64], years: float) -> tuple[float, float, float]:
    lots = float(run.fills["volume_lots"].sum())
    turnover = float(fill_notional(run).sum())
    mean = float(equity.mean()) if equity.size else 0.0
    a_year = turnover / mean / years if mean > 0.0 and years > 0.0 else NAN
    return lots, turnover, a_year


def _costs(run: Run, net_profit: float, trades: int) -> tuple[float, Costs]:
    """(money booked by deals, costs)."""
    fills = run.fills
    spread = float(fills["spread_cost"].sum())
    slippage = float(fills["slippage_cost"].sum())
    commission = float(fills["commission"].sum())
    booked_swap = float(fills["swap"].sum())
    swap = booked_swap + float(run.open_positions["swap"].sum())
    total = spread + slippage - commission - swap
    gross = net_profit + total
    costs = Costs(
        gross=gross,
        spread=spread,
        slippage=slippage,
        commission=commission,
        swap=swap,
        total=total,
        of_gross=total / gross if gross > 0.0 else NAN,
        per_trade=total / trades if trades else NAN,
    )
    return float(fills["profit"].sum()) + booked_swap + commission, costs


def _groups(run: Run, trades: NDArray[np.void]) -> tuple[TradeGroup, ...]:
    groups = [
        _group("All", trades),
        _group("Long", trades[trades["side"] > 0]),
        _group("Short", trades[trades["side"] < 0]),
    ]
    if len(run.symbols) > 1:
        groups += [
            _group(name, trades[trades["symbol"] == row]) for row, name in enumerate(run.symbols)
        ]
    return tuple(groups)


def _group(name: str, trades: NDArray[np.void]) -> TradeGroup:
    net = trades["net"]
    wins, losses = net[net > 0.0], net[net < 0.0]
    won, lost = float(wins.sum()), -float(losses.sum())
    hold = trades["duration_ns"]
    average_win, average_loss = _mean(wins), _mean(losses)
    return TradeGroup(
        name=name,
        trades=net.size,
        net=float(net.sum()),
        win_rate=wins.size / net.size if net.size else NAN,
        profit_factor=won / lost if lost > 0.0 else NAN,
        expectancy=_mean(net),
        average_win=average_win,
        average_loss=average_loss,
        payoff_ratio=average_win / -average_loss if losses.size else NAN,
        largest_win=float(wins.max()) if wins.size else NAN,
        largest_loss=float(losses.min()) if losses.size else NAN,
        average_hold_ns=_mean(hold),
        median_hold_ns=float(np.median(hold)) if hold.size else NAN,
        longest_win_streak=_streak(net > 0.0),
        longest_loss_streak=_streak(net < 0.0),
    )


def _mean(values: NDArray[np.void]) -> float:
    return float(values.mean()) if values.size else NAN


def _streak(hits: NDArray[np.bool_]) -> int:
    return max((sum(1 for _ in run) for hit, run in groupby(hits.tolist()) if hit), default=0)
