"""The demonstration's verdict reckons as the loop and the terminal did."""

from dataclasses import replace
from pathlib import Path

from deploy.local.demo.verdict import judge
from realtime.settings import Settings
from tests.realtime.recorded_run import a_run, recorded

OWN = """[symbols.EURUSD]
commission_mode = "per_lot"
commission_rate = 9.5
swap_long = -7.1
"""


def test_live_equals_the_backtest_with_specifications_of_the_user(
    tmp_path: Path, stack_settings: Settings
) -> None:
    """It was folded with the shipped costs, and called a difference."""
    own = tmp_path / "own.toml"
    own.write_text(OWN)
    paths = replace(stack_settings.paths, specifications=str(own))
    run = a_run(replace(stack_settings, paths=paths))
    recorded(run.settings, run.messages)
    shelf = run.settings.paths.var / "loop" / "paper" / "bundles"
    (bundle,) = shelf.iterdir()
    outcome = judge(run.settings, bundle, run.ticks)
    assert outcome.parity.equal, outcome.parity.first_difference
    assert outcome.parity.fills > 20
