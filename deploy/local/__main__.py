"""``python -m deploy.local up|down|status|run``: the whole platform on one machine.

``up`` stays in the foreground until Ctrl-C or SIGTERM and ends everything that it started.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from deploy.local.commands import down, status, up
from deploy.local.errors import StackError
from deploy.local.platform_services import Ports
from realtime.declarations import SettingsError
from realtime.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 = done, 1 = not everything runs, 2 = refused, with one line."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.config)
        if options.command == "down":
            return down(settings)
        if options.command == "status":
            return status(settings)
        ports = Ports(
            **{each.name: getattr(options, f"{each.name}_port") for each in fields(Ports)}
        )
        return up(settings, options.config, getattr(options, "service", []), ports)
    except (StackError, SettingsError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("up", "start everything; Ctrl-C ends it"),
        ("run", "start some services and what they need"),
        ("status", "say what runs"),
        ("down", "end the stack"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--config", type=Path, help="TOML file of settings")
        if name == "run":
            command.add_argument("service", nargs="+")
        if name in ("up", "run"):
            for page in fields(Ports):
                command.add_argument(
                    f"--{page.name}-port", type=int, default=page.default, help="of its page"
                )
    return parser


if __name__ == "__main__":
    sys.exit(main())
