"""Accounts, ticks and engines for parity tests, and ways to run them and to compare."""

from dataclasses import replace
from itertools import pairwise

import numpy as np

from realtime.desk import new_desk
from realtime.kernels.engine import Engine, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import DESK, SIGNAL, TICK
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    CostSettings,
    DecisionSettings,
    LimitSettings,
    SymbolSettings,
)
from tests.realtime.kernels.tick_streams import at, random_ticks

MILLISECOND = 1_000_000
SECOND = 1000 * MILLISECOND
HOUR = 3600 * SECOND

FORTY = (
    "tick_spread", "tick_spread_z_100", "tick_tick_imbalance_sum_20", "tick_realised_volatility_50",
    "tick_log_return_10", "tick_efficiency_ratio_20",
    "m1_sma_3", "m1_sma_8", "m1_ema_20", "m1_macd_12_26_9", "m1_macd_signal_12_26_9", "m1_rsi_14",
    "m1_atr_14", "m1_adx_14", "m1_plus_di_14", "m1_bollinger_position_20_2", "m1_cci_20",
    "m1_stochastic_k_14_3_3", "m1_aroon_up_14", "m1_keltner_upper_20_10_2", "m1_mfi_14", "m1_obv",
    "m1_slope_14", "m1_r2_14", "m1_log_return_5", "m1_yang_zhang_50", "m1_amihud_50",
    "m1_variance_ratio_100_5", "m1_fractional_difference_100_0p4",
    "m1_minute_of_day_sin", "m1_in_london", "m1_minutes_to_close", "m1_minutes_to_rollover",
    "m5_rsi_14", "m5_zscore_20", "m5_parkinson_10", "m5_williams_r_14",
    "h1_roc_10", "h1_day_of_week_cos", "h1_rolling_max_20",
)  # fmt: skip
CROSSING = FeatureSet(features=FORTY)
CROSSING_RULE = Rule(features=CROSSING, clock="m1", columns=("m1_sma_3", "m1_sma_8"))

THREE = ("EURUSD", "XAUUSD", "USDJPY")
PLAIN = FeatureSet(features=("tick_spread", "m1_sma_3", "m1_sma_8", "m1_atr_14"))
CROSSED = FeatureSet(
    features=("m1_sma_8", "m1_cross_ratio_100_1_300", "m1_cross_correlation_100_1_300"),
    symbols=("XAUUSD", "EURUSD"),
)
THREE_RULES = (
    Rule(features=PLAIN, clock="m1", columns=("m1_sma_3", "m1_sma_8")),
    Rule(features=CROSSED, clock="m1", rows=(1, 0)),
    Rule(features=PLAIN, clock="m1"),
)

TRADING = DecisionSettings(
    enter_probability=0.55, exit_probability=0.5, edge_cost_ratio=0.0, fixed_lots=0.5
)
LIMITS = LimitSettings(max_position_lots=2.0, max_order_lots=0.8, max_spread_points=40.0)
COSTS = CostSettings(slippage_points=0.5, slippage_spread_fraction=0.1)
VARIANTS = {
    "netting": (
        AccountSettings(balance=250_000.0),
        AccountLimitSettings(max_daily_loss=0.004),
        SymbolSettings(limits=LIMITS, decision=TRADING, costs=COSTS),
    ),
    "hedging": (
        AccountSettings(balance=50_000.0, credit=500.0, mode="hedging"),
        AccountLimitSettings(max_drawdown=0.5, max_daily_loss=0.0),
        SymbolSettings(
            limits=LIMITS,
            decision=replace(
                TRADING,
                stop_loss_fraction=0.0008,
                take_profit_fraction=0.0011,
                minimum_hold_ns=90 * SECOND,
                cool_down_ns=30 * SECOND,
                flat_before_rollover_ns=HOUR,
                flat_before_weekend_ns=2 * HOUR,
            ),
            costs=replace(COSTS, latency_ns=250 * MILLISECOND, liquidity_lots=0.3),
        ),
    ),
}


def a_desk(variant, ticks, symbols=("EURUSD",), **each_symbol):
    """A desk whose calendars cover the ticks; `each_symbol` replaces the settings of one."""
    account, account_limits, each = VARIANTS[variant]
    return new_desk(
        symbols,
        start_ns=int(ticks["time_ns"][0]),
        end_ns=int(ticks["time_ns"][-1]),
        account=account,
        account_limits=account_limits,
        each={name: each_symbol.get(name, each) for name in symbols},
        position_rows=8,
        order_rows=8,
    )


def one_symbol(variant, ticks):
    """An engine with forty features and a crossover."""
    return Engine(a_desk(variant, ticks), [CROSSING_RULE])


def three_symbols(variant, ticks):
    """An engine with three symbols on one account; two of them take given signals."""
    _, _, each = VARIANTS[variant]
    timeless = replace(each.limits, max_feature_age_ns=0, max_model_age_ns=0, max_spread_points=0.0)
    sized = replace(each.decision, sizing="volatility_target", resize_fraction=0.1)
    changed = {
        "XAUUSD": replace(each, limits=timeless, decision=replace(each.decision, fixed_lots=0.1)),
        "USDJPY": replace(each, limits=timeless, decision=sized),
    }
    return Engine(a_desk(variant, ticks, THREE, **changed), THREE_RULES)


