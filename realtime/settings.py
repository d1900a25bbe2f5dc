"""Settings: frozen, checked, and read here only, from one TOML file and the environment.

Order, later wins: defaults, the TOML file (argument or ``AITRADING_CONFIG``), environment variables
``AITRADING_<SECTION>__<KEY>``, e.g. ``AITRADING_ACCOUNT__BALANCE=25000``. A name that does not
exist is refused with its nearest neighbours, a value out of range with what is allowed. Durations
are text with units: ``"15m"``, ``"1h30m"``, ``"2d"``. A file::

    trade = ["EURUSD", "XAUUSD"]

    [account]
    currency = "EUR"
    balance = 25_000

    [decision]
    enter_probability = 0.57
    minimum_hold = "30m"

    [symbols.XAUUSD.limits]
    max_spread_points = 40
"""

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast
from urllib.parse import urlsplit

from realtime.declarations import (
    SECOND_NS,
    Declaration,
    SettingsError,
    setting,
    unknown_name,
)
from realtime.kernels import codes
from realtime.kernels.layout import ORDER_RATE_SLOTS

PREFIX = "AITRADING_"
CONFIG_VARIABLE = "AITRADING_CONFIG"
_SEPARATOR = "__"


@dataclass(frozen=True, kw_only=True)
class AccountSettings(Declaration):
    """``[account]``: the trading account, for backtests and the simulator.

    Attributes:
        currency: ISO code of the account.
        balance: at the start, account currency.
        credit: at the start, account currency.
        leverage: 100 means 1:100.
        stop_out_level: margin level (equity / margin) below which the broker closes; 0.5 = 50%.
        money_digits: decimals that booked money is rounded to; -1 = not rounded.
        mode: ``"netting"`` (one position a symbol) or ``"hedging"``.
    """

    currency: str = "USD"
    balance: float = setting(10_000.0, above=0)
    credit: float = setting(0.0, least=0)
    leverage: float = setting(100.0, least=1, most=5000)
    stop_out_level: float = setting(0.5, least=0, most=2)
    money_digits: int = setting(2, least=-1, most=8)
    mode: str = setting("netting", codes={"netting": codes.NETTING, "hedging": codes.HEDGING})

    def check(self) -> None:
        """Check the currency code."""
        if not re.fullmatch(r"[A-Z]{3,4}", self.currency):
            msg = f"currency = {self.currency!r}: must be a currency code such as USD, EUR, JPY"
            raise SettingsError(msg)


@dataclass(frozen=True, kw_only=True)
class AccountLimitSettings(Declaration):
    """``[account_limits]``: limits of the account over all symbols; 0 switches one off.

    Attributes:
        max_gross_leverage: sum of |notional| over equity.
        max_net_leverage: |sum of notional| over equity.
        max_orders: orders in any `rate_window_ns`.
        rate_window_ns: the window of `max_orders`.
        max_daily_loss: fraction of the equity before the trading day's start, so that a gap over a
            weekend counts; flattens, latches until the next trading day.
        max_drawdown: fraction of the highest equity; flattens, latches until an operator resets.
        max_margin_use: margin over equity.
        max_clock_offset_ns: between the broker's clock and ours.
    """

    max_gross_leverage: float = setting(10.0, least=0, most=5000)
    max_net_leverage: float = setting(10.0, least=0, most=5000)
    max_orders: int = setting(30, least=0, most=ORDER_RATE_SLOTS)
    rate_window_ns: int = setting(60 * SECOND_NS, least=0)
    max_daily_loss: float = setting(0.05, least=0, below=1)
    max_drawdown: float = setting(0.2, least=0, below=1)
    max_margin_use: float = setting(0.5, least=0, most=1)
    max_clock_offset_ns: int = setting(2 * SECOND_NS, least=0)

    def check(self) -> None:
        """Check that the order rate has a window."""
        if self.max_orders > 0 and self.rate_window_ns == 0:
            msg = f"max_orders = {self.max_orders}: needs a rate_window above 0s"
            raise SettingsError(msg)


