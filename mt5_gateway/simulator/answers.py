"""What the simulated terminal says about itself, the account and its symbols."""

import numpy as np

from mt5_gateway import constants
from mt5_gateway.simulator.dealer import Dealer
from mt5_gateway.simulator.market import Market
from mt5_gateway.simulator.rates import Rates
from mt5_gateway.simulator.structures import AccountInfo, Structure, SymbolInfo, TerminalInfo, Tick
from realtime.kernels.margin import margin_conversion_rate, margin_with_deal
from realtime.kernels.money import round_money, to_account, unit_value
from realtime.settings import AccountSettings

BUILD = 6231
BUILD_DATE = "1 Jan 2026"
NAME = "Simulated terminal"
_MAX_BARS = 100_000
_MARGIN_CALL_PERCENT = 100.0
_FILLING_MODE = constants.SYMBOL_FILLING_FOK | constants.SYMBOL_FILLING_IOC
_EXPIRATION_MODE = 15  # all of them
_ORDER_MODE = (
    constants.SYMBOL_ORDER_MARKET
    | constants.SYMBOL_ORDER_LIMIT
    | constants.SYMBOL_ORDER_STOP
    | constants.SYMBOL_ORDER_SL
    | constants.SYMBOL_ORDER_TP
)


def terminal_values(switches: dict[str, bool], path: str) -> Structure:
    """Return TerminalInfo; `switches` are its booleans."""
    values = {
        "build": BUILD,
        "maxbars": _MAX_BARS,
        "company": "aitrading",
        "name": NAME,
        "language": "English",
        "path": path,
        "data_path": path,
        "commondata_path": path,
    }
    return TerminalInfo.with_values(values | switches)


def account_values(
    desk: np.void,
    account: AccountSettings,
    login: int,
    server: str,
    expert: bool,  # noqa: FBT001
) -> Structure:
    """Return AccountInfo; `expert` is whether the server lets programs trade."""
    state = desk["account"]
    margin, equity = float(state["margin"]), float(state["equity"])
    stop_out = account.stop_out_level * 100.0
    values = {
        "login": login,
        "trade_mode": constants.ACCOUNT_TRADE_MODE_DEMO,
        "leverage": round(account.leverage),
        "margin_so_mode": constants.ACCOUNT_STOPOUT_MODE_PERCENT,
        "trade_allowed": True,
        "trade_expert": expert,
        "margin_mode": int(state["mode"]),
        "currency_digits": max(account.money_digits, 2),
        "balance": float(state["balance"]),
        "credit": float(state["credit"]),
        "profit": float(state["floating"]),
        "equity": equity,
        "margin": margin,
        "margin_free": equity - margin,
        "margin_level": equity / margin * 100.0 if margin > 0.0 else 0.0,
        "margin_so_call": max(_MARGIN_CALL_PERCENT, stop_out),
        "margin_so_so": stop_out,
        "name": "Simulated account",
        "server": server,
        "currency": account.currency,
        "company": "aitrading",
    }
    return AccountInfo.with_values(values)


def tick_values(market: Market, row: int, played: int) -> Structure | None:
    """Return the Tick of a symbol among the first `played` of the market; None before its first."""
    count = market.shown(row, played)
    if count == 0:
        return None
    return Tick(market.histories[row].rows[count - 1].item())


class SymbolAnswers:
    """Answers about symbols.

    Args:
        market: where they are.
        desk: DESK record of the broker.
        dealer: knows which way each may be traded.
        rates: for the day's highest and lowest quote.
    """

    def __init__(self, market: Market, desk: np.void, dealer: Dealer, rates: Rates) -> None:
        self._market = market
        self._desk = desk
        self._dealer = dealer
        self._rates = rates

    def info(self, row: int, played: int, selected: bool) -> Structure:  # noqa: FBT001
        """Return SymbolInfo."""
        symbol, spec = self._market.symbols[row], self._desk["specs"][row]
        unit = float(unit_value(spec)) * float(spec["tick_size"])
        gain, loss = (float(to_account(self._desk, row, amount)) for amount in (unit, -unit))
        values = {
            "select": selected,
            "visible": selected,
            "digits": symbol.digits,
            "spread_float": True,
            "trade_calc_mode": int(spec["calc_mode"]),
            "trade_mode": self._dealer.trade_mode[symbol.name],
            "trade_stops_level": round(symbol.stops_level_points),
            "trade_exemode": self._dealer.execution,
            "swap_mode": int(spec["swap_mode"]),
            "swap_rollover3days": symbol.swap_rollover3days,
            "margin_hedged_use_leg": symbol.margin_hedged_use_leg,
            "expiration_mode": _EXPIRATION_MODE,
            "filling_mode": _FILLING_MODE,
            "order_mode": _ORDER_MODE,
            "point": symbol.point,
            "trade_tick_value": 0.0 if np.isnan(gain) else gain,
            "trade_tick_value_profit": 0.0 if np.isnan(gain) else gain,
            "trade_tick_value_loss": 0.0 if np.isnan(loss) else -loss,
            "trade_tick_size": float(spec["tick_size"]),
            "trade_contract_size": symbol.contract_size,
            "volume_min": symbol.volume_min,
            "volume_max": symbol.volume_max,
            "volume_step": symbol.volume_step,
            "volume_limit": symbol.volume_limit,
            "swap_long": float(spec["swap_long"]),
            "swap_short": float(spec["swap_short"]),
            "margin_initial": symbol.margin_initial,
            "margin_maintenance": symbol.margin_maintenance,
            "margin_hedged": symbol.margin_hedged,
            "currency_base": symbol.currency_base,
            "currency_profit": symbol.currency_profit,
            "currency_margin": symbol.margin_currency,
            "description": symbol.name,
            "name": symbol.name,
            "path": f"Simulated\\{symbol.name}",
        }
        return SymbolInfo.with_values(values | self._quote(row, played))

    def _quote(self, row: int, played: int) -> dict[str, float]:
        tick = tick_values(self._market, row, played)
        if tick is None:
            return {}
        values = {name: getattr(tick, name) for name in ("bid", "ask", "last", "time")}
        points = (tick.ask - tick.bid) / self._market.symbols[row].point
        values["spread"] = round(points) if np.isfinite(points) else 0
        days = self._rates.opened(row, constants.TIMEFRAME_D1, played)
        first = self._market.histories[row].first_from(
            int(days[-1]) * 1000, self._market.shown(row, played)
        )
        today = self._market.histories[row].rows[first : self._market.shown(row, played)]
        for side in ("bid", "ask"):
            values[f"{side}high"] = float(np.fmax.reduce(today[side]))
            values[f"{side}low"] = float(np.fmin.reduce(today[side]))
        return values

    def margin(self, side: int, row: int, lots: float, price: float) -> float | None:
        """Return the margin of a deal by itself, account currency; None without a quote."""
        rate = float(margin_conversion_rate(self._desk, row, side))
        margin = float(margin_with_deal(self._desk, row, side, lots, price, rate, 1))
        return None if np.isnan(margin) else self._rounded(margin)

    def profit(self, side: int, row: int, lots: float, move: float) -> float | None:
        """Return the profit of a deal whose price moved, account currency; None without a quote."""
        amount = move * side * float(unit_value(self._desk["specs"][row])) * lots
        profit = float(to_account(self._desk, row, amount))
        return None if np.isnan(profit) else self._rounded(profit)

    def _rounded(self, amount: float) -> float:
        return float(round_money(amount, int(self._desk["account"]["money_digits"])))
