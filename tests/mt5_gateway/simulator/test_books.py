"""The books: rows are found by their times, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from mt5_gateway.simulator.books import Ledger
from mt5_gateway.simulator.structures import TradeOrder

TIMES = ("time_setup", "time_done")


@given(
    rows=st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30),
    first=st.integers(0, 25),
    length=st.integers(0, 25),
)
def test_a_range_finds_what_reading_everything_finds(rows, first, length):
    ledger = Ledger(TIMES)
    for done, before in rows:
        values = {"time_setup": max(done - before, 0), "time_done": done}
        ledger.append(TradeOrder.with_values(values))
    last = first + length
    expected = [
        row for row in ledger if first <= row.time_setup <= last or first <= row.time_done <= last
    ]
    assert ledger.between(first, last) == expected
    assert len(ledger) == len(rows)
