"""Trade requests: what is executed, what is refused with which code, and what the books say."""

import numpy as np
import pytest

from mt5_gateway import constants as c
from tests.mt5_gateway.simulator.conftest import (
    MS_NS,
    SECOND_NS,
    SERVER_OFFSET_S,
    START_NS,
    a_request,
    a_walk,
    control,
    mt5,
    some_settings,
    stand_at,
)

FOREVER = (1, 2_000_000_000)


@pytest.fixture
def trade(served):
    """Serve EURUSD with settings, and stand at its 100th tick."""

    def start(*, ticks=None, ordinal=100, table=None, **options):
        streams = {"EURUSD": a_walk(500) if ticks is None else ticks}
        running = served(streams, some_settings(**(table or {})), **options)
        assert mt5.symbol_select("EURUSD")
        stand_at("EURUSD", ordinal)
        return running

    return start


def sent(**changes):
    """Send a request that reaches the server."""
    result = mt5.order_send(a_request(**changes))
    assert result is not None, mt5.last_error()
    return result


def test_a_market_order_becomes_order_deal_and_position(trade):
    trade()
    tick = mt5.symbol_info_tick("EURUSD")
    result = sent(sl=round(tick.bid - 0.005, 5), tp=round(tick.bid + 0.005, 5))
    assert (result.retcode, result.comment) == (c.TRADE_RETCODE_DONE, "Request executed")
    assert (result.volume, result.price) == (0.1, tick.ask)
    assert (result.bid, result.ask) == (tick.bid, tick.ask)
    assert result.request.comment == "a-1"
    (position,) = mt5.positions_get()
    assert position.ticket == position.identifier == result.order
    assert (position.type, position.volume, position.magic) == (c.POSITION_TYPE_BUY, 0.1, 7)
    assert (position.price_open, position.price_current) == (tick.ask, tick.bid)
    assert position.time_msc == position.time_update_msc == tick.time_msc
    assert position.time == tick.time
    assert position.sl == round(tick.bid - 0.005, 5)
    (deal,) = mt5.history_deals_get(*FOREVER)
    assert (deal.ticket, deal.order, deal.position_id) == (result.deal, result.order, result.order)
    assert (deal.entry, deal.reason) == (c.DEAL_ENTRY_IN, c.DEAL_REASON_EXPERT)
    assert (deal.magic, deal.comment, deal.symbol) == (7, "a-1", "EURUSD")
    assert deal.commission == -0.35
    (order,) = mt5.history_orders_get(*FOREVER)
    assert (order.ticket, order.state) == (result.order, c.ORDER_STATE_FILLED)
    assert (order.volume_initial, order.volume_current) == (0.1, 0.0)
    assert (order.price_open, order.comment) == (tick.ask, "a-1")
    assert order.time_done_msc == tick.time_msc
    account = mt5.account_info()
    assert account.balance == 10_000.0 - 0.35
    assert account.profit == position.profit
    assert account.equity == account.balance + account.profit
    margin = mt5.order_calc_margin(0, "EURUSD", 0.1, tick.ask)
    assert account.margin == pytest.approx(margin, abs=0.01)
    assert account.margin_level == account.equity / account.margin * 100.0


