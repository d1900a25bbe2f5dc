"""No order leaves without passing every limit: each limit binds, and none is ever exceeded."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels import codes
from realtime.kernels.codes import RISK_NAMES
from realtime.kernels.layout import ORDER_RATE_SLOTS
from realtime.kernels.risk import record_order_step
from tests.realtime.kernels.desks import (
    DAY,
    EURGBP,
    EURUSD,
    GBPUSD,
    NOW,
    SECOND,
    a_desk,
    ask_risk,
    enter_day,
    hold,
    quote,
    stale_signal,
    work,
)


def sets(**values):
    """Set limits of symbols, or of the account, by field name."""

    def apply(desk):
        for name, value in values.items():
            table = desk["limits"] if name in desk["limits"].dtype.names else desk["account_limits"]
            table[name] = value

    return apply


def spec(**values):
    """Change the specification of every symbol."""

    def apply(desk):
        for name, value in values.items():
            desk["specs"][name] = value

    return apply


def orders_sent(desk, count):
    for at in range(count):
        record_order_step(desk["risk"], NOW - (count - at) * SECOND)


def both(*steps):
    def apply(desk):
        for step in steps:
            step(desk)

    return apply


# name: (code, limit, target, allowed from flat)
AMOUNTS = {
    "one order": (codes.RISK_ORDER_SIZE, sets(max_order_lots=0.3), 1.0, 0.3),
    "one order of the broker": (
        codes.RISK_ORDER_SIZE, spec(volume_max=0.2), -1.0, -0.2,
    ),
    "position": (codes.RISK_POSITION, sets(max_position_lots=0.55), 1.0, 0.55),
    "short position": (codes.RISK_POSITION, sets(max_position_lots=0.55), -1.0, -0.55),
    "volume of the broker": (
        codes.RISK_POSITION, spec(volume_limit=0.4), 1.0, 0.4,
    ),
    # 10,000 of equity, 110,000 a lot
    "gross exposure": (codes.RISK_GROSS_EXPOSURE, sets(max_gross_leverage=5.0), 1.0, 0.45),
    "net exposure": (codes.RISK_NET_EXPOSURE, sets(max_net_leverage=5.0), -1.0, -0.45),
    # 1,100.05 of margin a lot at the ask, 1:100
    "margin": (codes.RISK_MARGIN_USE, sets(max_margin_use=0.05), 1.0, 0.45),
    "volume step": (codes.RISK_VOLUME_STEP, lambda desk: None, 0.567, 0.56),
    "smallest volume": (codes.RISK_VOLUME_STEP, lambda desk: None, 0.0099, 0.0),
}  # fmt: skip

# name: (code, what makes opening wrong)
OPENINGS = {
    "clock offset": (
        codes.RISK_CLOCK_OFFSET,
        both(
            sets(max_clock_offset_ns=SECOND),
            lambda desk: desk["risk"].__setitem__("clock_offset_ns", -SECOND - 1),
        ),
    ),
    "feature age": (codes.RISK_FEATURE_STALE, sets(max_feature_age_ns=SECOND)),
    "model age": (codes.RISK_MODEL_STALE, sets(max_model_age_ns=2 * SECOND)),
    "spread": (codes.RISK_SPREAD, sets(max_spread_points=9.9)),
    "collar": (codes.RISK_PRICE_COLLAR, sets(collar_fraction=0.0001)),
    "order rate": (
        codes.RISK_ORDER_RATE,
        both(sets(max_orders=3, rate_window_ns=4 * SECOND), lambda desk: orders_sent(desk, 3)),
    ),
    "equity unknown": (
        codes.RISK_BAD_INPUT, lambda desk: desk["account"].__setitem__("equity", math.nan),
    ),
    "conversion unknown": (
        codes.RISK_BAD_INPUT,
        both(
            sets(max_gross_leverage=100.0),
            lambda desk: (hold(desk, EURGBP, 0.1), quote(desk, GBPUSD, math.nan, 0.0, NOW)),
        ),
    ),
}  # fmt: skip

# name: (code, what makes any order senseless)
MARKETS = {
    "session": (codes.RISK_SESSION_CLOSED, lambda desk: desk["days"].__setitem__("close_ns", NOW)),
    "not open yet": (
        codes.RISK_SESSION_CLOSED, lambda desk: desk["days"].__setitem__("open_ns", NOW + 1),
    ),
    "outside of the calendar": (
        codes.RISK_SESSION_CLOSED, lambda desk: desk["day_rows"].__setitem__(EURUSD, -1),
    ),
    "tick age": (
        codes.RISK_TICK_STALE,
        both(
            sets(max_tick_age_ns=SECOND),
            lambda desk: quote(desk, EURUSD, 1.1, 0.00005, NOW - SECOND - 1),
        ),
    ),
    "tick of the future": (
        codes.RISK_TICK_STALE,
        both(
            sets(max_tick_age_ns=SECOND),
            lambda desk: quote(desk, EURUSD, 1.1, 0.00005, NOW + SECOND + 1),
        ),
    ),
    "no quote": (codes.RISK_BAD_INPUT, lambda desk: quote(desk, EURUSD, 0.0, 0.0, NOW)),
    "quote of NaN": (codes.RISK_BAD_INPUT, lambda desk: quote(desk, EURUSD, math.nan, 0.0, NOW)),
    "infinite quote": (
        codes.RISK_BAD_INPUT, lambda desk: desk["quotes"][EURUSD].__setitem__("ask", math.inf),
    ),
    "crossed quote": (codes.RISK_BAD_INPUT, lambda desk: quote(desk, EURUSD, 1.1, -0.0001, NOW)),
    "no volume step": (
        codes.RISK_BAD_INPUT, spec(volume_step=0.0),
    ),
    "order in flight": (
        codes.RISK_ORDER_IN_FLIGHT, lambda desk: work(desk, EURUSD, codes.SELL, 0.1),
    ),
    "refused a moment ago": (
        codes.RISK_BROKER_REFUSED,
        lambda desk: desk["intents"].__setitem__(EURUSD, (1, 0.1, 0, 0, NOW - SECOND + 1, 1)),
    ),
}  # fmt: skip

FLATTENERS = {
    "kill switch": (
        codes.RISK_KILL_SWITCH, lambda desk: desk["risk"].__setitem__("kill_switch", 1),
    ),
    "kill latch": (
        codes.RISK_KILL_SWITCH, lambda desk: desk["risk"].__setitem__("latches", codes.LATCH_KILL),
    ),
    "daily loss": (
        codes.RISK_DAILY_LOSS,
        both(
            sets(max_daily_loss=0.05),
            lambda desk: (ask_risk(desk, 0.0), desk["account"].__setitem__("equity", 9_500.0)),
        ),
    ),
    "drawdown": (
        codes.RISK_DRAWDOWN,
        both(
            sets(max_drawdown=0.2),
            lambda desk: (ask_risk(desk, 0.0), desk["account"].__setitem__("equity", 8_000.0)),
        ),
    ),
}  # fmt: skip


def test_the_tables_here_reach_every_code() -> None:
    tables = (AMOUNTS, OPENINGS, MARKETS, FLATTENERS)
    reached = {case[0] for table in tables for case in table.values()}
    assert reached | {codes.RISK_OK} == set(RISK_NAMES)


@pytest.mark.parametrize("name", AMOUNTS)
def test_an_amount_limit_allows_as_much_as_fits_and_no_more(name) -> None:
    code, limit, target, allowed = AMOUNTS[name]
    desk = a_desk()
    limit(desk)
    assert ask_risk(desk, target) == (allowed, code)
    if allowed != 0.0:
        assert ask_risk(desk, allowed) == (allowed, codes.RISK_OK)
    if code != codes.RISK_VOLUME_STEP:
        assert ask_risk(a_desk(), target) == (target, codes.RISK_OK)


@pytest.mark.parametrize("name", OPENINGS)
def test_what_forbids_opening_leaves_closing_alone(name) -> None:
    code, make_wrong = OPENINGS[name]
    for held, target, allowed, expected in (
        (0.0, 0.5, 0.0, code),
        (0.2, 0.5, 0.2, code),
        (-0.2, -0.5, -0.2, code),
        (0.2, -0.5, 0.0, code),  # a reversal keeps its closing half
        (0.5, 0.2, 0.2, codes.RISK_OK),
        (-0.5, 0.0, 0.0, codes.RISK_OK),
    ):
        desk = a_desk()
        if held:
            hold(desk, EURUSD, held)
        assert ask_risk(desk, target, price=1.1002) == (target, codes.RISK_OK)
        make_wrong(desk)
        answer = ask_risk(desk, target, price=1.1002, signal=stale_signal())
        assert answer == (allowed, expected), (held, target)


@pytest.mark.parametrize("price", [math.nan, math.inf, 0.0, -1.1])
def test_an_order_price_that_is_none_opens_nothing_and_closes(price) -> None:
    desk = a_desk()
    hold(desk, EURUSD, 0.2)
    assert ask_risk(desk, 0.5, price=price) == (0.2, codes.RISK_BAD_INPUT)
    assert ask_risk(desk, 0.0, price=price) == (0.0, codes.RISK_OK)


@pytest.mark.parametrize("target", [math.nan, math.inf, -math.inf])
def test_a_target_that_is_no_number_holds_the_position(target) -> None:
    desk = a_desk()
    hold(desk, EURUSD, 0.2)
    assert ask_risk(desk, target) == (0.2, codes.RISK_BAD_INPUT)


@pytest.mark.parametrize("name", MARKETS)
def test_without_a_live_market_no_order_leaves_not_even_a_flatten(name) -> None:
    code, make_wrong = MARKETS[name]
    for kill_switch in (0, 1):
        for target in (0.5, 0.1, 0.0, -0.5):
            desk = a_desk()
            hold(desk, EURUSD, 0.2)
            desk["risk"]["kill_switch"] = kill_switch
            make_wrong(desk)
            assert ask_risk(desk, target) == (0.2, code)


@pytest.mark.parametrize("name", FLATTENERS)
def test_a_stop_flattens_whatever_was_wanted_and_whatever_the_spread(name) -> None:
    code, stop = FLATTENERS[name]
    for held in (0.2, -0.2, 0.0):
        for target in (0.5, -0.5, 0.1, 0.0, math.nan):
            desk = a_desk()
            desk["limits"]["max_spread_points"] = 1.0
            desk["limits"]["collar_fraction"] = 1e-6
            stop(desk)
            if held:
                hold(desk, EURUSD, held)
            assert ask_risk(desk, target, price=1.2, signal=stale_signal()) == (0.0, code)


def test_the_kill_switch_is_named_before_the_latches_and_drawdown_before_daily_loss() -> None:
    desk = a_desk()
    both_latches = codes.LATCH_DRAWDOWN | codes.LATCH_DAILY_LOSS
    desk["risk"]["latches"] = both_latches
    assert ask_risk(desk, 1.0)[1] == codes.RISK_DRAWDOWN
    desk["risk"]["latches"] = both_latches | codes.LATCH_KILL
    assert ask_risk(desk, 1.0)[1] == codes.RISK_KILL_SWITCH


def test_a_flatten_larger_than_one_order_is_split_and_keeps_its_code() -> None:
    desk = a_desk()
    hold(desk, EURUSD, -1.0)
    desk["limits"]["max_order_lots"] = 0.4
    desk["risk"]["kill_switch"] = 1
    steps = []
    for _ in range(3):
        allowed, code = ask_risk(desk, 5.0)
        steps.append(allowed)
        assert code == codes.RISK_KILL_SWITCH
        desk["positions"][0]["volume_lots"] = abs(allowed)
    assert steps == [-0.6, -0.2, 0.0]


def test_the_tightest_of_several_limits_wins_and_is_named() -> None:
    limits = {
        codes.RISK_POSITION: ("max_position_lots", 0.5),
        codes.RISK_GROSS_EXPOSURE: ("max_gross_leverage", 0.4 * 11),
        codes.RISK_NET_EXPOSURE: ("max_net_leverage", 0.3 * 11),
        codes.RISK_MARGIN_USE: ("max_margin_use", 0.2 * 0.110006),
        codes.RISK_ORDER_SIZE: ("max_order_lots", 0.1),
    }
    desk = a_desk()
    lots = []
    for code, (name, value) in limits.items():
        sets(**{name: value})(desk)
        allowed, named = ask_risk(desk, 1.0)
        lots.append(allowed)
        assert named == code
    assert lots == [0.5, 0.4, 0.3, 0.2, 0.1]
    for name, _ in reversed(limits.values()):
        sets(**{name: 0})(desk)
    assert ask_risk(desk, 1.0) == (1.0, codes.RISK_OK)


def test_a_position_off_the_grid_closes_whole_and_else_moves_by_whole_steps() -> None:
    desk = a_desk()
    hold(desk, EURUSD, 0.125)
    assert ask_risk(desk, 0.0) == (0.0, codes.RISK_OK)
    assert ask_risk(desk, 0.1) == (0.105, codes.RISK_VOLUME_STEP)


def test_lots_are_the_decimals_a_broker_prints() -> None:
    desk = a_desk()
    desk["specs"]["volume_step"] = desk["specs"]["volume_min"] = 0.1
    assert ask_risk(desk, 3 * 0.1) == (0.3, codes.RISK_OK)
    hold(desk, EURUSD, 0.1)
    assert ask_risk(desk, 0.7 + 0.2) == (0.9, codes.RISK_OK)


def test_the_reversed_half_below_the_smallest_volume_is_left_out() -> None:
    desk = a_desk()
    desk["specs"]["volume_min"] = 0.1
    hold(desk, EURUSD, 0.3)
    assert ask_risk(desk, -0.05) == (0.0, codes.RISK_VOLUME_STEP)


def test_a_closed_day_refuses_until_the_market_opens_again() -> None:
    friday_night = NOW + 2 * DAY + 11 * 3600 * SECOND  # 23:00 UTC, an hour after the close
    sunday_night = friday_night + 2 * DAY
    desk = a_desk(end_ns=sunday_night)
    for now_ns, code in (
        (friday_night - 2 * 3600 * SECOND, codes.RISK_OK),
        (friday_night, codes.RISK_SESSION_CLOSED),
        (sunday_night, codes.RISK_OK),
    ):
        enter_day(desk, EURUSD, now_ns)
        quote(desk, EURUSD, 1.1, 0.00005, now_ns)
        assert ask_risk(desk, 0.1, now_ns=now_ns)[1] == code


@given(
    st.integers(1, ORDER_RATE_SLOTS),
    st.lists(st.integers(0, 5), min_size=1, max_size=200),
)
def test_no_window_ever_holds_more_orders_than_allowed(max_orders, waits) -> None:
    desk = a_desk()
    window = 20 * SECOND
    sets(max_orders=max_orders, rate_window_ns=window)(desk)
    sent, now_ns = [], NOW
    for wait in waits:
        now_ns += wait * SECOND
        allowed, code = ask_risk(desk, 0.1, now_ns=now_ns)
        inside = sum(now_ns - time_ns < window for time_ns in sent)
        assert (code == codes.RISK_ORDER_RATE) == (inside >= max_orders)
        assert (allowed > 0.0) == (inside < max_orders)
        if allowed > 0.0:
            record_order_step(desk["risk"], now_ns)
            sent.append(now_ns)
