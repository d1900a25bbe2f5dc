"""Feeds a trader in order: ticks, reports, permits in; state kept, then messages out.

No I/O of its own: what comes in is added to the inboxes, `advance` does all that can be done now,
and what is to leave goes through two functions that are given.

In lock-step (a replay) the gateway permits ticks up to which nothing happens at the broker. Reports
bear the tick that the broker stood at, so every one is applied where it was applied before: a loop
that restarts without any state takes the same ticks and the same reports in the same order.
"""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from realtime.clock import Clock
from realtime.contracts.control_pb2 import Permit
from realtime.contracts.subjects import ORDERS, Outgoing
from realtime.inbox import Chunk, ReportInbox, TickInbox
from realtime.trader import Trader

_OFFSET_STEP_NS = 10_000_000  # smaller changes of the clocks' offset are not passed on
_CONSUMED = "trade.consumed."
_TURN_S = 0.02  # after which the rest of the program has its turn
_ANEW_NS = 60_000_000_000  # symbols are drained one after the other: older numbers may be newer
_RUN = 128  # live ticks taken in at one and the same moment
#: How long what is no order may wait, so that the state is kept once for all of it.
HOLD_S = 0.005


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a loop in lock-step stands, as it tells the gateway."""

    feed_seq: int
    order_number: int
    report_seq: int


class Driver:
    """Takes a trader through its feed.

    Args:
        trader: with its state restored.
        lockstep: wait for permits; ticks are decided on at their own time.
        clock: for decisions outside of lock-step.
        keep: writes the trader's state together with messages that are about to leave; returns
            these, with what the state has added.
        publish: lets messages leave.
        alert: told of trouble as (severity, code, one line).
    """

    def __init__(
        self,
        trader: Trader,
        *,
        lockstep: bool,
        clock: Clock,
        keep: Callable[[list[Outgoing]], list[Outgoing]],
        publish: Callable[[list[Outgoing]], None],
        alert: Callable[[str, str, str], None],
    ) -> None:
        self.trader = trader
        self.ticks = TickInbox()
        self.reports = ReportInbox()
        self.permit: Permit | None = None
        self.halted = ""
        self.is_muted = False  # warming up: nothing is kept, nothing leaves
        self.late_ns = 0  # of the latest live tick, behind our clock
        self._lockstep = lockstep
        self._clock = clock
        self._keep = keep
        self._publish = publish
        self._alert = alert
        self._strangers: set[str] = set()
        self._offset_ns = 0
        self._max_offset_ns = int(trader.desk["account_limits"]["max_clock_offset_ns"])
        self._is_clock_off = False
        self._held: list[Outgoing] = []
        self._held_since_s = 0.0

    def advance(self) -> bool:
        """Apply reports and take ticks as far as possible; halts on what must not happen.

        Returns:
            Whether there is more to do: to be called again when others have had their turn.
        """
        if self.halted:
            return False
        try:
            has_more = self._advance(time.monotonic() + _TURN_S)
            self._let_out()
        except Exception as error:  # whatever it is, trading must not go on
            logging.getLogger(__name__).debug("halted", exc_info=True)
            self._halt_for(error)
            return False
        return has_more

    def halt(self, why: str) -> None:
        """Trade no more until a restart."""
        if not self.halted:
            self.halted = why
            self._alert("critical", "halted", f"trading is halted: {why}")

    @property
    def standing(self) -> Standing:
        """Where the trader stands."""
        trader = self.trader
        return Standing(trader.feed_seq, trader.order_number, trader.report_seq)

    @property
    def is_at_rest(self) -> bool:
        """Lock-step: whether the gateway must do something before another tick is taken."""
        return self.trader.waiting or self._permitted() <= self.trader.feed_seq

    @property
    def is_over(self) -> bool:
        """Lock-step: whether the last tick of a replay was taken."""
        permit = self.permit
        return (
            permit is not None
            and permit.end
            and not self.trader.waiting
            and self.trader.feed_seq >= permit.through_feed_seq
            and permit.order_number >= self.trader.order_number
        )

    def add(self, chunk: Chunk) -> None:
        """Take note of ticks; halts if their numbers began anew."""
        taken, taken_ns = self.trader.feed_seq, self.trader.tick_ns
        if chunk.end <= taken + 1 and int(chunk.rows["time_ns"][-1]) > taken_ns + _ANEW_NS:
            self.halt(
                f"the numbers of the feed began anew: tick {chunk.end - 1} is newer than tick"
                f" {taken} of the kept state; remove the loop's folder under var, and nothing else"
            )
        self.ticks.add(chunk)

    def obey(self, permit: Permit) -> None:
        """Note how far the gateway lets the loop go."""
        self.permit = permit
        self.ticks.last_seen = max(self.ticks.last_seen, permit.through_feed_seq)
        self.reports.last_seen = max(self.reports.last_seen, permit.report_seq)

    def finish(self) -> None:
        """Write down what is open, and keep the state."""
        if self.halted or self.is_muted:
            return
        try:
            self._let_out(always_keep=True)
        except Exception as error:  # as above
            logging.getLogger(__name__).debug("halted", exc_info=True)
            self._halt_for(error)

    def _halt_for(self, error: Exception) -> None:
        name = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        self.halt(f"{name}{error}")

    @property
    def is_holding(self) -> bool:
        """Whether messages wait: to be advanced again after `HOLD_S`."""
        return bool(self._held)

    # --- one step after the other -------------------------------------------------------------

    def _advance(self, until_s: float) -> bool:
        trader = self.trader
        while True:
            self._apply_reports()
            if trader.waiting:
                return False
            if not self._lockstep and not self.is_muted and self._lacks_reports():
                return False  # on an account that is not ours any more nothing is decided
            chunk = self.ticks.current(trader.feed_seq)
            if chunk is None or self.halted:
                return False
            if self._lockstep:
                end = min(chunk.end, self._permitted() + 1, self._next_event())
            else:
                end = min(chunk.end, trader.feed_seq + 1 + _RUN)
            if end <= trader.feed_seq + 1:
                return False
            has_sent = self._take(chunk, end)
            # An order is on the wire only once the connection has had its turn.
            if (has_sent and not self._lockstep) or time.monotonic() > until_s:
                return True

    def _take(self, chunk: Chunk, end: int) -> bool:
        """Take ticks up to `end`, excluded, or up to one that sends orders; whether one did."""
        if chunk.stranger:
            self._skip(chunk, end)
            return False
        trader, rows, first = self.trader, chunk.rows, chunk.first
        if int(rows["time_ns"][-1]) >= trader.calendar_end_ns:
            self.halt("the calendar of trading sessions ends here: restart the loop to extend it")
            return False
        if not self._lockstep and chunk.is_live:
            self._compare_clocks(int(rows["time_ns"][-1]) - chunk.received_ns)
        start, stop = trader.feed_seq + 1 - first, end - first
        now_ns = 0 if self._lockstep else self._clock.now_ns()  # 0: each one's own time
        if stop - start == 1:
            now_ns = max(now_ns, int(rows["time_ns"][start]))
            trader.take(rows, start, first + start, now_ns, chunk.received_ns)
        else:
            trader.take_run(rows, start, stop, first + start, now_ns, chunk.received_ns)
        return self._let_out()

    def _lacks_reports(self) -> bool:
        return self.reports.last_seen > self.trader.report_seq

    def _apply_reports(self) -> None:
        trader, reports = self.trader, self.reports
        while (report := reports.next(trader.report_seq)) is not None:
            if self._lockstep and not self._is_due(report.feed_seq, report.order_number):
                return
            orders = trader.order_number
            trader.apply(report)
            reports.drop(report.report_seq)
            if trader.order_number != orders:
                self._let_out()

    def _is_due(self, feed_seq: int, order_number: int) -> bool:
        """Whether a report's turn has come: its order is sent, and its tick is at most the next."""
        trader = self.trader
        if order_number > trader.order_number:
            return False
        return trader.waiting or feed_seq <= trader.feed_seq + 1

    def _next_event(self) -> int:
        """Return the tick before which the next report must be applied."""
        report = self.reports.next(self.trader.report_seq)
        if report is None or report.order_number > self.trader.order_number:
            return 1 << 62
        return report.feed_seq

    def _permitted(self) -> int:
        """Return the last tick that may be taken now; 0 if none."""
        permit, trader = self.permit, self.trader
        if permit is None or permit.order_number < trader.order_number:
            return 0  # what was permitted did not reckon with the latest orders
        if not self.reports.has_through(trader.report_seq, permit.report_seq):
            return 0
        return permit.through_feed_seq

    def _skip(self, chunk: Chunk, end: int) -> None:
        if chunk.stranger not in self._strangers:
            self._strangers.add(chunk.stranger)
            self._alert(
                "warning",
                "unknown_symbol",
                f"the feed has ticks of {chunk.stranger}, which is not in trade: they are ignored",
            )
        self.trader.skip(end - 1)

    def _compare_clocks(self, offset_ns: int) -> None:
        """Pass on how far the broker's clock is ahead of ours; risk refuses what is too far."""
        self.late_ns = -offset_ns
        if abs(offset_ns - self._offset_ns) < _OFFSET_STEP_NS:
            return
        self._offset_ns = offset_ns
        self.trader.set_clock_offset(offset_ns)
        limit_ns = self._max_offset_ns
        is_off = limit_ns > 0 and abs(offset_ns) > limit_ns
        if is_off and not self._is_clock_off:
            word = "ahead of" if offset_ns > 0 else "behind"
            self._alert(
                "critical",
                "clock_offset",
                f"ticks are {abs(offset_ns) / 1e9:.1f} s {word} this machine's clock: nothing is"
                " opened; set the clock, or [gateway] server_time",
            )
        self._is_clock_off = is_off

    # --- what leaves --------------------------------------------------------------------------

    def _let_out(self, *, always_keep: bool = False) -> bool:
        """Publish what the trader has written, its state kept first; whether an order left.

        A replay in lock-step writes bars, predictions and decisions again as they were, so these
        leave at once; how many ticks a record of consumption covers it does not. Live, a restart
        may decide otherwise: nothing leaves before the state, and records wait for one another.
        """
        outgoing = self.trader.drain()
        if self.is_muted:
            return False
        has_order = any(each.stream == ORDERS for each in outgoing)
        if self._lockstep:
            has_consumed = any(each.subject.startswith(_CONSUMED) for each in outgoing)
            must_keep = always_keep or has_order or has_consumed
        else:
            outgoing = self._hold(outgoing, always=always_keep or has_order)
            must_keep = always_keep or bool(outgoing)
        if must_keep:
            outgoing = self._keep(outgoing)
        if outgoing:
            self._publish(outgoing)
        return has_order

    def _hold(self, outgoing: list[Outgoing], *, always: bool) -> list[Outgoing]:
        """Keep messages until it is time; return those that are to leave now."""
        if outgoing and not self._held:
            self._held_since_s = time.monotonic()
        self._held += outgoing
        if not always and time.monotonic() - self._held_since_s < HOLD_S:
            return []
        held, self._held = self._held, []
        return held
