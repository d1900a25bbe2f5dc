"""From a signal to orders at the broker: decision, risk, order, for one symbol of a desk.

This is the part of the engine that does not depend on which features are chosen. `act_step` is
the only way from a wanted position to an order: live and in a backtest.
"""

import math

import numpy as np

from realtime.kernels.broker import broker_step, execute_arrived_step
from realtime.kernels.codes import (
    BUY,
    DECISION_HOLD,
    DONE,
    HEDGING,
    IMMEDIATE_OR_CANCEL,
    MIRRORED_LIVE,
    REASON_EXPERT,
    RISK_BROKER_REFUSED,
    RISK_OK,
    RISK_ORDER_IN_FLIGHT,
    RISK_ORDER_SIZE,
    SELL,
    STATE_CANCELED,
    STATE_REJECTED,
    STATE_STARTED,
)
from realtime.kernels.decision import decision_exit_step, decision_step
from realtime.kernels.exposure import hedged_lots, lot_notional, net_lots
from realtime.kernels.jit import kernel
from realtime.kernels.loss_limits import flatten_code, update_equity_limits_step
from realtime.kernels.mirror import mirrored_tick_step
from realtime.kernels.money import snap_price, snap_volume
from realtime.kernels.orders import finish_order_step, submit_order_step
from realtime.kernels.risk import market_refusal, record_order_step, risk_step
from realtime.kernels.sizing import whole_lots

MAGIC = 1
NO_POSITION = -1


@kernel
def on_tick_step(desk: np.void, tick: np.void, tape: np.void) -> None:
    """Let the broker act on a new tick, then hold the loss limits against the new equity.

    While a loss limit is latched or the kill switch is set, every tick cancels what works and tries
    to flatten what is still open, so that a refused or split order is followed by the next one.
    """
    symbol = tick["symbol"]
    if desk["account"]["mirrored"] != 0:
        mirrored_tick_step(desk, symbol, tick)
    else:
        first = tape["n_fills"]
        tape["n_fills"], tape["n_orders"] = broker_step(
            desk, symbol, tick, tape["fills"], tape["n_fills"], tape["orders"], tape["n_orders"]
        )
        for row in range(first, tape["n_fills"]):
            if tape["fills"][row]["reason"] != REASON_EXPERT:
                follow_server_close_step(desk, tape["fills"][row])
    update_equity_limits_step(desk, symbol, tick["time_ns"])
    risk = desk["risk"]
    if risk["latches"] != 0 or risk["kill_switch"] != 0:
        _cancel_working_step(desk, tape)
        if desk["account"]["open_positions"] > 0:
            _flatten_all_step(desk, tick["time_ns"], tape)


@kernel
def _cancel_working_step(desk: np.void, tape: np.void) -> None:
    """Cancel every working limit and stop order: a stopped account opens nothing by itself."""
    for row in range(desk["account"]["open_orders"] - 1, -1, -1):
        if desk["orders"][row]["state"] != STATE_STARTED:
            tape["n_orders"] = finish_order_step(
                desk, row, STATE_CANCELED, DONE, tape["orders"], tape["n_orders"]
            )


@kernel
def follow_server_close_step(desk: np.void, fill: np.void) -> None:
    """Make the decision want no more than a stop loss, take profit or stop-out left of a position.

    It would otherwise open again what has just been closed, at the next signal.
    """
    symbol = fill["symbol"]
    intent = desk["intents"][symbol]
    if intent["direction"] != -fill["side"]:  # flat, or about to turn anyway
        return
    held_lots = net_lots(desk, symbol)
    if held_lots * intent["direction"] > 0.0:
        intent["target_lots"] = held_lots
    else:
        decision_exit_step(intent, fill["time_ns"])


@kernel
def act_step(desk: np.void, symbol: int, now_ns: int, tape: np.void) -> None:
    """Decide on the symbol's latest signal, ask the limits, send the order, write it all down.

    Args:
        desk: the account; its quote of `symbol` is the price decided on.
        symbol: row of the symbol.
        now_ns: the moment of the decision, UTC.
        tape: where decision and orders are written.
    """
    quote = desk["quotes"][symbol]
    day_row = desk["day_rows"][symbol]
    if day_row < 0:
        return
    signal = desk["signals"][symbol]
    decision = tape["decisions"][tape["n_decisions"]]
    tape["n_decisions"] += 1
    decision["time_ns"] = now_ns
    decision["symbol"] = symbol
    decision_step(
        desk["params"][symbol],
        desk["intents"][symbol],
        signal,
        desk["specs"][symbol],
        quote,
        desk["days"][day_row],
        desk["account"]["equity"],
        lot_notional(desk, symbol),
        now_ns,
        decision,
    )
    target_lots = decision["target_lots"]
    held_lots = net_lots(desk, symbol)
    decision["allowed_lots"] = held_lots
    decision["risk_code"] = RISK_OK
    if target_lots != held_lots:
        allowed_lots, code = risk_step(
            desk, symbol, target_lots, _market_price(quote, target_lots - held_lots), signal, now_ns
        )
        decision["allowed_lots"] = allowed_lots
        decision["risk_code"] = code
        if (
            allowed_lots == 0.0
            and target_lots != 0.0
            and code != RISK_ORDER_IN_FLIGHT
            and code != RISK_ORDER_SIZE
            and code != RISK_BROKER_REFUSED
        ):
            # Refused: the next signal has to pass the entry threshold and the cost of it again.
            desk["intents"][symbol]["direction"] = 0
            desk["intents"][symbol]["target_lots"] = 0.0
        if allowed_lots != held_lots:
            _trade_step(
                desk, symbol, held_lots, allowed_lots, decision["decision_code"], code, now_ns, tape
            )


