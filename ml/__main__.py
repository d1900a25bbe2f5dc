"""`python -m ml promote DIR --stage paper`: promotion, rollback, and what is in force."""

import argparse
import getpass
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from ml.aliases import align
from ml.approval import read_approval
from ml.errors import LearningError
from ml.registry import champions, history, promote, rollback
from realtime.bundle import STAGES, BundleError
from realtime.champion import Champion
from realtime.connection import ConnectionRefused
from realtime.declarations import SettingsError
from realtime.settings import Settings, load_settings

_REFUSALS = (LearningError, BundleError, ConnectionRefused, SettingsError)
_SECOND_NS = 1_000_000_000


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    made = argparse.ArgumentParser(
        prog="python -m ml", description="Promote model bundles to the trading loop, and back."
    )
    made.add_argument("--config", type=Path, metavar="FILE", help="settings (or AITRADING_CONFIG)")
    verbs = made.add_subparsers(dest="verb", required=True)
    each = verbs.add_parser("promote", help="make a bundle the champion of its symbol")
    each.add_argument("bundle", type=Path, help="directory of the bundle")
    each.add_argument("--stage", choices=STAGES, default="paper")
    each.add_argument("--approval", type=Path, metavar="FILE", help="TOML with bundle, by, reason")
    each.add_argument("--by", default=getpass.getuser(), help="who promotes (default: you)")
    each.add_argument(
        "--demote", action="store_true", help="even if the champion is of a higher stage"
    )
    each = verbs.add_parser("rollback", help="return to the champion before the present one")
    each.add_argument("symbol")
    each.add_argument("--by", default=getpass.getuser(), help="who rolls back (default: you)")
    verbs.add_parser("champions", help="what is in force, by symbol")
    each = verbs.add_parser("history", help="everything that was announced for a symbol")
    each.add_argument("symbol")
    return made


def line_of(champion: Champion) -> str:
    """Return a champion as one line."""
    when = datetime.fromtimestamp(champion.promoted_ns // _SECOND_NS, UTC)
    return (
        f"{champion.symbol}  {champion.stage:6}  {champion.bundle_id}  {when:%Y-%m-%d %H:%M:%S}"
        f" UTC  by {champion.by}"
    )


def changed(options: argparse.Namespace, settings: Settings) -> Champion | None:
    """Promote or roll back, if that was asked; return what was announced."""
    if options.verb == "promote":
        approval = None if options.approval is None else read_approval(options.approval)
        return promote(
            settings,
            options.bundle,
            options.stage,
            options.by,
            approval=approval,
            demote=options.demote,
        )
    return rollback(settings, options.symbol, options.by) if options.verb == "rollback" else None


def shown(options: argparse.Namespace, settings: Settings) -> list[str]:
    """Return what was asked for, a line each."""
    if options.verb == "history":
        kept = history(settings, options.symbol)
        return [line_of(each) for each in kept] or [f"nothing was promoted for {options.symbol}"]
    return [line_of(each) for each in champions(settings)] or ["nothing is promoted"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0, or 2 with one clear line if it cannot be done as asked."""
    options = parser().parse_args(arguments)
    try:
        settings = load_settings(options.config)
        champion = changed(options, settings)
        lines = shown(options, settings) if champion is None else [line_of(champion)]
    except _REFUSALS as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines), flush=True)
    if champion is not None:
        _align(settings, champion)
    return 0


def _align(settings: Settings, champion: Champion) -> None:
    """Let MLflow's alias follow; the loop does already, so trouble here is a warning."""
    try:
        align(settings, champion)
    except _REFUSALS as error:
        print(
            f"warning: {error}; the loop follows the champion all the same, and the sensor"
            " promotion_alert tries again",
            file=sys.stderr,
        )


if __name__ == "__main__":
    sys.exit(main())
