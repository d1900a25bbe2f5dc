"""Why a run failed, in one line."""

import re
from collections.abc import Iterable
from typing import Any

_WRAPPERS = "Dagster"


def first_reason(events: Iterable[Any]) -> str:
    """Return what the first failed step raised, without the wrapping; empty if none did.

    Args:
        events: of failed steps.
    """
    for event in events:
        error = event.step_failure_data.error
        while error is not None and error.cause is not None and _is_wrapper(error):
            error = error.cause
        if error is not None:
            message = " ".join(error.message.split())
            return re.sub(rf"^[\w.]*\b{re.escape(str(error.cls_name))}: ", "", message)
    return ""


def _is_wrapper(error: Any) -> bool:
    return str(error.cls_name).startswith(_WRAPPERS)
