"""Positions that are gone without a deal that closed them: not believed at the first look.

A terminal that has just come back may say that it is connected before it has the account's
positions. Reported at once, the account would look flat, and what is held would be opened again.
"""

from collections.abc import Callable

from mt5_gateway.constants import DEAL_ENTRY_IN
from mt5_gateway.snapshot import Snapshot
from realtime.contracts.orders_pb2 import AccountState, Position

_BELIEVED_S = 10.0  # a terminal that synchronises is done by then


class Vanished:
    """Tells whether the positions of a look may be believed.

    Args:
        alert: (severity, code, line).
    """

    def __init__(self, alert: Callable[[str, str, str], None]) -> None:
        self._alert = alert
        self._since_s: float | None = None  # of the first look without them

    def doubts(self, told: AccountState | None, snapshot: Snapshot, now_s: float) -> bool:
        """Whether to look again before what is missing is reported.

        Args:
            told: the account as last reported.
            snapshot: as it is shown now.
            now_s: of any clock that never goes back.
        """
        gone = [] if told is None else _gone(told, snapshot)
        if not gone:
            self._since_s = None
            return False
        if self._since_s is None:
            self._since_s = now_s
        if now_s - self._since_s < _BELIEVED_S:
            return True
        self._since_s = None
        names = ", ".join(
            f"{each.id} ({each.symbol} {each.side * each.volume_lots:+g} lots)" for each in gone
        )
        self._alert(
            "critical",
            "positions_vanished",
            f"the terminal shows positions {names} no more, and no deal that closed them: they are"
            " reported as gone; check the account by hand",
        )
        return False


def _gone(told: AccountState, snapshot: Snapshot) -> list[Position]:
    """Return the positions that are not there any more although no deal closed them."""
    shown = {position["identifier"] for position in snapshot.positions}
    closed = {deal["position_id"] for deal in snapshot.deals if deal["entry"] != DEAL_ENTRY_IN}
    return [each for each in told.positions if each.id not in shown | closed]
