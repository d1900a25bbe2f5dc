"""The point-in-time join: for each moment asked, the newest row that was there.

Equals, row by row, what Feast's own stores find: of the rows with ``event <= asked`` (and with
``created <= asked`` if only known rows count), the one with the greatest event, then the greatest
creation, then the last in the file; none if it is older than the time to live.
"""

import numpy as np
from numpy.typing import NDArray

#: In `created`: no creation is recorded.
NEVER = np.iinfo(np.int64).min


def newest_rows(
    events_us: NDArray[np.int64],
    created_us: NDArray[np.int64],
    asked_us: NDArray[np.int64],
    *,
    ttl_us: int | None = None,
    known_only: bool = False,
) -> NDArray[np.int64]:
    """Return for each moment asked the position of its row, or -1.

    Args:
        events_us: (n,) times of the rows, in any order.
        created_us: (n,) their creation; `NEVER` where unknown.
        asked_us: (m,) moments, in any order.
        ttl_us: a row older than this is none; None for no limit.
        known_only: leave out rows created after the moment asked, or at an unknown one.

    Returns:
        (m,) positions.
    """
    found = np.full(len(asked_us), -1, np.int64)
    if not len(events_us) or not len(asked_us):
        return found
    ranked = np.lexsort((created_us, events_us))  # stable: the file's order decides the rest
    if known_only:
        ranked = ranked[created_us[ranked] != NEVER]
        since = np.maximum(events_us, created_us)[ranked]
        by_since = np.argsort(since, kind="stable")
        # of all rows known so far, the one of the greatest rank
        best = np.maximum.accumulate(by_since)
        since = since[by_since]
    else:
        since, best = events_us[ranked], np.arange(len(ranked))
    at = np.searchsorted(since, asked_us, side="right") - 1
    there = at >= 0
    found[there] = ranked[best[at[there]]]
    if ttl_us is not None:
        found[(found >= 0) & (events_us[found] < asked_us - ttl_us)] = -1
    return found
