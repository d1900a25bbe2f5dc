"""The numbers of a backtest against worked examples, formulas written out here, and scipy."""

import dataclasses
import math
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from ml.backtest import returns
from ml.backtest.exposure import fill_notional, gross_lots, leverage
from ml.backtest.format import duration, moment, number, percent
from ml.backtest.run import Run
from ml.backtest.statistics import Statistics, statistics
from ml.backtest.summary import text_summary, verdict
from realtime.kernels import codes, layout

HOUR_NS = 3600 * 10**9
DAYS_PER_YEAR = 365.2425 * 5 / 7


def at(text):
    """Nanoseconds of a UTC time."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 10**9


def samples(*pairs):
    return [{"time_ns": at(text), "equity": value, "balance": value} for text, value in pairs]


def close_of(day, value):
    """A sample an hour before the New York close of a winter day."""
    return (f"{day}T21:00", value)


def daily_run(small_run, equity, start="2021-01-04", initial=10_000.0):
    """One sample a weekday."""
    day, rows = datetime.fromisoformat(start), []
    for value in equity:
        while day.weekday() >= 5:
            day += timedelta(days=1)
        rows.append(close_of(day.date().isoformat(), float(value)))
        day += timedelta(days=1)
    return small_run(equity=samples(*rows), initial=initial)


# --- Bailey and Lopez de Prado -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sharpe", "periods", "skew", "kurtosis", "expected"),
    [(0.458, 24, 0.0, 3.0, 0.9816749191), (0.458, 24, -2.448, 10.164, 0.9133610839)],
)
def test_psr_equals_the_published_examples(sharpe, periods, skew, kurtosis, expected):
    value = returns.probabilistic_sharpe_ratio(sharpe, periods, skew, kurtosis)
    assert value == pytest.approx(expected, abs=5e-11)


@pytest.mark.parametrize(
    ("sharpe", "skew", "kurtosis", "error", "years"),
    [(0.7079, -0.225, 2.957, 0.1028, 0.7152), (0.8183, -1.4455, 7.0497, 0.155, 1.1593)],
)
def test_standard_error_and_track_record_equal_the_published_examples(
    sharpe, skew, kurtosis, error, years
):
    assert returns.sharpe_standard_error(sharpe, 134, skew, kurtosis) == pytest.approx(
        error, abs=6e-5
    )
    months = returns.minimum_track_record(sharpe, skew, kurtosis)
    assert months / 12 == pytest.approx(years, abs=6e-5)


def test_psr_of_the_benchmark_itself_is_even_odds():
    assert returns.probabilistic_sharpe_ratio(0.1, 500, -0.3, 5.0, benchmark=0.1) == 0.5


def test_no_record_is_long_enough_for_a_ratio_below_its_benchmark():
    assert math.isnan(returns.minimum_track_record(0.0, 0.0, 3.0))
    assert math.isnan(returns.minimum_track_record(math.nan, 0.0, 3.0))


# --- trading days --------------------------------------------------------------------------------


def test_a_trading_day_ends_at_five_in_new_york_in_winter_and_in_summer():
    times = [
        "2021-01-06T21:59",
        "2021-01-06T22:00",  # the very end belongs to the day that ends
        "2021-01-06T22:01",
        "2021-07-07T20:59",
        "2021-07-07T21:01",
    ]
    time_ns = np.array([at(text) for text in times])
    series = returns.daily(time_ns, np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 1.0)
    found = dict(zip(series.days, series.equity.tolist(), strict=True))
    assert found[date(2021, 1, 6)] == 2.0
    assert found[date(2021, 1, 7)] == 3.0
    assert found[date(2021, 7, 7)] == 4.0
    assert found[date(2021, 7, 8)] == 5.0


def test_weekdays_without_a_sample_return_zero_and_weekends_do_not_count():
    time_ns = np.array([at("2021-01-07T12:00"), at("2021-01-13T12:00")])
    series = returns.daily(time_ns, np.array([110.0, 121.0]), 100.0)
    assert [day.day for day in series.days] == [7, 8, 11, 12, 13]
    assert series.returns == pytest.approx([0.1, 0.0, 0.0, 0.0, 0.1])
    assert series.days_per_year == DAYS_PER_YEAR


def test_a_lone_sample_on_sunday_evening_is_mondays():
    time_ns = np.array([at("2021-01-08T12:00")] * 40 + [at("2021-01-10T22:30")])
    series = returns.daily(time_ns, np.linspace(100.0, 104.0, 41), 100.0)
    assert [day.day for day in series.days] == [8, 11]


def test_a_market_open_all_week_has_seven_days():
    start = at("2021-01-04T12:00")
    time_ns = np.array([start + i * 24 * HOUR_NS for i in range(14)])
    series = returns.daily(time_ns, np.full(14, 5.0), 5.0)
    assert len(series.days) == 14
    assert series.days_per_year == 365.2425


def test_daily_returns_compound_to_the_total_return(three_years):
    series = returns.daily(
        three_years.equity["time_ns"], three_years.equity["equity"], three_years.initial_balance
    )
    growth = float(np.prod(1.0 + series.returns))
    assert growth == pytest.approx(statistics(three_years).final_equity / 10_000.0, rel=1e-12)
    months = math.prod(1.0 + value for _, _, value in returns.monthly(series, 10_000.0))
    assert months == pytest.approx(growth, rel=1e-12)


def test_monthly_returns_compound_from_month_end_to_month_end(small_run):
    run = small_run(
        equity=samples(
            close_of("2021-01-04", 10_500.0),
            close_of("2021-01-29", 11_000.0),
            close_of("2021-02-26", 9_900.0),
            close_of("2021-03-01", 9_900.0),
        )
    )
    (january, february, march) = statistics(run).monthly
    assert january == (2021, 1, pytest.approx(0.10))
    assert february == (2021, 2, pytest.approx(-0.10))
    assert march == (2021, 3, 0.0)


# --- ratios --------------------------------------------------------------------------------------


def test_ratios_equal_the_usual_formulas(small_run):
    rng = np.random.default_rng(3)
    equity = 10_000.0 * np.cumprod(1.0 + rng.standard_t(4, 400) * 0.004 + 0.0004)
    found = statistics(daily_run(small_run, equity))
    days = np.diff(equity, prepend=10_000.0) / np.concatenate(([10_000.0], equity[:-1]))
    root = math.sqrt(DAYS_PER_YEAR)
    path = np.concatenate(([10_000.0], equity))
    deepest = float(np.max(1.0 - path / np.maximum.accumulate(path)))
    cagr = (equity[-1] / 10_000.0) ** (1.0 / found.years) - 1.0
    assert found.trading_days == 400
    assert found.volatility == pytest.approx(np.std(days, ddof=1) * root, rel=1e-10)
    assert found.sharpe == pytest.approx(np.mean(days) / np.std(days, ddof=1) * root, rel=1e-10)
    downside = math.sqrt(np.mean(np.clip(days, None, 0.0) ** 2))
    assert found.sortino == pytest.approx(np.mean(days) / downside * root, rel=1e-10)
    assert found.max_drawdown_fraction == pytest.approx(deepest, rel=1e-10)
    assert found.cagr == pytest.approx(cagr, rel=1e-10)
    assert found.calmar == pytest.approx(cagr / deepest, rel=1e-10)
    assert found.skew == pytest.approx(scipy.stats.skew(days), rel=1e-8)
    assert found.kurtosis == pytest.approx(scipy.stats.kurtosis(days, fisher=False), rel=1e-8)
    ratio = np.mean(days) / np.std(days, ddof=1)
    spread = math.sqrt(1 - found.skew * ratio + (found.kurtosis - 1) / 4 * ratio**2) / math.sqrt(
        399
    )
    assert found.psr == pytest.approx(scipy.stats.norm.cdf(ratio / spread), rel=1e-9)
    assert found.best_day == pytest.approx(days.max())
    assert found.worst_day == pytest.approx(days.min())


@given(st.lists(st.floats(1.0, 1000.0), min_size=1, max_size=60))
def test_drawdowns_equal_a_search_through_all_pairs(values):
    equity = np.array(values)
    time_ns = np.arange(equity.size, dtype=np.int64) * 7
    falls = returns.drawdowns(time_ns, equity, 100.0)
    path = [100.0, *values]
    pairs = [(path[i], low) for i in range(len(path)) for low in path[i:]]
    money = max(high - low for high, low in pairs)
    fraction = max((high - low) / high for high, low in pairs)
    assert (falls["money"].max() if falls.size else 0.0) == money
    assert (falls["fraction"].max() if falls.size else 0.0) == fraction
    for fall in falls:
        lowest = equity[(time_ns == fall["trough_ns"])]
        assert lowest[0] == fall["trough"]
        if fall["recovered_ns"] >= 0:
            assert equity[time_ns == fall["recovered_ns"]][0] >= fall["peak"]


def test_a_drawdown_lasts_from_the_high_to_the_recovery(small_run):
    run = small_run(
        equity=samples(
            ("2021-01-04T10:00", 10_000.0),
            ("2021-01-05T10:00", 11_000.0),
            ("2021-01-06T10:00", 9_900.0),
            ("2021-01-07T10:00", 10_450.0),
            ("2021-01-08T10:00", 11_000.0),
            ("2021-01-08T11:00", 10_999.0),
        )
    )
    found = statistics(run)
    assert found.max_drawdown_money == 1_100.0
    assert found.max_drawdown_fraction == pytest.approx(0.1)
    assert found.longest_drawdown_ns == 3 * 24 * HOUR_NS
    deepest = found.worst_drawdowns[0]
    assert moment(int(deepest["peak_ns"])) == "2021-01-05 10:00"
    assert moment(int(deepest["trough_ns"])) == "2021-01-06 10:00"
    assert moment(int(deepest["recovered_ns"])) == "2021-01-08 10:00"
    assert found.worst_drawdowns[1]["recovered_ns"] == -1


# --- trades and costs ----------------------------------------------------------------------------


def round_trips(results, side=1):
    fills = []
    for i, net in enumerate(results):
        base = {"volume_lots": 1.0, "price": 1.0}
        fills.append({**base, "time_ns": 2 * i * HOUR_NS, "side": side})
        fills.append({**base, "time_ns": (2 * i + 1) * HOUR_NS, "side": -side, "profit": net})
    return fills


def test_trade_statistics_of_a_worked_example(small_run):
    results = [100.0, 50.0, -30.0, 0.0, -20.0, -10.0, 60.0]
    every = statistics(small_run(round_trips(results))).all_trades
    assert every.trades == 7
    assert every.net == 150.0
    assert every.win_rate == pytest.approx(3 / 7)
    assert every.profit_factor == pytest.approx(210.0 / 60.0)
    assert every.expectancy == pytest.approx(150.0 / 7)
    assert (every.average_win, every.average_loss) == (70.0, -20.0)
    assert every.payoff_ratio == 3.5
    assert (every.largest_win, every.largest_loss) == (100.0, -30.0)
    assert (every.longest_win_streak, every.longest_loss_streak) == (2, 2)
    assert every.average_hold_ns == every.median_hold_ns == HOUR_NS


def test_longs_shorts_and_symbols_are_groups_of_their_own(make_run):
    run = make_run(count=1_500, symbols=("EURUSD", "GBPUSD"))
    every, long, short, *symbols = statistics(run).groups
    assert [group.name for group in symbols] == ["EURUSD", "GBPUSD"]
    for parts in ((long, short), symbols):
        assert sum(group.trades for group in parts) == every.trades > 50
        assert sum(group.net for group in parts) == pytest.approx(every.net)


def test_costs_lead_from_gross_to_net_profit(three_years):
    found = statistics(three_years)
    costs = found.costs
    steps = costs.gross - costs.spread - costs.slippage + costs.commission + costs.swap
    assert steps == pytest.approx(found.net_profit)
    assert costs.spread == pytest.approx(three_years.fills["spread_cost"].sum())
    assert costs.of_gross == pytest.approx(costs.total / costs.gross)
    assert found.unexplained == pytest.approx(0.0, abs=1e-6)
    booked = found.all_trades.net + found.open_profit
    assert booked == pytest.approx(found.net_profit, abs=10.0)  # entry costs of what is open


def test_swap_of_open_positions_is_a_cost_too(small_run):
    run = small_run(
        [{"side": 1, "volume_lots": 1.0, "price": 1.0, "commission": -3.0, "spread_cost": 5.0}],
        positions=[{"side": 1, "volume_lots": 1.0, "swap": -2.0, "profit": 40.0}],
        equity=samples(("2021-01-04T10:00", 10_035.0)),
    )
    found = statistics(run)
    assert found.costs.swap == -2.0
    assert found.costs.total == 10.0
    assert found.costs.gross == 45.0
    assert found.open_profit == 38.0
    assert found.open_positions == 1


def test_a_balance_that_deals_do_not_explain_is_said(small_run):
    run = small_run(round_trips([10.0]))
    account = run.account.copy()
    account["balance"] += 5.0
    found = statistics(dataclasses.replace(run, account=account))
    assert found.unexplained == pytest.approx(5.0)
    assert "5.00 USD is missing" in text_summary(found).replace("\n", " ")


def test_credit_of_the_broker_is_no_profit(small_run):
    """Equity holds the credit, so a start from the balance alone called all of it earned."""
    rows = samples(*(close_of(f"2021-01-{day:02d}", 1_000.0 * day) for day in (4, 5, 6, 7, 8)))
    for row in rows:
        row["equity"] = 11_000.0 - row["equity"] / 100.0
    run = small_run(round_trips([-80.0]), equity=rows)
    account = run.account.copy()
    account["credit"], account["equity"] = 1_000.0, 10_920.0
    found = statistics(dataclasses.replace(run, account=account))
    assert found.initial_equity == 11_000.0
    assert found.net_profit == -80.0
    assert found.total_return == pytest.approx(-80.0 / 11_000.0)
    assert found.unexplained == pytest.approx(0.0)
    assert found.sharpe < 0.0
    assert found.max_drawdown_money == 80.0
    assert found.costs.gross == -80.0
    assert "-80.00" in text_summary(found)


# --- exposure ------------------------------------------------------------------------------------


def specs(count, **fields):
    table = np.zeros(count, dtype=layout.SPEC)
    table["contract_size"], table["profit_symbol"] = 100_000.0, -1
    for name, value in fields.items():
        table[name] = value
    return table


def test_turnover_converts_the_profit_currency_at_the_moments_quote(small_run):
    run = small_run(
        [
            {"symbol": 0, "volume_lots": 0.5, "price": 1.2, "side": 1, "time_ns": 10},
            {"symbol": 1, "volume_lots": 1.0, "price": 150.0, "side": 1, "time_ns": 10},
            {"symbol": 2, "volume_lots": 1.0, "price": 160.0, "side": 1, "time_ns": 10},
        ],
        symbols=("EURUSD", "USDJPY", "EURJPY"),
        specs=specs(3, profit_symbol=[-1, 1, 1], profit_inverse=[0, 1, 1]),
        equity=[
            {"time_ns": 5, "symbol": 1, "mid": 160.0, "equity": 10_000.0},
            {"time_ns": 20, "symbol": 1, "mid": 80.0, "equity": 10_000.0},
        ],
    )
    assert fill_notional(run) == pytest.approx([60_000.0, 100_000.0, 100_000.0])


def test_a_future_is_worth_its_ticks(small_run):
    run = small_run(
        [{"volume_lots": 2.0, "price": 4_000.0, "side": 1}],
        specs=specs(1, calc_mode=codes.CALC_FUTURES, tick_value=12.5, tick_size=0.25),
    )
    assert fill_notional(run) == pytest.approx([2 * 4_000.0 / 0.25 * 12.5])


def test_without_specifications_turnover_is_not_known(small_run):
    found = statistics(small_run(round_trips([1.0, 2.0])))
    assert math.isnan(found.turnover)
    assert found.turnover_lots == 4.0


def test_leverage_adds_the_latest_positions_of_all_symbols(small_run):
    rows = [
        {"symbol": 0, "mid": 1.0, "position_lots": 0.1, "equity": 10_000.0},
        {"symbol": 1, "mid": 2.0, "position_lots": -0.1, "equity": 10_000.0},
        {"symbol": 0, "mid": 1.0, "position_lots": 0.0, "equity": 5_000.0},
        {"symbol": 0, "mid": 1.0, "position_lots": 0.0, "equity": -1.0},
    ]
    run = small_run(equity=rows, symbols=("A", "B"), specs=specs(2))
    assert leverage(run)[:3] == pytest.approx([1.0, 3.0, 4.0])
    assert math.isnan(leverage(run)[3])
    assert gross_lots(run) == pytest.approx([0.1, 0.2, 0.1, 0.1])


# --- what is not defined is n/a ------------------------------------------------------------------


def test_a_run_without_anything_has_statistics(small_run):
    found = statistics(small_run())
    assert found.net_profit == found.max_drawdown_fraction == 0.0
    assert math.isnan(found.sharpe)
    assert math.isnan(found.cagr)
    assert math.isnan(found.exposure)
    assert "No trade was made" in text_summary(found)


def test_a_flat_account_has_no_ratios_and_no_drawdown(small_run):
    found = statistics(daily_run(small_run, [10_000.0] * 30))
    assert found.volatility == found.total_return == found.cagr == 0.0
    for name in ("sharpe", "sortino", "calmar", "psr", "skew", "kurtosis"):
        assert math.isnan(getattr(found, name)), name


def test_equal_returns_every_day_have_no_ratio_made_of_rounding(small_run):
    found = statistics(daily_run(small_run, 10_000.0 * 1.001 ** np.arange(1, 40)))
    assert math.isnan(found.sharpe)
    assert math.isnan(found.sortino)


def test_one_winning_trade_has_no_profit_factor(small_run):
    every = statistics(small_run(round_trips([5.0]))).all_trades
    assert math.isnan(every.profit_factor)
    assert math.isnan(every.payoff_ratio)
    assert (every.win_rate, every.largest_win) == (1.0, 5.0)
    assert math.isnan(every.largest_loss)


def test_less_than_two_days_are_not_annualised(small_run):
    run = small_run(equity=samples(("2021-01-05T10:00", 1e4), ("2021-01-05T15:00", 2e4)))
    found = statistics(run)
    assert found.total_return == 1.0
    assert math.isnan(found.cagr)
    assert math.isnan(found.volatility)


def test_a_gain_too_fast_to_compound_for_a_year_is_not_infinite(small_run):
    run = small_run(equity=samples(("2021-01-05T21:59", 1e4), ("2021-01-05T22:01", 1e7)))
    assert math.isnan(statistics(run).cagr)


def test_ruin_ends_the_returns_and_is_said(small_run):
    found = statistics(daily_run(small_run, [9_000.0, 4_000.0, -500.0, -400.0, 100.0]))
    assert found.ruined
    assert found.worst_day == -1.0
    assert found.max_drawdown_fraction == pytest.approx(1.05)
    assert found.monthly == ((2021, 1, -1.0),)
    assert math.isfinite(found.sharpe)
    text = text_summary(dataclasses.replace(found, open_positions=1))
    assert "ruined" in text


def test_an_account_that_ends_with_nothing_has_lost_everything_a_year(small_run):
    assert statistics(daily_run(small_run, [9_000.0, 0.0])).cagr == -1.0


def numbers_in(found):
    for value in dataclasses.asdict(found).values():
        if isinstance(value, float):
            yield value
        elif isinstance(value, dict):
            yield from (v for v in value.values() if isinstance(v, float))


@given(
    equity=st.lists(st.floats(-1e5, 1e7), max_size=40),
    step_hours=st.integers(0, 60),
    results=st.lists(st.floats(-1e4, 1e4), max_size=10),
)
def test_no_statistic_is_ever_infinite_and_the_text_always_fits(
    small_run, equity, step_hours, results
):
    start = at("2021-01-04T10:00")
    rows = [
        {"time_ns": start + i * step_hours * HOUR_NS, "equity": value, "balance": value}
        for i, value in enumerate(equity)
    ]
    found = statistics(small_run(round_trips(results), equity=rows))
    assert not any(math.isinf(value) for value in numbers_in(found))
    text = text_summary(found)
    assert max(len(line) for line in text.splitlines()) <= 80
    assert text.isascii()
    assert "nan" not in text
    assert "inf" not in text


# --- words ---------------------------------------------------------------------------------------


def test_the_text_is_aligned_in_two_columns(three_years):
    lines = text_summary(statistics(three_years)).splitlines()
    first = next(line for line in lines if line.startswith("Initial equity"))
    assert len(first) == 80
    assert first[37] == "0"
    assert first[38:42] == "    "
    assert lines[0] == "Backtest: sma 10/30 on EURUSD H1"


def test_a_long_or_hostile_name_cannot_break_the_text(small_run):
    run = small_run(symbols=("EUR\x1b[31mUSD" * 20,))
    first = text_summary(statistics(run)).splitlines()[0]
    assert len(first) == 80
    assert "\x1b" not in first


def test_the_verdict_never_claims_certainty(three_years):
    found = statistics(three_years)
    assert "over 99.9%" in verdict(dataclasses.replace(found, psr=0.99999))
    assert "below 0.1%" in verdict(dataclasses.replace(found, psr=1e-9))
    assert "too short a record" in verdict(dataclasses.replace(found, trading_days=20))


def test_costs_beyond_the_gross_profit_are_named_so(three_years):
    found: Statistics = statistics(three_years)
    costs = dataclasses.replace(found.costs, gross=100.0, total=400.0, of_gross=4.0)
    assert "more than all of it" in verdict(dataclasses.replace(found, costs=costs))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (number(-0.001), "0.00"),
        (number(1234567.891), "1,234,567.89"),
        (number(math.inf), "n/a"),
        (number(-1.5e20), "-1.500e+20"),
        (number(5.0, sign=True), "+5.00"),
        (number(0.0, sign=True), "0.00"),
        (percent(0.1234), "12.34%"),
        (percent(math.nan), "n/a"),
        (duration(90e9), "1 min 30 s"),
        (duration(26 * HOUR_NS), "1 d 2 h"),
        (duration(45.5 * 24 * HOUR_NS), "45 d"),
        (duration(2.5e8), "250 ms"),
        (duration(0), "0 s"),
        (duration(math.nan), "n/a"),
        (moment(0), "n/a"),
    ],
)
def test_numbers_read_as_people_write_them(text, expected):
    assert text == expected


# --- the run itself ------------------------------------------------------------------------------


def test_a_run_refuses_arrays_that_do_not_belong_together(three_years):
    run: Run = three_years
    with pytest.raises(TypeError, match="fills must have the layout"):
        dataclasses.replace(run, fills=run.orders)
    fills, equity = run.fills.copy(), run.equity.copy()
    fills["symbol"][3], equity["equity"][5] = 1, math.nan
    with pytest.raises(ValueError, match="names a symbol outside"):
        dataclasses.replace(run, fills=fills)
    with pytest.raises(ValueError, match="in order of time"):
        dataclasses.replace(run, equity=run.equity[::-1])
    with pytest.raises(ValueError, match="must be finite"):
        dataclasses.replace(run, equity=equity)
    with pytest.raises(ValueError, match="above 0"):
        dataclasses.replace(run, initial_balance=0.0)
    with pytest.raises(ValueError, match="at least one symbol"):
        dataclasses.replace(run, symbols=())
    with pytest.raises(ValueError, match="shape"):
        dataclasses.replace(run, account=run.account[:0])
    with pytest.raises(ValueError, match="as many specs"):
        dataclasses.replace(run, specs=specs(2))
