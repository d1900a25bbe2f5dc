"""What the demonstration shows while it works: one line a phase, with its time and a bar."""

import time
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

_WIDTH = 24


class Phase:
    """A phase that is under way."""

    def __init__(self, progress: Progress, title: str) -> None:
        self._progress = progress
        self._task = progress.add_task(title, total=None, note="")
        self.note = ""

    def at(self, done: int, total: int) -> None:
        """Move the bar."""
        self._progress.update(self._task, completed=done, total=max(total, 1))

    def say(self, note: str) -> None:
        """Show what is being done, or, at last, what came out."""
        self.note = note
        self._progress.update(self._task, note=note)


class Phases:
    """Shows phases one after the other.

    Args:
        console: where to.

    Attributes:
        seconds: how long each finished phase took, by title.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, title: str) -> Generator[Phase]:
        """Show a phase while its block runs."""
        start = time.perf_counter()
        if not self._console.is_terminal:
            self._console.print(f"... {title}", highlight=False)
        progress = Progress(
            SpinnerColumn(),
            TextColumn(f"{{task.description:<{_WIDTH}}}"),
            BarColumn(bar_width=30),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        with progress:
            phase = Phase(progress, title)
            yield phase
        took = time.perf_counter() - start
        self.seconds[title] = round(took, 3)
        self._console.print(
            f"[green]ok[/]  {title:<{_WIDTH}} {took:6.1f} s  {phase.note}",
            highlight=False,
            soft_wrap=True,
        )
