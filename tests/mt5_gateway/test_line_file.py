"""A full disk is a limit on the size of files here: the system says no after a part of a write."""

import resource
import signal
from contextlib import contextmanager

import pytest

from mt5_gateway.line_file import JournalUnwritable, LineFile


@contextmanager
def disk_of(size):
    """Let no file become larger."""
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        signal.signal(signal.SIGXFSZ, before)


def test_a_line_that_does_not_fit_leaves_nothing_behind(tmp_path):
    path = tmp_path / "f"
    lines = LineFile(path, 0)
    lines.append(b"whole\n")
    with disk_of(20), pytest.raises(JournalUnwritable, match="free its disk"):
        lines.append(b"too long for the disk\n")
    assert path.read_bytes() == b"whole\n"
    lines.append(b"next\n")
    lines.close()
    assert path.read_bytes() == b"whole\nnext\n"


def test_room_that_was_made_holds_a_line_on_a_full_disk(tmp_path):
    path = tmp_path / "f"
    lines = LineFile(path, 0)
    lines.make_room(100, durable=True)
    assert lines.room >= 100
    with disk_of(path.stat().st_size):
        lines.append(b"x" * 99 + b"\n")
        with pytest.raises(JournalUnwritable):
            lines.make_room(2 * path.stat().st_size, durable=True)
    assert lines.room >= 0
    lines.close()
    assert path.read_bytes() == b"x" * 99 + b"\n"


def test_room_that_cannot_be_made_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "f"
    lines = LineFile(path, 0)
    lines.append(b"whole\n")
    with disk_of(1_000), pytest.raises(JournalUnwritable):
        lines.make_room(100, durable=True)
    assert path.read_bytes() == b"whole\n"
    lines.make_room(100, durable=True)
    assert lines.room >= 100
    lines.close()


def test_room_that_a_kill_left_is_used_again(tmp_path):
    path = tmp_path / "f"
    lines = LineFile(path, 0)
    lines.append(b"whole\n")
    lines.make_room(100, durable=False)
    again = LineFile(path, 6)
    assert again.room == lines.room
    again.close()
    lines.close()


def test_a_cut_line_is_taken_out_with_the_room_behind_it(tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"whole\ncut" + bytes(50))
    lines = LineFile(path, 6)
    assert lines.room == 0
    lines.close()
    assert path.read_bytes() == b"whole\n"