def test_closing_a_position_books_its_profit(trade):
    trade()
    opened = sent()
    stand_at("EURUSD", 300)
    (position,) = mt5.positions_get(ticket=opened.order)
    bid = mt5.symbol_info_tick("EURUSD").bid
    worth = mt5.order_calc_profit(0, "EURUSD", 0.1, position.price_open, bid)
    assert position.profit == pytest.approx(worth, abs=0.01)
    closed = sent(type=1, position=opened.order, comment="b-2", magic=0)
    assert closed.retcode == c.TRADE_RETCODE_DONE
    assert mt5.positions_get() == ()
    deal_in, deal_out = mt5.history_deals_get(position=opened.order)
    assert (deal_out.entry, deal_out.profit) == (c.DEAL_ENTRY_OUT, worth)
    assert (deal_out.magic, deal_out.comment) == (0, "b-2")
    assert mt5.history_deals_get(ticket=closed.order) == (deal_out,)
    assert len(mt5.history_orders_get(position=opened.order)) == 2
    total = worth + deal_in.commission + deal_out.commission
    assert mt5.account_info().balance == pytest.approx(10_000 + total, abs=1e-9)
    again = sent(type=1, position=opened.order)
    assert again.retcode == c.TRADE_RETCODE_POSITION_CLOSED


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ({"action": 77}, c.TRADE_RETCODE_INVALID, "Invalid request"),
        ({"symbol": "NOPE"}, c.TRADE_RETCODE_INVALID, "Invalid request"),
        ({"symbol": None}, c.TRADE_RETCODE_INVALID, "Invalid request"),
        ({"type": 2}, c.TRADE_RETCODE_INVALID_ORDER, "Invalid order"),
        ({"volume": 0.001}, c.TRADE_RETCODE_INVALID_VOLUME, "Invalid volume"),
        ({"volume": 0.015}, c.TRADE_RETCODE_INVALID_VOLUME, "Invalid volume"),
        ({"volume": None}, c.TRADE_RETCODE_INVALID_VOLUME, "Invalid volume"),
        ({"volume": float("nan")}, c.TRADE_RETCODE_INVALID_VOLUME, "Invalid volume"),
        ({"volume": 99.0}, c.TRADE_RETCODE_NO_MONEY, "No money"),
        ({"sl": 1.9}, c.TRADE_RETCODE_INVALID_STOPS, "Invalid stops"),
        ({"tp": 1.2}, c.TRADE_RETCODE_INVALID_STOPS, "Invalid stops"),
        ({"sl": 1.123456}, c.TRADE_RETCODE_INVALID_STOPS, "Invalid stops"),
        ({"price": float("nan")}, c.TRADE_RETCODE_INVALID_PRICE, "Invalid price"),
        ({"type_filling": 2}, c.TRADE_RETCODE_INVALID_FILL, "Unsupported filling mode"),
        ({"type_filling": 3}, c.TRADE_RETCODE_INVALID_FILL, "Unsupported filling mode"),
        ({"position": 99}, c.TRADE_RETCODE_POSITION_CLOSED, "Position closed"),
        ({"action": 5}, c.TRADE_RETCODE_INVALID_ORDER, "Invalid order"),
        ({"action": 5, "type": 2, "price": 1.9}, c.TRADE_RETCODE_INVALID_PRICE, "Invalid price"),
        ({"action": 5, "type": 2, "price": 1.2, "type_time": 2, "expiration": 1000},
         c.TRADE_RETCODE_INVALID_EXPIRATION, "Invalid expiration"),
        ({"action": 5, "type": 2, "price": 1.2, "type_time": 9},
         c.TRADE_RETCODE_INVALID_EXPIRATION, "Invalid expiration"),
        ({"action": 8, "order": 99}, c.TRADE_RETCODE_INVALID, "Invalid request"),
    ],
)  # fmt: skip
def test_a_request_is_refused_with_the_code_of_its_fault(trade, changes, code, text):
    trade()
    result = sent(**changes)
    assert (result.retcode, result.comment) == (code, text)
    assert (result.order, result.deal, result.volume) == (0, 0, 0.0)
    assert mt5.positions_total() == 0
    checked = mt5.order_check(a_request(**changes))
    assert checked.retcode == (0 if changes.get("action") == 8 else code)
    assert checked.balance == mt5.account_info().balance


def test_a_symbol_out_of_market_watch_has_no_price(served):
    served()
    stand_at("EURUSD", 100)
    assert sent().retcode == c.TRADE_RETCODE_PRICE_OFF


def test_nothing_is_traded_before_the_first_tick(trade):
    trade(ordinal=0)
    assert sent().retcode == c.TRADE_RETCODE_PRICE_OFF


def test_the_market_is_closed_at_the_weekend(trade):
    saturday = START_NS + 3 * 86_400 * SECOND_NS
    trade(ticks=a_walk(200, start_ns=saturday))
    assert sent().retcode == c.TRADE_RETCODE_MARKET_CLOSED
    (order,) = mt5.history_orders_get(*FOREVER)
    assert order.state == c.ORDER_STATE_REJECTED


