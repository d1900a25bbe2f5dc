"""A finished bar seen as the quotes it was made of."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.kernels.bar_quotes import ask_of_bar, bar_quote_step
from realtime.kernels.layout import BAR, TICK

OPEN_NS, MINUTE = 1_700_000_000_000_000_000, 60_000_000_000


def a_bar(opened=1.10, high=1.12, low=1.09, close=1.11, spread=0.0002, length_ns=MINUTE):
    bar = np.zeros(1, BAR)
    bar["open_ns"], bar["end_ns"] = OPEN_NS, OPEN_NS + length_ns
    bar["open"], bar["high"], bar["low"], bar["close"] = opened, high, low, close
    bar["spread_mean"], bar["spread_max"] = spread, 3 * spread
    bar["ticks"] = bar["volume"] = 50
    return bar[0]


def quotes_of(bar, symbol=2):
    ticks = np.full(4, -1, TICK)
    for k in range(4):
        bar_quote_step(bar, k, symbol, ticks[k])
    return ticks


@pytest.mark.parametrize(
    ("close", "bids"),
    [
        (1.11, [1.10, 1.09, 1.12, 1.11]),  # rising: low first
        (1.095, [1.10, 1.12, 1.09, 1.095]),  # falling: high first
        (1.10, [1.10, 1.12, 1.09, 1.10]),  # flat counts as falling
    ],
)
def test_the_extremes_come_in_the_order_of_metatraders_tester(close, bids) -> None:
    ticks = quotes_of(a_bar(close=close))
    assert ticks["bid"].tolist() == bids
    assert ticks["ask"].tolist() == [round(bid + 0.0002, 10) for bid in bids]


def test_times_are_spread_over_the_bar_and_end_before_the_next_one() -> None:
    ticks = quotes_of(a_bar())
    assert (ticks["time_ns"] - OPEN_NS).tolist() == [0, MINUTE // 3, MINUTE // 3 * 2, MINUTE - 1]


def test_every_field_of_the_tick_is_written() -> None:
    for tick in quotes_of(a_bar(), symbol=5):
        assert tick["symbol"] == 5
        assert (tick["volume"], tick["last"], tick["seq"], tick["flags"]) == (0.0, 0.0, 0, 6)


def test_a_bar_without_a_spread_gives_no_quote_that_a_broker_would_take() -> None:
    assert np.isnan(quotes_of(a_bar(spread=np.nan))["ask"]).all()


@given(
    prices=st.lists(st.floats(0.5, 2.0), min_size=4, max_size=4).map(sorted),
    swap=st.booleans(),
    length_ns=st.sampled_from([MINUTE, 7, 3600 * 10**9]),
)
def test_quotes_stay_inside_the_bar_and_reach_its_ends(prices, swap, length_ns) -> None:
    low, one, two, high = prices
    opened, close = (two, one) if swap else (one, two)
    bar = a_bar(opened, high, low, close, length_ns=length_ns)
    ticks = quotes_of(bar)
    assert (ticks["bid"].min(), ticks["bid"].max()) == (low, high)
    assert (ticks["bid"][0], ticks["bid"][3]) == (opened, close)
    assert (np.diff(ticks["time_ns"]) >= 0).all()
    assert ticks["time_ns"][0] == OPEN_NS
    assert ticks["time_ns"][3] == OPEN_NS + length_ns - 1


@given(points=st.integers(50_000, 200_000), spread_points=st.integers(0, 500))
def test_the_ask_is_the_decimal_that_bid_and_spread_add_up_to(points, spread_points) -> None:
    """1.10001 + 0.00002 falls short of 1.10003 by a bit: a stop there would not be met."""
    ask = ask_of_bar(points / 100_000, spread_points / 100_000)
    assert ask == (points + spread_points) / 100_000


@given(bid=st.floats(0.5, 2.0))
def test_without_a_spread_the_ask_is_the_bid_to_the_bit(bid) -> None:
    assert ask_of_bar(bid, 0.0) == bid
