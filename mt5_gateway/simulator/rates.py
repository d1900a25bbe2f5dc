"""Bars of the simulated terminal, as its ticks make them: on the server's clock, of the bid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mt5_gateway import constants
from mt5_gateway.results import RATES
from mt5_gateway.simulator.market import Market

_MINUTE_S = 60
_HOUR_S = 3600
_DAY_S = 86_400
_WEEK_S = 7 * _DAY_S
_FIRST_SUNDAY_S = 3 * _DAY_S  # 1970-01-04
_MONTH = -1

#: Seconds of each timeframe; a month has no length.
TIMEFRAMES = {
    **{getattr(constants, f"TIMEFRAME_M{n}"): n * _MINUTE_S for n in (1, 2, 3, 4, 5, 6, 10)},
    **{getattr(constants, f"TIMEFRAME_M{n}"): n * _MINUTE_S for n in (12, 15, 20, 30)},
    **{getattr(constants, f"TIMEFRAME_H{n}"): n * _HOUR_S for n in (1, 2, 3, 4, 6, 8, 12)},
    constants.TIMEFRAME_D1: _DAY_S,
    constants.TIMEFRAME_W1: _WEEK_S,
    constants.TIMEFRAME_MN1: _MONTH,
}


class Rates:
    """Bars of a market.

    Args:
        market: where the ticks are.
    """

    def __init__(self, market: Market) -> None:
        self._market = market
        self._cut: dict[tuple[int, int], tuple[NDArray[np.int64], NDArray[np.int64]]] = {}

    def opened(self, row: int, timeframe: int, revealed: int) -> NDArray[np.int64]:
        """Return when each bar shown so far opened, server seconds; the last one is forming."""
        starts, opens = self._cuts(row, timeframe)
        return opens[: int(np.searchsorted(starts, self._market.shown(row, revealed)))]

    def bars(
        self, row: int, timeframe: int, first: int, last: int, revealed: int
    ) -> NDArray[np.void]:
        """Return bars ``[first, last)`` of those that `opened` lists, as `RATES`."""
        starts, opens = self._cuts(row, timeframe)
        out = np.zeros(max(last - first, 0), RATES)
        if len(out) == 0:
            return out
        shown = self._market.shown(row, revealed)
        end = min(int(starts[last]), shown) if last < len(starts) else shown
        begin = int(starts[first])
        rows = self._market.histories[row].rows[begin:end]
        cut = starts[first:last] - begin
        bid = np.ascontiguousarray(rows["bid"])
        spread = (rows["ask"] - bid) / self._market.symbols[row].point
        out["time"] = opens[first:last]
        out["open"] = bid[cut]
        out["high"] = np.fmax.reduceat(bid, cut)
        out["low"] = np.fmin.reduceat(bid, cut)
        out["close"] = bid[np.append(cut[1:], len(bid)) - 1]
        out["tick_volume"] = np.diff(np.append(cut, len(bid)))
        out["spread"] = np.rint(np.nan_to_num(np.fmin.reduceat(spread, cut)))
        return out

    def _cuts(self, row: int, timeframe: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return the first tick of every bar there will be, and when that bar opens."""
        found = self._cut.get((row, timeframe))
        if found is None:
            opens = _opens(self._market.histories[row].server_ms // 1000, TIMEFRAMES[timeframe])
            first = np.ones(len(opens), np.bool_)
            first[1:] = opens[1:] != opens[:-1]
            starts = np.flatnonzero(first)
            found = self._cut[row, timeframe] = (starts, opens[starts])
        return found


def _opens(server_s: NDArray[np.int64], length_s: int) -> NDArray[np.int64]:
    """Return the open of the bar that each time falls in."""
    if length_s == _MONTH:
        months: Any = server_s.astype("datetime64[s]").astype("datetime64[M]")
        return months.astype("datetime64[s]").astype(np.int64)
    shift = _FIRST_SUNDAY_S if length_s == _WEEK_S else 0
    return (server_s - shift) // length_s * length_s + shift
