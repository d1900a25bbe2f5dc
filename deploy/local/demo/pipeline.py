"""``python -m deploy.local.demo.pipeline``: the learning half of the demonstration.

In a process of its own: Dagster, Feast and MLflow take seconds to import and a gigabyte to hold.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from realtime.settings import Settings, load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the assets on one file up to a moment; write what they made of it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo.pipeline")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--until-ns", type=int, required=True)
    parser.add_argument("--options", default="{}", help="JSON, as in an import.toml")
    parser.add_argument("--summary", type=Path, required=True)
    options = parser.parse_args(arguments)
    settings = load_settings(options.config)
    forget_online(settings)
    demo = importlib.import_module("aitrading_assets.demo")
    try:
        summary = demo.run_pipeline(
            settings, options.data, options.symbol, options.until_ns,
            options=json.loads(options.options),
        )  # fmt: skip
    except demo.PipelineFailed as error:
        failed = {"failed": short(str(error))}
        options.summary.write_text(json.dumps(failed), encoding="utf-8")
        print(error, file=sys.stderr)
        return 1
    options.summary.write_text(json.dumps(summary, indent=1, default=str), encoding="utf-8")
    return 0


def short(reason: str) -> str:
    """Return a reason without the statement that a database appends to it."""
    for mark in (" [SQL:", " (Background on this error"):
        reason = reason.split(mark, maxsplit=1)[0]
    return reason


def forget_online(settings: Settings) -> None:
    """Empty Feast's online store: the database outlives a run, and there the newest row wins.

    Rows of a run on newer data would stay before everything that this one serves.
    """
    importlib.import_module("aitrading_assets.quick_feast").import_feast()
    repository = importlib.import_module("ml.feast_store.repository")
    with repository.opened(settings) as store:
        repository.forget(store)


if __name__ == "__main__":
    sys.exit(main())
