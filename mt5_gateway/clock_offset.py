"""How far the broker's clock is from ours, measured on ticks that have just come.

A tick can be late, never early: of several fresh ones the newest against our clock comes closest to
the truth. Half an hour and more is no slow network but a wrong time zone or a machine without time
synchronisation, and then nothing may be sent: times of orders and bars would all be wrong.
"""

from collections import deque

_SAMPLES = 20
_LEAST = 3
_MS_NS = 1_000_000
_SECOND_NS = 1_000_000_000


class ClockOffset:
    """Broker's clock minus ours.

    Args:
        limit_ns: allowed; 0 = any.
        zone: ``[gateway] server_time``, for the message.
    """

    def __init__(self, limit_ns: int, zone: str) -> None:
        self._limit_ns = limit_ns
        self._zone = zone
        self._samples: deque[int] = deque(maxlen=_SAMPLES)

    def add(self, tick_utc_ms: int, now_ns: int) -> None:
        """Take in the newest tick of a poll that found only fresh ones."""
        self._samples.append(tick_utc_ms * _MS_NS - now_ns)

    @property
    def offset_ns(self) -> int:
        """The offset; 0 before it is known."""
        return max(self._samples) if len(self._samples) >= _LEAST else 0

    def complaint(self) -> str:
        """Say in one line what is wrong; empty if nothing is."""
        offset_ns = self.offset_ns
        if self._limit_ns == 0 or abs(offset_ns) <= self._limit_ns:
            return ""
        hours = offset_ns / (3600 * _SECOND_NS)
        amount = f"{hours:+.1f} h" if abs(hours) >= 0.4 else f"{offset_ns / _SECOND_NS:+.1f} s"
        return (
            f"the broker's clock is {amount} off ours: set [gateway] server_time (now"
            f" {self._zone!r}), or this machine's clock; no orders are sent"
        )
