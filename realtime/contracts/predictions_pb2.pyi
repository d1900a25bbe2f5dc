from realtime.contracts import orders_pb2 as _orders_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Prediction(_message.Message):
    __slots__ = ("account", "symbol", "number", "feed_seq", "now_ns", "bundle_id", "feature_set", "probability", "features", "tick_ns", "received_ns", "features_ns", "predicted_ns")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    FEATURE_SET_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    TICK_NS_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_NS_FIELD_NUMBER: _ClassVar[int]
    FEATURES_NS_FIELD_NUMBER: _ClassVar[int]
    PREDICTED_NS_FIELD_NUMBER: _ClassVar[int]
    account: str
    symbol: str
    number: int
    feed_seq: int
    now_ns: int
    bundle_id: str
    feature_set: str
    probability: float
    features: _containers.RepeatedScalarFieldContainer[float]
    tick_ns: int
    received_ns: int
    features_ns: int
    predicted_ns: int
    def __init__(self, account: _Optional[str] = ..., symbol: _Optional[str] = ..., number: _Optional[int] = ..., feed_seq: _Optional[int] = ..., now_ns: _Optional[int] = ..., bundle_id: _Optional[str] = ..., feature_set: _Optional[str] = ..., probability: _Optional[float] = ..., features: _Optional[_Iterable[float]] = ..., tick_ns: _Optional[int] = ..., received_ns: _Optional[int] = ..., features_ns: _Optional[int] = ..., predicted_ns: _Optional[int] = ...) -> None: ...

class Decision(_message.Message):
    __slots__ = ("account", "symbol", "number", "feed_seq", "now_ns", "probability", "edge", "cost", "target_lots", "allowed_lots", "decision_code", "risk_code", "bundle_id", "prediction_number", "decided_ns", "refused", "refused_retcode")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    NOW_NS_FIELD_NUMBER: _ClassVar[int]
    PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    EDGE_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    TARGET_LOTS_FIELD_NUMBER: _ClassVar[int]
    ALLOWED_LOTS_FIELD_NUMBER: _ClassVar[int]
    DECISION_CODE_FIELD_NUMBER: _ClassVar[int]
    RISK_CODE_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_NUMBER_FIELD_NUMBER: _ClassVar[int]
    DECIDED_NS_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    REFUSED_RETCODE_FIELD_NUMBER: _ClassVar[int]
    account: str
    symbol: str
    number: int
    feed_seq: int
    now_ns: int
    probability: float
    edge: float
    cost: float
    target_lots: float
    allowed_lots: float
    decision_code: int
    risk_code: int
    bundle_id: str
    prediction_number: int
    decided_ns: int
    refused: _containers.RepeatedCompositeFieldContainer[_orders_pb2.OrderRequest]
    refused_retcode: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, account: _Optional[str] = ..., symbol: _Optional[str] = ..., number: _Optional[int] = ..., feed_seq: _Optional[int] = ..., now_ns: _Optional[int] = ..., probability: _Optional[float] = ..., edge: _Optional[float] = ..., cost: _Optional[float] = ..., target_lots: _Optional[float] = ..., allowed_lots: _Optional[float] = ..., decision_code: _Optional[int] = ..., risk_code: _Optional[int] = ..., bundle_id: _Optional[str] = ..., prediction_number: _Optional[int] = ..., decided_ns: _Optional[int] = ..., refused: _Optional[_Iterable[_Union[_orders_pb2.OrderRequest, _Mapping]]] = ..., refused_retcode: _Optional[_Iterable[int]] = ...) -> None: ...

class Consumed(_message.Message):
    __slots__ = ("account", "number", "first_feed_seq", "now_minus_tick_ns", "bundle_ids", "report_seq", "report_after_feed_seq", "swapped_bundle", "swapped_after_feed_seq")
    ACCOUNT_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    FIRST_FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    NOW_MINUS_TICK_NS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_IDS_FIELD_NUMBER: _ClassVar[int]
    REPORT_SEQ_FIELD_NUMBER: _ClassVar[int]
    REPORT_AFTER_FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    SWAPPED_BUNDLE_FIELD_NUMBER: _ClassVar[int]
    SWAPPED_AFTER_FEED_SEQ_FIELD_NUMBER: _ClassVar[int]
    account: str
    number: int
    first_feed_seq: int
    now_minus_tick_ns: _containers.RepeatedScalarFieldContainer[int]
    bundle_ids: str
    report_seq: _containers.RepeatedScalarFieldContainer[int]
    report_after_feed_seq: _containers.RepeatedScalarFieldContainer[int]
    swapped_bundle: _containers.RepeatedScalarFieldContainer[str]
    swapped_after_feed_seq: _containers.RepeatedScalarFieldContainer[int]
    def __init__(self, account: _Optional[str] = ..., number: _Optional[int] = ..., first_feed_seq: _Optional[int] = ..., now_minus_tick_ns: _Optional[_Iterable[int]] = ..., bundle_ids: _Optional[str] = ..., report_seq: _Optional[_Iterable[int]] = ..., report_after_feed_seq: _Optional[_Iterable[int]] = ..., swapped_bundle: _Optional[_Iterable[str]] = ..., swapped_after_feed_seq: _Optional[_Iterable[int]] = ...) -> None: ...
