"""The terminal's own link to the trade server: without it, what the terminal shows is old or empty.

A terminal that has just been started answers before it has its account's positions and deals, and
one whose link is down shows how things were. So nothing that the broker decides is taken from it
until it says that it is connected.
"""

from collections.abc import Mapping
from typing import Any

from mt5_gateway.errors import TerminalUnavailable
from mt5_gateway.terminal_client import TerminalClient, required

NO_LINK = "the terminal has no link to the trade server"


class TradeLink:
    """Asks a terminal whether it is connected to the trade server.

    Args:
        terminal: to ask.
    """

    def __init__(self, terminal: TerminalClient) -> None:
        self.info: Mapping[str, Any] = {}  # of `terminal_info`, as last seen
        self._terminal = terminal
        self._losses = 0  # of the terminal's link, as far as they were seen

    @property
    def connection(self) -> tuple[int, int]:
        """Which connection this is: another one after terminal or link were lost and found."""
        return self._terminal.connections, self._losses

    @property
    def is_up(self) -> bool:
        """Whether the terminal was connected when it was last asked."""
        return bool(self.info.get("connected", True))

    async def require(self) -> tuple[int, int]:
        """Ask, and return which connection it is.

        Raises:
            TerminalUnavailable: no answer, or no link.
        """
        reply = await self._terminal.call("terminal_info")
        was_up = self.is_up
        self.info = required("terminal_info", reply)
        if not self.is_up:
            self._losses += was_up
            raise TerminalUnavailable(NO_LINK)
        return self.connection