@kernel
def settle_step(desk: np.void, symbol: int, now_ns: int, tape: np.void) -> None:
    """Let orders that reach the broker on this very tick execute at its quote.

    With a broker outside they are in flight until it reports.
    """
    if desk["account"]["open_orders"] > 0 and desk["account"]["mirrored"] == 0:
        tape["n_fills"], tape["n_orders"] = execute_arrived_step(
            desk, symbol, now_ns, tape["fills"], tape["n_fills"], tape["orders"], tape["n_orders"]
        )


@kernel
def sample_step(desk: np.void, symbol: int, now_ns: int, tape: np.void) -> None:
    """Write one EQUITY row: the account as it stands after this tick's orders."""
    sample = tape["samples"][tape["n_samples"]]
    tape["n_samples"] += 1
    quote = desk["quotes"][symbol]
    account = desk["account"]
    sample["time_ns"] = now_ns
    sample["symbol"] = symbol
    sample["mid"] = 0.5 * (quote["bid"] + quote["ask"])
    sample["position_lots"] = net_lots(desk, symbol)
    sample["balance"] = account["balance"]
    sample["equity"] = account["equity"]
    sample["margin"] = account["margin"]


@kernel
def needs_decision(desk: np.void, symbol: int, now_ns: int) -> bool:
    """Tell whether a position must be closed for the clock's sake before the next signal is due.

    Signals come at bar closes; "flat before the weekend" must not wait for one. A stopped account
    needs none: it is flattened on every quote (and the tape has room for one such batch a quote).
    """
    risk = desk["risk"]
    if risk["latches"] != 0 or risk["kill_switch"] != 0:
        return False
    params = desk["params"][symbol]
    day_row = desk["day_rows"][symbol]
    if day_row < 0:
        return False
    day = desk["days"][day_row]
    weekend_ns = params["flat_before_weekend_ns"]
    rollover_ns = params["flat_before_rollover_ns"]
    near = (weekend_ns > 0 and day["long_close_ns"] - now_ns <= weekend_ns) or (
        rollover_ns > 0 and day["end_ns"] - now_ns <= rollover_ns
    )
    return near and (desk["intents"][symbol]["direction"] != 0 or net_lots(desk, symbol) != 0.0)


@kernel
def decide_step(desk: np.void, symbol: int, now_ns: int, due: bool, tape: np.void) -> None:
    """Act on the latest signal if a decision is due, or if the clock wants the position closed."""
    if due or needs_decision(desk, symbol, now_ns):
        act_step(desk, symbol, now_ns, tape)
    settle_step(desk, symbol, now_ns, tape)
    if due and desk["account"]["mirrored"] == 0:
        sample_step(desk, symbol, now_ns, tape)


@kernel
def _market_price(quote: np.void, lots: float) -> float:
    return quote["ask"] if lots > 0.0 else quote["bid"]


@kernel
def _flatten_all_step(desk: np.void, now_ns: int, tape: np.void) -> None:
    for symbol in range(desk["symbols"]):
        held_lots = net_lots(desk, symbol)
        both_ways = desk["account"]["mode"] == HEDGING and hedged_lots(desk, symbol) > 0.0
        if held_lots == 0.0 and not both_ways:
            continue
        quote = desk["quotes"][symbol]
        if desk["intents"][symbol]["direction"] != 0:
            decision_exit_step(desk["intents"][symbol], now_ns)
        if both_ways:
            if market_refusal(desk, symbol, now_ns) == RISK_OK:
                _close_each_step(desk, symbol, now_ns, tape)
                settle_step(desk, symbol, now_ns, tape)
            continue
        allowed_lots, code = risk_step(
            desk, symbol, 0.0, _market_price(quote, -held_lots), desk["signals"][symbol], now_ns
        )
        if allowed_lots != held_lots:
            _trade_step(desk, symbol, held_lots, allowed_lots, DECISION_HOLD, code, now_ns, tape)
            settle_step(desk, symbol, now_ns, tape)


