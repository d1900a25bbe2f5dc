"""Messages are lines that a person can read, of what is kept and of what passes."""

import asyncio
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from realtime.connection import connect as connect_nats
from realtime.contracts.control_pb2 import Permit, Reached
from realtime.readable import line, moment
from realtime.tail import main
from tests.fixtures.servers import settings_in
from tests.realtime.recorded_run import a_run, toml_of

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return a_run(settings_in(tmp_path_factory.mktemp("run")), 4_000)


def put(settings, messages, user):
    async def send():
        client = await connect_nats(settings, user)
        for subject, payload in messages:
            await client.publish(subject, payload)
        await client.flush()
        await client.close()

    asyncio.run(send())


def lines_of(run, prefix):
    return [line(subject, data) for subject, data in run.messages if subject.startswith(prefix)]


def test_every_message_is_one_line_with_names_for_codes(run):
    for subject, payload in run.messages:
        said = line(subject, payload)
        assert "\n" not in said
        assert said.strip()
    orders = " ".join(lines_of(run, "trade.order."))
    assert "buy 0.1 EURUSD at" in orders
    assert "because enter_long" in orders
    reports = " ".join(lines_of(run, "trade.report."))
    assert "filled (done), filled 0.1 lots" in reports
    assert "bought 0.1 EURUSD" in reports
    assert "(in, expert)" in reports
    decisions = " ".join(lines_of(run, "trade.decision."))
    assert "risk: ok" in decisions
    assert "below_threshold" in decisions
    assert "tick EURUSD bid" in lines_of(run, "md.tick.")[0]
    assert "a=-" in lines_of(run, "ops.health.")[0]
    assert lines_of(run, "ops.alert.")[1].endswith("INFO loop x: n 1")


def test_what_cannot_be_read_is_shown_all_the_same():
    assert line("md.tick.X", b"\xff\xff") == "md.tick.X: 2 bytes that are no Ticks"
    assert line("ctl.loop.pause", b"hello") == "ctl.loop.pause: 'hello'"
    permit = Permit(account="p", through_feed_seq=7, end=True).SerializeToString()
    assert "permit through tick 7" in line("ctl.lockstep.p.permit", permit)
    reached = Reached(account="p", feed_seq=6).SerializeToString()
    assert "reached tick 6" in line("ctl.lockstep.p.reached", reached)


def test_moments_have_the_digits_they_need():
    assert moment(1_483_228_800_000_000_000) == "2017-01-01 00:00:00.000"
    assert moment(1_483_228_800_123_456_789) == "2017-01-01 00:00:00.123456"
    assert moment(-1_000_000) == "1969-12-31 23:59:59.999"


def test_kept_messages_are_printed_the_last_first_asked(run, stack_settings, tmp_path, capsys):
    config = str(toml_of(stack_settings, tmp_path / "s.toml"))
    orders = [each for each in run.messages if each[0].startswith("trade.order.")]
    decisions = [each for each in run.messages if each[0].startswith("trade.decision.")]
    put(stack_settings, orders, "loop")
    put(stack_settings, decisions, "loop")
    assert main(["--config", config, "--last", "5", "--once", "trade.order.>"]) == 0
    assert capsys.readouterr().out.splitlines() == lines_of(run, "trade.order.")[-5:]
    assert main(["--config", config, "--since", "1h", "--once", "trade.>"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(orders) + len(decisions)
    assert main(["--config", config, "--last", "3", "--once"]) == 0
    assert capsys.readouterr().out.splitlines() == lines_of(run, "trade.decision.")[-3:]
    assert main(["--config", config, "--last", "3", "--once", "md.tick.>"]) == 0
    assert capsys.readouterr().out == ""


def test_what_passes_is_printed_until_interrupted(run, stack_settings, tmp_path):
    config = str(toml_of(stack_settings, tmp_path / "s.toml"))
    orders = [each for each in run.messages if each[0].startswith("trade.order.")][:6]
    put(stack_settings, orders[:2], "loop")
    process = subprocess.Popen(
        [sys.executable, "-m", "realtime", "tail", "--config", config, "--last", "9", "trade.>"],
        cwd=ROOT, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        got = [process.stdout.readline() for _ in range(2)]
        time.sleep(0.2)
        put(stack_settings, orders[2:], "loop")
        got += [process.stdout.readline() for _ in range(4)]
        assert [each.rstrip("\n") for each in got] == lines_of(run, "trade.order.")[:6]
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.communicate()


def test_a_wrong_setting_is_one_line(stack_settings, tmp_path, capsys):
    config = str(toml_of(stack_settings, tmp_path / "s.toml"))
    assert main(["--config", config, "--since", "1 fortnight"]) == 2
    (stack_settings.paths.secrets / "nats-operator").write_text("wrong")
    assert main(["--config", config]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2
    assert "refuses user 'operator'" in said[1]


def test_nan_is_a_dash():
    from realtime.readable import number

    assert number(math.nan) == "-"
    assert number(0.30000000000000004) == "0.3"
