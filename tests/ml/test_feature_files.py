"""Feature Parquet: what is written is what is read, and nothing else gets in."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import polars as pl
import pytest

from ml.feature_files import (
    CREATED,
    EVENT,
    MOMENT,
    FeatureFilesError,
    Partition,
    append_features,
    made_of_month,
    partition,
    read_features,
    stored_months,
    stored_symbols,
    view_name,
    write_features,
)
from realtime.history.lake import Lake, Month
from realtime.kernels.features.feature_set import FeatureSet

VIEW = "h1_0123abcd"
START = datetime(2017, 1, 30, 22, tzinfo=UTC)


def hourly(rows: int, start: datetime = START, first: float = 0.0) -> pl.DataFrame:
    """Rows an hour apart; `a` counts, `b` is NaN at first."""
    times = pl.Series(EVENT, [start + timedelta(hours=i) for i in range(rows)], dtype=MOMENT)
    b = [float("nan") if i < 2 else i / 3 for i in range(rows)]
    return pl.DataFrame({EVENT: times, "a": [first + i for i in range(rows)], "b": b})


def january(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.filter(pl.col(EVENT).dt.month() == 1)


def test_what_is_written_is_what_is_read(tmp_path: Path):
    rows = january(hourly(26))
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows)
    read = read_features(tmp_path, VIEW, "EURUSD")
    assert read.columns == [EVENT, CREATED, "symbol", "a", "b"]
    assert read[EVENT].dtype == MOMENT
    assert read[CREATED].to_list() == rows[EVENT].to_list()
    assert read.select(EVENT, "a", "b").equals(rows)
    assert set(read["symbol"]) == {"EURUSD"}


def test_rows_are_stored_in_order_whatever_order_they_come_in(tmp_path: Path):
    rows = january(hourly(26))
    shuffled = rows.sample(fraction=1.0, shuffle=True, seed=3)
    assert not shuffled.equals(rows)
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", shuffled)
    assert read_features(tmp_path, VIEW, "EURUSD").select(rows.columns).equals(rows)


def test_moments_of_another_zone_are_the_same_moments(tmp_path: Path):
    rows = january(hourly(5))
    tokyo = rows.with_columns(pl.col(EVENT).dt.convert_time_zone("Asia/Tokyo"))
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", tokyo)
    assert read_features(tmp_path, VIEW, "EURUSD")[EVENT].to_list() == rows[EVENT].to_list()


def test_months_and_columns_are_chosen(tmp_path: Path):
    rows = hourly(60)
    for month, part in rows.group_by(pl.col(EVENT).dt.strftime("%Y-%m")):
        write_features(tmp_path, VIEW, "EURUSD", str(month[0]), part)
    assert stored_months(tmp_path, VIEW, "EURUSD") == [Month(2017, 1), Month(2017, 2)]
    february = read_features(tmp_path, VIEW, "EURUSD", months=["2017-02"], columns=["b"])
    assert february.columns == [EVENT, CREATED, "symbol", "b"]
    assert len(february) == 60 - len(january(rows))
    assert len(read_features(tmp_path, VIEW, "EURUSD", months=["2019-01"])) == 0
    assert stored_symbols(tmp_path, VIEW) == ["EURUSD"]
    assert len(read_features(tmp_path, VIEW, "GBPUSD")) == 0


def test_a_partition_is_named_by_the_hash_of_its_file(tmp_path: Path):
    written = write_features(tmp_path, VIEW, "EURUSD", Month(2017, 1), january(hourly(26)))
    path = Path(Lake(tmp_path).path(f"features/{VIEW}", "EURUSD", Month(2017, 1)))
    assert written.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert (written.kind, written.rows) == (f"features/{VIEW}", 26)
    assert partition(tmp_path, VIEW, "EURUSD", "2017-01") == written


def test_equal_rows_are_equal_bytes_and_leave_the_file_alone(tmp_path: Path):
    rows = january(hourly(26))
    first = write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows)
    path = Path(Lake(tmp_path).path(f"features/{VIEW}", "EURUSD", Month(2017, 1)))
    inode = path.stat().st_ino
    assert write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows.reverse()) == first
    assert path.stat().st_ino == inode
    changed = rows.with_columns(pl.col("a") + 1.0)
    assert write_features(tmp_path, VIEW, "EURUSD", "2017-01", changed).sha256 != first.sha256


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda f: f.with_columns(pl.col(EVENT).dt.offset_by("1mo")), "lie outside 2017-01"),
        (lambda f: f.with_columns(symbol=pl.lit("GBPUSD")), "rows of 'GBPUSD'"),
        (lambda f: f.with_columns(pl.col("a").cast(pl.Float32)), "must be float64: a"),
        (lambda f: f.select(EVENT), "must be float64: none"),
        (lambda f: f.drop(EVENT), "no column event_timestamp"),
        (lambda f: f.with_columns(pl.col(EVENT).dt.replace_time_zone(None)), "with a time zone"),
        (lambda f: pl.concat([f, f]), "two rows of the same"),
        (
            lambda f: f.with_columns(
                pl.when(pl.col("a") > 1).then(pl.col(EVENT)).otherwise(None).alias(EVENT)
            ),
            "is missing in 2 rows",
        ),
        (
            lambda f: f.with_columns(
                pl.col(EVENT).cast(pl.Datetime("ns", "UTC")) + pl.duration(nanoseconds=1)
            ),
            "finer than a microsecond",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, broken, words: str):
    with pytest.raises(FeatureFilesError, match=words):
        write_features(tmp_path, VIEW, "EURUSD", "2017-01", broken(january(hourly(10))))
    assert stored_months(tmp_path, VIEW, "EURUSD") == []


def test_a_month_is_written_as_people_do(tmp_path: Path):
    with pytest.raises(FeatureFilesError, match="must look like 2017-03"):
        write_features(tmp_path, VIEW, "EURUSD", "January", january(hourly(3)))


def test_a_flipped_bit_is_an_error_and_never_another_feature(tmp_path: Path):
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", january(hourly(26)))
    path = Path(Lake(tmp_path).path(f"features/{VIEW}", "EURUSD", Month(2017, 1)))
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)
    with pytest.raises(FeatureFilesError, match="build the features of the month"):
        read_features(tmp_path, VIEW, "EURUSD")


def test_a_missing_column_is_named(tmp_path: Path):
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", january(hourly(26)))
    with pytest.raises(FeatureFilesError, match="no column c"):
        read_features(tmp_path, VIEW, "EURUSD", columns=["a", "c"])


def test_a_month_that_is_not_there_has_no_hash(tmp_path: Path):
    with pytest.raises(FeatureFilesError, match="cannot be read"):
        partition(tmp_path, VIEW, "EURUSD", "2017-01")


def test_a_late_row_stays_beside_the_one_it_corrects(tmp_path: Path):
    rows = hourly(30)  # over the end of January
    append_features(tmp_path, VIEW, "EURUSD", rows)
    moment = rows[EVENT][27]
    late = pl.DataFrame(
        {EVENT: [moment], CREATED: [moment + timedelta(days=3)], "a": [99.0], "b": [98.0]},
        schema_overrides={EVENT: MOMENT, CREATED: MOMENT},
    )
    written = append_features(tmp_path, VIEW, "EURUSD", late)
    assert [each.month for each in written] == ["2017-02"]
    read = read_features(tmp_path, VIEW, "EURUSD")
    assert len(read) == 31
    assert read.filter(pl.col(EVENT) == moment)["a"].to_list() == [27.0, 99.0]
    # the same correction again changes nothing, another value of it replaces it
    assert append_features(tmp_path, VIEW, "EURUSD", late) == written
    append_features(tmp_path, VIEW, "EURUSD", late.with_columns(a=pl.lit(100.0)))
    again = read_features(tmp_path, VIEW, "EURUSD")
    assert again.filter(pl.col(EVENT) == moment)["a"].to_list() == [27.0, 100.0]


def test_rows_with_other_columns_are_not_appended(tmp_path: Path):
    append_features(tmp_path, VIEW, "EURUSD", january(hourly(5)))
    with pytest.raises(FeatureFilesError, match="columns differ from 2017-01: b, c"):
        append_features(tmp_path, VIEW, "EURUSD", january(hourly(5)).rename({"b": "c"}))


def test_writers_at_once_lose_no_row(tmp_path: Path):
    starts = [datetime(2017, 1, 1 + i, tzinfo=UTC) for i in range(8)]
    with ThreadPoolExecutor(8) as several:
        for written in several.map(
            lambda start: append_features(tmp_path, VIEW, "EURUSD", hourly(10, start)), starts
        ):
            assert len(written) == 1
    assert len(read_features(tmp_path, VIEW, "EURUSD")) == 80


def test_an_object_store_is_a_lake_too():
    rows = january(hourly(12))
    lake = Lake("memory://feature-files-test")
    written = write_features(lake, VIEW, "EURUSD", "2017-01", rows)
    assert read_features(lake, VIEW, "EURUSD").select(rows.columns).equals(rows)
    assert partition(lake, VIEW, "EURUSD", "2017-01") == written


def test_a_view_is_named_by_its_clock_and_what_it_computes():
    one = FeatureSet(features=("h1_rsi_14", "h1_atr_14"))
    other = FeatureSet(features=("h1_atr_14", "h1_rsi_14"))
    assert view_name("h1", one) == f"h1_{one.identity[:8]}"
    assert len({view_name("h1", one), view_name("h1", other), view_name("h4", one)}) == 3


def test_midnight_in_another_zone_belongs_to_its_month_in_utc(tmp_path: Path):
    # 1 February in Tokyo is still January in UTC
    tokyo = datetime(2017, 2, 1, 3, tzinfo=ZoneInfo("Asia/Tokyo"))
    rows = pl.DataFrame({EVENT: [tokyo], "a": [1.0]}).with_columns(
        pl.col(EVENT).cast(pl.Datetime("us", "Asia/Tokyo"))
    )
    [written] = append_features(tmp_path, VIEW, "EURUSD", rows)
    assert written.month == "2017-01"


def test_a_file_says_what_it_was_computed_from_as_it_was_then(tmp_path):
    made_of = [
        Partition(kind="ticks", symbol=name, month="2017-01", rows=9, sha256=name * 10)
        for name in ("GBPUSD", "EURUSD")
    ]
    rows = january(hourly(26))
    first = write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows, made_of)
    assert made_of_month(tmp_path, VIEW, "EURUSD", "2017-01") == sorted(made_of)
    late = rows[:1].with_columns(
        a=pl.lit(7.0), created_timestamp=pl.col("event_timestamp") + timedelta(days=1)
    )
    append_features(tmp_path, VIEW, "EURUSD", late)  # a correction is of no other files
    assert made_of_month(tmp_path, VIEW, "EURUSD", "2017-01") == sorted(made_of)
    write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows)
    assert made_of_month(tmp_path, VIEW, "EURUSD", "2017-01") == []
    assert write_features(tmp_path, VIEW, "EURUSD", "2017-01", rows, made_of[::-1]) == first
