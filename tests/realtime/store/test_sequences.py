"""Every number is admitted once, whatever the order, and what is missing is known."""

from hypothesis import given
from hypothesis import strategies as st

from realtime.store.sequences import Gap, Sequences

LANE = ("feed_seq", "paper")


def numbers(ranges):
    return [number for first, last in ranges for number in range(first, last + 1)]


@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 8)), max_size=40), st.data())
def test_each_number_is_admitted_once_and_the_rest_is_missing(arrivals, data):
    sequences = Sequences({}, {})
    admitted = []
    for first, count in arrivals:
        new = numbers(sequences.admit(LANE, first, count))
        if data.draw(st.booleans(), label="committed"):
            sequences.keep()
            admitted += new
        else:
            sequences.drop()
    assert len(set(admitted)) == len(admitted)
    last = max(admitted, default=0)
    assert sequences.last(LANE) == last
    missing = {n for gap in sequences.gaps(LANE) for n in range(gap.first, gap.last + 1)}
    assert missing == set(range(1, last + 1)) - set(admitted)


def test_a_gap_that_is_filled_in_the_middle_becomes_two():
    sequences = Sequences({LANE: 20}, {LANE: [Gap(first=5, last=10, gap_id=3)]})
    assert sequences.admit(LANE, 7, 2) == [(7, 8)]
    assert sequences.gaps(LANE) == [Gap(first=5, last=6, gap_id=3), Gap(first=9, last=10)]
    before, now = sequences.changed_gaps()[LANE]
    assert (len(before), len(now)) == (1, 2)


def test_numbers_that_reach_over_the_end_are_cut():
    sequences = Sequences({LANE: 20}, {})
    assert sequences.admit(LANE, 18, 5) == [(21, 22)]
    assert sequences.admit(LANE, 18, 5) == []
