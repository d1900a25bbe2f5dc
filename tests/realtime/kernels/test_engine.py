"""The engine: worked examples, the yardstick, what it refuses."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from realtime.desk import new_desk
from realtime.kernels import codes
from realtime.kernels.engine import Engine, EngineError, Rule
from realtime.kernels.features.feature_set import FeatureSet
from realtime.kernels.layout import BAR, DESK, SIGNAL, TAPE_ROWS, TICK
from realtime.settings import (
    AccountSettings,
    CostSettings,
    DecisionSettings,
    SymbolSettings,
)
from tests.performance import sma_reference
from tests.realtime.kernels.desks import DAY, NO_ACCOUNT_LIMITS, NO_LIMITS, NOW, SECOND

MINUTE = 60 * SECOND
FRIDAY_CLOSE = NOW + 2 * DAY + 600 * MINUTE  # 2023-11-17 17:00 in New York
SIMPLE = DecisionSettings(
    enter_probability=0.6,
    exit_probability=0.5,
    edge_cost_ratio=0.0,
    fixed_lots=1.0,
    max_leverage=100.0,
    resize_fraction=1.0,
)
BARS = FeatureSet(features=("m1_sma_2", "m1_sma_3", "m1_sma_10", "m1_sma_30"), feed="m1")
SHORT = Rule(features=BARS, clock="m1", columns=("m1_sma_2", "m1_sma_3"))
TICKS = FeatureSet(features=("tick_spread",))
GIVEN = Rule(features=TICKS, clock="tick")


def a_desk(symbols=("EURUSD",), *, minutes=60, account=None, each=None, **decision):
    costs = CostSettings(commission="per_lot", commission_rate=3.5, swap=False)
    one = SymbolSettings(limits=NO_LIMITS, decision=replace(SIMPLE, **decision), costs=costs)
    return new_desk(
        symbols,
        start_ns=NOW,
        end_ns=NOW + minutes * MINUTE,
        account=account or AccountSettings(balance=10_000.0),
        account_limits=NO_ACCOUNT_LIMITS,
        each=each or one,
    )


def bars_of(closes, *, spread=0.0002, wick=0.0, start_ns=NOW):
    bars = np.zeros(len(closes), BAR)
    bars["open_ns"] = start_ns + np.arange(len(closes)) * MINUTE
    bars["end_ns"] = bars["open_ns"] + MINUTE
    bars["close"] = closes
    bars["open"] = [closes[0], *closes[:-1]]
    bars["high"] = np.maximum(bars["open"], bars["close"]) + wick
    bars["low"] = np.minimum(bars["open"], bars["close"]) - wick
    bars["spread_mean"] = bars["spread_max"] = spread
    bars["ticks"] = bars["volume"] = 1
    return bars


def ticks_of(bids, *, symbol=0, start_ns=NOW, spread=0.0002):
    ticks = np.zeros(len(bids), TICK)
    ticks["time_ns"] = start_ns + np.arange(len(bids)) * SECOND
    ticks["bid"] = bids
    ticks["ask"] = np.asarray(bids) + spread
    ticks["symbol"] = symbol
    return ticks


def given(*probabilities):
    rows = np.zeros(len(probabilities), SIGNAL)
    rows["probability"] = probabilities
    return rows


# --- worked examples ------------------------------------------------------------------------------


def test_five_bars_by_hand() -> None:
    """Averages of 2 and 3 closes: 1.115 > 1.110 at the third bar, 1.105 < 1.10667 at the fourth.

    Third bar: buy 1 lot at the ask 1.1202, commission 3.50.
    Fourth: sell 2 lots at the bid 1.0900: (1.0900 - 1.1202) * 100,000 = -3,020, commission 7.00.
    Fifth: still short; at the ask 1.0802 it has won (1.0900 - 1.0802) * 100,000 = 980.
    """
    engine = Engine(a_desk(), [SHORT])
    engine.fold_bars(bars_of([1.10, 1.11, 1.12, 1.09, 1.08]))
    result = engine.result()
    assert result.decisions["decision_code"].tolist() == [
        codes.DECISION_NOT_READY,
        codes.DECISION_NOT_READY,
        codes.DECISION_ENTER_LONG,
        codes.DECISION_REVERSE,
        codes.DECISION_HOLD,
    ]
    assert result.orders["volume_lots"].tolist() == [1.0, 2.0]
    np.testing.assert_allclose(result.fills["price"], [1.1202, 1.09], rtol=1e-12)
    assert result.fills["commission"].tolist() == [-3.5, -7.0]
    assert result.fills["profit"].tolist() == [0.0, -3020.0]
    assert result.fills["balance"].tolist() == [9_996.5, 6_969.5]
    account = engine.desk["account"]
    assert account["balance"] == 6_969.5
    assert account["equity"] == pytest.approx(6_969.5 + 980.0, abs=1e-8)
    assert result.equity["equity"][-1] == account["equity"]
    assert result.equity["position_lots"].tolist() == [0.0, 0.0, 1.0, -1.0, -1.0]
    # A decision is made on the close, one nanosecond before the bar's end.
    assert result.equity["time_ns"].tolist() == [NOW + (k + 1) * MINUTE - 1 for k in range(5)]
    np.testing.assert_allclose(engine.row(0)[:2], [1.085, 3.29 / 3], rtol=1e-12)


def yardstick_desk(bars):
    """One long trading day, commission as a fraction of notional, limits that never bind."""
    desk = a_desk(account=AccountSettings(balance=1e7, money_digits=-1))
    day = desk["days"][0]
    day["start_ns"] = day["open_ns"] = bars["open_ns"][0] - MINUTE
    day["end_ns"] = day["close_ns"] = day["long_close_ns"] = bars["end_ns"][-1] + MINUTE
    desk["specs"]["first_day"], desk["specs"]["last_day"] = 0, 1
    desk["specs"]["commission_mode"] = codes.COMMISSION_OF_NOTIONAL
    desk["specs"]["commission_rate"] = sma_reference.COST_FRACTION
    limits, account_limits = desk["limits"][0], desk["account_limits"]
    limits["max_order_lots"], limits["max_position_lots"] = 5.0, 2.0
    limits["max_spread_points"], limits["collar_fraction"] = 50.0, 0.01
    limits["max_tick_age_ns"] = limits["max_feature_age_ns"] = SECOND
    account_limits["max_gross_leverage"] = account_limits["max_net_leverage"] = 10.0
    account_limits["max_orders"], account_limits["rate_window_ns"] = 60, SECOND
    account_limits["max_daily_loss"] = 0.5
    account_limits["max_drawdown"] = account_limits["max_margin_use"] = 0.9
    return desk


def test_the_crossover_equals_the_numpy_reference_on_500_000_bars() -> None:
    made = sma_reference.seeded_bars()
    bars = bars_of([1.1])[np.zeros(len(made.close), np.int64)]
    bars["open_ns"] = NOW + np.arange(len(bars)) * MINUTE
    bars["end_ns"] = bars["open_ns"] + MINUTE
    for name in ("open", "high", "low", "close"):
        bars[name] = getattr(made, name)
    bars["spread_mean"] = bars["spread_max"] = 0.0
    rule = replace(SHORT, columns=("m1_sma_10", "m1_sma_30"))
    engine = Engine(yardstick_desk(bars), [rule])
    engine.fold_bars(bars)
    wanted = sma_reference.run(made.close)
    result = engine.result()
    assert len(result.orders) == len(result.fills) == wanted.orders
    assert (result.orders["retcode"] == codes.DONE).all()
    pnl = float(engine.desk["account"]["equity"]) - 1e7
    assert pnl == pytest.approx(wanted.pnl, rel=1e-6)
    assert len(result.equity) == len(bars)


@pytest.mark.parametrize("chunk", [1, 7, 500])
def test_bars_in_any_chunks_give_the_same_bits(chunk) -> None:
    made = sma_reference.seeded_bars(600)
    bars = bars_of(made.close.tolist(), wick=1e-4)
    runs = []
    for size in (len(bars), chunk):
        engine = Engine(a_desk(minutes=600, stop_loss_fraction=0.0004), [SHORT])
        for start in range(0, len(bars), size):
            engine.fold_bars(bars[start : start + size], path=4)
        runs.append(engine)
    whole, chunked = runs
    assert whole.desk.tobytes() == chunked.desk.tobytes()
    assert whole.memory.tobytes() == chunked.memory.tobytes()
    for name in ("orders", "fills", "decisions", "equity"):
        rows = getattr(whole.result(), name)
        assert len(rows) > 20
        assert rows.tobytes() == getattr(chunked.result(), name).tobytes()
    assert codes.REASON_STOP_LOSS in whole.result().fills["reason"]


def test_a_stop_inside_the_bar_is_only_met_if_the_extremes_are_quoted() -> None:
    """Long at 1.1202; the fourth bar dips to 1.10 and closes where it opened."""
    bars = bars_of([1.10, 1.11, 1.12, 1.12, 1.12])
    bars["low"][3] = 1.10
    prices = {}
    for path in (1, 4):
        engine = Engine(a_desk(stop_loss_fraction=0.01), [SHORT])
        engine.fold_bars(bars, path=path)
        stops = engine.result().fills
        prices[path] = stops["price"][stops["reason"] == codes.REASON_STOP_LOSS].tolist()
    assert prices[1] == []
    # 1.1202 * 0.99 = 1.108998 lies at 1.10900; the next quote is the low, so it fills there.
    assert prices[4] == [1.10]


# --- given signals --------------------------------------------------------------------------------


def test_a_close_before_the_weekend_does_not_wait_for_the_end_of_a_bar() -> None:
    """An order sent at the last bar's close would arrive when the market is shut."""
    hour = 60 * MINUTE
    one = SymbolSettings(
        limits=NO_LIMITS,
        decision=replace(SIMPLE, flat_before_weekend_ns=hour),
        costs=CostSettings(swap=False, latency_ns=SECOND),
    )
    desk = new_desk(
        ("EURUSD",),
        start_ns=NOW,
        end_ns=FRIDAY_CLOSE + DAY,
        account_limits=NO_ACCOUNT_LIMITS,
        each=one,
    )
    bars = bars_of([1.1] * 3)
    bars["open_ns"] = FRIDAY_CLOSE - np.array([3, 2, 1]) * hour
    bars["end_ns"] = bars["open_ns"] + hour
    rule = Rule(features=FeatureSet(features=("h1_log_return_1",), feed="h1"), clock="h1")
    engine = Engine(desk, [rule])
    engine.fold_bars(bars, given=(given(0.9, 0.9, 0.9),), path=4)
    assert engine.result().fills["side"].tolist() == [1, -1]
    assert engine.result().fills["time_ns"][-1] == FRIDAY_CLOSE - hour + SECOND
    assert desk["account"]["open_positions"] == 0


