"""Returns of an account: trading days, months, drawdowns and what can be inferred from them.

**Trading days and annualisation.** Equity is resampled to trading days by calendar time: a
trading day ends at 17:00 New York (the FX rollover), Monday to Friday, and every weekday between
the first and the last sample counts, holidays and gaps as a return of zero. Where at least one
sample in twenty falls on a weekend (crypto CFDs) all seven days count. A year then has
365.2425 * 5/7 = 260.9 (or 365.2) trading days, a constant, so that two runs over the same time
are annualised alike whatever their bars. An account is ruined once its equity at a day's end is
not above a millionth of its initial equity: that day returns -100% and the series ends there.
"""

import math
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from statistics import NormalDist
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

DAY_NS = 86_400 * 10**9
YEAR_NS = int(365.2425 * DAY_NS)
_ROLLOVER = time(17, tzinfo=ZoneInfo("America/New_York"))
RUIN_FRACTION = 1e-6  # of the initial equity
_WEEKEND_SHARE = 0.05
_EULER_MASCHERONI = 0.5772156649015329
_UTC_EPOCH = datetime(1970, 1, 1, tzinfo=ZoneInfo("UTC"))

DRAWDOWN = np.dtype(
    [
        ("peak_ns", "i8"),  # the high before
        ("trough_ns", "i8"),
        ("recovered_ns", "i8"),  # first sample back at the high, -1 = not recovered
        ("duration_ns", "i8"),  # peak to recovery, or to the end of the run
        ("peak", "f8"),
        ("trough", "f8"),
        ("money", "f8"),  # peak - trough
        ("fraction", "f8"),  # money / peak
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Daily:
    """Equity by trading day.

    Attributes:
        days: the trading days, in order.
        equity: account currency at each day's end; same length.
        returns: simple return of each day, the first against the initial equity; shorter than
            `days` after ruin.
        days_per_year: trading days in a calendar year.
        ruined: nothing was left at some day's end.
    """

    days: tuple[date, ...]
    equity: NDArray[np.float64]
    returns: NDArray[np.float64]
    days_per_year: float
    ruined: bool


def daily(time_ns: NDArray[np.int64], equity: NDArray[np.float64], initial: float) -> Daily:
    """Resample an account to trading days (definition in the module's text).

    Args:
        time_ns: sample times, UTC, never decreasing. A sample at a day's very end belongs to it.
        equity: of each sample, account currency.
        initial: equity before the first sample, above 0.
    """
    if time_ns.size == 0:
        nothing = np.empty(0)
        return Daily((), nothing, nothing, 365.2425 * 5 / 7, ruined=False)
    first, last = _trading_date(int(time_ns[0])), _trading_date(int(time_ns[-1]))
    span = [first + timedelta(days=i) for i in range((last - first).days + 3)]
    ends = np.array([_end_ns(day) for day in span], dtype=np.int64)
    places = np.searchsorted(time_ns, ends, side="right")
    samples = np.diff(places, prepend=0)
    weekend = np.array([day.weekday() >= 5 for day in span])
    all_week = bool(samples[weekend].sum() >= _WEEKEND_SHARE * time_ns.size)
    wanted = np.flatnonzero(~weekend | all_week)
    # from the first day with a sample to the first that has seen them all
    first_row = int(np.searchsorted(places[wanted], 1))
    last_row = int(np.searchsorted(places[wanted], time_ns.size))
    wanted = wanted[first_row : last_row + 1]
    at_end = equity[places[wanted] - 1]
    returns, ruined = _returns(at_end, initial)
    per_year = 365.2425 * (1.0 if all_week else 5 / 7)
    rows: list[int] = wanted.tolist()
    return Daily(tuple(span[i] for i in rows), at_end, returns, per_year, ruined)


def _trading_date(moment_ns: int) -> date:
    """Date of the trading day that a moment belongs to."""
    moment = _UTC_EPOCH + timedelta(microseconds=moment_ns // 1000)
    day = moment.astimezone(_ROLLOVER.tzinfo).date()
    return day if moment_ns <= _end_ns(day) else day + timedelta(days=1)


def _end_ns(day: date) -> int:
    return int(datetime.combine(day, _ROLLOVER).timestamp()) * 10**9


def _returns(at_end: NDArray[np.float64], initial: float) -> tuple[NDArray[np.float64], bool]:
    before = np.concatenate(([initial], at_end[:-1]))
    broke = np.flatnonzero(at_end <= RUIN_FRACTION * initial)
    if broke.size == 0:
        return at_end / before - 1.0, False
    alive = int(broke[0])
    returns = at_end[: alive + 1] / before[: alive + 1] - 1.0
    returns[alive] = -1.0
    return returns, True


def monthly(series: Daily, initial: float) -> tuple[tuple[int, int, float], ...]:
    """(year, month, return) of every calendar month of trading days, compounded, up to ruin."""
    months: list[tuple[int, int, float]] = []
    start = initial
    for i, day in enumerate(series.days[: series.returns.size]):
        ends = i + 1 == series.returns.size or series.days[i + 1].month != day.month
        if ends:
            end = max(float(series.equity[i]), 0.0)
            months.append((day.year, day.month, end / start - 1.0))
            start = end
    return tuple(months)


def drawdowns(
    time_ns: NDArray[np.int64], equity: NDArray[np.float64], initial: float
) -> NDArray[np.void]:
    """Every drawdown of the samples, `DRAWDOWN`, in order of time.

    A drawdown starts at the last sample at the running high (the initial equity is the first
    high, at the time of the first sample) and ends at the first sample back at or above it.
    """
    peaks = np.maximum(np.maximum.accumulate(equity), initial) if equity.size else equity
    below = equity < peaks
    edges = np.flatnonzero(np.diff(below.astype(np.int8), prepend=0, append=0))
    starts, ends = edges[::2], edges[1::2]  # samples [start, end) are below the high
    found = np.zeros(starts.size, dtype=DRAWDOWN)
    if starts.size == 0:
        return found
    samples = np.flatnonzero(below)
    owner = np.repeat(np.arange(starts.size), ends - starts)
    offsets = np.searchsorted(samples, starts)
    found["trough"] = np.minimum.reduceat(equity[samples], offsets)
    lowest = np.flatnonzero(equity[samples] == found["trough"][owner])
    _, first = np.unique(owner[lowest], return_index=True)
    found["trough_ns"] = time_ns[samples[lowest[first]]]
    found["peak_ns"] = time_ns[np.maximum(starts - 1, 0)]
    end_ns = time_ns[np.minimum(ends, equity.size - 1)]
    found["recovered_ns"] = np.where(ends < equity.size, end_ns, -1)
    found["duration_ns"] = end_ns - found["peak_ns"]
    found["peak"] = peaks[starts]
    found["money"] = found["peak"] - found["trough"]
    found["fraction"] = found["money"] / found["peak"]
    return found


def moments(returns: NDArray[np.float64]) -> tuple[float, float]:
    """(skewness, kurtosis) from biased moments, kurtosis not in excess (3 for a normal).

    Equals `scipy.stats.skew(x)` and `scipy.stats.kurtosis(x, fisher=False)`; NaN where the
    returns do not vary.
    """
    if returns.size < 2 or not _varies(returns):
        return math.nan, math.nan
    deviations = returns - returns.mean()
    squares = deviations * deviations
    variance = float(squares.mean())
    skew = float((squares * deviations).mean()) / variance**1.5
    return skew, float((squares * squares).mean()) / variance**2


def sharpe_per_day(returns: NDArray[np.float64]) -> float:
    """Mean over standard deviation (ddof = 1), no risk-free rate; NaN without variation."""
    if returns.size < 2 or not _varies(returns):
        return math.nan
    return float(returns.mean() / returns.std(ddof=1))


def _varies(returns: NDArray[np.float64]) -> bool:
    """A spread that is more than the rounding of equal numbers."""
    return bool(returns.std() > 1e-12 * max(float(np.abs(returns).max()), 1e-12))


def sortino_per_day(returns: NDArray[np.float64]) -> float:
    """Mean over the root mean square of the losses (target 0, over all days); NaN without loss."""
    if returns.size < 2:
        return math.nan
    downside = math.sqrt(float(np.mean(np.minimum(returns, 0.0) ** 2)))
    return float(returns.mean()) / downside if downside > 0.0 else math.nan


def probabilistic_sharpe_ratio(
    sharpe: float, periods: int, skew: float, kurtosis: float, benchmark: float = 0.0
) -> float:
    """Probability that the true Sharpe ratio exceeds `benchmark`.

    Bailey and Lopez de Prado (2012), "The Sharpe Ratio Efficient Frontier", equation 11:
    Phi((SR - b) * sqrt(T - 1) / sqrt(1 - skew * SR + (kurtosis - 1) / 4 * SR^2)).

    Args:
        sharpe: per period, not annualised; so is `benchmark`.
        periods: T, number of returns.
        skew: of the returns.
        kurtosis: of the returns, not in excess.
        benchmark: Sharpe ratio to exceed.

    Returns:
        NaN if an input is NaN or there are fewer than two periods.

    Examples:
        >>> round(probabilistic_sharpe_ratio(0.458, 24, -2.448, 10.164), 3)
        0.913
    """
    error = sharpe_standard_error(sharpe, periods, skew, kurtosis)
    if not (math.isfinite(error) and error > 0.0):
        return math.nan
    return NormalDist().cdf((sharpe - benchmark) / error)


def psr_of(series: NDArray[np.float64]) -> float:
    """Return the probability that the true Sharpe ratio of a series of returns is above 0.

    NaN where they do not vary.
    """
    return probabilistic_sharpe_ratio(sharpe_per_day(series), series.size, *moments(series))


def sharpe_standard_error(sharpe: float, periods: int, skew: float, kurtosis: float) -> float:
    """Standard error of a Sharpe ratio a period, same source; NaN where it is undefined."""
    variance = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    if periods < 2 or not variance >= 0.0:
        return math.nan
    return math.sqrt(variance / (periods - 1))


def minimum_track_record(
    sharpe: float, skew: float, kurtosis: float, benchmark: float = 0.0, confidence: float = 0.95
) -> float:
    """Periods needed before a Sharpe ratio above `benchmark` is believed, same source.

    1 + (1 - skew * SR + (kurtosis - 1) / 4 * SR^2) * (Z / (SR - b))^2. NaN if the ratio does not
    exceed the benchmark: no length of such a record would do.
    """
    if not sharpe > benchmark:
        return math.nan
    variance = 1.0 - skew * sharpe + (kurtosis - 1.0) / 4.0 * sharpe * sharpe
    ratio = NormalDist().inv_cdf(confidence) / (sharpe - benchmark)
    return 1.0 + variance * ratio * ratio


def expected_maximum(trials: int) -> float:
    """Return the expected maximum of `trials` independent standard normal numbers.

    Bailey and Lopez de Prado (2014): ``(1 - g) Z(1 - 1/N) + g Z(1 - 1/(N e))``, g being the
    Euler-Mascheroni constant; 0 for a single trial.

    Examples:
        >>> round(expected_maximum(10), 7)
        1.5745983
    """
    if trials < 2:
        return 0.0
    normal = NormalDist()
    return (1.0 - _EULER_MASCHERONI) * normal.inv_cdf(1.0 - 1.0 / trials) + (
        _EULER_MASCHERONI * normal.inv_cdf(1.0 - 1.0 / (trials * math.e))
    )


def luck_sharpe(trials: int, variance: float) -> float:
    """Return the Sharpe ratio that the best of so many worthless trials is expected to show."""
    return math.sqrt(variance) * expected_maximum(trials)


def deflated_sharpe_ratio(
    sharpe: float, periods: int, skew: float, kurtosis: float, *, trials: int, variance: float
) -> float:
    """Return the probability that a Sharpe ratio exceeds what luck gives the best of all trials.

    Bailey and Lopez de Prado (2014), "The Deflated Sharpe Ratio": the probabilistic Sharpe ratio
    against `luck_sharpe`.

    Args:
        sharpe: of the chosen trial, a period, not annualised.
        periods: number of returns.
        skew: of them.
        kurtosis: of them, not in excess.
        trials: how many were tried, all of them.
        variance: of the Sharpe ratios of the trials.

    Returns:
        NaN where the ratio is undefined.
    """
    benchmark = luck_sharpe(trials, variance)
    return probabilistic_sharpe_ratio(sharpe, periods, skew, kurtosis, benchmark)
