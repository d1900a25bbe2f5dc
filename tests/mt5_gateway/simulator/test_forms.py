"""Call forms of the package: what it takes, what it refuses, and with which words."""

import functools
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from enum import IntEnum

import numpy as np
import pytest

from mt5_gateway.simulator.errors import NotSimulated
from tests.mt5_gateway.simulator.conftest import SERVER_OFFSET_S, START_NS, a_request, control, mt5

OPENED_S = START_NS // 10**9 + SERVER_OFFSET_S
SUCCESS = (1, "Success")


def refused(answer):
    """Check that a call failed for its arguments, and return the text."""
    assert answer is None
    code, text = mt5.last_error()
    assert code == -2
    return text


def test_a_request_after_splatted_empty_keywords_is_refused(trading):
    arguments, keywords = (a_request(),), {}
    assert refused(mt5.order_send(*arguments, **keywords)) == "Unnamed arguments not allowed"
    assert refused(mt5.order_check(*arguments, **keywords)) == "Unnamed arguments not allowed"
    with ThreadPoolExecutor(1) as pool:
        assert refused(pool.submit(mt5.order_send, a_request()).result())
    assert mt5.positions_total() == 0


def test_safe_ways_to_pass_a_request_work(trading):
    request = a_request()
    wrapped = functools.partial(mt5.order_check, request)
    with ThreadPoolExecutor(1) as pool:
        in_a_thread = pool.submit(lambda: mt5.order_check(request)).result()
    arguments = (request,)
    for answer in (
        mt5.order_check(request),
        mt5.order_check(*arguments),
        mt5.order_check(**request),
        wrapped(),
        in_a_thread,
    ):
        assert answer.retcode == 0
        assert mt5.last_error() == SUCCESS


@pytest.mark.parametrize("name", ["volume", "price", "stoplimit", "sl", "tp"])
@pytest.mark.parametrize("value", [1, np.float32(1.0), None, "1.0", True])
def test_prices_and_volume_must_be_floats(trading, name, value):
    request = a_request() | {name: value}
    assert refused(mt5.order_send(request)) == f'Invalid "{name}" argument'


def test_a_float64_of_numpy_is_a_float(trading):
    assert mt5.order_check(a_request(volume=np.float64(0.1))).retcode == 0


@pytest.mark.parametrize(
    "name",
    [
        "action",
        "magic",
        "order",
        "deviation",
        "type",
        "type_filling",
        "type_time",
        "expiration",
        "position",
        "position_by",
    ],
)
@pytest.mark.parametrize("value", [np.int64(1), 1.0, None, "1"])
def test_numbers_must_be_ints_of_python(trading, name, value):
    request = a_request() | {name: value}
    assert refused(mt5.order_send(request)) == f'Invalid "{name}" argument'


def test_bool_and_enumerations_are_ints(trading):
    class Kind(IntEnum):
        SELL = 1

    assert mt5.order_check(a_request(type=Kind.SELL, type_time=False)).request.type == 1


@pytest.mark.parametrize("change", [{"magic": -1}, {"magic": 1 << 64}, {"type": 1 << 32}])
def test_numbers_out_of_bounds_look_like_a_system_error(trading, change):
    with pytest.raises(SystemError, match="returned a result with an exception set"):
        mt5.order_send(a_request(**change))


@pytest.mark.parametrize(("length", "is_taken"), [(29, True), (30, False)])
def test_a_comment_has_at_most_29_characters(trading, length, is_taken):
    answer = mt5.order_check(a_request(comment="x" * length))
    assert (answer is not None) is is_taken
    if not is_taken:
        assert mt5.last_error() == (-2, 'Invalid "comment" argument')


def test_characters_beyond_the_first_plane_count_twice(trading):
    assert mt5.order_check(a_request(comment="\N{CHART WITH UPWARDS TREND}" * 14)) is not None
    assert mt5.order_check(a_request(comment="\N{CHART WITH UPWARDS TREND}" * 15)) is None


