"""Launching a job of the running platform: what `make job` does."""

import importlib
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from deploy.local.errors import StackError
from deploy.local.platform_services import ROOT, WORKSPACE, installed
from realtime.settings import CONFIG_VARIABLE, Settings

_RETRAIN = "retrain"


def launch(
    settings: Settings, config: Path | None, name: str, until: str, more: Sequence[str] = ()
) -> int:
    """Become `dagster job launch`, with the home and settings of this checkout's platform.

    Args:
        settings: of the platform.
        config: TOML file that they were read from; None for defaults and environment.
        name: of the job.
        until: of ``retrain``: nothing after this moment is learned from; empty = all there is.
        more: arguments of dagster.

    Raises:
        StackError: the platform was never started, or the job cannot be cut.
    """
    home = settings.paths.var.resolve() / "dagster"
    if not (home / "dagster.yaml").is_file():
        msg = f"there is no {home / 'dagster.yaml'}: start the platform first (make up)"
        raise StackError(msg)
    command = [installed("dagster"), "job", "launch", "-w", str(WORKSPACE), "-j", name, *more]
    if until:
        if name != _RETRAIN:
            msg = f"--until is for {_RETRAIN}, not for {name}"
            raise StackError(msg)
        command += ["--config-json", json.dumps(retrain_until(settings, until))]
    named = {} if config is None else {CONFIG_VARIABLE: str(config.resolve())}
    os.environ.update({"DAGSTER_HOME": str(home), **named})  # noqa: TID251 (handed on)
    os.chdir(ROOT)
    sys.stdout.flush()
    os.execv(command[0], command)  # noqa: S606 (our own program)


def retrain_until(settings: Settings, until: str) -> dict[str, Any]:
    """Return the run's configuration with which every symbol is learned up to a moment.

    Raises:
        StackError: that is no moment.
    """
    training = importlib.import_module("aitrading_assets.training")
    keys = importlib.import_module("aitrading_assets.keys")
    try:
        training.moment_ns(until)
    except ValueError as error:  # SettingsError
        raise StackError(str(error)) from error
    steps = [keys.asset_key(symbol, "training_set") for symbol in settings.trade]
    said = {"config": {"until": until}}
    return {"ops": {step.to_python_identifier(): said for step in steps}}
