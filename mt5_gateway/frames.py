"""What the gateway and its worker say to each other: JSON and raw arrays, never pickle.

A frame is two lengths (4 bytes each, big-endian), then JSON in UTF-8, then the bytes of all arrays
one after the other. A request is ``{"calls": [[name, arguments, keywords], ...], "login": number
or null}``; the answer is ``{"results": [...], "login": number or null}`` with one result a call:

- ``{"value": ..., "error": [code, text]}``: what the package returned (tuples with names have
  become objects) and what its ``last_error`` said right after;
- ``{"array": [kind, bytes], "error": ...}``: ticks or rates, whose bytes follow in order;
- ``{"raised": text}``: the package refused the arguments.

``login`` asks for the calls to be made only if the terminal is logged in to that account; if it is
not, ``results`` is null and ``login`` says who is.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mt5_gateway.results import RATES, TICKS

HEADER = struct.Struct(">II")
_KINDS = {"ticks": TICKS, "rates": RATES}


@dataclass(frozen=True, slots=True)
class Reply:
    """What one call gave.

    Attributes:
        value: plain values: numbers, texts, lists, dicts; an array for ticks and rates; None or
            False if the call failed.
        code: of ``last_error`` right after the call, 1 = success.
        text: of ``last_error``.
        raised: what the package raised, empty if it did not.
    """

    value: Any
    code: int = 1
    text: str = "Success"
    raised: str = ""


def plain(value: Any) -> Any:
    """Turn the package's tuples with names into dicts, all the way down, and tuples into lists."""
    if hasattr(value, "_asdict"):
        return {name: plain(each) for name, each in value._asdict().items()}
    if isinstance(value, (tuple, list)):
        return [plain(each) for each in cast("Sequence[Any]", value)]
    return value


def write_frame(message: dict[str, Any], arrays: Sequence[bytes] = ()) -> bytes:
    """Return a frame as bytes."""
    text = json.dumps(message, separators=(",", ":")).encode()
    return b"".join((HEADER.pack(len(text), sum(map(len, arrays))), text, *arrays))


def write_results(replies: Sequence[Reply]) -> bytes:
    """Return the answer to a request as a frame."""
    results: list[dict[str, Any]] = []
    arrays: list[bytes] = []
    for reply in replies:
        if reply.raised:
            results.append({"raised": reply.raised})
            continue
        error = [reply.code, reply.text]
        if hasattr(reply.value, "dtype"):
            array = cast("NDArray[np.void]", reply.value)
            kind = "ticks" if array.dtype == TICKS else "rates"
            arrays.append(array.tobytes())
            results.append({"array": [kind, len(arrays[-1])], "error": error})
        else:
            results.append({"value": plain(reply.value), "error": error})
    return write_frame({"results": results, "login": None}, arrays)


def read_results(message: dict[str, Any], blob: bytes) -> list[Reply]:
    """Return the replies of an answer; arrays are read-only."""
    replies: list[Reply] = []
    at = 0
    for result in cast("list[dict[str, Any]]", message["results"]):
        if "raised" in result:
            replies.append(Reply(None, -2, result["raised"], result["raised"]))
            continue
        code, text = result["error"]
        if "array" in result:
            kind, size = result["array"]
            array = np.frombuffer(blob, _KINDS[kind], size // _KINDS[kind].itemsize, at)
            at += size
            replies.append(Reply(array, code, text))
        else:
            replies.append(Reply(result["value"], code, text))
    return replies
