"""What is wrong with settings beyond their ranges, said before anything is started."""

from collections.abc import Callable
from pathlib import Path

from mt5_gateway.server_time import ServerClock, ServerTimeError
from realtime.declarations import SettingsError
from realtime.settings import Settings
from realtime.symbols import load_symbols, spec_table


def problems_of(settings: Settings) -> list[str]:
    """Return what keeps a stack from working as it is set, one line each; empty if nothing does.

    Looked for also where no service would notice yet, as without market data.
    """
    checks = (_traded, _server_time)
    return [problem for check in checks if (problem := _problem(check, settings))]


def _problem(check: Callable[[Settings], None], settings: Settings) -> str:
    try:
        check(settings)
    except (SettingsError, ServerTimeError) as error:
        return " ".join(str(error).split())
    return ""


def _traded(settings: Settings) -> None:
    """Look up what is traded, with what converts its money to the account's currency."""
    own = settings.paths.specifications
    known = load_symbols(Path(own) if own else None)
    spec_table(settings.trade, settings.account.currency, known=known)


def _server_time(settings: Settings) -> None:
    ServerClock(settings.gateway.server_time)
