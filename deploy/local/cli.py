"""What ``python -m deploy.local`` understands: the whole platform on one machine.

``up`` stays in the foreground until Ctrl-C or SIGTERM and ends everything that it started.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from deploy.local.check import problems_of
from deploy.local.commands import down, status, up
from deploy.local.errors import StackError
from deploy.local.job import launch
from deploy.local.last_words import with_disk
from deploy.local.platform_services import Ports
from realtime.declarations import SettingsError
from realtime.settings import load_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 = done, 1 = not everything runs, 2 = refused, with one line a reason."""
    options = _parser().parse_args(arguments)
    folder = Path()
    try:
        settings = load_settings(options.config)
        folder = settings.paths.var
        if options.command == "down":
            return down(settings)
        if options.command == "status":
            return status(settings)
        if options.command == "job":
            return launch(settings, options.config, options.name, options.until, options.more)
        if problems := problems_of(settings):
            print("\n".join(f"stack: {each}" for each in problems), file=sys.stderr)
            return 2
        ports = Ports(
            **{each.name: getattr(options, f"{each.name}_port") for each in fields(Ports)}
        )
        return up(settings, options.config, getattr(options, "service", []), ports)
    except (StackError, SettingsError, OSError) as error:
        print(f"stack: {' '.join(with_disk(error, folder).split())}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in (
        ("up", "start everything; Ctrl-C ends it"),
        ("run", "start some services and what they need"),
        ("status", "say what runs"),
        ("down", "end the stack"),
        ("job", "launch a job of the running platform: ingest, build_features, retrain, backtest"),
    ):
        command = commands.add_parser(name, help=about)
        command.add_argument("--config", type=Path, help="TOML file of settings")
        if name == "run":
            command.add_argument("service", nargs="+")
        if name == "job":
            command.add_argument("name")
            command.add_argument("--until", default="", help="retrain on nothing after, ISO 8601")
            command.add_argument("more", nargs="*", help="after --: arguments of dagster")
        if name in ("up", "run"):
            for page in fields(Ports):
                command.add_argument(
                    f"--{page.name}-port", type=int, default=page.default, help="of its page"
                )
    return parser
