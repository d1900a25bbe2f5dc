"""Training sets: features as of the label's start, nothing newer, the same on every run."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from feast import FeatureStore

from feature_repo.declarations import declared
from ml.config import TrainingConfig
from ml.dataset import DatasetError, LookAhead, _check_times, fingerprint, training_set
from ml.feast_store.repository import apply, feature_store
from ml.feast_store.retrieval import Found
from ml.feature_files import EVENT, MOMENT, append_features, partition, view_name
from realtime.settings import PathSettings, Settings

CONFIG = TrainingConfig(
    symbol="EURUSD",
    clock="h1",
    features=("rsi_14", "natr_14", "close_volatility_50"),
)
VIEW = view_name("h1", CONFIG.feature_set)
START = datetime(2017, 1, 30, tzinfo=UTC)
WARM_UP = 10


def hours(count: int, every: int = 1) -> pl.Series:
    return pl.Series(EVENT, [START + timedelta(hours=i * every) for i in range(count)], MOMENT)


def feature_frame(seed: int = 0, count: int = 100) -> pl.DataFrame:
    random = np.random.default_rng(seed)
    values = random.normal(size=(len(CONFIG.features), count))
    values[1, :WARM_UP] = np.nan
    columns = {name: values[i] for i, name in enumerate(CONFIG.features)}
    return pl.DataFrame({EVENT: hours(count), **columns})


def label_frame(count: int = 90) -> pl.DataFrame:
    times = hours(count)
    return pl.DataFrame(
        {
            EVENT: times,
            "symbol": ["EURUSD"] * count,
            "label_end": times + timedelta(hours=5),
            "label": [i % 2 for i in range(count)],
        }
    )


@pytest.fixture
def store(tmp_path: Path) -> FeatureStore:
    paths = PathSettings(var=tmp_path / "var", lake=tmp_path / "lake", secrets=tmp_path / "s")
    append_features(paths.lake, VIEW, "EURUSD", feature_frame())
    found = feature_store(Settings(paths=paths))
    apply(found, declared([CONFIG]))
    return found


def made(store: FeatureStore, labels: pl.DataFrame, **options: Any):
    return training_set(store, labels, view=VIEW, features=CONFIG.features, **options)


def test_each_label_has_the_features_of_its_moment_in_the_order_asked(store: FeatureStore):
    found = made(store, label_frame())
    assert found.frame.columns == [EVENT, "symbol", "label_end", "label", *CONFIG.features]
    expected = feature_frame()[WARM_UP:90]
    assert found.frame.select(EVENT, *CONFIG.features).equals(expected)
    assert found.frame["label"].to_list() == [i % 2 for i in range(WARM_UP, 90)]
    assert found.dropped == {"no_row": 0, "not_warm": WARM_UP}
    backwards = training_set(store, label_frame(), view=VIEW, features=CONFIG.features[::-1])
    assert backwards.frame.columns[-3:] == list(CONFIG.features[::-1])


def test_a_moment_between_rows_has_the_row_before_it(store: FeatureStore):
    labels = label_frame(80).with_columns(pl.col(EVENT) + timedelta(minutes=59))
    found = made(store, labels)
    values = feature_frame()[CONFIG.features[0]][WARM_UP:80]
    assert found.frame[CONFIG.features[0]].to_list() == values.to_list()


def test_rows_that_the_time_to_live_lets_in_from_earlier_are_counted(store: FeatureStore):
    """Features of a missing moment are those of the one before it: days old ones once passed."""
    assert (made(store, label_frame()).older, made(store, label_frame()).oldest_us) == (0, 0)
    moment = START + timedelta(hours=40)
    late = label_frame().with_columns(
        pl.when(pl.col(EVENT) == moment)
        .then(pl.col(EVENT) + timedelta(minutes=30))
        .otherwise(pl.col(EVENT))
        .alias(EVENT)
    )
    found = made(store, late)
    assert (found.older, found.oldest_us) == (1, 30 * 60 * 1_000_000)
    beyond = label_frame(90).with_columns(pl.col(EVENT) + timedelta(hours=90))
    beyond = beyond.with_columns(pl.col("label_end") + timedelta(hours=90))
    found = made(store, beyond)
    assert (found.older, found.oldest_us // 3_600_000_000) == (80, 80)


def test_the_same_labels_in_another_order_are_the_same_training_set(store: FeatureStore):
    first = made(store, label_frame())
    again = made(store, label_frame().sample(fraction=1.0, shuffle=True, seed=1))
    assert again.frame.equals(first.frame)
    assert again.fingerprint == first.fingerprint


def test_the_fingerprint_tells_every_change(store: FeatureStore):
    frame = made(store, label_frame()).frame
    names = {fingerprint(frame)}
    other = frame.with_columns(pl.col("label").reverse())
    for changed in (
        frame.head(10),
        frame.reverse(),
        other,
        frame.rename({"label": "target"}),
        frame.select(frame.columns[::-1]),
        frame.with_columns(pl.col("label").cast(pl.Int8)),
        frame.with_columns(pl.col(CONFIG.features[0]).replace(frame[CONFIG.features[0]][0], None)),
        frame.with_columns(pl.col("symbol").replace("EURUSD", "GBPUSD")),
        frame.with_columns(pl.col(EVENT) + timedelta(microseconds=1)),
    ):
        names.add(fingerprint(changed))
    assert len(names) == 10
    assert fingerprint(frame.clone()) in names


def test_one_nan_is_like_another_and_a_missing_value_like_none():
    quiet, other = np.array([0x7FF8000000000000, 0xFFF8000000000001], np.uint64).view(np.float64)
    frames = [pl.DataFrame({"a": [1.0, value]}) for value in (quiet, other, None)]
    assert fingerprint(frames[0]) == fingerprint(frames[1]) != fingerprint(frames[2])


def test_the_files_behind_it_are_listed_with_their_hashes(store: FeatureStore, tmp_path: Path):
    found = made(store, label_frame())
    assert [(each.symbol, each.month) for each in found.partitions] == [
        ("EURUSD", "2017-01"),
        ("EURUSD", "2017-02"),
    ]
    assert found.partitions[0] == partition(tmp_path / "lake", VIEW, "EURUSD", "2017-01")


def test_a_correction_that_came_later_is_left_out_unless_it_is_asked_for(
    store: FeatureStore, tmp_path: Path
):
    before = made(store, label_frame())
    late = feature_frame(seed=1).with_columns(created_timestamp=pl.col(EVENT) + timedelta(days=10))
    append_features(tmp_path / "lake", VIEW, "EURUSD", late)
    assert made(store, label_frame()).fingerprint == before.fingerprint
    assert made(store, label_frame(), known_only=False).fingerprint != before.fingerprint


def test_features_that_are_too_old_count_as_none(store: FeatureStore):
    far = label_frame(3).with_columns(
        pl.col(EVENT) + timedelta(days=60), pl.col("label_end") + timedelta(days=60)
    )
    found = made(store, pl.concat([label_frame(), far]))
    assert found.dropped == {"no_row": 3, "not_warm": WARM_UP}
    with pytest.raises(DatasetError, match="none of 3 labelled moments has features"):
        made(store, far)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda f: f.drop("symbol"), "no column symbol"),
        (lambda f: f.head(0), "no rows"),
        (lambda f: pl.concat([f, f]), "two rows of the same event_timestamp"),
        (lambda f: f.with_columns(pl.col(EVENT).dt.replace_time_zone(None)), "with a time zone"),
        (lambda f: f.rename({"label": CONFIG.features[0]}), "share the names h1_rsi_14"),
        (
            lambda f: f.with_columns(
                pl.col(EVENT).cast(pl.Datetime("ns", "UTC")) + pl.duration(nanoseconds=1)
            ),
            "finer than a microsecond",
        ),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    store: FeatureStore, broken: Callable[[pl.DataFrame], pl.DataFrame], words: str
):
    with pytest.raises(DatasetError, match=words):
        made(store, broken(label_frame()))


@pytest.mark.parametrize("features", [(), ("h1_rsi_14", "h1_rsi_14")])
def test_features_are_named_each_once(store: FeatureStore, features: tuple[str, ...]):
    with pytest.raises(DatasetError, match="name at least one, each once"):
        training_set(store, label_frame(), view=VIEW, features=features)


def test_a_label_that_ends_before_it_starts_is_refused(store: FeatureStore):
    backwards = label_frame().with_columns(label_end=pl.col(EVENT))
    with pytest.raises(LookAhead, match="ends before it starts"):
        made(store, backwards)


def test_features_from_after_the_start_of_their_label_are_refused():
    rows = label_frame(3)
    times = rows[EVENT].to_physical().to_numpy().copy()
    fair = Found(
        values=np.zeros((1, 3)), row_times_us=times, there=np.ones(3, np.bool_), partitions=()
    )
    _check_times(rows, fair)
    times = times.copy()
    times[1] += 1
    with pytest.raises(LookAhead, match=r"look-ahead in 1 rows.*2017-01-30 01:00"):
        _check_times(rows, replace(fair, row_times_us=times))


def test_infinite_features_are_a_bug_and_refused(store: FeatureStore, tmp_path: Path):
    moment = START + timedelta(hours=100)
    broken = (
        feature_frame()
        .tail(1)
        .with_columns(
            pl.lit(moment).cast(MOMENT).alias(EVENT), pl.lit(np.inf).alias(CONFIG.features[2])
        )
    )
    append_features(tmp_path / "lake", VIEW, "EURUSD", broken)
    labels = label_frame(1).with_columns(
        pl.lit(moment).cast(MOMENT).alias(EVENT),
        pl.lit(moment + timedelta(hours=1)).cast(MOMENT).alias("label_end"),
    )
    with pytest.raises(DatasetError, match="infinite values in h1_close_volatility_50"):
        made(store, labels)
