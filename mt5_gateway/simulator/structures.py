"""The package's result types: C struct sequences, as tuples with named fields.

They have attributes, ``n_fields``, a constructor that takes one sequence, and ``_asdict()``. They
have neither ``_fields`` nor ``_replace``: they are no named tuples.
"""

from collections.abc import Iterable
from operator import itemgetter
from typing import TYPE_CHECKING, Any, ClassVar, Self

from mt5_gateway import results


class Structure(tuple[Any, ...]):
    """A tuple whose places have the names of `__match_args__`."""

    __slots__ = ()
    n_fields: ClassVar[int] = 0
    n_sequence_fields: ClassVar[int] = 0
    n_unnamed_fields: ClassVar[int] = 0
    __match_args__: ClassVar[tuple[str, ...]] = ()
    _kinds: ClassVar[tuple[type, ...]] = ()

    def __new__(cls, sequence: Iterable[Any], /) -> Self:
        """Make one from a sequence of all its values."""
        values = tuple(sequence)
        if len(values) != cls.n_fields:
            msg = (
                f"mt5.{cls.__name__}() takes a {cls.n_fields}-sequence"
                f" ({len(values)}-sequence given)"
            )
            raise TypeError(msg)
        return super().__new__(cls, values)

    def __repr__(self) -> str:
        pairs = zip(self.__match_args__, self, strict=True)
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...

    @classmethod
    def with_values(cls, values: dict[str, Any]) -> Self:
        """Make one from named values; the rest is 0, 0.0, "" or False.

        Raises:
            KeyError: it has no field of that name.
        """
        unknown = values.keys() - set(cls.__match_args__)
        if unknown:
            raise KeyError(*unknown)
        kinds = zip(cls.__match_args__, cls._kinds, strict=True)
        return cls(values[name] if name in values else kind() for name, kind in kinds)

    def _asdict(self) -> dict[str, Any]:
        return dict(zip(self.__match_args__, self, strict=True))


def _structure(record: type) -> type[Structure]:
    """Make the type whose fields are the annotations of a record, in their order."""
    names = tuple(record.__annotations__)
    namespace: dict[str, Any] = {
        name: property(itemgetter(place)) for place, name in enumerate(names)
    }
    namespace |= {
        "__slots__": (),
        "__match_args__": names,
        "n_fields": len(names),
        "n_sequence_fields": len(names),
        "_kinds": tuple(record.__annotations__.values()),
        "__doc__": record.__doc__,
    }
    return type(record.__name__, (Structure,), namespace)


Tick = _structure(results.Tick)
SymbolInfo = _structure(results.SymbolInfo)
AccountInfo = _structure(results.AccountInfo)
TerminalInfo = _structure(results.TerminalInfo)
TradePosition = _structure(results.TradePosition)
TradeOrder = _structure(results.TradeOrder)
TradeDeal = _structure(results.TradeDeal)
TradeRequest = _structure(results.TradeRequest)
OrderSendResult = _structure(results.OrderSendResult)
OrderCheckResult = _structure(results.OrderCheckResult)
