"""MetaTrader 5 "Export ticks": ``<DATE> <TIME> <BID> <ASK> <LAST> <VOLUME> <FLAGS>``.

Tab separated, milliseconds, server clock. A blank bid or ask means unchanged; LAST and VOLUME are
blank for what is not exchange traded. Flags: 2 bid, 4 ask, 6 both changed, 8 last, 16 volume,
higher bits are the server's own.
"""

from realtime.history.delimited import Layout, layout_from
from realtime.history.errors import ColumnMissing
from realtime.history.head import Head
from realtime.history.mt5_bars import SERVER_CLOCK
from realtime.history.times import DateOrder

NAME = "mt5_ticks"
_ROLES = {
    "<DATE>": "time",
    "<TIME>": "clock",
    "<BID>": "bid",
    "<ASK>": "ask",
    "<LAST>": "last",
    "<VOLUME>": "volume",
    "<FLAGS>": "flags",
}


def layout_of(head: Head, order: DateOrder | None = None) -> Layout | None:
    """Recognise the format; None if it is another one.

    Raises:
        HistoryError: it is this format, but cannot be used.
    """
    if head.header is None or "<DATE>" not in head.header or "<BID>" not in head.header:
        return None
    roles = {_ROLES[name]: i for i, name in enumerate(head.header) if name in _ROLES}
    missing = [name for name in ("<TIME>", "<ASK>") if _ROLES[name] not in roles]
    if missing:
        remedy = f"Its columns are {', '.join(head.header)}. Export the ticks again."
        what = f"an MT5 tick export without {', '.join(missing)}"
        raise ColumnMissing(what, file=head.file, remedy=remedy, row=head.header_line)
    return layout_from(
        head,
        name=NAME,
        kind="ticks",
        roles=roles,
        order=order,
        zone_hint=SERVER_CLOCK,
        fill_forward=True,
        notes=("a blank bid or ask is unchanged from the row before",),
    )