@dataclass(frozen=True, kw_only=True)
class LimitSettings(Declaration):
    """``[limits]``, and ``[symbols.NAME.limits]`` for one symbol; 0 switches one off.

    Attributes:
        max_order_lots: change of position by one order.
        max_position_lots: size of the net position.
        max_spread_points: spread above which nothing is opened.
        collar_fraction: distance of an order price from the mid, as a fraction of it.
        max_tick_age_ns: of the quote traded on.
        max_feature_age_ns: of the newest feature behind a signal.
        max_model_age_ns: since the model was trained or promoted.
    """

    max_order_lots: float = setting(10.0, least=0)
    max_position_lots: float = setting(10.0, least=0)
    max_spread_points: float = setting(0.0, least=0)
    collar_fraction: float = setting(0.01, least=0, below=1)
    max_tick_age_ns: int = setting(30 * SECOND_NS, least=0)
    max_feature_age_ns: int = setting(3600 * SECOND_NS, least=0)
    max_model_age_ns: int = setting(90 * 86_400 * SECOND_NS, least=0)


_SIZING = {
    "fixed": codes.SIZE_FIXED,
    "volatility_target": codes.SIZE_VOLATILITY_TARGET,
    "kelly": codes.SIZE_KELLY,
}


@dataclass(frozen=True, kw_only=True)
class DecisionSettings(Declaration):
    """``[decision]``, and ``[symbols.NAME.decision]`` for one symbol; see `kernels.decision`.

    Attributes:
        enter_probability: long at p >= this, short at p <= 1 - this.
        exit_probability: a long is left below this, a short above 1 - this.
        gain_fraction: price move won if right.
        loss_fraction: price move lost if wrong.
        edge_cost_ratio: round-trip costs that the expected edge must exceed; 0 = not asked.
        allow_long: open and hold longs.
        allow_short: open and hold shorts.
        sizing: ``"fixed"``, ``"volatility_target"`` or ``"kelly"``.
        fixed_lots: size of ``"fixed"``.
        target_volatility: annual, of ``"volatility_target"``, as a fraction of equity.
        kelly_fraction: of the full Kelly bet, of ``"kelly"``.
        max_leverage: notional over equity that sizing may ask for; 0 = no cap.
        resize_fraction: smaller changes of size are ignored; 1 = never resized.
        minimum_hold_ns: before a signal may close.
        cool_down_ns: after an exit, before the next entry.
        flat_before_weekend_ns: flat this long before a closure of 12 hours or more; 0 = may hold.
        flat_before_rollover_ns: flat this long before every rollover; 0 = may hold.
        stop_loss_fraction: distance of the stop loss from the entry price; 0 = none.
        take_profit_fraction: distance of the take profit; 0 = none.
    """

    enter_probability: float = setting(0.55, least=0.5, most=1)
    exit_probability: float = setting(0.5, least=0, most=1)
    gain_fraction: float = setting(0.002, least=0, below=1)
    loss_fraction: float = setting(0.002, least=0, below=1)
    edge_cost_ratio: float = setting(1.0, least=0)
    allow_long: bool = True
    allow_short: bool = True
    sizing: str = setting("fixed", codes=_SIZING)
    fixed_lots: float = setting(0.1, least=0)
    target_volatility: float = setting(0.1, least=0, most=5)
    kelly_fraction: float = setting(0.25, least=0, most=1)
    max_leverage: float = setting(5.0, least=0, most=5000)
    resize_fraction: float = setting(0.25, least=0, most=1)
    minimum_hold_ns: int = setting(0, least=0)
    cool_down_ns: int = setting(0, least=0)
    flat_before_weekend_ns: int = setting(0, least=0)
    flat_before_rollover_ns: int = setting(0, least=0)
    stop_loss_fraction: float = setting(0.0, least=0, below=1)
    take_profit_fraction: float = setting(0.0, least=0, below=1)

    def check(self) -> None:
        """Check that thresholds are in order and that what the rules divide by is there."""
        if self.exit_probability > self.enter_probability:
            msg = (
                f"exit_probability = {self.exit_probability}: must be at most enter_probability"
                f" ({self.enter_probability}), or a position would be left as soon as entered"
            )
            raise SettingsError(msg)
        needs_move = self.edge_cost_ratio > 0 or self.sizing == "kelly"
        if needs_move and not (self.gain_fraction > 0 and self.loss_fraction > 0):
            msg = (
                f"gain_fraction = {self.gain_fraction}, loss_fraction = {self.loss_fraction}: must"
                " be above 0 for edge_cost_ratio above 0 and for sizing kelly"
            )
            raise SettingsError(msg)
        if self.sizing != "fixed" and self.max_leverage == 0:
            msg = f"max_leverage = 0: sizing {self.sizing} needs a cap above 0"
            raise SettingsError(msg)


_COMMISSIONS = {
    "symbol": -1,
    "none": codes.COMMISSION_NONE,
    "per_lot": codes.COMMISSION_PER_LOT,
    "of_notional": codes.COMMISSION_OF_NOTIONAL,
}


