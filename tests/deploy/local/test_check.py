"""Settings that nothing would notice without market data are refused before anything starts."""

from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local.check import problems_of
from realtime.settings import Settings, with_table


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"trade": ["eurusd"]}, "did you mean EURUSD?"),
        ({"trade": ["EURUSD.m"]}, "unknown symbol 'EURUSD.m'"),
        ({"trade": ["EURJPY"]}, "add USDJPY"),
        ({"gateway": {"server_time": "Mars"}}, "server_time"),
        ({"paths": {"specifications": "nofile.toml"}}, "nofile.toml: cannot be read"),
    ],
)
def test_each_is_one_line_that_says_what_is_wrong(table, words: str) -> None:
    (problem,) = problems_of(with_table(Settings(), table, "x"))
    assert words in problem
    assert "\n" not in problem


def test_several_are_said_together_and_none_where_all_is_well(tmp_path: Path) -> None:
    wrong = with_table(Settings(), {"trade": ["X"], "gateway": {"server_time": "Mars"}}, "x")
    assert len(problems_of(wrong)) == 2
    own = tmp_path / "own.toml"
    own.write_text('[symbols."EURUSD.m"]\nlike = "EURUSD"\n')
    settings = Settings(trade=("EURUSD.m",))
    settings = replace(settings, paths=replace(settings.paths, specifications=str(own)))
    assert problems_of(settings) == []
    assert problems_of(Settings()) == []
