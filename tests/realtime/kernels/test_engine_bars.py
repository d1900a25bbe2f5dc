"""An engine fed bars: several symbols in one moment, and bars that a trading day cuts."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.desk import new_desk
from realtime.kernels import codes
from realtime.kernels.bars import TIME_BAR, bars_merge_fold
from realtime.kernels.engine import Engine, EngineError, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import BAR, SIGNAL
from realtime.settings import AccountSettings, CostSettings, SymbolSettings
from tests.realtime.kernels.desks import DAY, HOUR, NO_ACCOUNT_LIMITS, NO_LIMITS
from tests.realtime.kernels.floors import SIMPLE

MONDAY = 1_709_510_400 * 10**9  # 2024-03-04 00:00 UTC: the market closes at 22:00 UTC that Friday
FREE = SymbolSettings(
    limits=NO_LIMITS, decision=SIMPLE, costs=CostSettings(commission="none", swap=False)
)


def bars_from(opens_ns, length_ns, close=1.1):
    bars = np.zeros(len(opens_ns), BAR)
    bars["open_ns"] = opens_ns
    bars["end_ns"] = bars["open_ns"] + length_ns
    for price in ("open", "high", "low", "close"):
        bars[price] = close
    bars["spread_mean"] = bars["spread_max"] = 0.0002
    bars["ticks"] = bars["volume"] = 1
    return bars


def an_engine(symbols, feed, clock, settings=FREE, days=20):
    desk = new_desk(
        symbols,
        start_ns=MONDAY - DAY,
        end_ns=MONDAY + days * DAY,
        account=AccountSettings(balance=1e6),
        account_limits=NO_ACCOUNT_LIMITS,
        each=settings,
    )
    rule = Rule(features=FeatureSet(features=(f"{clock}_log_return_1",), feed=feed), clock=clock)
    return Engine(desk, [rule] * len(symbols))


def all_long(*counts):
    given = []
    for count in counts:
        rows = np.zeros(count, SIGNAL)
        rows["probability"] = 0.9
        given.append(rows)
    return tuple(given)


def test_bars_of_one_moment_are_played_together_in_order_of_time() -> None:
    """Both are long with a stop loss; the second meets its own first, inside the same hour."""
    stop = replace(FREE, decision=replace(SIMPLE, stop_loss_fraction=0.005))
    engine = an_engine(("EURUSD", "GBPUSD"), "h1", "h1", stop)
    first, second = bars_from([MONDAY, MONDAY], HOUR), bars_from([MONDAY + HOUR] * 2, HOUR)
    second["high"][0], second["low"][0], second["close"][0] = 1.11, 1.08, 1.09  # high, then low
    second["low"][1], second["high"][1], second["close"][1] = 1.08, 1.12, 1.11  # low, then high

    engine.fold_bars(
        np.concatenate([first, second]), np.array([0, 1, 0, 1]), all_long(2, 2), path=4
    )

    fills = engine.result().fills
    stopped = fills[fills["reason"] == codes.REASON_STOP_LOSS]
    assert stopped["symbol"].tolist() == [1, 0]
    assert (stopped["time_ns"] - MONDAY).tolist() == [HOUR + HOUR // 3, HOUR + 2 * (HOUR // 3)]
    assert (np.diff(fills["time_ns"]) >= 0).all()


def test_a_moment_may_not_be_split_over_two_calls() -> None:
    engine = an_engine(("EURUSD", "GBPUSD"), "h1", "h1")
    bars = bars_from([MONDAY, MONDAY], HOUR)
    engine.fold_bars(bars[:1], np.array([0]), all_long(1, 1))

    with pytest.raises(EngineError, match="all bars of one moment in one call"):
        engine.fold_bars(bars[1:], np.array([1]), all_long(1, 1))


@pytest.mark.parametrize("path", [1, 4])
def test_a_bar_that_ends_after_the_market_is_decided_on_at_the_last_trade(path) -> None:
    """Days cut at midnight UTC: Friday's ends two hours after the market has closed."""
    engine = an_engine(("EURUSD",), "d1", "d1")
    bars = bars_from(MONDAY + np.array([3, 4, 7]) * DAY, DAY)  # Thursday, Friday, Monday
    signals = all_long(3)
    signals[0]["probability"] = [0.5, 0.9, 0.5]

    engine.fold_bars(bars, given=signals, path=path)

    result = engine.result()
    assert codes.RISK_SESSION_CLOSED not in result.decisions["risk_code"]
    friday_close_ns = MONDAY + 4 * DAY + 22 * HOUR
    assert result.fills["time_ns"][0] == friday_close_ns - 1
    assert result.fills["side"].tolist() == [1]


def test_bars_that_cross_the_rollover_belong_to_the_day_they_open_in() -> None:
    """Four-hour bars from midnight UTC: the last of a day opens at 20:00, the rollover is 22:00."""
    opens_ns = MONDAY + np.arange(4 * 6) * 4 * HOUR  # Monday to Thursday
    bars = bars_from(opens_ns, 4 * HOUR)
    engine = an_engine(("EURUSD",), "h4", "d1")
    spec, days = engine.desk["specs"][0], engine.desk["days"]
    merged = np.zeros(len(bars) + 2, BAR)
    count = bars_merge_fold(
        np.zeros(1, TIME_BAR)[0], bars, days, int(spec["first_day"]), int(spec["last_day"]),
        DAY, merged,
    )  # fmt: skip

    engine.fold_bars(bars, given=all_long(99))

    assert len(engine.result().decisions) == count == 4
    assert merged["ticks"][:4].tolist() == [6, 6, 6, 6]