@pytest.mark.parametrize(
    ("switch", "on", "code"),
    [
        ("trade_allowed", False, c.TRADE_RETCODE_CLIENT_DISABLES_AT),
        ("trade_expert", False, c.TRADE_RETCODE_SERVER_DISABLES_AT),
        ("connected", False, c.TRADE_RETCODE_CONNECTION),
    ],
)
def test_switches_stop_trading(trade, switch, on, code):
    trade()
    control.switch(switch, on)
    assert sent().retcode == code
    shown = mt5.account_info() if switch == "trade_expert" else mt5.terminal_info()
    assert getattr(shown, switch) is on
    control.switch(switch, not on)
    assert sent().retcode == c.TRADE_RETCODE_DONE


def test_a_disabled_python_interface_refuses_without_a_result(trade):
    trade()
    control.switch("tradeapi_disabled", True)
    assert mt5.order_send(a_request()) is None
    assert mt5.last_error() == (-8, "Auto-Trading using Python API disabled in Terminal")
    assert mt5.terminal_info().tradeapi_disabled is True
    assert mt5.order_check(a_request()).retcode == 0


@pytest.mark.parametrize(
    ("mode", "buy", "sell", "close"),
    [
        (c.SYMBOL_TRADE_MODE_DISABLED, 10017, 10017, 10017),
        (c.SYMBOL_TRADE_MODE_CLOSEONLY, 10044, 10044, 10009),
        (c.SYMBOL_TRADE_MODE_LONGONLY, 10009, 10042, 10009),
        (c.SYMBOL_TRADE_MODE_SHORTONLY, 10043, 10009, 10009),
    ],
)
def test_the_trade_mode_of_a_symbol_decides_what_may_be_opened(trade, mode, buy, sell, close):
    trade(table={"account": {"mode": "hedging"}})
    held = sent().order
    control.trade_mode("EURUSD", mode)
    assert mt5.symbol_info("EURUSD").trade_mode == mode
    assert sent().retcode == buy
    assert sent(type=1).retcode == sell
    assert sent(type=1, position=held).retcode == close


def test_instant_execution_requotes_beyond_the_deviation(trade):
    trade(execution=c.SYMBOL_TRADE_EXECUTION_INSTANT)
    assert mt5.symbol_info("EURUSD").trade_exemode == c.SYMBOL_TRADE_EXECUTION_INSTANT
    tick = mt5.symbol_info_tick("EURUSD")
    away = round(tick.ask - 5e-5, 5)
    requote = sent(price=away, deviation=4)
    assert requote.retcode == c.TRADE_RETCODE_REQUOTE
    assert (requote.bid, requote.ask) == (tick.bid, tick.ask)
    assert sent().retcode == c.TRADE_RETCODE_INVALID_PRICE
    assert sent(price=away, deviation=5).price == tick.ask
    assert sent(price=tick.ask, type_filling=2).retcode == c.TRADE_RETCODE_DONE


def test_market_execution_ignores_price_and_deviation(trade):
    trade()
    tick = mt5.symbol_info_tick("EURUSD")
    assert sent(price=1.0, deviation=0).price == tick.ask


def test_with_latency_an_order_is_placed_first_and_filled_on_its_arrival(trade):
    trade(table={"costs": {"latency": "5s"}})
    result = sent()
    assert result.retcode == c.TRADE_RETCODE_PLACED
    assert (result.deal, result.price, result.volume) == (0, 0.0, 0.1)
    (order,) = mt5.orders_get()
    assert (order.ticket, order.state) == (result.order, c.ORDER_STATE_STARTED)
    ahead = control.peek(1000)
    assert ahead.is_event
    assert mt5.positions_total() == 0
    assert control.commit(ahead.symbol, ahead.ordinal) == 0
    before = mt5.symbol_info_tick("EURUSD")
    assert control.commit(ahead.symbol, ahead.ordinal + 1) == 1
    (deal,) = mt5.history_deals_get(ticket=result.order)
    assert deal.time_msc == order.time_setup_msc + 5000
    assert deal.price == before.ask, "at the quote in force when it arrived"


