"""What stands in the way of sending orders, outside of a replay."""

from collections.abc import Callable

from mt5_gateway.account_watch import AccountWatch
from mt5_gateway.agreement import Agreement
from mt5_gateway.clock_offset import ClockOffset
from mt5_gateway.constants import (
    ACCOUNT_MARGIN_MODE_RETAIL_HEDGING,
    TRADE_RETCODE_CLIENT_DISABLES_AT,
    TRADE_RETCODE_CONNECTION,
    TRADE_RETCODE_REJECT,
)
from mt5_gateway.executor import is_opening
from mt5_gateway.requests import Refusal
from mt5_gateway.trade_link import NO_LINK, TradeLink
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.switch import KillSwitch

_UNKNOWN_SWITCH = "the kill switch could not be read yet: nothing is opened until it can be"


class Obstacles:
    """Knows why an order may not be sent now.

    Args:
        offset: of the broker's clock.
        kill: the operator's switch.
        watch: knows the positions.
        link: to the trade server.
        agreement: of the broker's account and symbols with ours.
        alert: (severity, code, line).
    """

    def __init__(
        self,
        *,
        offset: ClockOffset,
        kill: KillSwitch,
        watch: AccountWatch,
        link: TradeLink,
        agreement: Agreement,
        alert: Callable[[str, str, str], None],
    ) -> None:
        self._offset = offset
        self._kill = kill
        self._watch = watch
        self._link = link
        self._agreement = agreement
        self._alert = alert
        self._clock_complaint = ""  # as first made: an offset that drifts is no news
        self._is_switch_unknown = False

    def refusal(self, order: OrderRequest) -> Refusal | None:
        """Say why an order may not be sent now, or None."""
        self.check()
        name = f"not sent: order {order.number} ({order.client_order_id})"
        if self._clock_complaint:
            text = f"{name}: {self._offset.complaint()}"
            return Refusal(retcode=TRADE_RETCODE_REJECT, text=text)
        if not self._link.is_up:
            return Refusal(retcode=TRADE_RETCODE_CONNECTION, text=f"{name}: {NO_LINK}")
        return self._refusal_to_open(name) if self._is_opening(order) else None

    def _refusal_to_open(self, name: str) -> Refusal | None:
        if not self._kill.is_known:
            text = f"{name}: {_UNKNOWN_SWITCH}"
            return Refusal(retcode=TRADE_RETCODE_CLIENT_DISABLES_AT, text=text)
        if self._kill.is_on:
            text = f"{name}: the kill switch is on, and it would open a position"
            return Refusal(retcode=TRADE_RETCODE_CLIENT_DISABLES_AT, text=text)
        complaint = self._agreement.complaint()
        if complaint:
            return Refusal(retcode=TRADE_RETCODE_REJECT, text=f"{name}: {complaint}")
        return None

    def _is_opening(self, order: OrderRequest) -> bool:
        """Whether an order makes a position larger, or another one beside it."""
        state = self._watch.state
        if state is not None and state.mode == ACCOUNT_MARGIN_MODE_RETAIL_HEDGING:
            return not order.position_id
        return is_opening(order, self._net_lots(order.symbol))

    def check(self) -> None:
        """Say what came into the way, and what is out of it again."""
        self.check_clock()
        if not self._kill.is_known and not self._is_switch_unknown:
            self._is_switch_unknown = True
            self._alert("critical", "kill_switch_unknown", _UNKNOWN_SWITCH)
        elif self._kill.is_known and self._is_switch_unknown:
            self._is_switch_unknown = False
            self._alert("info", "kill_switch_unknown", "the kill switch can be read again")

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
        if not self._link.is_up:
            return "waiting", NO_LINK
        info = self._link.info
        if not info.get("trade_allowed", True):
            return "halted", "the terminal's AutoTrading button is off: no orders are sent"
        if info.get("tradeapi_disabled", False):
            return "halted", "the terminal's options forbid trading by the Python API"
        if not self._kill.is_known:
            return "halted", _UNKNOWN_SWITCH
        complaint = self._agreement.complaint()
        return ("halted", complaint) if complaint else ("running", "")

    def _net_lots(self, symbol: str) -> float:
        state = self._watch.state
        positions = () if state is None else state.positions
        return sum(each.side * each.volume_lots for each in positions if each.symbol == symbol)
