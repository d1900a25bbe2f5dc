"""What was recorded is recomputed to the bit, and the first thing that differs is named."""

from dataclasses import replace

import numpy as np
import pytest

from realtime.bundle import BundleUnreadable
from realtime.clock import SimulatedClock
from realtime.contracts.orders_pb2 import OrderRequest
from realtime.contracts.subjects import tick_subject
from realtime.model import load_model
from realtime.model_fold import fold_models
from realtime.parity import parity
from realtime.replay import _desk, main, replay
from realtime.store.connection import OWNER, READER, connect
from realtime.store.errors import RecordIncomplete
from realtime.store.readers import read_recorded
from realtime.warm import build_trader, calendar_span
from tests.fixtures.bundles import logistic_bundle
from tests.parity.scenarios import made_ticks
from tests.realtime.recorded_run import (
    FEATURES,
    WEIGHTS,
    a_run,
    migrated,
    recorded,
    toml_of,
    trading_settings,
)
from tests.realtime.standin_gateway import tick_messages

FIRST = "(SELECT min(report_seq) FROM deals)"
FIRST_EXIT = "(SELECT min(report_seq) FROM deals WHERE entry = 1)"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    from tests.fixtures.servers import settings_in

    return a_run(settings_in(tmp_path_factory.mktemp("run")))


@pytest.fixture
def recording(run, stack_settings):
    """The run in a database, and the settings to read it with."""
    settings = replace(
        run.settings,
        paths=replace(stack_settings.paths, var=run.settings.paths.var),
        nats=stack_settings.nats,
        database=stack_settings.database,
    )
    recorded(settings, run.messages)
    return settings


def change(settings, statement):
    with connect(settings, OWNER) as connection:
        done = connection.execute(statement)
        assert done.rowcount > 0, statement


def replayed(settings):
    with connect(settings, READER) as connection:
        return replay(settings, connection)


def test_a_lock_step_record_agrees_to_the_bit(run, recording):
    verdict = replayed(recording)
    assert verdict.agrees
    assert verdict.lockstep
    assert verdict.remarks == []
    counts = {each.kind: (each.recorded, each.equal) for each in verdict.loop}
    assert all(one == other > 0 for one, other in counts.values()), counts
    found = verdict.backtest
    assert found is not None
    assert (found.orders_equal, found.fills_equal, found.features_bit_equal) == (True, True, True)
    assert found.decisions_equal
    assert found.orders >= len(run.of("trade.order.", OrderRequest)) > 20
    assert found.fills > 20


@pytest.mark.parametrize(
    ("statement", "named"),
    [
        ("UPDATE orders SET volume_lots = volume_lots * 2 WHERE number = 3", "order"),
        ("UPDATE predictions SET features[2] = features[2] * (1 + 1e-15) WHERE number = 5",
         "m1_atr_14"),
        ("UPDATE predictions SET probability = probability + 1e-16 WHERE number = 5",
         "probability"),
        ("UPDATE decisions SET target_lots = 9 WHERE number = 4", "target_lots"),
        (f"UPDATE deals SET price = price + 1e-9 WHERE report_seq = {FIRST}", "fill 1: price"),
        (f"UPDATE deals SET position_id = 777 WHERE report_seq = {FIRST_EXIT}", "position"),
        ("DELETE FROM deals WHERE report_seq = (SELECT max(report_seq) FROM deals)",
         "is folded and not recorded"),
        ("UPDATE ticks SET bid = bid + 0.001, ask = ask + 0.001 WHERE feed_seq = 6000", ""),
    ],
)  # fmt: skip
def test_a_change_of_the_record_is_found_and_named(recording, statement, named):
    change(recording, statement)
    verdict = replayed(recording)
    assert not verdict.agrees
    texts = [each.difference for each in verdict.loop]
    texts += [verdict.backtest.first_difference] if verdict.backtest else []
    assert any(named in text for text in texts if text), texts


def test_a_record_without_a_tick_cannot_be_recomputed(recording):
    change(recording, "DELETE FROM ticks WHERE feed_seq = 500")
    with pytest.raises(RecordIncomplete, match=r"lacks 1 tick.s., the first is 500"):
        replayed(recording)


def test_the_command_prints_a_table_and_a_verdict(recording, tmp_path, capsys):
    config = str(toml_of(recording, tmp_path / "s.toml"))
    assert main(["--config", config]) == 0
    said = capsys.readouterr().out
    assert "lock-step replay" in said
    assert "everything agrees to the bit" in said
    change(recording, "UPDATE orders SET price = 1 WHERE number = 1")
    assert main(["--config", config]) == 1
    assert "NOT EQUAL" in capsys.readouterr().out
    assert main(["--config", config, "--account", "nobody"]) == 2
    assert "no tick of account 'nobody' is recorded; accounts: paper" in capsys.readouterr().err


