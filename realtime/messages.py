"""Kernel records to messages and back: the only place that knows both."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from realtime.contracts.market_data_pb2 import Bar
from realtime.contracts.orders_pb2 import AccountState, Deal, OrderRequest
from realtime.contracts.predictions_pb2 import Decision
from realtime.kernels.layout import FILL, POSITION

NO_POSITION = -1


def level_sent(price: float) -> float:
    """A stop loss or take profit on the wire: 0 = none, as in MetaTrader."""
    return 0.0 if math.isnan(price) else float(price)


def level_kept(price: float) -> float:
    """A stop loss or take profit in a kernel: NaN = none."""
    return math.nan if price == 0.0 else price


def order_request(order: np.void, symbol: str) -> OrderRequest:
    """Return an ORDER record as a request; the caller adds who, when and why."""
    values = _values(order)
    position = values["position_id"]
    return OrderRequest(
        symbol=symbol,
        type=values["type"],
        filling=values["filling"],
        volume_lots=values["volume_lots"],
        price=values["price"],
        stop_loss=level_sent(values["stop_loss"]),
        take_profit=level_sent(values["take_profit"]),
        position_id=0 if position == NO_POSITION else position,
        magic=values["magic"],
        decision_code=values["decision_code"],
        risk_code=values["risk_code"],
        created_ns=values["created_ns"],
    )


def decision_message(decision: np.void, symbol: str) -> Decision:
    """Return a DECISION record as a message; the caller adds numbers and the bundle."""
    values = _values(decision)
    return Decision(
        symbol=symbol,
        now_ns=values["time_ns"],
        probability=values["probability"],
        edge=values["edge"],
        cost=values["cost"],
        target_lots=values["target_lots"],
        allowed_lots=values["allowed_lots"],
        decision_code=values["decision_code"],
        risk_code=values["risk_code"],
    )


def _values(record: np.void) -> dict[str, Any]:
    """Return a record's values by name, all at once: one by one they cost ten times as much."""
    return dict(zip(record.dtype.names or (), record.item(), strict=True))


def bar_message(bar: np.void, symbol: str, clock: str) -> Bar:
    """Return a BAR record as a message; the caller adds numbers."""
    values = _values(bar)
    return Bar(
        symbol=symbol,
        clock=clock,
        open_ns=values["open_ns"],
        end_ns=values["end_ns"],
        open=values["open"],
        high=values["high"],
        low=values["low"],
        close=values["close"],
        spread_mean=values["spread_mean"],
        spread_max=values["spread_max"],
        volume=values["volume"],
        ticks=values["ticks"],
    )


def positions_of(state: AccountState, rows: Mapping[str, int]) -> NDArray[np.void]:
    """Return the positions of an account as POSITION records, in their order.

    Positions in symbols that are not on the desk are left out: `strangers` names them.
    """
    known = [position for position in state.positions if position.symbol in rows]
    positions = np.zeros(max(len(known), 1), POSITION)
    for position, record in zip(known, positions, strict=False):
        record["id"] = position.id
        record["symbol"] = rows[position.symbol]
        record["side"] = position.side
        record["open_ns"] = position.open_ns
        record["volume_lots"] = position.volume_lots
        record["open_price"] = position.open_price
        record["stop_loss"] = level_kept(position.stop_loss)
        record["take_profit"] = level_kept(position.take_profit)
        record["swap"] = position.swap
        record["profit"] = position.profit
        record["margin_rate"] = math.nan
        record["magic"] = position.magic
    return positions[: len(known)]


def strangers(state: AccountState, rows: Mapping[str, int]) -> Sequence[str]:
    """Name the symbols of positions that are not on the desk: somebody else's."""
    return sorted({position.symbol for position in state.positions} - set(rows))


def fill_of(deal: Deal, row: int) -> NDArray[np.void]:
    """Return a deal as a (1,) FILL record of the symbol in `row`."""
    fill = np.zeros(1, FILL)
    fill["id"] = deal.ticket
    fill["order_id"] = deal.order_ticket
    fill["position_id"] = deal.position_id
    fill["symbol"] = row
    fill["time_ns"] = deal.time_ns
    fill["side"] = deal.side
    fill["entry"] = deal.entry
    fill["reason"] = deal.reason
    fill["volume_lots"] = deal.volume_lots
    fill["price"] = deal.price
    fill["profit"] = deal.profit
    fill["swap"] = deal.swap
    fill["commission"] = deal.commission
    return fill
