"""Telling an order that only makes a position smaller from every other one."""

from mt5_gateway.constants import ACCOUNT_MARGIN_MODE_RETAIL_HEDGING, POSITION_TYPE_BUY
from mt5_gateway.snapshot import Fields, Snapshot
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.kernels.codes import BUY, SELL

_LOTS = 1e-9  # less than any step of volume


def is_closing(order: OrderRequest, snapshot: Snapshot) -> bool:
    """Tell whether an order takes from a position, and no more than there is.

    Args:
        order: checked.
        snapshot: the account now: what was reported last may be gone.
    """
    held = [each for each in snapshot.positions if each["symbol"] == order.symbol]
    if order.position_id:
        held = [each for each in held if each["identifier"] == order.position_id]
    elif snapshot.info["margin_mode"] == ACCOUNT_MARGIN_MODE_RETAIL_HEDGING:
        return False  # another position beside those there are
    return _is_covered(order, sum(_signed_lots(each) for each in held))


def is_opening(order: OrderRequest, net_lots: float) -> bool:
    """Tell whether an order adds to a net position, or turns it round.

    Args:
        order: a market order, or a pending one, which always counts as opening; one that names a
            position is taken at its word.
        net_lots: of its symbol, signed.
    """
    return not order.position_id and not _is_covered(order, net_lots)


def _is_covered(order: OrderRequest, net_lots: float) -> bool:
    if order.type not in (BUY, SELL):
        return False
    against_lots = -net_lots if order.type == BUY else net_lots
    return order.volume_lots <= against_lots + _LOTS


def _signed_lots(position: Fields) -> float:
    return position["volume"] if position["type"] == POSITION_TYPE_BUY else -position["volume"]
