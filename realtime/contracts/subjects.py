"""Every NATS subject, stream, bucket, and who may use it. Nothing else spells a subject.

A symbol or account may hold characters that mean something in a subject (``EURUSD.m``): `token`
writes them as ``%2E``. Users have the least that their service needs; `deploy/local` writes the
server's configuration from `USERS`.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

_KEY = re.compile(r"[A-Za-z0-9_\-]")
_PLAIN = re.compile(r"[A-Za-z0-9_\-#+@!&$]")


class SubjectError(ValueError):
    """A name that cannot be part of a subject."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message that is to be published, and the stream that keeps it."""

    subject: str
    payload: bytes
    stream: str


@lru_cache(maxsize=4096)
def token(name: str) -> str:
    """Return a name as one token of a subject; `name_of` reads it back.

    Raises:
        SubjectError: the name is empty.
    """
    if not name:
        msg = "an empty name cannot be part of a subject"
        raise SubjectError(msg)
    return "".join(
        char if _PLAIN.match(char) else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in name
    )


def key(name: str) -> str:
    """Return a name as one part of a bucket's key: fewer characters than a subject may have."""
    return "".join(
        char if _KEY.match(char) else "".join(f"={byte:02X}" for byte in char.encode())
        for char in name
    )


def name_of(part: str) -> str:
    """Return the name that a token stands for."""
    return unquote(part)


def tick_subject(symbol: str) -> str:
    """Ticks: gateway to loop and recorder."""
    return f"md.tick.{token(symbol)}"


def quarantine_subject(symbol: str) -> str:
    """QuarantinedTick: gateway to recorder."""
    return f"md.quarantine.{token(symbol)}"


def bar_subject(symbol: str, clock: str) -> str:
    """Bar: loop to recorder."""
    return f"md.bar.{token(symbol)}.{token(clock)}"


def prediction_subject(symbol: str) -> str:
    """Prediction: loop to recorder and feature push."""
    return f"ml.prediction.{token(symbol)}"


def decision_subject(symbol: str) -> str:
    """Decision: loop to recorder."""
    return f"trade.decision.{token(symbol)}"


def consumed_subject(account: str) -> str:
    """Consumed: loop to recorder."""
    return f"trade.consumed.{token(account)}"


def order_subject(account: str, symbol: str) -> str:
    """OrderRequest: loop to gateway and recorder."""
    return f"trade.order.{token(account)}.{token(symbol)}"


def report_subject(account: str, symbol: str) -> str:
    """ExecutionReport: gateway to loop and recorder; `symbol` is ACCOUNT where none is meant."""
    return f"trade.report.{token(account)}.{token(symbol)}"


def reached_subject(account: str) -> str:
    """Reached: loop to gateway, in a replay in lock-step."""
    return f"ctl.lockstep.{token(account)}.reached"


def permit_subject(account: str) -> str:
    """Permit: gateway to loop, in a replay in lock-step."""
    return f"ctl.lockstep.{token(account)}.permit"


def command_subject(account: str) -> str:
    """What an operator asks of a loop: plain text, `RESET_DRAWDOWN`."""
    return f"ctl.loop.{token(account)}"


def alert_subject(severity: str) -> str:
    """Alert, by every service."""
    return f"ops.alert.{token(severity)}"