def test_a_part_of_the_record_is_replayed(run, recording):
    half_ns = int(run.ticks["time_ns"][6_000])
    with connect(recording, READER) as connection:
        verdict = replay(recording, connection, since_ns=half_ns, until_ns=half_ns + 10**12)
    assert verdict.agrees
    assert verdict.through < 12_000
    full = {each.kind: each.recorded for each in replayed(recording).loop}
    for each in verdict.loop:
        assert 0 < each.recorded < full[each.kind]


def test_a_live_record_recomputes_the_loop_and_says_what_it_cannot(stack_settings):
    run = a_run(stack_settings, 6_000, latency=lambda feed_seq: 1_500_000 + feed_seq * 1_000)
    recorded(run.settings, run.messages)
    verdict = replayed(run.settings)
    assert verdict.agrees
    assert not verdict.lockstep
    assert verdict.backtest is None
    assert "decisions fell up to 7.500 ms after their ticks" in verdict.remarks[0]
    assert sum(each.equal for each in verdict.loop) > 100


def test_a_swap_of_models_is_followed(stack_settings):
    run = a_run(stack_settings, 8_000, swap_at=5_000)
    recorded(run.settings, run.messages)
    verdict = replayed(run.settings)
    assert verdict.agrees, verdict
    assert verdict.backtest is not None
    assert verdict.backtest.orders > 0
    assert "through tick 5000" in verdict.remarks[0]


def test_a_bundle_that_is_nowhere_is_named(recording, run, tmp_path):
    elsewhere = replace(recording, paths=replace(recording.paths, var=tmp_path / "none"))
    with connect(elsewhere, READER) as connection, pytest.raises(BundleUnreadable) as refused:
        replay(elsewhere, connection)
    assert run.bundle.id in str(refused.value)
    assert "object store" in str(refused.value)


def test_parity_is_of_any_fold(run, recording):
    settings = run.settings
    model = load_model(settings.paths.var / "loop" / "paper" / "bundles" / run.bundle.id)
    folded = fold_models(
        _desk(settings, run.ticks, [model]), feature_sets=[model.bundle.chosen], clocks=["m1"],
        models=[model], ticks=run.ticks,
    )  # fmt: skip
    with connect(recording, READER) as connection:
        record = read_recorded(connection, "paper")
    found = parity(record, folded, symbols=("EURUSD",), models=[model])
    assert found.equal
    cut = replace(record, orders=record.orders[:-1])
    assert not parity(cut, folded, symbols=("EURUSD",), models=[model]).orders_equal
    row = folded.rows[0]
    row[-1, 1] = np.nextafter(row[-1, 1], np.inf)
    assert not parity(record, folded, symbols=("EURUSD",), models=[model]).features_bit_equal


def test_an_empty_database_is_said_to_be_empty(stack_settings):
    migrated(stack_settings)
    with pytest.raises(RecordIncomplete, match="accounts: none"):
        replayed(stack_settings)


def test_a_record_with_nothing_to_compare_does_not_agree(stack_settings, tmp_path, capsys):
    """History that a model had been trained on was replayed, and called equal to the bit."""
    settings = trading_settings(stack_settings, lockstep=True)
    ticks = made_ticks(600)
    first_ns, last_ns = int(ticks["time_ns"][0]), int(ticks["time_ns"][-1])
    shelf = settings.paths.var / "loop" / "paper" / "bundles"
    made = logistic_bundle(
        shelf / "a", features=FEATURES, weights=WEIGHTS, trained_through_ns=last_ns
    )
    (shelf / "a").rename(shelf / made.id)
    models = {"EURUSD": load_model(shelf / made.id)}
    span = calendar_span(first_ns, last_ns, lockstep=True)
    trader = build_trader(settings, models, span, SimulatedClock(last_ns), muted=False)
    messages = [
        (tick_subject("EURUSD"), each.SerializeToString())
        for each in tick_messages(ticks, ("EURUSD",), most=7)
    ]
    for i in range(len(ticks)):
        time_ns = int(ticks["time_ns"][i])
        trader.take(ticks, i, i + 1, time_ns, time_ns)
        messages += [(each.subject, each.payload) for each in trader.drain()]
    trader.flush()
    messages += [(each.subject, each.payload) for each in trader.drain()]
    recorded(settings, messages)
    assert main(["--config", str(toml_of(settings, tmp_path / "settings.toml"))]) == 2
    said = capsys.readouterr().out
    assert "nothing to compare: no prediction, decision or order" in said
    assert "agrees" not in said
