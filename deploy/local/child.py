"""A program that runs beside us: started, watched and ended without leaving anything behind."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from deploy.local.errors import NotStarted
from deploy.local.last_words import last_line, telling_line

_POLL_S = 0.01
_LOG_LIMIT_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Launch:
    """How a program is started and ended.

    Attributes:
        name: for messages and the log file.
        command: program and arguments.
        log: file that its output is appended to.
        folder: working directory.
        environment: variables beside those that it inherits.
        not_inherited: beginning of the names of variables that it does not inherit; empty = all.
        account: user and group to run as; None for our own.
        stop_signal: asks it to end.
        stop_within_s: after which it is killed.
    """

    name: str
    command: Sequence[str]
    log: Path
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    not_inherited: str = ""
    account: tuple[int, int] | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    stop_within_s: float = 10.0


class Child:
    """A running program, in a session of its own: Ctrl-C in our terminal does not reach it."""

    def __init__(self, launch: Launch) -> None:
        self.launch = launch
        self._process, self._log_from = _spawn(launch)
        self.pid = self._process.pid
        self.created_s = _created(self.pid)
        self._asked = False

    @property
    def exit_code(self) -> int | None:
        """What it ended with, negative for a signal; None while it runs."""
        return self._process.poll()

    def await_ready(self, ready: Callable[[], bool], within_s: float) -> None:
        """Wait until `ready` says so; ends the program if it does not.

        Raises:
            NotStarted: it ended, or was not ready in time; says its last words.
        """
        until = time.monotonic() + within_s
        while True:
            code = self.exit_code
            if code is not None:
                msg = (
                    f"{self.launch.name} ended with code {code} while starting: {self.last_words()}"
                )
                raise NotStarted(msg)
            if ready():
                return
            if time.monotonic() > until:
                self.stop()
                msg = (
                    f"{self.launch.name} did not answer within {within_s:g} s; see"
                    f" {self.launch.log}: {self.last_words()}"
                )
                raise NotStarted(msg)
            time.sleep(_POLL_S)

    def ask_to_stop(self) -> None:
        """Send the signal that asks it to end, once: a second one may find it without handlers."""
        if self.exit_code is None and not self._asked:
            self._asked = True
            self._process.send_signal(self.launch.stop_signal)

    def stop(self, within_s: float | None = None) -> int:
        """End it and everything that it started; return its exit code."""
        family = family_of(self.pid)
        self.ask_to_stop()
        try:
            self._process.wait(self.launch.stop_within_s if within_s is None else within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        end_processes(family)
        return self._process.returncode

    def kill(self) -> None:
        """End it as the machine would: SIGKILL, to it alone."""
        self._process.kill()
        self._process.wait()

    def last_words(self) -> str:
        """Return the line of what it has logged that names the cause of its end, or the last."""
        return telling_line(self.launch.log, self._log_from)

    def latest(self) -> str:
        """Return the last line that it has logged."""
        return last_line(self.launch.log, self._log_from)


def family_of(pid: int) -> list[psutil.Process]:
    """Return what a process started, and what that started, in its session or in their own."""
    try:
        family = psutil.Process(pid).children(recursive=True)
    except psutil.Error:
        family = []
    known = {each.pid for each in family}
    return family + [each for each in session_of(pid) if each.pid not in known]


def session_of(pid: int) -> list[psutil.Process]:
    """Return the processes of the session that a process opened, but not that process."""
    return [each for each in psutil.process_iter() if each.pid != pid and _session(each.pid) == pid]


def end_processes(processes: Sequence[psutil.Process], within_s: float = 5.0) -> None:
    """Ask processes to end, kill those that do not; a number given away since is left alone."""
    for process in processes:
        _signal(process, signal.SIGTERM)
    _, alive = psutil.wait_procs(processes, timeout=within_s)
    for process in alive:
        _signal(process, signal.SIGKILL)
    psutil.wait_procs(alive, timeout=within_s)


def same_process(pid: int, created_s: float) -> psutil.Process | None:
    """Return the process of this number if it is still the one that was started then."""
    try:
        process = psutil.Process(pid)
        if abs(process.create_time() - created_s) < 1.0 and process.is_running():
            return None if process.status() == psutil.STATUS_ZOMBIE else process
    except psutil.Error:
        pass
    return None


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        return


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except OSError:
        return -1


def _created(pid: int) -> float:
    try:
        return psutil.Process(pid).create_time()
    except psutil.Error:
        return 0.0


@contextmanager
def _inherited_sigint() -> Generator[None]:
    """Let children end on SIGINT even where it is ignored by us, as under a shell's `&`.

    A program inherits an ignored signal, but not a handler.
    """
    in_main = threading.current_thread() is threading.main_thread()
    if not in_main or signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        yield
        return
    signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_IGN)


def _spawn(launch: Launch) -> "tuple[subprocess.Popen[bytes], int]":
    """Start it; return it and how long its log was before."""
    try:
        return _started(launch)
    except OSError as error:
        msg = f"{launch.name}: {launch.log}: cannot be written: {error.strerror}"
        raise NotStarted(msg) from error


def _started(launch: Launch) -> "tuple[subprocess.Popen[bytes], int]":
    launch.log.parent.mkdir(parents=True, exist_ok=True)
    if launch.log.exists() and launch.log.stat().st_size > _LOG_LIMIT_BYTES:
        launch.log.replace(launch.log.with_suffix(".1.log"))
    user, group = launch.account if launch.account is not None else (None, None)
    inherited = {
        name: value
        for name, value in os.environ.items()  # noqa: TID251 (handed on, nothing is read from it)
        if not (launch.not_inherited and name.startswith(launch.not_inherited))
    }
    with launch.log.open("ab") as log, _inherited_sigint():
        before = log.tell()
        try:
            process = subprocess.Popen(
                launch.command,
                cwd=launch.folder,
                env={**inherited, **launch.environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                user=user,
                group=group,
                extra_groups=None if user is None else [],
            )
        except OSError as error:
            msg = f"{launch.name}: cannot start {launch.command[0]}: {error.strerror}"
            raise NotStarted(msg) from error
        return process, before
