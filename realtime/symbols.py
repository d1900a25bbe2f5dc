"""Symbol specifications: what a lot is, what it costs, when it trades, in MetaTrader 5's terms.

Typical ones are shipped (`symbols.toml`); a file of the user's is laid over them, because swaps,
commissions and margins are each broker's own and change. `spec_table` turns those chosen into the
SPEC rows of a desk and finds the symbols that convert profit and margin to the account currency.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from realtime.calendar import CALENDARS
from realtime.declarations import Declaration, SettingsError, setting, unknown_name
from realtime.kernels import codes
from realtime.kernels.layout import SPEC
from realtime.settings import CostSettings, read_toml

_SHIPPED = "symbols.toml"
_TABLES = ("groups", "symbols")
_GRID = 1e-9

_CALC_MODES = {
    "forex": codes.CALC_FOREX,
    "futures": codes.CALC_FUTURES,
    "cfd": codes.CALC_CFD,
    "cfd_index": codes.CALC_CFD_INDEX,
    "cfd_leverage": codes.CALC_CFD_LEVERAGE,
    "forex_no_leverage": codes.CALC_FOREX_NO_LEVERAGE,
    "exchange_stocks": codes.CALC_EXCHANGE_STOCKS,
    "exchange_futures": codes.CALC_EXCHANGE_FUTURES,
}
_FUTURES = ("futures", "exchange_futures")
_FOREX = ("forex", "forex_no_leverage")
_SWAP_MODES = {
    "disabled": codes.SWAP_DISABLED,
    "points": codes.SWAP_POINTS,
    "currency_symbol": codes.SWAP_CURRENCY_SYMBOL,
    "currency_margin": codes.SWAP_CURRENCY_MARGIN,
    "currency_deposit": codes.SWAP_CURRENCY_DEPOSIT,
    "interest_current": codes.SWAP_INTEREST_CURRENT,
    "interest_open": codes.SWAP_INTEREST_OPEN,
}
_COMMISSION_MODES = {
    "none": codes.COMMISSION_NONE,
    "per_lot": codes.COMMISSION_PER_LOT,
    "of_notional": codes.COMMISSION_OF_NOTIONAL,
}
# MetaTrader 5's ENUM_DAY_OF_WEEK
_DAYS = {
    name: day
    for day, name in enumerate(
        ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
    )
}


@dataclass(frozen=True, kw_only=True)
class Symbol(Declaration):
    """One symbol of a broker. Names and meanings are MetaTrader 5's SymbolInfo where it has them.

    Attributes:
        name: as the broker writes it.
        calc_mode: how margin and profit are calculated, SYMBOL_TRADE_CALC_MODE.
        calendar: when it trades, a name of `realtime.calendar.CALENDARS`.
        currency_base: what is bought; ``EUR`` of EURUSD.
        currency_profit: what profit is counted in; ``USD`` of EURUSD.
        currency_margin: what margin is counted in; empty = base for forex modes, else profit.
        digits: decimals of a price; a point is ``10 ** -digits``.
        contract_size: units in a lot.
        tick_size: smallest price step; 0 = one point.
        tick_value: profit currency a tick and lot; 0 = contract_size * tick_size.
        volume_min: smallest order, lots.
        volume_max: largest order, lots.
        volume_step: lots.
        volume_limit: largest volume in one direction, lots; 0 = none.
        stops_level_points: smallest distance of stops and pending orders from the price.
        margin_initial: margin currency a lot; 0 = by the formula of the mode.
        margin_maintenance: the same for held positions; 0 = as initial.
        margin_hedged: contract size (or money a lot, with margin_initial) of hedged volume.
        margin_hedged_use_leg: charge the larger leg of a hedge only.
        margin_rate_long: multiplies the margin of buys.
        margin_rate_short: multiplies the margin of sells.
        swap_mode: unit of the swaps, SYMBOL_SWAP_MODE.
        swap_long: a lot and day, negative = paid.
        swap_short: a lot and day, negative = paid.
        swap_triple_day: weekday at whose end three days of swap are charged.
        commission_mode: ``"none"``, ``"per_lot"`` (account currency) or ``"of_notional"``.
        commission_rate: each deal.
        typical_spread_points: used where data has no spread.
    """

    name: str = setting()
    calc_mode: str = setting(codes=_CALC_MODES)
    calendar: str = setting(codes=dict.fromkeys(CALENDARS, 0))
    currency_base: str = setting()
    currency_profit: str = setting()
    currency_margin: str = ""
    digits: int = setting(least=0, most=10)
    contract_size: float = setting(above=0)
    tick_size: float = setting(0.0, least=0)
    tick_value: float = setting(0.0, least=0)
    volume_min: float = setting(above=0)
    volume_max: float = setting(above=0)
    volume_step: float = setting(above=0)
    volume_limit: float = setting(0.0, least=0)
    stops_level_points: float = setting(0.0, least=0)
    margin_initial: float = setting(0.0, least=0)
    margin_maintenance: float = setting(0.0, least=0)
    margin_hedged: float = setting(0.0, least=0)
    margin_hedged_use_leg: bool = False
    margin_rate_long: float = setting(1.0, least=0)
    margin_rate_short: float = setting(1.0, least=0)
    swap_mode: str = setting("disabled", codes=_SWAP_MODES)
    swap_long: float = setting(0.0)
    swap_short: float = setting(0.0)
    swap_triple_day: str = setting("wednesday", codes=_DAYS)
    commission_mode: str = setting("none", codes=_COMMISSION_MODES)
    commission_rate: float = setting(0.0, least=0)
    typical_spread_points: float = setting(0.0, least=0)

    @property
    def point(self) -> float:
        """The last decimal of a price."""
        return float(f"1e-{self.digits}")

    @property
    def swap_rollover3days(self) -> int:
        """MetaTrader's number of the triple swap day, 0 = Sunday."""
        return _DAYS[self.swap_triple_day]

    @property
    def margin_currency(self) -> str:
        """The margin currency, with the default filled in."""
        if self.currency_margin:
            return self.currency_margin
        return self.currency_base if self.calc_mode in _FOREX else self.currency_profit

    def check(self) -> None:
        """Check what must fit together: volumes, price grid, futures' money."""
        if self.volume_step > self.volume_max or self.volume_min > self.volume_max:
            self._refuse("volume_min and volume_step must be at most volume_max")
        steps = self.volume_min / self.volume_step
        if abs(steps - round(steps)) > _GRID * max(steps, 1.0):
            self._refuse("volume_min must be a multiple of volume_step")
        if 0 < self.volume_limit < self.volume_min:
            self._refuse("volume_limit must be 0 or at least volume_min")
        ticks = self.tick_size / self.point
        if abs(ticks - round(ticks)) > _GRID * max(ticks, 1.0):
            self._refuse("tick_size must be a multiple of the point, 10 ** -digits")
        if self.calc_mode in _FUTURES and not (self.tick_value > 0 and self.margin_initial > 0):
            self._refuse(f"calc_mode {self.calc_mode} needs tick_value and margin_initial above 0")
        if not (self.name and self.currency_base and self.currency_profit):
            self._refuse("name, currency_base and currency_profit must not be empty")

    def _refuse(self, rule: str) -> None:
        msg = (
            f"symbol {self.name!r}: {rule} (volumes {self.volume_min}, {self.volume_max},"
            f" {self.volume_step}; tick {self.tick_size}, digits {self.digits})"
        )
        raise SettingsError(msg)


