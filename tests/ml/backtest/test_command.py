"""The command line, as a user types it."""

import os
import subprocess
import sys
from pathlib import Path

from ml.backtest.__main__ import main

ROOT = Path(__file__).resolve().parents[3]


def test_the_demo_prints_statistics_and_writes_one_report(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "ml.backtest", "--demo"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    assert "closed trades took the account from 10,000.00" in result.stdout
    report = tmp_path / "var" / "demo" / "report.html"
    assert report.is_file()
    assert "<title>" in report.read_text(encoding="utf-8")


def test_a_refusal_is_one_clear_line_and_exit_code_2(tmp_path: Path, capsys) -> None:
    absent = tmp_path / "absent.csv"

    code = main(["--data", str(absent), "--symbol", "EURUSD"])

    said = capsys.readouterr().err.strip()
    assert code == 2
    assert said.startswith("error: ")
    assert "absent.csv" in said
    assert "Traceback" not in said


def test_an_unknown_symbol_names_near_ones(tmp_path: Path, capsys) -> None:
    code = main(["--data", str(tmp_path / "x.csv"), "--symbol", "EURUDS"])

    said = capsys.readouterr().err
    assert code == 2
    assert "EURUSD" in said


def test_settings_given_on_the_command_line_win_over_the_file(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)  # the demo's report is kept in the folder that one is in
    settings = tmp_path / "settings.toml"
    settings.write_text("[account]\nbalance = 500\nleverage = 30\n")

    code = main(["--demo", "--settings", str(settings), "--balance", "20000"])

    assert code == 0
    assert "from 20,000.00" in capsys.readouterr().out


def test_an_unknown_setting_is_refused_by_name(tmp_path: Path, capsys) -> None:
    settings = tmp_path / "settings.toml"
    settings.write_text("[account]\nbalence = 500\n")

    code = main(["--demo", "--settings", str(settings)])

    said = capsys.readouterr().err
    assert code == 2
    assert "balence" in said
    assert "balance" in said


def test_a_report_folder_that_cannot_be_written_is_said(
    tmp_path: Path, capsys, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "var").write_text("a file where a folder is needed")

    code = main(["--demo"])

    assert code == 2
    assert "can be written" in capsys.readouterr().err


def test_a_run_without_trades_says_what_decision_and_risk_answered(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = tmp_path / "settings.toml"
    settings.write_text("[decision]\nallow_long = false\nallow_short = false\n")

    assert main(["--demo", "--settings", str(settings)]) == 0

    said = capsys.readouterr().out
    assert "No trade was made" in said
    assert "Nothing was traded. The decision mostly said below_threshold" in said


def test_credit_changes_no_profit(tmp_path: Path, monkeypatch, capsys) -> None:
    """A credit of 1000 once turned a net loss of 42.57 into a profit of 957.43."""
    monkeypatch.chdir(tmp_path)
    said = []
    for credit in (0, 1_000):
        settings = tmp_path / "settings.toml"
        settings.write_text(f"[account]\ncredit = {credit}\n")
        assert main(["--demo", "--settings", str(settings)]) == 0
        lines = capsys.readouterr().out.splitlines()
        said.append(next(line for line in lines if "Net profit" in line)[:38])
    assert said[0] == said[1]