def test_unknown_fields_are_ignored_silently(trading):
    assert mt5.order_check(a_request(vollume=7, sl=1.3)).request.volume == 0.1


def test_what_is_left_out_is_zero(trading):
    request = mt5.order_check({"action": 1, "symbol": "EURUSD", "volume": 0.1}).request
    assert request.type_filling == mt5.ORDER_FILLING_FOK
    assert request.type == mt5.ORDER_TYPE_BUY
    assert (request.sl, request.tp, request.comment, request.magic) == (0.0, 0.0, "", 0)


@pytest.mark.parametrize(
    ("arguments", "keywords", "text"),
    [
        ((), {}, "Invalid number of arguments"),
        ((1, 2), {}, "Invalid number of arguments"),
        (("EURUSD",), {}, "Invalid 1st unnamed argument"),
        (({},), {"symbol": "EURUSD"}, "Unnamed arguments not allowed"),
    ],
)
def test_other_forms_of_a_request_are_refused(trading, arguments, keywords, text):
    answer = mt5.order_send(*arguments, **keywords) if keywords else mt5.order_send(*arguments)
    assert refused(answer) == text


def test_a_wrong_count_of_positional_arguments_is_refused(trading):
    for call in (
        mt5.symbol_info, mt5.symbol_info_tick, mt5.copy_ticks_from, mt5.copy_ticks_range,
        mt5.copy_rates_from, mt5.copy_rates_from_pos, mt5.copy_rates_range,
        mt5.history_orders_total, mt5.history_deals_total, mt5.order_calc_margin,
        mt5.order_calc_profit,
    ):  # fmt: skip
        assert refused(call()) == "Invalid number of arguments"
        assert refused(call(*range(6))) == "Invalid number of arguments"
    assert mt5.symbol_select() is False
    assert mt5.last_error()[0] == -2


def test_positional_functions_take_no_keywords(trading):
    with pytest.raises(TypeError):
        mt5.symbol_info(symbol="EURUSD")
    with pytest.raises(TypeError):
        mt5.copy_ticks_from("EURUSD", OPENED_S, count=1, flags=-1)
    with pytest.raises(TypeError):
        mt5.account_info(1)


@pytest.mark.parametrize(
    "call",
    [
        lambda: mt5.symbol_info(1),
        lambda: mt5.symbol_select(None),
        lambda: mt5.copy_ticks_from("EURUSD", OPENED_S, 1.5, -1),
        lambda: mt5.copy_ticks_from("EURUSD", OPENED_S, 1 << 31, -1),
        lambda: mt5.copy_rates_from_pos("EURUSD", "H1", 0, 1),
        lambda: mt5.order_calc_margin(0, "EURUSD", "0.1", 1.0),
        lambda: mt5.order_calc_profit(0, 7, 0.1, 1.0, 1.1),
    ],
)
def test_a_wrong_type_leaves_a_system_error(trading, call):
    with pytest.raises(SystemError, match="returned a result with an exception set"):
        call()


def test_an_int_is_a_price_where_c_converts_it(trading):
    assert mt5.order_calc_profit(0, "EURUSD", 1, 1, 2) == 100_000.0


@pytest.mark.parametrize("date", [np.int64(OPENED_S), "2014-05-07", None, 0, 0.5, -1, 1 << 31])
def test_unusable_dates_are_refused(trading, date):
    assert refused(mt5.copy_ticks_from("EURUSD", date, 1, -1)) == "Invalid arguments"
    assert refused(mt5.history_deals_get(date, OPENED_S)) == "Invalid arguments"


def test_dates_are_cut_to_whole_seconds(trading):
    moment = datetime.fromtimestamp(OPENED_S + 20, UTC)
    expected = mt5.copy_ticks_from("EURUSD", OPENED_S + 20, 3, -1)
    assert expected["time_msc"][0] >= (OPENED_S + 20) * 1000
    for date in (OPENED_S + 20.999, moment, moment.replace(microsecond=999_000)):
        assert mt5.copy_ticks_from("EURUSD", date, 3, -1).tobytes() == expected.tobytes()


