import numpy as np

from realtime.kernels.layout import EQUITY
from realtime.kernels.written_rows import WrittenRows


def samples(*times_ns):
    rows = np.zeros(len(times_ns), EQUITY)
    rows["time_ns"] = times_ns
    return rows


def test_rows_come_back_in_the_order_they_were_added():
    written = WrittenRows(EQUITY)
    parts = [samples(*range(start, start + 5000)) for start in range(0, 50_000, 5000)]
    for part in parts:
        written.add(part)
    np.testing.assert_array_equal(written.all(), np.concatenate(parts))


def test_nothing_written_is_an_empty_array_of_the_right_rows():
    rows = WrittenRows(EQUITY).all()
    assert rows.dtype == EQUITY
    assert len(rows) == 0


def test_rows_handed_out_stay_when_more_come_and_when_all_are_let_go():
    written = WrittenRows(EQUITY)
    written.add(samples(1, 2, 3))
    early = written.all()
    written.add(samples(*range(20_000)))
    written.clear()
    written.add(samples(9))
    assert early["time_ns"].tolist() == [1, 2, 3]
    assert written.all()["time_ns"].tolist() == [9]


def test_reserving_changes_nothing_that_is_read():
    written = WrittenRows(EQUITY)
    written.add(samples(1))
    written.reserve(100_000)
    assert written.all()["time_ns"].tolist() == [1]
    written.add(samples(2))
    assert written.all()["time_ns"].tolist() == [1, 2]