def test_given_signals_are_taken_one_a_decision_over_all_calls() -> None:
    engine = Engine(a_desk(), [GIVEN])
    ticks = ticks_of([1.1] * 4)
    rows = given(np.nan, 0.7, 0.55, 0.3)
    engine.fold(ticks[:1], (rows,))
    engine.fold(ticks[1:], (rows,))
    result = engine.result()
    np.testing.assert_array_equal(result.decisions["probability"], rows["probability"])
    assert result.equity["position_lots"].tolist() == [0.0, 1.0, 1.0, -1.0]


def test_a_missing_signal_names_the_symbol_and_the_decision() -> None:
    engine = Engine(a_desk(), [GIVEN])
    with pytest.raises(EngineError, match=r"symbol row 0 .*decision 2 has none"):
        engine.fold(ticks_of([1.1] * 5), (given(0.7, 0.7),))
    with pytest.raises(EngineError, match=r"decision 0 has none"):
        Engine(a_desk(), [GIVEN]).fold(ticks_of([1.1]))


def test_a_model_live_writes_the_signal_itself() -> None:
    rows = given(0.7, 0.3, np.nan)
    ticks = ticks_of([1.1, 1.101, 1.102])
    folded = Engine(a_desk(), [GIVEN])
    folded.fold(ticks, (rows,))
    live = Engine(a_desk(), [GIVEN])
    for i in range(3):
        assert live.observe(ticks, i)
        live.desk["signals"][0] = rows[i]
        live.decide(0, int(ticks["time_ns"][i]), True)
    assert live.desk.tobytes() == folded.desk.tobytes()
    assert live.result().fills.tobytes() == folded.result().fills.tobytes()
    assert len(live.result().fills) == 2


