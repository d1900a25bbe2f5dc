"""What must survive a kill -9 of the gateway: orders before they are sent, reports before they are.

One JSON object a line, appended before the thing it is about is done; the system keeps what was
written when the process dies, and with `durable` also when the power goes. A last line without its
end was cut off by a kill and is dropped; what it announced was not begun. Before an order is begun
there is room for its report, so that a full disk cannot separate the two. Kinds:

- ``account``: login and server that this gateway works for, for ever;
- ``seen``: deals that are older than the gateway's first start, and not for it to report;
- ``intent``: an order is about to be sent (with all of the request);
- ``report``: a report is about to be published (with all of it);
- ``handled``: every order up to this number was answered, whatever the reports kept here tell.

Of intents and reports the latest are kept, and those of orders that the broker still works on.
"""

import base64
import contextlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mt5_gateway.constants import ORDER_STATE_PLACED
from mt5_gateway.errors import JournalDamaged
from mt5_gateway.line_file import JournalUnwritable, LineFile
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest

_ROTATE_BYTES = 32 * 1024 * 1024
_KEPT = 4_096  # intents and reports that a rotation keeps
_ROOM_BYTES = 256 * 1024  # for what follows an intent: a report carries the whole account
_LONGEST = 4  # or so many times the longest line so far
_INTENT = b'"kind":"intent"'


@dataclass(frozen=True, kw_only=True)
class Account:
    """Whom the gateway works for.

    Attributes:
        login: account number.
        server: broker's server.
    """

    login: int
    server: str


@dataclass(kw_only=True)
class Recorded:
    """What a journal tells.

    Attributes:
        account: None before the first connection.
        seen: tickets of deals before the first start; None before that.
        begun_s: the second of the first start, broker's clock.
        intents: order number to request, in the order of sending.
        intent_ns: order number to when it was sent.
        reports: report number to report.
        handled: highest order number that was answered; None if that is not known.
    """

    account: Account | None = None
    seen: list[int] | None = None
    begun_s: int = 0
    intents: dict[int, OrderRequest] = field(default_factory=dict[int, OrderRequest])
    intent_ns: dict[int, int] = field(default_factory=dict[int, int])
    reports: dict[int, ExecutionReport] = field(default_factory=dict[int, ExecutionReport])
    handled: int | None = None

    def add_report(self, report: ExecutionReport) -> None:
        """Take in a report, and that its order was answered."""
        self.reports[report.report_seq] = report
        if report.order_number > 0:
            self.handled = max(self.handled or 0, report.order_number)


