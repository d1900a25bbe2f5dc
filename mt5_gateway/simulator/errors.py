"""What can go wrong in the simulated terminal and on the way to it."""


class SimulatorError(Exception):
    """The top of them."""


class NotSimulated(SimulatorError, NotImplementedError):
    """The simulated terminal cannot do this yet; the message names it."""


class MarketUnusable(SimulatorError):
    """What was to be replayed cannot be; one line that says what to do."""


class JournalError(SimulatorError):
    """The journal belongs to something else, is damaged, or cannot be read or written."""


class ControlRefused(SimulatorError, ValueError):
    """A control call that makes no sense now."""
