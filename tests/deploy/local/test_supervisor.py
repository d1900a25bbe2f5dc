"""The supervisor starts what is needed first, restarts what dies, and ends only what it started."""

import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from deploy.local.child import Child, Launch
from deploy.local.errors import NotStarted, StackError
from deploy.local.record import read_records
from deploy.local.service import Service, chosen
from deploy.local.supervisor import Supervisor
from realtime.clock import WallClock

PATIENCE_S = 30.0


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


class Stage:
    """Programs of a few lines, and a supervisor over them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lines: list[str] = []
        self.services: list[Service] = []
        self.supervisor: Supervisor
        self._thread: threading.Thread

    def launch(self, name: str, program: str) -> Launch:
        return Launch(
            name=name,
            command=(sys.executable, "-c", program),
            log=self.folder / f"{name}.log",
            folder=self.folder,
            stop_within_s=1.0,
        )

    def add(self, name: str, program: str, *needs: str, **options) -> None:
        options.setdefault("ready", lambda _since: (self.folder / f"{name}.ready").exists())
        self.services.append(
            Service(name=name, needs=needs, prepare=lambda: self.launch(name, program), **options)
        )

    def stays(self, name: str, *needs: str) -> None:
        touch = f"import pathlib, time; pathlib.Path('{name}.ready').touch(); "
        self.add(name, touch + f"print('{name} starts', flush=True); time.sleep(600)", *needs)

    def start(self) -> bool:
        self.supervisor = Supervisor(
            self.services,
            records=self.folder / "services.json",
            clock=WallClock(),
            say=self.lines.append,
        )
        return self.supervisor.start()

    def watch(self) -> None:
        self._thread = threading.Thread(target=self.supervisor.watch)
        self._thread.start()

    def end(self) -> None:
        self.supervisor.stopping.set()
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive()

    def pid(self, name: str) -> int:
        return self.supervisor.pids().get(name, 0)

    def order(self, word: str) -> list[str]:
        return [line.split()[0] for line in self.lines if f" {word}" in line]


@pytest.fixture
def stage(tmp_path: Path):
    made = Stage(tmp_path)
    yield made
    if hasattr(made, "supervisor"):
        made.supervisor.stop()


def test_services_start_after_what_they_need_and_end_before_it(stage: Stage) -> None:
    stage.stays("database")
    stage.stays("recorder", "database")
    stage.stays("page", "recorder", "elsewhere")
    assert stage.start()
    pids = stage.supervisor.pids()
    assert stage.order("ready") == ["database", "recorder", "page"]
    stage.watch()
    stage.end()
    assert stage.order("stopped") == ["page", "recorder", "database"]
    assert not any(psutil.pid_exists(pid) for pid in pids.values())


def test_work_that_is_done_once_is_done_before_those_that_need_it(stage: Stage) -> None:
    stage.add("make", "import pathlib; pathlib.Path('made').touch()", once=True)
    inside: list[bool] = []
    stage.services.append(
        Service(
            name="look",
            needs=("make",),
            prepare=lambda: inside.append((stage.folder / "made").exists()),
        )
    )
    assert stage.start()
    assert stage.order("done") == ["make", "look"]
    assert inside == [True]


def test_a_service_that_cannot_start_ends_the_start_with_its_last_words(stage: Stage) -> None:
    stage.stays("database")
    stage.add("loop", "import sys; sys.exit('no NATS server answers: start it')", "database")
    with pytest.raises(NotStarted, match=r"loop ended with code 1 .* no NATS server answers"):
        stage.start()
    assert stage.supervisor.pids() == {}
    assert stage.order("stopped") == ["database"]


def test_a_service_that_never_answers_is_ended_and_named(stage: Stage) -> None:
    stage.add("deaf", "import time; time.sleep(600)", start_within_s=0.3)
    with pytest.raises(NotStarted, match=r"deaf is not ready after 0\.3 s"):
        stage.start()
    assert stage.supervisor.pids() == {}


def test_a_service_that_dies_is_started_again_and_said_so(stage: Stage) -> None:
    stage.stays("loop")
    assert stage.start()
    first = stage.pid("loop")
    stage.watch()
    psutil.Process(first).kill()
    until(lambda: stage.pid("loop") not in (0, first))
    until(lambda: len(stage.order("ready")) == 2)
    assert any("SIGKILL" in line and "again" in line for line in stage.lines)
    assert read_records(stage.folder / "services.json")[0].restarts == 1
    stage.end()


def test_a_service_that_keeps_dying_is_given_more_and_more_time(stage: Stage) -> None:
    stage.add(
        "loop",
        "import pathlib, sys\n"
        "if pathlib.Path('loop.ready').exists(): sys.exit(3)\n"
        "pathlib.Path('loop.ready').touch()\n"
        "import time; time.sleep(0.2); sys.exit(3)",
    )
    assert stage.start()
    stage.watch()
    until(lambda: len([line for line in stage.lines if "again in" in line]) >= 3)
    stage.end()
    waits = [
        float(line.split("again in ")[1].split()[0]) for line in stage.lines if "again" in line
    ]
    assert waits[:3] == [0.5, 1.0, 2.0]


def test_being_told_to_stop_while_starting_ends_everything(stage: Stage) -> None:
    stage.stays("database")
    stage.add(
        "slow",
        "import time; time.sleep(600)",
        "database",
        ready=lambda _since: stage.supervisor.stopping.set(),
    )
    assert not stage.start()
    assert stage.supervisor.pids() == {}


def test_what_a_service_started_is_ended_with_it(stage: Stage) -> None:
    stage.add(
        "parent",
        "import pathlib, subprocess, sys, time\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "apart = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'],"
        " start_new_session=True)\n"
        "pathlib.Path('pids').write_text(f'{own.pid} {apart.pid}')\n"
        "pathlib.Path('parent.ready').touch()\n"
        "time.sleep(600)",
    )
    assert stage.start()
    pids = [int(each) for each in (stage.folder / "pids").read_text().split()]
    assert all(psutil.pid_exists(pid) for pid in pids)
    stage.supervisor.stop()
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_what_a_dead_service_left_in_its_session_is_ended_before_it_starts_again(
    stage: Stage,
) -> None:
    stage.add(
        "parent",
        "import pathlib, subprocess, sys, time\n"
        "own = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "with open('pids', 'a') as file: file.write(f'{own.pid} ')\n"
        "pathlib.Path('parent.ready').touch()\n"
        "time.sleep(600)",
    )
    assert stage.start()
    left = int((stage.folder / "pids").read_text())
    first = stage.pid("parent")
    stage.watch()
    psutil.Process(first).kill()
    until(lambda: stage.pid("parent") not in (0, first))
    assert not psutil.pid_exists(left)
    stage.end()


def test_one_that_does_not_listen_to_sigterm_is_killed(stage: Stage) -> None:
    stage.add(
        "stubborn",
        "import pathlib, signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "pathlib.Path('stubborn.ready').touch()\n"
        "time.sleep(600)",
    )
    assert stage.start()
    stage.supervisor.stop()
    assert any("SIGKILL" in line for line in stage.lines)


def test_a_program_is_asked_to_end_once(stage: Stage) -> None:
    stage.add(
        "slow",
        "import pathlib, signal, time\n"
        "asked = []\n"
        "signal.signal(signal.SIGTERM, lambda *_: asked.append(1))\n"
        "pathlib.Path('slow.ready').touch()\n"
        "while not asked: time.sleep(0.01)\n"
        "time.sleep(0.3)\n"
        "print(f'asked {len(asked)} times')",
    )
    assert stage.start()
    stage.supervisor.stop()
    assert (stage.folder / "slow.log").read_text() == "asked 1 times\n"


def test_a_child_has_a_session_of_its_own_and_ends_by_sigint_even_if_ours_is_ignored(
    tmp_path: Path,
) -> None:
    program = (
        "import pathlib, signal, os, time\n"
        "is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler\n"
        "pathlib.Path('seen').write_text(f'{is_default} {os.getsid(0) == os.getpid()}')\n"
        "time.sleep(600)"
    )
    old = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        child = Child(
            Launch(
                name="child",
                command=(sys.executable, "-c", program),
                log=tmp_path / "log",
                folder=tmp_path,
            )
        )
    finally:
        signal.signal(signal.SIGINT, old)
    seen = tmp_path / "seen"
    until(lambda: seen.exists() and seen.read_text())
    child.stop()
    assert seen.read_text() == "True True"


def test_services_are_chosen_with_what_they_need() -> None:
    services = [
        Service(name="nats", prepare=lambda: None),
        Service(name="postgres", prepare=lambda: None),
        Service(name="streams", needs=("nats",), prepare=lambda: None),
        Service(name="loop", needs=("streams", "terminal"), prepare=lambda: None),
    ]
    assert [each.name for each in chosen(services, ["loop"])] == ["nats", "streams", "loop"]
    assert chosen(services, []) == services
    with pytest.raises(StackError, match="there is no service 'lop'; there are nats, postgres"):
        chosen(services, ["lop"])
