"""Alerts on a real NATS server: what operators are told."""

import asyncio
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from aitrading_assets.keys import asset_key
from aitrading_sensors.alerts import failure_alert, promotion_alert
from aitrading_sensors.publishing import publish_alert
from aitrading_sensors.reasons import first_reason
from realtime.bundle import STAGES
from realtime.champion import Champion
from realtime.clock import SimulatedClock
from realtime.connection import ConnectionRefused, connect
from realtime.contracts.control_pb2 import Alert
from realtime.contracts.subjects import CHAMPION_BUCKET, token

NOW_NS = 1_700_000_000_000_000_000


@pytest.fixture
def with_nats(settings, nats_server):
    nats_server.empty()
    settings.paths.secrets.mkdir(parents=True, mode=0o700)
    for each in nats_server.settings.paths.secrets.iterdir():
        (settings.paths.secrets / each.name).write_bytes(each.read_bytes())
    return replace(settings, nats=nats_server.settings.nats)


def stored_alerts(settings):
    """Every alert that the stream of operations holds, with its subject."""

    async def read():
        client = await connect(settings, "operator")
        try:
            js = client.jetstream()
            state = (await js.stream_info("OPS")).state
            found = []
            for seq in range(max(state.first_seq, 1), state.last_seq + 1):
                message = await js.get_msg("OPS", seq)
                found.append((message.subject, Alert.FromString(message.data or b"")))
            return found
        finally:
            await client.close()

    return asyncio.run(read())


def announce(settings, bundle="EURUSD-h1-0123456789ab", stage="paper", when=NOW_NS, by="me"):
    champion = Champion(
        bundle_id=bundle,
        object=f"{bundle}.tar",
        sha256="0" * 64,
        stage=stage,
        symbol="EURUSD",
        promoted_ns=when,
        by=by,
    )

    async def put():
        client = await connect(settings, "platform")
        try:
            bucket = await client.jetstream().key_value(CHAMPION_BUCKET)
            await bucket.put(token("EURUSD"), champion.encode())
        finally:
            await client.close()

    asyncio.run(put())


@dg.asset
def broken():
    msg = "the disk is full:\nfree some space"
    raise OSError(msg)


def failed_run(instance):
    return dg.materialize([broken], instance=instance, raise_on_error=False)


def tell_failures(settings, instance, cursor) -> Any:
    with dg.build_sensor_context(
        instance=instance, cursor=cursor, resources={"settings": settings}
    ) as context:
        answer: Any = failure_alert()(context)
        return answer.cursor


def test_a_failed_run_is_a_critical_alert_with_its_reason(with_nats, instance):
    result = failed_run(instance)
    told = tell_failures(with_nats, instance, "0")
    [(subject, alert)] = stored_alerts(with_nats)
    assert subject == "ops.alert.critical"
    assert (alert.severity, alert.service, alert.code) == ("critical", "platform", "run_failed")
    assert "failed in broken: the disk is full: free some space;" in alert.text
    assert result.run_id in alert.text
    assert alert.details["steps"] == "broken"
    assert "\n" not in alert.text
    tell_failures(with_nats, instance, told)
    assert len(stored_alerts(with_nats)) == 1


def test_a_failure_while_the_server_is_away_is_told_when_it_is_back(with_nats, instance):
    """Dagster moved on before the alert was published: nobody was ever told."""
    begun = tell_failures(with_nats, instance, None)
    runs = [failed_run(instance).run_id for _ in range(2)]
    nats = replace(with_nats.nats, url="nats://127.0.0.1:9", timeout_ns=300_000_000)
    with pytest.raises(ConnectionRefused, match="no NATS server answers"):
        tell_failures(replace(with_nats, nats=nats), instance, begun)
    tell_failures(with_nats, instance, begun)
    assert [alert.details["run_id"] for _, alert in stored_alerts(with_nats)] == runs


def test_the_reason_is_what_was_raised_and_not_what_dagster_wrapped_around_it(instance):
    result = failed_run(instance)
    failures = [each for each in result.all_events if each.is_step_failure]
    assert first_reason(failures) == "the disk is full: free some space"
    assert first_reason([]) == ""


def test_an_alert_that_no_server_takes_is_an_error_and_not_lost_in_silence(settings):
    settings.paths.secrets.mkdir(parents=True)
    (settings.paths.secrets / "nats-platform").write_text("secret")
    away = replace(settings.nats, url="nats://127.0.0.1:9", timeout_ns=300_000_000)
    with pytest.raises(ConnectionRefused, match="no NATS server answers"):
        publish_alert(replace(settings, nats=away), "info", "a_code", "words")


def test_an_alert_is_one_line_of_bounded_length(with_nats):
    publish_alert(
        with_nats, "warning", "a_code", "one\ntwo " + "x" * 900, clock=SimulatedClock(NOW_NS)
    )
    [(subject, alert)] = stored_alerts(with_nats)
    assert subject == "ops.alert.warning"
    assert alert.text.startswith("one two xxx")
    assert len(alert.text) == 500
    assert alert.time_ns == NOW_NS


def evaluate(settings, cursor) -> Any:
    sensor = promotion_alert({"EURUSD": asset_key("EURUSD", "promotion")})
    with dg.build_sensor_context(cursor=cursor, resources={"settings": settings}) as context:
        return sensor(context)


def test_a_new_champion_is_told_once_and_noted_on_its_asset(with_nats):
    announce(with_nats)
    first = evaluate(with_nats, None)
    [note] = first.asset_events
    assert note.asset_key == asset_key("EURUSD", "promotion")
    assert note.metadata["bundle"].value == "EURUSD-h1-0123456789ab"
    second = evaluate(with_nats, first.cursor)
    assert second.asset_events == []
    announce(with_nats, when=NOW_NS + 1, by="me (rollback)")
    third = evaluate(with_nats, second.cursor)
    assert third.asset_events[0].metadata["by"].value == "me (rollback)"
    alerts = stored_alerts(with_nats)
    assert [subject for subject, _ in alerts] == ["ops.alert.info"] * 2
    assert alerts[0][1].code == "champion_changed"
    assert alerts[0][1].details["stage"] in STAGES


def test_without_champions_nothing_is_told(with_nats):
    found = evaluate(with_nats, None)
    assert (found.asset_events, found.cursor) == ([], "{}")
    assert stored_alerts(with_nats) == []