def test_a_fill_in_part_is_said_so(trade):
    trade(table={"costs": {"liquidity_lots": 0.06}})
    result = sent()
    assert (result.retcode, result.volume) == (c.TRADE_RETCODE_DONE_PARTIAL, 0.06)
    (order,) = mt5.history_orders_get(ticket=result.order)
    assert (order.state, order.volume_current) == (c.ORDER_STATE_PARTIAL, 0.04)
    assert sent(type_filling=0).retcode == c.TRADE_RETCODE_REJECT


def test_a_pending_order_waits_is_filled_and_can_be_removed(trade):
    trade()
    tick = mt5.symbol_info_tick("EURUSD")
    low = round(tick.ask - 0.0001, 5)
    placed = sent(action=5, type=2, price=low, type_filling=2, comment="limit")
    assert (placed.retcode, placed.deal) == (c.TRADE_RETCODE_DONE, 0)
    far = sent(action=5, type=2, price=1.0, type_filling=2, type_time=1)
    assert mt5.orders_total() == 2
    (order,) = mt5.orders_get(ticket=placed.order)
    assert (order.state, order.price_open, order.time_done) == (c.ORDER_STATE_PLACED, low, 0)
    assert (order.type_time, order.comment) == (c.ORDER_TIME_GTC, "limit")
    removed = sent(action=8, order=far.order)
    assert (removed.retcode, removed.order) == (c.TRADE_RETCODE_DONE, far.order)
    (gone,) = mt5.history_orders_get(ticket=far.order)
    assert gone.state == c.ORDER_STATE_CANCELED
    ahead = control.peek(10_000)
    assert ahead.is_event
    control.commit(ahead.symbol, ahead.ordinal + 1)
    (deal,) = mt5.history_deals_get(ticket=placed.order)
    assert deal.price <= low
    assert deal.comment == "limit"
    assert mt5.orders_get() == ()


