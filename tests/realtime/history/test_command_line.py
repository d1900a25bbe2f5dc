"""The command line says what it did, and fails with a message instead of a traceback."""

from pathlib import Path

import polars as pl
import pytest

from realtime.history.__main__ import main


@pytest.fixture
def ticks(tmp_path: Path) -> Path:
    lines = [f"{1_704_708_000 + i},1.1,{1.0 if i == 3 else 1.2}" for i in range(9)]
    path = tmp_path / "EURUSD.csv"
    path.write_text("\n".join(["time,bid,ask", *lines]))
    return path


def test_inspect_prints_the_report_and_writes_nothing(
    ticks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(ticks)]) == 0
    out = capsys.readouterr().out
    assert "9 read = 8 kept + 1 quarantined + 0 dropped" in out
    assert "row 5: 1704708003,1.1,1.0" in out
    assert "remedy: " in out
    assert list(ticks.parent.iterdir()) == [ticks]


def test_import_writes_the_lake_and_list_shows_it(
    ticks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lake, table = tmp_path / "lake", tmp_path / "bad.parquet"
    arguments = ["import", str(ticks), "--symbol", "GBPUSD", "--lake", str(lake)]
    assert main([*arguments, "--quarantine", str(table)]) == 0
    assert "GBPUSD: 8 rows added, months written 2024-01" in capsys.readouterr().out
    assert pl.read_parquet(table)["reason"].to_list() == ["crossed"]
    assert main(arguments) == 0
    assert "0 rows added, months written none, already there 2024-01" in capsys.readouterr().out
    assert main(["list", "--lake", str(lake)]) == 0
    assert " ".join(capsys.readouterr().out.split()) == "ticks GBPUSD 2024-01 to 2024-01 (1 months)"


def test_a_bad_file_is_named_and_the_other_is_still_read(
    ticks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(tmp_path / "absent.csv"), str(ticks)]) == 1
    captured = capsys.readouterr()
    assert "FileUnreadable: " in captured.err
    assert "absent.csv: no such file. Check the path." in captured.err
    assert "8 kept" in captured.out


def test_a_store_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--lake", "nostore://bucket"]) == 1
    assert "no such store" in capsys.readouterr().err


def test_json_reports_are_printed_for_machines(
    ticks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", "--json", str(ticks)]) == 0
    assert '"rows_kept": 8' in capsys.readouterr().out


def test_a_quarantine_table_holds_the_rows_of_every_file(ticks: Path, tmp_path: Path) -> None:
    other, table = tmp_path / "GBPUSD.csv", tmp_path / "bad.parquet"
    other.write_text(ticks.read_text())
    assert main(["inspect", str(ticks), str(other), "--quarantine", str(table)]) == 0
    assert pl.read_parquet(table)["file"].to_list() == [str(ticks), str(other)]


def test_a_quarantine_table_that_cannot_be_written_is_refused_before_anything_is_stored(
    ticks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table, lake = tmp_path / "absent" / "bad.parquet", tmp_path / "lake"
    arguments = ["import", str(ticks), "--lake", str(lake), "--quarantine", str(table)]
    assert main(arguments) == 1
    assert f"{table}: its folder does not exist" in capsys.readouterr().err
    assert not lake.exists()


def test_an_empty_lake_is_said_to_be_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list", "--lake", str(tmp_path / "lake")]) == 0
    assert "holds nothing" in capsys.readouterr().out


def test_a_file_name_that_says_another_pair_is_noted(
    ticks: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(ticks), "--symbol", "GBPUSD"]) == 0
    assert "the file's name says EURUSD, read as GBPUSD" in capsys.readouterr().out
    assert main(["inspect", str(ticks), "--symbol", "EURUSD.m"]) == 0
    assert "the file's name says" not in capsys.readouterr().out
