"""Desks for tests of decision and risk: four currency pairs of a USD account, limits off."""

from dataclasses import replace

import numpy as np

from realtime.desk import new_desk
from realtime.kernels.codes import HEDGING, NETTING
from realtime.kernels.decision import decision_fold, decision_step
from realtime.kernels.layout import (
    DECISION,
    DECISION_PARAMS,
    DECISION_STATE,
    QUOTE,
    SIGNAL,
)
from realtime.kernels.margin import account_margin, margin_conversion_rate
from realtime.kernels.risk import risk_fold, risk_step
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    DecisionSettings,
    LimitSettings,
    SymbolSettings,
)

SECOND = 1_000_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR
NOW = 1_700_049_600 * SECOND  # Wednesday 2023-11-15 12:00 UTC

SYMBOLS = ("EURUSD", "USDJPY", "EURGBP", "GBPUSD")
EURUSD, USDJPY, EURGBP, GBPUSD = range(4)
MIDS = (1.10, 150.0, 0.86, 1.28)
HALF_SPREADS = (0.00005, 0.005, 0.00005, 0.00005)

NO_LIMITS = LimitSettings(
    max_order_lots=0.0,
    max_position_lots=0.0,
    collar_fraction=0.0,
    max_tick_age_ns=0,
    max_feature_age_ns=0,
    max_model_age_ns=0,
)
NO_ACCOUNT_LIMITS = AccountLimitSettings(
    max_gross_leverage=0.0,
    max_net_leverage=0.0,
    max_orders=0,
    max_daily_loss=0.0,
    max_drawdown=0.0,
    max_margin_use=0.0,
    max_clock_offset_ns=0,
)


def a_desk(*, equity=10_000.0, symbols=SYMBOLS, start_ns=NOW, end_ns=NOW, **account):
    """Fresh quotes at NOW, nothing held, no limit but the session."""
    desk = new_desk(
        symbols,
        start_ns=start_ns - 3 * DAY,
        end_ns=end_ns + 3 * DAY,
        account=AccountSettings(balance=equity, **account),
        account_limits=NO_ACCOUNT_LIMITS,
        each=SymbolSettings(limits=NO_LIMITS),
        position_rows=16,
        order_rows=16,
    )
    for row in range(len(symbols)):
        quote(desk, row, MIDS[row], HALF_SPREADS[row], NOW)
        enter_day(desk, row, NOW)
    return desk


def quote(desk, row, mid, half_spread, time_ns):
    desk["quotes"][row]["bid"] = mid - half_spread
    desk["quotes"][row]["ask"] = mid + half_spread
    desk["quotes"][row]["time_ns"] = time_ns


def enter_day(desk, row, time_ns):
    first, last = desk["specs"][row]["first_day"], desk["specs"][row]["last_day"]
    starts = desk["days"]["start_ns"][first:last]
    desk["day_rows"][row] = first + np.searchsorted(starts, time_ns, "right") - 1


def hold(desk, row, lots):
    """Open a position at the mid, and charge its margin."""
    at = desk["account"]["open_positions"]
    position = desk["positions"][at]
    position["id"] = at + 1
    position["symbol"] = row
    position["side"] = 1 if lots > 0 else -1
    position["volume_lots"] = abs(lots)
    position["open_price"] = 0.5 * (desk["quotes"][row]["bid"] + desk["quotes"][row]["ask"])
    position["margin_rate"] = margin_conversion_rate(desk, row, int(position["side"]))
    desk["account"]["open_positions"] = at + 1
    desk["account"]["margin"] = account_margin(desk)


def work(desk, row, order_type, lots, filled=0.0, position_id=-1):
    """Put a working order on the desk."""
    at = desk["account"]["open_orders"]
    order = desk["orders"][at]
    order["id"] = 1000 + at
    order["symbol"] = row
    order["type"] = order_type
    order["volume_lots"] = lots
    order["filled_lots"] = filled
    order["position_id"] = position_id
    desk["account"]["open_orders"] = at + 1


def a_signal(probability=0.9, volatility=0.1, feature_ns=NOW, model_ns=NOW):
    signal = np.zeros(1, SIGNAL)
    signal["probability"] = probability
    signal["volatility"] = volatility
    signal["feature_ns"] = feature_ns
    signal["model_ns"] = model_ns
    return signal[0]