def health_subject(service: str) -> str:
    """Health, by every service."""
    return f"ops.health.{token(service)}"


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A JetStream stream: which subjects it keeps, and for how long.

    Attributes:
        name: as JetStream knows it.
        subjects: kept.
        max_age_days: older messages go; 0 = kept until `max_gib`.
        max_gib: the oldest go beyond this.
    """

    name: str
    subjects: tuple[str, ...]
    max_age_days: int = 0
    max_gib: float = 4.0


# Those that a loop or gateway writes to.
BARS, DECISIONS, ORDERS = "BARS", "DECISIONS", "ORDERS"

STREAMS = (
    Stream(name="TICKS", subjects=("md.tick.>",), max_gib=16),
    Stream(name="QUARANTINE", subjects=("md.quarantine.>",), max_gib=1),
    Stream(name=BARS, subjects=("md.bar.>",)),
    Stream(name=DECISIONS, subjects=("ml.prediction.>", "trade.decision.>", "trade.consumed.>")),
    Stream(name=ORDERS, subjects=("trade.order.>",)),
    Stream(name="REPORTS", subjects=("trade.report.>",)),
    Stream(name="OPS", subjects=("ops.>",), max_age_days=30, max_gib=1),
)

#: Asked of a loop, and the code of the alert that it answers with.
RESET_DRAWDOWN = "drawdown_reset"

CHAMPION_BUCKET = "champion"  # key: symbol token; value: JSON of realtime/champion.py
RISK_BUCKET = "risk"
SWITCH_BUCKET = "switch"
BUCKETS = (CHAMPION_BUCKET, RISK_BUCKET, SWITCH_BUCKET)
MODEL_STORE = "models"  # objects: <bundle id>.tar


@dataclass(frozen=True, kw_only=True)
class User:
    """What one service may do.

    Attributes:
        name: of the NATS user.
        publishes: subjects it may publish to.
        subscribes: subjects it may subscribe to, beside its own inbox ``_INBOX.<name>.>``.
        reads: streams (buckets as ``KV_x``, the object store as ``OBJ_x``) that it may read.
        acknowledges: whether it may keep durable consumers on the streams it reads.
        administers: whether it may create and change streams and buckets.
    """

    name: str
    publishes: tuple[str, ...] = ()
    subscribes: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    acknowledges: bool = False
    administers: bool = False


_ALL = tuple(stream.name for stream in STREAMS)
_MODELS = (f"KV_{CHAMPION_BUCKET}", f"OBJ_{MODEL_STORE}")

USERS = (
    # Makes streams and buckets when the stack starts.
    User(name="setup", administers=True),
    User(
        name="gateway",
        publishes=(
            "md.tick.>", "md.quarantine.>", "trade.report.>", "ctl.lockstep.*.permit", "ops.>",
        ),
        subscribes=("trade.order.>", "ctl.lockstep.*.reached", "ctl.gateway.>"),
        reads=("TICKS", "QUARANTINE", "ORDERS", "REPORTS", f"KV_{SWITCH_BUCKET}"),
    ),
    User(
        name="loop",
        publishes=(
            "md.bar.>", "ml.prediction.>", "trade.decision.>", "trade.consumed.>",
            "trade.order.>", "ctl.lockstep.*.reached", "ops.>",
        ),
        subscribes=("md.tick.>", "trade.report.>", "ctl.lockstep.*.permit", "ctl.loop.>"),
        reads=("TICKS", "BARS", "DECISIONS", "REPORTS", "ORDERS", *_MODELS,
               f"KV_{RISK_BUCKET}", f"KV_{SWITCH_BUCKET}"),
    ),
    User(
        name="recorder", publishes=("ops.>",), reads=_ALL, acknowledges=True,
    ),
    # Reads what was served and hands it to the online feature store.
    User(
        name="push",
        publishes=("ops.>",),
        subscribes=("ml.prediction.>",),
        reads=(f"OBJ_{MODEL_STORE}",),
    ),
    # Promotion: puts bundles, points the champion at them, says when a run failed.
    User(
        name="platform",
        publishes=("ops.>", f"$KV.{CHAMPION_BUCKET}.>", f"$O.{MODEL_STORE}.>"),
        reads=_MODELS,
    ),
    # A person: looks at everything, may command, but cannot forge data or orders.
    User(
        name="operator",
        publishes=("ctl.loop.>", "ctl.gateway.>", f"$KV.{RISK_BUCKET}.>", f"$KV.{SWITCH_BUCKET}.>",
                   f"$KV.{CHAMPION_BUCKET}.>"),
        subscribes=("md.>", "ml.>", "trade.>", "ops.>", "ctl.lockstep.>"),
        reads=(*_ALL, *(f"KV_{bucket}" for bucket in BUCKETS), f"OBJ_{MODEL_STORE}"),
    ),
)  # fmt: skip
