"""``python -m realtime COMMAND``: the services around the loop and the tools that look at them."""

import importlib
import sys
from collections.abc import Sequence

COMMANDS = {
    "loop": "trade: ticks to features, predictions, decisions, orders",
    "recorder": "write everything on the wire to the database",
    "push": "hand the features that the loop served to the online feature store",
    "tail": "print messages as they pass: tail 'trade.>'",
    "replay": "recompute what was recorded and compare it to the bit",
    "kill": "close everything and open nothing; kill --off releases",
    "reset": "release the drawdown limit that stopped an account",
    "explain": "print the chain from an order back to ticks, model and training data",
}


def usage() -> str:
    """Return what there is to be run."""
    lines = [f"  {name:9} {text}" for name, text in COMMANDS.items()]
    return "\n".join(("usage: python -m realtime COMMAND [--help] ...", "", *lines))


def main(arguments: Sequence[str]) -> int:
    """Run a command; return its exit code."""
    if not arguments or arguments[0] in ("-h", "--help"):
        print(usage())
        return 0 if arguments else 2
    name, *rest = arguments
    if name not in COMMANDS:
        print(f"there is no command {name!r}\n{usage()}", file=sys.stderr)
        return 2
    # Only what the command needs is imported: `tail` must not load ONNX Runtime.
    return int(importlib.import_module(f"realtime.{name}").main(rest))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