def stale_signal():
    """Features over a second old, a model over two."""
    return a_signal(feature_ns=NOW - SECOND - 1, model_ns=NOW - 2 * SECOND - 1)


def ask_risk(desk, target, *, row=EURUSD, price=None, signal=None, now_ns=NOW):
    """What risk allows, as plain numbers."""
    price = MIDS[row] if price is None else price
    signal = a_signal() if signal is None else signal
    allowed, code = risk_step(desk, row, float(target), float(price), signal, now_ns)
    return float(allowed), int(code)


def params_of(**changes):
    """DECISION_PARAMS of simple settings: fixed 0.5 lots, no edge test, never resized."""
    simple = DecisionSettings(
        enter_probability=0.6,
        exit_probability=0.5,
        edge_cost_ratio=0.0,
        fixed_lots=0.5,
        resize_fraction=1.0,
        max_leverage=100.0,
    )
    return replace(simple, **changes).record(DECISION_PARAMS)[0]


# --- one array in, one array out: to compare runs with and without the compiler ----------------

SETS = {
    "fixed": {"edge_cost_ratio": 1.0, "minimum_hold_ns": 5 * SECOND},
    "volatility": {"sizing": "volatility_target", "resize_fraction": 0.1, "max_leverage": 3.0},
    "kelly": {"sizing": "kelly", "resize_fraction": 0.0, "flat_before_rollover_ns": HOUR},
    "cooling": {"cool_down_ns": 20 * SECOND, "flat_before_weekend_ns": 2 * HOUR},
}


def decision_inputs(seed, count):
    """Signals with gaps, quotes with faults, times that cross rollovers and a weekend."""
    rng = np.random.default_rng(seed)
    signals = np.zeros(count, SIGNAL)
    signals["probability"] = 0.5 + 0.3 * np.sin(np.arange(count) / 9) + rng.normal(0, 0.1, count)
    signals["probability"][rng.random(count) < 0.03] = np.nan
    signals["volatility"] = np.exp(rng.normal(-2.3, 0.4, count))
    signals["volatility"][rng.random(count) < 0.03] = np.nan
    quotes = np.zeros(count, QUOTE)
    quotes["bid"] = 1.1 + rng.normal(0, 0.01, count)
    quotes["ask"] = quotes["bid"] + rng.choice([0.0, 1e-5, 2e-4, -1e-4, np.nan], count)
    # A week in steps of seconds and hours.
    steps = np.where(rng.random(count) < 0.1, HOUR, SECOND)
    now_ns = NOW - 2 * DAY + np.cumsum(steps * rng.integers(1, 3, count))
    equity = 10_000.0 * np.exp(np.cumsum(rng.normal(0, 0.01, count)))
    notional = 100_000.0 * quotes["bid"]
    notional[rng.random(count) < 0.02] = np.nan
    return signals, quotes, now_ns, equity, notional


def decisions_of(seeds, count=600):
    """Fold every set of parameters over random inputs of each seed."""
    out = []
    for seed in seeds:
        signals, quotes, now_ns, equity, notional = decision_inputs(int(seed), count)
        desk = a_desk(end_ns=int(now_ns[-1]))
        starts = desk["days"]["start_ns"][: desk["specs"][0]["last_day"]]
        rows = np.searchsorted(starts, now_ns, "right") - 1
        for changes in SETS.values():
            decisions = np.zeros(count, DECISION)
            decision_fold(
                params_of(**changes), np.zeros(1, DECISION_STATE)[0], signals, desk["specs"][0],
                quotes, desk["days"], rows, equity, notional, now_ns, decisions,
            )  # fmt: skip
            out.append(decisions)
    return np.concatenate(out)


def decisions_step_by_step(seed, changes, count):
    """The same as one row of `decisions_of`, by single calls; also the codes they returned."""
    signals, quotes, now_ns, equity, notional = decision_inputs(seed, count)
    desk = a_desk(end_ns=int(now_ns[-1]))
    starts = desk["days"]["start_ns"][: desk["specs"][0]["last_day"]]
    rows = np.searchsorted(starts, now_ns, "right") - 1
    state = np.zeros(1, DECISION_STATE)[0]
    params = params_of(**changes)
    out = np.zeros(count, DECISION)
    codes = [
        decision_step(
            params, state, signals[i], desk["specs"][0], quotes[i], desk["days"][rows[i]],
            float(equity[i]), float(notional[i]), int(now_ns[i]), out[i],
        )
        for i in range(count)
    ]  # fmt: skip
    return out, codes


