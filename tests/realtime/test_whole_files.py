"""Files that are whole or not there, and lines that no killed writer spoils."""

import resource

import pytest

from realtime.whole_files import append_lines, write_whole


def test_a_file_is_replaced_and_nothing_is_left_beside_it(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, b"one")
    write_whole(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_whole(path, b"one")
    with pytest.raises(TypeError):
        write_whole(path, "no bytes")  # pyright: ignore[reportArgumentType]
    assert path.read_bytes() == b"one"
    assert list(tmp_path.iterdir()) == [path]


def test_a_line_that_was_cut_off_spoils_no_other(tmp_path):
    path = tmp_path / "new" / "ledger.jsonl"
    append_lines(path, ["one", "two"])
    path.write_bytes(path.read_bytes() + b"half")
    append_lines(path, ["three"])
    assert path.read_text() == "one\ntwo\nhalf\nthree\n"


def test_lines_of_which_the_disk_takes_only_a_part_are_not_said_to_be_written(tmp_path):
    path = tmp_path / "ledger.jsonl"
    append_lines(path, ["one"])
    allowed = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, allowed[1]))
    try:
        with pytest.raises(OSError, match="only a part"):
            append_lines(path, ["x" * 100])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, allowed)
    append_lines(path, ["three"])
    assert path.read_text().splitlines()[::2] == ["one", "three"]
