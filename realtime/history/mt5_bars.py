"""MetaTrader 5 "Export bars": tab separated, ``<DATE> <TIME> <OPEN> ... <SPREAD>``.

Daily and longer exports have no ``<TIME>``. Times are the broker's server clock. ``<SPREAD>`` is
the bar's smallest spread in points, ``<VOL>`` the traded volume (0 where the feed has none).
MetaTrader 4's history export is the same without a header and spread.
"""

import re

from realtime.history.delimited import Layout, layout_from
from realtime.history.errors import ColumnMissing
from realtime.history.head import Head, is_numeric
from realtime.history.times import DateOrder

NAME = "mt5_bars"
SERVER_CLOCK = "MetaTrader writes the broker's server clock"
_ROLES = {
    "<DATE>": "time",
    "<TIME>": "clock",
    "<OPEN>": "open",
    "<HIGH>": "high",
    "<LOW>": "low",
    "<CLOSE>": "close",
    "<TICKVOL>": "ticks",
    "<VOL>": "volume",
    "<SPREAD>": "spread",
}
_MT4_ROLES = ("time", "clock", "open", "high", "low", "close", "ticks", "volume", "spread")


def layout_of(head: Head, order: DateOrder | None = None) -> Layout | None:
    """Recognise the format; None if it is another one.

    Raises:
        HistoryError: it is this format, but cannot be used.
    """
    if head.header is None:
        return _without_header(head, order)
    if "<DATE>" not in head.header or "<BID>" in head.header:
        return None
    roles = {_ROLES[name]: i for i, name in enumerate(head.header) if name in _ROLES}
    missing = [
        name for name, role in _ROLES.items() if role in _MT4_ROLES[2:6] and role not in roles
    ]
    if missing:
        remedy = f"Its columns are {', '.join(head.header)}. Export the bars again."
        what = f"an MT5 bar export without {', '.join(missing)}"
        raise ColumnMissing(what, file=head.file, remedy=remedy, row=head.header_line)
    return layout_from(
        head,
        name=NAME,
        kind="bars",
        roles=roles,
        order=order,
        zone_hint=SERVER_CLOCK,
        spread_in_points=True,
        notes=("the spread of an MT5 bar is its smallest",) if "spread" in roles else (),
    )


def _without_header(head: Head, order: DateOrder | None) -> Layout | None:
    first = head.rows[0]
    dated = re.fullmatch(r"\d{4}\.\d{2}\.\d{2}", first[0])
    if dated is None or not 6 <= len(first) <= len(_MT4_ROLES):
        return None
    if not re.fullmatch(r"\d{1,2}:\d{2}(:\d{2})?", first[1]) or not is_numeric(first[2:]):
        return None
    return layout_from(
        head,
        name="mt4_bars",
        kind="bars",
        roles={role: i for i, role in enumerate(_MT4_ROLES[: len(first)])},
        order=order,
        zone_hint=SERVER_CLOCK,
        spread_in_points=True,
    )
