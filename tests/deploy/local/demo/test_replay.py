"""A replay is over when the loop has reached its end; one that stands still is given up."""

import asyncio

import pytest

from deploy.local.demo.replay import ReplayWatch, await_end, await_record
from deploy.local.errors import StackError
from realtime.connection import connect
from realtime.contracts.control_pb2 import Alert, Permit, Reached
from realtime.contracts.subjects import alert_subject, permit_subject, reached_subject
from realtime.settings import Settings
from realtime.store.connection import OWNER
from realtime.store.connection import connect as connect_database
from realtime.store.migrate import migrate

ACCOUNT = "paper"


def say(settings: Settings, user: str, subject: str, message) -> None:
    async def publish() -> None:
        client = await connect(settings, user)
        await client.publish(subject, message.SerializeToString())
        await client.flush()
        await client.close()

    asyncio.run(publish())


@pytest.fixture
def watch(nats_server):
    watch = ReplayWatch(nats_server.settings)
    watch.start()
    yield watch
    watch.close()


def test_it_is_over_when_the_last_tick_is_reached(nats_server, watch) -> None:
    settings, shown = nats_server.settings, []
    steps = iter(
        [
            ("loop", reached_subject(ACCOUNT), Reached(account=ACCOUNT, feed_seq=60)),
            (
                "gateway",
                permit_subject(ACCOUNT),
                Permit(account=ACCOUNT, through_feed_seq=100, end=True),
            ),
            ("loop", reached_subject(ACCOUNT), Reached(account=ACCOUNT, feed_seq=100)),
        ]
    )

    def look() -> None:
        assert not watch.is_over
        step = next(steps, None)
        if step is not None:
            say(settings, *step)

    await_end(watch, look, shown.append, 30)
    assert watch.is_over
    assert shown[-1] == 100


def test_one_that_stands_still_is_given_up_with_the_last_alert(nats_server, watch) -> None:
    alert = Alert(severity="critical", service="loop", text="trading is halted: a gap")
    say(nats_server.settings, "loop", alert_subject("critical"), alert)
    with pytest.raises(StackError, match=r"stands at tick 0 .*loop: trading is halted: a gap"):
        await_end(watch, lambda: None, lambda _: None, 0.5)


def test_what_is_published_is_awaited_in_the_database(stack_settings) -> None:
    with connect_database(stack_settings, OWNER) as connection:
        migrate(connection)
        await_record(stack_settings, lambda: None, 10)
        say(stack_settings, "gateway", "md.tick.EURUSD", Reached())
        with pytest.raises(StackError, match=r"not recorded .* messages of TICKS"):
            await_record(stack_settings, lambda: None, 0.3)
        connection.execute(
            "INSERT INTO recorded (stream, last_stream_seq, created_ns) VALUES ('TICKS', 1, 0)"
        )
        await_record(stack_settings, lambda: None, 10)
