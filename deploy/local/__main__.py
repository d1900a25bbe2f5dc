"""``python -m deploy.local up|down|status|run``: the whole platform on one machine.

``up`` stays in the foreground until Ctrl-C or SIGTERM and ends everything that it started.
"""

import argparse
import signal
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

from deploy.local.child import end_processes, family_of
from deploy.local.errors import StackError
from deploy.local.health import HealthBoard
from deploy.local.record import Record, UpLock, read_records
from deploy.local.service import chosen
from deploy.local.services import Stack, all_services
from deploy.local.supervisor import DONE, READY, Supervisor
from realtime.clock import WallClock
from realtime.declarations import SettingsError
from realtime.settings import Settings, load_settings

_DOWN_S = 90.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; 0 = done, 1 = not everything runs, 2 = refused, with one line."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings(options.config)
        if options.command == "down":
            return down(settings)
        if options.command == "status":
            return status(settings)
        return up(settings, options.config, getattr(options, "service", []))
    except (StackError, SettingsError) as error:
        print(f"stack: {error}", file=sys.stderr)
        return 2


def up(settings: Settings, config: Path | None, names: Sequence[str]) -> int:
    """Start services, stay until told to stop, end them."""
    with UpLock(_run_folder(settings) / "up.lock"):
        end_leftovers(settings)
        health = HealthBoard(settings)
        stack = Stack(settings=settings, config=config, health=health, market=_market(settings))
        services = chosen(all_services(stack), names)
        supervisor = Supervisor(services, records=_records(settings), clock=WallClock(), say=_say)
        stop_on_signals(supervisor)
        try:
            if supervisor.start():
                _say_where(services, settings)
                supervisor.watch()
        finally:
            health.close()
    return 0


def down(settings: Settings) -> int:
    """End the `up` of this checkout, or what one that was killed left behind."""
    holder = UpLock(_run_folder(settings) / "up.lock").holder()
    if holder is None:
        left = end_leftovers(settings)
        print("nothing was up" if not left else "ended what a killed stack had left")
        return 0
    holder.send_signal(signal.SIGTERM)
    until = time.monotonic() + _DOWN_S
    while holder.is_running() and holder.status() != "zombie":
        if time.monotonic() > until:
            msg = f"process {holder.pid} does not end: look at it, then kill it and call down again"
            raise StackError(msg)
        time.sleep(0.05)
    print("the stack is down")
    return 0


def status(settings: Settings) -> int:
    """Print how every service is."""
    holder = UpLock(_run_folder(settings) / "up.lock").holder()
    records = read_records(_records(settings))
    if holder is None:
        left = [each for each in records if each.process is not None]
        print("the stack is not up")
        for each in left:
            print(f"{each.name}: left over from a stack that was killed (process {each.pid})")
        return 1
    print(f"up since {_moment(min(each.since_ns for each in records))} (process {holder.pid})")
    for each in records:
        print(_row(each))
    return 0 if all(_is_well(each) for each in records) else 1


def end_leftovers(settings: Settings) -> list[str]:
    """End processes that an `up` left which was killed; return their names."""
    left = [(each.name, each.process) for each in read_records(_records(settings))]
    names: list[str] = []
    for name, process in reversed(left):  # those that need others first
        if process is not None:
            _say(f"{name}  left over from a stack that was killed (process {process.pid}): ended")
            end_processes([process, *family_of(process.pid)])
            names.append(name)
    return names


def stop_on_signals(supervisor: Supervisor) -> None:
    """End the stack on SIGINT and SIGTERM.

    Children get the default handlers: one that is set here is not inherited, an ignored one (a
    shell's `&` ignores SIGINT) would be.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        supervisor.stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def _market(settings: Settings) -> tuple[str, ...]:
    """Say what the simulated terminal plays; nothing where there is a real one, or no history."""
    if settings.gateway.terminal.endswith(".exe"):
        return ()
    lake = settings.paths.lake
    if not any((lake / kind).is_dir() for kind in ("ticks", *_bar_kinds(lake))):
        _say(
            f"no market data in {lake}: terminal, gateway and loop wait until there are"
            " (python -m realtime.history --help)"
        )
        return ()
    return ("--lake", str(lake.resolve()))


def _bar_kinds(lake: Path) -> list[str]:
    return [each.name for each in lake.glob("bars_*")] if lake.is_dir() else []


def _row(record: Record) -> str:
    well = record.state if _is_well(record) else f"{record.state} (gone)"
    number = str(record.pid) if record.pid else "-"
    again = f"  restarted {record.restarts}x" if record.restarts else ""
    line = f"{record.name:15} {well:8} {number:>8}  {_moment(record.since_ns)}  {record.url}{again}"
    return line.rstrip()


def _is_well(record: Record) -> bool:
    return record.state == DONE or (record.state == READY and record.process is not None)


def _moment(time_ns: int) -> str:
    return datetime.fromtimestamp(time_ns / 1e9, tz=UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _say(line: str) -> None:
    print(line, flush=True)


def _say_where(services: Sequence[object], settings: Settings) -> None:
    _say(f"up: {len(services)} services; logs in {settings.paths.var / 'logs'}; Ctrl-C ends them")


def _run_folder(settings: Settings) -> Path:
    return settings.paths.var.resolve() / "run"


def _records(settings: Settings) -> Path:
    return _run_folder(settings) / "services.json"


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
    return parser


if __name__ == "__main__":
    sys.exit(main())
