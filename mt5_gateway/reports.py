"""Execution reports: numbered without gaps, told once, and again until they are recorded.

A report is written to the journal before it is published. At a start, those that the stream does
not hold are published again as they were; numbers go on from the highest of both.
"""

from collections.abc import Callable

from mt5_gateway.journal import Journal
from mt5_gateway.recorded import last_message, read_tail
from realtime.clock import Clock
from realtime.connection import Client
from realtime.contracts.orders_pb2 import ExecutionReport
from realtime.contracts.subjects import report_subject, token
from realtime.outbox import Outbox

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
    """

    def __init__(
        self, account: str, journal: Journal, outbox: Outbox, clock: Clock, symbols: tuple[str, ...]
    ) -> None:
        self.last_seq = 0
        self.known: dict[int, ExecutionReport] = {}
        self.told: Callable[[ExecutionReport], None] = lambda _: None
        self._account = account
        self._journal = journal
        self._outbox = outbox
        self._clock = clock
        self._symbols = symbols

    async def load(self, client: Client) -> None:
        """Find out what was told before, and tell what did not arrive.

        Raises:
            StreamUnreadable: the stream cannot be read.
        """
        subject = f"trade.report.{token(self._account)}.>"
        recorded = 0
        newest = await last_message(client, STREAM, subject)
        if newest is not None:
            for message in await read_tail(client, STREAM, subject, newest, _TAIL):
                report = ExecutionReport.FromString(message.payload)
                self.known[report.report_seq] = report
                recorded = max(recorded, report.report_seq)
        for seq, report in sorted(self._journal.recorded.reports.items()):
            self.known[seq] = report
            if seq > recorded:
                self._put(report)
        self.last_seq = max(self.known, default=0)

    def publish(self, report: ExecutionReport) -> None:
        """Number a report and publish it."""
        report.account = self._account
        report.report_seq = self.last_seq + 1
        report.published_ns = self._clock.now_ns()
        self._journal.write_report(report)
        self.last_seq += 1
        self.known[report.report_seq] = report
        self._put(report)
        self.told(report)

    def repeat(self, report: ExecutionReport) -> None:
        """Publish a report again: whoever asks has not heard it."""
        self._put(report)

    def _put(self, report: ExecutionReport) -> None:
        symbol = report.symbol if report.symbol in self._symbols else WHOLE_ACCOUNT
        subject = report_subject(self._account, symbol)
        self._outbox.put(subject, report.SerializeToString(), STREAM)