@dataclass(frozen=True, kw_only=True)
class CostSettings(Declaration):
    """``[costs]``, and ``[symbols.NAME.costs]`` for one symbol: what the broker simulation charges.

    Attributes:
        latency_ns: from the decision to the order's arrival at the broker.
        slippage_points: paid on every market and stop fill.
        slippage_spread_fraction: plus this fraction of the spread of the moment.
        slippage_points_per_lot: plus linear impact.
        liquidity_lots: available a quote and side; 0 = unlimited.
        commission: ``"symbol"`` (as the specification says), ``"none"``, ``"per_lot"`` (account
            currency a lot and deal) or ``"of_notional"`` (fraction, each deal).
        commission_rate: of ``"per_lot"`` and ``"of_notional"``.
        swap: charge the symbol's swap.
    """

    latency_ns: int = setting(0, least=0)
    slippage_points: float = setting(0.0, least=0)
    slippage_spread_fraction: float = setting(0.0, least=0)
    slippage_points_per_lot: float = setting(0.0, least=0)
    liquidity_lots: float = setting(0.0, least=0)
    commission: str = setting("symbol", codes=_COMMISSIONS)
    commission_rate: float = setting(0.0, least=0)
    swap: bool = True

    def check(self) -> None:
        """Check that a rate is not set without effect."""
        if self.commission_rate > 0 and self.commission in ("symbol", "none"):
            msg = (
                f"commission_rate = {self.commission_rate}: has no effect with commission"
                f' "{self.commission}"; set commission to "per_lot" or "of_notional"'
            )
            raise SettingsError(msg)


@dataclass(frozen=True, kw_only=True)
class PathSettings(Declaration):
    """``[paths]``: where files live; relative ones count from the working directory.

    Attributes:
        var: everything written at run time (journals, databases, reports).
        lake: the Parquet lake of market data.
        secrets: folder with a file for each password, as ``nats-loop`` and ``postgres-recorder``.
        specifications: TOML file laid over the shipped symbol specifications; empty = none.
    """

    var: Path = Path("var")
    lake: Path = Path("var/lake")
    secrets: Path = Path("var/secrets")
    specifications: str = ""


def _check_url(url: str, schemes: tuple[str, ...], example: str) -> None:
    """Refuse a url without scheme, host or sound port; never shows it: it may hold a password."""
    try:
        parts = urlsplit(url)
        sound = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        sound = False
    if not sound:
        msg = f"url: must be written as in {example}"
        raise SettingsError(msg)


@dataclass(frozen=True, kw_only=True)
class NatsSettings(Declaration):
    """``[nats]``: the message server. The shipped values are those of the embedded one.

    Attributes:
        url: ``nats://host:port``; with ``user:password@`` for a server that is not ours, otherwise
            the password of each service is read from ``paths.secrets``.
        timeout_ns: to connect, and for an answer.
    """

    url: str = "nats://127.0.0.1:14222"
    timeout_ns: int = setting(5 * SECOND_NS, above=0)

    def check(self) -> None:
        """Check that the url names a server."""
        _check_url(self.url, ("nats", "tls"), "nats://127.0.0.1:14222")


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings(Declaration):
    """``[database]``: PostgreSQL. The shipped values are those of the embedded one.

    Attributes:
        url: ``postgresql://host:port/name``; with ``user:password@`` for a server that is not ours,
            otherwise the password of each role is read from ``paths.secrets``.
        timeout_ns: to connect.
    """

    url: str = "postgresql://127.0.0.1:15432/aitrading"
    timeout_ns: int = setting(5 * SECOND_NS, above=0)

    def check(self) -> None:
        """Check that the url names a server."""
        schemes = ("postgresql", "postgres")
        _check_url(self.url, schemes, "postgresql://127.0.0.1:15432/aitrading")


