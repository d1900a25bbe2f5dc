"""The kept state: what is written is found again, or nothing is believed."""

import numpy as np
import pytest

from realtime.contracts.subjects import Outgoing
from realtime.kernels.layout import POSITION
from realtime.state import StateCorrupt, StateFile, StateForeign

MESSAGES = [Outgoing("trade.order.paper.EURUSD", b"\x00\xffbytes", "ORDERS"),
            Outgoing("md.bar.EURUSD.m1", b"", "BARS")]  # fmt: skip


def a_state(number=1, symbols=("EURUSD",)):
    positions = np.zeros(3, POSITION)
    positions["open_price"] = np.pi * number
    positions["stop_loss"] = np.nan
    return {
        "desk": {"account": np.array(number * 1.5), "positions": positions},
        "memory": np.random.default_rng(number).normal(size=(1, 50)),
        "account": "paper",
        "symbols": list(symbols),
        "clocks": ["m1"],
        "feature_sets": ["abc"],
        "feed_seq": number,
        "numbers": {"prediction": number},
        "in_flight": [[1, "paper-00000001", 1, True]],
    }


def assert_equal(found, wanted):
    assert found["memory"].tobytes() == wanted["memory"].tobytes()
    assert found["memory"].dtype == wanted["memory"].dtype
    for name, value in wanted["desk"].items():
        assert found["desk"][name].tobytes() == value.tobytes()
        assert found["desk"][name].dtype == value.dtype
        assert found["desk"][name].shape == value.shape
    for name in ("account", "symbols", "clocks", "feed_seq", "numbers", "in_flight"):
        assert found[name] == wanted[name], name


def write(folder, *numbers, messages=()):
    file = StateFile(folder)
    for number in numbers:
        file.write(a_state(number), messages, {"first_ns": 7})
    file.close()


def found_by(file):
    kept = file.read()
    assert kept is not None
    return kept


def found_in(folder):
    return found_by(StateFile(folder))


def test_what_was_written_is_found_again(tmp_path):
    write(tmp_path, 1, messages=MESSAGES)
    kept = found_in(tmp_path)
    assert_equal(kept.state(a_state(9)), a_state(1))
    assert kept.messages == tuple(MESSAGES)
    assert kept.values["first_ns"] == 7


def test_there_is_nothing_at_first(tmp_path):
    assert StateFile(tmp_path / "new" / "folder").read() is None


def test_the_newest_state_is_found_and_writing_goes_on_behind_it(tmp_path):
    write(tmp_path, 1, 2, 3)
    file = StateFile(tmp_path)
    assert found_by(file).values["feed_seq"] == 3
    file.write(a_state(4), (), {})
    file.close()
    assert found_in(tmp_path).values["feed_seq"] == 4


def newest(folder):
    return max(folder.iterdir(), key=lambda path: int.from_bytes(path.read_bytes()[8:16], "little"))


@pytest.mark.parametrize("cut", [0, 7, 20, 200, -1])
def test_a_write_that_was_cut_off_leaves_the_state_before_it(tmp_path, cut):
    write(tmp_path, 1, 2)
    path = newest(tmp_path)
    path.write_bytes(path.read_bytes()[:cut])
    file = StateFile(tmp_path)
    assert found_by(file).values["feed_seq"] == 1
    file.write(a_state(3), (), {})
    file.close()
    assert found_in(tmp_path).values["feed_seq"] == 3


def test_every_changed_byte_is_noticed(tmp_path):
    write(tmp_path, 1)
    path = newest(tmp_path)
    data = path.read_bytes()
    for at in [*range(28), *range(32, len(data), 97)]:
        changed = bytearray(data)
        changed[at] ^= 0x10
        path.write_bytes(changed)
        with pytest.raises(StateCorrupt, match="state-1"):
            StateFile(tmp_path).read()


def test_a_shorter_state_over_a_longer_one_is_whole(tmp_path):
    file = StateFile(tmp_path)
    for messages in (MESSAGES * 50, MESSAGES * 50, (), ()):
        file.write(a_state(1), messages, {})
    file.close()
    assert found_in(tmp_path).messages == ()


def test_a_state_of_other_symbols_or_kernels_is_refused_in_one_line(tmp_path):
    write(tmp_path, 1)
    kept = found_in(tmp_path)
    with pytest.raises(StateForeign, match="other symbols") as error:
        kept.state(a_state(1, symbols=("USDJPY",)))
    assert "\n" not in str(error.value)
    wider = a_state(1)
    wider["memory"] = np.zeros((1, 51))
    with pytest.raises(StateForeign, match="other kernels"):
        kept.state(wider)


def test_what_is_put_aside_stays_to_be_looked_at(tmp_path):
    write(tmp_path, 1, 2)
    before = {path.read_bytes() for path in tmp_path.iterdir()}
    file = StateFile(tmp_path)
    file.set_aside("foreign")
    assert file.read() is None
    write(tmp_path, 5)
    StateFile(tmp_path).set_aside("foreign")
    aside = {path.read_bytes() for path in tmp_path.iterdir()}
    assert before < aside
    assert len(aside) == 3


def test_a_disk_that_takes_no_more_is_an_error_and_the_last_state_stays(tmp_path):
    write(tmp_path, 1, 2)
    file = StateFile(tmp_path)
    file.read()
    oldest = tmp_path / "state-1"
    oldest.unlink()
    oldest.symlink_to("/dev/full")
    with pytest.raises(OSError, match="space"):
        file.write(a_state(3), (), {})
    file.close()
    oldest.unlink()
    assert found_in(tmp_path).values["feed_seq"] == 2


def test_what_is_no_file_is_not_read(tmp_path):
    (tmp_path / "state-0").mkdir()
    with pytest.raises(StateCorrupt, match="is no file"):
        StateFile(tmp_path).read()
