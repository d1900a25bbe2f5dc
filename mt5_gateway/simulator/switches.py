"""What an operator, a broker or bad luck does to a terminal: switches, and faults of calls."""

from dataclasses import dataclass, replace

from mt5_gateway.simulator.errors import ControlRefused

#: Switches by the name that `control.switch` takes, and what they are at the start.
SWITCHES = {
    "connected": True,  # the terminal's link to the trade server
    "trade_allowed": True,  # the AutoTrading button
    "tradeapi_disabled": False,  # "Disable algo trading via external Python API"
    "trade_expert": True,  # the server lets programs trade
    "logged_in": True,
}

#: What a fault does to a call.
RETCODE = "retcode"  # order_send and order_check: this return code, nothing is executed
EXECUTED = "executed"  # order_send: executed, yet answered with this return code
ERROR = "error"  # None, and this code in last_error
BROKEN = "broken"  # the connection breaks before the call is executed
LOST = "lost"  # the connection breaks after it
HANG = "hang"  # no answer for so many seconds
FAULTS = (RETCODE, EXECUTED, ERROR, BROKEN, LOST, HANG)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """Something that goes wrong with coming calls.

    Attributes:
        call: name of the call, e.g. ``"order_send"``.
        kind: one of `FAULTS`.
        number: return code, error code, or seconds.
        symbol: only calls about it; "" = all.
        times: how many calls.
    """

    call: str
    kind: str
    number: float = 0
    symbol: str = ""
    times: int = 1


class Operator:
    """Keeps switches and faults."""

    def __init__(self) -> None:
        self.switches = dict(SWITCHES)
        self._faults: list[Fault] = []

    def switch(self, name: str, on: bool) -> None:  # noqa: FBT001
        """Set a switch.

        Raises:
            ControlRefused: there is no such switch.
        """
        if name not in self.switches:
            msg = f"no switch {name!r}: there are {', '.join(SWITCHES)}"
            raise ControlRefused(msg)
        self.switches[name] = on

    def add(self, fault: Fault) -> None:
        """Let something go wrong.

        Raises:
            ControlRefused: there is no such kind of fault.
        """
        if fault.kind not in FAULTS:
            msg = f"no fault {fault.kind!r}: there are {', '.join(FAULTS)}"
            raise ControlRefused(msg)
        self._faults.append(fault)

    def due(self, call: str, symbol: str) -> Fault | None:
        """Return what goes wrong with a call, and count it."""
        for place, fault in enumerate(self._faults):
            if fault.call == call and fault.symbol in ("", symbol):
                if fault.times > 1:
                    self._faults[place] = replace(fault, times=fault.times - 1)
                else:
                    del self._faults[place]
                return fault
        return None