@dataclass(frozen=True, kw_only=True)
class GatewaySettings(Declaration):
    """``[gateway]``: MetaTrader 5 and the way to it.

    Attributes:
        account: name of the account in subjects and records; one gateway and one loop each.
        terminal: path of ``terminal64.exe`` on Windows; elsewhere the socket of the simulated one.
        server_time: the broker's wall clock: an IANA zone, or ``"new_york+7"`` (the usual one: its
            midnight is the rollover at 17:00 New York).
        lockstep: replay: the market waits for the loop after every tick that matters.
        poll_interval_ns: between two looks for new ticks.
        call_timeout_ns: after which a call that hangs costs the worker its life.
        history_from: where a feed that has nothing yet begins, ISO 8601 UTC; empty = now.
    """

    account: str = "paper"
    terminal: str = "var/terminal/socket"
    server_time: str = "new_york+7"
    lockstep: bool = False
    poll_interval_ns: int = setting(5_000_000, above=0)
    call_timeout_ns: int = setting(20 * SECOND_NS, above=0)
    history_from: str = ""

    def check(self) -> None:
        """Check that the feed begins at a moment."""
        try:
            if self.history_from:
                datetime.fromisoformat(self.history_from)
        except ValueError:
            msg = (
                f"history_from = {self.history_from!r}: must be a moment such as 2024-05-01 or"
                " 2024-05-01T00:00:00Z, or empty for now"
            )
            raise SettingsError(msg) from None


@dataclass(frozen=True, kw_only=True)
class LoopSettings(Declaration):
    """``[loop]``: the trading loop.

    Attributes:
        state_every_ns: how often its state is written when nothing else asks for it.
        order_validity_ns: an order that reaches the gateway later than this after its decision is
            not sent to the broker; not used in lock-step.
        stage: the least that a bundle must have passed to trade on this account: ``"paper"`` or
            ``"live"``. What has passed less predicts and is recorded, and never orders.
    """

    state_every_ns: int = setting(5 * SECOND_NS, above=0)
    order_validity_ns: int = setting(5 * SECOND_NS, above=0)
    stage: str = setting("paper", codes={"paper": 1, "live": 2})


