from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class OrderRequest(_message.Message):
    __slots__ = ("client_order_id", "account", "symbol", "number", "type", "filling", "volume_lots", "price", "stop_loss", "take_profit", "position_id", "magic", "decision_code", "risk_code", "created_ns", "valid_until_ns", "feed_seq", "decision_number", "bundle_id", "slippage_points", "tick_ns", "received_ns", "decided_ns", "sent_ns")
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    FILLING_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    MAGIC_FIELD_NUMBER: _ClassVar[int]
    DECISION_CODE_FIELD_NUMBER: _ClassVar[int]
    RISK_CODE_FIELD_NUMBER: _ClassVar[int]
    CREATED_NS_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_NS_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    DECISION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    SLIPPAGE_POINTS_FIELD_NUMBER: _ClassVar[int]
    TICK_NS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    DECIDED_NS_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    client_order_id: str
    account: str
    symbol: str
    number: int
    type: int
    filling: int
    volume_lots: float
    price: float
    stop_loss: float
    take_profit: float
    position_id: int
    magic: int
    decision_code: int
    risk_code: int
    created_ns: int
    valid_until_ns: int
    feed_seq: int
    decision_number: int
    bundle_id: str
    slippage_points: int
    tick_ns: int
    received_ns: int
    decided_ns: int
    sent_ns: int
    def __init__(self, client_order_id: _Optional[str] = ..., account: _Optional[str] = ..., symbol: _Optional[str] = ..., number: _Optional[int] = ..., type: _Optional[int] = ..., filling: _Optional[int] = ..., volume_lots: _Optional[float] = ..., price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., position_id: _Optional[int] = ..., magic: _Optional[int] = ..., decision_code: _Optional[int] = ..., risk_code: _Optional[int] = ..., created_ns: _Optional[int] = ..., valid_until_ns: _Optional[int] = ..., feed_seq: _Optional[int] = ..., decision_number: _Optional[int] = ..., bundle_id: _Optional[str] = ..., slippage_points: _Optional[int] = ..., tick_ns: _Optional[int] = ..., received_ns: _Optional[int] = ..., decided_ns: _Optional[int] = ..., sent_ns: _Optional[int] = ...) -> None: ...

