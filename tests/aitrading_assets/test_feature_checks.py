"""Checks of features compare numbers, not what is not there yet."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from aitrading_assets.feature_checks import (
    STEPPED_TICKS,
    Walk,
    compared,
    equal_to_live,
    proven,
    warm_ticks,
)
from aitrading_assets.feed import feed_of
from ml.config import config_for
from ml.features import calendar_days, feature_rows
from realtime.history.read import read_any
from realtime.settings import Settings
from tests.ml.frames import CONFIG
from tests.ml.market import walk_ticks

SLOW = replace(CONFIG, features=(*CONFIG.features, "h1_autocorrelation_100_1"))


class Case:
    """Ticks with their rows, as the lake has them."""

    def __init__(self, ticks, config):
        self.ticks, self.config = ticks, config
        self.feed = feed_of(Settings(), config)
        times_ns = ticks["time_ns"]
        self.days = calendar_days(config.symbol, int(times_ns[0]), int(times_ns[-1]))
        self.rows = feature_rows(
            ticks, config.feature_set, config.clock, config.symbol, days=self.days
        )
        self.stored = self.rows.with_columns(created_timestamp=pl.col("event_timestamp"))

    def beside_live(self, stored):
        return equal_to_live(stored, self.ticks, self.feed, self.days, self.config)


@pytest.fixture(scope="module")
def hours():
    return Case(walk_ticks(400), SLOW)


@pytest.fixture(scope="module")
def busy():
    """So many ticks an hour that those which are stepped first hold few bars."""
    ticks = np.repeat(walk_ticks(170), 100)
    ticks["time_ns"] += np.arange(len(ticks)) % 100 * 8_000_000_000
    return Case(ticks, SLOW)


def moved(frame, name, row):
    """The frame with one bit of one number of a column changed."""
    value = np.nextafter(frame[name][row], np.inf)
    here = pl.int_range(pl.len()) == row
    return frame.with_columns(pl.when(here).then(value).otherwise(pl.col(name)).alias(name))


def test_the_step_and_the_fold_leave_the_same_state_wherever_they_take_turns(hours):
    walks = [Walk(hours.feed, hours.days, SLOW) for _ in range(2)]
    walks[0].fold(hours.ticks)
    walks[1].step(hours.ticks[:333])
    assert not walks[0].is_where(walks[1])
    walks[1].fold(hours.ticks[333:900])
    rows = walks[1].step(hours.ticks[900:])
    assert walks[0].is_where(walks[1])
    assert rows.equals(hours.rows.tail(rows.height).drop("symbol"), null_equal=True)


def test_every_feature_is_compared_with_the_live_step_even_in_a_busy_market(busy):
    """On a month of real ticks 13 of 22 features were once NaN beside NaN in all 17 rows."""
    warm = warm_ticks(busy.stored, busy.ticks)
    assert warm > STEPPED_TICKS
    found = busy.beside_live(busy.stored)
    assert found.difference == ""
    assert min(found.numbers.values()) > 0
    row = int(np.isfinite(busy.stored["h1_autocorrelation_100_1"].to_numpy()).argmax())
    off = busy.beside_live(moved(busy.stored, "h1_autocorrelation_100_1", row))
    assert "h1_autocorrelation_100_1 at" in off.difference


def test_what_was_never_compared_is_named(hours):
    early = hours.rows.head(50).drop("symbol")
    blind = compared(hours.stored, early)
    assert blind.difference == ""
    assert proven(hours.stored, blind).difference == (
        "not one number of h1_autocorrelation_100_1 was compared in 50 rows"
    )
    enough = compared(hours.stored, hours.rows.head(200).drop("symbol"))
    assert proven(hours.stored, blind, enough).difference == ""


def test_a_feature_that_is_warm_nowhere_is_not_asked_for():
    short = Case(walk_ticks(80), SLOW)
    found = short.beside_live(short.stored)
    assert found.difference == ""
    assert found.numbers["h1_autocorrelation_100_1"] == 0


def test_only_months_that_are_stored_are_compared_and_warm_there(busy):
    times = busy.stored["event_timestamp"]
    last = busy.stored.filter(pl.col("event_timestamp") > times[-20])
    found = compared(last, busy.rows.tail(10).drop("symbol"), since=times[-11])
    assert (found.rows, found.difference) == (10, "")
    assert warm_ticks(last, busy.ticks) > warm_ticks(busy.stored, busy.ticks)


def test_every_feature_is_compared_on_a_month_of_real_ticks(shared_data):
    path = shared_data / "ticks" / "EURUSD_oanda_2014-05.parquet"
    case = Case(read_any(path, "EURUSD").rows, config_for("EURUSD", "h1"))
    found = case.beside_live(case.stored)
    assert found.difference == ""
    assert min(found.numbers.values()) > 0