@dataclass(frozen=True, kw_only=True)
class SymbolSettings:
    """What holds for one symbol: the common sections with ``[symbols.NAME.*]`` laid over them."""

    limits: LimitSettings = LimitSettings()
    decision: DecisionSettings = DecisionSettings()
    costs: CostSettings = CostSettings()


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that can be set.

    Attributes:
        trade: symbols traded, in the order of the desk's rows.
        account: ``[account]``.
        account_limits: ``[account_limits]``.
        limits: ``[limits]``, for symbols without their own.
        decision: ``[decision]``, likewise.
        costs: ``[costs]``, likewise.
        paths: ``[paths]``.
        nats: ``[nats]``.
        database: ``[database]``.
        gateway: ``[gateway]``.
        loop: ``[loop]``.
        symbols: symbols with ``[symbols.NAME.*]`` tables, resolved.
    """

    trade: tuple[str, ...] = ("EURUSD",)
    account: AccountSettings = AccountSettings()
    account_limits: AccountLimitSettings = AccountLimitSettings()
    limits: LimitSettings = LimitSettings()
    decision: DecisionSettings = DecisionSettings()
    costs: CostSettings = CostSettings()
    paths: PathSettings = PathSettings()
    nats: NatsSettings = NatsSettings()
    database: DatabaseSettings = DatabaseSettings()
    gateway: GatewaySettings = GatewaySettings()
    loop: LoopSettings = LoopSettings()
    symbols: Mapping[str, SymbolSettings] = field(
        default_factory=lambda: MappingProxyType[str, SymbolSettings]({})
    )

    def of(self, symbol: str) -> SymbolSettings:
        """Return what holds for one symbol."""
        common = SymbolSettings(limits=self.limits, decision=self.decision, costs=self.costs)
        return self.symbols.get(symbol, common)


_SECTIONS: dict[str, type[Declaration]] = {
    "account": AccountSettings,
    "account_limits": AccountLimitSettings,
    "limits": LimitSettings,
    "decision": DecisionSettings,
    "costs": CostSettings,
    "paths": PathSettings,
    "nats": NatsSettings,
    "database": DatabaseSettings,
    "gateway": GatewaySettings,
    "loop": LoopSettings,
}
_SYMBOL_SECTIONS = ("limits", "decision", "costs")
_NAMES = ("trade", *_SECTIONS, "symbols")


def load_settings(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """Read the settings.

    Args:
        path: TOML file; None for the one that ``AITRADING_CONFIG`` names, or none at all.
        environ: environment; None for the process's own.

    Raises:
        SettingsError: unreadable file, unknown name, wrong type, value out of range; the message
            names file or variables, key, value and what is allowed.
    """
    variables = dict(os.environ if environ is None else environ)
    named = variables.get(CONFIG_VARIABLE, "")
    if path is None and named:
        path = Path(named)
    settings = Settings()
    if path is not None:
        settings = with_table(settings, read_toml(path), str(path))
    table = _environment_table(variables)
    return with_table(settings, table, "environment") if table else settings


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        SettingsError: it cannot be read, is not UTF-8 or is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"{path}: cannot be read: {error.strerror}"
        raise SettingsError(msg) from error
    except ValueError as error:  # tomllib.TOMLDecodeError and UnicodeDecodeError
        msg = f"{path}: is not valid TOML: {error}"
        raise SettingsError(msg) from error


def with_table(settings: Settings, table: Mapping[str, Any], where: str) -> Settings:
    """Lay a table of plain values over settings.

    A common section also changes the symbols that have their own tables, except for the keys that
    those set themselves in this table.

    Args:
        settings: where other values come from.
        table: as in a TOML file.
        where: file, for messages.

    Raises:
        SettingsError: see `load_settings`.
    """
    changed: dict[str, Any] = {}
    for name, value in table.items():
        if name not in _NAMES:
            msg = f"{where}: {unknown_name('section', name, _NAMES)}"
            raise SettingsError(msg)
        if name == "trade":
            changed["trade"] = _traded(value, where)
        elif name in _SECTIONS:
            section = _table(value, f"{where} [{name}]")
            base = getattr(settings, name)
            changed[name] = _SECTIONS[name].read(section, f"{where} [{name}]", base)
    common = replace(settings, **changed)
    own = _table(table.get("symbols", {}), f"{where} [symbols]")
    symbols: dict[str, SymbolSettings] = {}
    for symbol in (*settings.symbols, *(name for name in own if name not in settings.symbols)):
        base = settings.of(symbol)
        for name in _SYMBOL_SECTIONS:
            if name in table:
                part = _SECTIONS[name].read(table[name], where, getattr(base, name))
                base = replace(base, **{name: part})
        tables = _table(own.get(symbol, {}), f"{where} [symbols.{symbol}]")
        symbols[symbol] = _symbol_settings(base, tables, f"{where} [symbols.{symbol}]")
    return replace(common, symbols=MappingProxyType(symbols))


def _symbol_settings(base: SymbolSettings, tables: Mapping[str, Any], where: str) -> SymbolSettings:
    for name, value in tables.items():
        if name not in _SYMBOL_SECTIONS:
            msg = f"{where}: {unknown_name('section', name, _SYMBOL_SECTIONS)}"
            raise SettingsError(msg)
        part = _SECTIONS[name].read(_table(value, where), f"{where} {name}", getattr(base, name))
        base = replace(base, **{name: part})
    return base


def _table(value: object, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        msg = f"{where}: must be a table, not {value!r}"
        raise SettingsError(msg)
    return cast("Mapping[str, Any]", value)


def _traded(value: object, where: str) -> tuple[str, ...]:
    """Read the list of symbols: a list of names, or (environment) names with commas between."""
    names = value.split(",") if isinstance(value, str) else value
    if isinstance(names, list):
        stripped = [name.strip() for name in cast("list[Any]", names) if isinstance(name, str)]
        unique = len(set(stripped)) == len(cast("list[Any]", names))
        if stripped and unique and all(stripped):
            return tuple(stripped)
    msg = f'{where}: trade = {value!r}: must be a list of different symbols, as ["EURUSD"]'
    raise SettingsError(msg)


def _environment_table(variables: Mapping[str, str]) -> dict[str, Any]:
    """Gather ``AITRADING_A__B=value`` into ``{"a": {"b": value}}``; symbols keep their case."""
    table: dict[str, Any] = {}
    for variable in sorted(variables):
        if not variable.startswith(PREFIX) or variable == CONFIG_VARIABLE:
            continue
        path = variable.removeprefix(PREFIX).split(_SEPARATOR)
        is_symbol = path[0].lower() == "symbols" and len(path) == 4
        names = [path[i] if is_symbol and i == 1 else path[i].lower() for i in range(len(path))]
        if not (is_symbol or names == ["trade"] or (len(names) == 2 and names[0] in _SECTIONS)):
            sections = [f"{PREFIX}{name.upper()}{_SEPARATOR}..." for name in _SECTIONS]
            known = (CONFIG_VARIABLE, f"{PREFIX}TRADE", *sections)
            msg = f"environment: {unknown_name('variable', variable, known)}"
            raise SettingsError(msg)
        at = table
        for name in names[:-1]:
            at = at.setdefault(name, {})
        at[names[-1]] = _environment_value(variables[variable])
    return table


def _environment_value(text: str) -> Any:
    """Read a value as TOML would, or as text: ``0.5``, ``true``, ``15m``, ``USD``."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
