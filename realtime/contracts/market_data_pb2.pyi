from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Ticks(_message.Message):
    __slots__ = ("symbol", "account", "first_seq", "first_feed_seq", "time_ns", "bid", "ask", "last", "volume", "flags", "drained_ns", "published_ns", "last_server_ms", "taken_of_last_ms")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FIRST_SEQ_FIELD_NUMBER: _ClassVar[int]
    FIRST_FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    DRAINED_NS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_NS_FIELD_NUMBER: _ClassVar[int]
    LAST_SERVER_MS_FIELD_NUMBER: _ClassVar[int]
    TAKEN_OF_LAST_MS_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    account: str
    first_seq: int
    first_feed_seq: int
    time_ns: _containers.RepeatedScalarFieldContainer[int]
    bid: _containers.RepeatedScalarFieldContainer[float]
    ask: _containers.RepeatedScalarFieldContainer[float]
    last: _containers.RepeatedScalarFieldContainer[float]
    volume: _containers.RepeatedScalarFieldContainer[float]
    flags: _containers.RepeatedScalarFieldContainer[int]
    drained_ns: int
    published_ns: int
    last_server_ms: int
    taken_of_last_ms: int
    def __init__(self, symbol: _Optional[str] = ..., account: _Optional[str] = ..., first_seq: _Optional[int] = ..., first_feed_seq: _Optional[int] = ..., time_ns: _Optional[_Iterable[int]] = ..., bid: _Optional[_Iterable[float]] = ..., ask: _Optional[_Iterable[float]] = ..., last: _Optional[_Iterable[float]] = ..., volume: _Optional[_Iterable[float]] = ..., flags: _Optional[_Iterable[int]] = ..., drained_ns: _Optional[int] = ..., published_ns: _Optional[int] = ..., last_server_ms: _Optional[int] = ..., taken_of_last_ms: _Optional[int] = ...) -> None: ...

class Bar(_message.Message):
    __slots__ = ("symbol", "clock", "seq", "open_ns", "end_ns", "open", "high", "low", "close", "spread_mean", "spread_max", "volume", "ticks", "feed_seq", "account")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CLOCK_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    OPEN_NS_FIELD_NUMBER: _ClassVar[int]
    END_NS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    HIGH_FIELD_NUMBER: _ClassVar[int]
    LOW_FIELD_NUMBER: _ClassVar[int]
    CLOSE_FIELD_NUMBER: _ClassVar[int]
    SPREAD_MEAN_FIELD_NUMBER: _ClassVar[int]
    SPREAD_MAX_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    TICKS_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    clock: str
    seq: int
    open_ns: int
    end_ns: int
    open: float
    high: float
    low: float
    close: float
    spread_mean: float
    spread_max: float
    volume: float
    ticks: int
    feed_seq: int
    account: str
    def __init__(self, symbol: _Optional[str] = ..., clock: _Optional[str] = ..., seq: _Optional[int] = ..., open_ns: _Optional[int] = ..., end_ns: _Optional[int] = ..., open: _Optional[float] = ..., high: _Optional[float] = ..., low: _Optional[float] = ..., close: _Optional[float] = ..., spread_mean: _Optional[float] = ..., spread_max: _Optional[float] = ..., volume: _Optional[float] = ..., ticks: _Optional[int] = ..., feed_seq: _Optional[int] = ..., account: _Optional[str] = ...) -> None: ...

class QuarantinedTick(_message.Message):
    __slots__ = ("symbol", "account", "server_ms", "time_ns", "bid", "ask", "last", "volume", "flags", "reason", "number")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SERVER_MS_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    LAST_FIELD_NUMBER: _ClassVar[int]
    VOLUME_FIELD_NUMBER: _ClassVar[int]
    FLAGS_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    account: str
    server_ms: int
    time_ns: int
    bid: float
    ask: float
    last: float
    volume: float
    flags: int
    reason: str
    number: int
    def __init__(self, symbol: _Optional[str] = ..., account: _Optional[str] = ..., server_ms: _Optional[int] = ..., time_ns: _Optional[int] = ..., bid: _Optional[float] = ..., ask: _Optional[float] = ..., last: _Optional[float] = ..., volume: _Optional[float] = ..., flags: _Optional[int] = ..., reason: _Optional[str] = ..., number: _Optional[int] = ...) -> None: ...