class Deal(_message.Message):
    __slots__ = ("ticket", "order_ticket", "position_id", "symbol", "time_ns", "side", "entry", "reason", "volume_lots", "price", "profit", "swap", "commission", "magic", "comment")
    TICKET_FIELD_NUMBER: _ClassVar[int]
    ORDER_TICKET_FIELD_NUMBER: _ClassVar[int]
    POSITION_ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ENTRY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    PROFIT_FIELD_NUMBER: _ClassVar[int]
    SWAP_FIELD_NUMBER: _ClassVar[int]
    COMMISSION_FIELD_NUMBER: _ClassVar[int]
    MAGIC_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    ticket: int
    order_ticket: int
    position_id: int
    symbol: str
    time_ns: int
    side: int
    entry: int
    reason: int
    volume_lots: float
    price: float
    profit: float
    swap: float
    commission: float
    magic: int
    comment: str
    def __init__(self, ticket: _Optional[int] = ..., order_ticket: _Optional[int] = ..., position_id: _Optional[int] = ..., symbol: _Optional[str] = ..., time_ns: _Optional[int] = ..., side: _Optional[int] = ..., entry: _Optional[int] = ..., reason: _Optional[int] = ..., volume_lots: _Optional[float] = ..., price: _Optional[float] = ..., profit: _Optional[float] = ..., swap: _Optional[float] = ..., commission: _Optional[float] = ..., magic: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class Position(_message.Message):
    __slots__ = ("id", "symbol", "side", "open_ns", "volume_lots", "open_price", "stop_loss", "take_profit", "swap", "profit", "magic", "comment")
    ID_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    OPEN_NS_FIELD_NUMBER: _ClassVar[int]
    VOLUME_LOTS_FIELD_NUMBER: _ClassVar[int]
    OPEN_PRICE_FIELD_NUMBER: _ClassVar[int]
    STOP_LOSS_FIELD_NUMBER: _ClassVar[int]
    TAKE_PROFIT_FIELD_NUMBER: _ClassVar[int]
    SWAP_FIELD_NUMBER: _ClassVar[int]
    PROFIT_FIELD_NUMBER: _ClassVar[int]
    MAGIC_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    id: int
    symbol: str
    side: int
    open_ns: int
    volume_lots: float
    open_price: float
    stop_loss: float
    take_profit: float
    swap: float
    profit: float
    magic: int
    comment: str
    def __init__(self, id: _Optional[int] = ..., symbol: _Optional[str] = ..., side: _Optional[int] = ..., open_ns: _Optional[int] = ..., volume_lots: _Optional[float] = ..., open_price: _Optional[float] = ..., stop_loss: _Optional[float] = ..., take_profit: _Optional[float] = ..., swap: _Optional[float] = ..., profit: _Optional[float] = ..., magic: _Optional[int] = ..., comment: _Optional[str] = ...) -> None: ...

class AccountState(_message.Message):
    __slots__ = ("currency", "balance", "credit", "equity", "margin", "leverage", "mode", "positions", "time_ns")
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    BALANCE_FIELD_NUMBER: _ClassVar[int]
    CREDIT_FIELD_NUMBER: _ClassVar[int]
    EQUITY_FIELD_NUMBER: _ClassVar[int]
    MARGIN_FIELD_NUMBER: _ClassVar[int]
    LEVERAGE_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    POSITIONS_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    currency: str
    balance: float
    credit: float
    equity: float
    margin: float
    leverage: float
    mode: int
    positions: _containers.RepeatedCompositeFieldContainer[Position]
    time_ns: int
    def __init__(self, currency: _Optional[str] = ..., balance: _Optional[float] = ..., credit: _Optional[float] = ..., equity: _Optional[float] = ..., margin: _Optional[float] = ..., leverage: _Optional[float] = ..., mode: _Optional[int] = ..., positions: _Optional[_Iterable[_Union[Position, _Mapping]]] = ..., time_ns: _Optional[int] = ...) -> None: ...

class ExecutionReport(_message.Message):
    __slots__ = ("account", "report_seq", "client_order_id", "state", "retcode", "comment", "order_ticket", "filled_lots", "deals", "account_state", "feed_seq", "time_ns", "symbol", "received_ns", "sent_ns", "answered_ns", "published_ns", "order_number")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    REPORT_SEQ_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ORDER_ID_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    RETCODE_FIELD_NUMBER: _ClassVar[int]
    COMMENT_FIELD_NUMBER: _ClassVar[int]
    ORDER_TICKET_FIELD_NUMBER: _ClassVar[int]
    FILLED_LOTS_FIELD_NUMBER: _ClassVar[int]
    DEALS_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_STATE_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    SENT_NS_FIELD_NUMBER: _ClassVar[int]
    ANSWERED_NS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_NS_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    account: str
    report_seq: int
    client_order_id: str
    state: int
    retcode: int
    comment: str
    order_ticket: int
    filled_lots: float
    deals: _containers.RepeatedCompositeFieldContainer[Deal]
    account_state: AccountState
    feed_seq: int
    time_ns: int
    symbol: str
    received_ns: int
    sent_ns: int
    answered_ns: int
    published_ns: int
    order_number: int
    def __init__(self, account: _Optional[str] = ..., report_seq: _Optional[int] = ..., client_order_id: _Optional[str] = ..., state: _Optional[int] = ..., retcode: _Optional[int] = ..., comment: _Optional[str] = ..., order_ticket: _Optional[int] = ..., filled_lots: _Optional[float] = ..., deals: _Optional[_Iterable[_Union[Deal, _Mapping]]] = ..., account_state: _Optional[_Union[AccountState, _Mapping]] = ..., feed_seq: _Optional[int] = ..., time_ns: _Optional[int] = ..., symbol: _Optional[str] = ..., received_ns: _Optional[int] = ..., sent_ns: _Optional[int] = ..., answered_ns: _Optional[int] = ..., published_ns: _Optional[int] = ..., order_number: _Optional[int] = ...) -> None: ...
