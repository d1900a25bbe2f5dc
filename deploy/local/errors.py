"""What can go wrong when servers and services are started; each says what to do, in one line."""


class StackError(RuntimeError):
    """The stack, or a part of it, cannot be started or stopped as asked."""


class PortTaken(StackError):
    """Another program listens where a server of ours should."""


class AlreadyRunning(StackError):
    """What should be started is running already."""


class NotStarted(StackError):
    """A program ended, or did not answer in time, while it was being started."""