def signals(count, seed):
    """Probabilities that wander, volatilities, and now and then none."""
    rng = np.random.default_rng(seed)
    out = np.zeros(count, SIGNAL)
    out["probability"] = 0.5 + 0.3 * np.sin(np.cumsum(rng.normal(0, 0.25, count)))
    out["probability"][rng.random(count) < 0.02] = np.nan
    out["volatility"] = np.exp(rng.normal(-2.3, 0.2, count))
    return out


def three_signals(count):
    return signals(0, 0), signals(count, 11), signals(count, 12)


def dirtied(ticks, seed=3):
    """Some ticks without a quote, crossed, out of order."""
    rng = np.random.default_rng(seed)
    rows = rng.choice(np.arange(1, len(ticks)), len(ticks) // 50, replace=False)
    for row, fault in zip(rows, rng.integers(0, 4, len(rows)), strict=True):
        if fault == 0:
            ticks[row]["bid"] = np.nan
        elif fault == 1:
            ticks[row]["ask"] = ticks[row]["bid"] - 1e-4
        elif fault == 2:
            ticks[row]["bid"] = 0.0
        else:
            ticks[row]["time_ns"] = ticks[row - 1]["time_ns"] - SECOND
    return ticks


def made_ticks(count, seed=5):
    """Seeded ticks of EURUSD from Wednesday on, faults among them; a weekend if there are many."""
    return dirtied(random_ticks(count, seed, start="2024-03-06 19:00", mean_gap_ns=6 * SECOND))


def made_ticks_of_three(count, seed=6):
    """Seeded ticks of three symbols, in order of time."""
    parts = []
    for row, (price, seconds) in enumerate(((1.1, 6), (2000.0, 4), (150.0, 9))):
        ticks = random_ticks(
            count, seed + row, start="2024-03-06 19:00", mean_gap_ns=seconds * SECOND
        )
        parts.append(scaled(ticks, row, price))
    return in_order(parts)


def scaled(ticks, row, price):
    """Move ticks made near 1.1 to another symbol's price and grid."""
    digits = {1.1: 5, 2000.0: 2, 150.0: 3}[price]
    ticks["bid"] = np.round(ticks["bid"] / 1.1 * price, digits)
    spread = 1 + np.arange(len(ticks)) % 9
    ticks["ask"] = np.round(ticks["bid"] + spread * 10.0**-digits, digits)
    ticks["symbol"] = row
    return ticks


def in_order(parts):
    ticks = np.concatenate(parts)
    return ticks[np.argsort(ticks["time_ns"], kind="stable")]


def made_yen(first_ns, last_ns, seed=9):
    """Seeded USDJPY ticks over a range of time, every ten seconds."""
    count = int((last_ns - first_ns) // (10 * SECOND))
    start = str(np.datetime64(first_ns, "ns"))
    assert at(start) == first_ns
    ticks = random_ticks(count, seed, start=start, mean_gap_ns=10 * SECOND)
    return scaled(ticks, 2, 150.0)[ticks["time_ns"] <= last_ns]


# --- ways to run ----------------------------------------------------------------------------------


def by_tick(engine, ticks, given=()):
    """Feed an engine as live does, one call a tick."""
    assert ticks.dtype == TICK
    asks = [not rule.columns for rule in engine.rules]
    taken = [0] * len(asks)
    rows, times = ticks["symbol"].tolist(), ticks["time_ns"].tolist()
    for i in range(len(ticks)):
        symbol = rows[i]
        due = engine.observe(ticks, i)
        if due and asks[symbol]:
            engine.desk["signals"][symbol] = given[symbol][taken[symbol]]
            taken[symbol] += 1
        engine.decide(symbol, times[i], due)
    return engine


def by_fold(engine, ticks, given=None, cuts=()):
    """Feed an engine at once, or in the pieces between cuts."""
    for start, end in pairwise((0, *cuts, len(ticks))):
        engine.fold(ticks[start:end], given)
    return engine


def tables(engine):
    """Everything an engine wrote down, by name."""
    result = engine.result()
    return {name: getattr(result, name) for name in ("orders", "fills", "decisions", "equity")}


def assert_same_state(left, right):
    assert DESK.names is not None
    for name in DESK.names:
        same = left.desk[name].tobytes() == right.desk[name].tobytes()
        assert same, f"{name} of the desks differs"
    assert left.memory.tobytes() == right.memory.tobytes(), "feature memory differs"


def assert_same_rows(left, right):
    for name, rows in left.items():
        other = right[name]
        assert len(rows) == len(other), f"{len(rows)} and {len(other)} {name}"
        assert rows.tobytes() == other.tobytes(), f"{name} differ"


def assert_same(left, right):
    """Outputs, desk and memory of two engines are equal to the bit."""
    assert_same_rows(tables(left), tables(right))
    assert_same_state(left, right)


def resumed(engine):
    """A new engine with the copied bytes of another one's desk and memory."""
    desks = np.frombuffer(engine.desk.tobytes(), DESK).copy()
    other = Engine(desks[0], engine.rules)
    other.memory[:] = np.frombuffer(engine.memory.tobytes(), engine.memory.dtype)
    return other
