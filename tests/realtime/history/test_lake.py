"""The lake holds every row once, appears whole or not at all, and is read in one order."""

import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from realtime.history import errors
from realtime.history.importing import Import
from realtime.history.lake import Lake, Month, month_of
from realtime.history.lake_import import by_month, import_file
from realtime.history.lake_read import read_lake_bars, read_lake_ticks, stored
from realtime.history.merge import merge_bars, merge_ticks
from realtime.history.quality import Checks
from realtime.history.read import open_import, read_bars, read_ticks
from realtime.kernels.layout import BAR, TICK

Weeks = Callable[..., pl.DataFrame]
ROOT = Path(__file__).resolve().parents[3]


def joined(chunks: Iterator[np.ndarray]) -> np.ndarray:
    return np.concatenate(list(chunks))


def assert_same_bits(found: np.ndarray, expected: np.ndarray) -> None:
    assert found.dtype == expected.dtype
    assert len(found) == len(expected)
    assert found.tobytes() == expected.tobytes()


def write_ticks(weeks: Weeks, path: Path, first: str, last: str, step: float = 0.0) -> Path:
    frame = weeks(first, last, every="10m").select(
        time="utc", bid=(pl.col("bid") + step).round(5), ask=(pl.col("bid") + step + 1e-4).round(5)
    )
    frame.write_parquet(path)
    return path


def bring(lake: Lake, path: Path, symbol: str = "EURUSD", **options: Any) -> Any:
    return import_file(lake, path, open_import(path, symbol, **options))


@pytest.fixture(params=["disk", "object store"])
def lake(request: pytest.FixtureRequest, tmp_path: Path) -> Lake:
    if request.param == "disk":
        return Lake(tmp_path / "lake")
    return Lake(f"memory://lake-{uuid.uuid4().hex}")


def test_what_goes_in_comes_out(weeks: Weeks, lake: Lake, tmp_path: Path) -> None:
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-03-10")
    done = bring(lake, path)
    assert done.written == ("2024-01", "2024-02", "2024-03")
    assert (done.kind, done.added) == ("ticks", done.report.rows_kept)
    assert_same_bits(joined(read_lake_ticks(lake, ["EURUSD"])), read_ticks(path, "EURUSD").rows)
    assert stored(lake) == [
        {"kind": "ticks", "symbol": "EURUSD", "first": "2024-01", "last": "2024-03", "months": 3}
    ]


def test_bars_go_into_their_own_folder(weeks: Weeks, lake: Lake, tmp_path: Path) -> None:
    frame = weeks("2024-01-02", "2024-03-10")
    price = pl.col("bid")
    path = tmp_path / "EURUSD.parquet"
    frame.select(
        time="utc", open=price, high=price + 0.001, low=price - 0.001, close=price
    ).write_parquet(path)
    assert bring(lake, path).kind == "bars_h1"
    back = read_lake_bars(lake, "EURUSD", "H1")
    assert_same_bits(back, read_bars(path).rows)
    start, stop = int(back["open_ns"][30]), int(back["open_ns"][900])
    part = read_lake_bars(lake, "EURUSD", "H1", start, stop)
    assert_same_bits(part, back[30:900])


def test_the_same_import_again_writes_nothing(weeks: Weeks, lake: Lake, tmp_path: Path) -> None:
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-03-10")
    bring(lake, path)
    before = joined(read_lake_ticks(lake, ["EURUSD"]))
    again = bring(lake, path)
    assert (again.written, again.added) == ((), 0)
    assert again.skipped == ("2024-01", "2024-02", "2024-03")
    assert_same_bits(joined(read_lake_ticks(lake, ["EURUSD"])), before)


def test_overlapping_imports_repeat_nothing(weeks: Weeks, lake: Lake, tmp_path: Path) -> None:
    whole = write_ticks(weeks, tmp_path / "whole.parquet", "2024-01-02", "2024-03-10")
    for first, last in (("2024-02-05", "2024-03-10"), ("2024-01-02", "2024-02-20")):
        bring(lake, write_ticks(weeks, tmp_path / f"{first}.parquet", first, last))
    # The made-up prices depend on where a file starts, so the second file is cut from the whole.
    fresh = Lake(f"memory://fresh-{uuid.uuid4().hex}")
    frame = pl.read_parquet(whole)
    for name, part in (("late", frame[2000:]), ("early", frame[:4000]), ("all", frame)):
        part.write_parquet(tmp_path / f"{name}.parquet")
        bring(fresh, tmp_path / f"{name}.parquet")
    assert_same_bits(joined(read_lake_ticks(fresh, ["EURUSD"])), read_ticks(whole, "EURUSD").rows)