class Journal:
    """A journal on disk.

    Args:
        path: of the file; its folder is made.
        durable: wait for the disk before an order is sent.

    Raises:
        JournalDamaged: a line other than the last cannot be read.
    """

    def __init__(self, path: Path, *, durable: bool) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.recorded = Recorded()
        # Latest reports that no stream has: they are kept, and all of them while that is not known.
        self.unconfirmed: int | None = None
        self._path = path
        self._durable = durable
        self._longest = 0  # bytes of a line
        self._lines = LineFile(path, self._read())
        self._rotate_at = _ROTATE_BYTES

    def close(self) -> None:
        """Close the file."""
        self._lines.close()

    def make_room(self) -> None:
        """See to it that an order's intent and its report can be written.

        Raises:
            JournalUnwritable: they cannot.
        """
        self._rotate_if_long()
        self._lines.make_room(max(_ROOM_BYTES, _LONGEST * self._longest), durable=self._durable)

    def write_account(self, account: Account) -> None:
        """Bind the journal to an account."""
        self._write(_account(account))
        self.recorded.account = account

    def write_seen(self, tickets: list[int], begun_s: int) -> None:
        """Note the deals that were there before the first start, and when that was."""
        self._write({"kind": "seen", "deals": tickets, "begun_s": begun_s})
        self.recorded.seen, self.recorded.begun_s = tickets, begun_s

    def write_handled(self, number: int) -> None:
        """Note that every order up to a number was answered."""
        self._write(_handled(number))
        self.recorded.handled = number

    def write_intent(self, order: OrderRequest, now_ns: int) -> None:
        """Note that an order is about to be sent; only then may it be.

        Raises:
            JournalUnwritable: it is not noted, or there is no room for its report.
        """
        self.make_room()
        self._write(_intent(order, now_ns))
        if self._durable:
            self._lines.sync()
        self.recorded.intents[order.number] = order
        self.recorded.intent_ns[order.number] = now_ns

    def write_report(self, report: ExecutionReport) -> None:
        """Note that a report is about to be published."""
        self._write(_report(report))
        self.recorded.add_report(report)

    def _write(self, entry: dict[str, Any]) -> None:
        line = _line(entry)
        self._lines.append(line)
        self._longest = max(self._longest, len(line))

    def _read(self) -> int:
        """Read everything; return how many bytes are whole lines."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        # No line holds a zero byte: from the first on it is room, or what a power cut left of the
        # lines after the last that was waited for. An intent is waited for.
        zero = data.find(b"\0")
        written = data if zero < 0 else data[:zero]
        whole = written.rfind(b"\n") + 1
        lines = written[:whole].splitlines()
        for number, line in enumerate(lines, 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                raise self._damaged(number, error) from error
            self._longest = max(self._longest, len(line) + 1)
        if _INTENT in data[len(written) :]:
            raise self._damaged(len(lines) + 1, "zeros before an order")
        return whole

    def _damaged(self, number: int, why: object) -> JournalDamaged:
        return JournalDamaged(
            f"{self._path}, line {number} cannot be read ({why}): the gateway does not start,"
            " because it could send an order twice; restore the file, or check at the broker that"
            " nothing is open, then remove it"
        )

    def _take(self, entry: dict[str, Any]) -> None:
        recorded = self.recorded
        match entry["kind"]:
            case "account":
                recorded.account = Account(login=entry["login"], server=entry["server"])
            case "seen":
                recorded.seen = [int(ticket) for ticket in entry["deals"]]
                recorded.begun_s = int(entry["begun_s"])
            case "intent":
                order = OrderRequest.FromString(base64.b64decode(entry["order"]))
                recorded.intents[order.number] = order
                recorded.intent_ns[order.number] = entry["time_ns"]
            case "report":
                report = ExecutionReport.FromString(base64.b64decode(entry["report"]))
                recorded.add_report(report)
            case "handled":
                recorded.handled = max(recorded.handled or 0, int(entry["number"]))
            case kind:
                msg = f"unknown kind {kind!r}"
                raise ValueError(msg)

    # --- kept short ---------------------------------------------------------------------------

    def _rotate_if_long(self) -> None:
        if self.unconfirmed is None or self._lines.end <= self._rotate_at:
            return
        self._trim()
        fresh = self._path.with_suffix(".new")
        try:
            with fresh.open("wb") as file:
                for entry in self._entries():
                    file.write(_line(entry))
                file.flush()
                os.fsync(file.fileno())
                size = file.tell()
        except OSError as error:  # a full disk: the long one is as good, and room is what counts
            logging.getLogger("gateway").warning("%s stays long: %s", self._path, error)
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            self._rotate_at = self._lines.end + _ROTATE_BYTES
            return
        self._take_place(fresh, size)
        self._rotate_at = max(_ROTATE_BYTES, 2 * size)

    def _take_place(self, fresh: Path, size: int) -> None:
        end = self._lines.end
        self._lines.close()  # Windows replaces no open file
        try:
            fresh.replace(self._path)
        except OSError as error:
            self._lines = LineFile(self._path, end)
            msg = f"{self._path} cannot be replaced ({error}): let nothing else have it open"
            raise JournalUnwritable(msg) from error
        self._lines = LineFile(self._path, size)
        if os.name == "posix":  # so that the new name itself survives a power cut
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _trim(self) -> None:
        """Forget what is neither among the latest nor open."""
        recorded = self.recorded
        for number in list(recorded.intents)[:-_KEPT]:
            del recorded.intents[number], recorded.intent_ns[number]
        count = max(_KEPT, self.unconfirmed or 0)
        recorded.reports = latest_reports(recorded.reports, count)

    def _entries(self) -> list[dict[str, Any]]:
        """Return what a rotation keeps, in an order that may be cut anywhere."""
        recorded = self.recorded
        entries: list[dict[str, Any]] = []
        if recorded.account is not None:
            entries.append(_account(recorded.account))
        if recorded.seen is not None:
            seen, begun_s = recorded.seen, recorded.begun_s
            entries.append({"kind": "seen", "deals": seen, "begun_s": begun_s})
        if recorded.handled is not None:
            entries.append(_handled(recorded.handled))
        for number, order in recorded.intents.items():
            entries.append(_intent(order, recorded.intent_ns[number]))
        entries += [_report(report) for report in recorded.reports.values()]
        return entries


def latest_reports(reports: dict[int, ExecutionReport], count: int) -> dict[int, ExecutionReport]:
    """Return the latest reports, and the last one of each order that is still open at the broker.

    Args:
        reports: by number, in the order of telling.
        count: how many of the latest.
    """
    cut = max(len(reports) - count, 0)
    numbers = list(reports)
    last = {report.order_ticket: seq for seq, report in reports.items() if report.order_ticket}
    is_open = {
        seq
        for seq in last.values()
        if reports[seq].state == ORDER_STATE_PLACED and reports[seq].order_number
    }
    kept = [seq for seq in numbers[:cut] if seq in is_open] + numbers[cut:]
    return {seq: reports[seq] for seq in kept}


def _line(entry: dict[str, Any]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _handled(number: int) -> dict[str, Any]:
    return {"kind": "handled", "number": number}


def _account(account: Account) -> dict[str, Any]:
    return {"kind": "account", "login": account.login, "server": account.server}


def _intent(order: OrderRequest, now_ns: int) -> dict[str, Any]:
    payload = base64.b64encode(order.SerializeToString()).decode()
    return {
        "kind": "intent",
        "number": order.number,
        "id": order.client_order_id,
        "time_ns": now_ns,
        "order": payload,
    }


def _report(report: ExecutionReport) -> dict[str, Any]:
    payload = base64.b64encode(report.SerializeToString()).decode()
    return {
        "kind": "report",
        "number": report.report_seq,
        "id": report.client_order_id,
        "report": payload,
    }