def load_symbols(path: Path | None = None) -> Mapping[str, Symbol]:
    """Read the shipped specifications, with those of a file of the user's laid over them.

    Args:
        path: TOML file of the form of `symbols.toml`; None for the shipped ones alone.

    Returns:
        Symbols by name.

    Raises:
        SettingsError: unreadable file, unknown key, missing key, impossible value.
    """
    shipped = resources.files("realtime").joinpath(_SHIPPED).read_text(encoding="utf-8")
    tables = tomllib.loads(shipped)
    origin = dict.fromkeys(tables["symbols"], f"shipped {_SHIPPED}")
    if path is not None:
        own = read_toml(path)
        _check_tables(own, str(path))
        for kind in _TABLES:
            for name, table in own.get(kind, {}).items():
                tables[kind][name] = {**tables[kind].get(name, {}), **table}
        origin.update(dict.fromkeys(own.get("symbols", {}), str(path)))
    symbols: dict[str, Symbol] = {}
    for name, source in origin.items():
        where = f"{source} [symbols.{name}]"
        table = _inherited(name, tables, where, ())
        symbols[name] = Symbol.read({**table, "name": name}, where)
    return MappingProxyType(symbols)


def _check_tables(own: Mapping[str, Any], where: str) -> None:
    """Refuse unknown tables and keys of a user's file by name, before anything is merged."""
    keys = ("like", *(key for key in Symbol.keys() if key != "name"))  # noqa: SIM118
    for kind, tables in own.items():
        if kind not in _TABLES:
            msg = f"{where}: {unknown_name('table', kind, _TABLES)}"
            raise SettingsError(msg)
        for name, table in _as_table(tables, f"{where} [{kind}]").items():
            for key in _as_table(table, f"{where} [{kind}.{name}]"):
                if key not in keys:
                    msg = f"{where} [{kind}.{name}]: {unknown_name('key', key, keys)}"
                    raise SettingsError(msg)


def _as_table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = f"{where}: must be a table, not {value!r}"
        raise SettingsError(msg)
    return cast("Mapping[str, Any]", value)


def _inherited(
    name: str, tables: Mapping[str, Any], where: str, path: tuple[str, ...]
) -> dict[str, Any]:
    """Follow `like` from a symbol or group to what it inherits."""
    if name in path:
        msg = f"{where}: `like` goes round in a circle: {' -> '.join((*path, name))}"
        raise SettingsError(msg)
    kind = "symbols" if name in tables["symbols"] else "groups"
    if name not in tables[kind]:
        known = [*tables["symbols"], *tables["groups"]]
        msg = f"{where}: {unknown_name('symbol or group', name, known)}"
        raise SettingsError(msg)
    table = dict(tables[kind][name])
    parent = table.pop("like", None)
    if parent is None:
        return table
    return {**_inherited(str(parent), tables, where, (*path, name)), **table}