def test_positions_and_orders_are_asked_for_by_keyword_only(trading):
    assert refused(mt5.positions_get("EURUSD")) == "Unnamed arguments not allowed"
    assert refused(mt5.orders_get("EURUSD")) == "Unnamed arguments not allowed"
    assert refused(mt5.positions_get(ticket=np.int64(1))) == 'Invalid "ticket" argument'
    assert refused(mt5.orders_get(symbol=None)) == 'Invalid "symbol" argument'
    assert refused(mt5.orders_get(group=5)) == 'Invalid "group" argument'
    assert mt5.positions_get(colour="red") == ()


def test_history_takes_two_dates_or_one_keyword(trading):
    assert refused(mt5.history_deals_get(OPENED_S)) == "Invalid number of arguments"
    assert refused(mt5.history_deals_get(date_from=1, date_to=2)) == "Invalid arguments"
    assert refused(mt5.history_orders_get(symbol="EURUSD")) == "Invalid arguments"
    assert mt5.history_orders_get(ticket=1) == ()
    assert mt5.history_deals_get(position=1) == ()
    assert mt5.last_error() == SUCCESS


def test_no_rows_are_an_empty_tuple_and_no_error(trading):
    for answer in (
        mt5.positions_get(),
        mt5.orders_get(),
        mt5.positions_get(ticket=5),
        mt5.history_deals_get(1, OPENED_S),
        mt5.history_orders_get(1, OPENED_S, group="*"),
    ):
        assert answer == ()
        assert mt5.last_error() == SUCCESS
    assert (mt5.positions_total(), mt5.orders_total()) == (0, 0)
    assert (mt5.history_orders_total(1, OPENED_S), mt5.history_deals_total(1, OPENED_S)) == (0, 0)


def test_every_call_forgets_the_error_before_it(trading):
    assert mt5.symbol_info("NOPE") is None
    assert mt5.last_error() == (-4, "Terminal: Not found")
    assert mt5.symbols_total() == 1
    assert mt5.last_error() == SUCCESS


def test_initialize_and_login_check_their_arguments(served):
    path = str(served().path)
    assert mt5.initialize(path, "more") is False
    assert mt5.last_error()[0] == -2
    assert mt5.initialize(5) is False
    assert mt5.last_error() == (-2, 'Invalid "path" argument')
    assert mt5.initialize(path, login="5000001") is False
    assert mt5.last_error() == (-2, 'Invalid "login" argument')
    assert mt5.initialize(path=path, colour="red") is True
    assert mt5.login() is False
    assert mt5.last_error() == (-2, 'Invalid "login" argument')
    assert mt5.login(5_000_001) is True
    assert mt5.login(login=5_000_001, server="Simulator-Demo", timeout=100) is True


def test_what_is_not_simulated_says_so(trading):
    for call in (mt5.market_book_add, mt5.market_book_get, mt5.market_book_release):
        with pytest.raises(NotSimulated, match="has no market_book"):
            call("EURUSD")
    with pytest.raises(NotSimulated, match="STOP_LIMIT"):
        mt5.order_send(a_request(action=5, type=6))
    with pytest.raises(NotSimulated, match="CLOSE_BY"):
        mt5.order_send(a_request(action=10))
    assert mt5.symbols_total() == 1, "the connection is as good as before"


def test_control_calls_that_make_no_sense_say_so(trading):
    with pytest.raises(ValueError, match="no symbol 'NOPE'"):
        control.commit("NOPE", 1)
    with pytest.raises(ValueError, match="no tick number"):
        control.commit("EURUSD", 10**6)
    with pytest.raises(ValueError, match="no switch 'light'"):
        control.switch("light", True)
    with pytest.raises(ValueError, match="no fault 'fire'"):
        control.fault("order_send", "fire")
