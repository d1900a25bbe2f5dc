"""Arguments as the package takes them: what it refuses, and with which words.

The package is strict in places where Python is not: an int is no float, a numpy int no int, None no
value, and a dictionary after an empty ``**{}`` no argument.
"""

import opcode
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from mt5_gateway import constants

_TEXT_LIMIT = 29  # UTF-16 units of a symbol or comment
_PATH_LIMIT = 257
_SECRET_LIMIT = 253
_LARGEST_DATE = (1 << 31) - 1
_U32, _U64 = 1 << 32, 1 << 64
_I32, _I64 = 1 << 31, 1 << 63
_CALL_SPLAT = opcode.opmap["CALL_FUNCTION_EX"]

_FLOATS = ("volume", "price", "stoplimit", "sl", "tp")
_INTEGERS = {
    **dict.fromkeys(("action", "type", "type_filling", "type_time"), (0, _U32)),
    **dict.fromkeys(("magic", "order", "deviation", "position", "position_by"), (0, _U64)),
    "expiration": (-_I64, _I64),
}
_TEXTS = ("symbol", "comment")


class ArgumentError(Exception):
    """The package refuses an argument: the text of its `last_error`."""

    code = constants.RES_E_INVALID_PARAMS


def invalid(name: str) -> ArgumentError:
    """Return the package's error for a named argument."""
    return ArgumentError(f'Invalid "{name}" argument')


def is_integer(value: object) -> bool:
    """Tell whether the package takes a value for an integer: int and its subclasses only."""
    return isinstance(value, int)


def check_text(value: object, name: str, limit: int = _TEXT_LIMIT) -> str:
    """Return a text of at most `limit` UTF-16 units.

    Raises:
        ArgumentError: it is none.
    """
    if not isinstance(value, str) or len(value.encode("utf-16-le", "surrogatepass")) // 2 > limit:
        raise invalid(name)
    return value


def check_integer(value: object, name: str, call: str, bounds: tuple[int, int] = (0, _U64)) -> int:
    """Return an integer.

    Raises:
        ArgumentError: it is none.
        SystemError: out of bounds, as the package does.
    """
    if not isinstance(value, int):
        raise invalid(name)
    if not bounds[0] <= value < bounds[1]:
        raise unset(call)
    return int(value)


def unset(call: str) -> SystemError:
    """Return what Python raises where the package leaves an exception behind its result."""
    return SystemError(f"<built-in function {call}> returned a result with an exception set")


def check_request(fields: Mapping[Any, Any], call: str) -> dict[str, Any]:
    """Return the fields of a trade request that the package passes on; unknown ones it ignores.

    Raises:
        ArgumentError, SystemError: a value it does not take.
    """
    request: dict[str, Any] = {}
    for name, value in fields.items():
        if name in _FLOATS:
            if not isinstance(value, float):
                raise invalid(name)
            request[name] = float(value)
        elif name in _INTEGERS:
            request[name] = check_integer(value, name, call, _INTEGERS[name])
        elif name in _TEXTS:
            request[name] = check_text(value, name)
    return request


def one_request(
    arguments: Sequence[Any], keywords: Mapping[str, Any], call: str, *, splatted: bool
) -> dict[str, Any]:
    """Return the request of ``order_send(request)`` or ``order_send(**fields)``.

    Raises:
        ArgumentError, SystemError: neither form, or a value it does not take.
    """
    if not arguments:
        if not keywords:
            msg = "Invalid number of arguments"
            raise ArgumentError(msg)
        return check_request(keywords, call)
    if keywords or splatted:
        msg = "Unnamed arguments not allowed"
        raise ArgumentError(msg)
    if len(arguments) != 1:
        msg = "Invalid number of arguments"
        raise ArgumentError(msg)
    if not isinstance(arguments[0], dict):
        msg = "Invalid 1st unnamed argument"
        raise ArgumentError(msg)
    return check_request(cast("dict[Any, Any]", arguments[0]), call)


def is_splatted(depth: int) -> bool:
    """Tell whether the caller `depth` frames up passed ``**keywords`` (even empty ones).

    The package sees an empty dictionary of keywords where Python code sees none; who wrote
    ``call(*args, **kwargs)`` is found by looking at the instruction that made the call. What goes
    through C code first (``functools.partial``) counts as its caller's.
    """
    frame = sys._getframe(depth + 1)  # pyright: ignore[reportPrivateUsage] (there is no other way)
    code, at = frame.f_code.co_code, frame.f_lasti
    return code[at] == _CALL_SPLAT and bool(code[at + 1] & 1)


def check_count(arguments: Sequence[Any], least: int, most: int | None = None) -> None:
    """Check how many positional arguments there are.

    Raises:
        ArgumentError: too few or too many.
    """
    if not least <= len(arguments) <= (least if most is None else most):
        msg = "Invalid number of arguments"
        raise ArgumentError(msg)


def server_second(value: object) -> int:
    """Return a date as the package passes it on: whole seconds.

    Raises:
        ArgumentError: neither int, float nor datetime; 0, which is undefined behaviour in the
            package; or beyond 2038-01-19.
    """
    msg = "Invalid arguments"
    if isinstance(value, datetime):
        value = value.timestamp()
    if not isinstance(value, (int, float)):
        raise ArgumentError(msg)
    try:
        second = int(value)
    except (ValueError, OverflowError):
        raise ArgumentError(msg) from None
    if not 0 < second <= _LARGEST_DATE:
        raise ArgumentError(msg)
    return second


def plain_text(value: object, call: str) -> str:
    """Return a positional text. Raises SystemError, as the package, for anything else."""
    if not isinstance(value, str):
        raise unset(call)
    return value


def plain_integer(value: object, call: str) -> int:
    """Return a positional integer of 32 bits. Raises SystemError, as the package, otherwise."""
    index = getattr(value, "__index__", None)
    if index is None or not -_I32 <= int(index()) < _I32:
        raise unset(call)
    return int(index())


def plain_float(value: object, call: str) -> float:
    """Return a positional number. Raises SystemError, as the package, for anything else."""
    if isinstance(value, (str, bytes)) or not hasattr(value, "__float__"):
        if hasattr(value, "__index__"):
            return float(value.__index__())  # type: ignore[attr-defined]
        raise unset(call)
    return float(value.__float__())  # type: ignore[attr-defined]


def connection_options(keywords: Mapping[str, Any], call: str) -> dict[str, Any]:
    """Return login, password, server and timeout; unknown keywords are ignored.

    Raises:
        ArgumentError, SystemError: a value the package does not take.
    """
    options: dict[str, Any] = {}
    for name in ("password", "server"):
        if name in keywords:
            options[name] = check_text(keywords[name], name, _SECRET_LIMIT)
    for name, bounds in (("login", (0, _U64)), ("timeout", (0, _U32))):
        if name in keywords:
            options[name] = check_integer(keywords[name], name, call, bounds)
    return options


def path_text(value: object) -> str:
    """Return a path. Raises ArgumentError."""
    return check_text(value, "path", _PATH_LIMIT)