def test_an_import_that_was_cut_short_goes_on_where_it_stopped(
    weeks: Weeks, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-03-10")
    put, count = lake.put, 0

    def fail_at_the_second(name: str, content: bytes) -> None:
        nonlocal count
        count += 1
        if count == 2:
            message = "power cut"
            raise errors.LakeWriteFailed(message, file=name, remedy="Plug it in again.")
        put(name, content)

    monkeypatch.setattr(lake, "put", fail_at_the_second)
    with pytest.raises(errors.LakeWriteFailed, match="power cut"):
        bring(lake, path)
    assert [str(month) for month in lake.months("ticks", "EURUSD")] == ["2024-01"]
    again = bring(lake, path)
    assert (again.skipped, again.written) == (("2024-01",), ("2024-02", "2024-03"))
    assert_same_bits(joined(read_lake_ticks(lake, ["EURUSD"])), read_ticks(path, "EURUSD").rows)


def test_a_half_written_file_of_a_killed_process_is_not_read_and_is_removed(
    weeks: Weeks, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake")
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-01-20")
    orphan = tmp_path / "lake/ticks/EURUSD/.2024-01.parquet.123.partial"
    orphan.parent.mkdir(parents=True)
    orphan.write_bytes(b"PAR1 half")
    assert lake.months("ticks", "EURUSD") == []
    bring(lake, path)
    assert not orphan.exists()
    assert [str(month) for month in lake.months("ticks", "EURUSD")] == ["2024-01"]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from realtime.history.lake import Lake
from realtime.history.lake_import import import_file
from realtime.history.read import open_import
from realtime.history.errors import LakeWriteFailed
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]), int(sys.argv[3])))
try:
    import_file(Lake(sys.argv[1]), Path(sys.argv[2]), open_import(sys.argv[2], "EURUSD"))
except LakeWriteFailed as error:
    print("refused:", error)
