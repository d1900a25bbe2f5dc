"""The terminal's account, positions and deals as messages."""

from collections.abc import Mapping, Sequence
from typing import Any

from mt5_gateway.constants import (
    DEAL_REASON_SL,
    DEAL_TYPE_BUY,
    DEAL_TYPE_SELL,
    POSITION_TYPE_BUY,
)
from mt5_gateway.server_time import ServerClock
from realtime.contracts.orders_pb2 import AccountState, Deal, Position

_MS_NS = 1_000_000
_SIDES = {DEAL_TYPE_BUY: 1, DEAL_TYPE_SELL: -1}


def account_state(
    info: Mapping[str, Any],
    positions: Sequence[Mapping[str, Any]],
    clock: ServerClock,
    time_ns: int,
) -> AccountState:
    """Return the state of the account.

    Args:
        info: of ``account_info``.
        positions: of ``positions_get``, all of them.
        clock: the broker's.
        time_ns: of the state.
    """
    ordered = sorted(positions, key=lambda each: (each["time_msc"], each["identifier"]))
    return AccountState(
        currency=info["currency"],
        balance=info["balance"],
        credit=info["credit"],
        equity=info["equity"],
        margin=info["margin"],
        leverage=info["leverage"],
        mode=info["margin_mode"],
        positions=[_position(each, clock) for each in ordered],
        time_ns=time_ns,
    )


def _position(position: Mapping[str, Any], clock: ServerClock) -> Position:
    return Position(
        id=position["identifier"],
        symbol=position["symbol"],
        side=1 if position["type"] == POSITION_TYPE_BUY else -1,
        open_ns=clock.to_utc_ms(position["time_msc"]) * _MS_NS,
        volume_lots=position["volume"],
        open_price=position["price_open"],
        stop_loss=position["sl"],
        take_profit=position["tp"],
        swap=position["swap"],
        profit=position["profit"],
        magic=signed(position["magic"]),
        comment=position["comment"],
    )


def deal_message(deal: Mapping[str, Any], clock: ServerClock) -> Deal:
    """Return a deal of ``history_deals_get`` as a message; commission holds the fee too."""
    asked_for = deal["reason"] < DEAL_REASON_SL
    side = _SIDES.get(deal["type"], 0)
    return Deal(
        ticket=deal["ticket"],
        order_ticket=deal["order"] if asked_for and side != 0 else 0,
        position_id=deal["position_id"],
        symbol=deal["symbol"],
        time_ns=clock.to_utc_ms(deal["time_msc"]) * _MS_NS,
        side=side,
        entry=deal["entry"],
        reason=deal["reason"],
        volume_lots=deal["volume"],
        price=deal["price"],
        profit=deal["profit"],
        swap=deal["swap"],
        commission=deal["commission"] + deal["fee"],
        magic=signed(deal["magic"]),
        comment=deal["comment"],
    )


def fingerprint(state: AccountState) -> tuple[object, ...]:
    """Return what of an account changes otherwise than by the market's moves."""
    positions = tuple(
        (
            each.id,
            each.symbol,
            each.side,
            each.volume_lots,
            each.open_price,
            each.stop_loss,
            each.take_profit,
            each.swap,
        )
        for each in state.positions
    )
    return state.currency, state.balance, state.credit, state.leverage, positions


def signed(number: int) -> int:
    """Return an unsigned number of the package in the range of a message's."""
    return number - (1 << 64) if number >= 1 << 63 else number
