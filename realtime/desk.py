"""The desk: everything one account trades with, allocated and filled from settings."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import calendar_named
from realtime.kernels.desk import assemble_desk
from realtime.kernels.layout import ACCOUNT, ACCOUNT_LIMITS, DECISION_PARAMS, LIMITS
from realtime.settings import (
    AccountLimitSettings,
    AccountSettings,
    Settings,
    SymbolSettings,
)
from realtime.symbols import Symbol, chosen_symbols, load_symbols, spec_table

POSITION_ROWS = 64
ORDER_ROWS = 64

_DEFAULT = SymbolSettings()


def new_desk(
    symbols: Sequence[str | Symbol],
    *,
    start_ns: int,
    end_ns: int,
    account: AccountSettings | None = None,
    account_limits: AccountLimitSettings | None = None,
    each: SymbolSettings | Mapping[str, SymbolSettings] = _DEFAULT,
    known: Mapping[str, Symbol] | None = None,
    position_rows: int = POSITION_ROWS,
    order_rows: int = ORDER_ROWS,
) -> np.void:
    """Allocate a desk: no positions, no orders, no quotes yet.

    Args:
        symbols: names or specifications, in the order of the desk's rows; with the symbols that
            convert others' profit and margin to the account currency.
        start_ns: first moment that calendars must cover, UTC.
        end_ns: last such moment.
        account: currency, balance, leverage...; None for the defaults.
        account_limits: limits over all symbols; None for the defaults.
        each: limits, decision parameters and costs, the same for all symbols or by name (those not
            named have the defaults).
        known: catalogue to look up names in; None for the shipped one.
        position_rows: most positions open at once.
        order_rows: most orders working at once.

    Raises:
        SettingsError: see `spec_table`.
        CalendarError: the range is not one.
        DeskError: more symbols, positions, orders or calendar days than a desk has room for.
    """
    account = AccountSettings() if account is None else account
    account_limits = AccountLimitSettings() if account_limits is None else account_limits
    catalogue = load_symbols() if known is None else known
    chosen = chosen_symbols(symbols, catalogue)
    by_name = {
        symbol.name: each if isinstance(each, SymbolSettings) else each.get(symbol.name, _DEFAULT)
        for symbol in chosen
    }
    costs = {name: one.costs for name, one in by_name.items()}
    specs = spec_table(chosen, account.currency, costs=costs, known=catalogue)
    days = _days(chosen, specs, start_ns, end_ns)
    limits = np.zeros(len(chosen), LIMITS)
    params = np.zeros(len(chosen), DECISION_PARAMS)
    for row, one in enumerate(by_name.values()):
        one.limits.fill(limits[row])
        one.decision.fill(params[row])
    return assemble_desk(
        account=_account(account),
        account_limits=account_limits.record(ACCOUNT_LIMITS),
        specs=specs,
        limits=limits,
        params=params,
        days=days,
        position_rows=position_rows,
        order_rows=order_rows,
    )


def desk_of(
    settings: Settings,
    *,
    start_ns: int,
    end_ns: int,
    known: Mapping[str, Symbol] | None = None,
    position_rows: int = POSITION_ROWS,
    order_rows: int = ORDER_ROWS,
) -> np.void:
    """Allocate the desk that settings describe; see `new_desk`.

    `known` is ``load_symbols(...)`` of ``settings.paths.specifications`` where that is set.
    """
    return new_desk(
        settings.trade,
        start_ns=start_ns,
        end_ns=end_ns,
        account=settings.account,
        account_limits=settings.account_limits,
        each={name: settings.of(name) for name in settings.trade},
        known=known,
        position_rows=position_rows,
        order_rows=order_rows,
    )


def _account(settings: AccountSettings) -> NDArray[np.void]:
    account = settings.record(ACCOUNT)
    account["equity"] = settings.balance + settings.credit
    account["next_id"] = 1
    return account


def _days(
    symbols: Sequence[Symbol], specs: NDArray[np.void], start_ns: int, end_ns: int
) -> NDArray[np.void]:
    """Build one block of days for each calendar and triple swap day; point the specs at theirs."""
    blocks: dict[tuple[str, int], tuple[int, int]] = {}
    tables: list[NDArray[np.void]] = []
    at = 0
    for row, symbol in enumerate(symbols):
        key = (symbol.calendar, symbol.swap_rollover3days)
        if key not in blocks:
            table = calendar_named(key[0]).days(start_ns, end_ns, swap_rollover3days=key[1])
            tables.append(table)
            blocks[key] = (at, at + len(table))
            at += len(table)
        specs[row]["first_day"], specs[row]["last_day"] = blocks[key]
    return np.concatenate(tables)
