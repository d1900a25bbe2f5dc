from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class Alert(_message.Message):
    __slots__ = ("severity", "service", "code", "text", "time_ns", "details")
    class DetailsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    severity: str
    service: str
    code: str
    text: str
    time_ns: int
    details: _containers.ScalarMap[str, str]
    def __init__(self, severity: _Optional[str] = ..., service: _Optional[str] = ..., code: _Optional[str] = ..., text: _Optional[str] = ..., time_ns: _Optional[int] = ..., details: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Health(_message.Message):
    __slots__ = ("service", "state", "text", "time_ns", "numbers")
    class NumbersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    SERVICE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_NS_FIELD_NUMBER: _ClassVar[int]
    NUMBERS_FIELD_NUMBER: _ClassVar[int]
    service: str
    state: str
    text: str
    time_ns: int
    numbers: _containers.ScalarMap[str, float]
    def __init__(self, service: _Optional[str] = ..., state: _Optional[str] = ..., text: _Optional[str] = ..., time_ns: _Optional[int] = ..., numbers: _Optional[_Mapping[str, float]] = ...) -> None: ...

class Reached(_message.Message):
    __slots__ = ("account", "feed_seq", "order_number", "report_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    REPORT_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: str
    feed_seq: int
    order_number: int
    report_seq: int
    def __init__(self, account: _Optional[str] = ..., feed_seq: _Optional[int] = ..., order_number: _Optional[int] = ..., report_seq: _Optional[int] = ...) -> None: ...

class Permit(_message.Message):
    __slots__ = ("account", "through_feed_seq", "report_seq", "order_number", "end")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    REPORT_SEQ_FIELD_NUMBER: _ClassVar[int]
    ORDER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    account: str
    through_feed_seq: int
    report_seq: int
    order_number: int
    end: bool
    def __init__(self, account: _Optional[str] = ..., through_feed_seq: _Optional[int] = ..., report_seq: _Optional[int] = ..., order_number: _Optional[int] = ..., end: _Optional[bool] = ...) -> None: ...

class Command(_message.Message):
    __slots__ = ("verb", "argument", "operator")
    VERB_FIELD_NUMBER: _ClassVar[int]
    ARGUMENT_FIELD_NUMBER: _ClassVar[int]
    OPERATOR_FIELD_NUMBER: _ClassVar[int]
    verb: str
    argument: str
    operator: str
    def __init__(self, verb: _Optional[str] = ..., argument: _Optional[str] = ..., operator: _Optional[str] = ...) -> None: ...

class Answer(_message.Message):
    __slots__ = ("done", "text")
    DONE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    done: bool
    text: str
    def __init__(self, done: _Optional[bool] = ..., text: _Optional[str] = ...) -> None: ...
