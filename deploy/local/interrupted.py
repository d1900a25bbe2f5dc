"""Ctrl-C before a command has its own handlers: it ends at once, without a traceback."""

import os
import signal
from types import FrameType

_INTERRUPTED = 130


def end_on_interrupt() -> None:
    """End the process on SIGINT; for the second in which everything is imported.

    A handler, not the default action: polars puts its own before what it finds, and would swallow
    the signal where it finds none.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        os._exit(_INTERRUPTED)

    signal.signal(signal.SIGINT, end)
