"""Positions of the account that the loop does not reckon with, because it does not know them.

Somebody may trade by hand, or another program, on the same account: what is in symbols that are not
in ``trade``, or beyond the room of the desk, counts in equity and margin but in no limit, and no
kill switch closes it.
"""

from collections.abc import Callable, Sequence

from realtime.contracts.orders_pb2 import AccountState, Position
from realtime.desk import POSITION_ROWS
from realtime.messages import strangers

_CODE = "foreign_positions"


class Strangers:
    """Tells of such positions, once for each change.

    Args:
        symbols: that are traded.
        alert: (severity, code, line).
    """

    def __init__(self, symbols: Sequence[str], alert: Callable[[str, str, str], None]) -> None:
        self._rows = {symbol: row for row, symbol in enumerate(symbols)}
        self._alert = alert
        self._told = ""

    def look(self, state: AccountState) -> None:
        """Look at the account."""
        text = self._text(state)
        if text == self._told:
            return
        self._told = text
        if text:
            self._alert("critical", _CODE, text)
        else:
            self._alert("info", _CODE, "every position of the account is reckoned with again")

    def _text(self, state: AccountState) -> str:
        names = strangers(state, self._rows)
        parts: list[str] = []
        if names:
            held = ", ".join(_held(name, state.positions) for name in names)
            parts.append(
                f"the account holds {held}, not in trade = [...]: their risk is counted in no limit"
                " and nothing here closes them; close them, or trade them here"
            )
        known = sum(position.symbol in self._rows for position in state.positions)
        if known > POSITION_ROWS:
            parts.append(
                f"the account holds {known} positions in the symbols traded, {POSITION_ROWS} are"
                " reckoned with: close the others by hand"
            )
        return "; ".join(parts)


def _held(name: str, positions: Sequence[Position]) -> str:
    lots = [each.side * each.volume_lots for each in positions if each.symbol == name]
    return f"{name} ({', '.join(f'{each:+g} lots' for each in lots)})"
