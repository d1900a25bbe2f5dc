"""Warming up where the stream has forgotten the beginning: from the database, or from the rest."""

from dataclasses import replace

import pytest

from realtime.contracts.subjects import tick_subject
from realtime.recorded_ticks import RecordUnavailable, first_recorded_ns, recorded_ticks
from tests.fixtures.servers import nats_server, postgres, stack_settings
from tests.realtime.loop_runs import fold, settings_for, sound_ticks
from tests.realtime.recorded_run import recorded
from tests.realtime.standin_gateway import tick_messages
from tests.realtime.test_loop_live import a_run, patient, run

__all__ = ["nats_server", "postgres", "stack_settings"]

RECORDED, FORGOTTEN, STORED = 60, 50, 100  # messages


@pytest.fixture(scope="module")
def ticks():
    return sound_ticks(3_000)


@pytest.fixture
def settings(stack_settings, tmp_path):
    return patient(settings_for(stack_settings, tmp_path / "loop", lockstep=False))


def check(settings, ticks, folder, codes):
    async def script(feed, start):
        await feed.publish(FORGOTTEN, STORED)
        async with start() as loop:
            await loop.until(lambda loop: loop.health.state == "running")
            await feed.publish(STORED, None)
            await loop.until(loop.has_taken(len(ticks)))
            assert loop.codes == codes

    predictions, _, _ = run(a_run(settings, ticks, folder, script), 40)
    folded = fold(settings, ticks, folder)
    wanted = dict(zip(folded.times_ns[0].tolist(), folded.rows[0].tolist(), strict=True))
    assert len(predictions) > 20
    return [(list(each.features), wanted[each.tick_ns]) for each in predictions]


def messages_of(settings, ticks, count):
    found = list(tick_messages(ticks, ("EURUSD",), most=20))[:count]
    return [(tick_subject(each.symbol), each.SerializeToString()) for each in found]


def test_what_the_stream_has_forgotten_comes_out_of_the_database(settings, tmp_path, ticks):
    recorded(settings, messages_of(settings, ticks, RECORDED))
    assert all(
        found == wanted for found, wanted in check(settings, ticks, tmp_path / "b", codes=[])
    )


def test_without_a_record_features_begin_where_the_stream_does_and_that_is_said(
    settings, tmp_path, ticks
):
    pairs = check(settings, ticks, tmp_path / "b", codes=["history_short"])
    assert any(found != wanted for found, wanted in pairs)


def test_recorded_ticks_are_those_that_were_published(settings, ticks):
    recorded(settings, messages_of(settings, ticks, RECORDED))
    assert first_recorded_ns(settings) == int(ticks["time_ns"][0])
    chunks = list(recorded_ticks(settings, 5, 900))
    assert [chunk.first for chunk in chunks] == [5]
    rows = chunks[0].rows
    for name in ("time_ns", "bid", "ask", "volume", "flags", "symbol"):
        assert rows[name].tolist() == ticks[name][4:900].tolist(), name
    other = replace(settings, gateway=replace(settings.gateway, account="nobody"))
    with pytest.raises(RecordUnavailable, match="no tick of account"):
        list(recorded_ticks(other, 1, 5))
