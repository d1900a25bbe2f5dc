"""Execution reports: numbered without gaps, told once, and again until they are recorded.

A report is written to the journal before it is published. At a start, those that the stream does
not hold are published again as they were; numbers go on from the highest of both. What is no report
is said and left out. In memory are the latest, and those of orders that the broker still works on.
"""

from collections.abc import Callable

from google.protobuf.message import DecodeError

from mt5_gateway.journal import Journal, latest_reports
from mt5_gateway.recorded import last_message, read_from, read_tail, say_rubbish
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.contracts.subjects import report_subject, token
from realtime.outbox import Outbox
from realtime.streams import Stored

STREAM = "REPORTS"
WHOLE_ACCOUNT = "ACCOUNT"
_TAIL = 5_000  # messages of the stream that are looked at


class Reports:
    """Publishes the reports of an account.

    Args:
        account: name.
        journal: where they are kept.
        outbox: open.
        clock: the machine's.
        symbols: those that have a subject of their own.
        alert: (severity, code, line).
    """

    def __init__(
        self,
        account: str,
        journal: Journal,
        outbox: Outbox,
        clock: Clock,
        symbols: tuple[str, ...],
        alert: Callable[[str, str, str], None],
    ) -> None:
        self.last_seq = 0
        self.handled = 0  # highest number of an order that was answered before this start
        self.known: dict[int, ExecutionReport] = {}
        self.told: Callable[[ExecutionReport], None] = lambda _: None
        self._account = account
        self._journal = journal
        self._outbox = outbox
        self._clock = clock
        self._symbols = symbols
        self._alert = alert
        self._subject = f"trade.report.{token(account)}.>"

    async def load(self, client: Client) -> None:
        """Find out what was told before, and tell what did not arrive.

        Raises:
            StreamUnreadable: the stream cannot be read.
        """
        newest = await last_message(client, STREAM, self._subject)
        if newest is not None:
            tail = await read_tail(client, STREAM, self._subject, newest, _TAIL)
            read = [self._read(message) for message in tail]
            say_rubbish(self._alert, STREAM, read.count(None))
            self.known = {report.report_seq: report for report in read if report is not None}
        recorded = max(self.known, default=0)
        await self._find_handled(client, 0 if newest is None else newest.seq - _TAIL)
        for seq, report in sorted(self._journal.recorded.reports.items()):
            self.known[seq] = report
            if seq > recorded:
                self._put(report)
        self._journal.unconfirmed = len(self._outbox)
        self.known = dict(sorted(self.known.items()))
        self.last_seq = max(self.known, default=0)

    async def _find_handled(self, client: Client, before: int) -> None:
        """Find the last order that was answered: in the stream if the journal was lost.

        Args:
            client: connected.
            before: position in the stream up to which it was not looked at yet.
        """
        answered = [report for report in self.known.values() if _is_answer(report)]
        recorded = self._journal.recorded.handled
        span = _TAIL
        while recorded is None and not answered and before > 0:
            first = max(before - span + 1, 1)
            read = map(self._read, await read_from(client, STREAM, self._subject, first, before))
            answered = [report for report in read if report is not None and _is_answer(report)]
            before, span = first - 1, 4 * span
        numbers = [report.order_number for report in (*self.known.values(), *answered)]
        self.handled = max(recorded or 0, *numbers, 0)
        if recorded is None:
            self._journal.write_handled(self.handled)

    def _read(self, message: Stored) -> ExecutionReport | None:
        try:
            report = ExecutionReport.FromString(message.payload)
        except DecodeError:
            return None
        return report if report.account == self._account and report.report_seq >= 1 else None

    def publish(self, report: ExecutionReport) -> None:
        """Number a report and publish it."""
        report.account = self._account
        report.report_seq = self.last_seq + 1
        report.published_ns = self._clock.now_ns()
        self._journal.unconfirmed = len(self._outbox)
        self._journal.write_report(report)
        self.last_seq += 1
        self.known[report.report_seq] = report
        if len(self.known) > 2 * _TAIL:
            self.known = latest_reports(self.known, _TAIL)
        self._put(report)
        self.told(report)

    def repeat(self, report: ExecutionReport) -> None:
        """Publish a report again: whoever asks has not heard it."""
        self._put(report)

    def _put(self, report: ExecutionReport) -> None:
        symbol = report.symbol if report.symbol in self._symbols else WHOLE_ACCOUNT
        subject = report_subject(self._account, symbol)
        self._outbox.put(subject, report.SerializeToString(), STREAM)


def _is_answer(report: ExecutionReport) -> bool:
    """Whether a report answers an order when its turn came: others may be about older orders."""
    return report.order_number > 0 and report.received_ns > 0