# --- nothing is lost ------------------------------------------------------------------------------


def refusing_desk():
    """Every order is refused: its stop loss is nearer than the spread."""
    return a_desk(minutes=600, stop_loss_fraction=0.00001)


def test_more_rows_than_the_tape_holds_all_arrive() -> None:
    """Refused orders come without fills, so nothing but the tape's room asks to drain it."""
    count = TAPE_ROWS + 4_000
    ticks = ticks_of([1.1] * count)
    rows = given(*[0.9] * count)
    folded = Engine(refusing_desk(), [GIVEN])
    folded.fold(ticks, (rows,))
    live = Engine(refusing_desk(), [GIVEN])
    for i in range(count):
        live.observe(ticks, i)
        live.desk["signals"][0] = rows[i]
        live.decide(0, int(ticks["time_ns"][i]), True)
    for engine in (folded, live):
        result = engine.result()
        assert result.orders["id"].tolist() == list(range(1, count + 1))
        assert len(result.decisions) == len(result.equity) == count
    assert folded.result().orders.tobytes() == live.result().orders.tobytes()


def test_a_live_flatten_that_is_refused_at_every_tick_fits_without_decisions() -> None:
    """Without the quote that converts its profit a position cannot be closed, at no tick."""
    engine = Engine(a_desk(("USDJPY", "EURUSD"), minutes=600), [GIVEN, GIVEN])
    desk = engine.desk
    position = desk["positions"][0]
    position["id"], position["symbol"], position["side"] = 1, 1, 1
    position["volume_lots"], position["open_price"] = 1.0, 1.1
    position["stop_loss"] = position["take_profit"] = np.nan
    desk["account"]["open_positions"], desk["account"]["next_id"] = 1, 2
    desk["specs"][1]["profit_symbol"] = 0
    desk["risk"]["kill_switch"] = 1
    count = TAPE_ROWS + 1_000
    ticks = ticks_of([1.1] * count, symbol=1)
    for i in range(count):
        desk["intents"][1]["refusals"] = 0  # as if each were long ago: it is sent on every tick
        engine.observe(ticks, i)
        engine.decide(1, int(ticks["time_ns"][i]), False)
    orders = engine.result().orders
    assert len(orders) == count
    assert (orders["retcode"] == codes.PRICE_OFF).all()