@kernel
def _close_each_step(desk: np.void, symbol: int, now_ns: int, tape: np.void) -> None:
    """Close each position of a symbol that is held both ways: closing the net would leave pairs."""
    code = flatten_code(desk["risk"])
    cap_lots = desk["limits"][symbol]["max_order_lots"]
    for row in range(desk["account"]["open_positions"]):
        position = desk["positions"][row]
        if position["symbol"] == symbol:
            lots = position["volume_lots"]
            if 0.0 < cap_lots < lots:
                lots = whole_lots(cap_lots, desk["specs"][symbol]["volume_step"])
            _send_step(
                desk,
                symbol,
                -position["side"],
                lots,
                position["id"],
                DECISION_HOLD,
                code,
                now_ns,
                tape,
            )


@kernel
def _trade_step(
    desk: np.void,
    symbol: int,
    held_lots: float,
    allowed_lots: float,
    decision_code: int,
    risk_code: int,
    now_ns: int,
    tape: np.void,
) -> None:
    """Send the market orders that move the net position from `held_lots` to `allowed_lots`.

    What closes names its position, and so cannot open one if a stop loss closes the position
    while the order travels. Only where nothing can happen in between does a netting account turn
    with a single order.
    """
    side = 1 if allowed_lots > held_lots else -1
    remaining = snap_volume(abs(allowed_lots - held_lots))
    turns = held_lots * allowed_lots < 0.0
    is_live = desk["account"]["mirrored"] == MIRRORED_LIVE
    travels = is_live or desk["specs"][symbol]["latency_ns"] > 0
    if desk["account"]["mode"] == HEDGING or travels or not turns:
        # Opposite positions are closed first, oldest first: never long and short at once.
        for row in range(desk["account"]["open_positions"]):
            position = desk["positions"][row]
            if position["symbol"] != symbol or position["side"] == side or remaining <= 0.0:
                continue
            lots = min(remaining, position["volume_lots"])
            _send_step(
                desk, symbol, side, lots, position["id"], decision_code, risk_code, now_ns, tape
            )
            remaining = snap_volume(remaining - lots)
    if remaining > 0.0:
        _send_step(
            desk, symbol, side, remaining, NO_POSITION, decision_code, risk_code, now_ns, tape
        )


@kernel
def _protection(price: float, fraction: float, side: int, tick_size: float) -> float:
    """Price `fraction` away from `price` on the given side, on the grid; NaN if not wanted."""
    if fraction <= 0.0:
        return math.nan
    return snap_price(price * (1.0 + side * fraction), tick_size, 0)


@kernel
def _send_step(
    desk: np.void,
    symbol: int,
    side: int,
    lots: float,
    position_id: int,
    decision_code: int,
    risk_code: int,
    now_ns: int,
    tape: np.void,
) -> None:
    spec = desk["specs"][symbol]
    params = desk["params"][symbol]
    price = _market_price(desk["quotes"][symbol], side)
    stop_loss = math.nan
    take_profit = math.nan
    if position_id == NO_POSITION:
        stop_loss = _protection(price, params["stop_loss_fraction"], -side, spec["tick_size"])
        take_profit = _protection(price, params["take_profit_fraction"], side, spec["tick_size"])
    row = submit_order_step(
        desk,
        symbol,
        BUY if side > 0 else SELL,
        lots,
        price,
        stop_loss,
        take_profit,
        IMMEDIATE_OR_CANCEL,
        position_id,
        MAGIC,
        decision_code,
        risk_code,
        0,
        now_ns,
    )
    if row >= 0:
        record_order_step(desk["risk"], now_ns)
        return
    _write_refusal_step(
        desk, symbol, side, lots, price, stop_loss, take_profit, position_id, decision_code,
        risk_code, -row, now_ns, tape,
    )  # fmt: skip


@kernel
def _write_refusal_step(
    desk: np.void,
    symbol: int,
    side: int,
    lots: float,
    price: float,
    stop_loss: float,
    take_profit: float,
    position_id: int,
    decision_code: int,
    risk_code: int,
    retcode: int,
    now_ns: int,
    tape: np.void,
) -> None:
    """An order the broker would not take is written down like every other."""
    account = desk["account"]
    order = tape["orders"][tape["n_orders"]]
    tape["n_orders"] += 1
    order["id"] = account["next_id"]
    account["next_id"] += 1
    order["symbol"] = symbol
    order["type"] = BUY if side > 0 else SELL
    order["filling"] = IMMEDIATE_OR_CANCEL
    order["state"] = STATE_REJECTED
    order["retcode"] = retcode
    order["volume_lots"] = lots
    order["filled_lots"] = 0.0
    order["price"] = price
    order["stop_loss"] = stop_loss
    order["take_profit"] = take_profit
    order["created_ns"] = now_ns
    order["arrives_ns"] = now_ns
    order["expires_ns"] = 0
    order["position_id"] = position_id
    order["magic"] = MAGIC
    order["decision_code"] = decision_code
    order["risk_code"] = risk_code
