"""What can go wrong in the gateway: bugs and broken surroundings. Refusals are codes in reports."""


class GatewayError(RuntimeError):
    """Anything that the gateway cannot go on with; one line."""


class TerminalUnavailable(GatewayError):
    """No answer from the terminal now; nothing of the call reached it. Try again later."""


class WorkerLost(TerminalUnavailable):
    """The worker died, or was killed, during a call: what the call did is unknown."""


class WorkerCannotStart(GatewayError):
    """The process that owns the MetaTrader5 package does not come up: says why."""


class CallRefused(GatewayError):
    """The package refuses the arguments of a call: a bug on our side."""


class WrongAccount(GatewayError):
    """The terminal is logged in to another account than this gateway's."""


class FeedMismatch(GatewayError):
    """The recorded feed is not the one that the terminal tells."""


class JournalDamaged(GatewayError):
    """The journal of orders cannot be read, other than in its last, unfinished line."""
