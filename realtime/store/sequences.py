"""Numbers without gaps: what has been recorded of them, what is missing, what came twice.

Everything that is numbered belongs to a lane: feed_seq of an account, seq of a symbol, number of
orders. Numbers arrive in order, except where a publisher repeats what it is not sure of: what is at
or below the last one is dropped, unless it fills a gap. Changes are staged, and kept only when the
transaction that holds the rows is.
"""

from dataclasses import dataclass, replace

Lane = tuple[str, str]  # kind and name, as in the table `sequences`


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Numbers that are missing, `first` to `last`; `gap_id` 0 until the database knows it."""

    first: int
    last: int
    gap_id: int = 0


class Sequences:
    """The lanes of one stream.

    Args:
        last: last number recorded, by lane.
        gaps: numbers still missing, by lane, the lowest first.
    """

    def __init__(self, last: dict[Lane, int], gaps: dict[Lane, list[Gap]]) -> None:
        self._last = last
        self._gaps = gaps
        self._staged_last: dict[Lane, int] = {}
        self._staged_gaps: dict[Lane, list[Gap]] = {}

    def last(self, lane: Lane) -> int:
        """Return the last number of a lane; 0 if there is none."""
        staged = self._staged_last.get(lane)
        return self._last.get(lane, 0) if staged is None else staged

    def gaps(self, lane: Lane) -> list[Gap]:
        """Return what a lane misses, the lowest first."""
        staged = self._staged_gaps.get(lane)
        return self._gaps.get(lane, []) if staged is None else staged

    def advance(self, lane: Lane, last: int) -> None:
        """Move on to a number that follows without a gap; the caller has seen to that."""
        self._staged_last[lane] = last

    def admit(self, lane: Lane, first: int, count: int = 1) -> list[tuple[int, int]]:
        """Take numbers in and return the ranges of them that are new, inclusive, in order."""
        end = first + count - 1
        known = self.last(lane)
        admitted = self._fill(lane, first, min(end, known)) if first <= known else []
        if end > known:
            start = max(first, known + 1)
            if start > known + 1:
                self._staged_gaps[lane] = [*self.gaps(lane), Gap(first=known + 1, last=start - 1)]
            admitted.append((start, end))
            self._staged_last[lane] = end
        return admitted

    def changed_lanes(self) -> dict[Lane, int]:
        """Return the last number of every lane that moved since `keep`."""
        return dict(self._staged_last)

    def changed_gaps(self) -> dict[Lane, tuple[list[Gap], list[Gap]]]:
        """Return what every lane missed at the last `keep`, and what it misses now."""
        return {lane: (self._gaps.get(lane, []), now) for lane, now in self._staged_gaps.items()}

    def number_gap(self, lane: Lane, gap: Gap, gap_id: int) -> None:
        """Note under which number the database keeps a gap."""
        self._staged_gaps[lane] = [
            replace(each, gap_id=gap_id) if each == gap else each for each in self.gaps(lane)
        ]

    def keep(self) -> None:
        """Make the staged changes count: their transaction was committed."""
        self._last.update(self._staged_last)
        self._gaps.update(self._staged_gaps)
        self.drop()

    def drop(self) -> None:
        """Forget the staged changes: their transaction was not committed."""
        self._staged_last = {}
        self._staged_gaps = {}

    def _fill(self, lane: Lane, first: int, end: int) -> list[tuple[int, int]]:
        """Take from the gaps of a lane what lies in a range; returns what was missing."""
        filled: list[tuple[int, int]] = []
        left: list[Gap] = []
        for gap in self.gaps(lane):
            low, high = max(gap.first, first), min(gap.last, end)
            if low > high:
                left.append(gap)
                continue
            filled.append((low, high))
            parts = [(gap.first, low - 1), (high + 1, gap.last)]
            kept = [part for part in parts if part[0] <= part[1]]
            for place, (start, stop) in enumerate(kept):
                # The first part keeps the row of the database, a second one gets its own.
                left.append(Gap(first=start, last=stop, gap_id=gap.gap_id if place == 0 else 0))
        if filled:
            self._staged_gaps[lane] = left
        return filled
