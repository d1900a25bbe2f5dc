"""Loss limits latch at once, flatten, and are released by whom they should be."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.calendar import calendar_named
from realtime.kernels import codes
from realtime.kernels.loss_limits import (
    reset_drawdown_step,
    update_equity_limits_fold,
    update_equity_limits_step,
)
from tests.realtime.kernels.desks import (
    DAY,
    EURUSD,
    HOUR,
    NOW,
    a_desk,
    ask_risk,
    enter_day,
    hold,
    quote,
)
from tests.realtime.kernels.tick_streams import same_bits, without_compiler

ROLLOVER = NOW + 10 * HOUR  # 17:00 in New York, winter


def tick(desk, equity, now_ns=NOW, row=EURUSD):
    """Revalue and check; True if a limit newly latched."""
    desk["account"]["equity"] = equity
    enter_day(desk, row, now_ns)
    return update_equity_limits_step(desk, row, now_ns) == 1


def limited(**limits):
    desk = a_desk(end_ns=NOW + 10 * DAY)
    for name, value in limits.items():
        desk["account_limits"][name] = value
    return desk


def latches(desk):
    return int(desk["risk"]["latches"])


def test_the_daily_loss_counts_from_the_start_of_the_day_and_fires_once() -> None:
    desk = limited(max_daily_loss=0.05)
    assert not tick(desk, 10_000)
    assert not tick(desk, 11_000)
    assert not tick(desk, 9_500.01)
    assert tick(desk, 9_500)
    assert not tick(desk, 9_000)
    assert latches(desk) == codes.LATCH_DAILY_LOSS


def test_the_next_trading_day_releases_the_daily_loss_and_starts_where_the_last_ended() -> None:
    desk = limited(max_daily_loss=0.05)
    tick(desk, 10_000)
    assert tick(desk, 9_400)
    assert not tick(desk, 9_450, ROLLOVER - 1)
    assert latches(desk) == codes.LATCH_DAILY_LOSS
    assert not tick(desk, 9_400, ROLLOVER)
    assert latches(desk) == 0
    assert desk["risk"]["day_start_equity"] == 9_450
    assert not tick(desk, 9_000, ROLLOVER + 1)
    assert tick(desk, 8_930, ROLLOVER + 2)


def test_a_gap_over_the_rollover_is_a_loss_of_the_new_day() -> None:
    """It would otherwise belong to no day: the old one is over, the new one starts after it."""
    desk = limited(max_daily_loss=0.05)
    tick(desk, 10_000)
    assert not tick(desk, 9_900, ROLLOVER - 1)
    assert tick(desk, 9_400, ROLLOVER)
    assert desk["risk"]["day_start_equity"] == 9_900
    assert latches(desk) == codes.LATCH_DAILY_LOSS


def test_the_daily_latch_holds_until_what_it_asked_to_close_is_closed() -> None:
    desk = limited(max_daily_loss=0.05)
    tick(desk, 10_000)
    assert tick(desk, 9_400)
    desk["account"]["open_positions"] = 1
    tick(desk, 9_400, ROLLOVER)
    assert latches(desk) == codes.LATCH_DAILY_LOSS
    desk["account"]["open_positions"] = 0
    tick(desk, 9_400, ROLLOVER + 1)
    assert latches(desk) == 0


def test_drawdown_counts_from_the_peak_and_stays_until_an_operator_resets_it() -> None:
    desk = limited(max_drawdown=0.2)
    tick(desk, 10_000)
    tick(desk, 15_000)
    assert not tick(desk, 12_000.01)
    assert tick(desk, 12_000)
    for days in range(1, 4):
        assert not tick(desk, 20_000, NOW + days * DAY)
    assert latches(desk) == codes.LATCH_DRAWDOWN
    assert ask_risk(desk, 0.1) == (0.0, codes.RISK_DRAWDOWN)
    reset_drawdown_step(desk["risk"], 12_000.0)
    assert latches(desk) == 0
    assert not tick(desk, 12_000)
    assert tick(desk, 9_600)


def test_the_kill_latch_is_not_touched_by_days_or_by_a_drawdown_reset() -> None:
    desk = limited(max_daily_loss=0.05)
    desk["risk"]["latches"] = codes.LATCH_KILL
    tick(desk, 10_000)
    tick(desk, 10_000, NOW + DAY)
    reset_drawdown_step(desk["risk"], 10_000.0)
    assert latches(desk) == codes.LATCH_KILL


def test_risk_looks_at_the_equity_itself_so_a_limit_cannot_be_forgotten() -> None:
    desk = limited(max_daily_loss=0.05)
    tick(desk, 10_000)
    hold(desk, EURUSD, 0.3)
    desk["account"]["equity"] = 9_000.0
    assert ask_risk(desk, 0.5) == (0.0, codes.RISK_DAILY_LOSS)


@pytest.mark.parametrize("equity", [math.nan, math.inf])
def test_an_equity_that_is_no_amount_changes_nothing(equity) -> None:
    desk = limited(max_daily_loss=0.05, max_drawdown=0.2)
    tick(desk, 10_000)
    before = desk["risk"].tobytes()
    assert not tick(desk, equity)
    assert not tick(desk, equity, ROLLOVER)
    assert desk["risk"].tobytes() == before


def test_limits_that_are_off_never_fire() -> None:
    desk = limited()
    tick(desk, 10_000)
    assert not tick(desk, 1.0)
    assert latches(desk) == 0


def test_two_calendars_do_not_start_two_days_where_one_was() -> None:
    """Foreign exchange rolls over at 22:00 UTC, crypto at 00:00: the account keeps to the first."""
    desk = a_desk(symbols=("EURUSD", "BTCUSD"), end_ns=NOW + 10 * DAY)
    starts = []
    for hours in range(24 * 4):
        now_ns = NOW + hours * HOUR
        desk["account"]["equity"] = 10_000.0 + hours
        for row in (0, 1) if hours == 0 else (1, 0):
            quote(desk, row, 1.1, 0.0001, now_ns)
            enter_day(desk, row, now_ns)
            update_equity_limits_step(desk, row, now_ns)
        starts.append(float(desk["risk"]["day_start_equity"]) - 10_000.0)
    changes = [hour for hour in range(1, len(starts)) if starts[hour] != starts[hour - 1]]
    # Wednesday and Thursday 22:00 UTC; then crypto, alone at the weekend, starts Saturday.
    assert changes[:2] == [10, 34]
    assert len(changes) == 4
    assert min(np.diff(changes)) >= 24


@given(st.lists(st.floats(100, 20_000), min_size=1, max_size=80), st.integers(1, 12))
def test_a_limit_fires_at_the_first_equity_that_reaches_it(equities, hours) -> None:
    desk = limited(max_daily_loss=0.3, max_drawdown=0.5)
    day_end = calendar_named("fx").days(NOW, NOW + 60 * DAY)["end_ns"]
    start, peak, current_end = 0.0, 0.0, 0
    for at, equity in enumerate(equities):
        now_ns = NOW + at * hours * 60 * 60 * 1_000_000_000 // 24
        if now_ns >= current_end:
            start, current_end = equity, int(day_end[day_end > now_ns][0])
        peak = max(peak, equity)
        reached = equity <= start * (1 - 0.3) or equity <= peak * (1 - 0.5)
        assert tick(desk, equity, now_ns) == reached
        if reached:
            return


def first_firing_of(equity):
    """Row at which a limit fires, and the state then, by the fold."""
    desk = limited(max_daily_loss=0.02, max_drawdown=0.05)
    row = update_equity_limits_fold(desk, EURUSD, equity, NOW + np.arange(equity.size))
    return np.concatenate([np.frombuffer(desk["risk"].tobytes(), "i8"), [row]])


def test_a_step_equals_the_fold_and_plain_python_equals_both(tmp_path) -> None:
    equity = 10_000 * np.exp(np.cumsum(np.random.default_rng(5).normal(0, 0.002, 500)))
    desk = limited(max_daily_loss=0.02, max_drawdown=0.05)
    fired = [at for at in range(500) if tick(desk, equity[at], NOW + at)]
    folded = first_firing_of(equity)
    assert folded[-1] == fired[0]
    assert same_bits(folded, without_compiler(first_firing_of, equity, tmp_path))
