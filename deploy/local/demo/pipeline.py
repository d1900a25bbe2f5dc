"""``python -m deploy.local.demo.pipeline``: the learning half of the demonstration.

In a process of its own: Dagster, Feast and MLflow take seconds to import and a gigabyte to hold.
"""

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from realtime.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the assets on one file up to a moment; write what they made of it as JSON."""
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo.pipeline")
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--symbol", required=True)
    parser.add_argument("--until-ns", type=int, required=True)
    parser.add_argument("--ask-bars", action="store_true")
    parser.add_argument("--summary", type=Path, required=True)
    options = parser.parse_args(arguments)
    settings = load_settings(options.config)
    demo = importlib.import_module("aitrading_assets.demo")
    try:
        summary = demo.run_pipeline(
            settings, options.data, options.symbol, options.until_ns, ask_bars=options.ask_bars
        )
    except demo.PipelineFailed as error:
        print(error, file=sys.stderr)
        return 1
    options.summary.write_text(json.dumps(summary, indent=1, default=str), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
