"""Features of history: rows of the kernels, in one piece or in chunks, cut short or whole."""

import numpy as np
import polars as pl
import pytest

from ml.errors import TrainingRefused
from ml.features import calendar_days, event_times, feature_rows, times_ns_of
from realtime.kernels.features.feature_set import FeatureSet
from realtime.settings import Settings
from tests.ml.market import walk_ticks

CHOSEN = FeatureSet(features=("h1_log_return_1", "h1_rsi_14", "h4_sma_gap_10_30", "tick_spread"))


@pytest.fixture(scope="module")
def ticks():
    return walk_ticks(400)


@pytest.fixture(scope="module")
def frame(ticks):
    return feature_rows(ticks, CHOSEN, "h1", "EURUSD")


def bits(frame):
    return frame.drop("symbol").with_columns(pl.col("event_timestamp").cast(pl.Int64)).to_numpy()


def test_there_is_a_row_for_every_finished_bar(frame, ticks):
    assert frame.columns == ["event_timestamp", "symbol", *CHOSEN.columns]
    assert frame.schema["event_timestamp"] == pl.Datetime("us", "UTC")
    assert frame.height == 399  # the last bar is not known to be over
    assert frame["symbol"].unique().to_list() == ["EURUSD"]
    assert np.isin(times_ns_of(frame["event_timestamp"]), ticks["time_ns"]).all()


def test_a_row_is_known_at_the_tick_after_its_bar(frame, ticks):
    event_ns = times_ns_of(frame["event_timestamp"])
    assert event_ns[0] == ticks["time_ns"][4]
    expected = np.log(ticks["bid"][7] / ticks["bid"][3])
    assert frame["h1_log_return_1"][1] == pytest.approx(expected, abs=1e-15)


def test_values_are_missing_exactly_until_they_are_warm(frame):
    assert np.isnan(frame["h1_rsi_14"].to_numpy()).sum() == CHOSEN.warm_up["h1_rsi_14"]


@pytest.mark.parametrize("cut", [7, 400, 1_001])
def test_chunks_give_the_same_rows(frame, ticks, cut):
    days = calendar_days("EURUSD", int(ticks["time_ns"][0]), int(ticks["time_ns"][-1]))
    chunks = [ticks[:cut], ticks[cut:]]
    found = feature_rows(iter(chunks), CHOSEN, "h1", "EURUSD", days=days)
    assert bits(found).tobytes() == bits(frame).tobytes()


def test_a_history_that_is_cut_short_gives_the_first_rows(frame, ticks):
    part = feature_rows(ticks[:801], CHOSEN, "h1", "EURUSD")
    assert part.height == 200
    assert bits(part).tobytes() == bits(frame[:200]).tobytes()


def test_they_are_the_rows_that_a_fold_of_models_sees(frame, ticks):
    from realtime.desk import new_desk
    from realtime.model_fold import fold_models

    start_ns, end_ns = int(ticks["time_ns"][0]), int(ticks["time_ns"][-1])
    desk = new_desk(["EURUSD"], start_ns=start_ns - 10**14, end_ns=end_ns + 10**14,
                    account=Settings().account)  # fmt: skip
    folded = fold_models(desk, feature_sets=[CHOSEN], clocks=["h1"], models=[None], ticks=ticks)
    assert folded.times_ns[0].tolist() == times_ns_of(frame["event_timestamp"]).tolist()
    values = np.ascontiguousarray(frame.select(CHOSEN.columns).to_numpy())
    assert folded.rows[0].tobytes() == values.tobytes()


def test_chunks_without_a_calendar_are_refused(ticks):
    with pytest.raises(TrainingRefused, match="calendar_days"):
        feature_rows(iter([ticks]), CHOSEN, "h1", "EURUSD")


def test_a_time_that_a_frame_cannot_hold_is_refused():
    with pytest.raises(TrainingRefused, match="1001 ns"):
        event_times(np.array([1_000, 1_001]))