def random_desk(rng):
    """A desk with positions, working orders, limits, equity and faults drawn at random."""
    desk = a_desk(
        equity=float(np.exp(rng.uniform(7, 13))),
        mode="hedging" if rng.random() < 0.3 else "netting",
        leverage=float(rng.choice([30, 100, 500])),
    )
    hedging = desk["account"]["mode"] == HEDGING
    assert hedging or desk["account"]["mode"] == NETTING
    step = float(rng.choice([0.01, 0.1, 1.0, 0.25]))
    desk["specs"]["volume_step"] = desk["specs"]["volume_min"] = step
    desk["specs"]["volume_max"] = rng.choice([2.0, 100.0])
    desk["specs"]["volume_limit"] = rng.choice([0.0, 3.0])
    for row in range(len(SYMBOLS)):
        for _ in range(rng.integers(0, 3 if hedging else 2)):
            steps = int(rng.integers(-5, 6)) * int(rng.choice([1, 10]))
            if steps != 0:
                hold(desk, row, round(steps * step, 8))
    limits, account_limits = desk["limits"], desk["account_limits"]
    for name, values in (
        ("max_order_lots", (0.0, 0.35, 2.0)),
        ("max_position_lots", (0.0, 0.5, 3.0)),
        ("max_spread_points", (0.0, 10.0, 5.0)),
        ("collar_fraction", (0.0, 0.001)),
        ("max_tick_age_ns", (0, SECOND)),
        ("max_feature_age_ns", (0, SECOND)),
        ("max_model_age_ns", (0, SECOND)),
    ):
        limits[name] = rng.choice(values)
    for name, values in (
        ("max_gross_leverage", (0.0, 1.0, 10.0, 40.0)),
        ("max_net_leverage", (0.0, 0.5, 10.0)),
        ("max_orders", (0, 2)),
        ("max_margin_use", (0.0, 0.1, 0.5)),
        ("max_clock_offset_ns", (0, SECOND)),
        ("max_daily_loss", (0.0, 0.05)),
        ("max_drawdown", (0.0, 0.2)),
    ):
        account_limits[name] = rng.choice(values)
    account_limits["rate_window_ns"] = 60 * SECOND
    for _ in range(rng.choice([0, 0, 1, 3])):
        kind = int(rng.integers(0, 6))
        work(desk, int(rng.integers(0, 4)), kind, step * int(rng.integers(1, 20)))
    return desk


def random_question(rng):
    """Target, price, signal and now: mostly sound, sometimes stale or broken."""
    target = float(rng.choice([rng.uniform(-5, 5), 0.0, 1.0, -1.0]))
    price = MIDS[EURUSD] * float(rng.choice([1.0, 1.0, 1.0005, 1.01]))
    age = int(rng.choice([0, 0, 0, 2 * SECOND]))
    if rng.random() < 0.03:
        target = float(rng.choice([np.nan, np.inf, -np.inf]))
    if rng.random() < 0.03:
        price = float(rng.choice([np.nan, np.inf, 0.0, -1.0]))
    signal = a_signal(feature_ns=NOW - age, model_ns=NOW - int(rng.choice([0, 0, 2 * SECOND])))
    return target, price, signal, NOW + int(rng.choice([0, 0, 0, 0, 5 * SECOND]))


RISK_ANSWER = np.dtype([("allowed", "f8"), ("code", "i8"), ("latches", "i8"), ("peak", "f8")])


def risk_answers_of(seeds):
    """Ask random desks random questions, by the fold."""
    answers = np.zeros(len(seeds), RISK_ANSWER)
    for at, seed in enumerate(seeds):
        rng = np.random.default_rng(int(seed))
        desk = random_desk(rng)
        target, price, signal, now_ns = random_question(rng)
        allowed, codes = np.zeros(1), np.zeros(1, np.int64)
        signals = np.zeros(1, SIGNAL)
        signals[0] = signal
        risk_fold(
            desk, np.array([EURUSD]), np.array([target]), np.array([price]), signals,
            np.array([now_ns]), allowed, codes,
        )  # fmt: skip
        risk = desk["risk"]
        answers[at] = (allowed[0], codes[0], risk["latches"], risk["peak_equity"])
    return answers
