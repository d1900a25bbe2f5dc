"""Which columns the tables have that are filled row by row, and how an array of them is named."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table as the recorder fills it.

    Attributes:
        name: in the database.
        columns: PostgreSQL's type by name. Those of messages are called as their fields.
        key: columns that, with the account, say which row is meant when a message comes twice.
        identity: a column that differs if two messages of one key are not the same message.
    """

    name: str
    columns: Mapping[str, str]
    key: tuple[str, ...] = ()
    identity: str = ""


def _columns(**groups: str) -> dict[str, str]:
    """Return types by column from columns by type."""
    return {name: kind for kind, names in groups.items() for name in names.split()}


QUARANTINE = Table(
    name="quarantine",
    columns=_columns(
        text="account symbol reason",
        int8="number server_ms time_ns flags stream_seq",
        float8="bid ask last volume",
    ),
    key=("account", "symbol", "number"),
    identity="server_ms",
)
BARS = Table(
    name="bars",
    columns=_columns(
        text="account symbol clock",
        int8="seq open_ns end_ns ticks feed_seq stream_seq",
        float8="open high low close spread_mean spread_max volume",
    ),
    key=("account", "symbol", "clock", "seq"),
    identity="open_ns",
)
PREDICTIONS = Table(
    name="predictions",
    columns={
        **_columns(
            text="account symbol bundle_id feature_set",
            int8="number feed_seq now_ns tick_ns received_ns features_ns predicted_ns stream_seq",
            float8="probability",
        ),
        "features": "float8[]",
    },
    key=("account", "number"),
    identity="now_ns",
)
DECISIONS = Table(
    name="decisions",
    columns=_columns(
        text="account symbol bundle_id",
        int8="number feed_seq now_ns decision_code risk_code prediction_number decided_ns"
        " stream_seq",
        float8="probability edge cost target_lots allowed_lots",
    ),
    key=("account", "number"),
    identity="now_ns",
)
REFUSED_ORDERS = Table(
    name="refused_orders",
    columns=_columns(
        text="account symbol",
        int8="decision_number type filling position_id magic decision_code risk_code created_ns"
        " retcode",
        float8="volume_lots price stop_loss take_profit",
        int4="place",
    ),
)
CONSUMED = Table(
    name="consumed",
    columns={
        **_columns(
            text="account bundle_ids",
            int8="number first_feed_seq created_ns stream_seq",
            int4="ticks",
        ),
        "now_minus_tick_ns": "int8[]",
        "report_seq": "int8[]",
        "report_after_feed_seq": "int8[]",
        "swapped_bundle": "text[]",
        "swapped_after_feed_seq": "int8[]",
    },
)
ORDERS = Table(
    name="orders",
    columns=_columns(
        text="account client_order_id symbol bundle_id",
        int8="number type filling position_id magic decision_code risk_code created_ns"
        " valid_until_ns feed_seq decision_number slippage_points tick_ns received_ns decided_ns"
        " sent_ns stream_seq",
        float8="volume_lots price stop_loss take_profit",
    ),
    key=("account", "number"),
    identity="client_order_id",
)
REPORTS = Table(
    name="reports",
    columns=_columns(
        text="account client_order_id symbol comment",
        int8="report_seq order_number state retcode order_ticket feed_seq time_ns received_ns"
        " sent_ns answered_ns published_ns stream_seq",
        float8="filled_lots",
        int4="deals",
    ),
    key=("account", "report_seq"),
    identity="client_order_id",
)
DEALS = Table(
    name="deals",
    columns=_columns(
        text="account symbol comment",
        int8="report_seq ticket order_ticket position_id time_ns entry reason magic",
        float8="volume_lots price profit swap commission",
        int4="place side",
    ),
)
ACCOUNT_STATES = Table(
    name="account_states",
    columns=_columns(
        text="account currency",
        int8="report_seq time_ns mode",
        float8="balance credit equity margin leverage",
        int4="positions",
    ),
)
POSITIONS = Table(
    name="positions",
    columns=_columns(
        text="account symbol comment",
        int8="report_seq position_id open_ns magic",
        float8="volume_lots open_price stop_loss take_profit swap profit",
        int4="place side",
    ),
)
ALERTS = Table(
    name="alerts",
    columns={
        **_columns(int8="created_ns stream_seq time_ns", text="severity service code text"),
        "details": "jsonb",
    },
)
HEALTH = Table(
    name="health",
    columns={
        **_columns(int8="created_ns stream_seq time_ns", text="service state text"),
        "numbers": "jsonb",
    },
)
DEAD_LETTERS = Table(
    name="dead_letters",
    columns={
        **_columns(text="stream subject reason", int8="created_ns stream_seq"),
        "payload": "bytea",
    },
)
