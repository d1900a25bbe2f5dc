"""The ledger: every try and every look is counted, once, whatever becomes of the models."""

import json
import math
from dataclasses import replace

import pytest

from ml.config import with_seed
from ml.ledger import Ledger
from ml.training import train
from realtime.clock import SimulatedClock
from tests.ml.frames import CONFIG, SMALL, frame_of

FRAME = frame_of(1)
CUT_NS = 1


@pytest.fixture(scope="module")
def trained():
    return train(FRAME, CONFIG)


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path, "EURUSD", SimulatedClock(5))


def grown(trained, rows, **more):
    """The same recipe on a longer history."""
    last = trained.trained_through_ns + rows * 10**9
    trials = tuple(
        replace(each, record=replace(each.record, bars=each.record.bars + rows))
        for each in trained.trials
    )
    return replace(trained, trials=trials, trained_through_ns=last,
                   evaluated_through_ns=trained.evaluated_through_ns + rows * 10**9,
                   fingerprint=f"{rows} rows more", **more)  # fmt: skip


def test_what_is_fitted_twice_is_one_try(ledger, trained):
    assert ledger.record_trials(trained, 0) == 3
    assert ledger.record_trials(trained, 0) == 0
    assert len(ledger.path.read_text().splitlines()) == 3
    assert ledger.earlier(trained).sharpes == ()


def test_another_recipe_counts_and_its_thresholds_do_not(ledger, trained):
    ledger.record_trials(trained, 0)
    stricter = replace(CONFIG, gates=replace(CONFIG.gates, predict_us=5.0))
    assert ledger.record_trials(replace(trained, config=stricter), 0) == 0
    other = replace(trained, config=with_seed(CONFIG, 99))
    assert ledger.record_trials(other, 0) == 3
    found = ledger.earlier(other)
    assert found.sharpes == tuple(trial.record.sharpe for trial in trained.trials)
    assert found.excess_sharpes == tuple(trial.record.excess_sharpe for trial in trained.trials)


def test_one_more_candidate_is_one_more_try(ledger, trained):
    small = replace(trained, config=SMALL, trials=trained.trials[:1])
    wide = replace(
        small, config=replace(SMALL, candidates=CONFIG.candidates), trials=trained.trials
    )
    assert (ledger.record_trials(small, 0), ledger.record_trials(wide, 0)) == (1, 2)


def test_another_clock_counts_by_bars_of_the_own(ledger, trained):
    quarter = replace(trained.config, clock="m15", features=tuple(
        name.replace("h1_", "m15_") for name in trained.config.features))  # fmt: skip
    ledger.record_trials(replace(trained, config=quarter), 0)
    found = ledger.earlier(trained).sharpes
    assert found == pytest.approx([2.0 * trial.record.sharpe for trial in trained.trials])
    assert all(math.isfinite(ratio) for ratio in found)


def test_ten_cuts_of_one_recipe_are_ten_tries(ledger, trained):
    for rows in range(10):
        ledger.record_trials(grown(trained, rows), CUT_NS + rows)
    assert len(ledger.earlier(trained).sharpes) == 30
    assert len(ledger.earlier(grown(trained, 9)).sharpes) == 27


def test_the_same_recipe_night_after_night_is_one_try_that_goes_on(ledger, trained):
    for rows in range(10):
        assert ledger.record_trials(grown(trained, rows), 0) == 3
    assert len(ledger.path.read_text().splitlines()) == 30
    assert ledger.earlier(grown(trained, 9)).sharpes == ()
    elsewhere = grown(trained, 20, trained_from_ns=trained.trained_from_ns - 1)
    ledger.record_trials(elsewhere, 0)  # another history, not more of the same
    assert len(ledger.earlier(elsewhere).sharpes) == 3


def test_every_recipe_that_looks_at_a_holdout_is_a_look(ledger, trained):
    assert ledger.looks(trained) == 1
    assert [ledger.record_look(trained, 0) for _ in range(2)] == [1, 0]
    assert ledger.looks(trained) == 1
    other = replace(trained, config=with_seed(CONFIG, 99))
    assert ledger.looks(other) == 2
    ledger.record_look(other, 0)
    assert (ledger.looks(other), ledger.looks(trained)) == (2, 2)
    later = replace(other, holdout_from_ns=trained.evaluated_through_ns + 1, fingerprint="later",
                    evaluated_through_ns=trained.evaluated_through_ns + 9)  # fmt: skip
    assert ledger.looks(later) == 1


def test_a_holdout_that_grows_every_night_was_looked_at_once(ledger, trained):
    for rows in range(5):
        ledger.record_look(grown(trained, rows), 0)
    assert ledger.looks(grown(trained, 4)) == 1
    assert ledger.record_look(grown(trained, 0), CUT_NS) == 0  # the first night's rows: known
    ledger.record_look(grown(trained, 2, config=with_seed(CONFIG, 5)), CUT_NS)
    assert ledger.looks(grown(trained, 4)) == 2


def test_a_line_that_was_cut_off_is_passed_over_and_said(ledger, trained):
    ledger.record_trials(trained, 0)
    whole = ledger.path.read_text()
    ledger.path.write_text(whole[: len(whole) - 20])
    assert ledger.damaged == 1
    assert ledger.record_trials(trained, 0) == 1
    assert ledger.damaged == 1
    other = replace(trained, config=with_seed(CONFIG, 99))
    assert len(ledger.earlier(other).sharpes) == 3


def test_it_is_kept_apart_from_models_and_by_symbol(ledger, trained, tmp_path):
    ledger.record_trials(trained, 0)
    assert ledger.path == tmp_path / "ledger" / "EURUSD.jsonl"
    assert Ledger(tmp_path, "GBPUSD").earlier(trained).sharpes == ()
    lines = [json.loads(line) for line in ledger.path.read_text().splitlines()]
    assert {line["at_ns"] for line in lines} == {5}


def test_a_gate_is_known_by_exactly_what_it_said(ledger):
    ledger.record_gate("EURUSD-h1-1", {"stage": "live", "passed": False, "sha256": "ab"})
    assert ledger.has_gate("EURUSD-h1-1", "ab")
    assert not ledger.has_gate("EURUSD-h1-1", "cd")
    assert not ledger.has_gate("EURUSD-h1-2", "ab")