def test_a_caller_that_only_observes_loses_nothing_either() -> None:
    engine = Engine(a_desk(minutes=600), [GIVEN])
    engine.desk["risk"]["kill_switch"] = 1
    engine._tape[0]["n_decisions"] = TAPE_ROWS
    assert engine.observe(ticks_of([1.1]))
    assert engine._tape[0]["n_decisions"] == 0


def test_the_result_can_be_asked_for_again_and_again() -> None:
    engine = Engine(a_desk(), [GIVEN])
    ticks = ticks_of([1.1] * 4)
    rows = given(0.7, 0.3, 0.7, 0.3)
    engine.fold(ticks[:2], (rows,))
    first = engine.result()
    assert first.orders.tobytes() == engine.result().orders.tobytes()
    engine.fold(ticks[2:], (rows,))
    assert engine.result().orders[: len(first.orders)].tobytes() == first.orders.tobytes()
    assert len(engine.result().orders) == 4


def test_without_ticks_nothing_happens() -> None:
    engine = Engine(a_desk(), [GIVEN])
    before = engine.desk.tobytes()
    engine.fold(ticks_of([]), (given(),))
    assert engine.desk.tobytes() == before
    assert [len(rows) for rows in vars(engine.result()).values()] == [0, 0, 0, 0]


# --- refusals -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def engine():
    return Engine(a_desk(), [GIVEN])


def test_as_many_rules_as_symbols_are_needed() -> None:
    with pytest.raises(EngineError, match=r"2 symbols on the desk need as many rules, got 1"):
        Engine(a_desk(("EURUSD", "GBPUSD")), [GIVEN])


def test_ticks_and_bars_cannot_be_mixed() -> None:
    with pytest.raises(EngineError, match=r"fed alike"):
        Engine(a_desk(("EURUSD", "GBPUSD")), [GIVEN, SHORT])


def test_a_crossover_of_columns_that_are_not_chosen_is_refused() -> None:
    with pytest.raises(EngineError, match=r"m1_sma_99.*m1_sma_2"):
        Engine(a_desk(), [replace(SHORT, columns=("m1_sma_99", "m1_sma_2"))])


def test_a_deciding_clock_without_a_feature_is_refused() -> None:
    with pytest.raises(EngineError, match=r"no feature is on the deciding clock 'm5'.*m1"):
        Engine(a_desk(), [replace(SHORT, clock="m5")])


