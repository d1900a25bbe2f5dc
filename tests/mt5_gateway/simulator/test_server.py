"""Clients of one terminal: many at once, killed, idle, or strangers; and what is kept for later."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from mt5_gateway.simulator.errors import JournalError
from mt5_gateway.simulator.framing import Message, connected, receive, send
from mt5_gateway.simulator.journal import Journal
from tests.mt5_gateway.simulator.conftest import (
    SERVER_OFFSET_S,
    START_NS,
    a_request,
    a_terminal,
    a_walk,
    control,
    mt5,
    some_settings,
    stand_at,
)

FOREVER = (1, 2_000_000_000)
ONE = {"EURUSD": a_walk(3_000)}


@pytest.fixture
def path(served):
    """Socket of a terminal in lock-step whose broker stands at a tick."""
    running = served(ONE)
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 100)
    return running.path


def test_a_killed_client_leaves_the_terminal_as_it_was(path):
    script = (
        "import sys\nfrom mt5_gateway.simulator import metatrader5 as mt5\n"
        "assert mt5.initialize(sys.argv[1])\n"
        "while True:\n"
        "    mt5.copy_ticks_range('EURUSD', 1, 2_000_000_000, -1)\n"
        "    print('x', flush=True)\n"
    )
    command = [sys.executable, "-c", script, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        client.stdout.readline()
        os.kill(client.pid, signal.SIGKILL)
    assert mt5.order_send(a_request()).retcode == mt5.TRADE_RETCODE_DONE
    assert mt5.positions_total() == 1


def test_a_client_that_reads_nothing_does_not_hold_up_the_others(path):
    with connected(path) as idle:
        for _ in range(20):  # several megabytes of answers that nobody takes
            arguments = ["EURUSD", 1, 2_000_000_000, -1]
            send(idle, Message({"call": "copy_ticks_range", "arguments": arguments}))
        assert mt5.account_info() is not None
        assert len(mt5.copy_ticks_range("EURUSD", *FOREVER, -1)) == 3_000


def test_a_call_that_hangs_does_not_hold_up_the_others(path):
    control.fault("order_send", "hang", 30)
    with connected(path) as stuck:
        send(stuck, Message({"call": "order_send", "arguments": [a_request()]}))
        time.sleep(0.05)
        assert mt5.order_send(a_request(comment="free")).retcode == mt5.TRADE_RETCODE_DONE
        assert [one.comment for one in mt5.positions_get()] == ["free"]


@pytest.mark.parametrize(
    "content", [b"\x00" * 12, b"\xff" * 12, b"\x05\x00\x00\x00" + b"\x00" * 8 + b"hello"]
)
def test_nonsense_on_the_socket_ends_that_connection_only(path, content):
    with connected(path) as stranger:
        stranger.sendall(content)
        assert stranger.recv(1) == b""
    assert mt5.symbols_total() == 1


def test_a_malformed_call_is_answered(path):
    with connected(path) as stranger:
        for header in ({"call": "symbol_info"}, {"call": "control.commit", "arguments": [1]}, {}):
            send(stranger, Message(header))
            assert {"refused", "lacking"} & set(receive(stranger).header)
        send(stranger, Message({"call": "symbols_total"}))
        assert receive(stranger).header["value"] == 1


def test_two_clients_work_at_once(path):
    orders = []

    def trade():
        with connected(path) as other:
            for _ in range(20):
                fields = a_request(volume=0.01)
                send(other, Message({"call": "order_send", "arguments": [fields]}))
                orders.append(receive(other).header["value"][2])

    other = threading.Thread(target=trade)
    other.start()
    mine = [mt5.order_send(a_request(volume=0.01)).order for _ in range(20)]
    other.join()
    assert len({*mine, *orders}) == 40
    assert mt5.positions_get()[0].volume == 0.4


def test_the_end_of_the_terminal_is_noticed_and_undone_by_initialize(served):
    running = served(ONE)
    running.server.close()
    assert mt5.symbols_total() is None
    assert mt5.last_error()[0] in (-10001, -10002)
    for call in (mt5.symbols_total, mt5.account_info, mt5.positions_get, control.position):
        assert call() is None
        assert mt5.last_error() == (-10004, "No IPC connection")
    again = served(ONE)
    assert mt5.initialize(str(again.path)) is True
    assert mt5.symbols_total() == 1


def test_after_shutdown_there_is_no_connection(path):
    assert mt5.shutdown() is True
    assert mt5.last_error() == (1, "Success")
    assert mt5.terminal_info() is None
    assert mt5.last_error() == (-10004, "No IPC connection")
    assert mt5.shutdown() is True


def test_a_login_must_know_account_password_and_server(served):
    path = str(served(ONE, login=77, password="geheim").path)
    assert mt5.account_info().login == 77
    assert mt5.initialize(path, login=77, password="geheim") is True
    assert mt5.initialize(path, login=77, password="wrong") is False
    assert mt5.last_error() == (-6, "Terminal: Authorization failed")
    assert mt5.account_info() is None
    assert mt5.last_error() == (-10004, "No IPC connection")
    assert mt5.initialize(path) is True
    assert mt5.login(78, "geheim") is False
    assert mt5.last_error()[0] == -6
    assert mt5.login(77, password="geheim", server="Elsewhere") is False
    assert mt5.account_info().login == 77
    control.switch("logged_in", False)
    assert mt5.account_info() is None
    assert mt5.initialize(path) is False
    assert mt5.last_error()[0] == -6


def test_what_was_done_is_done_again_from_the_journal(tmp_path, served):
    running = served(ONE, folder=tmp_path / "state")
    mt5.symbol_select("EURUSD")
    stand_at("EURUSD", 100)
    mt5.order_send(a_request(volume=0.005))
    mt5.order_send(a_request(action=5, type=2, price=1.0, type_filling=2, type_time=1))
    mt5.order_send(a_request(sl=1.3))
    control.commit("EURUSD", 2_000)
    mt5.order_send(a_request(action=8, order=2))
    with Journal(tmp_path / "state", "test") as journal:
        again = a_terminal(ONE, journal=journal)
    assert again.desk.tobytes() == running.terminal.desk.tobytes()
    assert list(again.books.deals) == list(running.terminal.books.deals)
    assert list(again.books.orders) == list(running.terminal.books.orders)
    assert again.books.positions() == running.terminal.books.positions()
    assert again.selected == {0}
    assert again.revealed() == 3_000
    assert again.broker.played == 2_000


def test_a_last_line_that_was_cut_is_dropped(tmp_path):
    with Journal(tmp_path, "me") as journal:
        journal.append({"show": 5})
    with journal.path.open("a", encoding="utf-8") as file:
        file.write('{"show":')
    with Journal(tmp_path, "me") as journal:
        assert list(journal.entries()) == [{"show": 5}]
        journal.append({"show": 6})
        assert list(journal.entries()) == [{"show": 5}, {"show": 6}]


def test_a_damaged_journal_and_one_of_other_data_are_refused(tmp_path):
    with Journal(tmp_path, "me") as journal, pytest.raises(JournalError, match="--fresh"):
        Journal(tmp_path, "you")
    journal.path.write_text('{"identity":"me"}\nxx\n{"show":6}\n', encoding="utf-8")
    with Journal(tmp_path, "me") as journal, pytest.raises(JournalError, match="line 2: damaged"):
        list(journal.entries())
    with Journal(tmp_path, "you", fresh=True) as journal:
        assert list(journal.entries()) == []
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(JournalError, match="cannot be used"):
        Journal(tmp_path / "file", "me")


def test_a_market_that_runs_by_itself_moves_and_resumes(tmp_path, served):
    running = served(ONE, folder=tmp_path / "state", speed=200.0)
    mt5.symbol_select("EURUSD")
    with pytest.raises(ValueError, match="--lockstep"):
        control.open_market(5)
    with pytest.raises(ValueError, match="--lockstep"):
        control.commit("EURUSD", 5)
    opened_s = START_NS // 10**9 + SERVER_OFFSET_S
    while (tick := mt5.symbol_info_tick("EURUSD")) is None or tick.time < opened_s + 20:
        time.sleep(0.01)
    sent = mt5.order_send(a_request())
    assert sent.retcode == mt5.TRADE_RETCODE_DONE
    shown = len(mt5.copy_ticks_range("EURUSD", *FOREVER, -1))
    assert 0 < shown < 3_000
    (deal,) = mt5.history_deals_get(*FOREVER)
    running.server.close()
    assert mt5.account_info() is None
    again = served(ONE, folder=tmp_path / "state", speed=200.0)
    assert again.terminal is not running.terminal
    assert mt5.history_deals_get(*FOREVER) == (deal,)
    while control.position().time_msc <= deal.time_msc:
        time.sleep(0.01)
    assert len(mt5.copy_ticks_range("EURUSD", *FOREVER, -1)) >= shown - 1
    assert len(mt5.positions_get()) == 1


def test_a_self_running_market_cuts_long_pauses_short(served):
    ticks = a_walk(10)
    ticks["time_ns"][5:] += 40 * 3600 * 10**9
    running = served({"EURUSD": ticks}, speed=1000.0, connect=True)
    while running.terminal.revealed() < 10:
        time.sleep(0.01)
    now_ns = running.terminal.now_ns()
    assert now_ns >= int(ticks["time_ns"][-1])


def test_with_latency_an_order_arrives_while_no_tick_comes(served):
    ticks = a_walk(3)
    ticks["time_ns"][:] = [START_NS + after for after in (0, 1_000_000, 3600 * 10**9)]
    settings = some_settings(costs={"latency": "2s"})
    served({"EURUSD": ticks}, settings, speed=20.0)
    mt5.symbol_select("EURUSD")
    sent = mt5.order_send(a_request())
    assert sent.retcode == mt5.TRADE_RETCODE_PLACED
    while not (deals := mt5.history_deals_get(ticket=sent.order)):
        time.sleep(0.01)
    assert control.position().ordinal == 2
    (order,) = mt5.history_orders_get(ticket=sent.order)
    assert deals[0].time_msc == pytest.approx(order.time_setup_msc + 2000, abs=1)
