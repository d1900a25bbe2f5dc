import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.results import TICKS
from mt5_gateway.validation import (
    ACCEPTED,
    BACK_IN_TIME,
    CROSSED,
    JUMP,
    NOT_A_NUMBER,
    NOT_POSITIVE,
    REASONS,
    Accepted,
    check_ticks,
)
from realtime.kernels.money import is_quote

NAN, INF = float("nan"), float("inf")


def rows_of(quotes, **fields):
    rows = np.zeros(len(quotes), TICKS)
    rows["bid"] = [quote[0] for quote in quotes]
    rows["ask"] = [quote[1] for quote in quotes]
    for name, values in fields.items():
        rows[name] = values
    return rows


def judge(quotes, times_ms=None, before=None, **fields):
    rows = rows_of(quotes, **fields)
    times = np.zeros(len(rows), np.int64) if times_ms is None else np.array(times_ms, np.int64)
    return check_ticks(rows, times, before or Accepted()).tolist()


@pytest.mark.parametrize(
    ("quote", "code"),
    [
        ((1.1, 1.1001), ACCEPTED),
        ((1.1, 1.1), ACCEPTED),
        ((1.1001, 1.1), CROSSED),
        ((NAN, 1.1), NOT_A_NUMBER),
        ((1.1, INF), NOT_A_NUMBER),
        ((-INF, 1.1), NOT_A_NUMBER),
        ((0.0, 0.0), NOT_POSITIVE),
        ((0.0, 1.1), NOT_POSITIVE),
        ((-1.0, 1.1), NOT_POSITIVE),
    ],
)
def test_a_quote_is_judged_by_what_it_is(quote, code):
    assert judge([quote]) == [code]


@given(st.floats(), st.floats())
def test_what_is_accepted_is_a_quote_to_the_kernels_and_the_other_way_round(bid, ask):
    accepted = judge([(bid, ask)]) == [ACCEPTED]
    assert accepted == bool(is_quote(bid, ask))


def test_a_negative_or_unreadable_volume_is_refused():
    quotes = [(1.0, 1.1)] * 3
    assert judge(quotes, volume_real=[1.0, -1.0, NAN]) == [ACCEPTED, NOT_POSITIVE, NOT_A_NUMBER]


def test_unknown_flags_are_no_reason():
    assert judge([(1.0, 1.1)], flags=0xFFFF_FFFF) == [ACCEPTED]


def test_a_tick_before_the_last_accepted_one_is_refused_and_one_of_its_millisecond_is_not():
    quotes = [(1.0, 1.1)] * 5
    assert judge(quotes, [5, 5, 4, 5, 6]) == [ACCEPTED, ACCEPTED, BACK_IN_TIME, ACCEPTED, ACCEPTED]


def test_time_goes_on_between_calls():
    before = Accepted()
    assert judge([(1.0, 1.1)], [10], before) == [ACCEPTED]
    assert judge([(1.0, 1.1)] * 2, [9, 11], before) == [BACK_IN_TIME, ACCEPTED]


def test_the_time_of_a_refused_tick_binds_nobody():
    assert judge([(1.1, 1.0), (1.0, 1.1)], [10**15, 5]) == [CROSSED, ACCEPTED]


def test_a_misplaced_decimal_point_is_refused_and_a_split_is_believed_at_its_second_tick():
    one, ten = (1.0, 1.0001), (10.0, 10.0001)
    assert judge([one, ten, one]) == [ACCEPTED, JUMP, ACCEPTED]
    assert judge([one, ten, ten, ten]) == [ACCEPTED, JUMP, ACCEPTED, ACCEPTED]
    assert judge([one, ten, one, ten]) == [ACCEPTED, JUMP, ACCEPTED, JUMP]


@given(st.lists(st.sampled_from([(1.0, 1.1), (9.0, 9.1), (1.1, 1.0), (0.1, 0.2)])), st.data())
def test_ticks_in_two_calls_are_judged_as_in_one(quotes, data):
    cut = data.draw(st.integers(0, len(quotes)))
    before = Accepted()
    parts = judge(quotes[:cut], before=before) + judge(quotes[cut:], before=before)
    assert parts == judge(quotes)


def test_a_dirty_feed_is_quarantined_by_reason(shared_data):
    frame = pl.read_parquet(shared_data / "ticks/EURUSD_fxcm_2014-05_dirty.parquet").head(200_000)
    bid, ask = (frame[name].to_numpy() for name in ("bid", "ask"))
    rows = np.zeros(len(frame), TICKS)
    rows["bid"], rows["ask"] = bid, ask
    times = np.arange(len(rows), dtype=np.int64)
    codes = check_ticks(rows, times, Accepted())
    assert np.count_nonzero(codes == CROSSED) == np.count_nonzero(ask < bid) > 0
    assert set(np.unique(codes).tolist()) <= {ACCEPTED, *REASONS}
    assert np.all(ask[codes == ACCEPTED] >= bid[codes == ACCEPTED])