def chosen_symbols(
    symbols: Sequence[str | Symbol], known: Mapping[str, Symbol] | None = None
) -> tuple[Symbol, ...]:
    """Look up symbols given by name.

    Raises:
        SettingsError: none, one twice, or one that is not known.
    """
    catalogue = load_symbols() if known is None else known
    chosen: list[Symbol] = []
    for symbol in symbols:
        if isinstance(symbol, str):
            if symbol not in catalogue:
                raise SettingsError(unknown_name("symbol", symbol, list(catalogue)))
            chosen.append(catalogue[symbol])
        else:
            chosen.append(symbol)
    names = [symbol.name for symbol in chosen]
    if not names or len(set(names)) < len(names):
        msg = f"symbols must be one or more, each once, not {names}"
        raise SettingsError(msg)
    return tuple(chosen)


def spec_table(
    symbols: Sequence[str | Symbol],
    account_currency: str,
    *,
    costs: Mapping[str, CostSettings] | None = None,
    known: Mapping[str, Symbol] | None = None,
) -> NDArray[np.void]:
    """Return the SPEC rows of symbols, in their order, for an account.

    Args:
        symbols: names or specifications. A symbol that is only needed to convert another's profit
            or margin to the account currency must be among them, and be fed with its quotes.
        account_currency: e.g. ``"USD"``.
        costs: latency, slippage, liquidity, and commission and swap overrides, by name of the
            symbol; those not named have none.
        known: catalogue to look up names in; None for the shipped one.

    Returns:
        (symbols,) SPEC; `first_day` and `last_day` are the desk's to fill.

    Raises:
        SettingsError: a symbol is not known or given twice, or a conversion is missing; the message
            says which symbol to add.
    """
    catalogue = load_symbols() if known is None else known
    chosen = chosen_symbols(symbols, catalogue)
    specs = np.zeros(len(chosen), SPEC)
    for row, symbol in enumerate(chosen):
        spec = specs[row]
        symbol.fill(spec)
        tick_size = symbol.tick_size or symbol.point
        spec["point"] = symbol.point
        spec["tick_size"] = tick_size
        spec["tick_value"] = symbol.tick_value or symbol.contract_size * tick_size
        _charge(spec, (costs or {}).get(symbol.name, CostSettings()))
    _convert(specs, chosen, account_currency, catalogue)
    return specs


def _charge(spec: np.void, costs: CostSettings) -> None:
    """Write a symbol's simulated costs over its specification."""
    costs_commission = costs.commission
    own_rate = spec["commission_rate"]
    costs.fill(spec)
    if costs_commission == "symbol":
        spec["commission_rate"] = own_rate
    else:
        spec["commission_mode"] = _COMMISSION_MODES[costs_commission]
    if not costs.swap:
        spec["swap_mode"] = codes.SWAP_DISABLED


def _convert(
    specs: NDArray[np.void],
    chosen: Sequence[Symbol],
    account_currency: str,
    known: Mapping[str, Symbol],
) -> None:
    """Point every symbol at those that convert its profit and margin; refuse what is missing."""
    missing: list[str] = []
    for spec, symbol in zip(specs, chosen, strict=True):
        currencies = {"profit": symbol.currency_profit, "margin": symbol.margin_currency}
        for use, currency in currencies.items():
            found = _conversion(currency, account_currency, chosen)
            if found is None:
                add = _to_add(currency, account_currency, known)
                missing.append(f"{symbol.name} {use} is in {currency}: add {add}")
            else:
                spec[f"{use}_symbol"], spec[f"{use}_inverse"] = found
    if missing:
        msg = (
            f"the account is in {account_currency}, but {'; '.join(missing)}"
            " (to the symbols, and feed its quotes)"
        )
        raise SettingsError(msg)


def _conversion(currency: str, account: str, chosen: Sequence[Symbol]) -> tuple[int, int] | None:
    """Find the row whose quote turns a currency into the account's, and whether to divide by it."""
    if currency == account:
        return -1, 0
    for row, other in enumerate(chosen):
        if (other.currency_base, other.currency_profit) == (currency, account):
            return row, 0
        if (other.currency_base, other.currency_profit) == (account, currency):
            return row, 1
    return None


def _to_add(currency: str, account: str, known: Mapping[str, Symbol]) -> str:
    """Name the symbols of the catalogue that would convert, or say that there is none."""
    pairs = {(currency, account), (account, currency)}
    names = [n for n, s in known.items() if (s.currency_base, s.currency_profit) in pairs]
    return " or ".join(names) or (
        f"{currency}{account} or {account}{currency}, after describing it in the file of"
        " [paths] specifications"
    )
