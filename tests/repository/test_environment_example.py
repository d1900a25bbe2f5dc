""".env.example shows settings that exist, at their true defaults."""

import re
from pathlib import Path

from realtime.settings import Settings, load_settings

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"^#?(AITRADING_\w+)=(.*)$", re.MULTILINE)


def shown() -> dict[str, str]:
    text = (ROOT / ".env.example").read_text(encoding="utf-8")
    return {name: value for name, value in LINE.findall(text) if name != "AITRADING_CONFIG"}


def test_every_line_is_a_setting_at_its_default() -> None:
    assert len(shown()) >= 5
    assert load_settings(environ=shown()) == Settings()


def test_every_line_is_commented_out_so_that_a_plain_copy_changes_nothing() -> None:
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == []


def test_each_line_is_read_and_not_ignored() -> None:
    for name, value in shown().items():
        other = "XAUUSD" if name == "AITRADING_TRADE" else "EUR" if value == "USD" else "0.125"
        if name.endswith("LEVERAGE"):
            other = "50"
        assert load_settings(environ={name: other}) != Settings(), name
