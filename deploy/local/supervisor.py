"""The supervisor: starts services in order, watches them, ends what it started and nothing else."""

import signal
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local.child import Child, end_processes, family_of, session_of
from deploy.local.errors import NotStarted, StackError
from deploy.local.record import Record, write_records
from deploy.local.service import Service
from realtime.clock import Clock

_TICK_S = 0.05
_BACK_OFF_S = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
_STEADY_S = 60.0  # after which an earlier death is forgotten

WAITING = "waiting"
STARTING = "starting"
READY = "ready"
DONE = "done"
DIED = "died"
STOPPED = "stopped"


@dataclass
class _State:
    """How a service is."""

    service: Service
    state: str = WAITING
    child: Child | None = None
    since_ns: int = 0
    since_s: float = 0.0
    again_s: float = 0.0
    deaths: int = 0
    restarts: int = 0


class Supervisor:
    """Runs services until it is told to stop.

    Args:
        services: in an order in which each comes after what it needs.
        records: file that says which processes are ours, for whoever comes after us.
        clock: the machine's.
        say: prints one line.
        stopping: set to end everything; its own if not given.
    """

    def __init__(
        self,
        services: Sequence[Service],
        *,
        records: Path,
        clock: Clock,
        say: Callable[[str], None],
        stopping: threading.Event | None = None,
    ) -> None:
        self._states = [_State(service=each) for each in services]
        self._by_name = {each.service.name: each for each in self._states}
        self._records = records
        self._clock = clock
        self._say = say
        self._width = max((len(each.name) for each in services), default=0)
        self.stopping = threading.Event() if stopping is None else stopping

    @property
    def names(self) -> tuple[str, ...]:
        """Of the services."""
        return tuple(self._by_name)

    def start(self) -> bool:
        """Wait until everything is ready; return False if it was told to stop meanwhile.

        Raises:
            StackError: one of them does not start; what was started has been ended.
        """
        try:
            for each in self._states:
                if each.state == WAITING:
                    each.service.check()
            while not self.stopping.is_set():
                for each in self._states:
                    self._step(each, first=True)
                if all(each.state in (READY, DONE) for each in self._states):
                    return True
                self.stopping.wait(_TICK_S)
        except BaseException:
            self.stop()
            raise
        self.stop()
        return False

    def watch(self) -> None:
        """Keep everything running until `stopping` is set; then end it all."""
        try:
            while not self.stopping.wait(_TICK_S):
                self.look()
        finally:
            self.stop()

    def look(self) -> None:
        """Look after every service once: note who died, start again whose time has come."""
        for each in self._states:
            self._step(each, first=False)

    def stop(self) -> None:
        """End everything, those first that nobody needs any more."""
        while any(each.child is not None for each in self._states):
            self._stop_round()
        self._write()

    def pids(self) -> dict[str, int]:
        """Return the processes that run now."""
        return {
            each.service.name: each.child.pid for each in self._states if each.child is not None
        }

    # --- starting -----------------------------------------------------------------------------

    def _step(self, each: _State, *, first: bool) -> None:
        try:
            if each.state == WAITING and self._needs_are_met(each):
                self._launch(each)
            elif each.state == STARTING:
                self._look_whether_ready(each)
            elif each.state == READY:
                self._look_whether_alive(each)
            elif each.state == DIED and time.monotonic() >= each.again_s:
                each.restarts += 1
                self._launch(each)
        except StackError as error:
            if first:
                raise
            self._mourn(each, str(error))

    def _needs_are_met(self, each: _State) -> bool:
        needed = [self._by_name[name] for name in each.service.needs if name in self._by_name]
        return all(need.state in (READY, DONE) for need in needed)

    def _launch(self, each: _State) -> None:
        each.since_ns, each.since_s = self._clock.now_ns(), time.monotonic()
        launch = each.service.prepare()
        if launch is None:
            self._arrived(each, DONE)
            return
        each.child = Child(launch)
        each.state = STARTING
        self._write()

    def _look_whether_ready(self, each: _State) -> None:
        child = _child(each)
        code = child.exit_code
        if each.service.once and code == 0:
            each.child = None
            self._arrived(each, DONE)
        elif code is not None:
            each.child = None
            msg = f"{each.service.name} ended with code {code} at its start: {child.last_words()}"
            raise NotStarted(msg)
        elif not each.service.once and each.service.ready(each.since_ns):
            self._arrived(each, READY)
        elif time.monotonic() - each.since_s > each.service.start_within_s:
            each.child = None
            child.stop()
            msg = (
                f"{each.service.name} is not ready after {each.service.start_within_s:g} s; see"
                f" {child.launch.log}: {child.last_words()}"
            )
            raise NotStarted(msg)

    def _arrived(self, each: _State, state: str) -> None:
        each.state = state
        took_s = time.monotonic() - each.since_s
        self._tell(each, f"{state:8} {took_s:6.2f} s  {each.service.url}".rstrip())
        self._write()

    # --- watching -----------------------------------------------------------------------------

    def _look_whether_alive(self, each: _State) -> None:
        child = _child(each)
        code = child.exit_code
        if code is None:
            return
        each.child = None
        end_processes(session_of(child.pid))
        if time.monotonic() - each.since_s > _STEADY_S:
            each.deaths = 0
        self._mourn(each, f"ended with {_ending(code)}: {child.last_words()}")

    def _mourn(self, each: _State, why: str) -> None:
        wait_s = _BACK_OFF_S[min(each.deaths, len(_BACK_OFF_S) - 1)]
        each.deaths += 1
        each.state, each.again_s = DIED, time.monotonic() + wait_s
        self._tell(each, f"{why}; starting it again in {wait_s:g} s")
        self._write()

    # --- ending -------------------------------------------------------------------------------

    def _stop_round(self) -> None:
        """End, at the same time, all services that no running one needs."""
        running = [each for each in self._states if each.child is not None]
        needed = self._needed_by(running)
        ending = [each for each in running if each.service.name not in needed]
        children = [_child(each) for each in ending]
        families = [family_of(child.pid) for child in children]
        for child in children:
            child.ask_to_stop()
        for each, child, family in zip(ending, children, families, strict=True):
            code = child.stop()
            end_processes(family)
            each.child, each.state = None, STOPPED
            self._tell(each, "stopped" if code >= 0 else f"stopped by {_ending(code)}")

    def _needed_by(self, running: Sequence[_State]) -> set[str]:
        """Return names that services need, directly or through work that is done."""
        needed: set[str] = set()
        pending = [name for each in running for name in each.service.needs]
        while pending:
            name = pending.pop()
            if name not in needed and name in self._by_name:
                needed.add(name)
                pending += self._by_name[name].service.needs
        return needed

    # --- telling ------------------------------------------------------------------------------

    def _tell(self, each: _State, text: str) -> None:
        self._say(f"{each.service.name:{self._width}}  {text}")

    def _write(self) -> None:
        write_records(
            self._records,
            [
                Record(
                    name=each.service.name,
                    state=each.state,
                    pid=0 if each.child is None else each.child.pid,
                    created_s=0.0 if each.child is None else each.child.created_s,
                    since_ns=each.since_ns,
                    restarts=each.restarts,
                    url=each.service.url,
                )
                for each in self._states
            ],
        )


def _child(each: _State) -> Child:
    assert each.child is not None
    return each.child


def _ending(code: int) -> str:
    return f"code {code}" if code >= 0 else signal.Signals(-code).name