@pytest.mark.parametrize("kind", ["specified", "day", "specified_day"])
def test_a_pending_order_expires_on_the_servers_clock(trade, kind):
    ticks = a_walk(3_000, step_ms=60_000)
    trade(ticks=ticks, ordinal=1)
    now_s = mt5.symbol_info_tick("EURUSD").time
    midnight_s = (now_s // 86_400 + 1) * 86_400
    expires_s = now_s + 600 if kind == "specified" else midnight_s
    changes = {
        "specified": {"type_time": 2, "expiration": now_s + 600},
        "day": {"type_time": 1},
        "specified_day": {"type_time": 3, "expiration": now_s + 600},
    }[kind]
    placed = sent(action=5, type=2, price=0.9, type_filling=2, **changes)
    (order,) = mt5.orders_get()
    assert order.time_expiration == changes.get("expiration", 0)
    ahead = control.peek(10_000)
    control.commit(ahead.symbol, ahead.ordinal)
    assert mt5.symbol_info_tick("EURUSD").time < expires_s
    control.commit(ahead.symbol, ahead.ordinal + 1)
    assert mt5.symbol_info_tick("EURUSD").time >= expires_s
    (order,) = mt5.history_orders_get(ticket=placed.order)
    assert order.state == c.ORDER_STATE_EXPIRED


def test_a_stop_loss_is_the_servers_own_order(trade):
    trade()
    tick = mt5.symbol_info_tick("EURUSD")
    opened = sent(sl=round(tick.bid - 0.0002, 5))
    assert opened.retcode == c.TRADE_RETCODE_DONE
    ahead = control.peek(10_000)
    assert ahead.is_event
    control.commit(ahead.symbol, ahead.ordinal + 1)
    assert mt5.positions_get() == ()
    _, deal = mt5.history_deals_get(position=opened.order)
    (order,) = mt5.history_orders_get(ticket=deal.order)
    assert (deal.reason, order.reason) == (c.DEAL_REASON_SL, c.ORDER_REASON_SL)
    assert deal.comment == order.comment == f"[sl {deal.price:.5f}]"
    assert (deal.magic, deal.type) == (7, c.DEAL_TYPE_SELL)
    assert order.ticket not in (opened.order, opened.deal)


def test_a_stop_out_and_a_swap_are_events(trade):
    days = a_walk(4_000, step_ms=60_000)
    days["bid"] -= np.linspace(0.0, 0.2, len(days)).round(5)
    days["ask"] = (days["bid"] + 0.0001).round(5)
    days["bid"] = days["bid"].round(5)
    trade(ticks=days, ordinal=1, table={"account": {"balance": 2_000.0}})
    opened = sent(volume=1.0)
    assert opened.retcode == c.TRADE_RETCODE_DONE
    reasons = []
    while (ahead := control.peek(10_000)).is_event:
        swap = [one.swap for one in mt5.positions_get()]
        assert control.commit(ahead.symbol, ahead.ordinal + 1) == 1
        reasons.append("swap" if mt5.positions_get() else "closed")
        assert [one.swap for one in mt5.positions_get()] != swap
    assert "swap" in reasons or reasons == ["closed"]
    deal = mt5.history_deals_get(position=opened.order)[-1]
    assert (deal.reason, deal.comment) == (c.DEAL_REASON_SO, "so")


def test_a_swap_is_charged_at_the_rollover_and_nothing_else_happens_there(trade):
    trade(ticks=a_walk(2_000, step_ms=60_000), ordinal=1)
    sent()
    ahead = control.peek(10_000)
    control.commit(ahead.symbol, ahead.ordinal)
    before = mt5.symbol_info_tick("EURUSD").time
    assert mt5.positions_get()[0].swap == 0.0
    assert control.commit(ahead.symbol, ahead.ordinal + 1) == 1
    after = mt5.symbol_info_tick("EURUSD").time
    assert before // 86_400 + 1 == after // 86_400, "midnight on the server"
    (position,) = mt5.positions_get()
    assert position.swap == round(-7.6 * 0.1 * 3, 2), "Wednesday: three days"
    assert len(mt5.history_deals_get(*FOREVER)) == 1


def test_a_hedging_account_holds_both_sides(trade):
    trade(table={"account": {"mode": "hedging"}})
    long, short = sent(), sent(type=1, comment="b")
    assert mt5.account_info().margin_mode == c.ACCOUNT_MARGIN_MODE_RETAIL_HEDGING
    assert [one.ticket for one in mt5.positions_get()] == [long.order, short.order]
    assert [one.comment for one in mt5.positions_get(ticket=short.order)] == ["b"]
    assert sent(type=0, position=long.order).retcode == c.TRADE_RETCODE_INVALID
    too_much = sent(type=1, position=long.order, volume=0.2)
    assert too_much.retcode == c.TRADE_RETCODE_INVALID_CLOSE_VOLUME


def test_a_netting_account_turns_and_keeps_the_identifier(trade):
    trade()
    first = sent()
    turned = sent(type=1, volume=0.3)
    (position,) = mt5.positions_get(symbol="EURUSD")
    assert (position.type, position.volume) == (c.POSITION_TYPE_SELL, 0.2)
    assert position.identifier == first.order
    (deal,) = mt5.history_deals_get(ticket=turned.order)
    assert deal.entry == c.DEAL_ENTRY_INOUT


def test_rows_are_chosen_by_ticket_before_symbol_before_group(trade):
    trade()
    result = sent()
    assert len(mt5.positions_get(ticket=result.order, symbol="NOPE")) == 1
    assert mt5.positions_get(symbol="NOPE", group="*") == ()
    assert len(mt5.positions_get(group="EUR*,!*JPY")) == 1
    assert mt5.positions_get(group="!*JPY") == ()
    assert len(mt5.history_deals_get(*FOREVER, group="*USD")) == 1
    assert mt5.history_deals_get(*FOREVER, group="*JPY") == ()


def test_history_is_asked_for_by_server_seconds(trade):
    trade()
    sent()
    second = mt5.symbol_info_tick("EURUSD").time
    assert second > START_NS // SECOND_NS + SERVER_OFFSET_S
    assert len(mt5.history_deals_get(second, second)) == 1
    assert mt5.history_deals_total(second, second) == mt5.history_orders_total(second, second) == 1
    assert mt5.history_deals_get(second + 1, second + 100) == ()
    assert mt5.history_deals_get(second - 100, second - 1) == ()


def test_an_order_check_changes_nothing(trade):
    running = trade()
    before = running.terminal.desk.tobytes()
    checked = mt5.order_check(a_request())
    assert running.terminal.desk.tobytes() == before
    assert checked.comment == "Done"
    ask = mt5.symbol_info_tick("EURUSD").ask
    assert checked.margin == pytest.approx(10_000 * ask / 100)
    assert checked.margin_free == checked.equity - checked.margin
    assert checked.margin_level == checked.equity / checked.margin * 100.0
    sent()
    assert mt5.account_info().equity == checked.equity


def test_faults_can_be_asked_for(trade):
    trade()
    control.fault("order_send", "retcode", 10024, times=2)
    control.fault("order_send", "executed", 10012)
    control.fault("account_info", "error", -1)
    assert [sent().retcode for _ in range(2)] == [10024, 10024]
    assert mt5.positions_total() == 0
    assert sent(comment="open").retcode == c.TRADE_RETCODE_TIMEOUT
    assert [one.comment for one in mt5.positions_get()] == ["open"]
    assert sent().retcode == c.TRADE_RETCODE_DONE
    assert mt5.account_info() is None
    assert mt5.last_error() == (-1, "Terminal: Call failed")
    assert mt5.account_info() is not None


def test_a_fault_may_concern_one_symbol_only(trade):
    trade()
    control.fault("order_send", "retcode", 10006, symbol="GBPUSD")
    assert sent().retcode == c.TRADE_RETCODE_DONE


@pytest.mark.parametrize(("kind", "executed"), [("lost", True), ("broken", False)])
def test_a_connection_that_breaks_leaves_the_outcome_open(trade, kind, executed):
    running = trade()
    control.fault("order_send", kind)
    assert mt5.order_send(a_request()) is None
    assert mt5.last_error() == (-10002, "IPC recv failed")
    assert mt5.order_send(a_request()) is None
    assert mt5.last_error() == (-10004, "No IPC connection")
    assert control.position() is None
    assert mt5.version() == (0, 0, "")
    assert mt5.initialize(str(running.path))
    assert mt5.positions_total() == int(executed)


def test_a_comment_survives_from_request_to_history(trade):
    trade()
    result = sent(comment="x" * 29, magic=(1 << 64) - 1)
    (position,) = mt5.positions_get()
    (deal,) = mt5.history_deals_get(ticket=result.order)
    assert position.comment == deal.comment == "x" * 29
    assert position.magic == deal.magic == (1 << 64) - 1


def test_profit_and_margin_are_calculated_without_positions(trade):
    trade()
    sent(volume=0.5)
    ask = mt5.symbol_info_tick("EURUSD").ask
    assert mt5.order_calc_margin(0, "EURUSD", 1.0, ask) == round(100_000 * ask / 100, 2)
    assert mt5.order_calc_profit(1, "EURUSD", 1.0, 1.38, 1.37) == 1000.0
    assert mt5.order_calc_profit(0, "EURUSD", 1.0, 1.38, 1.37) == -1000.0
    assert mt5.order_calc_margin(2, "EURUSD", 1.0, ask) is None
    assert mt5.last_error() == (-2, "Terminal: Invalid params")
    assert mt5.order_calc_profit(0, "NOPE", 1.0, 1.0, 1.0) is None
    assert mt5.last_error() == (-4, "Terminal: Not found")


def test_tickets_go_on_after_a_refusal_as_they_do_in_the_kernels(trade):
    trade()
    assert sent(volume=0.001).retcode == c.TRADE_RETCODE_INVALID_VOLUME
    assert sent().order == 2


def test_times_are_on_the_servers_clock(trade):
    running = trade()
    sent()
    played_ns = running.terminal.broker.time_ns
    (deal,) = mt5.history_deals_get(*FOREVER)
    assert deal.time_msc == played_ns // MS_NS + SERVER_OFFSET_S * 1000
