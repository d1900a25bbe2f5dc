"""What the supervisor is told about a part of the stack."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from deploy.local.child import Launch
from deploy.local.errors import StackError


@dataclass(frozen=True, kw_only=True)
class Service:
    """A part of the stack: a program that stays, or work that is done once.

    Attributes:
        name: short, unique.
        needs: names of those that have to be ready before; those that are not started here (a
            server elsewhere) count as ready.
        prepare: makes what it needs and says how it is started; None if that was all.
        check: raises StackError if it could not be started, as for a port that is taken; asked of
            all before the first is started.
        ready: says whether the program answers; is given the moment it was started, UTC ns.
        once: the program is ready when it has ended well.
        start_within_s: until it is ready.
        url: where to look at it; empty = nowhere.
    """

    name: str
    prepare: Callable[[], Launch | None]
    needs: tuple[str, ...] = ()
    check: Callable[[], object] = lambda: None
    ready: Callable[[int], bool] = lambda _since_ns: True
    once: bool = False
    start_within_s: float = 60.0
    url: str = ""


def chosen(services: Sequence[Service], names: Sequence[str]) -> list[Service]:
    """Return services by name with everything that they need, in the order given.

    Args:
        services: all there are.
        names: wanted; empty = all.

    Raises:
        StackError: a name that does not exist.
    """
    by_name = {each.name: each for each in services}
    wanted = set(by_name) if not names else set[str]()
    pending = list(names)
    while pending:
        name = pending.pop()
        if name not in by_name:
            msg = f"there is no service {name!r}; there are {', '.join(by_name)}"
            raise StackError(msg)
        if name not in wanted:
            wanted.add(name)
            pending += [need for need in by_name[name].needs if need in by_name]
    return [each for each in services if each.name in wanted]