@pytest.mark.parametrize("rows", [(), (0, 1), (1, 2), (1,), (1, -1)])
def test_features_of_other_symbols_need_their_rows_own_first(rows) -> None:
    """Left to a default, the second symbol would be compared with itself."""
    crossed = FeatureSet(features=("tick_cross_ratio_100_1_300",), symbols=("GBPUSD", "EURUSD"))
    with pytest.raises(EngineError, match=r"symbol row 1"):
        Engine(
            a_desk(("EURUSD", "GBPUSD")),
            [GIVEN, Rule(features=crossed, clock="tick", rows=rows)],
        )


def test_a_desk_that_is_one_of_several_is_refused() -> None:
    """Kernels take the array that a record lives in, and would trade the first account."""
    desks = np.zeros(2, DESK)
    desks["symbols"] = 1
    with pytest.raises(EngineError, match=r"\(1,\) array"):
        Engine(desks[1], [GIVEN])
    with pytest.raises(EngineError, match=r"\(1,\) array"):
        Engine(a_desk().copy(), [GIVEN])


def test_records_of_another_kind_are_refused(engine) -> None:
    with pytest.raises(EngineError, match=r"expected a 1-d array"):
        engine.fold(np.zeros(3, BAR), (given(),))
    with pytest.raises(EngineError, match=r"expected a 1-d array"):
        engine.fold(np.zeros((3, 1), TICK), (given(),))
    with pytest.raises(EngineError, match=r"expected a 1-d array"):
        Engine(a_desk(), [SHORT]).fold_bars(np.zeros(3, TICK))


def test_signals_of_another_kind_or_number_are_refused(engine) -> None:
    with pytest.raises(EngineError, match=r"expected a 1-d array.*probability"):
        engine.fold(ticks_of([1.1]), (np.zeros(3),))
    with pytest.raises(EngineError, match=r"given for 2 symbols, the desk has 1"):
        engine.fold(ticks_of([1.1]), (given(0.7), given(0.7)))


@pytest.mark.parametrize("symbol", [-1, 1, 31, 10**9])
def test_a_symbol_that_is_not_on_the_desk_is_refused_and_changes_nothing(engine, symbol) -> None:
    """Compiled code does not check: it would write beside the desk."""
    ticks = ticks_of([1.1, 1.1], symbol=symbol)
    before = engine.desk.tobytes()
    with pytest.raises(EngineError, match=rf"symbol rows \[{symbol}\]"):
        engine.fold(ticks, (given(0.7, 0.7),))
    with pytest.raises(EngineError, match=rf"symbol rows \[{symbol}\]"):
        engine.observe(ticks)
    assert engine.desk.tobytes() == before


def test_symbols_of_bars_must_fit_them() -> None:
    engine = Engine(a_desk(), [SHORT])
    bars = bars_of([1.1, 1.1])
    unfit: list[Any] = [np.zeros(1, np.int64), np.zeros(2), np.zeros((2, 1), np.int64)]
    for symbols in unfit:
        with pytest.raises(EngineError, match=r"2 bars need as many int64 symbols"):
            engine.fold_bars(bars, symbols)
    with pytest.raises(EngineError, match=r"symbol rows \[5\]"):
        engine.fold_bars(bars, np.array([0, 5]))


def test_the_wrong_way_to_feed_is_refused(engine) -> None:
    by_bars = Engine(a_desk(), [SHORT])
    ticks = ticks_of([1.1])
    with pytest.raises(EngineError, match=r"use fold_bars"):
        by_bars.fold(ticks)
    with pytest.raises(EngineError, match=r"fed ticks: choose"):
        by_bars.observe(ticks)
    with pytest.raises(EngineError, match=r"fed ticks: choose"):
        by_bars.decide(0, NOW, True)
    with pytest.raises(EngineError, match=r"use fold, or"):
        engine.fold_bars(bars_of([1.1]))
    with pytest.raises(EngineError, match=r"path must be 1 .*or 4 .*got 2"):
        by_bars.fold_bars(bars_of([1.1]), path=2)


def test_a_tick_outside_the_calendar_does_nothing() -> None:
    engine = Engine(a_desk(), [GIVEN])
    ticks = ticks_of([1.1, 1.2], start_ns=NOW - 400 * DAY)
    engine.fold(ticks, (given(0.9, 0.9),))
    assert [len(rows) for rows in vars(engine.result()).values()] == [0, 0, 0, 0]
    assert engine.desk["account"]["equity"] == 10_000.0
    assert engine.desk["day_rows"][0] == -1
