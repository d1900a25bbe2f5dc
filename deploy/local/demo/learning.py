"""The first half of the demonstration: from a file to a promoted model."""

import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

from deploy.local.child import Child, Launch
from deploy.local.demo.source import Source
from deploy.local.errors import NotStarted, StackError
from deploy.local.platform_services import ROOT
from deploy.local.services import Stack

TRAINED_FRACTION = 0.7  # of the time that the file covers; the rest is traded
_LOOK_S = 0.1


class NotPromoted(StackError):
    """The model did not pass the gate: there is nothing to trade."""


def learn(
    stack: Stack,
    source: Source,
    *,
    look: Callable[[], None],
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Run the assets on a file in a process of its own; return what they made of it.

    Args:
        stack: that runs.
        source: market data of the one symbol that is traded.
        look: called often; raises to stop.
        say: shows what is being done.

    Raises:
        NotStarted: the pipeline failed; says why.
        NotPromoted: it made a model that must not trade.
    """
    settings = stack.settings
    var = settings.paths.var
    summary = var / "summary.json"
    until_ns = cut_ns(source.first_ns, source.last_ns)
    launch = Launch(
        name="pipeline",
        command=(
            sys.executable, "-m", "deploy.local.demo.pipeline",
            *("--config", str(stack.config), "--data", str(source.path)),
            *("--symbol", source.symbol, "--options", json.dumps(source.said())),
            *("--until-ns", str(until_ns), "--summary", str(summary)),
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
            say(child.latest()[:60])
            time.sleep(_LOOK_S)
    finally:
        child.stop()
    found: dict[str, Any] = (
        json.loads(summary.read_text(encoding="utf-8")) if summary.exists() else {}
    )
    if child.exit_code != 0 or "bundle_id" not in found:
        why = found.get("failed", child.last_words())
        msg = f"the pipeline failed, see {launch.log}: {why}"
        raise NotStarted(msg)
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


def cut_ns(first_ns: int, last_ns: int) -> int:
    """Return the moment up to which data are trained on, a whole hour."""
    hour_ns = 3_600_000_000_000
    return int(first_ns + TRAINED_FRACTION * (last_ns - first_ns)) // hour_ns * hour_ns
