"""Waiting for a disk that is full: nothing is begun that could not be written to its end."""

import asyncio
from collections.abc import Callable

from mt5_gateway.journal import Journal
from mt5_gateway.line_file import JournalUnwritable
from mt5_gateway.teller import Stopped

_RETRY_S = 0.5


class JournalRoom:
    """Knows whether the journal takes an order and its report.

    Args:
        journal: of the account.
        alert: (severity, code, line).
        halt: told why nothing goes on.
        stopping: set when the service is to end.
    """

    def __init__(
        self,
        journal: Journal,
        alert: Callable[[str, str, str], None],
        halt: Callable[[str], None],
        stopping: asyncio.Event,
    ) -> None:
        self.trouble = ""  # one line; empty while there is room
        self._journal = journal
        self._alert = alert
        self._halt = halt
        self._stopping = stopping

    async def wait(self) -> None:
        """Wait until there is room; says once that there is none, and once that there is again.

        Raises:
            Stopped: the service is to end.
        """
        while not self._is_there():
            if self._stopping.is_set():
                raise Stopped
            await asyncio.sleep(_RETRY_S)

    def _is_there(self) -> bool:
        try:
            self._journal.make_room()
        except JournalUnwritable as error:
            if not self.trouble:
                self.trouble = str(error)
                self._alert("critical", "journal_full", self.trouble)
                self._halt(self.trouble)
            return False
        if self.trouble:
            self.trouble = ""
            self._alert("info", "journal_full", "the journal can be written again")
        return True