"""


def test_a_full_disk_leaves_the_lake_as_it_was(weeks: Weeks, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake")
    first = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-01-10")
    bring(lake, first)
    before = joined(read_lake_ticks(lake, ["EURUSD"]))
    more = write_ticks(weeks, tmp_path / "b.parquet", "2024-01-10", "2024-01-30")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            FULL_DISK,
            *map(str, (lake.root, more, 5000)),
        ],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    assert "refused:" in done.stdout
    assert "cannot be written" in done.stdout
    assert_same_bits(joined(read_lake_ticks(lake, ["EURUSD"])), before)
    assert [path.name for path in (tmp_path / "lake/ticks/EURUSD").iterdir()] == ["2024-01.parquet"]
    bring(lake, more)
    assert len(joined(read_lake_ticks(lake, ["EURUSD"]))) > len(before)


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    one, two = Lake(tmp_path / "lake"), Lake(tmp_path / "lake")
    with (
        one.writing(),
        pytest.raises(errors.LakeWriteFailed, match="another process is writing"),
        two.writing(),
    ):
        pass
    with two.writing():
        pass


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "lake").write_text("a file is in the way")
    with pytest.raises(errors.LakeWriteFailed), Lake(tmp_path / "lake").writing():
        pass


def test_a_damaged_month_is_named(weeks: Weeks, lake: Lake, tmp_path: Path) -> None:
    bring(lake, write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-02-10"))
    lake.files.pipe_file(lake.path("ticks", "EURUSD", Month(2024, 2)), b"PAR1 rotten PAR1")
    with pytest.raises(errors.LakeDamaged, match=r"2024-02\.parquet.*import its month again"):
        joined(read_lake_ticks(lake, ["EURUSD"]))
    other = tmp_path / "other.parquet"
    pl.DataFrame({"x": [1]}).write_parquet(other)
    lake.files.pipe_file(lake.path("ticks", "EURUSD", Month(2024, 2)), other.read_bytes())
    with pytest.raises(errors.LakeDamaged, match="not a file of this lake"):
        joined(read_lake_ticks(lake, ["EURUSD"]))


def test_one_flipped_bit_of_a_month_never_changes_a_row_silently(
    weeks: Weeks, lake: Lake, tmp_path: Path
) -> None:
    bring(lake, write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-01-20"))
    month = Month(2024, 1)
    path, before = lake.path("ticks", "EURUSD", month), lake.read_month("ticks", "EURUSD", month)
    whole = lake.files.cat_file(path)
    damaged = 0
    for at in range(4, len(whole), max(1, len(whole) // 60)):
        flipped = bytes([whole[at] ^ 1])
        lake.files.pipe_file(path, whole[:at] + flipped + whole[at + 1 :])
        try:
            assert_same_bits(lake.read_month("ticks", "EURUSD", month), before)
        except errors.LakeDamaged:
            damaged += 1
    assert damaged > 20


def test_the_same_file_read_with_another_date_order_is_another_import(
    lake: Lake, tmp_path: Path
) -> None:
    path = tmp_path / "EURUSD.csv"
    days = ("04/05/2024", "05/05/2024", "06/05/2024")
    path.write_text("date,bid,ask\n" + "".join(f"{day} 10:00:00,1.1,1.2\n" for day in days))
    always = Checks(market="always")
    wrong = bring(lake, path, zone="UTC", checks=always, date_order="month")
    assert wrong.written == ("2024-04", "2024-05", "2024-06")
    right = bring(lake, path, zone="UTC", checks=always, date_order="day")
    assert (right.written, right.skipped) == (("2024-05",), ())


def test_nothing_stored_is_said_with_what_there_is(
    weeks: Weeks, lake: Lake, tmp_path: Path
) -> None:
    with pytest.raises(errors.LakeEmpty, match="holds nothing of XAUUSD"):
        joined(read_lake_ticks(lake, ["XAUUSD"]))
    bring(lake, write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-02-10"))
    with pytest.raises(errors.LakeEmpty, match="holds 2024-01 to 2024-02 of EURUSD"):
        joined(read_lake_ticks(lake, ["EURUSD"], Month(2025, 1).start_ns))
    with pytest.raises(errors.SymbolUnknown):
        lake.months("ticks", "../secrets")


def test_an_unknown_store_is_refused() -> None:
    with pytest.raises(errors.LakeError, match="no such store"):
        Lake("nostore://bucket/lake")


def test_symbols_are_merged_by_time_then_by_their_order(
    weeks: Weeks, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("realtime.history.lake.ROW_GROUP", 301)  # several reads a month
    for index, symbol in enumerate(("EURUSD", "GBPUSD", "USDCHF")):
        first = f"2024-01-0{2 + index}"
        bring(
            lake,
            write_ticks(weeks, tmp_path / f"{symbol}.parquet", first, "2024-02-20", index / 1e5),
            symbol,
        )
    order = ["GBPUSD", "EURUSD", "USDCHF"]
    start = int(np.datetime64("2024-01-03T07:30", "ns").astype(np.int64))
    whole = joined(read_lake_ticks(lake, order, start))
    parts = [joined(read_lake_ticks(lake, [symbol], start)) for symbol in order]
    for position, part in enumerate(parts):
        part["symbol"] = position
        assert_same_bits(whole[whole["symbol"] == position], part)
    ranked = np.lexsort((whole["seq"], whole["symbol"], whole["time_ns"]))
    assert (ranked == np.arange(len(whole))).all()
    chunks = list(read_lake_ticks(lake, order, start, chunk_rows=777))
    assert max(len(chunk) for chunk in chunks) <= 777
    assert_same_bits(np.concatenate(chunks), whole)


SMALL = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 2)), max_size=14)


def made_ticks(values: list[tuple[int, int]]) -> np.ndarray:
    rows = np.zeros(len(values), TICK)
    rows["time_ns"] = sorted(time for time, _ in values)
    rows["bid"] = [1.0 + price for _, price in values]
    rows["last"] = np.nan
    return rows


def bag(rows: np.ndarray) -> dict[tuple[int, float], int]:
    keys, counts = np.unique(rows[["time_ns", "bid"]], return_counts=True)
    return {(int(k["time_ns"]), float(k["bid"])): int(n) for k, n in zip(keys, counts, strict=True)}


@given(SMALL, SMALL)
def test_merged_ticks_occur_as_often_as_in_the_richer_side(
    one: list[tuple[int, int]], two: list[tuple[int, int]]
) -> None:
    old, new = made_ticks(one), made_ticks(two)
    merged = merge_ticks(old, new)
    assert (np.diff(merged["time_ns"]) >= 0).all()
    a, b = bag(old), bag(new)
    assert bag(merged) == {key: max(a.get(key, 0), b.get(key, 0)) for key in a | b}
    assert_same_bits(merge_ticks(merged, new), merged)
    assert_same_bits(merge_ticks(merged, old), merged)


@given(
    st.lists(st.integers(0, 20), max_size=12, unique=True),
    st.lists(st.integers(0, 20), max_size=12, unique=True),
)
def test_the_bar_of_the_newer_import_stays_and_one_that_it_replaces_is_counted(
    one: list[int], two: list[int]
) -> None:
    old, new = np.zeros(len(one), BAR), np.zeros(len(two), BAR)
    old["open_ns"], new["open_ns"] = sorted(one), sorted(two)
    old["close"], new["close"] = 1.0, 2.0
    merged, conflicts = merge_bars(old, new)
    assert merged["open_ns"].tolist() == sorted({*one, *two})
    assert conflicts == len({*one} & {*two})
    assert merged["close"].tolist() == [
        2.0 if time in two else 1.0 for time in sorted({*one, *two})
    ]


def bar_file(path: Path, closes: list[float]) -> Path:
    """Hours of a Monday as a delimited file."""
    rows = [f"2024-01-08 {h:02d}:00:00,1.1,1.3,1.0,{close}" for h, close in enumerate(closes)]
    path.write_text("time,open,high,low,close\n" + "".join(f"{row}\n" for row in rows))
    return path


def test_a_bar_that_was_still_forming_is_whole_after_a_later_export(
    lake: Lake, tmp_path: Path
) -> None:
    """It stayed as it was, however often it was exported anew."""
    path = tmp_path / "EURUSD.csv"
    bring(lake, bar_file(path, [1.1, 1.11, 1.12]), zone="UTC")
    later = bring(lake, bar_file(path, [1.1, 1.11, 1.17, 1.18]), zone="UTC")
    assert read_lake_bars(lake, "EURUSD", "H1")["close"].tolist() == [1.1, 1.11, 1.17, 1.18]
    assert (later.added, later.conflicts) == (1, 0)  # as it goes with every export
    corrected = bring(lake, bar_file(path, [1.1, 1.15, 1.17, 1.18]), zone="UTC")
    assert read_lake_bars(lake, "EURUSD", "H1")["close"].tolist() == [1.1, 1.15, 1.17, 1.18]
    assert (corrected.added, corrected.conflicts) == (0, 1)


def tick_file(path: Path, bids: dict[int, float]) -> Path:
    """Ticks at seconds of a Monday as a delimited file."""
    rows = [f"{1_704_708_000 + second},{bid},{bid + 0.0001:.5f}" for second, bid in bids.items()]
    path.write_text("time,bid,ask\n" + "".join(f"{row}\n" for row in rows))
    return path


def bids_of(lake: Lake) -> list[float]:
    return joined(read_lake_ticks(lake, ["EURUSD"]))["bid"].tolist()


def test_a_corrected_tick_replaces_the_bad_one_of_its_source(lake: Lake, tmp_path: Path) -> None:
    """It was added beside the bad one."""
    path = tmp_path / "EURUSD_202401.csv"
    bring(lake, tick_file(path, {0: 1.1, 1: 1.1009, 2: 1.1001, 3: 1.1002}), zone="UTC")
    newer = tmp_path / "EURUSD_202402.csv"  # the same export under the name of another day
    done = bring(lake, tick_file(newer, {0: 1.1, 1: 1.1003, 2: 1.1001}), zone="UTC")
    assert bids_of(lake) == [1.1, 1.1003, 1.1001, 1.1002]  # what it does not cover stays
    assert (done.conflicts, done.disputed) == (1, 0)


def test_ticks_of_another_source_stay_beside_and_are_counted(lake: Lake, tmp_path: Path) -> None:
    bring(lake, tick_file(tmp_path / "EURUSD_one.csv", {0: 1.1, 1: 1.1009, 2: 1.1}), zone="UTC")
    other = tick_file(tmp_path / "EURUSD_two.csv", {0: 1.1, 1: 1.1004, 2: 1.1})
    done = bring(lake, other, zone="UTC")
    assert sorted(bids_of(lake)) == [1.1, 1.1, 1.1004, 1.1009]
    assert (done.conflicts, done.disputed) == (0, 1)
    # What both sources have stays when one of them takes it back.
    bring(lake, tick_file(tmp_path / "EURUSD_one.csv", {0: 1.1, 2: 1.1001}), zone="UTC")
    assert sorted(bids_of(lake)) == [1.1, 1.1, 1.1001, 1.1004]


def test_a_source_that_is_silent_for_hours_takes_nothing_away(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    bring(lake, tick_file(path, {0: 1.1, 9_000: 1.1005, 20_000: 1.1}), zone="UTC")
    done = bring(lake, tick_file(path, {0: 1.1, 20_000: 1.1}), zone="UTC")
    assert bids_of(lake) == [1.1, 1.1005, 1.1]
    assert done.conflicts == 0


def test_an_older_import_that_is_brought_again_counts_again(lake: Lake, tmp_path: Path) -> None:
    one = bar_file(tmp_path / "EURUSD_one.csv", [1.1, 1.11, 1.12])
    two = bar_file(tmp_path / "EURUSD_two.csv", [1.1, 1.15, 1.12])
    for path in (one, two, one):
        bring(lake, path, zone="UTC")
    assert read_lake_bars(lake, "EURUSD", "H1")["close"].tolist() == [1.1, 1.11, 1.12]
    assert bring(lake, one, zone="UTC").written == ()


@settings(max_examples=50)
@given(st.integers(0, 2_000_000_000))
def test_a_month_holds_its_times(second: int) -> None:
    time_ns = second * 10**9
    month = month_of(time_ns)
    assert month.start_ns <= time_ns < month.next.start_ns
    assert str(np.int64(time_ns).view("M8[ns]").astype("M8[M]")) == str(month)


def test_rows_of_another_month_are_refused(lake: Lake) -> None:
    rows = np.zeros(2, TICK)
    with pytest.raises(errors.LakeError, match="outside 2024-01"):
        lake.write_month("ticks", "EURUSD", Month(2024, 1), rows)


def test_a_stream_is_cut_into_whole_months(weeks: Weeks, tmp_path: Path) -> None:
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-04-10")
    opened: Import = open_import(path, "EURUSD")
    months = list(by_month(opened, "time_ns"))
    assert [str(month) for month, _ in months] == ["2024-01", "2024-02", "2024-03", "2024-04"]
    assert_same_bits(np.concatenate([rows for _, rows in months]), read_ticks(path, "EURUSD").rows)


def test_reports_and_quarantined_rows_are_kept_beside_the_data(lake: Lake, tmp_path: Path) -> None:
    path = tmp_path / "EURUSD.csv"
    lines = [f"{1_704_708_000 + i},1.1,{1.0 if i == 3 else 1.2}" for i in range(9)]
    path.write_text("\n".join(["time,bid,ask", *lines]))
    bring(lake, path)
    (table,) = lake.files.glob(f"{lake.root}/imports/*.quarantine.parquet")
    with lake.files.open(table, "rb") as stream:
        quarantine = pl.read_parquet(stream.read())
    assert quarantine["reason"].to_list() == ["crossed"]
    assert quarantine["raw"].to_list() == ["1704708003,1.1,1.0"]
    assert quarantine["row"].to_list() == [5]


def test_a_store_that_is_really_full_refuses_whole(weeks: Weeks, tmp_path: Path) -> None:
    """On a tiny file system, where this user may mount one; the limit above plays it elsewhere."""
    mount = tmp_path / "tiny"
    mount.mkdir()
    tool = shutil.which("mount")
    mounted = (
        tool is not None
        and os.geteuid() == 0
        and (
            subprocess.run(
                [tool, "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(mount)],
                capture_output=True,
                check=False,
            ).returncode
            == 0
        )
    )
    lake = Lake(mount)
    path = write_ticks(weeks, tmp_path / "a.parquet", "2024-01-02", "2024-03-30")
    try:
        if mounted:
            with pytest.raises(errors.LakeWriteFailed, match="No space left"):
                bring(lake, path)
            for month in lake.months("ticks", "EURUSD"):
                lake.read_month("ticks", "EURUSD", month)  # what is there is whole
            assert not list(mount.rglob("*.partial"))
        else:
            assert bring(lake, path).added > 0
    finally:
        if mounted:
            subprocess.run(["umount", str(mount)], check=True)
