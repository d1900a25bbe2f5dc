"""Decision, risk, loss limits and rules: one call a tick equals the fold, to the bit."""

import numpy as np
import pytest

from realtime.kernels.decision import decision_fold
from realtime.kernels.layout import DECISION, DECISION_PARAMS, DECISION_STATE, DESK, QUOTE, SIGNAL
from realtime.kernels.loss_limits import update_equity_limits_fold
from realtime.kernels.risk import risk_fold
from realtime.kernels.strategies import crossover_fold
from tests.parity.live_calls import crossover_at, decision_at, loss_limits_at, risk_at
from tests.parity.scenarios import HOUR, SECOND, a_desk, made_ticks, signals
from tests.realtime.kernels.desks import SETS, enter_day, hold, params_of, quote
from tests.realtime.kernels.tick_streams import days_of, real_ticks, same_bits


@pytest.fixture(scope="module")
def real(shared_data):
    return real_ticks(shared_data)


def arrays_of(record, dtype):
    array = np.zeros(1, dtype)
    array[0] = record
    return array


def signals_of(ticks, seed):
    out = signals(len(ticks), seed)
    out["feature_ns"] = ticks["time_ns"] - np.arange(len(ticks)) % 7 * HOUR
    out["model_ns"] = ticks["time_ns"] - 24 * HOUR
    return out


def check_decisions(ticks, name):
    days = days_of(ticks["time_ns"])
    times_ns = np.ascontiguousarray(ticks["time_ns"])
    rows = np.searchsorted(days["start_ns"], times_ns, "right") - 1
    quotes = np.zeros(len(ticks), QUOTE)
    for field in ("time_ns", "bid", "ask"):
        quotes[field] = ticks[field]
    equity = 10_000.0 * np.exp(0.1 * np.sin(np.arange(len(ticks)) / 999))
    notional = 100_000.0 * np.ascontiguousarray(ticks["bid"])
    specs, params = a_desk("netting", ticks)["specs"][:1], params_of(**SETS[name])
    given = signals_of(ticks, 21)
    folded, stepped = np.zeros(len(ticks), DECISION), np.zeros(len(ticks), DECISION)
    states = np.zeros(2, DECISION_STATE)
    decision_fold(
        params, states[0], given, specs[0], quotes, days, rows, equity, notional, times_ns, folded
    )
    own, params = states[1:], arrays_of(params, DECISION_PARAMS)
    for i in range(len(ticks)):
        decision_at(
            params, own, given, specs, quotes, days, rows, equity, notional, times_ns, stepped, i
        )
    assert same_bits(stepped, folded)
    assert states[0].tobytes() == states[1].tobytes()
    assert len(np.unique(folded["decision_code"])) >= 4


@pytest.mark.parametrize("name", ["kelly"])
def test_decisions_on_real_ticks(real, name):
    check_decisions(real, name)


@pytest.mark.parametrize("name", SETS)
def test_decisions_on_made_ticks(name):
    check_decisions(made_ticks(20_000), name)


def risky_desk(ticks):
    """A desk that holds a position in the middle of the ticks' time."""
    desk = a_desk("hedging", ticks)
    middle = ticks[len(ticks) // 2]
    quote(desk, 0, 1.38, 0.00005, int(middle["time_ns"]))
    enter_day(desk, 0, int(middle["time_ns"]))
    hold(desk, 0, 0.7)
    desk["limits"]["max_tick_age_ns"] = 30 * HOUR
    desk["account_limits"]["max_orders"] = 0
    return desk


def check_risk(ticks):
    times_ns = np.ascontiguousarray(ticks["time_ns"])
    targets = np.round(2.5 * np.sin(np.arange(len(ticks)) / 77), 2)
    prices = np.ascontiguousarray(ticks["bid"])
    given = signals_of(ticks, 22)
    desks = np.zeros(2, DESK)
    desks[:] = risky_desk(ticks)
    out = [(np.zeros(len(ticks)), np.zeros(len(ticks), np.int64)) for _ in range(2)]
    risk_fold(desks[0], np.zeros(len(ticks), np.int64), targets, prices, given, times_ns, *out[0])
    own = desks[1:]
    for i in range(len(ticks)):
        risk_at(own, targets, prices, given, times_ns, *out[1], i)
    assert same_bits(out[0][0], out[1][0])
    assert same_bits(out[0][1], out[1][1])
    assert desks[0].tobytes() == desks[1].tobytes()
    assert len(np.unique(out[0][1])) >= 4


def test_risk_on_real_ticks(real):
    check_risk(real)


def test_risk_on_made_ticks():
    check_risk(made_ticks(20_000))


def test_loss_limits_on_real_ticks(real):
    """The fold stops where a limit fires, so it is gone on with from there."""
    times_ns = np.ascontiguousarray(real["time_ns"])
    equity = 10_000.0 * np.ascontiguousarray(real["bid"]) ** 3
    desks = np.zeros(2, DESK)
    desks[:] = risky_desk(real)
    desks["account_limits"]["max_daily_loss"] = 0.002
    desks["account_limits"]["max_drawdown"] = 0.006
    own = desks[1:]
    stepped = [i for i in range(len(real)) if loss_limits_at(own, equity, times_ns, i)]
    folded, start = [], 0
    while (row := update_equity_limits_fold(desks[0], 0, equity[start:], times_ns[start:])) >= 0:
        folded.append(start + row)
        start += row + 1
    assert folded == stepped
    assert len(folded) >= 1
    assert desks[0]["risk"].tobytes() == desks[1]["risk"].tobytes()


def test_crossovers_on_real_ticks(real):
    rows = np.stack([real["bid"], np.roll(real["bid"], 7)], axis=1)
    rows[:7, 1] = np.nan
    times_ns = np.ascontiguousarray(real["time_ns"])
    folded, stepped = np.zeros(len(real), SIGNAL), np.zeros(len(real), SIGNAL)
    crossover_fold(rows, times_ns, 0, 1, folded)
    for i in range(len(real)):
        crossover_at(rows, times_ns, stepped, i)
    assert same_bits(stepped, folded)
    assert SECOND > 0
