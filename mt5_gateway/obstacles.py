"""What stands in the way of sending orders, outside of a replay."""

from collections.abc import Callable, Mapping
from typing import Any

from mt5_gateway.account_watch import AccountWatch
from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.constants import (
    TRADE_RETCODE_CLIENT_DISABLES_AT,
    TRADE_RETCODE_CONNECTION,
    TRADE_RETCODE_REJECT,
)
from mt5_gateway.executor import is_opening
from mt5_gateway.requests import Refusal
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.switch import KillSwitch


class Obstacles:
    """Knows why an order may not be sent now.

    Args:
        offset: of the broker's clock.
        kill: the operator's switch.
        watch: knows the positions.
        alert: (severity, code, line).
    """

    def __init__(
        self,
        *,
        offset: ClockOffset,
        kill: KillSwitch,
        watch: AccountWatch,
        alert: Callable[[str, str, str], None],
    ) -> None:
        self.info: Mapping[str, Any] = {}  # of `terminal_info`, as last seen
        self._offset = offset
        self._kill = kill
        self._watch = watch
        self._alert = alert
        self._clock_complaint = ""  # as first made: an offset that drifts is no news

    def refusal(self, order: OrderRequest) -> Refusal | None:
        """Say why an order may not be sent now, or None."""
        self.check_clock()
        name = f"not sent: order {order.number} ({order.client_order_id})"
        if self._clock_complaint:
            text = f"{name}: {self._offset.complaint()}"
            return Refusal(retcode=TRADE_RETCODE_REJECT, text=text)
        if not self.info.get("connected", True):
            text = f"{name}: the terminal has no link to the trade server"
            return Refusal(retcode=TRADE_RETCODE_CONNECTION, text=text)
        if self._kill.is_on and is_opening(order, self._net_lots(order.symbol)):
            text = f"{name}: the kill switch is on, and it would open a position"
            return Refusal(retcode=TRADE_RETCODE_CLIENT_DISABLES_AT, text=text)
        return None

    def check_clock(self) -> None:
        """Say when the broker's clock goes wrong, and when it is right again."""
        complaint = self._offset.complaint()
        if complaint and not self._clock_complaint:
            self._alert("critical", "clock_offset", complaint)
            self._clock_complaint = complaint
        elif self._clock_complaint and not complaint:
            self._alert("info", "clock_offset", "the broker's clock agrees with ours again")
            self._clock_complaint = ""

    def health(self) -> tuple[str, str]:
        """Return the state of health that they make, and why."""
        if self._clock_complaint:
            return "halted", self._clock_complaint
        if not self.info.get("connected", True):
            return "waiting", "the terminal has no link to the trade server"
        if not self.info.get("trade_allowed", True):
            return "halted", "the terminal's AutoTrading button is off: no orders are sent"
        if self.info.get("tradeapi_disabled", False):
            return "halted", "the terminal's options forbid trading by the Python API"
        return "running", ""

    def _net_lots(self, symbol: str) -> float:
        state = self._watch.state
        positions = () if state is None else state.positions
        return sum(each.side * each.volume_lots for each in positions if each.symbol == symbol)
