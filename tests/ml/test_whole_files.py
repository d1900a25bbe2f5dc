"""Files that are whole or not there, and lines that no killed writer spoils."""

import pytest

from ml.whole_files import append_lines, write_whole


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
