"""What a loop took in and when, put together from its Consumed messages."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from realtime.contracts.predictions_pb2 import Consumed


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """One account's consumption, tick by tick.

    Attributes:
        first: feed_seq of the first tick that was told of.
        last: of the last one without a gap before it.
        offsets_ns: (last - first + 1,) the moment passed to the kernels minus the tick's time.
        reports: after which tick each report was applied, by report_seq.
        swaps: (feed_seq, symbol, bundle id): put in force after that tick, in order.
        bundles: bundle id by symbol in force at the first tick.
        torn: feed_seq at which the loop went on without a past, or ticks are missing; 0 = nowhere.
    """

    first: int
    last: int
    offsets_ns: NDArray[np.int64]
    reports: dict[int, int]
    swaps: tuple[tuple[int, str, str], ...]
    bundles: dict[str, str]
    torn: int

    @property
    def is_at_tick_time(self) -> bool:
        """Whether every decision was taken at the time of its tick, as in lock-step."""
        return not self.offsets_ns.any()

    def reports_after(self) -> dict[int, list[int]]:
        """Return the reports that were applied after each tick, in order."""
        found: dict[int, list[int]] = {}
        for report_seq, feed_seq in sorted(self.reports.items()):
            found.setdefault(feed_seq, []).append(report_seq)
        return found


def timeline(consumed: Sequence[Consumed]) -> Timeline | None:
    """Put messages together; None if they tell of no tick.

    Args:
        consumed: in the order of the feed; parts that overlap have been cut.
    """
    told = [message for message in consumed if message.now_minus_tick_ns]
    if not told:
        return None
    first = told[0].first_feed_seq
    expected, torn = first, 0
    offsets: list[NDArray[np.int64]] = []
    for message in told:
        if message.first_feed_seq != expected:
            torn = message.first_feed_seq
            break
        offsets.append(np.array(message.now_minus_tick_ns, np.int64))
        expected += len(message.now_minus_tick_ns)
    last = expected - 1
    reports: dict[int, int] = {}
    swaps: list[tuple[int, str, str]] = []
    bundles = bundles_of(told[0].bundle_ids)
    force = dict(bundles)
    for message in consumed:
        if message.first_feed_seq > last + 1:
            break
        for report_seq, feed_seq in zip(
            message.report_seq, message.report_after_feed_seq, strict=False
        ):
            reports.setdefault(report_seq, feed_seq)
        begun = bundles_of(message.bundle_ids)
        named = [(message.first_feed_seq - 1, *each) for each in begun.items()]
        pairs = zip(message.swapped_after_feed_seq, message.swapped_bundle, strict=False)
        named += [(after, *_swap_of(text)) for after, text in pairs]
        for feed_seq, symbol, bundle in named:
            if force.get(symbol) != bundle:
                force[symbol] = bundle
                swaps.append((feed_seq, symbol, bundle))
    return Timeline(
        first=first,
        last=last,
        offsets_ns=np.concatenate(offsets),
        reports=reports,
        swaps=tuple(swaps),
        bundles=bundles,
        torn=torn,
    )


def bundles_of(text: str) -> dict[str, str]:
    """Read ``SYMBOL=BUNDLE,SYMBOL=BUNDLE``."""
    return dict(_swap_of(each) for each in text.split(",") if each)


def _swap_of(text: str) -> tuple[str, str]:
    symbol, _, bundle = text.rpartition("=")
    return symbol, bundle
