"""What must survive a kill -9 of the gateway: orders before they are sent, reports before they are.

One JSON object a line, appended before the thing it is about is done; the system keeps what was
written when the process dies, and with `durable` also when the power goes. A last line without its
end was cut off by a kill and is dropped; what it announced was not begun. Kinds:

- ``account``: login and server that this gateway works for, for ever;
- ``seen``: deals that are older than the gateway's first start, and not for it to report;
- ``intent``: an order is about to be sent (with all of the request);
- ``report``: a report is about to be published (with all of it).
"""

import base64
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mt5_gateway.errors import JournalDamaged
from realtime.contracts.orders_pb2 import ExecutionReport, OrderRequest

_ROTATE_BYTES = 32 * 1024 * 1024
_KEPT = 4_096  # intents and reports that a rotation keeps


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
    """

    account: Account | None = None
    seen: list[int] | None = None
    begun_s: int = 0
    intents: dict[int, OrderRequest] = field(default_factory=dict[int, OrderRequest])
    intent_ns: dict[int, int] = field(default_factory=dict[int, int])
    reports: dict[int, ExecutionReport] = field(default_factory=dict[int, ExecutionReport])


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
        self._path = path
        self._durable = durable
        self.recorded = Recorded()
        kept = self._read()
        if path.exists() and path.stat().st_size > _ROTATE_BYTES:
            kept = self._rotate()
        self._file = path.open("r+b" if path.exists() else "w+b", buffering=0)
        self._file.truncate(kept)
        self._file.seek(kept)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def write_account(self, account: Account) -> None:
        """Bind the journal to an account."""
        self._write(_account(account))
        self.recorded.account = account

    def write_seen(self, tickets: list[int], begun_s: int) -> None:
        """Note the deals that were there before the first start, and when that was."""
        self._write({"kind": "seen", "deals": tickets, "begun_s": begun_s})
        self.recorded.seen, self.recorded.begun_s = tickets, begun_s

    def write_intent(self, order: OrderRequest, now_ns: int) -> None:
        """Note that an order is about to be sent."""
        self._write(_intent(order, now_ns))
        if self._durable:
            os.fsync(self._file.fileno())
        self.recorded.intents[order.number] = order
        self.recorded.intent_ns[order.number] = now_ns

    def write_report(self, report: ExecutionReport) -> None:
        """Note that a report is about to be published."""
        self._write(_report(report))
        self.recorded.reports[report.report_seq] = report

    def _write(self, entry: dict[str, Any]) -> None:
        self._file.write(json.dumps(entry, separators=(",", ":")).encode() + b"\n")

    def _read(self) -> int:
        """Read everything; return how many bytes are whole lines."""
        try:
            data = self._path.read_bytes()
        except FileNotFoundError:
            return 0
        whole = data.rfind(b"\n") + 1
        for number, line in enumerate(data[:whole].splitlines(), 1):
            try:
                self._take(json.loads(line))
            except (ValueError, KeyError, TypeError) as error:
                msg = (
                    f"{self._path}, line {number} cannot be read ({error}): the gateway does not"
                    " start, because it could send an order twice; restore the file, or check at"
                    " the broker that nothing is open, then remove it"
                )
                raise JournalDamaged(msg) from error
        return whole

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
                recorded.reports[report.report_seq] = report
            case kind:
                msg = f"unknown kind {kind!r}"
                raise ValueError(msg)

    def _rotate(self) -> int:
        """Write the latest entries to a new file, in the place of the old one."""
        recorded = self.recorded
        entries: list[dict[str, Any]] = []
        if recorded.account is not None:
            entries.append(_account(recorded.account))
        if recorded.seen is not None:
            seen, begun_s = recorded.seen, recorded.begun_s
            entries.append({"kind": "seen", "deals": seen, "begun_s": begun_s})
        for number, order in list(recorded.intents.items())[-_KEPT:]:
            entries.append(_intent(order, recorded.intent_ns[number]))
        entries += [_report(report) for report in list(recorded.reports.values())[-_KEPT:]]
        text = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in entries)
        fresh = self._path.with_suffix(".new")
        with fresh.open("wb") as file:
            file.write(text.encode())
            os.fsync(file.fileno())
        fresh.replace(self._path)
        return len(text.encode())


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
