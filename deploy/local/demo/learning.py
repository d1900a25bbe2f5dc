"""The first half of the demonstration: from a file to a promoted model."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.local.child import Child, Launch
from deploy.local.errors import NotStarted, StackError
from deploy.local.platform_services import ROOT
from deploy.local.services import Stack
from realtime.history.read import open_import

TRAINED_FRACTION = 0.7  # of the time that the file covers; the rest is traded
_LOOK_S = 0.1


class NotPromoted(StackError):
    """The model did not pass the gate: there is nothing to trade."""


def learn(
    stack: Stack,
    data: Path,
    *,
    ask_bars: bool,
    look: Callable[[], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run the assets on a file in a process of its own; return what they made of it.

    Args:
        stack: that runs.
        data: market data of the one symbol that is traded.
        ask_bars: they are bars of the ask.
        look: called often; raises to stop.
        say: shows what is being done.

    Raises:
        HistoryError: the file cannot be read.
        NotStarted: the pipeline failed; says its last words.
        NotPromoted: it made a model that must not trade.
    """
    settings = stack.settings
    var, symbol = settings.paths.var, settings.trade[0]
    summary = var / "summary.json"
    until_ns = cut_ns(data, symbol)
    launch = Launch(
        name="pipeline",
        command=(
            sys.executable, "-m", "deploy.local.demo.pipeline",
            *("--config", str(stack.config), "--data", str(data.resolve()), "--symbol", symbol),
            *("--until-ns", str(until_ns), "--summary", str(summary)),
            *(("--ask-bars",) if ask_bars else ()),
        ),
        log=var / "logs" / "pipeline.log",
        folder=ROOT,
        environment={
            **stack.environment,
            "DAGSTER_HOME": str(stack.platform.write_dagster_home()),
        },
        not_inherited=stack.not_inherited,
    )  # fmt: skip
    child = Child(launch)
    try:
        while child.exit_code is None:
            look()
            say(child.last_words()[:60])
            time.sleep(_LOOK_S)
    finally:
        child.stop()
    if child.exit_code != 0 or not summary.exists():
        msg = f"the pipeline failed, see {launch.log}: {child.last_words()}"
        raise NotStarted(msg)
    found: dict[str, Any] = json.loads(summary.read_text(encoding="utf-8"))
    _require_promoted(found)
    say(str(found["bundle_id"]))
    return found


def _require_promoted(summary: Mapping[str, Any]) -> None:
    gate = summary["gates"]["paper"]
    if not gate["passed"]:
        closed = [each for each in gate["checks"] if each["required"] and not each["passed"]]
        why = "; ".join(str(each["text"]) for each in closed)
        msg = f"{summary['bundle_id']} may not trade, the paper gate is closed: {why}"
        raise NotPromoted(msg)


def cut_ns(data: Path, symbol: str) -> int:
    """Return the moment up to which a file is trained on, a whole hour.

    Raises:
        HistoryError: the file cannot be read.
    """
    first_ns = last_ns = 0
    for rows in open_import(data, symbol):
        times = rows["time_ns"] if "time_ns" in (rows.dtype.names or ()) else rows["open_ns"]
        first_ns = first_ns or int(times[0])
        last_ns = int(times[-1])
    hour_ns = 3_600_000_000_000
    return int(first_ns + TRAINED_FRACTION * (last_ns - first_ns)) // hour_ns * hour_ns
