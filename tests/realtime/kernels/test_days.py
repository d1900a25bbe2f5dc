"""The row of the calendar that a moment lies in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from realtime.calendar import NEVER_NS, calendar_named
from realtime.kernels.bars import TIMEFRAMES_NS
from realtime.kernels.days import (
    OUTSIDE,
    bar_anchor_ns,
    day_row_fold,
    day_row_step,
    is_open,
    ns_to_close,
    ns_to_long_close,
    ns_to_rollover,
)
from realtime.kernels.layout import DAY
from tests.realtime.kernels.tick_streams import (
    DAY_NS,
    HOUR_NS,
    at,
    random_ticks,
    real_ticks,
    same_bits,
    without_compiler,
)

FX = calendar_named("fx").days(at("2024-02-26"), at("2024-04-10"))
# As in a desk: the rows of several symbols in one table.
TABLE = np.concatenate([calendar_named("crypto").days(at("2024-01-01"), at("2024-06-01")), FX])
FIRST, LAST = TABLE.size - FX.size, TABLE.size


def searched(time_ns):
    inside = FX["start_ns"][0] <= time_ns < FX["end_ns"][-1]
    return FIRST + np.searchsorted(FX["start_ns"], time_ns, "right") - 1 if inside else OUTSIDE


def day_at(text):
    row = day_row_step(FX, OUTSIDE, 0, FX.size, at(text))
    assert row != OUTSIDE
    return FX[row]


@given(
    time_ns=st.integers(int(FX["start_ns"][0]) - DAY_NS, int(FX["end_ns"][-1]) + DAY_NS),
    hint=st.integers(-5, TABLE.size + 5),
)
def test_any_hint_leads_to_the_row_that_a_search_finds(time_ns, hint):
    assert day_row_step(TABLE, hint, FIRST, LAST, time_ns) == searched(time_ns)


def test_every_edge_of_every_row_belongs_to_the_later_row():
    for hint in (OUTSIDE, FIRST, FIRST + 3, LAST - 1):
        for k, start_ns in enumerate(FX["start_ns"]):
            assert day_row_step(TABLE, hint, FIRST, LAST, int(start_ns)) == FIRST + k
            assert day_row_step(TABLE, hint, FIRST, LAST, int(start_ns) - 1) == (
                FIRST + k - 1 if k else OUTSIDE
            )
    assert day_row_step(TABLE, FIRST, FIRST, LAST, int(FX["end_ns"][-1])) == OUTSIDE


def test_an_empty_calendar_contains_nothing():
    assert day_row_step(TABLE, 0, 5, 5, at("2024-03-01")) == OUTSIDE
    assert day_row_step(np.zeros(0, DAY), 0, 0, 0, 0) == OUTSIDE


def rows_of(times_ns):
    rows = np.zeros(times_ns.size, np.int64)
    day_row_fold(TABLE, FIRST, LAST, times_ns, rows)
    return rows


def test_steps_equal_the_fold_on_real_ticks(shared_data):
    times_ns = np.ascontiguousarray(real_ticks(shared_data)["time_ns"])
    days = calendar_named("fx").days(int(times_ns[0]), int(times_ns[-1]))
    folded = np.zeros(times_ns.size, np.int64)
    day_row_fold(days, 0, days.size, times_ns, folded)
    np.testing.assert_array_equal(folded, np.searchsorted(days["start_ns"], times_ns, "right") - 1)
    stepped, row = [], OUTSIDE
    for time_ns in times_ns[::10].tolist():
        row = day_row_step(days, row, 0, days.size, time_ns)
        stepped.append(row)
    np.testing.assert_array_equal(folded[::10], stepped)


def test_a_truncated_history_gives_a_prefix_of_the_rows():
    times_ns = np.ascontiguousarray(random_ticks(2_000, 21, mean_gap_ns=HOUR_NS // 6)["time_ns"])
    whole = rows_of(times_ns)
    assert np.unique(whole).size > 10
    for cut in np.linspace(0, times_ns.size, 20).astype(int):
        np.testing.assert_array_equal(rows_of(times_ns[:cut]), whole[:cut])


def every_answer(times_ns):
    rows = rows_of(times_ns)
    asks = is_open, ns_to_close, ns_to_long_close, ns_to_rollover
    pairs = list(zip(rows.tolist(), times_ns.tolist(), strict=True))
    answers = [rows, *([int(ask(TABLE[row], time)) for row, time in pairs] for ask in asks)]
    lengths = [TIMEFRAMES_NS[name] for name in ("M1", "D1", "W1")]
    answers += [[bar_anchor_ns(TABLE, int(r), FIRST, each) for r in rows] for each in lengths]
    return np.array(answers, np.int64)


def test_plain_python_gives_the_answers_of_the_compiler(tmp_path):
    times_ns = np.ascontiguousarray(random_ticks(1_000, 22, mean_gap_ns=HOUR_NS // 2)["time_ns"])
    assert same_bits(every_answer(times_ns), without_compiler(every_answer, times_ns, tmp_path))


def test_open_means_from_the_first_moment_to_before_the_last():
    monday = day_at("2024-03-04 12:00")
    assert not is_open(monday, int(monday["open_ns"]) - 1)
    assert is_open(monday, int(monday["open_ns"]))
    assert is_open(monday, int(monday["close_ns"]) - 1)
    assert not is_open(monday, int(monday["close_ns"]))
    saturday = day_at("2024-03-02 12:00")
    assert not is_open(saturday, at("2024-03-02 12:00"))


def test_time_left_is_counted_to_close_long_close_and_rollover():
    wednesday = day_at("2024-03-06 21:00")
    assert ns_to_close(wednesday, at("2024-03-06 21:00")) == HOUR_NS
    assert ns_to_rollover(wednesday, at("2024-03-06 21:00")) == HOUR_NS
    assert ns_to_long_close(wednesday, at("2024-03-06 21:00")) == 2 * DAY_NS + HOUR_NS
    saturday = day_at("2024-03-02 12:00")
    assert ns_to_close(saturday, at("2024-03-02 12:00")) == 0
    assert ns_to_rollover(saturday, at("2024-03-02 12:00")) == 10 * HOUR_NS


def test_nothing_is_left_after_an_early_close():
    days = calendar_named("metals").days(at("2024-11-28"), at("2024-11-30"))
    friday = days[day_row_step(days, 0, 0, days.size, at("2024-11-29 18:44"))]
    assert ns_to_close(friday, at("2024-11-29 18:44")) == HOUR_NS // 60
    assert ns_to_long_close(friday, at("2024-11-29 18:44")) == HOUR_NS // 60
    assert ns_to_close(friday, at("2024-11-29 19:00")) == 0
    assert ns_to_long_close(friday, at("2024-11-29 19:00")) == 0


def test_a_market_that_never_closes_is_far_from_its_close():
    crypto = TABLE[day_row_step(TABLE, 0, 0, FIRST, at("2024-03-04"))]
    assert ns_to_long_close(crypto, at("2024-03-04")) == NEVER_NS - at("2024-03-04")


def test_bars_of_a_day_count_from_the_rollover_and_bars_of_a_week_from_sundays():
    week = TIMEFRAMES_NS["W1"]
    for time in ("2024-03-10 22:00", "2024-03-13 12:00", "2024-03-16 12:00"):
        row = day_row_step(FX, OUTSIDE, 0, FX.size, at(time))
        assert bar_anchor_ns(FX, row, 0, HOUR_NS) == FX[row]["start_ns"]
        # Sunday's trading day begins on Saturday at 17:00, still winter time on 9 March.
        assert bar_anchor_ns(FX, row, 0, week) == at("2024-03-09 22:00")
    row = day_row_step(FX, OUTSIDE, 0, FX.size, at("2024-03-16 22:00"))
    assert bar_anchor_ns(FX, row, 0, week) == at("2024-03-16 21:00")


@pytest.mark.parametrize("first", [10, 11, 12, 13, 14, 15])
def test_a_week_that_begins_before_the_table_counts_24_hours_a_day(first):
    week, row = TIMEFRAMES_NS["W1"], 15
    sunday = row - (int(FX[row]["day_of_week"]) + 1) % 7
    expected = FX[max(sunday, first)]["start_ns"] - max(first - sunday, 0) * DAY_NS
    assert bar_anchor_ns(FX, row, first, week) == expected
