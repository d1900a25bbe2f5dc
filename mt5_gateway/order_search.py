"""Finding an order in the broker's books when nobody knows what became of it."""

from collections.abc import Collection

from mt5_gateway.constants import ORDER_REASON_EXPERT
from mt5_gateway.snapshot import Fields, Snapshot
from realtime.contracts.orders_pb2 import OrderRequest


def find_order(
    order: OrderRequest, snapshot: Snapshot, known: Collection[int], since_server_ms: int
) -> int:
    """Return the ticket under which the broker knows an order; 0 if it does not.

    Its comment is our id. Brokers rewrite comments, so an order that nobody else can have sent
    counts too: sent by a program (a stop loss carries the magic of its position) with our magic,
    its symbol, type and volume, not known from an earlier report, not older than the newest deal
    that was reported.

    Args:
        order: that was or was not sent.
        snapshot: with all recent orders.
        known: tickets of other orders of ours.
        since_server_ms: the oldest it can be, broker's clock.
    """
    orders = (*snapshot.working, *snapshot.recent)
    for each in orders:
        if each["comment"] == order.client_order_id:
            return int(each["ticket"])
    for deal in snapshot.deals:
        if deal["comment"] == order.client_order_id:
            return int(deal["order"])
    for each in orders:
        is_old = each["ticket"] in known or each["time_setup_msc"] < since_server_ms
        if not is_old and _is_alike(order, each):
            return int(each["ticket"])
    return 0


def _is_alike(order: OrderRequest, each: Fields) -> bool:
    return (
        order.magic != 0
        and each["reason"] == ORDER_REASON_EXPERT
        and each["magic"] == order.magic
        and each["symbol"] == order.symbol
        and each["type"] == order.type
        and each["volume_initial"] == order.volume_lots
    )
