"""Which ticks may be traded on. The others go to quarantine, with a reason, and are counted.

A tick is refused for what it is (no number, not positive, crossed), for when it is (before the tick
that preceded it), or for where it is: a mid more than twice or less than half the last accepted one
is a misplaced decimal point, not a market. A second such tick that agrees with the first is
believed, so a split costs one tick. Flags are never a reason: brokers add their own. Ticks that are
later than any clock says are set aside before all that, see `future_ticks`.
"""

from dataclasses import dataclass
from math import nan

import numpy as np
from numpy.typing import NDArray

ACCEPTED = 0
NOT_A_NUMBER = 1
NOT_POSITIVE = 2
CROSSED = 3
BACK_IN_TIME = 4
JUMP = 5
LATE = 6
FUTURE = 7
REASONS = {
    NOT_A_NUMBER: "not_a_number",
    NOT_POSITIVE: "not_positive",
    CROSSED: "crossed",
    BACK_IN_TIME: "back_in_time",
    JUMP: "jump",
    LATE: "late",
    FUTURE: "future",
}
_JUMP_RATIO = 2.0


@dataclass(kw_only=True)
class Accepted:
    """What is remembered of a symbol's ticks between two calls.

    Attributes:
        utc_ms: time of the last accepted tick; None before the first.
        mid: of the last accepted tick; NaN before the first.
        jump_mid: of the last tick if it was refused as a jump, else NaN.
    """

    utc_ms: int | None = None
    mid: float = nan
    jump_mid: float = nan


def check_ticks(
    rows: NDArray[np.void], utc_ms: NDArray[np.int64], before: Accepted
) -> NDArray[np.int64]:
    """Judge ticks of one symbol, oldest first.

    Args:
        rows: (n,) `TICKS`.
        utc_ms: (n,) their times.
        before: of the ticks before these; is brought up to date.

    Returns:
        (n,) `ACCEPTED` or the reason.
    """
    bid, ask = rows["bid"], rows["ask"]
    codes = np.zeros(len(rows), np.int64)
    finite = np.isfinite(bid) & np.isfinite(ask)
    finite &= np.isfinite(rows["last"]) & np.isfinite(rows["volume_real"])
    codes[ask < bid] = CROSSED
    codes[(bid <= 0) | (ask <= 0) | (rows["last"] < 0) | (rows["volume_real"] < 0)] = NOT_POSITIVE
    codes[~finite] = NOT_A_NUMBER
    if len(rows) == 0:
        return codes
    good = codes == ACCEPTED
    first_ms = np.iinfo(np.int64).min if before.utc_ms is None else before.utc_ms
    newest = np.maximum.accumulate(np.append(first_ms, np.where(good, utc_ms, first_ms)))[:-1]
    codes[good & (utc_ms < newest)] = BACK_IN_TIME
    _refuse_jumps(codes, (bid + ask) / 2, before)
    accepted = np.flatnonzero(codes == ACCEPTED)
    if len(accepted):
        before.utc_ms = int(utc_ms[accepted[-1]])
    return codes


def _refuse_jumps(codes: NDArray[np.int64], mids: NDArray[np.float64], before: Accepted) -> None:
    at = np.flatnonzero(codes == ACCEPTED)
    if len(at) == 0:
        return
    seen = mids[at]
    ratio = seen / np.append(before.mid, seen[:-1])
    suspicious = (ratio > _JUMP_RATIO) | (ratio < 1 / _JUMP_RATIO)  # NaN: the first ever
    if not suspicious.any():
        before.mid, before.jump_mid = float(seen[-1]), nan
        return
    for index, mid in zip(at.tolist(), seen.tolist(), strict=True):
        jumps = _is_far(mid, before.mid)
        if jumps and _is_far(mid, before.jump_mid, unknown=True):
            codes[index] = JUMP
            before.jump_mid = mid
        else:
            before.mid, before.jump_mid = mid, nan


def _is_far(mid: float, other: float, *, unknown: bool = False) -> bool:
    ratio = mid / other
    if ratio != ratio:  # noqa: PLR0124 (NaN: there is no other)
        return unknown
    return ratio > _JUMP_RATIO or ratio < 1 / _JUMP_RATIO
