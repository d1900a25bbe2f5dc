"""The accounts, features and rules that the bench runs: limits on, as a user would have them."""

import numpy as np
from numpy.typing import NDArray
from sma_reference import COST_FRACTION, UNITS, Bars

from realtime.desk import new_desk
from realtime.kernels.engine import Engine, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import BAR
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    CostSettings,
    DecisionSettings,
    LimitSettings,
    SymbolSettings,
)
from realtime.symbols import Symbol

MINUTE_NS = 60_000_000_000
BARS_START_NS = 1_600_000_000_000_000_000 // MINUTE_NS * MINUTE_NS
CROSSOVER = ("m1_sma_10", "m1_sma_30")

#: 40 features as a model might use them, the rule's two averages among them.
MIXED = (
    "tick_spread", "tick_spread_z_100", "tick_tick_imbalance_sum_20", "tick_log_return_1",
    "tick_log_return_10", "tick_realised_volatility_50", "tick_zscore_20", "tick_ema_20",
    "tick_efficiency_ratio_20", "tick_roll_spread_100",
    "m1_sma_10", "m1_sma_30", "m1_ema_20", "m1_rsi_14", "m1_macd_12_26_9", "m1_atr_14",
    "m1_bollinger_position_20_2", "m1_adx_14", "m1_stochastic_k_14_3_3", "m1_cci_20", "m1_mfi_14",
    "m1_slope_14", "m1_parkinson_50", "m1_minute_of_day_sin",
    "m5_log_return_1", "m5_rsi_14", "m5_atr_14", "m5_yang_zhang_50", "m5_garman_klass_50",
    "m5_volatility_ratio_10_100", "m5_autocorrelation_100_1", "m5_keltner_upper_20_10_2",
    "m5_aroon_oscillator_14", "m5_in_london",
    "h1_close_to_sma_20", "h1_roc_10", "h1_adx_14", "h1_variance_ratio_100_5",
    "h1_close_volatility_50", "h1_minutes_to_rollover",
)  # fmt: skip

#: 40 features that all step on every tick.
ON_TICKS = tuple(
    f"tick_{name}"
    for name in (
        "sma_10", "sma_30", "ema_20", "wma_20", "dema_20", "close_to_sma_20", "close_to_ema_20",
        "sma_gap_10_30", "macd_12_26_9", "slope_14", "adx_14", "rsi_14", "roc_10", "momentum_10",
        "cci_20", "williams_r_14", "stochastic_k_14_3_3", "aroon_up_14", "atr_14", "natr_14",
        "bollinger_upper_20_2", "zscore_20", "keltner_upper_20_10_2", "rolling_max_20", "mfi_14",
        "obv", "log_return_1", "spread", "spread_z_100", "tick_imbalance", "tick_imbalance_sum_20",
        "volume_z_100", "amihud_50", "roll_spread_100", "realised_volatility_50",
        "close_volatility_50", "parkinson_50", "efficiency_ratio_20", "autocorrelation_100_1",
        "volatility_ratio_10_100",
    )
)  # fmt: skip


def a_symbol(calendar: str) -> Symbol:
    """Return a EURUSD that trades when the data does."""
    return Symbol(
        name="EURUSD",
        calc_mode="forex",
        calendar=calendar,
        currency_base="EUR",
        currency_profit="USD",
        digits=5,
        contract_size=UNITS,
        volume_min=0.01,
        volume_max=500.0,
        volume_step=0.01,
    )


def a_desk(start_ns: int, end_ns: int, calendar: str) -> np.void:
    """Return an account with every limit on, none of them so tight that it binds."""
    return new_desk(
        [a_symbol(calendar)],
        start_ns=start_ns,
        end_ns=end_ns,
        account=AccountSettings(balance=1e7, money_digits=-1, stop_out_level=0.2),
        account_limits=AccountLimitSettings(
            max_orders=60, rate_window_ns=1_000_000_000, max_daily_loss=0.5, max_drawdown=0.9
        ),
        each=SymbolSettings(
            limits=LimitSettings(max_order_lots=5.0, max_position_lots=2.0, max_spread_points=50.0),
            decision=DecisionSettings(enter_probability=0.6, fixed_lots=1.0, resize_fraction=1.0),
            costs=CostSettings(commission="of_notional", commission_rate=COST_FRACTION),
        ),
    )


def yardstick_engine(count: int) -> Engine:
    """Return the crossover on M1 bars, 100,000 units, 0.00005 of the notional a side."""
    desk = a_desk(BARS_START_NS, BARS_START_NS + (count + 1) * MINUTE_NS, "crypto")
    features = FeatureSet(features=CROSSOVER, feed="m1")
    return Engine(desk, [Rule(features=features, clock="m1", columns=CROSSOVER)])


def yardstick_bars(bars: Bars) -> NDArray[np.void]:
    """Return the yardstick's bars as BAR records, without a spread."""
    records = np.zeros(len(bars.close), BAR)
    records["open_ns"] = BARS_START_NS + np.arange(len(records)) * MINUTE_NS
    records["end_ns"] = records["open_ns"] + MINUTE_NS
    for name in Bars._fields:
        records[name] = getattr(bars, name)
    records["ticks"] = 1
    records["volume"] = 1.0
    return records


def tick_engine(features: tuple[str, ...], start_ns: int, end_ns: int, clock: str = "m1") -> Engine:
    """Return the crossover on a clock of a tick feed, with those features computed beside it."""
    pair = tuple(f"{clock}_{name.partition('_')[2]}" for name in CROSSOVER)
    missing = tuple(name for name in pair if name not in features)
    rule = Rule(features=FeatureSet(features=features + missing), clock=clock, columns=pair)
    return Engine(a_desk(start_ns, end_ns, "fx"), [rule])
