"""What can be asked of a stack: start it, end it, say how it is."""

import signal
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType

import psutil

from deploy.local.child import end_processes, family_of
from deploy.local.errors import StackError
from deploy.local.health import HealthBoard
from deploy.local.last_words import one_line
from deploy.local.platform_services import Ports
from deploy.local.record import Record, UpLock, read_records
from deploy.local.service import chosen
from deploy.local.services import Stack, all_services
from deploy.local.supervisor import DONE, READY, Supervisor
from realtime.clock import WallClock
from realtime.settings import Settings

_DOWN_S = 90.0
_NEED_MARKET = {"terminal", "gateway"}


def up(settings: Settings, config: Path | None, names: Sequence[str], ports: Ports) -> int:
    """Start services, stay until told to stop, end them."""
    with UpLock(run_folder(settings) / "up.lock"):
        end_leftovers(run_folder(settings))
        health = HealthBoard(settings)
        stack = Stack(
            settings=settings,
            config=config,
            health=health,
            market=market_of(settings, names),
            ports=ports,
        )
        services = chosen(all_services(stack), names)
        supervisor = Supervisor(
            services, records=run_folder(settings) / "services.json", clock=WallClock(), say=_say
        )
        stop_on_signals(supervisor.stopping)
        try:
            if supervisor.start():
                _say_where(services, settings)
                supervisor.watch()
        finally:
            health.close()
    return 0


def down(settings: Settings) -> int:
    """End the `up` of this checkout and its demo, or what one that was killed left behind."""
    holder = UpLock(run_folder(settings) / "up.lock").holder()
    demo = UpLock(_demo_run(settings) / "up.lock").holder()
    if holder is None and demo is None:
        left = end_leftovers(run_folder(settings)) + end_leftovers(_demo_run(settings))
        print("nothing was up" if not left else "ended what a killed stack had left")
        return 0
    for each in (holder, demo):
        if each is not None:
            _end(each)
    for name, each in (("stack", holder), ("demo", demo)):
        if each is not None:
            print(f"the {name} is down")
    return 0


def _end(holder: psutil.Process) -> None:
    holder.send_signal(signal.SIGTERM)
    until = time.monotonic() + _DOWN_S
    while holder.is_running() and holder.status() != "zombie":
        if time.monotonic() > until:
            msg = f"process {holder.pid} does not end: look at it, then kill it and call down again"
            raise StackError(msg)
        time.sleep(0.05)


def status(settings: Settings) -> int:
    """Print how every service is, of the stack and of the demo that runs here."""
    demo = _demo_run(settings)
    states = [_status("the stack", run_folder(settings))]
    if UpLock(demo / "up.lock").holder() is not None:
        states.append(_status("the demo", demo))
    runs = [state for state in states if state is not None]
    return 0 if runs and all(runs) else 1


def _status(what: str, folder: Path) -> bool | None:
    """Print what runs; return whether all is well, None if nothing is up."""
    holder = UpLock(folder / "up.lock").holder()
    records = _records(folder)
    if holder is None:
        print(f"{what} is not up")
        for each in records:
            if each.process is not None:
                print(f"{each.name}: left over from a stack that was killed (process {each.pid})")
        return None
    print(f"{what} is up (process {holder.pid})")
    for each in records:
        print(_row(each))
    return all(_is_well(each) for each in records)


def end_leftovers(folder: Path) -> list[str]:
    """End what an `up` left that was killed, and forget its records; return the names."""
    left = [(each.name, each.process) for each in _records(folder)]
    names: list[str] = []
    for name, process in reversed(left):  # those that need others first
        if process is not None:
            _say(f"{name}  left over from a stack that was killed (process {process.pid}): ended")
            end_processes([process, *family_of(process.pid)])
            names.append(name)
    try:
        for path in folder.glob("*.json"):
            path.unlink()
    except OSError as error:
        raise one_line(error, "cannot be removed") from error
    return names


def stop_on_signals(stopping: threading.Event) -> None:
    """Set an event on SIGINT, SIGTERM and SIGHUP.

    Children get the default handlers: one that is set here is not inherited, an ignored one (a
    shell's `&` ignores SIGINT) would be.
    """

    def stop(_number: int, _frame: FrameType | None) -> None:
        stopping.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)


def market_of(settings: Settings, names: Sequence[str]) -> tuple[str, ...]:
    """Say what the simulated terminal plays; nothing where there is a real one, or no history."""
    if names and not _NEED_MARKET & set(names):
        return ()
    if settings.gateway.terminal.endswith(".exe"):
        return ()
    lake = settings.paths.lake
    lacking = [
        name for name in settings.trade if not any((lake / "ticks" / name).glob("*.parquet"))
    ]
    if lacking:
        inbox = settings.paths.var / "inbox" / "SYMBOL"
        _say(
            f"no ticks of {', '.join(lacking)} in {lake}: without terminal and gateway; drop files"
            f" into {inbox}, and when they are built make down and make up"
        )
        return ()
    return ("--lake", str(lake.resolve()))


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


def run_folder(settings: Settings) -> Path:
    """Return where a stack keeps its lock and says which processes are its own."""
    return settings.paths.var.resolve() / "run"


def _demo_run(settings: Settings) -> Path:
    return settings.paths.var.resolve() / "demo" / "run"


def _records(folder: Path) -> list[Record]:
    """Return every service that a stack has written down in its folder."""
    files = sorted(folder.glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return [record for path in files for record in read_records(path)]
