"""HistData.com ASCII files: ``YYYYMMDD HHMMSS;open;high;low;close;volume`` and ticks.

Ticks are ``YYYYMMDD HHMMSSmmm,bid,ask,volume``. Bars are of the bid, volume is always 0. The site
documents fixed EST; files in New York time with daylight saving and in London minus five hours are
about, so the zone is found from the trading week and never taken from that label.
"""

import re

from realtime.history.delimited import Layout, layout_from
from realtime.history.head import Head, is_numeric
from realtime.history.times import DateOrder

_HINT = "HistData documents fixed EST, but files in New York and London-5 time occur"
_BARS = re.compile(r"\d{8} \d{6}")
_TICKS = re.compile(r"\d{8} \d{9}")


def layout_of(head: Head, order: DateOrder | None = None) -> Layout | None:
    """Recognise both forms; None if it is another format."""
    if head.header is not None:
        return None
    first = head.rows[0]
    if _BARS.fullmatch(first[0]) and len(first) in (5, 6) and is_numeric(first[1:]):
        names = ("time", "open", "high", "low", "close", "volume")
        roles = {role: i for i, role in enumerate(names[: len(first)])}
        return layout_from(
            head, name="histdata_bars", kind="bars", roles=roles, order=order, zone_hint=_HINT
        )
    if _TICKS.fullmatch(first[0]) and len(first) in (3, 4) and is_numeric(first[1:]):
        names = ("time", "bid", "ask", "volume")
        roles = {role: i for i, role in enumerate(names[: len(first)])}
        return layout_from(
            head, name="histdata_ticks", kind="ticks", roles=roles, order=order, zone_hint=_HINT
        )
    return None
