"""What the gateway says of itself: each trouble once, and health with what is in the way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mt5_gateway.errors import TerminalUnavailable, WrongAccount
from mt5_gateway.recorded import StreamUnreadable
from realtime.service import Service

_RETRY_S = 0.25
_CODES: dict[type[Exception], str] = {
    WrongAccount: "wrong_account",
    StreamUnreadable: "stream_unreadable",
}


class Stopped(Exception):
    """The service is to end while something is being waited for."""


class Teller:
    """Speaks for the gateway.

    Args:
        service: that it runs in.
    """

    def __init__(self, service: Service) -> None:
        self._service = service
        self._troubles: dict[str, str] = {}

    def say(self, what: str, error: Exception) -> None:
        """Tell of a trouble, once until it is over or another one.

        Args:
            what: was tried.
            error: one line.
        """
        text = str(error)
        is_new = text not in self._troubles.values()
        self._troubles[what] = text
        if is_new:
            severity = "critical" if isinstance(error, WrongAccount) else "warning"
            code = _CODES.get(type(error), "terminal_unavailable")
            self._service.alert(severity, code, text)
            self._service.health("waiting", text)

    def over(self, what: str) -> None:
        """Note that something works."""
        if self._troubles.pop(what, None) is not None and not self._troubles:
            self._service.alert("info", "well_again", "the gateway goes on")

    def health(self, state: str, text: str, **numbers: float) -> None:
        """Tell health; a trouble comes before what is given."""
        for trouble in self._troubles.values():
            state, text = "waiting", trouble
        self._service.health(state, text, **numbers)

    async def until_answered(self, what: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask the terminal until it answers.

        Raises:
            Stopped: the service is to end.
        """
        while not self._service.stopping.is_set():
            try:
                answer = await ask()
            except TerminalUnavailable as error:
                self.say(what, error)
                await asyncio.sleep(_RETRY_S)
            else:
                self.over(what)
                return answer
        raise Stopped

    async def again_and_again(self, what: str, work: Callable[[], Awaitable[object]]) -> None:
        """Do something until the service ends, through times when it cannot be done."""
        while not self._service.stopping.is_set():
            try:
                await work()
            except (TerminalUnavailable, WrongAccount, StreamUnreadable) as error:
                self.say(what, error)
                await asyncio.sleep(_RETRY_S)
            else:
                self.over(what)
